//! The files of one commit (or of a working tree), sorted by path, without an allocation per path.

use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::oid::{Mode, Oid};
use super::path::{RepoPath, show_bytes, stretch};
use crate::config::IMAGE_FILE;
use crate::error::{Error, Result};

/// One file of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path relative to the repository's root.
    pub path: &'a [u8],
    /// What it is.
    pub mode: Mode,
    /// What it holds.
    pub oid: Oid,
}

/// Place of an entry in the buffer that a [`Tree`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Where the path starts.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is.
    pub mode: Mode,
    /// What it holds.
    pub oid: Oid,
}

/// A [`Tree`] that is made file by file. What can be done with each is done at once, so that little is left to do when a
/// slow listing ends.
#[derive(Debug, Default)]
pub struct GrowingTree {
    /// Nothing but paths: so they lie close together.
    paths: Vec<u8>,
    slots: Vec<Slot>,
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
    is_unsorted: bool,
}

impl GrowingTree {
    /// Adds a file; files come in any order.
    ///
    /// # Errors
    /// When the path is one that no checkout can have (`..`, `.git`, empty parts): such trees are made by hand to mislead.
    pub fn push(&mut self, path: &[u8], mode: Mode, oid: Oid) -> Result<()> {
        check_path(path)?;
        let start = u32::try_from(self.paths.len()).map_err(|_| too_large())?;
        let length = u32::try_from(path.len()).map_err(|_| too_large())?;
        // git's own order differs only where a submodule stands beside `name.ext`.
        self.is_unsorted |= self.slots.last().is_some_and(|last| last.text(&self.paths) >= path);
        self.paths.extend_from_slice(path);
        self.slots.push(Slot { start, length, mode, oid });
        self.place(self.slots.len() - 1)
    }

    fn place(&mut self, at: usize) -> Result<()> {
        let hash = |at: u32| self.hasher.hash_one(self.slots[at as usize].text(&self.paths));
        let at = u32::try_from(at).map_err(|_| too_large())?;
        self.places.insert_unique(hash(at), at, |at| hash(*at));
        Ok(())
    }

    /// Number of files so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no file yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The files in the order in which they came, without the first ones.
    pub fn entries_from(&self, first: usize) -> impl Iterator<Item = Entry<'_>> {
        let slots = self.slots.get(first..).unwrap_or_default().iter();
        slots.map(|slot| Entry { path: slot.text(&self.paths), mode: slot.mode, oid: slot.oid })
    }

    /// All of them as a tree.
    ///
    /// # Errors
    /// When a path came twice.
    pub fn finish(mut self) -> Result<Tree> {
        if self.is_unsorted {
            let path = |slot: &Slot| slot.text(&self.paths);
            self.slots.sort_by(|a, b| path(a).cmp(path(b)));
            if let Some([slot, ..]) = self.slots.windows(2).find(|pair| matches!(pair, [a, b] if path(a) == path(b))) {
                return Err(malformed(path(slot), "comes twice"));
            }
            self.places.clear();
            (0..self.slots.len()).try_for_each(|at| self.place(at))?;
        }
        self.paths.shrink_to_fit();
        let Self { paths, slots, places, hasher, .. } = self;
        Ok(Tree { shared: Arc::new(paths), own: Vec::new(), slots, places, hasher })
    }
}

/// A path that differs between two trees, with both sides; none where a side lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// Path relative to the repository's root.
    pub path: RepoPath,
    /// Before.
    pub old: Option<(Mode, Oid)>,
    /// After.
    pub new: Option<(Mode, Oid)>,
}

/// All files, in the order of their paths' bytes, each once. Two trees may share the text of their paths.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    shared: Arc<Vec<u8>>,
    own: Vec<u8>,
    slots: Vec<Slot>,
    /// Where each path stands among the slots. Empty for a tree that was led back to: few of its paths are asked for.
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    length: u32,
    mode: Mode,
    oid: Oid,
}

impl Slot {
    /// Its path, in the buffer of all.
    fn text<'a>(&self, paths: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        paths.get(start..start + self.length as usize).unwrap_or_default()
    }
}

impl Tree {
    /// A tree of records that point into `buffer`, in any order.
    ///
    /// # Errors
    /// Those of [`GrowingTree::push`] and [`GrowingTree::finish`].
    pub fn new(buffer: &[u8], records: impl IntoIterator<Item = Record>) -> Result<Self> {
        let mut tree = GrowingTree::default();
        for Record { start, end, mode, oid } in records {
            tree.push(buffer.get(start..end).unwrap_or_default(), mode, oid)?;
        }
        tree.finish()
    }

