//! The graph of images (specification §7): which image is built on which other one, and because of which line.
//!
//! An edge comes from `ARG X_TAG` used as the tag of an image in the repository's own registry, from a reference
//! that names such an image outright, or from `depends_on`. A reference that pins a date, a version or a digest
//! is none: it means that very image, whatever this repository holds now.

mod findings;
mod names;
mod order;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Spans;
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::Dockerfile;
use crate::oci::{ImageName, Platform};
use crate::plan::DependencyVia;

pub use findings::cycle_finding;
pub use names::Names;
pub use order::{order, waves};

/// Build arguments that carry the registry.
pub const REGISTRY_VARIABLES: [&str; 2] = ["ECR_REGISTRY", "HEPHY_REGISTRY"];

/// One image as the graph sees it.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a ImageName,
    /// Its directory.
    pub dir: &'a str,
    /// Its configuration file, for findings.
    pub config_file: &'a str,
    /// Places of the configuration's fields.
    pub spans: &'a Spans,
    /// `depends_on`.
    pub depends_on: &'a [String],
    /// `additional_tags` as written: they name the image outright.
    pub additional_tags: &'a [String],
    /// Path (for findings) and content of its Dockerfile, where it has one that can be read.
    pub dockerfile: Option<(&'a str, &'a Dockerfile)>,
    /// Dockerfile stage.
    pub target: Option<&'a str>,
    /// Build arguments as written; values with `${` are known when it is built.
    pub build_args: BTreeMap<String, String>,
    /// Whether its builder expands variables in `COPY --from` and `RUN --mount=from`.
    pub expands_sources: bool,
    /// Wanted platforms: a reference may depend on them.
    pub platforms: &'a [Platform],
}

/// An image that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node that is built on.
    pub to: usize,
    /// How it is referred to.
    pub via: DependencyVia,
    /// The bytes of the reference in the Dockerfile, for an outright one.
    pub place: Option<(String, Span)>,
    /// The platforms of the image that is built on the other one for which it is. None at all where `depends_on` names
    /// an image that has no platform in common: that is an order of the images all the same.
    pub platforms: Vec<Platform>,
}

/// Says for people that a reference counts for some platforms of its image only; nothing where it counts for all.
#[must_use]
pub fn only_for(via: &DependencyVia, platforms: &[Platform], all: &[Platform]) -> String {
    if *via == DependencyVia::DependsOn || all.iter().all(|platform| platforms.contains(platform)) {
        return String::new();
    }
    let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    format!(", {} only", names.join(" and "))
}

/// A base image from outside the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalBase {
    /// The reference, arguments expanded.
    pub reference: String,
    /// `FROM --platform=`, as written.
    pub platform: Option<String>,
    /// Line of the Dockerfile.
    pub line: usize,
    /// Line of the first `FROM` that names it; none where only files of it are taken.
    pub from_line: Option<usize>,
    /// The wanted platforms that use it.
    pub wanted_for: Vec<Platform>,
    /// Whether the image itself lies on it; other bases only lend files.
    pub underlying: bool,
}

impl ExternalBase {
    /// The platform of the base itself in a build for `wanted`. A job builds for its own machine, so the platform of
    /// the builder is the wanted one.
    #[must_use]
    pub fn platform_for(&self, wanted: &Platform) -> Platform {
        let fixed = self.platform.as_deref().and_then(|text| Platform::parse(text).ok());
        fixed.unwrap_or_else(|| wanted.clone())
    }
}

/// What one image refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Images of this repository, each once a way of referring.
    pub edges: Vec<Edge>,
    /// Images from outside.
    pub bases: Vec<ExternalBase>,
    /// Whether it refers to something in the own registry that no image here is known to write.
    pub leans: bool,
    /// References that cannot be resolved.
    pub problems: Vec<Diagnostic>,
    /// Stages of the Dockerfile that are built, for any wanted platform.
    pub stages: BTreeSet<usize>,
}

#[cfg(test)]
mod tests;
