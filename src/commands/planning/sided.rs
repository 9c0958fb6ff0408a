//! Both sides of the range: what each image is made of now and at the base, and what became of it.

use std::sync::Arc;

use super::listed::ListedPaths;
use crate::change::{ImageChange, Keyed, Keys, Tree, TreeChange, compare};
use crate::commands::survey::{Known, Rules, Survey, UpstreamCommits};
use crate::error::Result;

/// The keys of both sides, without the commits of upstream repositories, and what became of each image.
pub(super) struct Sided<'t> {
    /// Makes keys now.
    pub(super) keys: Keys<'t>,
    /// Keys now.
    pub(super) compared: Vec<Option<Arc<Keyed>>>,
    /// Keys at the base; empty without one.
    pub(super) before: Vec<Option<Arc<Keyed>>>,
    /// What became of each image, sorted.
    pub(super) changes: Vec<ImageChange>,
}

impl<'t> Sided<'t> {
    /// Compares the images of the head and their keys with the base; `listed` are the paths that changed, where there is
    /// no base to compare with.
    ///
    /// # Errors
    /// When a pattern of `ignore` or `watch` is no glob.
    pub(super) fn new(
        (now, keys, compared): (&Survey, Keys<'t>, Vec<Option<Arc<Keyed>>>),
        was: Option<(&Survey, &Tree)>,
        changes: &[TreeChange],
        rules: &Rules<'_>,
        listed: Option<ListedPaths>,
    ) -> Result<Self> {
        let before = match was {
            Some((was, tree)) => {
                let keys = Keys::of_base(tree, &keys, changes);
                was.keys(&keys, rules, &UpstreamCommits::new(), &Known::Other(&compared))?
            }
            None => Vec::new(),
        };
        let base = was.map(|(was, tree)| was.side(tree, &before));
        let changes = match listed {
            Some(listed) => listed.changes(now, &compared, keys.tree()),
            None => compare(&now.side(keys.tree(), &compared), base.as_ref(), changes),
        };
        Ok(Self { keys, compared, before, changes })
    }
}
