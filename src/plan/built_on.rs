//! What an image of the plan is built on: external bases, and images of this repository.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oci::{Digest, ImageName, Platform, Tag};

/// An external base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedBase {
    /// The reference as the Dockerfile names it, arguments expanded.
    pub reference: String,
    /// Line of the Dockerfile.
    pub line: usize,
    /// Digest of the image for each platform: a wanted one, or that of `FROM --platform=`.
    pub digests: BTreeMap<Platform, Digest>,
    /// Whether the image itself lies on it; other bases only lend files.
    #[serde(default)]
    pub underlying: bool,
}

/// An image of this repository that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedDependency {
    /// Its name.
    pub name: ImageName,
    /// How the Dockerfile refers to it.
    pub via: DependencyVia,
    /// Where it comes from.
    pub from: DependencyFrom,
    /// The image's platforms that are built on it; an order and nothing else where there are none.
    pub platforms: Vec<Platform>,
}

impl PlannedDependency {
    /// Whether the image is built on it for this platform.
    #[must_use]
    pub fn is_for(&self, platform: &Platform) -> bool {
        self.platforms.contains(platform)
    }
}

/// How an image refers to one that it is built on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyVia {
    /// `ARG X_TAG`, used in a reference.
    Variable {
        /// The argument's name.
        name: String,
        /// Line of the Dockerfile that uses it.
        line: usize,
    },
    /// A reference that names the image outright.
    Reference {
        /// The reference as written.
        text: String,
        /// Line of the Dockerfile.
        line: usize,
    },
    /// `depends_on` of the configuration.
    DependsOn,
}

/// Where an image that another one is built on comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DependencyFrom {
    /// It is built in this run.
    Plan,
    /// It was published before.
    Published {
        /// The tag that prepare resolved.
        tag: Tag,
        /// What the tag pointed at.
        digest: Digest,
    },
    /// Nobody has looked: `hephy plan` without a registry.
    Unresolved,
}
