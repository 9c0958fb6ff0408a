//! Files that other jobs read: whole or not at all, whenever hephy is killed. (Not whenever the machine loses power:
//! nothing here is worth a wait for the disk.)

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use crate::diagnostic::escape;
use crate::error::{Error, Result};

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
