//! From an archive back to a directory, at build time.
//!
//! The archive comes from another job, so its digest is checked first; and because a digest only says that the bytes
//! are those of the plan, every entry is checked too. Only what [`prepare`](super::prepare()) writes is accepted: files,
//! directories, symbolic links and GNU long names. Links are made last, when nothing else is written any more, so that
//! nothing is ever written through one; every other path is created anew, so that a second entry of a name fails.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::limits::{self, MAX_BYTES, MAX_ENTRIES, MAX_NAMES, shown};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Digest;
use crate::process::Interrupt;

/// Unpacks `archive` into `into`, which must not exist or be empty; its parent must exist. On failure `into` is as it
/// was. Files get the modes 0644 and 0755 and the commit's time, whatever the umask and whoever runs this.
///
/// # Errors
/// When the archive lacks or is not the expected one, when an entry breaks a rule, and when the disk is full.
pub fn unpack(archive: &Path, expected: &Digest, into: &Path) -> Result<()> {
    let mut file = open(archive)?;
    verify(&mut file, archive, expected)?;
    let parent = into.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = |error| Error::io(format!("{} could not be written", into.display()), error);
    // Private until it is whole: nobody else can put a link into it meanwhile.
    let work = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent).map_err(unwritable)?;
    let mut unpacking =
        Unpacking { archive, root: work.path(), entries: 0, bytes: 0, names: 0, directories: vec![], links: vec![] };
    unpacking.run(io::BufReader::with_capacity(128 * 1024, file))?;
    std::fs::set_permissions(work.path(), Permissions::from_mode(0o755)).map_err(unwritable)?;
    std::fs::rename(work.path(), into).map_err(unwritable)?;
    // Nothing is left under the old name; deleting it finds nothing.
    let _ = work.keep();
    Ok(())
}

fn open(archive: &Path) -> Result<File> {
    File::open(archive).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(ErrorKind::CloneError, format!("the source archive {} is missing", archive.display()))
                .hint("hephy prepare makes it; the job's artifacts have to hand it on")
        }
        _ => Error::io(format!("{} cannot be read", archive.display()), error),
    })
}

fn verify(file: &mut File, archive: &Path, expected: &Digest) -> Result<()> {
    let unreadable = |error| Error::io(format!("{} cannot be read", archive.display()), error);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let interrupt = Interrupt::installed();
    loop {
        interrupt.check()?;
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    file.rewind().map_err(unreadable)?;
    let found = Digest::from_hasher(hasher);
    if found == *expected {
        return Ok(());
    }
    Err(Error::new(ErrorKind::CloneError, format!("the source archive {} is not the plan's", archive.display()))
        .cause(anyhow::anyhow!("its digest is {found}, the plan says {expected}"))
        .hint("it was changed, cut off, or comes from another pipeline: run hephy prepare again"))
}

struct Link {
    path: PathBuf,
    target: Vec<u8>,
    time: u64,
}

struct Unpacking<'a> {
    archive: &'a Path,
    root: &'a Path,
    entries: usize,
    bytes: u64,
    names: usize,
    /// Directories with the time that they get at the end.
    directories: Vec<(PathBuf, u64)>,
    links: Vec<Link>,
}

