//! Builders: one file each, all behind [`Backend`] (specification §8).
//!
//! Pure: a [`Step`] becomes [`Invocation`]s (program, arguments, environment, files to write), and what the
//! builder left behind becomes a digest. Nothing is run here; `process` runs, `commands::build` joins the two.
//!
//! Every value of a step travels as part of an argument (`--option=value`) or behind `--`, so one that begins
//! with `-` is never taken for an option. What a builder of some version cannot do is a row of a table beside
//! the builder, and asking for it is an error that names one that can.

mod buildah;
mod buildkit;
mod cache;
mod docker;
mod failure;
mod instruction;
mod kaniko;
mod ko;
mod manual;
mod offer;
pub mod preflight;
mod quote;
mod secret;
mod spin;
mod version;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{BackendName, KoConfig, SpinConfig};
use crate::dockerfile::Feature;
use crate::error::{Error, Result};
use crate::oci::{Digest, Platform, Tag};

pub use cache::StepCache;
pub use failure::{Failure, classify};
pub use instruction::{Instruction, Said, instructions, locate};
pub use manual::manual_reference;
pub use offer::{declared_arches, declared_backends};
pub use secret::{StepSecret, Value};
pub use version::Version;

/// One image × platform to build, everything resolved.
#[derive(Clone, Debug)]
pub struct Step {
    /// Platform to build for.
    pub platform: Platform,
    /// `registry/repository`, without tag.
    pub repository: String,
    /// Tag to push.
    pub tag: Tag,
    /// Hosts (`host[:port]`) that speak plain HTTP.
    pub insecure_hosts: Vec<String>,
    /// Absolute path of the build context.
    pub context: PathBuf,
    /// Absolute path of the Dockerfile.
    pub dockerfile: PathBuf,
    /// `<Dockerfile>.dockerignore` where there is one: beside the Dockerfile most builders find it by its name.
    pub ignore_file: Option<PathBuf>,
    /// Dockerfile stage.
    pub target: Option<String>,
    /// Build arguments in order, names unique.
    pub build_args: Vec<(String, String)>,
    /// Image labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// For backend `ko`.
    pub ko: Option<KoConfig>,
    /// For backend `spin`.
    pub spin: Option<SpinConfig>,
    /// Where layers are kept between runs.
    pub cache: Option<StepCache>,
    /// Every step is executed: nothing is taken from a cache, neither this one nor what the builder has kept itself.
    pub anew: bool,
    /// Secrets of the build.
    pub secrets: Vec<StepSecret>,
    /// Directory for this step alone (digest files, metadata); exists, is empty, and is deleted afterwards.
    pub work: PathBuf,
    /// Directories that must outlive a builder which clears the file system it runs in: checkout, output directory.
    pub protected: Vec<PathBuf>,
    /// Directory of a `config.json` that hephy made; without one the builder finds Docker's own by itself.
    pub docker_config: Option<PathBuf>,
}

impl Step {
    /// `registry/repository:tag`.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// `host[:port]` of the registry.
    #[must_use]
    pub fn host(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// Whether the registry that is pushed to speaks plain HTTP.
    #[must_use]
    pub fn insecure(&self) -> bool {
        self.is_insecure(self.host())
    }

    fn is_insecure(&self, host: &str) -> bool {
        self.insecure_hosts.iter().any(|known| known == host)
    }
}

/// A command line, ready to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments, never through a shell.
    pub args: Vec<OsString>,
    /// Environment on top of the job's.
    pub env: BTreeMap<String, OsString>,
    /// Variables for a job's environment that lacks them.
    pub env_default: BTreeMap<String, OsString>,
    /// Variables of the job's environment that the builder must not see.
    pub env_remove: Vec<String>,
    /// Directory to run in.
    pub cwd: Option<PathBuf>,
    /// Files to write first: path and content. Missing directories are made.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Arguments for the same program that end what outlives its client, such as a container; only after a kill.
    pub stop: Option<Vec<OsString>>,
}

