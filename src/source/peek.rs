//! One file of an archive, without unpacking it where that can be avoided.

use std::io::Read as _;
use std::path::Path;

use super::{confine, unpack};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// The file at `path` of an archive that [`prepare`](super::prepare) made; none when there is no such file. A path
/// that leads through symbolic links is followed as a build would.
///
/// # Errors
/// When the archive cannot be read, or the file has more than `limit` bytes.
pub fn read_file(archive: &Path, digest: &Digest, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
    let failed = |error| Error::io(format!("{} cannot be read", archive.display()), error);
    let file = std::fs::File::open(archive).map_err(failed)?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(std::io::BufReader::new(file)));
    let wanted = path.strip_prefix("./").unwrap_or(path).as_bytes();
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if entry.header().entry_type().is_file() && entry.path_bytes().as_ref() == wanted {
            return bounded(&mut entry, path, limit).map(Some);
        }
    }
    // Not there under that very name: a link may lead to it.
    let parent = archive.parent().unwrap_or_else(|| Path::new("."));
    let work = tempfile::Builder::new().prefix(".peek-").tempdir_in(parent).map_err(failed)?;
    let root = work.path().join("source");
    unpack(archive, digest, &root)?;
    match confine(&root, path) {
        Ok(found) if found.is_file() => {
            let mut file = std::fs::File::open(found).map_err(failed)?;
            bounded(&mut file, path, limit).map(Some)
        }
        _ => Ok(None),
    }
}

fn bounded(reader: &mut impl std::io::Read, path: &str, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let shown = || crate::diagnostic::escape(path);
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io(format!("{} of a source archive cannot be read", shown()), error))?;
    if bytes.len() > limit {
        return Err(Error::config(format!("{} of a source archive has more than {limit} bytes", shown())));
    }
    Ok(bytes)
}
