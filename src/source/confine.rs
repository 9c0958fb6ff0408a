//! Paths that stay below their root, symbolic links included.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::limits::shown;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};

/// Links that are followed for one path, as Linux does (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The real place of `relative` below `root`: absolute, without links, and still below the root's own real place.
///
/// # Errors
/// When a part of it does not exist or is no directory, and when it leaves the root; the sentence names the link that
/// does.
pub fn confine(root: &Path, relative: &str) -> Result<PathBuf> {
    let root = root.canonicalize().map_err(|error| Error::io(format!("{} cannot be read", root.display()), error))?;
    Walk { root: &root, relative, place: root.clone(), link: None, followed: 0 }.run()
}

struct Walk<'a> {
    root: &'a Path,
    relative: &'a str,
    /// Where the walk is; always below the root, and no part of it is a link.
    place: PathBuf,
    /// The link that was followed last, as a path below the root, and its target.
    link: Option<(PathBuf, PathBuf)>,
    followed: usize,
}

impl Walk<'_> {
    fn run(mut self) -> Result<PathBuf> {
        if self.relative.contains('\0') {
            return Err(Error::config(format!("`{}` is not a path", self.path())));
        }
        let mut parts = VecDeque::new();
        self.queue(Path::new(self.relative), &mut parts)?;
        while let Some(part) = parts.pop_front() {
            if part == ".." {
                if self.place == self.root {
                    return Err(self.leaves());
                }
                self.place.pop();
            } else {
                self.step(&part, &mut parts)?;
            }
        }
        Ok(self.place)
    }

    /// Puts a path's parts before those that are still to be walked.
    fn queue(&mut self, path: &Path, parts: &mut VecDeque<OsString>) -> Result<()> {
        let mut inside = path;
        if path.is_absolute() {
            inside = path.strip_prefix(self.root).map_err(|_| self.leaves())?;
            self.place = self.root.to_path_buf();
        }
        for component in inside.components().rev() {
            match component {
                Component::Normal(name) => parts.push_front(name.to_owned()),
                Component::ParentDir => parts.push_front("..".into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, part: &OsString, parts: &mut VecDeque<OsString>) -> Result<()> {
        let next = self.place.join(part);
        let metadata = next.symlink_metadata().map_err(|error| self.unreadable(&next, error))?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&next).map_err(|error| self.unreadable(&next, error))?;
            self.followed += 1;
            if self.followed > MAX_LINKS {
                return Err(Error::config(format!("`{}` follows more than {MAX_LINKS} symbolic links", self.path()))
                    .hint("links that point at each other lead nowhere"));
            }
            self.link = Some((next.strip_prefix(self.root).unwrap_or(&next).to_path_buf(), target.clone()));
            return self.queue(&target, parts);
        }
        if !parts.is_empty() && !metadata.is_dir() {
            return Err(Error::config(format!(
                "`{}` leads through `{}`, which is no directory",
                self.path(),
                self.below(&next)
            )));
        }
        self.place = next;
        Ok(())
    }

    fn path(&self) -> String {
        escape_cut(self.relative, 200)
    }

    fn below(&self, path: &Path) -> String {
        shown(path.strip_prefix(self.root).unwrap_or(path).as_os_str().as_bytes())
    }

    fn leaves(&self) -> Error {
        let sentence = match &self.link {
            Some((link, target)) => format!(
                "`{}` leaves the source: `{}` is a symbolic link to `{}`",
                self.path(),
                shown(link.as_os_str().as_bytes()),
                shown(target.as_os_str().as_bytes())
            ),
            None => format!("`{}` leaves the source", self.path()),
        };
        Error::config(sentence).hint("name a path below the source root that no symbolic link leads out of")
    }

    fn unreadable(&self, at: &Path, error: std::io::Error) -> Error {
        if error.kind() != std::io::ErrorKind::NotFound {
            return Error::io(format!("{} cannot be read", at.display()), error);
        }
        let (path, at) = (self.path(), self.below(at));
        let sentence = if path == at {
            format!("`{path}` does not exist in the source")
        } else {
            format!("`{path}` does not exist in the source: there is no `{at}`")
        };
        Error::config(sentence).hint("paths are relative to the source root, and case counts")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;

    fn tree() -> tempfile::TempDir {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "").unwrap();
        std::fs::write(outer.path().join("secret"), "").unwrap();
        std::fs::create_dir(outer.path().join("root-two")).unwrap();
        symlink("a/b", root.join("in")).unwrap();
        symlink("../a/../in/file", root.join("a/round")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        symlink(root.join("a"), root.join("own")).unwrap();
        symlink(outer.path().join("root-two"), root.join("sibling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("out", root.join("chain")).unwrap();
        outer
    }

    #[test]
    fn paths_and_links_below_the_root_resolve() {
        let outer = tree();
        let root = outer.path().join("root");
        let real = root.canonicalize().unwrap();
        for (path, place) in [
            (".", ""),
            ("", ""),
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("in/file", "a/b/file"),
            ("a/round", "a/b/file"),
            ("own/b", "a/b"),
        ] {
            let expected = if place.is_empty() { real.clone() } else { real.join(place) };
            assert_eq!(confine(&root, path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn what_leaves_the_root_is_refused_and_the_link_named() {
        let outer = tree();
        let root = outer.path().join("root");
        for (path, words) in [
            ("..", "`..` leaves the source"),
            ("a/../..", "leaves the source"),
            ("/etc", "`/etc` leaves the source"),
            ("out", "`out` is a symbolic link to `../secret`"),
            ("chain", "`out` is a symbolic link to `../secret`"),
            ("in/../../../out", "leaves the source"),
            ("absolute/passwd", "`absolute` is a symbolic link to `/etc`"),
            ("sibling", "`sibling` is a symbolic link to"),
            ("loop", "more than 40 symbolic links"),
            ("missing", "`missing` does not exist in the source"),
            ("a/b/file/x", "`a/b/file`, which is no directory"),
        ] {
            let error = confine(&root, path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigError, "{path}");
            assert!(error.message().contains(words), "{path}: {}", error.message());
        }
    }
}
