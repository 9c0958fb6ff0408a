//! The directory of one attempt of one build.

use std::path::{Path, PathBuf};

use super::context;
use crate::error::{Error, Result};

/// A directory for one attempt below the output directory, where it outlives a builder that clears its file system;
/// removed when it is dropped.
pub(super) struct WorkDir(PathBuf);

impl WorkDir {
    pub(super) fn new(out: &Path) -> Result<Self> {
        let parent = out.join("work");
        let mut left = 100;
        loop {
            context::make_dir(&parent)?;
            left -= 1;
            match tempfile::Builder::new().prefix(crate::commands::out_dir::BUILD).tempdir_in(&parent) {
                Ok(dir) => return Ok(Self(dir.keep())),
                // Another build has ended in between and taken its empty parent away.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && left > 0 => {}
                Err(error) => return Err(Error::io(format!("{} could not be made", parent.display()), error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        crate::store::remove_tree(&self.0);
        if let Some(parent) = self.0.parent() {
            // Only when it is empty.
            let _ = std::fs::remove_dir(parent);
        }
    }
}
