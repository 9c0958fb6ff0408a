//! Two sides, image by image: what is new, changed, unchanged or gone, and why.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::key::{InputKey, Keyed, SourceInput, why_left_out};
use super::oid::{Mode, Oid};
use super::path::{RepoPath, stretch};
use super::tree::{Tree, TreeChange};
use crate::config::BackendName;

/// The images of one tree by directory.
#[derive(Debug)]
pub struct Side<'t> {
    /// The files.
    pub tree: &'t Tree,
    /// Every image directory of the tree.
    pub images: BTreeMap<RepoPath, SideImage>,
}

/// One image directory of a side.
#[derive(Clone, Debug)]
pub enum SideImage {
    /// It has a key.
    Keyed(Rc<Keyed>),
    /// Its configuration is invalid.
    Invalid,
}

/// What became of one image directory.
#[derive(Clone, Debug)]
pub struct ImageChange {
    /// The directory.
    pub dir: RepoPath,
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
    /// The keys differ, for these reasons, the most telling first; never empty.
    Changed(Vec<Difference>),
    /// The keys are equal.
    Unchanged,
    /// The configuration went away.
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
                format!("built on {name}")
            }
            Self::Dependency { name, old: None, .. } => format!("now built on {name}"),
            Self::Dependency { name, .. } => format!("no longer built on {name}"),
            Self::InvalidBase => "its configuration at the base was invalid".to_owned(),
        }
    }
}

/// What happened to one file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileNote {
    /// Added, modified, deleted, or without effect.
    pub status: FileStatus,
    /// Path relative to the repository's root.
    pub path: RepoPath,
    /// What it held.
    pub old: Option<Oid>,
    /// What it holds.
    pub new: Option<Oid>,
    /// Why it has no effect, or only this one: the mode changed.
    pub why: Option<String>,
}

/// The letter in front of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// `A`: it counts now, and did not.
    Added,
    /// `M`: it is another one.
    Modified,
    /// `D`: it counted, and does not now.
    Deleted,
    /// `=`: it differs, and does not count.
    LeftOut,
}

impl FileStatus {
    /// The letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
            Self::LeftOut => '=',
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "changed",
            Self::Deleted => "deleted",
            Self::LeftOut => "does not count",
        }
    }
}

