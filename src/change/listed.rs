//! What became of images when no tree of the base can be had, but a list of the paths that changed since.
//!
//! An image counts as changed when such a path may reach its build: rather one build too many than one too few. What
//! was in a build context before and is not now is judged by the rules of now, so whatever makes those rules counts
//! for itself: configurations, and the files that say what builders leave out.

use super::compare::{Difference, ImageChange, ImageId, State};
use super::key::Keyed;
use super::note::{FileNote, FileStatus, may_reach};
use super::path::RepoPath;
use super::tree::Tree;
use crate::config::{IMAGE_FILE, ROOT_FILE};

/// An image as far as a list of paths concerns it.
#[derive(Clone, Copy, Debug)]
pub struct ListedImage<'a> {
    /// Which one it is.
    pub id: &'a ImageId,
    /// Its name.
    pub name: &'a str,
    /// What it is built from; none for an invalid configuration.
    pub keyed: Option<&'a Keyed>,
    /// Whether its configuration or `hephy.yaml` is a link, or its ignore file one to nowhere: what it leads to is
    /// anywhere.
    pub linked: bool,
    /// Whether it refers to something in the own registry that no image here is known to write. An image that went away
    /// or that gave up a tag may have been that.
    pub leans: bool,
    /// Other files that it is built from.
    pub others: [&'a [RepoPath]; 2],
    /// Images that it is built on, by index.
    pub built_on: &'a [usize],
}

/// What became of each image, sorted, the ones whose configuration is listed and is not there any more
/// included. `order` is that in which images are built.
#[must_use]
pub fn by_paths(images: &[ListedImage<'_>], order: &[usize], tree: &Tree, paths: &[RepoPath]) -> Vec<ImageChange> {
    let mut states: Vec<State> = images
        .iter()
        .map(|image| match image.keyed {
            None => State::Invalid { changed: paths.iter().any(|path| image.id.dir.holds(path.as_bytes())) },
            Some(keyed) => {
                let notes = notes(image, keyed, tree, paths);
                if notes.is_empty() { State::Unchanged } else { State::Changed(vec![Difference::Files(notes)]) }
            }
        })
        .collect();
    for index in order {
        let below: Vec<&str> =
            images[*index].built_on.iter().filter(|to| states[**to].is_affected()).map(|to| images[*to].name).collect();
        let more = below.into_iter().map(|name| Difference::Dependency { name: name.to_owned(), old: None, new: None });
        let more: Vec<Difference> = more.collect();
        match &mut states[*index] {
            State::Changed(differences) => differences.extend(more),
            state @ State::Unchanged if !more.is_empty() => *state = State::Changed(more),
            _ => {}
        }
    }
    let ids = images.iter().map(|image| image.id.clone());
    let mut changes: Vec<ImageChange> = ids.zip(states).map(|(id, state)| ImageChange { id, state }).collect();
    let gone = paths.iter().filter(|path| tree.get(path.as_bytes()).is_none()).filter_map(directory_of_image);
    changes.extend(gone.map(|dir| ImageChange { id: dir.into(), state: State::Removed }));
    changes.sort_by(|a, b| a.id.cmp(&b.id));
    changes.dedup_by(|a, b| a.id == b.id);
    changes
}

/// The image directory whose configuration this path is.
fn directory_of_image(path: &RepoPath) -> Option<RepoPath> {
    let rest = path.as_bytes().strip_suffix(IMAGE_FILE.as_bytes())?;
    if rest.is_empty() {
        return Some(RepoPath::ROOT);
    }
    Some(RepoPath::new(rest.strip_suffix(b"/")?))
}

fn notes(image: &ListedImage<'_>, keyed: &Keyed, tree: &Tree, paths: &[RepoPath]) -> Vec<FileNote> {
    let config = image.id.dir.join(IMAGE_FILE);
    let reaches = |path: &RepoPath| {
        image.linked
            || *path == config
            || path.as_bytes() == ROOT_FILE.as_bytes()
            || image.others.iter().any(|others| others.contains(path))
            || image.leans && directory_of_image(path).is_some()
            || says_what_is_left_out(path, keyed)
            || may_reach(path.as_bytes(), keyed, tree)
    };
    let mut notes: Vec<FileNote> = paths
        .iter()
        .filter(|path| reaches(path))
        .map(|path| {
            let now = tree.get(path.as_bytes());
            FileNote {
                status: if now.is_some() { FileStatus::Modified } else { FileStatus::Deleted },
                path: path.clone(),
                old: None,
                new: now.map(|entry| entry.oid),
                why: None,
                rule: None,
                file: None,
                line: None,
                list: None,
            }
        })
        .collect();
    let dockerfile = keyed.located.as_ref().and_then(|located| located.dockerfile_blob()).map(|(path, _)| path.clone());
    notes.sort_by(|a, b| {
        let key = |note: &FileNote| (Some(&note.path) != dockerfile.as_ref(), note.path.clone());
        key(a).cmp(&key(b))
    });
    notes.dedup_by(|a, b| a.path == b.path);
    notes
}

/// `.dockerignore`, `.containerignore` and `<Dockerfile>.dockerignore` change which other files a build sees.
fn says_what_is_left_out(path: &RepoPath, keyed: &Keyed) -> bool {
    let bytes = path.as_bytes();
    let named = bytes.ends_with(b".dockerignore") || bytes.ends_with(b".containerignore");
    let Some(located) = keyed.located.as_ref().filter(|_| named) else { return false };
    let inside = located.context_dir().is_some_and(|context| context.holds(bytes));
    let beside = located.dockerfile_blob().is_some_and(|(dockerfile, _)| bytes.starts_with(dockerfile.as_bytes()));
    inside || beside
}
