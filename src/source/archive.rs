//! Writes the tar stream of an archive: `ustar` headers of our own, GNU entries for long names.
//!
//! Everything in a header is fixed but path, kind, size and the commit's time: mode 0644 or 0755, no owner, no device.
//! Directories have entries of their own, so that modes never depend on who unpacks, and submodules that were not asked
//! for are empty directories, as in a clone.

use std::io::{self, Read, Write};

use super::fetch::Repository;
use super::git::Git;
use super::limits::{self, MAX_BYTES, MAX_ENTRIES, MAX_NAMES};
use super::submodules::Module;
use super::tree::{self, Entry, Kind, refused};
use crate::error::{Error, ErrorKind, Result};

/// Largest commit object that is read: real ones have a kilobyte.
const MAX_COMMIT: u64 = 16 << 20;

/// A tar stream in the making.
pub(super) struct Tar<W> {
    out: W,
    time: u64,
    bytes: u64,
    entries: usize,
    names: usize,
    /// How the file that is written is called in errors.
    name: String,
}

impl<W: Write> Tar<W> {
    /// Begins a stream; `name` is what errors call it.
    pub(super) fn new(out: W, name: String) -> Self {
        Self { out, time: 0, bytes: 0, entries: 0, names: 0, name }
    }

    /// Writes a commit's files below `prefix`, which is empty or ends in `/`.
    pub(super) fn module(&mut self, git: &Git, module: &Module, prefix: &[u8]) -> Result<()> {
        let mut objects = tree::open(git, &module.repository, &module.entries)?;
        let size = objects.next(&module.repository.commit, "commit")?;
        if size > MAX_COMMIT {
            return Err(refused(format!("a commit object of {size} bytes")));
        }
        let commit = objects.read(size)?;
        if prefix.is_empty() {
            self.time = tree::commit_time(&commit);
        }
        for entry in &module.entries {
            let path = [prefix, &entry.path].concat();
            limits::check_path(&path).map_err(|rule| refused(format!("{rule}: `{}`", limits::shown(&path))))?;
            match entry.kind {
                Kind::Directory => self.directory(&path)?,
                Kind::Submodule => {
                    self.directory(&path)?;
                    if let Some(child) = module.children.get(&entry.path) {
                        self.module(git, child, &[&path, b"/".as_slice()].concat())?;
                    }
                }
                _ => {
                    let size = objects.next(&entry.id, "blob")?;
                    self.blob(entry, &path, size, &mut objects)?;
                }
            }
        }
        Ok(())
    }

    fn blob<R: Read>(&mut self, entry: &Entry, path: &[u8], size: u64, objects: &mut tree::Objects<R>) -> Result<()> {
        if entry.kind == Kind::Link {
            if size > limits::MAX_TARGET as u64 {
                return Err(refused(format!("a symbolic link's target of {size} bytes: `{}`", limits::shown(path))));
            }
            let target = objects.read(size)?;
            limits::check_target(&target).map_err(|rule| refused(format!("{rule}: `{}`", limits::shown(path))))?;
            return self.entry(path, tar::EntryType::Symlink, 0o777, 0, &target);
        }
        let mode = if entry.kind == Kind::Executable { 0o755 } else { 0o644 };
        self.file(path, mode, size, objects.bytes(size))?;
        objects.end()
    }

    /// Writes a directory.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<()> {
        self.entry(&[path, b"/".as_slice()].concat(), tar::EntryType::Directory, 0o755, 0, b"")
    }

    /// Writes a file of exactly `size` bytes.
    pub(super) fn file(&mut self, path: &[u8], mode: u32, size: u64, mut bytes: impl Read) -> Result<()> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(refused(format!("more than {} GiB of files", MAX_BYTES >> 30)));
        }
        self.entry(path, tar::EntryType::Regular, mode, size, b"")?;
        let copied = io::copy(&mut bytes, &mut self.out).map_err(|error| self.failed(error))?;
        if copied != size {
            return Err(Error::new(
                ErrorKind::CloneError,
                format!("`{}` of the upstream ended after {copied} of {size} bytes", limits::shown(path)),
            ));
        }
        self.pad(size)
    }

    /// A header, preceded by GNU entries for a path or a target that does not fit (tar(5), "GNU tar archives").
    fn entry(&mut self, path: &[u8], kind: tar::EntryType, mode: u32, size: u64, target: &[u8]) -> Result<()> {
        self.entries += 1;
        self.names += path.len() + target.len();
        if self.entries > MAX_ENTRIES || self.names > MAX_NAMES {
            return Err(refused(format!("more than {MAX_ENTRIES} entries or {} MiB of names", MAX_NAMES >> 20)));
        }
        for (text, long) in [(target, tar::EntryType::GNULongLink), (path, tar::EntryType::GNULongName)] {
            if text.len() > 100 {
                let length = text.len() as u64 + 1;
                self.header(b"././@LongLink", long, 0, length, b"", 0)?;
                self.put(text)?;
                self.put(&[0])?;
                self.pad(length)?;
            }
        }
        self.header(path, kind, mode, size, target, self.time)
    }

    fn header(
        &mut self,
        path: &[u8],
        kind: tar::EntryType,
        mode: u32,
        size: u64,
        target: &[u8],
        time: u64,
    ) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            gnu.name.iter_mut().zip(path).for_each(|(to, from)| *to = *from);
            gnu.linkname.iter_mut().zip(target).for_each(|(to, from)| *to = *from);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(size);
        header.set_cksum();
        self.put(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let over = usize::try_from(size % 512).unwrap_or(0);
        if over == 0 { Ok(()) } else { self.put(&[0; 512][over..]) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(format!("{} could not be written", self.name), error)
    }

    /// Ends the stream and gives back what it was written to.
    pub(super) fn finish(mut self) -> Result<W> {
        self.put(&[0; 1024])?;
        Ok(self.out)
    }
}

/// A repository with no submodules looked at.
pub(super) fn plain(git: &Git, repository: std::sync::Arc<Repository>) -> Result<Module> {
    let entries = tree::list(git, &repository)?;
    Ok(Module { repository, entries, children: std::collections::BTreeMap::new() })
}
