//! Rules about the build context.

use super::rules::{BIG_CONTEXT, LARGE_CONTEXT, LARGE_CONTEXT_RULE, MISSING_DOCKERIGNORE};
use super::{Found, Subject};
use crate::diagnostic::escape_cut;
use crate::table::size as bytes;

/// What a builder gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The largest one, relative to the repository's root, and its size.
    pub largest: Option<(String, u64)>,
    /// Whether an ignore file says what does not belong to it.
    pub has_ignore_file: bool,
    /// Whether what that leaves out was left out here: otherwise the context may be smaller than this.
    pub exact: bool,
}

impl Context {
    /// Counts one file.
    pub fn add(&mut self, path: &str, size: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.largest.as_ref().is_none_or(|(_, largest)| size > *largest) {
            self.largest = Some((path.to_owned(), size));
        }
    }
}

pub(super) fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    // Without a Dockerfile no builder reads such a file, nor the context as a whole.
    let Some(context) = subject.context.filter(|_| subject.dockerfile.is_some()) else { return };
    let largest = context.largest.as_ref().map(|(path, size)| format!(", {} {}", bytes(*size), escape_cut(path, 120)));
    let size = format!("{} in {} files{}", bytes(context.bytes), context.files, largest.unwrap_or_default());
    let place = subject.context_place();
    if !context.has_ignore_file && context.bytes > BIG_CONTEXT {
        let message = format!("the build context has no .dockerignore: {size}");
        found.push(Found::new(&MISSING_DOCKERIGNORE, subject.file, place, message));
    }
    if context.exact && context.bytes > LARGE_CONTEXT {
        let left = if context.has_ignore_file { ", without what the ignore file leaves out" } else { "" };
        let message = format!("the build context has {size}{left}");
        found.push(Found::new(&LARGE_CONTEXT_RULE, subject.file, place, message));
    }
}
