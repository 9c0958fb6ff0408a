//! What the key of one image is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input_key::InputKey;
use super::located::Located;
use super::reach::Reach;
use crate::config::{BackendName, ImageConfig};

/// What one image is built from.
#[derive(Clone, Copy, Debug)]
pub struct ImageInputs<'a> {
    /// Its configuration, defaults applied.
    pub config: &'a Arc<ImageConfig>,
    /// The builder that was chosen.
    pub backend: BackendName,
    /// Places of a local source; none in remote mode.
    pub located: Option<&'a Located>,
    /// What of a local source reaches the build.
    pub reach: &'a Arc<Reach>,
    /// The commit that a remote source's ref means, where it is known. To compare two commits of this repository,
    /// give both sides the same one while repository and ref are the same: what moves upstream is no change here.
    pub upstream_commit: Option<&'a str>,
    /// Hashes of the values of `build_args_env` that it is built with, by variable.
    pub settings: &'a BTreeMap<String, String>,
}

/// An image that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Its image name.
    pub name: String,
    /// Its key.
    pub key: InputKey,
}

/// The source as it enters the key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum SourceInput {
    /// Files of this repository.
    Local {
        /// Hash over their paths, modes and ids.
        files: String,
    },
    /// A commit of another repository.
    Commit {
        /// Its full id.
        commit: String,
    },
    /// Another repository whose commit is not known (yet).
    Reference {
        /// Address as written.
        repository: String,
        /// Ref as written.
        reference: String,
    },
}
