//! The plan: everything that is decided before anything is built (specification §6).
//!
//! `Plan` is the document that travels from prepare to the other stages, versioned, with snake_case keys. It is
//! made from values alone: this room never reads a clock, a file, the environment or the network, so the same
//! commit, inputs and date give the same bytes. Secrets never enter it.

pub mod args;
pub mod assemble;
mod built_on;
pub mod cache;
pub mod decide;
pub mod draw;
pub mod graph;
pub mod show;
pub mod stale;
pub mod standing;
pub mod tags;
pub mod there;

use std::collections::BTreeMap;

pub use built_on::{DependencyFrom, DependencyVia, PlannedBase, PlannedDependency};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{BackendName, KoConfig, Layout, Secret, SpinConfig};
use crate::error::{Error, Result};
use crate::oci::{Digest, ImageName, Platform, Tag};

/// Version of the document that this hephy writes and reads.
pub const VERSION: u32 = 1;

/// `plan.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this document.
    pub version: u32,
    /// `bld_` and a hash of repository, commit and input keys.
    pub id: String,
    /// Whether the run may publish.
    pub mode: Mode,
    /// What is built from.
    pub source: PlanSource,
    /// The pipeline's date in UTC, `YYYYMMDD`.
    pub date: String,
    /// Where images go: `host[:port]/repository`; none when a check or local run uses a registry of its own.
    pub registry: Option<String>,
    /// Where an image lies below the registry.
    pub layout: Layout,
    /// What the input keys were compared with.
    pub comparison: String,
    /// Whether every step of the builds is executed, whatever a cache has: the run was asked to build anew (`--force`, a
    /// schedule). Results go into the layer cache all the same, where the builder can.
    #[serde(default)]
    pub anew: bool,
    /// Images to build, by wave and then by name.
    pub images: Vec<PlannedImage>,
    /// Images whose published index takes the place of a build, by name.
    #[serde(default)]
    pub reused: Vec<ReusedImage>,
    /// Images that are left alone, by name.
    pub unchanged: Vec<UnchangedImage>,
    /// Image directories of the base whose configuration went away.
    pub removed: Vec<String>,
    /// What a person should know, such as invalid configurations of unchanged directories.
    pub warnings: Vec<String>,
}

/// A run may publish, or it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Pushes images, tags, indexes and records.
    Publish,
    /// Builds everything and pushes nothing outside the job.
    Check,
}

impl Mode {
    /// The word people see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Check => "check",
        }
    }
}

/// The commit that is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanSource {
    /// Address of the repository, without credentials; its directory's name where it has none.
    pub repository: String,
    /// Full commit id; followed by `-dirty` where a developer's working tree differs.
    pub commit: String,
    /// Commit time, RFC 3339 in UTC.
    pub commit_time: String,
    /// Branch or tag name.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Git tag that the run is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether the run publishes from a branch that is known not to be the default one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside_default: bool,
    /// Commit that was compared with.
    pub base: Option<String>,
    /// What started the run: `push`, `merge_request`, `tag`, `schedule`, `manual`, `local`, …
    pub event: String,
}

/// One image to build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedImage {
    /// Image name.
    pub name: ImageName,
    /// Image directory, relative to the repository's root; `.` for the root.
    pub dir: String,
    /// SHA-256 of what can reach the build, 64 hexadecimal digits.
    pub input_key: String,
    /// Images that it is built on instead of those that its input names, by name: the digest of a published one, or the
    /// input key of one of this run that itself lies on others. They are part of the input key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_on: BTreeMap<String, String>,
    /// Why it is built, the most telling first; never empty.
    pub reasons: Vec<Reason>,
    /// Where its files come from.
    pub source: PlannedSource,
    /// The builder.
    pub backend: BackendName,
    /// The builder that was chosen first, and why another one builds it.
    #[serde(default)]
    pub rerouted: Option<Rerouted>,
    /// Dockerfile relative to the source root.
    pub dockerfile: String,
    /// Build context relative to the source root, `.` for the root.
    pub context: String,
    /// Dockerfile stage.
    pub target: Option<String>,
    /// Wanted platforms.
    pub platforms: Vec<Platform>,
    /// Stages of all images of its directory, where the directory has `targets`.
    pub targets: Vec<String>,
    /// Tags of the index in the order in which they are written: date tag, additional tags, `{image}-head`.
    pub tags: Vec<Tag>,
    /// Tag that a build job pushes, by arch.
    pub arch_tags: BTreeMap<String, Tag>,
    /// Version of what is inside: of the upstream ref, the git tag, or the file of `version_from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Build arguments of the configuration.
    pub build_args: Vec<PlannedArg>,
    /// Image labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifest and index.
    pub annotations: BTreeMap<String, String>,
    /// External base images with their digests, as resolved before the build.
    pub bases: Vec<PlannedBase>,
    /// Images of this repository that it is built on.
    pub dependencies: Vec<PlannedDependency>,
    /// Length of the longest path below this image among the images of the plan.
    pub wave: u32,
    /// For backend `ko`.
    pub ko: Option<KoConfig>,
    /// For backend `spin`.
    #[serde(default)]
    pub spin: Option<SpinConfig>,
    /// Where the builder keeps layers between runs; none where it keeps none. Check runs read it only.
    #[serde(default)]
    pub cache: Option<PlannedCache>,
    /// Secrets of the build: their names and places, never their values.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Images built elsewhere, by arch.
    pub manual_images: Option<BTreeMap<String, String>>,
    /// Limit of one build in seconds.
    pub timeout_seconds: Option<u64>,
    /// How often one build is tried again.
    pub retries: Option<u32>,
}

