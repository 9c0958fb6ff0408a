//! ko: Go programs without a Dockerfile.
//!
//! ko reads `.ko.yaml` beside the sources unless told otherwise; here it reads one that is made from
//! `ko_config`, so that nothing but the configuration decides the build.

use serde_json::json;

use super::quote::csv;
use super::{Backend, Invocation, Step, Tool, Version, no_report, parse_report};
use crate::config::BackendName;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// First version with `--image-annotation` (ko-build/ko pull request 1426); older ones copy their base's instead.
const ANNOTATES: Version = Version(0, 17, 0);
const REFS_FILE: &str = "refs";
const CONFIG_FILE: &str = ".ko.yaml";

pub(super) struct Ko;

impl Backend for Ko {
    fn name(&self) -> BackendName {
        BackendName::Ko
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        super::secret::refuse(self.name(), "", step)?;
        let config = step.ko.as_ref().ok_or_else(|| {
            Error::config("backend ko needs `ko_config.import_path`")
                .hint("name the main package, such as `import_path: ./cmd/app`")
        })?;
        let mut invocation = Invocation::new(tool);
        invocation.arg("build").arg("--bare").arg("--sbom=none");
        invocation.option("--tags", step.tag.as_str()).option("--platform", step.platform.to_string());
        invocation.option("--image-refs", step.work.join(REFS_FILE));
        if step.insecure() {
            invocation.arg("--insecure-registry");
        }
        for (name, value) in &step.labels {
            invocation.option("--image-label", csv(&format!("{name}={value}")));
        }
        for (name, value) in &step.annotations {
            invocation.option("--image-annotation", csv(&format!("{name}={value}")));
        }
        invocation.arg("--").arg(&config.import_path);
        invocation.env("KO_DOCKER_REPO", &step.repository).env("KO_CONFIG_PATH", step.work.as_os_str());
        if let Some(base) = &config.base_image {
            invocation.env("KO_DEFAULTBASEIMAGE", base);
        }
        invocation.docker_config(step);
        invocation.cwd = Some(match &config.working_dir {
            Some(dir) => step.context.join(dir),
            None => step.context.clone(),
        });
        let settings = !(config.env.is_empty() && config.flags.is_empty() && config.ldflags.is_empty());
        let builds = json!([{
            "id": "hephy", "dir": ".", "main": config.import_path,
            "env": config.env, "flags": config.flags, "ldflags": config.ldflags,
        }]);
        // JSON is YAML, and quotes everything.
        let content = if settings { json!({ "builds": builds }) } else { json!({}) };
        invocation.files.push((step.work.join(CONFIG_FILE), content.to_string().into_bytes()));
        Ok(vec![invocation])
    }

    fn annotates(&self, tool: &Tool) -> bool {
        tool.version.is_some_and(|version| version >= ANNOTATES)
    }

    /// One line, `registry/repository@sha256:…`.
    fn digest(&self, _: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, _: &str) -> Result<Digest> {
        let report = read(REFS_FILE).ok_or_else(|| no_report(self.name()))?;
        let text = String::from_utf8_lossy(&report);
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        match (lines.next(), lines.next()) {
            (Some(line), None) => parse_report(self.name(), line.rsplit('@').next().unwrap_or_default()),
            _ => Err(no_report(self.name())),
        }
    }

    fn install_hint(&self) -> &'static str {
        "go install github.com/google/ko@latest, with Go on the PATH"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{args, step, tool};
    use crate::config::KoConfig;

    #[test]
    fn ko_gets_exactly_this() {
        let mut step = step();
        step.ko = Some(KoConfig {
            import_path: "./cmd/app".into(),
            base_image: Some("127.0.0.1:5000/base".into()),
            env: vec!["CGO_ENABLED=0".into()],
            flags: vec!["-tags".into(), "a: b".into()],
            ldflags: vec!["-s".into()],
            working_dir: Some("go".into()),
        });
        let invocations = Ko.invocations(&tool("/usr/bin/ko"), &step).unwrap();
        let ko = &invocations[0];
        assert_eq!(
            args(ko),
            [
                "build",
                "--bare",
                "--sbom=none",
                "--tags=app-20251015-armv7",
                "--platform=linux/arm/v7",
                "--image-refs=/out/work/1/refs",
                "--insecure-registry",
                "--image-label=\"-l=--x=y, \"\"z\"\"\"",
                "--image-annotation=\"a.b=c,\"\"d\"\"\"",
                "--",
                "./cmd/app",
            ]
        );
        assert_eq!(ko.env["KO_DOCKER_REPO"], "127.0.0.1:5000/acme");
        assert_eq!(ko.env["KO_DEFAULTBASEIMAGE"], "127.0.0.1:5000/base");
        assert_eq!(ko.env["KO_CONFIG_PATH"], "/out/work/1");
        assert_eq!(ko.cwd.as_deref(), Some(std::path::Path::new("/src/-a, b/go")));
        let config: serde_json::Value = serde_json::from_slice(&ko.files[0].1).unwrap();
        assert_eq!(config["builds"][0]["flags"], json!(["-tags", "a: b"]));
    }

    #[test]
    fn only_versions_that_are_known_to_write_annotations_are_asked_to() {
        let of = |version| Ko.annotates(&Tool { version, ..tool("/usr/bin/ko") });
        assert!(of(Some(Version(0, 19, 1))) && of(Some(Version(0, 17, 0))));
        assert!(!of(Some(Version(0, 16, 0))) && !of(None));
    }

    #[test]
    fn the_refs_file_names_one_image() {
        let digest = Digest::of(b"x");
        let file = |text: String| move |_: &str| Some(text.clone().into_bytes());
        assert_eq!(Ko.digest(&step(), &file(format!("h:1/r@{digest}\n")), "").unwrap(), digest);
        assert!(Ko.digest(&step(), &file(format!("r@{digest}\nr@{digest}\n")), "").is_err());
        assert!(Ko.digest(&step(), &file(String::new()), "").is_err());
    }
}
