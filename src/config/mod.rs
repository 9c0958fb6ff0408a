//! `build-config.yaml` and `hephy.yaml`: from text to validated values (specification §3).
//!
//! Pure: bytes in, values and findings out. A value that exists obeys every rule of §3; whatever depends on other
//! files (does the Dockerfile exist, is a tag too long once its prefix is added, does `depends_on` name an image)
//! is decided by `plan`, which finds the place of a field through [`Spans`].

mod builder_fields;
mod cache;
mod check;
mod document;
mod field;
mod fields;
mod file;
mod findings;
mod image;
mod key;
mod node;
mod reference;
mod root;
mod rules;
mod schema;
mod secrets;
mod shape;
mod spin;
mod syntax;
mod targets;
pub mod template;
mod transports;
mod version;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Span};
use crate::lint::Level;
use crate::oci::{ImageName, Platform};

pub use cache::{Cache, CacheDefaults};
pub use check::{CheckReport, CheckedFile};
pub(crate) use findings::mask_credentials;
pub use image::parse_image;
pub use reference::reference_markdown;
pub use root::parse_root;
pub use schema::{image_schema, root_schema};
pub use secrets::{AllowedSecrets, Secret, SecretSource};
pub(crate) use secrets::{may_name_a_secret, names_a_secret};
pub use spin::SpinConfig;
pub use targets::Target;
pub use transports::Transports;
pub use version::VersionFrom;

/// File name that makes a directory an image directory.
pub const IMAGE_FILE: &str = "build-config.yaml";
/// File name of the repository's defaults, at its root.
pub const ROOT_FILE: &str = "hephy.yaml";
/// Largest file that is read, in bytes. Real files have a few hundred.
pub const MAX_BYTES: usize = 256 * 1024;

/// What came out of one file: the value unless there were errors, and all findings sorted by place.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// The value; none when at least one finding is an error.
    pub value: Option<T>,
    /// Errors and warnings.
    pub findings: Vec<Diagnostic>,
    /// Where each field stands.
    pub spans: Spans,
}

impl<T> Parsed<T> {
    /// The same findings with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Parsed<U> {
        Parsed { value: self.value.map(change), findings: self.findings, spans: self.spans }
    }
}

/// Places of fields by path: `platforms`, `platforms[1]`, `ko_config.import_path`. Keys are spans of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(pub BTreeMap<String, Span>);

impl Spans {
    /// The place of a field, or the start of the file for one that was left out.
    #[must_use]
    pub fn of(&self, path: &str) -> Span {
        self.0.get(path).copied().unwrap_or(Span::START)
    }
}

/// One `build-config.yaml` with the defaults of `hephy.yaml` and of §3 applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageConfig {
    /// Where the source comes from.
    pub source: Source,
    /// Dockerfile, relative to the source root.
    pub dockerfile_path: String,
    /// Build context, relative to the source root; `.` is the root itself.
    pub context_path: String,
    /// Dockerfile stage; none is the last one.
    pub target: Option<String>,
    /// Several images from one source, each with the rest of this configuration ([`ImageConfig::of_target`]); with
    /// none the file is one image.
    pub targets: Vec<Target>,
    /// Build arguments in the order of the file.
    pub build_args: Vec<BuildArg>,
    /// Wanted platforms in the order of the file, each once.
    pub platforms: Vec<Platform>,
    /// Extra tags as written, `${VAR}` not yet expanded, each once.
    pub additional_tags: Vec<String>,
    /// The builder that the file (or `hephy.yaml`) asks for.
    pub build_backend: Option<BackendName>,
    /// For backend `ko`.
    pub ko_config: Option<KoConfig>,
    /// For backend `spin`.
    pub spin_config: Option<SpinConfig>,
    /// Images built elsewhere, by arch (`amd64`, `armv7`); present exactly when `manual_build` is true.
    pub manual_images: Option<BTreeMap<String, String>>,
    /// Explicit dependencies: image directories.
    pub depends_on: Vec<String>,
    /// Further paths that trigger this image: globs relative to the repository's root.
    pub watch: Vec<String>,
    /// Paths that do not: the repository's list and then this file's.
    pub ignore: Vec<String>,
    /// Overrides the base tag.
    pub tag_template: Option<String>,
    /// The file that says which version this is.
    pub version_from: Option<VersionFrom>,
    /// Image labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifest and index.
    pub annotations: BTreeMap<String, String>,
    /// Layer cache in the registry; none where it is off.
    pub cache: Option<Cache>,
    /// Build secrets: names, never values.
    pub secrets: Vec<Secret>,
    /// How bad what rules of `hephy check` find is: the repository's levels, and this file's over them.
    pub lint: BTreeMap<&'static str, Level>,
    /// The archive of a remote source keeps `.git`.
    pub keep_git: bool,
    /// The archive of a remote source holds its submodules.
    pub submodules: bool,
    /// Limit of one build.
    #[serde(rename = "timeout_seconds", serialize_with = "in_seconds")]
    pub timeout: Option<Duration>,
    /// How often one build is tried again.
    pub retries: Option<u32>,
}

fn in_seconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(serializer)
}

/// Where an image's source comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Source {
    /// This repository.
    Local {
        /// What the source root is.
        from: ContextFrom,
    },
    /// Another repository at a branch, tag or commit.
    Remote {
        /// Its URL as written.
        repository: String,
        /// Branch, tag or full commit id; an id is in lower case.
        #[serde(rename = "ref")]
        reference: String,
    },
}

