//! Files that other jobs read: whole or not at all, whenever hephy is killed. (Not whenever the machine loses power:
//! nothing here is worth a wait for the disk.)

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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
