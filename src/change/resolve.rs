//! Following symbolic links inside a tree, as a build on a checkout would, without a checkout.
//!
//! A path never leaves its root: not through `..`, not through a link, not through a chain of links.

use super::oid::{Mode, Oid};
use super::path::RepoPath;
use super::tree::Tree;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// To a file.
    File {
        /// Its path without any link.
        path: RepoPath,
        /// What it holds.
        oid: Oid,
        /// The links that were followed, in order; they count as inputs too.
        links: Vec<RepoPath>,
    },
    /// To a directory with at least one file.
    Directory {
        /// Its path without any link.
        path: RepoPath,
        /// The links that were followed, in order.
        links: Vec<RepoPath>,
    },
    /// To nothing.
    Missing,
    /// Out of its root.
    Escapes,
    /// Round in circles, or through more links than anybody needs.
    Loop,
    /// To a submodule, whose content is not here.
    Submodule {
        /// Its path without any link.
        path: RepoPath,
        /// The links that were followed, in order.
        links: Vec<RepoPath>,
    },
    /// Into a submodule.
    InSubmodule,
}

/// Links that are followed for one path; Linux follows 40.
const MAX_LINKS: usize = 40;

impl Tree {
    /// Where `path` (relative to `root`) leads. `read_link` gives what a link holds.
    pub fn resolve(&self, root: &RepoPath, path: &[u8], read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>) -> Resolved {
        if let Some(found) = self.resolve_plain(root, path) {
            return found;
        }
        let mut walk = Walk { at: root.clone(), links: Vec::new() };
        let mut todo: Vec<Vec<u8>> = parts(path);
        while let Some(part) = todo.pop() {
            if part == b".." {
                if walk.at == *root || !root.holds(walk.at.as_bytes()) {
                    return Resolved::Escapes;
                }
                walk.at = walk.at.parent();
                continue;
            }
            let next = walk.at.join(&part);
            match self.get(next.as_bytes()).map(|entry| (entry.mode, entry.oid)) {
                None if self.has_directory(&next) => walk.at = next,
                None => return Resolved::Missing,
                Some((Mode::Gitlink, _)) if todo.is_empty() => {
                    return Resolved::Submodule { path: next, links: walk.links };
                }
                Some((Mode::Gitlink, _)) => return Resolved::InSubmodule,
                Some((Mode::Link, oid)) => {
                    let Some(target) = read_link(oid) else { return Resolved::Missing };
                    if walk.links.len() == MAX_LINKS {
                        return Resolved::Loop;
                    }
                    if target.starts_with(b"/") {
                        return Resolved::Escapes;
                    }
                    walk.links.push(next);
                    todo.extend(parts(&target));
                }
                Some((_, oid)) if todo.is_empty() => {
                    return Resolved::File { path: next, oid, links: walk.links };
                }
                Some(_) => return Resolved::Missing,
            }
        }
        Resolved::Directory { path: walk.at, links: walk.links }
    }
}

impl Tree {
    /// The usual case, at the cost of a search for each part: a file, with nothing but directories on the way.
    fn resolve_plain(&self, root: &RepoPath, path: &[u8]) -> Option<Resolved> {
        let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
        if !path.split(|byte| *byte == b'/').all(plain) {
            return None;
        }
        let whole = root.join(path);
        let below = if root.is_root() { 0 } else { root.as_bytes().len() + 1 };
        let ends = whole.as_bytes().iter().enumerate().skip(below).filter(|(_, byte)| **byte == b'/');
        if ends.into_iter().any(|(end, _)| self.get(&whole.as_bytes()[..end]).is_some()) {
            return None;
        }
        let entry = self.get(whole.as_bytes()).filter(|entry| entry.mode.is_file())?;
        Some(Resolved::File { oid: entry.oid, path: whole, links: Vec::new() })
    }
}

struct Walk {
    at: RepoPath,
    links: Vec<RepoPath>,
}

/// The parts of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::tree::tests::{oid, tree};

    fn resolve(files: &[(&str, &str)], root: &str, path: &str) -> Resolved {
        let targets: Vec<(Oid, Vec<u8>)> = files
            .iter()
            .filter_map(|(_, content)| content.strip_prefix('@'))
            .map(|target| (oid(target), target.as_bytes().to_vec()))
            .collect();
        let mut read = |id: Oid| targets.iter().find(|(oid, _)| *oid == id).map(|(_, target)| target.clone());
        tree(files).resolve(&RepoPath::from(root), path.as_bytes(), &mut read)
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let files = [("a/Dockerfile", "@docker/real"), ("a/docker", "@../a/sub"), ("a/sub/real", "1")];
        // `..` inside `a` goes to the root's parent: out.
        assert_eq!(resolve(&files, "a", "Dockerfile"), Resolved::Escapes);
        let Resolved::File { path, links, .. } = resolve(&files, ".", "a/Dockerfile") else { panic!() };
        assert_eq!(path, RepoPath::from("a/sub/real"));
        assert_eq!(links, [RepoPath::from("a/Dockerfile"), RepoPath::from("a/docker")]);
    }

    #[test]
    fn no_path_leaves_its_root() {
        let files = [("a/up", "@.."), ("a/out", "@/etc/passwd"), ("a/x", "1"), ("a/b/back", "@../x"), ("secret", "2")];
        assert_eq!(resolve(&files, "a", "up"), Resolved::Escapes);
        assert_eq!(resolve(&files, "a", "up/secret"), Resolved::Escapes);
        assert_eq!(resolve(&files, "a", "out"), Resolved::Escapes);
        assert_eq!(resolve(&files, "a", "../secret"), Resolved::Escapes);
        assert_eq!(resolve(&files, ".", "../a"), Resolved::Escapes);
        assert!(matches!(resolve(&files, "a", "b/back"), Resolved::File { .. }));
    }

    #[test]
    fn circles_submodules_and_nothing_are_told_apart() {
        let files = [("a", "@b"), ("b", "@a"), ("s", "#1"), ("to", "@s"), ("f", "1")];
        assert_eq!(resolve(&files, ".", "a"), Resolved::Loop);
        assert_eq!(resolve(&files, ".", "s/x"), Resolved::InSubmodule);
        assert_eq!(resolve(&files, ".", "s"), Resolved::Submodule { path: "s".into(), links: vec![] });
        assert_eq!(resolve(&files, ".", "to"), Resolved::Submodule { path: "s".into(), links: vec!["to".into()] });
        assert_eq!(resolve(&files, ".", "f/x"), Resolved::Missing);
        assert_eq!(resolve(&files, ".", "nothing"), Resolved::Missing);
        assert_eq!(resolve(&files, ".", "."), Resolved::Directory { path: RepoPath::ROOT, links: vec![] });
    }
}
