//! Earlier states of the repository, in which a published image's key is found again: what differs between there and
//! here is why it is built.
//!
//! The base of the range is such a state for nothing; further ones are the commits that published indexes name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::upstreams::Upstreams;
use crate::change::{ImageChange, ImageId, InputKey, Keyed, Keys, State, Tree, TreeChange, compare};
use crate::commands::survey::{Known, Other, Rules, Survey, UpstreamCommits, survey};
use crate::config::Source;
use crate::error::Result;
use crate::git::{Objects, Repository};
use crate::plan::decide::changed_itself;

/// The commits that are read beside the base: each costs a comparison of two trees.
pub(super) const MAX_COMMITS: usize = 4;

/// An earlier state.
pub struct Past {
    /// Its commit.
    pub commit: String,
    /// Its files; none for the base of the range, which is kept elsewhere.
    pub files: Option<Seen>,
    /// Keys with the upstream commits of today.
    pub keys: BTreeMap<ImageId, Arc<Keyed>>,
    /// What became of each image since then, sorted.
    pub states: Vec<ImageChange>,
}

/// What an earlier commit holds.
pub struct Seen {
    /// Its files.
    pub tree: Tree,
    /// What leads from there to here, sorted by path.
    pub changes: Vec<TreeChange>,
    /// Its images.
    pub survey: Survey,
}

impl Past {
    /// The key that an image had.
    pub(super) fn key(&self, id: &ImageId) -> Option<&InputKey> {
        self.keys.get(id).map(|keyed| &keyed.key)
    }

    /// What became of an image.
    pub(super) fn state(&self, id: &ImageId) -> Option<&State> {
        self.states.binary_search_by(|change| change.id.cmp(id)).ok().map(|at| &self.states[at].state)
    }

    /// Whether one of the images at these indexes changed by itself since then.
    pub(super) fn any_changed(&self, survey: &Survey, indexes: &[usize]) -> bool {
        let state = |index: &usize| self.state(&survey.images[*index].id());
        indexes.iter().any(|index| state(index).is_some_and(changed_itself))
    }
}

/// The tree of now, as far as earlier ones are compared with it.
pub(super) struct Now<'a> {
    pub(super) survey: &'a Survey,
    pub(super) tree: &'a Tree,
    pub(super) keys: &'a Keys<'a>,
    pub(super) rules: &'a Rules<'a>,
    /// Keys without the commits of upstream repositories.
    pub(super) compared: &'a [Option<Arc<Keyed>>],
    /// Keys with them.
    pub(super) keyed: &'a [Option<Arc<Keyed>>],
    pub(super) upstreams: &'a Upstreams,
}

impl Now<'_> {
    /// The keys of an earlier survey with the upstream commits of today: what moved elsewhere since then is no
    /// difference between the two.
    pub(super) fn keys_of(
        &self,
        was: &Survey,
        (tree, changes): (&Tree, &[TreeChange]),
        compared: &[Option<Arc<Keyed>>],
    ) -> Result<BTreeMap<ImageId, Arc<Keyed>>> {
        if self.upstreams.commits.is_empty() {
            return Ok(super::by_id(was, compared));
        }
        let keys = Keys::of_base(tree, self.keys, changes);
        let commits = self.commits_of(was);
        Ok(super::by_id(was, &was.keys(&keys, self.rules, &commits, &Known::Other(self.keyed), |_| true)?))
    }

    fn commits_of(&self, was: &Survey) -> UpstreamCommits {
        let mut commits = UpstreamCommits::new();
        let positions: BTreeMap<ImageId, usize> =
            was.images.iter().enumerate().map(|(at, image)| (image.id(), at)).collect();
        for (index, commit) in &self.upstreams.commits {
            let image = &self.survey.images[*index];
            let Some(at) = positions.get(&image.id()).copied() else { continue };
            let source = |config: &crate::config::ImageConfig| match &config.source {
                Source::Remote { repository, reference } => Some((repository.clone(), reference.clone())),
                Source::Local { .. } => None,
            };
            let (now, then) = (image.config(), was.images[at].config());
            if now.and_then(|it| source(it)) == then.and_then(|it| source(it)) {
                commits.insert(at, commit.clone());
            }
        }
        commits
    }

    /// The state at a commit; none when this clone does not have it, or `hephy.yaml` and the graph there say nothing.
    ///
    /// # Errors
    /// When git fails.
    pub(super) fn at(
        &self,
        repository: &Repository,
        objects: &mut Objects<'_>,
        head: crate::change::Oid,
        commit: &str,
    ) -> Result<Option<Past>> {
        let Some((tree, changes)) = repository.earlier(objects, (self.tree, head), commit) else { return Ok(None) };
        let other = Other { survey: self.survey, changes: &changes };
        let was = survey(&tree, objects, self.rules, Some(&other))?;
        let earlier = Keys::of_base(&tree, self.keys, &changes);
        let nothing = UpstreamCommits::new();
        let compared = was.keys(&earlier, self.rules, &nothing, &Known::Other(self.compared), |_| true)?;
        let (now, then) =
            (self.survey.side(self.tree, self.compared, |_| false), was.side(&tree, &compared, |_| false));
        let states = compare(&now, Some(&then), &changes);
        let keys = self.keys_of(&was, (&tree, &changes), &compared)?;
        Ok(Some(Past { commit: commit.to_owned(), files: Some(Seen { tree, changes, survey: was }), keys, states }))
    }
}
