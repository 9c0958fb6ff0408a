//! BuildKit: `buildctl`, or `docker buildx`.
//!
//! Attestations are off: with them on, a tag is an index whose children are the image and its attestation.
//! Where somebody's builder adds them all the same, the rest of hephy picks the child by platform.

use super::quote::csv;
use super::{Backend, Flavour, Invocation, Said, Step, Tool, no_report, parse_report};
use crate::config::BackendName;
use crate::error::Result;
use crate::oci::Digest;

const METADATA_FILE: &str = "metadata.json";

pub(super) struct Buildkit;

impl Backend for Buildkit {
    fn name(&self) -> BackendName {
        BackendName::Buildkit
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        let mut invocation = match tool.flavour {
            Flavour::Buildx => buildx(tool, step),
            _ => buildctl(tool, step),
        };
        invocation.docker_config(step);
        Ok(vec![invocation])
    }

    fn digest(&self, _: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, _: &str) -> Result<Digest> {
        let report = read(METADATA_FILE).ok_or_else(|| no_report(self.name()))?;
        let metadata: serde_json::Value =
            serde_json::from_slice(&report).map_err(|error| no_report(self.name()).cause(error))?;
        let digest = metadata.get("containerimage.digest").and_then(serde_json::Value::as_str);
        parse_report(self.name(), digest.unwrap_or_default())
    }

    fn uses_cache(&self, line: &str) -> bool {
        ["importing cache manifest", "exporting cache", "inferred cache manifest"]
            .iter()
            .any(|text| line.contains(text))
    }

    /// At the end of a failed build stands `Dockerfile:12`, the last line that has this form.
    fn said(&self, line: &str) -> Option<Said> {
        super::instruction::file_and_line(line)
    }

    fn install_hint(&self) -> &'static str {
        "install BuildKit's buildctl and set BUILDKIT_HOST, or install Docker's buildx plugin"
    }
}

fn buildctl(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    invocation.arg("build").arg("--progress=plain").arg("--frontend=dockerfile.v0");
    let mut local = |name: &str, path: &std::path::Path| {
        let mut value = std::ffi::OsString::from(format!("{name}="));
        value.push(path);
        invocation.option("--local", value);
    };
    local("context", &step.context);
    local("dockerfile", step.dockerfile.parent().unwrap_or(&step.dockerfile));
    let mut opt = |name: &str, value: &str| {
        invocation.option("--opt", format!("{name}={value}"));
    };
    opt("filename", &step.dockerfile.file_name().unwrap_or_default().to_string_lossy());
    opt("platform", &step.platform.to_string());
    if let Some(target) = &step.target {
        opt("target", target);
    }
    for (name, value) in &step.build_args {
        opt(&format!("build-arg:{name}"), value);
    }
    for (name, value) in &step.labels {
        opt(&format!("label:{name}"), value);
    }
    invocation.secrets(step, |_, path| path.to_owned());
    cache(&mut invocation, step, ["--import-cache", "--export-cache"]);
    invocation.option("--output", output(step)).option("--metadata-file", step.work.join(METADATA_FILE));
    invocation
}

fn buildx(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    invocation.arg("buildx").arg("build").arg("--progress=plain").option("--file", &step.dockerfile);
    invocation.option("--platform", step.platform.to_string());
    invocation.docker_options(step);
    invocation.secrets(step, |_, path| path.to_owned());
    cache(&mut invocation, step, ["--cache-from", "--cache-to"]);
    invocation.option("--output", output(step)).option("--metadata-file", step.work.join(METADATA_FILE));
    // In the environment rather than as `--provenance=false`, which buildx before 0.10 does not know.
    invocation.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
    invocation.arg("--").arg(&step.context);
    invocation
}

/// Options for the cache. One that cannot be read is a warning of BuildKit's; one that cannot be written would fail the
/// build, but for `ignore-error`.
fn cache(invocation: &mut Invocation, step: &Step, [read, write]: [&str; 2]) {
    if step.anew {
        // What the daemon itself has kept would be taken as well.
        invocation.arg("--no-cache");
    }
    let Some(cache) = &step.cache else { return };
    let insecure = if step.is_insecure(cache.host()) { ",registry.insecure=true" } else { "" };
    let place = format!("type=registry,{}{insecure}", csv(&format!("ref={}:{}", cache.repository, cache.tag)));
    if cache.write {
        invocation.option(write, format!("{place},mode=max,oci-mediatypes=true,ignore-error=true"));
    }
    if !step.anew {
        invocation.option(read, place);
    }
}

