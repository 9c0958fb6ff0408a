//! Spin: WebAssembly applications, pushed as artifacts for `wasi/wasm`.
//!
//! An application runs on every machine, so it is built once, and its manifest is what tags point at: there is no
//! index above it.

use super::{Backend, Invocation, Step, Tool, Version, no_report, parse_report, secret};
use crate::config::BackendName;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// First version with `--annotation` (spinframework/spin pull request 2254): in older ones an unknown option ends the push.
const ANNOTATES: Version = Version(2, 5, 0);
/// The end of a push (spinframework/spin, `src/commands/registry.rs`).
const REPORT: &str = "Pushed with digest ";

pub(super) struct Spin;

impl Backend for Spin {
    fn name(&self) -> BackendName {
        BackendName::Spin
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        secret::refuse(self.name(), "", step)?;
        if step.platform.os() != "wasi" {
            return Err(Error::config(format!("spin builds for wasi/wasm alone, and not for {}", step.platform))
                .hint("take `platforms` away, or set another build_backend"));
        }
        let config = step.spin.clone().unwrap_or_default();
        let mut invocation = Invocation::new(tool);
        invocation.arg("registry").arg("push").option("--file", step.context.join(&config.manifest_path));
        if config.build {
            invocation.arg("--build");
        }
        if step.insecure() {
            invocation.arg("--insecure");
        }
        for (name, value) in &step.annotations {
            invocation.option("--annotation", format!("{name}={value}"));
        }
        invocation.arg("--").arg(step.destination()).docker_config(step);
        invocation.cwd = Some(step.context.clone());
        Ok(vec![invocation])
    }

    fn annotates(&self, tool: &Tool) -> bool {
        tool.version.is_some_and(|version| version >= ANNOTATES)
    }

    /// `Pushed with digest sha256:…`, the last line of this form.
    fn digest(&self, _: &Step, _: &dyn Fn(&str) -> Option<Vec<u8>>, output: &str) -> Result<Digest> {
        let report = output.lines().rev().find_map(|line| line.trim().strip_prefix(REPORT));
        parse_report(self.name(), report.ok_or_else(|| no_report(self.name()))?)
    }

    fn install_hint(&self) -> &'static str {
        "install Spin's command line, `spin` (spinframework.dev)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{args, step, tool};
    use crate::config::SpinConfig;
    use crate::oci::Platform;

    #[test]
    fn spin_gets_exactly_this() {
        let mut step = Step { platform: Platform::parse("wasi/wasm").unwrap(), ..step() };
        step.spin = Some(SpinConfig { manifest_path: "-a/spin.toml".into(), build: true });
        let invocations = Spin.invocations(&tool("/usr/bin/spin"), &step).unwrap();
        assert_eq!(
            args(&invocations[0]),
            [
                "registry",
                "push",
                "--file=/src/-a, b/-a/spin.toml",
                "--build",
                "--insecure",
                "--annotation=a.b=c,\"d\"",
                "--",
                "127.0.0.1:5000/acme:app-20251015-armv7",
            ]
        );
        assert_eq!(invocations[0].cwd.as_deref(), Some(std::path::Path::new("/src/-a, b")));
        step.spin = Some(SpinConfig { build: false, ..SpinConfig::default() });
        assert!(!args(&Spin.invocations(&tool("/usr/bin/spin"), &step).unwrap()[0]).contains(&"--build"));
    }

    #[test]
    fn only_versions_that_are_known_to_write_annotations_are_asked_to() {
        let of = |version| Spin.annotates(&Tool { version, ..tool("/usr/bin/spin") });
        assert!(of(Some(Version(2, 5, 0))) && of(Some(Version(3, 1, 0))));
        assert!(!of(Some(Version(2, 4, 3))) && !of(None));
    }

    #[test]
    fn it_builds_for_no_machine() {
        let error = Spin.invocations(&tool("/usr/bin/spin"), &step()).unwrap_err();
        assert_eq!(error.kind().code(), "config_error");
    }

    #[test]
    fn the_push_report_is_the_last_line_of_its_form() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let output = format!("Pushed with digest {old}\nBuilding\nPushed with digest {new}\n");
        assert_eq!(Spin.digest(&step(), &|_| None, &output).unwrap(), new);
        assert!(Spin.digest(&step(), &|_| None, "Pushed; the registry did not return the digest").is_err());
    }
}
