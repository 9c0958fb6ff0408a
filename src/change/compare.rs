//! Two sides, image by image: what is new, changed, unchanged or gone, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::input_key::InputKey;
use super::inputs::SourceInput;
use super::key::Keyed;
use super::note::{FileNote, FileStatus, file_notes, of_empty_directories};
use super::path::{RepoPath, stretch};
use super::tree::{Tree, TreeChange};
use crate::config::BackendName;

/// Which image: its directory, and what tells it from the others where the directory has `targets`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    /// The directory.
    pub dir: RepoPath,
    /// Its name among the targets; none where the directory is one image.
    pub target: Option<String>,
}

impl From<RepoPath> for ImageId {
    fn from(dir: RepoPath) -> Self {
        Self { dir, target: None }
    }
}

/// The images of one tree.
#[derive(Debug)]
pub struct Side<'t> {
    /// The files.
    pub tree: &'t Tree,
    /// Every image of the tree. A directory whose configuration is invalid counts as one.
    pub images: BTreeMap<ImageId, SideImage>,
}

/// One image of a side.
#[derive(Clone, Debug)]
pub enum SideImage {
    /// It has a key.
    Keyed(Arc<Keyed>),
    /// It has the same key on both sides, whatever that is: nobody made it.
    Same,
    /// Its configuration is invalid.
    Invalid,
}

/// What became of one image.
#[derive(Clone, Debug)]
pub struct ImageChange {
    /// The image.
    pub id: ImageId,
    /// What became of it.
    pub state: State,
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// There is nothing to compare with.
    NoBase,
    /// The base has no image there.
    New,
    /// The keys differ, for these reasons, the most telling first; none where only what
    /// is published differs, and no commit here tells why.
    Changed(Vec<Difference>),
    /// The keys are equal.
    Unchanged,
    /// The configuration, or this one of its targets, went away.
    Removed,
    /// The configuration is invalid: a failure where the directory changed, a warning elsewhere.
    Invalid {
        /// Whether anything in the directory differs from the base, or there is no base.
        changed: bool,
    },
}

impl State {
    /// Whether the image is to be built.
    #[must_use]
    pub const fn is_affected(&self) -> bool {
        matches!(self, Self::NoBase | Self::New | Self::Changed(_))
    }
}

/// One reason why two keys differ.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// Files that count; sorted by path, never empty.
    Files(Vec<FileNote>),
    /// A field of the configuration.
    Field {
        /// Its name.
        name: String,
        /// Its value at the base.
        old: Option<Value>,
        /// Its value now.
        new: Option<Value>,
    },
    /// The source is another one: mode, upstream repository, ref or commit.
    Source {
        /// At the base.
        old: SourceInput,
        /// Now.
        new: SourceInput,
    },
    /// The builder.
    Backend {
        /// At the base.
        old: BackendName,
        /// Now.
        new: BackendName,
    },
    /// An image that it is built on has another key, came, or went.
    Dependency {
        /// Its image name.
        name: String,
        /// Its key at the base.
        old: Option<InputKey>,
        /// Its key now; neither where only a list of paths tells of the change.
        new: Option<InputKey>,
    },
    /// The configuration at the base was invalid, so nothing can be said of it.
    InvalidBase,
}

impl Difference {
    /// Whether it is one of the image itself, and none that comes from an image that it is built on: that it is built on
    /// another one now, or no longer, is its own.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        match self {
            Self::Dependency { old, new, .. } => old.is_some() != new.is_some(),
            _ => true,
        }
    }

    /// One short phrase, for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Files(files) => match files.as_slice() {
                [] => "files changed".to_owned(),
                [one] => format!("{} {}", one.path, one.status.word()),
                [one, _] => format!("{} and 1 other file changed", one.path),
                [one, rest @ ..] => format!("{} and {} other files changed", one.path, rest.len()),
            },
            Self::Field { name, .. } => format!("`{name}` changed"),
            Self::Source { .. } => "the source changed".to_owned(),
            Self::Backend { old, new } => format!("the builder changed from {old} to {new}"),
            Self::Dependency { name, old: Some(_), new: Some(_) } | Self::Dependency { name, old: None, new: None } => {
                built_on(name)
            }
            Self::Dependency { name, old: None, .. } => format!("now built on {name}"),
            Self::Dependency { name, .. } => format!("no longer built on {name}"),
            Self::InvalidBase => "its configuration at the base was invalid".to_owned(),
        }
    }
}

/// That an image is built on one that changed, for people.
#[must_use]
pub fn built_on(name: &str) -> String {
    format!("built on {name}")
}

