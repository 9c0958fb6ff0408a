//! Placeholder for the `source` room: the same signatures, to be replaced by it.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::oci::Digest;

/// The real path of `relative` below `root`, links followed; it must not leave `root`.
pub(super) fn confine(root: &Path, relative: &str) -> Result<PathBuf> {
    let missing = |path: &Path, error| {
        Error::config(format!("{} cannot be found", path.display())).cause(error).hint("correct the path")
    };
    let root = root.canonicalize().map_err(|error| missing(root, error))?;
    let path = root.join(relative);
    let path = path.canonicalize().map_err(|error| missing(&path, error))?;
    if path.starts_with(&root) {
        Ok(path)
    } else {
        Err(Error::config(format!("`{}` leaves its root through a link", crate::diagnostic::escape_cut(relative, 100)))
            .hint("paths must stay inside the source"))
    }
}

/// Unpacks a source archive of this digest.
pub(super) fn unpack(archive: &Path, digest: &Digest, into: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("{} could not be unpacked", archive.display()), error);
    let bytes = std::fs::read(archive).map_err(failed)?;
    if Digest::of(&bytes) != *digest {
        return Err(Error::new(ErrorKind::CloneError, format!("{} is not the archive of the plan", archive.display()))
            .hint("run prepare again"));
    }
    tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())).unpack(into).map_err(failed)
}
