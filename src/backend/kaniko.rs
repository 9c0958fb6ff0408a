//! Kaniko: `/kaniko/executor`, or its image through `docker run`.
//!
//! Kaniko works in the file system that it runs in and removes what is not a mount, image after image, so the
//! directories that hephy needs are named to it, and it clears before and after each build.
//!
//! Its layer cache does not tell architectures apart (measured with 1.28.3: what a stage from `scratch` executed for
//! amd64 is taken for arm64), so that each architecture has a repository of its own.

mod flags;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use super::quote::csv;
use super::{Backend, Flavour, Invocation, Said, Step, Tool, Value, Version, no_report, parse_report};
use crate::config::BackendName;
use crate::dockerfile::Feature;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Flags that came late: the flag, its first version, and what is said when a step cannot do without it.
/// Source: the changelog of the maintained fork (osscontainertools/kaniko).
const SINCE: &[(Flag, Version)] = &[
    (Flag::PreCleanup, Version(1, 25, 4)),
    // 1.25.4 has `--annotation`, and writes them into a manifest of schema 2, where they mean nothing.
    (Flag::Annotations, Version(1, 28, 1)),
    // Older ones know a cache as well, and take a stale layer when only the body of a here-document has changed.
    (Flag::Cache, Version(1, 28, 1)),
    // 1.26.3 has it as well, turned off.
    (Flag::Secret, Version(1, 27, 0)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    PreCleanup,
    Annotations,
    Cache,
    Secret,
}

/// Where a container of the executor's image finds what it needs.
const IN_CONTAINER: (&str, &str, &str) = ("/workspace", "/kaniko/dockerfile", "/kaniko/hephy");
const DIGEST_FILE: &str = "digest";

pub(super) struct Kaniko;

impl Backend for Kaniko {
    fn name(&self) -> BackendName {
        BackendName::Kaniko
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        refuse_what_the_version_lacks(tool, step)?;
        let invocation = match &tool.flavour {
            Flavour::DockerRun { image } => in_container(tool, image, step),
            _ => direct(tool, step),
        };
        Ok(vec![invocation])
    }

    fn digest(&self, _: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, _: &str) -> Result<Digest> {
        let report = read(DIGEST_FILE).ok_or_else(|| no_report(self.name()))?;
        parse_report(self.name(), &String::from_utf8_lossy(&report))
    }

    /// `time="…" level=info msg="RUN [\"/bin/x\"]"`: the message of an instruction is the instruction.
    fn said(&self, line: &str) -> Option<Said> {
        let message = line.split_once(" level=info msg=")?.1;
        let text = if message.starts_with('"') {
            // Go quotes as JSON does, as far as printable text goes.
            serde_json::from_str(message).ok()?
        } else {
            message.to_owned()
        };
        Said::instruction(&text)
    }

    fn uses_cache(&self, line: &str) -> bool {
        line.contains("Using caching version of cmd") || line.contains("Found cached layer")
    }

    /// The text of the instruction counts, not what the address answers (measured with 1.28.3).
    fn cache_misses(&self, feature: Feature) -> bool {
        matches!(feature, Feature::AddUrl | Feature::AddGit)
    }

    /// An unknown flag would end every build, so a version that nobody knows is not asked.
    fn annotates(&self, tool: &Tool) -> bool {
        tool.version.is_some() && has(tool, Flag::Annotations)
    }

    fn soiled_by_kill(&self, tool: &Tool) -> bool {
        !matches!(tool.flavour, Flavour::DockerRun { .. }) && !has(tool, Flag::PreCleanup)
    }

    /// In a container of its own it does; otherwise it clears the file system that everybody else works in.
    fn shares_machine(&self, tool: &Tool) -> bool {
        matches!(tool.flavour, Flavour::DockerRun { .. })
    }

    fn install_hint(&self) -> &'static str {
        "run this job in a Kaniko debug image, point HEPHY_KANIKO at an executor, or install docker: \
         its engine then runs the Kaniko image"
    }
}

/// Whether this version knows a flag. One that does not say its version is taken for a current one: an unknown
/// flag is then Kaniko's own, clear error.
fn has(tool: &Tool, flag: Flag) -> bool {
    let since = SINCE.iter().find(|(name, _)| *name == flag).map(|(_, since)| *since);
    tool.version.is_none_or(|version| since.is_none_or(|since| version >= since))
}

fn refuse_what_the_version_lacks(tool: &Tool, step: &Step) -> Result<()> {
    let version = tool.version.map(|version| version.to_string()).unwrap_or_default();
    if !step.annotations.is_empty() && !has(tool, Flag::Annotations) {
        return Err(Error::config(format!("Kaniko {version} cannot write annotations into a manifest"))
            .hint("use Kaniko 1.28.1 or later, buildkit or buildah"));
    }
    if !has(tool, Flag::Secret) {
        super::secret::refuse(BackendName::Kaniko, &version, step)?;
    }
    // The fork takes a list here; a stage's name has no comma, so this is never what was meant.
    if step.target.as_ref().is_some_and(|target| target.contains([',', '"'])) {
        return Err(Error::config("a Dockerfile stage has neither a comma nor a quote in its name")
            .hint("correct `target` in build-config.yaml"));
    }
    Ok(())
}

