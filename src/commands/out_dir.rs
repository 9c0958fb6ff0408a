//! The output directory while a command works in it: nobody else's work is disturbed, and what a killed run left is
//! taken away.
//!
//! The lock is on the directory itself (flock(2)), so no lock file can be left behind; it ends with the process. A
//! file system without locks is used as it is.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::store::remove_tree;

/// How long somebody who takes leftovers away is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Beginnings of the names of what lies in the directory only while somebody works.
const TEMPORARY: [&str; 6] = [".prepare-", ".source-", ".unpack-", ".peek-", ".credentials-", ".hephy-"];
/// Where builds keep their files while they run.
const WORK: &str = "work";

/// The directory, in use: locks that are held until this is dropped.
#[derive(Debug)]
pub struct OutDir(Vec<File>);

impl OutDir {
    /// For a command that must be alone in the directory.
    ///
    /// # Errors
    /// When somebody else works there.
    pub fn alone(path: &Path) -> Result<Self> {
        let lock = open(path)?;
        if !take(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(in_use(path, "another hephy works in it"));
        }
        clean(path);
        Ok(Self(vec![lock]))
    }

    /// The directory of an earlier stage, for a command that may work there beside others.
    ///
    /// # Errors
    /// When somebody works there who must be alone.
    pub fn shared(path: &Path) -> Result<Self> {
        let lock = open(path)?;
        // Whoever is alone here may clean; nobody's work has begun.
        if take(&lock, FlockOperation::NonBlockingLockExclusive) {
            clean(path);
        }
        let until = Instant::now() + PATIENCE;
        while !take(&lock, FlockOperation::NonBlockingLockShared) {
            if Instant::now() > until {
                return Err(in_use(path, "hephy prepare or hephy run works in it"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self(vec![lock]))
    }

    /// The same for a build job, which has its architecture to itself; jobs for single images share it.
    ///
    /// # Errors
    /// When somebody works there who must be alone, or who builds for the same architecture.
    pub fn of_build(path: &Path, arch: &str, one_image: bool) -> Result<Self> {
        let mut dir = Self::shared(path)?;
        // A file that prepare made and that nobody writes: again, nothing is left behind.
        if let Ok(file) = File::open(path.join(format!("need_{arch}.txt"))) {
            let operation = if one_image {
                FlockOperation::NonBlockingLockShared
            } else {
                FlockOperation::NonBlockingLockExclusive
            };
            if !take(&file, operation) {
                return Err(in_use(path, &format!("another hephy builds for {arch} in it")));
            }
            dir.0.push(file);
        }
        Ok(dir)
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io(format!("{} cannot be read", path.display()), error))
}

/// Whether the lock was taken. Where there are no locks, everything is.
fn take(file: &File, operation: FlockOperation) -> bool {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return false,
            Ok(()) | Err(_) => return true,
        }
    }
}

fn in_use(path: &Path, who: &str) -> Error {
    Error::resource(format!("{} is in use: {who}", path.display()))
        .hint("wait until it has ended, or give this one a directory of its own: --out DIR")
}

/// Takes away what a killed run left. Best effort: what stays is in nobody's way.
fn clean(path: &Path) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == WORK || TEMPORARY.iter().any(|beginning| name.starts_with(beginning)) {
            remove_tree(&entry.path());
        }
    }
}
