//! Builders: one file each, all behind [`Backend`] (specification §8).
//!
//! Pure: a [`Step`] becomes an [`Invocation`] (program, arguments, environment, files to write), and what the
//! builder left behind becomes a digest. Nothing is run here; `process` runs, `commands::build` joins the two.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{BackendName, KoConfig};
use crate::error::Result;
use crate::oci::{Digest, Platform, Tag};

/// One image × platform to build, everything resolved.
#[derive(Clone, Debug)]
pub struct Step {
    /// Platform to build for.
    pub platform: Platform,
    /// `registry/repository`, without tag.
    pub repository: String,
    /// Tag to push.
    pub tag: Tag,
    /// The registry speaks plain HTTP.
    pub insecure: bool,
    /// Absolute path of the build context.
    pub context: PathBuf,
    /// Absolute path of the Dockerfile.
    pub dockerfile: PathBuf,
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
    /// Directory for this step alone (digest files, metadata); exists, is empty, and is deleted afterwards.
    pub work: PathBuf,
    /// Directory with the `config.json` that holds the registry's credentials, if hephy made or found one.
    pub docker_config: Option<PathBuf>,
}

/// A command line, ready to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments, never through a shell.
    pub args: Vec<OsString>,
    /// Environment on top of the job's.
    pub env: BTreeMap<String, String>,
    /// Variables of the job's environment that the builder must not see.
    pub env_remove: Vec<String>,
    /// Directory to run in.
    pub cwd: Option<PathBuf>,
    /// Files to write first: path and content.
    pub files: Vec<(PathBuf, Vec<u8>)>,
}

/// A builder that was found on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// How it is called: for builders that have several ways.
    pub flavour: Flavour,
    /// What it said of its version, if it was asked.
    pub version: Option<String>,
}

/// Ways of calling a builder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// The builder itself.
    #[default]
    Direct,
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
    /// When the step asks for something that this builder cannot do; the sentence names one that can.
    fn invocations(&self, tool: &Tool, step: &Step) -> Result<Vec<Invocation>>;

    /// The digest that the builder reports for what it pushed, read from its files or its output.
    ///
    /// `read` gives the content of a file below `step.work`, `output` is what the last command printed on stdout.
    ///
    /// # Errors
    /// When the report is missing or is no digest.
    fn digest(&self, step: &Step, read: &dyn Fn(&str) -> Option<Vec<u8>>, output: &str) -> Result<Digest>;

    /// How to get this builder, for people who lack it.
    fn install_hint(&self) -> &'static str;
}
