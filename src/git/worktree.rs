//! A developer's working tree: the index, files that differ from it, and files that are neither tracked nor ignored.
//!
//! Git says which files differ (`diff-files`, by their times and sizes, where need be by content) and which are
//! new; their content is hashed here, byte for byte, because that is what a build on this machine sees. A file that
//! git stores converted (Git LFS, line endings) therefore counts as changed once it was touched. The working
//! trees of submodules are never looked at.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha1::Digest as _;

use super::objects::Content;
use super::private::Private;
use super::{parse, run};
use crate::change::{Mode, Oid, Record, RepoPath, Tree, is_own_output};
use crate::diagnostic::escape;
use crate::error::{Error, Result};

/// A working tree, and where the contents that no object holds are.
pub(super) struct WorkTree {
    pub(super) tree: Tree,
    pub(super) files: Vec<(Oid, PathBuf)>,
}

/// Reads the working tree; nothing below `exclude` counts.
pub(super) fn read(private: &Private, root: &Path, sha256: bool, exclude: &[RepoPath]) -> Result<WorkTree> {
    let index = private.in_work_tree(["ls-files", "-z", "-t", "--stage", "--full-name"]);
    let others = private.listing(["ls-files", "-z", "--others", "--exclude-standard", "--full-name"]);
    let differing =
        private.in_work_tree(["diff-files", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=all"]);
    let (index, others, differing) = std::thread::scope(|scope| {
        let others = scope.spawn(|| run(&others));
        let differing = scope.spawn(|| run(&differing));
        let index = run(&index);
        (index, joined(others), joined(differing))
    });
    let mut listing = Listing { root, sha256, buffer: index?, records: Vec::new(), files: Vec::new() };
    let differing = parse::differing_files(&differing?)?;
    listing.add_index(&differing)?;
    for path in parse::paths(&others?) {
        if !exclude.iter().any(|dir| dir.holds(path)) && !is_own_output(path) {
            listing.add_untracked(path)?;
        }
    }
    let Listing { buffer, records, files, .. } = listing;
    Ok(WorkTree { tree: Tree::new(&buffer, records)?, files })
}

pub(super) fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().unwrap_or_else(|_| Err(Error::internal("a thread that waits for git ended early")))
}

struct Listing<'r> {
    root: &'r Path,
    sha256: bool,
    buffer: Vec<u8>,
    records: Vec<Record>,
    files: Vec<(Oid, PathBuf)>,
}

impl Listing<'_> {
    fn add_index(&mut self, differing: &HashMap<Vec<u8>, bool>) -> Result<()> {
        let mut last_unmerged = None;
        for staged in parse::ls_files(&self.buffer)? {
            let mut record = staged.record;
            let path = self.buffer.get(record.start..record.end).unwrap_or_default().to_vec();
            if staged.unmerged {
                // A conflict has up to three entries; the file counts once, as it is.
                if last_unmerged.as_ref() == Some(&path) {
                    continue;
                }
                last_unmerged = Some(path.clone());
            }
            let mut differs = differing.get(&path).copied();
            if record.mode == Mode::Gitlink && !staged.left_out {
                // Its directory is not looked into; nothing of it is in a build where that is gone.
                match self.place(&path).symlink_metadata() {
                    Ok(found) if found.is_dir() => {}
                    found => (record.mode, differs) = (Mode::Regular, Some(found.is_ok())),
                }
            }
            if (staged.unmerged || differs.is_some()) && record.mode != Mode::Gitlink {
                let Some((mode, oid)) = self.hash(&path)?.filter(|_| differs != Some(false)) else { continue };
                if oid != record.oid {
                    self.files.push((oid, self.place(&path)));
                }
                record = Record { mode, oid, ..record };
            }
            self.records.push(record);
        }
        Ok(())
    }

    fn add_untracked(&mut self, path: &[u8]) -> Result<()> {
        // A repository inside this one is shown as `name/`; like a submodule, it is not looked into.
        let nested = path.strip_suffix(b"/");
        let found = match nested {
            Some(_) => Oid::from_bytes(&[0; 20]).map(|oid| (Mode::Gitlink, oid)),
            None => self.hash(path)?,
        };
        let Some((mode, oid)) = found else { return Ok(()) };
        let start = self.buffer.len();
        self.buffer.extend_from_slice(nested.unwrap_or(path));
        self.records.push(Record { start, end: self.buffer.len(), mode, oid });
        if nested.is_none() {
            self.files.push((oid, self.place(path)));
        }
        Ok(())
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(path))
    }

    /// Mode and id of a file as it is; none when it is gone, or no file and no link.
    fn hash(&self, path: &[u8]) -> Result<Option<(Mode, Oid)>> {
        let place = self.place(path);
        let failed = |error| Error::io(format!("{} could not be read", escape(&place.display().to_string())), error);
        let metadata = match place.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        if metadata.is_symlink() {
            let target = place.read_link().map_err(failed)?.into_os_string().into_vec();
            let oid = blob_id(self.sha256, target.len() as u64, target.as_slice()).map_err(failed)?;
            return Ok(Some((Mode::Link, oid)));
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        let mode = if metadata.permissions().mode() & 0o100 == 0 { Mode::Regular } else { Mode::Executable };
        let file = std::fs::File::open(&place).map_err(failed)?;
        let oid = blob_id(self.sha256, metadata.len(), file).map_err(failed)?;
        Ok(Some((mode, oid)))
    }
}

/// The id that git gives a blob: the hash of `blob <size>`, NUL, and its bytes.
fn blob_id(sha256: bool, size: u64, content: impl std::io::Read) -> std::io::Result<Oid> {
    let header = format!("blob {size}\0");
    // A file that grows meanwhile counts with the size that it had.
    let mut content = content.take(size);
    let oid = if sha256 {
        let mut hasher = sha2::Sha256::new_with_prefix(header);
        std::io::copy(&mut content, &mut Feed(|bytes: &[u8]| hasher.update(bytes)))?;
        Oid::from_bytes(&hasher.finalize())
    } else {
        let mut hasher = sha1::Sha1::new_with_prefix(header);
        std::io::copy(&mut content, &mut Feed(|bytes: &[u8]| hasher.update(bytes)))?;
        Oid::from_bytes(&hasher.finalize())
    };
    oid.ok_or_else(|| std::io::Error::other("a hash of another size"))
}

struct Feed<F>(F);

impl<F: FnMut(&[u8])> std::io::Write for Feed<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The content of a file or link of the working tree.
pub(super) fn read_file(path: &Path, limit: u64) -> Content {
    let Ok(metadata) = path.symlink_metadata() else { return Content::Missing };
    if metadata.is_symlink() {
        let target = path.read_link().map(|target| target.into_os_string().into_vec());
        return target.map_or(Content::Missing, Content::Bytes);
    }
    if !metadata.is_file() {
        return Content::Missing;
    }
    if metadata.len() > limit {
        return Content::TooLarge(metadata.len());
    }
    let mut bytes = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Content::Bytes(bytes),
        Err(_) => Content::Missing,
    }
}