/// What became of every image of both sides, sorted by image. `changes` (sorted by path) lead from
/// the base's tree to the head's.
#[must_use]
pub fn compare(head: &Side<'_>, base: Option<&Side<'_>>, changes: &[TreeChange]) -> Vec<ImageChange> {
    let mut result: Vec<ImageChange> = head
        .images
        .iter()
        .map(|(id, image)| {
            let dir = &id.dir;
            let state = match (image, base) {
                (SideImage::Invalid, base) => State::Invalid { changed: base.is_none() || touched(changes, dir) },
                (SideImage::Same, _) => State::Unchanged,
                (SideImage::Keyed(_), None) => State::NoBase,
                (SideImage::Keyed(now), Some(base)) => match base.image(id) {
                    None => State::New,
                    Some(SideImage::Same) => State::Unchanged,
                    Some(SideImage::Invalid) => State::Changed(vec![Difference::InvalidBase]),
                    Some(SideImage::Keyed(was)) if was.key == now.key => State::Unchanged,
                    Some(SideImage::Keyed(was)) => {
                        State::Changed(differences(dir, (head.tree, now), (base.tree, was), changes))
                    }
                },
            };
            ImageChange { id: id.clone(), state }
        })
        .collect();
    let was = base.iter().flat_map(|base| &base.images);
    // What an invalid configuration was or is about to mean, nobody knows.
    let known = was.filter(|(id, image)| !matches!(image, SideImage::Invalid) || !head.has_dir(&id.dir));
    let gone = known.map(|(id, _)| id).filter(|id| head.image(id).is_none());
    result.extend(gone.map(|id| ImageChange { id: id.clone(), state: State::Removed }));
    result.sort_by(|a, b| a.id.cmp(&b.id));
    result
}

impl Side<'_> {
    /// The image of this identity, or the directory that stands for it because its configuration is invalid.
    fn image(&self, id: &ImageId) -> Option<&SideImage> {
        let whole = || self.images.get(&ImageId::from(id.dir.clone()));
        self.images.get(id).or_else(|| whole().filter(|image| matches!(image, SideImage::Invalid)))
    }

    fn has_dir(&self, dir: &RepoPath) -> bool {
        self.images.range(ImageId::from(dir.clone())..).next().is_some_and(|(id, _)| id.dir == *dir)
    }
}

/// Whether anything in a directory differs.
#[must_use]
pub fn touched(changes: &[TreeChange], dir: &RepoPath) -> bool {
    !stretch(changes, dir, |change, bound| change.path.as_bytes() < bound).is_empty()
}

/// Why two keys differ.
fn differences(
    dir: &RepoPath,
    head: (&Tree, &Keyed),
    base: (&Tree, &Keyed),
    changes: &[TreeChange],
) -> Vec<Difference> {
    let (now, was) = (head.1, base.1);
    let mut found = Vec::new();
    let local = |keyed: &Keyed| matches!(keyed.source, SourceInput::Local { .. });
    if was.source != now.source && !(local(was) && local(now)) {
        found.push(Difference::Source { old: was.source.clone(), new: now.source.clone() });
    } else if was.source != now.source || was.watched != now.watched {
        let notes = file_notes(head, base, changes);
        let mut files: Vec<FileNote> = notes.iter().filter(|it| it.status != FileStatus::LeftOut).cloned().collect();
        if files.is_empty() {
            files = of_empty_directories(&notes);
        }
        // The Dockerfile says most.
        let dockerfile = now.located.as_ref().and_then(|located| located.dockerfile_blob()).map(|(path, _)| path);
        files.sort_by_key(|note| Some(&note.path) != dockerfile);
        if !files.is_empty() {
            found.push(Difference::Files(files));
        }
    }
    let (was_fields, now_fields) = (was.fields(), now.fields());
    let names = was_fields.keys().chain(now_fields.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        let (old, new) = (was_fields.get(name), now_fields.get(name));
        if old != new {
            found.push(Difference::Field { name: (*name).to_owned(), old: old.cloned(), new: new.cloned() });
        }
    }
    if was.backend != now.backend {
        found.push(Difference::Backend { old: was.backend, new: now.backend });
    }
    unname_configuration(dir, &mut found);
    found.extend(dependency_differences(now, was));
    if found.is_empty() {
        // Only which files count changed, or the Dockerfile is another one of the same files.
        found.push(Difference::Source { old: was.source.clone(), new: now.source.clone() });
    }
    found
}

/// Fields say more than the file that they stand in.
fn unname_configuration(dir: &RepoPath, found: &mut Vec<Difference>) {
    let fields = found.iter().any(|it| matches!(it, Difference::Field { .. } | Difference::Backend { .. }));
    if let Some(Difference::Files(files)) = found.first_mut().filter(|_| fields) {
        let file = dir.join(crate::config::IMAGE_FILE);
        files.retain(|note| note.path != file);
    }
    found.retain(|it| !matches!(it, Difference::Files(files) if files.is_empty()));
}

fn dependency_differences(now: &Keyed, was: &Keyed) -> Vec<Difference> {
    fn keys(keyed: &Keyed) -> BTreeMap<&str, &InputKey> {
        keyed.dependencies.iter().map(|dependency| (dependency.name.as_str(), &dependency.key)).collect()
    }
    let (was, now) = (keys(was), keys(now));
    let names: std::collections::BTreeSet<_> = was.keys().chain(now.keys()).copied().collect();
    names
        .into_iter()
        .map(|name| (name, was.get(name).copied().cloned(), now.get(name).copied().cloned()))
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| Difference::Dependency { name: name.to_owned(), old, new })
        .collect()
}