impl Invocation {
    fn new(tool: &Tool) -> Self {
        Self { program: tool.program.clone(), ..Self::default() }
    }

    /// Adds an argument as it stands: option names, subcommands and values behind `--`.
    fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    /// Adds `name=value` as one argument.
    fn option(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        let mut arg = OsString::from(name);
        arg.push("=");
        arg.push(value.into());
        self.arg(arg)
    }

    /// Adds what Docker's command line and those modelled on it have in common.
    fn docker_options(&mut self, step: &Step) -> &mut Self {
        if let Some(target) = &step.target {
            self.option("--target", target);
        }
        let args = step.build_args.iter().map(|(name, value)| ("--build-arg", name, value));
        let labels = step.labels.iter().map(|(name, value)| ("--label", name, value));
        for (option, name, value) in args.chain(labels) {
            self.option(option, format!("{name}={value}"));
        }
        self
    }

    fn env(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Points the builder at the Docker configuration of the step. `DOCKER_AUTH_CONFIG` would shadow the file.
    fn docker_config(&mut self, step: &Step) -> &mut Self {
        if let Some(dir) = &step.docker_config {
            self.env("DOCKER_CONFIG", dir.as_os_str());
            self.env_remove.push("DOCKER_AUTH_CONFIG".into());
        }
        self
    }
}

/// A builder that was found on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// How it is called: for builders that have several ways.
    pub flavour: Flavour,
    /// What it said of its version, if it was asked and could be understood.
    pub version: Option<Version>,
    /// Text of the machine's `registries.conf`, which hephy's additions are appended to (Buildah).
    pub registries_conf: String,
}

/// Ways of calling a builder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// The builder itself.
    #[default]
    Direct,
    /// Kaniko's executor where it does not recognise its surroundings as a container, though they are private:
    /// it is told to go on.
    Forced,
    /// Kaniko's executor image through `docker run`.
    DockerRun {
        /// The image that holds the executor.
        image: String,
    },
    /// BuildKit through `docker buildx build`.
    Buildx,
}

/// A builder.
pub trait Backend: Sync {
    /// Its name in configuration files.
    fn name(&self) -> BackendName;

    /// The commands of one step, in order: most builders need one, Buildah and Docker build and then push.
    ///
    /// # Errors
    /// When the step asks for something that this builder cannot do; the hint names one that can.
    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>>;

    /// The digest that the builder reports for what it pushed, read from its files or its output.
    ///
    /// `read` gives the content of a file below `step.work`, `output` is the end of what the last command printed
    /// on stdout.
    ///
    /// # Errors
    /// When the report is missing or is no digest.
    fn digest(&self, step: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, output: &str) -> Result<Digest>;

    /// Whether this builder can write annotations into the manifest that it pushes, beyond doubt: hephy's own are left
    /// out where it cannot.
    fn annotates(&self, tool: &Tool) -> bool {
        let _ = tool;
        true
    }

    /// Whether a line of the builder's output says that it uses the layer cache, or tries to: a failure that follows may
    /// be the cache's.
    fn uses_cache(&self, line: &str) -> bool {
        let _ = line;
        false
    }

    /// Whether the builder takes a cached layer though what this construct brought has changed.
    fn cache_misses(&self, feature: Feature) -> bool {
        let _ = feature;
        false
    }

    /// What a line of the builder's output says of the instruction that is being executed.
    fn said(&self, line: &str) -> Option<Said> {
        let _ = line;
        None
    }

    /// Whether a build that was killed may leave files which the next one in this job would take in.
    fn soiled_by_kill(&self, tool: &Tool) -> bool {
        let _ = tool;
        false
    }

    /// Whether several builds by this builder, and by others, may run on one machine at the same time. Builders with a
    /// daemon see to it themselves, Buildah locks its storage, ko only compiles.
    fn shares_machine(&self, tool: &Tool) -> bool {
        let _ = tool;
        true
    }