    /// Number of files.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn path_of(&self, slot: &Slot) -> &[u8] {
        text_of(&self.shared, &self.own, slot)
    }

    fn entry(&self, slot: &Slot) -> Entry<'_> {
        Entry { path: self.path_of(slot), mode: slot.mode, oid: slot.oid }
    }

    /// All files.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.slots.iter().map(|slot| self.entry(slot))
    }

    /// The file of this path.
    #[must_use]
    pub fn get(&self, path: &[u8]) -> Option<Entry<'_>> {
        if self.places.is_empty() {
            let at = self.slots.binary_search_by(|slot| self.path_of(slot).cmp(path)).ok()?;
            return self.slots.get(at).map(|slot| self.entry(slot));
        }
        let is_it = |at: &u32| self.path_of(&self.slots[*at as usize]) == path;
        let at = self.places.find(self.hasher.hash_one(path), is_it)?;
        self.slots.get(*at as usize).map(|slot| self.entry(slot))
    }

    /// The files in a directory, however deep. Finding them costs a search, not a walk.
    pub fn under<'a>(&'a self, directory: &RepoPath) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let range: Range<usize> = stretch(&self.slots, directory, |slot, bound| self.path_of(slot) < bound);
        self.slots.get(range).unwrap_or_default().iter().map(|slot| self.entry(slot))
    }

    /// Whether there is at least one file in this directory.
    #[must_use]
    pub fn has_directory(&self, directory: &RepoPath) -> bool {
        self.under(directory).next().is_some()
    }

    /// Every directory that holds a `build-config.yaml`, sorted. `.hephy/` is hephy's own and has none.
    #[must_use]
    pub fn image_dirs(&self) -> Vec<RepoPath> {
        let name = IMAGE_FILE.as_bytes();
        let mut dirs: Vec<RepoPath> = self
            .entries()
            .filter(|entry| entry.mode != Mode::Gitlink && !is_own_output(entry.path))
            .filter_map(|entry| match entry.path.strip_suffix(name)? {
                [] => Some(RepoPath::ROOT),
                [dir @ .., b'/'] => Some(RepoPath::new(dir)),
                _ => None,
            })
            .collect();
        dirs.sort();
        dirs
    }

    /// The tree as it was before `changes` (sorted by path, each once), which led to this one. Paths share their text.
    ///
    /// # Errors
    /// When the changes do not lead to this tree, or name a path that no checkout can have.
    pub fn before(&self, changes: &[TreeChange]) -> Result<Self> {
        let unrelated = || Error::internal("git's list of changes does not lead to its tree");
        if !changes.is_sorted_by(|a, b| a.path < b.path) {
            return Err(unrelated());
        }
        let mut base = Self { shared: Arc::clone(&self.shared), ..Self::default() };
        base.slots.reserve_exact(self.len() + changes.len());
        let mut rest = self.slots.as_slice();
        for change in changes {
            let path = change.path.as_bytes();
            let (same, others) = rest.split_at(rest.partition_point(|slot| self.path_of(slot) < path));
            base.slots.extend_from_slice(same);
            let found = others.first().filter(|slot| self.path_of(slot) == path);
            rest = others.get(usize::from(found.is_some())..).unwrap_or_default();
            if found.map(|slot| (slot.mode, slot.oid)) != change.new {
                return Err(unrelated());
            }
            let Some((mode, oid)) = change.old else { continue };
            match found {
                Some(slot) => base.slots.push(Slot { mode, oid, ..*slot }),
                None => base.push_own(path, mode, oid)?,
            }
        }
        base.slots.extend_from_slice(rest);
        Ok(base)
    }

    fn push_own(&mut self, path: &[u8], mode: Mode, oid: Oid) -> Result<()> {
        check_path(path)?;
        let start = u32::try_from(self.shared.len() + self.own.len()).map_err(|_| too_large())?;
        let length = u32::try_from(path.len()).map_err(|_| too_large())?;
        self.own.extend_from_slice(path);
        self.slots.push(Slot { start, length, mode, oid });
        Ok(())
    }

    /// What leads from `base` to this tree, sorted by path. A change back is none.
    #[must_use]
    pub fn changes_since(&self, base: &Self) -> Vec<TreeChange> {
        let mut changes = Vec::new();
        let (mut old, mut new) = (base.entries().peekable(), self.entries().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => a.path.cmp(b.path),
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            let side = |entry: Option<Entry<'_>>| entry.map(|entry| (entry.mode, entry.oid));
            if let Some(entry) = before.or(after).filter(|_| side(before) != side(after)) {
                changes.push(TreeChange { path: RepoPath::new(entry.path), old: side(before), new: side(after) });
            }
        }
    }
}

