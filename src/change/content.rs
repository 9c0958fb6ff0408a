//! Hashes over the files that reach a build.

use super::form::Form;
use super::ignore::Globs;
use super::key::is_left_out;
use super::path::RepoPath;
use super::reach::{CopySource, Ignoring};
use super::tree::{Entry, Tree, is_own_output};
use crate::ignorefile::{IgnoreFile, Walk};

/// The files of one build context.
pub(super) struct Content<'a> {
    pub(super) tree: &'a Tree,
    pub(super) context: &'a RepoPath,
    /// `ignore`.
    pub(super) ignore: &'a Globs,
    pub(super) ignoring: &'a [Ignoring],
}

impl<'a> Content<'a> {
    /// Over everything that a source brings: the files, by their paths as the build sees them, and directories that it
    /// sees and that hold nothing for it.
    pub(super) fn digest(&self, source: &CopySource) -> [u8; 32] {
        let mut form = Form::new(b"context");
        let mut empty = Vec::new();
        self.each(source, &mut |entry| self.add(&mut form, &entry), &mut |dir| empty.push(dir.to_vec()));
        for dir in empty {
            // No file's path ends so.
            form.bytes(&[&dir, b"/".as_slice()].concat());
        }
        form.finish()
    }

    /// Gives every file that a source brings, and every directory that the build sees and that holds nothing for it.
    pub(super) fn each(&self, source: &CopySource, take: &mut dyn FnMut(Entry<'a>), empty: &mut dyn FnMut(&[u8])) {
        let counting = entries(self.tree, &source.path).filter(|entry| !is_left_out(entry.path, self.ignore));
        if !source.filtered || self.ignoring.is_empty() {
            return counting.for_each(take);
        }
        let files: Vec<&IgnoreFile> = self.ignoring.iter().map(|ignoring| ignoring.file.as_ref()).collect();
        let below = if source.path == *self.context { b"" } else { self.seen(source.path.as_bytes()) };
        let mut walk = Walk::new(&files, below, source.direct);
        for entry in counting {
            if walk.file(self.seen(entry.path), empty).is_none() {
                take(entry);
            }
        }
        walk.end(empty);
    }

    /// A path as the build sees it.
    fn seen<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        self.context.relative(path).unwrap_or(path)
    }

    fn add(&self, form: &mut Form, entry: &Entry<'_>) {
        form.bytes(self.seen(entry.path));
        form.content(entry);
    }
}

/// Over the files that globs name, wherever they are.
pub(super) fn watched(tree: &Tree, watch: &Globs) -> [u8; 32] {
    let mut form = Form::new(b"watched");
    watch.each(tree, &mut |entry| {
        if !is_own_output(entry.path) {
            form.bytes(entry.path);
            form.content(&entry);
        }
    });
    form.finish()
}

/// A file, or those of a directory.
pub(super) fn entries<'t>(tree: &'t Tree, path: &RepoPath) -> impl Iterator<Item = Entry<'t>> + use<'t> {
    tree.get(path.as_bytes()).into_iter().chain(tree.under(path))
}
