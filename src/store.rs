//! Files that other jobs read: whole or not at all, whenever hephy is killed. (Not whenever the machine loses power:
//! nothing here is worth a wait for the disk.)

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::diagnostic::escape;
use crate::error::{Error, Result};

/// A directory that was made if it was not there. What was made, parents included, goes away again with everything
/// in it, unless it is kept: a failure leaves the work directory as it was.
#[derive(Debug)]
pub struct Made(Option<PathBuf>);

impl Made {
    /// Makes a directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(dir: &Path) -> Result<Self> {
        let first = dir.ancestors().take_while(|dir| !dir.exists()).last().map(Path::to_owned);
        let made = Self(first);
        std::fs::create_dir_all(dir).map_err(|error| Error::io(format!("{} cannot be made", dir.display()), error))?;
        Ok(made)
    }

    /// Leaves it there.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(first) = self.0.take() {
            let _ = std::fs::remove_dir_all(first);
        }
    }
}

/// Writes a file that everybody may read: a temporary file beside it, then a rename.
///
/// # Errors
/// When the directory cannot be written, or is full.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    write_with_mode(path, content, 0o644)
}

/// The same with permissions of one's own: `0o755` for programs, `0o600` for credentials.
///
/// # Errors
/// See [`write_whole`].
pub fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = |error| Error::io(format!("{} cannot be written", path.display()), error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".hephy-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The process's umask may have taken permissions away.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)
}

/// The content of a file that another job, or a builder that does not isolate, may have left: a regular file of at
/// most `limit` bytes, or none. No link is followed, and no pipe is waited for.
///
/// # Errors
/// When something else lies there, or it cannot be read.
pub fn read_left(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    read(path, limit, OFlags::NOFOLLOW)
}

/// The same for a file that whoever runs hephy names: a link to one will do.
///
/// # Errors
/// See [`read_left`].
pub fn read_named(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    read(path, limit, OFlags::empty())
}

fn read(path: &Path, limit: u64, flags: OFlags) -> Result<Option<Vec<u8>>> {
    let shown = || escape(&path.display().to_string());
    let failed = |error| Error::io(format!("{} cannot be read", shown()), error);
    let irregular = || Error::config(format!("{} is no regular file", shown())).hint("delete it and run again");
    let mut open = std::fs::OpenOptions::new();
    // Opening a named pipe would wait for its other end.
    open.read(true).custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed());
    let file = match open.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Err(irregular()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => return Err(irregular()),
        Err(error) => return Err(failed(error)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::config(format!("{} has more than {limit} bytes", shown())).hint("it is no file of hephy's"));
    }
    Ok(Some(bytes))
}

/// Removes a file or a directory with everything in it, as far as that can be done.
pub fn remove_tree(path: &Path) {
    let is_dir = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_dir {
        let _ = std::fs::remove_file(path);
    } else if std::fs::remove_dir_all(path).is_err() {
        // A source may hold directories without write permission; root does not mind, others get a second try.
        make_writable(path);
        let _ = std::fs::remove_dir_all(path);
    }
}

fn make_writable(dir: &Path) {
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(read_left(&at("file"), 5).unwrap().unwrap(), b"12345");
        assert_eq!(read_named(&at("link"), 5).unwrap().unwrap(), b"12345");
        assert_eq!(read_left(&at("nothing"), 5).unwrap(), None);
        assert!(read_left(&at("file"), 4).is_err());
        for name in ["dir", "link", "zero", "pipe"] {
            let error = read_left(&at(name), 5).unwrap_err();
            assert!(error.message().ends_with("is no regular file"), "{name}: {error}");
        }
        for name in ["dir", "zero", "pipe"] {
            assert!(read_named(&at(name), 5).unwrap_err().message().ends_with("is no regular file"), "{name}");
        }
    }
}