/// The source root of a local image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContextFrom {
    /// The image directory.
    #[default]
    Directory,
    /// The whole repository.
    Repository,
}

/// `KEY=VALUE`; `${VAR}` in the value is not yet expanded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BuildArg {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// A single line of up to 64 KiB.
    pub value: String,
}

/// The builders of §8.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// Kaniko's executor.
    Kaniko,
    /// BuildKit through `buildctl` or `docker buildx`.
    Buildkit,
    /// Buildah.
    Buildah,
    /// Docker with an engine.
    Docker,
    /// ko, for Go programs.
    Ko,
    /// Spin, for WebAssembly applications.
    Spin,
}

impl BackendName {
    /// Every builder, in the order of the specification's table.
    pub const ALL: [Self; 6] = [Self::Kaniko, Self::Buildkit, Self::Buildah, Self::Docker, Self::Ko, Self::Spin];

    /// The word in configuration files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kaniko => "kaniko",
            Self::Buildkit => "buildkit",
            Self::Buildah => "buildah",
            Self::Docker => "docker",
            Self::Ko => "ko",
            Self::Spin => "spin",
        }
    }

    /// The builder that a word of a configuration file means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.word() == word)
    }

    /// Whether the builder reads a Dockerfile.
    #[must_use]
    pub const fn reads_dockerfile(self) -> bool {
        !matches!(self, Self::Ko | Self::Spin)
    }

    /// Whether the builder expands variables in `COPY --from` and `RUN --mount=from`: BuildKit and Docker refuse them,
    /// and Kaniko takes them as they stand.
    #[must_use]
    pub const fn expands_sources(self) -> bool {
        matches!(self, Self::Buildah)
    }
}

impl std::fmt::Display for BackendName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// `ko_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KoConfig {
    /// Go import path or `./directory` of the main package; `.` by default.
    pub import_path: String,
    /// Base image; ko's own default otherwise.
    pub base_image: Option<String>,
    /// Environment of the Go build, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Flags of `go build`.
    pub flags: Vec<String>,
    /// Linker flags.
    pub ldflags: Vec<String>,
    /// Directory to build in, relative to the source root.
    pub working_dir: Option<String>,
}

impl KoConfig {
    /// Without `ko_config`: the main package in the source root.
    #[must_use]
    pub fn here() -> Self {
        Self { import_path: ".".to_owned(), ..Self::default() }
    }
}

/// `hephy.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RootConfig {
    /// `registry`: where images go; `none` skips credential handling.
    pub registry: Option<String>,
    /// `layout`.
    pub layout: Option<Layout>,
    /// `platforms`: default of the images' own.
    pub platforms: Option<Vec<Platform>>,
    /// `backend`: default of the images' own. `--backend` and `HEPHY_BACKEND` come between the two: whoever knows
    /// them puts them here before the images are parsed.
    pub backend: Option<BackendName>,
    /// `cache`: default of the images' own. `HEPHY_CACHE` comes between the two, as with `backend`.
    pub cache: CacheDefaults,
    /// `secrets_env` and `secrets_files`: what `secrets` of images may name.
    #[serde(flatten)]
    pub secrets: AllowedSecrets,
    /// `ignore`: paths that trigger no image.
    pub ignore: Vec<String>,
    /// `dependents`: how far a change travels.
    pub dependents: Option<Dependents>,
    /// `build_args_env`: environment variables that `${VAR}` in `build_args` may name.
    pub build_args_env: Vec<String>,
    /// `lint`: how bad what rules of `hephy check` find is.
    pub lint: BTreeMap<&'static str, Level>,
    /// `preflight`: what happens when a builder cannot build a Dockerfile as written.
    pub preflight: Preflight,
    /// `syntax_frontends`: what a `# syntax=` line may name besides `docker/dockerfile`.
    pub syntax_frontends: Vec<String>,
    /// Transports that `upstream_repo` may use. Not part of the file; whoever knows the environment puts them here
    /// before the images are parsed.
    #[serde(skip)]
    pub transports: Transports,
}

/// What prepare does when a builder cannot build a Dockerfile as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preflight {
    /// Stops with the line, the reason, and a builder that can.
    #[default]
    Stop,
    /// Takes a builder that can.
    Reroute,
}

/// Where an image lies below the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Every image in one repository, the image name as tag prefix.
    #[default]
    Single,
    /// `<registry>/<image>:<tag>`.
    PerImage,
}

impl Layout {
    /// `host[:port]/repository` of an image below a registry.
    #[must_use]
    pub fn repository_of(self, registry: &str, image: &ImageName) -> String {
        match self {
            Self::Single => registry.to_owned(),
            Self::PerImage => format!("{registry}/{}", image.as_str().to_lowercase()),
        }
    }

    /// A tag of an image, with the prefix that the layout asks for.
    #[must_use]
    pub fn tag_of(self, image: &ImageName, tag: &str) -> String {
        match self {
            Self::Single => format!("{image}-{tag}"),
            Self::PerImage => tag.to_owned(),
        }
    }
}

/// How far a change travels along the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dependents {
    /// Only the changed images.
    None,
    /// And those directly built on them.
    Direct,
    /// And everything above.
    #[default]
    All,
}
