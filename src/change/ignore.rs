//! `ignore` and `watch`: globs of paths that do not count, and of paths that count besides.
//!
//! Patterns match whole paths relative to the repository's root, as the crate `glob` defines them: `*` and `?` stay
//! within one part of a path, `**` is any number of parts, `[abc]` one character; names that begin with a dot are
//! like others, case counts. A pattern that ends in `/` means everything in that directory. Bytes that are no
//! UTF-8 count as one unknown character.

use glob::{MatchOptions, Pattern};

use super::path::RepoPath;
use super::tree::{Entry, Tree};
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A list of globs, compiled.
#[derive(Clone, Debug, Default)]
pub struct Globs(Vec<Glob>);

#[derive(Clone, Debug)]
struct Glob {
    text: String,
    /// What every match begins with: most paths are told apart by it.
    prefix: String,
    /// Length of the whole pattern.
    whole: usize,
    parts: Vec<Part>,
}

/// What stands between two slashes. Each is matched by itself: over a whole path the crate tries every way to share
/// the characters among several `*`, and a pattern of a few bytes would take hours.
#[derive(Clone, Debug)]
enum Part {
    /// `**`
    Any,
    One(Pattern),
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// Names the first one that is no glob.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let compiled = patterns.iter().map(|text| {
            let whole = if text.ends_with('/') { format!("{text}**") } else { text.clone() };
            let prefix = whole.split(['*', '?', '[']).next().unwrap_or_default().to_owned();
            let parts = whole.split('/').map(|part| match part {
                "**" => Ok(Part::Any),
                part => Pattern::new(part).map(Part::One),
            });
            let parts = parts.collect::<std::result::Result<_, _>>().map_err(|error| {
                Error::config(format!("`{}` is not a glob", escape_cut(text, 80)))
                    .cause(error)
                    .hint("`*` stays within one part of a path, `**` stands alone between slashes")
            })?;
            Ok(Glob { text: text.clone(), prefix, whole: whole.len(), parts })
        });
        compiled.collect::<Result<_>>().map(Self)
    }

    /// Gives every file of a tree that matches, for each pattern in turn, without looking where none can be.
    pub(super) fn each<'t>(&self, tree: &'t Tree, take: &mut dyn FnMut(Entry<'t>)) {
        for glob in &self.0 {
            let dir = glob.prefix.rfind('/').map_or(RepoPath::ROOT, |slash| RepoPath::from(&glob.prefix[..slash]));
            if glob.prefix.len() == glob.whole {
                tree.get(glob.prefix.as_bytes()).into_iter().for_each(&mut *take);
            } else {
                tree.under(&dir).filter(|entry| glob.matches(entry.path)).for_each(&mut *take);
            }
        }
    }

    /// The first pattern that matches, as it was written.
    #[must_use]
    pub fn matching(&self, path: &[u8]) -> Option<&str> {
        let mut near = self.0.iter().filter(|glob| path.starts_with(glob.prefix.as_bytes())).peekable();
        near.peek()?;
        let text = String::from_utf8_lossy(path);
        let names: Vec<&str> = text.split('/').collect();
        near.find(|glob| matches(&glob.parts, &names)).map(|glob| glob.text.as_str())
    }
}

impl Glob {
    fn matches(&self, path: &[u8]) -> bool {
        path.starts_with(self.prefix.as_bytes())
            && matches(&self.parts, &String::from_utf8_lossy(path).split('/').collect::<Vec<_>>())
    }
}

/// Whether the parts match all names. Only the last `**` is ever tried with more names: what lies before it matched.
fn matches(parts: &[Part], names: &[&str]) -> bool {
    let (mut part, mut name) = (0, 0);
    let mut any = None;
    while name < names.len() {
        match parts.get(part) {
            // At the end it is what lies in a directory, and not the directory.
            Some(Part::Any) if part + 1 == parts.len() => return true,
            Some(Part::Any) => {
                part += 1;
                any = Some((part, name));
                continue;
            }
            Some(Part::One(pattern)) if pattern.matches_with(names[name], OPTIONS) => {
                (part, name) = (part + 1, name + 1);
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = any.as_mut() else { return false };
        *from += 1;
        (part, name) = (*after, *from);
    }
    part == parts.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_part_and_double_stars_do_not() {
        for (pattern, path, expected) in [
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/a/b.md", false),
            ("docs/**", "docs/a/b.md", true),
            ("docs/", "docs/a/b.md", true),
            ("docs", "docs/a", false),
            ("**/*.md", "a.md", true),
            ("**/*.md", "x/y/a.md", true),
            ("*.md", "x/a.md", false),
            ("**/testdata/**", "a/testdata/b/c", true),
            ("*", ".hidden", true),
            ("a?c", "a/c", false),
            ("[ab]/x", "a/x", true),
            ("A", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b/**/c", "a/b/x/b/y/c", true),
            ("a/**/b/**/c", "a/x/c", false),
            ("a/**/b", "a/b/c", false),
            ("**", "a", true),
            ("a/**", "a", false),
        ] {
            let globs = Globs::new(&[pattern.to_owned()]).unwrap();
            assert_eq!(globs.matching(path.as_bytes()).is_some(), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn any_bytes_can_be_matched() {
        let globs = Globs::new(&["no".into(), "a/*.bin".into()]).unwrap();
        assert_eq!(globs.matching(b"a/\xff\n.bin"), Some("a/*.bin"));
    }

    #[test]
    fn what_is_no_glob_is_named() {
        let error = Globs::new(&["a**b".into()]).unwrap_err();
        assert_eq!(error.message(), "`a**b` is not a glob");
    }
}
