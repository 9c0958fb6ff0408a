//! Buildah: builds into its own storage, then pushes.
//!
//! Which hosts speak plain HTTP is written into a `registries.conf` of the step, so that every other registry
//! keeps its TLS; `--tls-verify=false` stands only on the push, which talks to one registry.
//!
//! Buildah's layer cache does not tell architectures apart (measured with 1.28: what was built from `scratch` for amd64
//! is taken for arm64, configuration and all), neither in a registry nor in its own storage. So each architecture has a
//! repository of its own, and a build with a cache has a storage of its own, gone with the step.

use std::ffi::OsString;

use super::{Backend, Invocation, Said, Step, StepCache, Tool, Version, no_report, parse_report, secret};
use crate::config::BackendName;
use crate::error::Result;
use crate::oci::Digest;

const DIGEST_FILE: &str = "digest";
/// First version with `--cache-from`, `--cache-to` and `--cache-ttl` (containers/buildah, changelog of 1.27).
const CACHES: Version = Version(1, 27, 0);
/// First version with `--secret` from a variable (containers/buildah, changelog of 1.24).
const SECRETS: Version = Version(1, 24, 0);

pub(super) struct Buildah;

impl Backend for Buildah {
    fn name(&self) -> BackendName {
        BackendName::Buildah
    }

    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>> {
        if tool.version.is_some_and(|version| version < SECRETS) {
            let version = tool.version.map(|version| version.to_string()).unwrap_or_default();
            secret::refuse(self.name(), &version, step)?;
        }
        Ok(vec![build(tool, step), push(tool, step)])
    }

    fn digest(&self, _: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, _: &str) -> Result<Digest> {
        let report = read(DIGEST_FILE).ok_or_else(|| no_report(self.name()))?;
        parse_report(self.name(), &String::from_utf8_lossy(&report))
    }

    fn uses_cache(&self, line: &str) -> bool {
        ["--> Using cache", "--> Pushing cache", "--> Cache pulled"].iter().any(|text| line.contains(text))
    }

    /// `STEP 3/5: RUN make`, with `[1/2] ` in front when there are several stages; after `COMMIT` none is executed.
    fn said(&self, line: &str) -> Option<Said> {
        let rest = match line.strip_prefix('[') {
            Some(rest) => rest.split_once("] ")?.1,
            None => line,
        };
        if rest == "COMMIT" || rest.starts_with("COMMIT ") {
            return Some(Said::Nothing);
        }
        Said::instruction(rest.strip_prefix("STEP ")?.split_once(": ")?.1)
    }

    fn install_hint(&self) -> &'static str {
        "apt-get install buildah"
    }
}

fn build(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    storage(&mut invocation, tool, step);
    invocation.arg("build").option("--file", &step.dockerfile);
    invocation.option("--platform", step.platform.to_string()).option("--tag", step.destination());
    if let Some(path) = &step.ignore_file {
        // Older versions know no ignore file but the context's own.
        invocation.option("--ignorefile", path);
    }
    // What the registry has, never a namesake that an earlier build left in the local storage.
    invocation.arg("--pull=always");
    invocation.docker_options(step);
    invocation.secrets(step, |_, path| path.to_owned());
    cache(&mut invocation, tool, step);
    for (name, value) in &step.annotations {
        invocation.option("--annotation", format!("{name}={value}"));
    }
    invocation.arg("--").arg(&step.context);
    surroundings(&mut invocation, tool, step);
    // Works in an unprivileged job and needs no runtime; a machine that wants another isolation says so.
    invocation.env_default.insert("BUILDAH_ISOLATION".into(), "chroot".into());
    invocation
}

/// Versions that take a stale layer when only the body of a here-document has changed.
const STALE: [(u32, u32); 2] = [(1, 33), (1, 34)];

fn has_cache(version: Version) -> bool {
    version >= CACHES && !STALE.contains(&(version.0, version.1))
}

/// The cache, where this version has one. An unknown option would end every build, so a version that nobody knows is
/// not asked.
fn used<'a>(tool: &Tool, step: &'a Step) -> Option<&'a StepCache> {
    step.cache.as_ref().filter(|_| tool.version.is_some_and(has_cache))
}

/// A storage of the step's own beside a cache: options of `buildah` itself.
fn storage(invocation: &mut Invocation, tool: &Tool, step: &Step) {
    if used(tool, step).is_some() {
        invocation.option("--root", step.work.join("storage")).option("--runroot", step.work.join("storage-run"));
    }
}