/// Why an image is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The class, for programs.
    pub kind: ReasonKind,
    /// One short phrase, for people.
    pub text: String,
}

/// Classes of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// Named on the command line, or everything was asked for.
    Requested,
    /// Listed in a schedule.
    Scheduled,
    /// The image directory is new.
    New,
    /// Files of the build input differ.
    Files,
    /// Fields of the configuration differ.
    Config,
    /// An image that it is built on is built.
    Dependency,
    /// A base image has moved since it was published.
    Stale,
    /// An image of the plan needs it, and it is not published.
    Unpublished,
    /// There is nothing to compare with.
    NoBase,
    /// The ref of its upstream repository is at another commit than the published image's.
    Upstream,
    /// Its input key differs from the published one, and nothing here says where.
    Input,
}

/// Where a planned image's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlannedSource {
    /// This repository's checkout.
    Local {
        /// Source root relative to the repository's root, `.` for the root.
        root: String,
    },
    /// Another repository.
    Remote {
        /// Its address.
        repository: String,
        /// Branch, tag or commit as written.
        #[serde(rename = "ref")]
        reference: String,
        /// The commit that it meant when prepare looked.
        commit: Option<String>,
        /// Archive below the output directory.
        archive: Option<String>,
        /// Digest of the archive.
        archive_digest: Option<Digest>,
        /// The archive keeps `.git`.
        keep_git: bool,
        /// The archive holds submodules.
        submodules: bool,
    },
}

/// Another builder than the chosen one, which would not build the image as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rerouted {
    /// The builder that was chosen.
    pub from: BackendName,
    /// Why it does not build it, for people.
    pub reason: String,
}

/// The layer cache of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedCache {
    /// `host[:port]/repository`.
    pub repository: String,
    /// Tag of the cache by arch, for builders that keep one in one piece; others name each layer by its key.
    pub tags: BTreeMap<String, Tag>,
    /// How long a cached layer is used, in seconds.
    pub ttl_seconds: Option<u64>,
}

/// A build argument. Dependency variables are known only once the dependency is built, so a value is a list of
/// parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedArg {
    /// Name of the argument.
    pub name: String,
    /// Its value: the parts one after the other.
    pub value: Vec<ArgPart>,
}

/// A part of a build argument's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArgPart {
    /// Taken as it stands.
    Text(String),
    /// The value of `X_TAG` of this dependency.
    TagOf(ImageName),
}

/// An image that is published from the same input already: nothing is built, and tags are put on what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReusedImage {
    /// Image name.
    pub name: ImageName,
    /// Image directory.
    pub dir: String,
    /// SHA-256 of what can reach the build.
    pub input_key: String,
    /// Digest of the published index.
    pub digest: Digest,
    /// Wanted platforms, all of which it has.
    pub platforms: Vec<Platform>,
    /// The version of what is inside, where the run knows one.
    pub version: Option<String>,
    /// Tags that this run puts on it; those that do not point there yet, and may.
    pub tags: Vec<Tag>,
    /// Why nothing is built, for people.
    pub reason: String,
}

/// An image that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnchangedImage {
    /// Image name.
    pub name: ImageName,
    /// Image directory.
    pub dir: String,
}

impl Plan {
    /// Reads `plan.json`.
    ///
    /// # Errors
    /// When it is no plan, or one of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |error| {
            Error::config("plan.json is not a plan").cause(error).hint("it is written by hephy prepare; run that again")
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(Error::config(format!("plan.json has version {version}, this hephy reads version {VERSION}"))
                .hint("use the same version of hephy in all jobs of a pipeline"));
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// `plan.json`: indented, ending in a newline.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Maps with text keys and plain values cannot fail to be written.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The image of this name.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<&PlannedImage> {
        self.images.iter().find(|image| image.name.as_str() == name)
    }

    /// The reused image of this name.
    #[must_use]
    pub fn reused(&self, name: &str) -> Option<&ReusedImage> {
        self.reused.iter().find(|image| image.name.as_str() == name)
    }

    /// Whether nothing is to be published: neither an image nor a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.reused.is_empty()
    }

    /// Whether any image wants this platform.
    #[must_use]
    pub fn needs(&self, platform: &Platform) -> bool {
        self.images.iter().any(|image| image.platforms.contains(platform))
    }

    /// `registry/repository` of an image, without tag, for a registry such as `host:5000/acme`.
    #[must_use]
    pub fn repository_of(&self, registry: &str, image: &ImageName) -> String {
        self.layout.repository_of(registry, image)
    }
}
