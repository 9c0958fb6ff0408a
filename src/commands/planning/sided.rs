//! Both sides of the range: what each image is made of now and at the base, and what became of it.

use super::listed::ListedPaths;
use crate::change::{ImageChange, Keys, Tree, TreeChange, compare};
use crate::commands::survey::{ImageKeys, Known, Rules, Survey, UpstreamCommits};
use crate::error::Result;

/// The keys of both sides, without the commits of upstream repositories, and what became of each image. Images that
/// nothing reached have no key where nobody asked for all of them.
pub(super) struct Sided<'t> {
    /// Makes keys now.
    pub(super) keys: Keys<'t>,
    /// Keys now.
    pub(super) compared: ImageKeys,
    /// Keys at the base; empty without one.
    pub(super) before: ImageKeys,
    /// What became of each image, sorted.
    pub(super) changes: Vec<ImageChange>,
}

impl<'t> Sided<'t> {
    /// Compares the images of the head with the base: by all their keys, or where these were not made by those of the
    /// images that something reached. `listed` are the paths that changed, where there is no base to compare with.
    ///
    /// # Errors
    /// When a pattern of `ignore` or `watch` is no glob.
    pub(super) fn new(
        (now, keys, all): (&Survey, Keys<'t>, Option<ImageKeys>),
        was: Option<(&Survey, &Tree)>,
        changes: &[TreeChange],
        rules: &Rules<'_>,
        listed: Option<ListedPaths>,
    ) -> Result<Self> {
        let untouched = was.filter(|_| all.is_none()).map(|(was, _)| was.untouched(now)).unwrap_or_default();
        let there = |index: usize| untouched.get(index).is_some_and(Option::is_some);
        let mut here = vec![false; now.images.len()];
        untouched.iter().flatten().for_each(|index| here[*index] = true);
        let nothing = UpstreamCommits::new();
        let compared = match all {
            Some(all) => all,
            None => now.keys(&keys, rules, &nothing, &Known::Nothing, |index| !here[index])?,
        };
        let before = match was {
            Some((was, tree)) => {
                let keys = Keys::of_base(tree, &keys, changes);
                was.keys(&keys, rules, &nothing, &Known::Other(&compared), |index| !there(index))?
            }
            None => Vec::new(),
        };
        let base = was.map(|(was, tree)| was.side(tree, &before, there));
        let changes = match listed {
            Some(listed) => listed.changes(now, &compared, keys.tree()),
            None => compare(&now.side(keys.tree(), &compared, |index| here[index]), base.as_ref(), changes),
        };
        Ok(Self { keys, compared, before, changes })
    }
}