/// Options for the cache.
fn cache(invocation: &mut Invocation, tool: &Tool, step: &Step) {
    if step.anew {
        // With BUILDAH_LAYERS=true its own storage is a cache as well.
        invocation.arg("--no-cache");
    }
    let Some(cache) = used(tool, step) else { return };
    let repository = cache.of_architecture(&step.platform);
    invocation.arg("--layers");
    if !step.anew {
        invocation.option("--cache-from", &repository);
    }
    if cache.write {
        invocation.option("--cache-to", &repository);
    }
    if let Some(ttl) = cache.ttl_option() {
        invocation.option("--cache-ttl", ttl);
    }
}

fn push(tool: &Tool, step: &Step) -> Invocation {
    let mut invocation = Invocation::new(tool);
    storage(&mut invocation, tool, step);
    invocation.arg("push").option("--digestfile", step.work.join(DIGEST_FILE));
    if step.insecure() {
        invocation.arg("--tls-verify=false");
    }
    invocation.arg("--").arg(step.destination()).arg(format!("docker://{}", step.destination()));
    surroundings(&mut invocation, tool, step);
    invocation
}

fn surroundings(invocation: &mut Invocation, tool: &Tool, step: &Step) {
    if let Some(dir) = &step.docker_config {
        invocation.env("REGISTRY_AUTH_FILE", dir.join("config.json"));
    }
    if !step.insecure_hosts.is_empty() {
        let path = step.work.join("registries.conf");
        invocation.env("CONTAINERS_REGISTRIES_CONF", OsString::from(&path));
        let mut text = tool.registries_conf.clone();
        for host in &step.insecure_hosts {
            // A TOML string: hosts are `host[:port]`, and Rust's quoting of such text is TOML's.
            text.push_str(&format!("\n[[registry]]\nlocation = {host:?}\ninsecure = true\n"));
        }
        invocation.files.push((path, text.into_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_take_stale_layers_have_no_cache() {
        let has: Vec<bool> = [26, 27, 32, 33, 34, 35].map(|minor| has_cache(Version(1, minor, 1))).into();
        assert_eq!(has, [false, true, true, false, false, true]);
    }
    use crate::backend::tests::{args, step, tool};

    #[test]
    fn build_and_push_get_exactly_this() {
        let mut tool = tool("/usr/bin/buildah");
        tool.registries_conf = "short-name-mode = \"enforcing\"".into();
        let invocations = Buildah.invocations(&tool, &step()).unwrap();
        assert_eq!(
            args(&invocations[0]),
            [
                "build",
                "--file=/src/-a, b/-Dockerfile",
                "--platform=linux/arm/v7",
                "--tag=127.0.0.1:5000/acme:app-20251015-armv7",
                "--ignorefile=/src/-a, b/-Dockerfile.dockerignore",
                "--pull=always",
                "--target=--target",
                "--build-arg=A=--b c=d,e\"f",
                "--build-arg=EMPTY=",
                "--label=-l=--x=y, \"z\"",
                "--annotation=a.b=c,\"d\"",
                "--",
                "/src/-a, b",
            ]
        );
        assert_eq!(
            args(&invocations[1]),
            [
                "push",
                "--digestfile=/out/work/1/digest",
                "--tls-verify=false",
                "--",
                "127.0.0.1:5000/acme:app-20251015-armv7",
                "docker://127.0.0.1:5000/acme:app-20251015-armv7",
            ]
        );
        assert_eq!(invocations[0].env_default["BUILDAH_ISOLATION"], "chroot");
        for invocation in &invocations {
            assert_eq!(invocation.env["REGISTRY_AUTH_FILE"], "/out/docker/config.json");
            assert_eq!(invocation.env["CONTAINERS_REGISTRIES_CONF"], "/out/work/1/registries.conf");
            assert_eq!(
                String::from_utf8_lossy(&invocation.files[0].1),
                "short-name-mode = \"enforcing\"\n[[registry]]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n\
                 \n[[registry]]\nlocation = \"mirror:80\"\ninsecure = true\n"
            );
        }
    }

    #[test]
    fn a_registry_with_tls_keeps_its_verification() {
        let mut step = step();
        step.insecure_hosts.clear();
        for invocation in Buildah.invocations(&tool("/usr/bin/buildah"), &step).unwrap() {
            assert!(!args(&invocation).contains(&"--tls-verify=false"));
            assert!(!invocation.env.contains_key("CONTAINERS_REGISTRIES_CONF") && invocation.files.is_empty());
        }
    }

    #[test]
    fn instructions_are_recognised_in_the_log() {
        assert_eq!(Buildah.said("STEP 3/5: RUN make"), Said::instruction("RUN make"));
        assert_eq!(Buildah.said("[1/2] STEP 2/3: COPY a b"), Said::instruction("COPY a b"));
        assert_eq!(Buildah.said("COMMIT x"), Some(Said::Nothing));
        assert_eq!(Buildah.said("Storing signatures"), None);
    }
}
