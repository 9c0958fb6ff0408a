//! Files that triggers of a base would bring into a build, and that do not count for its key.
//!
//! Nobody sees the triggers of an image from elsewhere before a registry is asked. A key is made before that: what they
//! read has to count by other ways, and this says where it does not.

use std::collections::HashSet;

use super::content::Content;
use super::key::Keyed;
use super::located::Located;
use super::path::RepoPath;
use super::reach::{CopySource, Reach};
use super::tree::Tree;
use crate::dockerfile::ContextRead;

/// Files that do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// One of them.
    pub example: RepoPath,
    /// Globs for `watch` that name everything that is read.
    pub watch: Vec<String>,
}

impl Keyed {
    /// What `reads` would bring into the build without counting for the key: not by the image's own Dockerfile, not by
    /// `watch`. What ignore files and `ignore` leave out may be read by anybody.
    #[must_use]
    pub fn uncounted<'d>(&self, tree: &Tree, reads: impl IntoIterator<Item = &'d ContextRead>) -> Option<Uncounted> {
        let located = self.located.as_ref()?;
        let context = located.context_dir()?;
        // Where a link stands on the way, it may be any file.
        let added = Reach::find(tree, located, self.backend, &self.reach.ignoring, reads, &mut |_| None);
        let whole = || vec![CopySource { path: context.clone(), filtered: true, direct: false }];
        let is_inside = |source: &CopySource| source.filtered && context.holds(source.path.as_bytes());
        let added = added.sources.unwrap_or_else(whole);
        if self.reach.sources.is_none() && added.iter().all(is_inside) {
            return None;
        }
        let content = Content { tree, context, ignore: &self.ignore, ignoring: &self.reach.ignoring };
        let counting = self.reach.sources.clone().unwrap_or_else(whole);
        let mut counted: HashSet<&[u8]> = HashSet::new();
        for source in &counting {
            content.each(
                source,
                &mut |entry| {
                    counted.insert(entry.path);
                },
                &mut |_| {},
            );
        }
        let named: HashSet<&[u8]> = named(located, &self.reach).map(RepoPath::as_bytes).collect();
        let mut example = None;
        let mut lacking = Vec::new();
        for source in added {
            let mut lacks = false;
            let mut look = |path: &[u8]| {
                if !lacks && !counted.contains(path) && !named.contains(path) && self.watch.matching(path).is_none() {
                    lacks = true;
                    example.get_or_insert_with(|| RepoPath::new(path));
                }
            };
            content.each(&source, &mut |entry| look(entry.path), &mut |_| {});
            if lacks {
                lacking.push(glob_of(tree, &source.path));
            }
        }
        Some(Uncounted { example: example?, watch: lacking })
    }
}

/// What counts whatever is copied.
fn named<'a>(located: &'a Located, reach: &'a Reach) -> impl Iterator<Item = &'a RepoPath> {
    located.named_paths().into_iter().chain(&reach.links)
}

/// The glob of a file, or of everything in a directory.
fn glob_of(tree: &Tree, path: &RepoPath) -> String {
    // What is no UTF-8 is one unknown character to a glob.
    let text = glob::Pattern::escape(&String::from_utf8_lossy(path.as_bytes())).replace('\u{fffd}', "?");
    match tree.get(path.as_bytes()) {
        Some(_) => text,
        None if path.is_root() => "**".to_owned(),
        None => format!("{text}/**"),
    }
}