/// The exporter's attributes, comma-separated.
fn output(step: &Step) -> String {
    let mut fields = vec!["type=image".to_owned(), format!("name={}", step.destination()), "push=true".into()];
    if step.insecure() {
        fields.push("registry.insecure=true".into());
    }
    fields.push("oci-mediatypes=true".into());
    fields.extend(step.annotations.iter().map(|(name, value)| format!("annotation.{name}={value}")));
    fields.iter().map(|field| csv(field)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{args, step, tool};

    const OUTPUT: &str = "--output=type=image,name=127.0.0.1:5000/acme:app-20251015-armv7,push=true,\
                          registry.insecure=true,oci-mediatypes=true,\"annotation.a.b=c,\"\"d\"\"\"";

    #[test]
    fn buildctl_gets_exactly_this() {
        let invocations = Buildkit.invocations(&tool("/usr/bin/buildctl"), &step()).unwrap();
        assert_eq!(
            args(&invocations[0]),
            [
                "build",
                "--progress=plain",
                "--frontend=dockerfile.v0",
                "--local=context=/src/-a, b",
                "--local=dockerfile=/src/-a, b",
                "--opt=filename=-Dockerfile",
                "--opt=platform=linux/arm/v7",
                "--opt=target=--target",
                "--opt=build-arg:A=--b c=d,e\"f",
                "--opt=build-arg:EMPTY=",
                "--opt=label:-l=--x=y, \"z\"",
                OUTPUT,
                "--metadata-file=/out/work/1/metadata.json",
            ]
        );
        assert_eq!(invocations[0].env["DOCKER_CONFIG"], "/out/docker");
    }

    #[test]
    fn buildx_gets_exactly_this() {
        let mut tool = tool("/usr/bin/docker");
        tool.flavour = Flavour::Buildx;
        let invocations = Buildkit.invocations(&tool, &step()).unwrap();
        assert_eq!(
            args(&invocations[0]),
            [
                "buildx",
                "build",
                "--progress=plain",
                "--file=/src/-a, b/-Dockerfile",
                "--platform=linux/arm/v7",
                "--target=--target",
                "--build-arg=A=--b c=d,e\"f",
                "--build-arg=EMPTY=",
                "--label=-l=--x=y, \"z\"",
                OUTPUT,
                "--metadata-file=/out/work/1/metadata.json",
                "--",
                "/src/-a, b",
            ]
        );
        assert_eq!(invocations[0].env["BUILDX_NO_DEFAULT_ATTESTATIONS"], "1");
    }

    #[test]
    fn a_build_anew_takes_nothing_and_keeps_what_it_made() {
        let cache = crate::backend::StepCache {
            repository: "r.example/acme".into(),
            tag: crate::oci::Tag::parse("_cache.app.armv7.0").unwrap(),
            ttl: None,
            write: true,
        };
        for (flavour, read, write) in
            [(Flavour::Direct, "--import-cache", "--export-cache"), (Flavour::Buildx, "--cache-from", "--cache-to")]
        {
            let of = |cache, anew| {
                let tool = Tool { flavour: flavour.clone(), ..tool("/bin/x") };
                let invocation = Buildkit.invocations(&tool, &Step { cache, anew, ..step() }).unwrap().remove(0);
                let options = args(&invocation).into_iter().filter_map(|arg| arg.split('=').next());
                options.filter(|name| name.contains("cache")).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(of(Some(cache.clone()), false), [write, read]);
            assert_eq!(of(Some(cache.clone()), true), ["--no-cache", write]);
            assert_eq!(of(None, true), ["--no-cache"]);
        }
    }

    #[test]
    fn the_metadata_file_is_the_report() {
        let digest = Digest::of(b"x");
        let file = |_: &str| Some(format!(r#"{{"containerimage.digest":"{digest}","x":{{}}}}"#).into_bytes());
        assert_eq!(Buildkit.digest(&step(), &file, "").unwrap(), digest);
        for wrong in ["", "{}", r#"{"containerimage.digest":7}"#, r#"{"containerimage.digest":"sha256:"}"#] {
            assert!(Buildkit.digest(&step(), &|_| Some(wrong.into()), "").is_err(), "{wrong}");
        }
    }
}