    /// How to get this builder, for people who lack it.
    fn install_hint(&self) -> &'static str;
}

/// The builder of this name.
#[must_use]
pub fn backend(name: BackendName) -> &'static dyn Backend {
    match name {
        BackendName::Kaniko => &kaniko::Kaniko,
        BackendName::Buildkit => &buildkit::Buildkit,
        BackendName::Buildah => &buildah::Buildah,
        BackendName::Docker => &docker::Docker,
        BackendName::Ko => &ko::Ko,
        BackendName::Spin => &spin::Spin,
    }
}

/// Reads a digest from text that holds nothing else.
fn parse_report(backend: BackendName, text: &str) -> Result<Digest> {
    Digest::parse(text.trim()).map_err(|invalid| no_report(backend).cause(invalid))
}

/// The builder ended well and did not say what it pushed.
fn no_report(backend: BackendName) -> Error {
    Error::new(crate::ErrorKind::BuildError, format!("{backend} did not report the digest of what it pushed"))
        .hint("the end of its log may say why; a newer version may report it")
}

/// Refuses annotations where the builder has no way to write them.
fn refuse_annotations(backend: BackendName, step: &Step) -> Result<()> {
    if step.annotations.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!("{backend} cannot write annotations into a manifest"))
        .hint("build it with kaniko, buildkit or buildah, or use `labels`"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A step with a hostile value wherever a repository can put one.
    pub(crate) fn step() -> Step {
        Step {
            platform: Platform::parse("linux/arm/v7").unwrap(),
            repository: "127.0.0.1:5000/acme".into(),
            tag: Tag::parse("app-20251015-armv7").unwrap(),
            insecure_hosts: vec!["127.0.0.1:5000".into(), "mirror:80".into()],
            context: "/src/-a, b".into(),
            dockerfile: "/src/-a, b/-Dockerfile".into(),
            ignore_file: Some("/src/-a, b/-Dockerfile.dockerignore".into()),
            target: Some("--target".into()),
            build_args: vec![("A".into(), "--b c=d,e\"f".into()), ("EMPTY".into(), String::new())],
            labels: BTreeMap::from([("-l".into(), "--x=y, \"z\"".into())]),
            annotations: BTreeMap::from([("a.b".into(), "c,\"d\"".into())]),
            ko: None,
            spin: None,
            cache: None,
            anew: false,
            secrets: Vec::new(),
            work: "/out/work/1".into(),
            protected: vec!["/src".into(), "/out".into()],
            docker_config: Some("/out/docker".into()),
        }
    }

    pub(crate) fn tool(program: &str) -> Tool {
        Tool { program: program.into(), flavour: Flavour::Direct, version: None, registries_conf: String::new() }
    }

    pub(crate) fn args(invocation: &Invocation) -> Vec<&str> {
        invocation.args.iter().map(|arg| arg.to_str().unwrap()).collect()
    }

    #[test]
    fn no_value_of_a_step_is_ever_an_argument_that_begins_with_a_dash_of_its_own() {
        let mut step = step();
        step.ko = Some(KoConfig { import_path: "--exec".into(), ..KoConfig::default() });
        for name in BackendName::ALL {
            let backend = backend(name);
            let mut step = step.clone();
            if name == BackendName::Docker {
                step.annotations.clear();
            }
            if name == BackendName::Spin {
                step.platform = Platform::parse("wasi/wasm").unwrap();
            }
            for invocation in backend.invocations(&tool("/bin/x"), &step).unwrap() {
                let args = args(&invocation);
                let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
                for arg in &args[..end] {
                    assert!(!["--target", "--b c=d,e\"f", "-l=--x=y, \"z\"", "--exec"].contains(arg), "{name}: {arg}");
                }
            }
        }
    }

    #[test]
    fn every_builder_is_there_and_says_how_to_get_it() {
        for name in BackendName::ALL {
            let backend = backend(name);
            assert_eq!((backend.name(), backend.install_hint().is_empty()), (name, false));
        }
    }
}
