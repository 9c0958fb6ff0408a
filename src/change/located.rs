//! Where an image's build context and Dockerfile are in a tree.

use super::oid::Oid;
use super::path::RepoPath;
use super::reach::IgnorePlaces;
use super::resolve::Resolved;
use super::tree::Tree;
use crate::config::{BackendName, ContextFrom, ImageConfig, Source};

/// The places of a local image's files, links followed. Nothing here fails: a base commit may have been broken,
/// and still has a key. [`Located::problems`] says what makes a build impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The source root: the image directory or the repository.
    pub root: RepoPath,
    /// The build context.
    pub context: Resolved,
    /// The Dockerfile; none for builders that read none.
    pub dockerfile: Option<Resolved>,
    /// Where its ignore files lie.
    pub ignore_places: IgnorePlaces,
}

impl Located {
    /// Looks for context and Dockerfile of a local image; none for a remote one, whose files are elsewhere.
    /// `read_link` gives what a link holds.
    pub fn find(
        tree: &Tree,
        dir: &RepoPath,
        config: &ImageConfig,
        backend: BackendName,
        read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let Source::Local { from } = &config.source else { return None };
        let root = match from {
            ContextFrom::Directory => dir.clone(),
            ContextFrom::Repository => RepoPath::ROOT,
        };
        let context = tree.resolve(&root, config.context_path.as_bytes(), read_link);
        let dockerfile =
            backend.reads_dockerfile().then(|| tree.resolve(&root, config.dockerfile_path.as_bytes(), read_link));
        let mut located = Self { root, context, dockerfile, ignore_places: IgnorePlaces::default() };
        located.look_for_ignore_files(tree, backend, read_link);
        Some(located)
    }

    /// Looks for the ignore files that a builder reads.
    pub fn look_for_ignore_files(
        &mut self,
        tree: &Tree,
        backend: BackendName,
        read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
    ) {
        self.ignore_places = IgnorePlaces::find(tree, self, backend, read_link);
    }

    /// The build context, where there is one.
    #[must_use]
    pub fn context_dir(&self) -> Option<&RepoPath> {
        match &self.context {
            Resolved::Directory { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The Dockerfile and what it holds, where there is one.
    #[must_use]
    pub fn dockerfile_blob(&self) -> Option<(&RepoPath, Oid)> {
        match &self.dockerfile {
            Some(Resolved::File { path, oid, .. }) => Some((path, *oid)),
            _ => None,
        }
    }

    /// What makes a build impossible: the configuration's field, and a sentence.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let root = &self.root;
        let common = |resolved: &Resolved| match resolved {
            Resolved::Missing => Some(format!("does not exist in `{root}`")),
            Resolved::Escapes => Some(format!("leaves its root `{root}`")),
            Resolved::Loop => Some("is a circle of links".to_owned()),
            Resolved::Submodule { .. } | Resolved::InSubmodule => {
                Some("lies in a submodule, which is not fetched".to_owned())
            }
            Resolved::File { .. } | Resolved::Directory { .. } => None,
        };
        let context = common(&self.context)
            .or_else(|| matches!(self.context, Resolved::File { .. }).then(|| "is a file, not a directory".to_owned()));
        let dockerfile = self.dockerfile.as_ref().and_then(|found| {
            common(found).or_else(|| {
                matches!(found, Resolved::Directory { .. }).then(|| "is a directory, not a file".to_owned())
            })
        });
        let context = context.map(|what| ("context_path", format!("the build context {what}")));
        let dockerfile = dockerfile.map(|what| ("dockerfile_path", format!("the Dockerfile {what}")));
        context.into_iter().chain(dockerfile).collect()
    }

    /// Paths that count beside the build context: the Dockerfile, and every link on the way.
    pub(crate) fn named_paths(&self) -> Vec<&RepoPath> {
        [Some(&self.context), self.dockerfile.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|resolved| match resolved {
                Resolved::File { path, links, .. } => links.iter().chain(Some(path)),
                Resolved::Directory { links, .. } => links.iter().chain(None),
                _ => [].iter().chain(None),
            })
            .collect()
    }
}