impl Unpacking<'_> {
    fn run(&mut self, file: impl Read) -> Result<()> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let (mut long_path, mut long_target) = (None, None);
        let entries = tar.entries().map_err(|error| self.garbage(error))?;
        let interrupt = Interrupt::installed();
        for entry in entries.raw(true) {
            interrupt.check()?;
            let mut entry = entry.map_err(|error| self.garbage(error))?;
            self.count(entry.size())?;
            match entry.header().entry_type() {
                EntryType::GNULongName => long_path = Some(self.long(&mut entry, limits::MAX_PATH + 1)?),
                EntryType::GNULongLink => long_target = Some(self.long(&mut entry, limits::MAX_TARGET)?),
                kind => {
                    let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                    let target = long_target.take().or_else(|| entry.link_name_bytes().map(Into::into));
                    self.entry(kind, &path, target, &mut entry)?;
                }
            }
        }
        self.finish()
    }

    fn count(&mut self, size: u64) -> Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        // A long name costs an entry of its own, and so does a long target.
        if self.entries > 3 * MAX_ENTRIES {
            return Err(self.refused(format!("more than {MAX_ENTRIES} entries")));
        }
        if self.bytes > MAX_BYTES {
            return Err(self.refused(format!("more than {} GiB", MAX_BYTES >> 30)));
        }
        Ok(())
    }

    /// The content of a GNU long name entry, up to its zero byte.
    fn long<R: Read>(&self, entry: &mut tar::Entry<'_, R>, limit: usize) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        entry.take(limit as u64 + 2).read_to_end(&mut text).map_err(|error| self.garbage(error))?;
        if text.len() > limit + 1 {
            return Err(self.refused(format!("a name of more than {limit} bytes")));
        }
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        text.truncate(end);
        Ok(text)
    }

    fn entry<R: Read>(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: Option<Vec<u8>>,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        let trimmed = if kind.is_dir() { path.strip_suffix(b"/").unwrap_or(path) } else { path };
        limits::check_path(trimmed).map_err(|rule| self.refused(format!("{rule}: `{}`", shown(path))))?;
        let place = self.root.join(OsStr::from_bytes(trimmed));
        self.names += trimmed.len();
        if self.names > MAX_NAMES {
            return Err(self.refused(format!("more than {} MiB of names", MAX_NAMES >> 20)));
        }
        self.parent(&place)?;
        let time = entry.header().mtime().map_err(|error| self.garbage(error))?;
        match kind {
            EntryType::Directory => self.directory(place, time),
            EntryType::Regular => {
                let mode = entry.header().mode().map_err(|error| self.garbage(error))?;
                self.file(&place, mode & 0o111 != 0, time, entry)
            }
            EntryType::Symlink => {
                let target = target.unwrap_or_default();
                self.names += target.len();
                limits::check_target(&target).map_err(|rule| self.refused(format!("{rule}: `{}`", shown(path))))?;
                self.links.push(Link { path: place, target, time });
                Ok(())
            }
            kind => Err(self.refused(format!("`{}`, {}", shown(path), called(kind)))),
        }
    }

    fn directory(&mut self, place: PathBuf, time: u64) -> Result<()> {
        std::fs::create_dir(&place).map_err(|error| self.unwritable(&place, error))?;
        self.directories.push((place, time));
        Ok(())
    }

    /// Every directory has an entry of its own, before what is in it. No link exists yet.
    fn parent(&self, place: &Path) -> Result<()> {
        let parent = place.parent().unwrap_or(self.root);
        if parent.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        Err(self.refused(format!("`{}`, whose directory is not one of the archive", self.below(place))))
    }

    fn file<R: Read>(
        &mut self,
        place: &Path,
        executable: bool,
        time: u64,
        entry: &mut tar::Entry<'_, R>,
    ) -> Result<()> {
        let mode = if executable { 0o755 } else { 0o644 };
        let created = File::options().write(true).create_new(true).mode(mode).open(place);
        let mut file = created.map_err(|error| self.unwritable(place, error))?;
        let size = entry.size();
        let mut left = size;
        let mut buffer = vec![0; usize::try_from(size.clamp(1, 128 * 1024)).unwrap_or(1)];
        while left > 0 {
            let read = entry.read(&mut buffer).map_err(|error| self.garbage(error))?;
            if read == 0 {
                return Err(self.refused(format!("`{}` cut off {left} bytes before its end", self.below(place))));
            }
            left = left.saturating_sub(read as u64);
            let part = buffer.get(..read).unwrap_or_default();
            io::Write::write_all(&mut file, part).map_err(|error| self.unwritable(place, error))?;
        }
        file.set_permissions(Permissions::from_mode(mode)).map_err(|error| self.unwritable(place, error))?;
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time.min(MAX_TIME));
        file.set_modified(modified).map_err(|error| self.unwritable(place, error))
    }

    /// Links, and then the modes and times of directories, from the deepest to the root.
    fn finish(&mut self) -> Result<()> {
        for link in std::mem::take(&mut self.links) {
            std::os::unix::fs::symlink(OsStr::from_bytes(&link.target), &link.path)
                .map_err(|error| self.unwritable(&link.path, error))?;
            stamp(&link.path, link.time).map_err(|error| self.unwritable(&link.path, error))?;
        }
        let mut directories = std::mem::take(&mut self.directories);
        directories.sort();
        for (path, time) in directories.iter().rev() {
            std::fs::set_permissions(path, Permissions::from_mode(0o755))
                .and_then(|()| stamp(path, *time))
                .map_err(|error| self.unwritable(path, error))?;
        }
        Ok(())
    }

    fn below(&self, place: &Path) -> String {
        shown(place.strip_prefix(self.root).unwrap_or(place).as_os_str().as_bytes())
    }

    fn refused(&self, what: String) -> Error {
        Error::new(ErrorKind::CloneError, format!("the source archive {} holds {what}", self.archive.display()))
            .hint("hephy prepare writes no such archive: run it again, and look at what changed this one")
    }

    fn garbage(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::CloneError, format!("the source archive {} is not a tar.gz file", self.archive.display()))
            .cause(error)
            .hint("hephy prepare writes no such archive: run it again, and look at what changed this one")
    }

    fn unwritable(&self, place: &Path, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(format!("`{}` twice", self.below(place))),
            _ => Error::io(format!("{} could not be written", place.display()), error),
        }
    }
}

/// The last second that every file system can hold (an ext4 with small inodes ends in 2038).
const MAX_TIME: u64 = i32::MAX as u64;

fn stamp(path: &Path, time: u64) -> io::Result<()> {
    let time = Timespec { tv_sec: i64::try_from(time.min(MAX_TIME)).unwrap_or(0), tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn called(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "an entry of a kind that no source archive has",
    }
}