/// What became of every image directory of both sides, sorted by directory. `changes` (sorted by path) lead from
/// the base's tree to the head's.
#[must_use]
pub fn compare(head: &Side<'_>, base: Option<&Side<'_>>, changes: &[TreeChange]) -> Vec<ImageChange> {
    let mut result: Vec<ImageChange> = head
        .images
        .iter()
        .map(|(dir, image)| {
            let state = match (image, base) {
                (SideImage::Invalid, base) => State::Invalid { changed: base.is_none() || touched(changes, dir) },
                (SideImage::Keyed(_), None) => State::NoBase,
                (SideImage::Keyed(now), Some(base)) => match base.images.get(dir) {
                    None => State::New,
                    Some(SideImage::Invalid) => State::Changed(vec![Difference::InvalidBase]),
                    Some(SideImage::Keyed(was)) if was.key == now.key => State::Unchanged,
                    Some(SideImage::Keyed(was)) => {
                        State::Changed(differences(dir, (head.tree, now), (base.tree, was), changes))
                    }
                },
            };
            ImageChange { dir: dir.clone(), state }
        })
        .collect();
    let gone = base.iter().flat_map(|base| base.images.keys()).filter(|dir| !head.images.contains_key(*dir));
    result.extend(gone.map(|dir| ImageChange { dir: dir.clone(), state: State::Removed }));
    result.sort_by(|a, b| a.dir.cmp(&b.dir));
    result
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
    match (&was.source, &now.source) {
        (old, new) if old == new => {}
        (SourceInput::Local { .. }, SourceInput::Local { .. }) => {
            let mut files = file_notes(head, base, changes);
            files.retain(|note| note.status != FileStatus::LeftOut);
            // The Dockerfile says most.
            let dockerfile = now.located.as_ref().and_then(|located| located.dockerfile_blob()).map(|(path, _)| path);
            files.sort_by_key(|note| Some(&note.path) != dockerfile);
            if !files.is_empty() {
                found.push(Difference::Files(files));
            }
        }
        (old, new) => found.push(Difference::Source { old: old.clone(), new: new.clone() }),
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

/// Every file in reach of an image that differs between two trees, those without effect included: what
/// `--explain` shows, for an image that is built and for one that is not. Sorted by path.
#[must_use]
pub fn file_notes(head: (&Tree, &Keyed), base: (&Tree, &Keyed), changes: &[TreeChange]) -> Vec<FileNote> {
    let same_rules = head.1.located.as_ref().map(|located| &located.context)
        == base.1.located.as_ref().map(|located| &located.context)
        && head.1.config.ignore == base.1.config.ignore;
    let mut notes: Vec<FileNote> = if same_rules {
        candidates(head.1, base.1, changes).filter_map(|change| note(change, head.1, base.1)).collect()
    } else {
        // Another context or other rules: files may come and go without having changed.
        let all = |(tree, keyed): (&Tree, &Keyed)| -> BTreeMap<RepoPath, (Mode, Oid)> {
            let context = keyed.located.as_ref().and_then(|located| located.context_dir().cloned());
            let inside = context.iter().flat_map(|context| tree.under(context));
            let named = keyed.located.iter().flat_map(|located| located.named_paths());
            let named = named.filter_map(|path| tree.get(path.as_bytes()));
            inside.chain(named).map(|entry| (RepoPath::new(entry.path), (entry.mode, entry.oid))).collect()
        };
        let (old, new) = (all(base), all(head));
        let paths: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let change = |path: &&RepoPath| TreeChange {
            path: (*path).clone(),
            old: old.get(*path).copied(),
            new: new.get(*path).copied(),
        };
        paths.iter().filter_map(|path| note(&change(path), head.1, base.1)).collect()
    };
    notes.sort_by(|a, b| a.path.cmp(&b.path));
    notes.dedup();
    notes
}

fn candidates<'c>(head: &Keyed, base: &Keyed, changes: &'c [TreeChange]) -> impl Iterator<Item = &'c TreeChange> {
    let context = head.located.as_ref().and_then(|located| located.context_dir());
    let inside =
        context.map_or(0..0, |context| stretch(changes, context, |change, bound| change.path.as_bytes() < bound));
    let named: Vec<usize> = [head, base]
        .iter()
        .flat_map(|keyed| keyed.located.iter())
        .flat_map(|located| located.named_paths())
        .filter_map(|path| changes.binary_search_by(|change| change.path.cmp(path)).ok())
        .filter(|at| !inside.contains(at))
        .collect();
    inside.chain(named).filter_map(|at| changes.get(at))
}

/// What one path means to an image; none when it means nothing on either side.
fn note(change: &TreeChange, head: &Keyed, base: &Keyed) -> Option<FileNote> {
    let path = change.path.as_bytes();
    let (now, was) = (reach(path, head), reach(path, base));
    let counts = |reach: &Reach, side: Option<(Mode, Oid)>| side.filter(|_| *reach == Reach::Counts);
    let (old, new) = (counts(&was, change.old), counts(&now, change.new));
    let status = match (old, new) {
        (None, Some(_)) => FileStatus::Added,
        (Some(_), None) => FileStatus::Deleted,
        (Some(old), Some(new)) if old != new => FileStatus::Modified,
        (Some(_), Some(_)) => return None,
        (None, None) if change.old == change.new => return None,
        (None, None) => FileStatus::LeftOut,
    };
    let why = match (status, now, was) {
        (FileStatus::LeftOut, Reach::LeftOut(why), _) | (FileStatus::LeftOut, _, Reach::LeftOut(why)) => Some(why),
        (FileStatus::LeftOut, ..) => return None,
        (FileStatus::Deleted, Reach::LeftOut(why), _) if change.new.is_some() => Some(format!("now {why}")),
        (FileStatus::Modified, ..) if old.map(|side| side.1) == new.map(|side| side.1) => {
            Some("only the mode changed".to_owned())
        }
        _ => None,
    };
    Some(FileNote {
        status,
        path: change.path.clone(),
        old: change.old.map(|(_, oid)| oid),
        new: change.new.map(|(_, oid)| oid),
        why,
    })
}

#[derive(PartialEq, Eq)]
pub(super) enum Reach {
    Counts,
    LeftOut(String),
    Elsewhere,
}

/// Whether a path counts for an image.
pub(super) fn reach(path: &[u8], keyed: &Keyed) -> Reach {
    let Some(located) = &keyed.located else { return Reach::Elsewhere };
    if located.named_paths().iter().any(|named| named.as_bytes() == path) {
        return Reach::Counts;
    }
    if !located.context_dir().is_some_and(|context| context.holds(path)) {
        return Reach::Elsewhere;
    }
    why_left_out(path, &keyed.ignore).map_or(Reach::Counts, Reach::LeftOut)
}
