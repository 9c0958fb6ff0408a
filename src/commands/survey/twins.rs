//! What two trees have in common: an image that no change reaches is read, understood and hashed once.
//!
//! An image of one tree is the twin of one of the other when both have the same rules and defaults, everything that
//! it is read from lies in its directory (no link, no context or source elsewhere), and nothing differs in that
//! directory or among what it watches.

use std::ops::Range;
use std::sync::Arc;

use super::{Image, Survey};
use crate::change::{Globs, Keyed, RepoPath, Resolved, TreeChange, touched};
use crate::config::RootConfig;

/// A tree that was surveyed before, by the same rules.
#[derive(Clone, Copy, Debug)]
pub struct Other<'a> {
    /// Its images.
    pub survey: &'a Survey,
    /// What differs between the two trees, sorted by path.
    pub changes: &'a [TreeChange],
}

/// Keys that were made before.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// None.
    Nothing,
    /// Those of the same images, while the commits of upstream repositories were not known.
    Same(&'a [Option<Arc<Keyed>>]),
    /// Those of the other tree's images.
    Other(&'a [Option<Arc<Keyed>>]),
}

impl<'a> Known<'a> {
    pub(super) fn key(&self, survey: &Survey, index: usize) -> Option<&'a Arc<Keyed>> {
        match self {
            Self::Nothing => None,
            Self::Same(keys) => keys.get(index)?.as_ref(),
            Self::Other(keys) => keys.get(survey.twins[index]?)?.as_ref(),
        }
    }
}

/// For each of `dirs`, sorted, where its twins stand: one image, or those of its `targets`.
pub(super) fn find(other: Option<&Other<'_>>, root: &RootConfig, dirs: &[RepoPath]) -> Vec<Option<Range<usize>>> {
    let Some(other) = other.filter(|other| other.survey.root == *root) else { return vec![None; dirs.len()] };
    let images = &other.survey.images;
    let twin = |dir: &RepoPath| {
        let start = images.partition_point(|image| image.path < *dir);
        let count = images[start..].iter().take_while(|image| image.path == *dir).count();
        let range = start..start + count;
        let strays = |at: usize| other.survey.reaches.get(at).is_none_or(|reach| reach.strays);
        // They are read from the same files.
        let first = images.get(start).filter(|_| count > 0 && !range.clone().any(strays))?;
        let is_twin = is_self_contained(first) && !touched(other.changes, dir) && !watches(first, other.changes);
        is_twin.then_some(range)
    };
    dirs.iter().map(twin).collect()
}

/// Whether something that an image watches differs.
fn watches(image: &Image, changes: &[TreeChange]) -> bool {
    let watch = image.config().map_or(&[][..], |config| &config.watch);
    if watch.is_empty() {
        return false;
    }
    let changed = |globs: Globs| changes.iter().any(|change| globs.matching(change.path.as_bytes()).is_some());
    Globs::new(watch).map_or(true, changed)
}

/// Whether everything that an image is read from lies in its directory.
fn is_self_contained(image: &Image) -> bool {
    let inside = |found: &Resolved| match found {
        Resolved::File { path, links, .. } | Resolved::Directory { path, links } => {
            links.is_empty() && image.path.holds(path.as_bytes())
        }
        _ => false,
    };
    // Names that stand in for illegal ones depend on the number of images.
    image.direct
        && image.own_version
        && image.illegal.is_none()
        && image.located.as_ref().is_none_or(|it| {
            inside(&it.context) && it.dockerfile.as_ref().is_none_or(inside) && !it.ignore_places.linked
        })
}

/// Whether references mean the same images by the same indexes.
pub(super) fn same_names(one: &[Arc<Image>], other: &[Arc<Image>]) -> bool {
    let tags = |image: &Image| image.config().map(|config| config.additional_tags.clone()).unwrap_or_default();
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            Arc::ptr_eq(one, other) || one.id() == other.id() && one.name == other.name && tags(one) == tags(other)
        })
}