fn direct(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    let mut context = OsString::from("dir://");
    context.push(&step.context);
    invocation.option("--context", context).option("--dockerfile", &step.dockerfile);
    invocation.option("--digest-file", step.work.join(DIGEST_FILE));
    // Ignoring the root would leave everything out of the image.
    for path in step.protected.iter().filter(|path| path.parent().is_some()) {
        invocation.option("--ignore-path", path);
    }
    if !tool.program.starts_with("/kaniko") {
        invocation.option("--ignore-path", &tool.program);
    }
    if tool.flavour == Flavour::Forced {
        invocation.arg("--force");
    }
    if has(tool, Flag::PreCleanup) {
        invocation.arg("--pre-cleanup");
    }
    invocation.arg("--cleanup");
    common(&mut invocation, tool, step);
    invocation.secrets(step, |_, path| path.to_owned());
    invocation.docker_config(step);
    // Kaniko looks its user up, and an image without /etc/passwd answers only through these.
    invocation.env_default.insert("USER".into(), "root".into());
    invocation.env_default.insert("HOME".into(), "/root".into());
    flags::set(&mut invocation, tool);
    invocation
}

/// What the helper for ECR in Kaniko's image asks AWS with. Names alone: docker takes the values from its own
/// environment, and none where there is none.
const AWS: [&str; 5] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"];

fn in_container(tool: &Tool, image: &str, step: &Step) -> Invocation {
    let (workspace, dockerfiles, work) = IN_CONTAINER;
    let mut invocation = Invocation::new(tool);
    let name = format!("hephy-{}", &Digest::of(step.work.as_os_str().as_encoded_bytes()).hex()[..24]);
    invocation.arg("run").arg("--rm").option("--name", &name);
    invocation.stop = Some(vec!["kill".into(), "--".into(), name.into()]);
    // A registry on the loopback interface is the machine's, not the container's.
    let hosts = || std::iter::once(step.host()).chain(step.cache.as_ref().map(super::StepCache::host));
    if hosts().any(crate::oci::is_loopback) {
        invocation.arg("--network=host");
    }
    if hosts().any(crate::oci::is_ecr) {
        for name in AWS {
            invocation.option("--env", name);
        }
    }
    for name in flags::set(&mut invocation, tool) {
        // The name alone here too: the job's value where it has one.
        invocation.option("--env", name);
    }
    let mut mount = |source: &std::path::Path, target: &str, read_only: bool| {
        let source = csv(&format!("source={}", source.display()));
        let mode = if read_only { ",readonly" } else { "" };
        invocation.option("--mount", format!("type=bind,{source},target={target}{mode}"));
    };
    let dockerfile_dir = step.dockerfile.parent().unwrap_or(&step.dockerfile);
    mount(&step.context, workspace, true);
    mount(dockerfile_dir, dockerfiles, true);
    mount(&step.work, work, false);
    if let Some(config) = &step.docker_config {
        mount(config, "/kaniko/.docker", true);
    }
    for (at, secret) in step.secrets.iter().enumerate() {
        match &secret.value {
            // The name alone, as with those of AWS.
            Value::Env(name) => {
                invocation.option("--env", name);
            }
            Value::File(path) => {
                let source = csv(&format!("source={}", path.display()));
                invocation.option("--mount", format!("type=bind,{source},target={},readonly", secret_in_container(at)));
            }
        }
    }
    invocation.arg("--").arg(image);
    invocation.option("--context", format!("dir://{workspace}"));
    let mut dockerfile = OsString::from(format!("{dockerfiles}/"));
    dockerfile.push(step.dockerfile.file_name().unwrap_or_default());
    invocation.option("--dockerfile", dockerfile).option("--digest-file", format!("{work}/{DIGEST_FILE}"));
    common(&mut invocation, tool, step);
    invocation.secrets(step, |at, _| secret_in_container(at).into());
    invocation
}

fn secret_in_container(at: usize) -> String {
    format!("{}-secrets/{at}", IN_CONTAINER.2)
}

/// Options for the cache: each layer of a `RUN` under the hash of all that led to it. A cache that cannot be read or
/// written is a warning of Kaniko's.
fn cache(invocation: &mut Invocation, tool: &Tool, step: &Step) {
    // It reads whatever cache it writes.
    let Some(cache) = step.cache.as_ref().filter(|_| !step.anew && has(tool, Flag::Cache)) else { return };
    invocation.arg("--cache=true").option("--cache-repo", cache.of_architecture(&step.platform));
    if let Some(ttl) = cache.ttl_option() {
        invocation.option("--cache-ttl", ttl);
    }
    if !cache.write {
        invocation.arg("--no-push-cache");
    }
}

/// What is the same with and without a container of its own.
fn common(invocation: &mut Invocation, tool: &Tool, step: &Step) {
    invocation.option("--destination", step.destination());
    invocation.option("--custom-platform", step.platform.to_string());
    invocation.arg("--log-format=text").arg("--push-retry=3").arg("--image-download-retry=3");
    for host in &step.insecure_hosts {
        invocation.option("--insecure-registry", host);
    }
    cache(invocation, tool, step);
    invocation.docker_options(step);
    for (name, value) in &step.annotations {
        invocation.option("--annotation", format!("{name}={value}"));
    }
    if !step.annotations.is_empty() {
        invocation.arg("--image-format=oci");
    }
}
