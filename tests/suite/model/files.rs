//! The files of a commit.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum File {
    Plain(Vec<u8>),
    Program(Vec<u8>),
    Link(Vec<u8>),
    /// A commit of another repository.
    Submodule(Vec<u8>),
}

impl File {
    /// As git writes its mode, and what it holds.
    pub(super) fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Plain(content) => ("100644", content),
            Self::Program(content) => ("100755", content),
            Self::Link(target) => ("120000", target),
            Self::Submodule(commit) => ("160000", commit),
        }
    }
}

/// By path; any bytes.
pub(super) type Files = BTreeMap<Vec<u8>, File>;

/// Whether a file may lie at `path` beside what is there: no file is a directory, and the path is free.
pub(super) fn is_free(files: &Files, path: &[u8]) -> bool {
    let below = [path, b"/"].concat();
    let above = (0..path.len()).filter(|at| path[*at] == b'/').any(|at| files.contains_key(&path[..at]));
    !above
        && !files.contains_key(path)
        && files.range(below.clone()..).next().is_none_or(|it| !it.0.starts_with(&below))
}

/// Writes them into an empty directory, as a checkout does, but for submodules: their pointers are entries like others,
/// and lie there as files.
pub(super) fn check_out(files: &Files, dir: &Path) {
    for (path, file) in files {
        let path = dir.join(OsStr::from_bytes(path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file {
            File::Plain(content) | File::Submodule(content) => std::fs::write(&path, content).unwrap(),
            File::Program(content) => {
                std::fs::write(&path, content).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            File::Link(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).unwrap(),
        }
    }
}

/// Takes everything away but `.git`.
pub(super) fn clear(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap().flatten().filter(|entry| entry.file_name() != ".git") {
        let path = entry.path();
        if path.symlink_metadata().unwrap().is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}