fn text_of<'a>(shared: &'a [u8], own: &'a [u8], slot: &Slot) -> &'a [u8] {
    let (start, length) = (slot.start as usize, slot.length as usize);
    match start.checked_sub(shared.len()) {
        Some(start) if length > 0 => own.get(start..start + length).unwrap_or_default(),
        _ => shared.get(start..start + length).unwrap_or_default(),
    }
}

/// Whether a path lies below `.hephy/` at the root: what hephy itself wrote never counts.
pub(crate) fn is_own_output(path: &[u8]) -> bool {
    path.starts_with(b".hephy/") || path == b".hephy"
}

fn is_checkout_path(path: &[u8]) -> bool {
    // A bad part is empty or begins with a dot, and few parts do.
    let is_suspect = |byte: Option<&u8>| matches!(byte, None | Some(b'/' | b'.'));
    let mut parts = memchr::memchr_iter(b'/', path);
    if !is_suspect(path.first()) && !parts.any(|slash| is_suspect(path.get(slash + 1))) {
        return true;
    }
    path.split(|byte| *byte == b'/')
        .all(|part| !matches!(part, b"" | b"." | b".." | [b'.', b'g' | b'G', b'i' | b'I', b't' | b'T']))
}

fn check_path(path: &[u8]) -> Result<()> {
    if is_checkout_path(path) { Ok(()) } else { Err(malformed(path, "is no path that a checkout can have")) }
}

fn malformed(path: &[u8], what: &str) -> Error {
    Error::config(format!("the commit's tree is malformed: `{}` {what}", show_bytes(path)))
        .hint("git fsck says which commit brought it in")
}

fn too_large() -> Error {
    Error::resource("the repository's list of files is larger than 4 GiB")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tree of `path=content letter` pairs; `@x` is a link, `#x` a submodule, `!x` executable.
    pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
        let mut buffer = Vec::new();
        let mut records = Vec::new();
        for (path, content) in files {
            let (mode, content) = match content.split_at_checked(1) {
                Some(("@", rest)) => (Mode::Link, rest),
                Some(("#", rest)) => (Mode::Gitlink, rest),
                Some(("!", rest)) => (Mode::Executable, rest),
                _ => (Mode::Regular, *content),
            };
            let start = buffer.len();
            buffer.extend_from_slice(path.as_bytes());
            records.push(Record { start, end: buffer.len(), mode, oid: oid(content) });
        }
        Tree::new(&buffer, records).unwrap()
    }

    pub(crate) fn oid(content: &str) -> Oid {
        use sha2::Digest as _;
        Oid::from_bytes(&sha2::Sha256::digest(content)).unwrap()
    }

    #[test]
    fn image_directories_are_found_and_hephys_own_output_is_none() {
        let tree = tree(&[
            ("build-config.yaml", "0"),
            (".hephy/x/build-config.yaml", "0"),
            ("a/build-config.yaml", "1"),
            ("a/b/build-config.yaml", "1"),
            ("a/my-build-config.yaml", "1"),
            ("z/build-config.yaml/file", "1"),
            ("s/build-config.yaml", "#1"),
        ]);
        let dirs: Vec<String> = tree.image_dirs().iter().map(ToString::to_string).collect();
        assert_eq!(dirs, [".", "a", "a/b"]);
    }

    #[test]
    fn the_base_tree_is_the_head_tree_with_the_changes_undone() {
        let base = tree(&[("a", "1"), ("b/x", "1"), ("c", "1"), ("d", "1"), ("z", "9")]);
        let head = tree(&[("a", "2"), ("b", "1"), ("c", "!1"), ("d", "1"), ("e", "1")]);
        let changes = head.changes_since(&base);
        let paths: Vec<String> = changes.iter().map(|change| change.path.to_string()).collect();
        assert_eq!(paths, ["a", "b", "b/x", "c", "e", "z"]);
        let undone = head.before(&changes).unwrap();
        assert!(undone.changes_since(&base).is_empty());
        assert!(base.before(&changes).is_err(), "the changes do not lead there");
    }

    #[test]
    fn submodules_beside_files_are_sorted_by_their_bytes() {
        let tree = tree(&[("a.txt", "1"), ("a", "#1")]);
        assert!(tree.get(b"a").is_some() && tree.get(b"a.txt").is_some());
    }

    #[test]
    fn trees_made_by_hand_are_refused() {
        for path in ["a/../b", ".git/config", "a/.GIT/x", "/a", "a//b", "a/"] {
            let records = [Record { start: 0, end: path.len(), mode: Mode::Regular, oid: oid("1") }];
            assert!(Tree::new(path.as_bytes(), records).is_err(), "{path}");
        }
        let record = Record { start: 0, end: 1, mode: Mode::Regular, oid: oid("1") };
        assert!(Tree::new(b"a", [record, record]).is_err());
    }
}
