//! The output directory while a command works in it: nobody else's work is disturbed, and what a killed run left is
//! taken away.
//!
//! The lock is on the directory itself (flock(2)), so no lock file can be left behind; it ends with the process. A
//! file system without locks is used as it is.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::diagnostic::escape;
use crate::error::{Error, Result};
use crate::store::remove_tree;

/// How long somebody who takes leftovers away is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Beginnings of the names of what lies in the directory only while somebody works.
const TEMPORARY: [&str; 6] = [".source-", ".unpack-", ".peek-", ".credentials-", ".hephy-", REGISTRY];
/// The data of a registry inside a job.
pub(crate) const REGISTRY: &str = ".registry-";
/// The same while a plan is made.
pub(crate) const STAGING: &str = ".prepare-";
/// Where builds keep their files while they run.
const WORK: &str = "work";
/// Beginning of the name of one build's directory there.
pub(crate) const BUILD: &str = "build-";
/// How many characters `tempfile` adds to a beginning.
const RANDOM: usize = 6;

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
        ignore(path)?;
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
        if let Some(file) = regular(&path.join(format!("need_{arch}.txt"))) {
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

/// A file to lock, if it is one: opening a pipe that somebody planted would wait.
fn regular(path: &Path) -> Option<File> {
    path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()
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

/// Keeps `git add` and `git status` away from a directory that was just made: it holds a registry's data and a binary.
/// One that somebody else made, and that has something in it, is theirs.
fn ignore(path: &Path) -> Result<()> {
    let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if empty {
        crate::store::write_whole(&path.join(".gitignore"), b"# hephy made this directory.\n*\n")
    } else {
        Ok(())
    }
}

/// Takes away what a killed run left, and nothing else, even in a directory that was named by mistake: only entries
/// whose whole names are hephy's. Best effort: what stays is in nobody's way.
fn clean(path: &Path) {
    remove_named(path, &[STAGING]);
    // Nothing else of ours is there before a plan is.
    if !path.join("plan.json").is_file() {
        return;
    }
    remove_named(path, &TEMPORARY);
    let work = path.join(WORK);
    if work.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        remove_named(&work, &[BUILD]);
        // Only when it is empty.
        let _ = std::fs::remove_dir(&work);
    }
}

/// Removes what `tempfile` made below `dir`: one of the beginnings, then [`RANDOM`] letters and digits.
fn remove_named(dir: &Path, beginnings: &[&str]) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let random = |beginning: &&str| {
            let rest = name.strip_prefix(beginning).unwrap_or_default();
            rest.len() == RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if beginnings.iter().any(random) {
            remove_tree(&entry.path());
        }
    }
}

/// Makes sure that writing into the output directory writes nowhere else: it is no part of git's, it does not hold
/// the checkout, and no link that the repository may have brought along leads away from it.
///
/// # Errors
/// Says which of these it is.
pub fn check(root: &Path, out: &Path) -> Result<()> {
    let shown = || escape(&out.display().to_string());
    let refuse = |why: String| {
        Err(Error::usage(format!("{} cannot be the output directory: {why}", shown()))
            .hint("--out and HEPHY_OUT name a directory of hephy's own, .hephy by default"))
    };
    if out.components().any(|part| part.as_os_str() == ".git") {
        return refuse("it is git's".to_owned());
    }
    let real = out.canonicalize().ok();
    let lexical = normal(out);
    if [real.as_deref(), Some(lexical.as_path())].into_iter().flatten().any(|out| root.starts_with(out)) {
        return refuse("it holds the checkout".to_owned());
    }
    // Where somebody names a place outside, links on the way there are theirs; inside they are the repository's.
    let mut places = Vec::new();
    if let Ok(inside) = lexical.strip_prefix(root) {
        let mut place = root.to_owned();
        for part in inside.components() {
            place.push(part);
            places.push(place.clone());
        }
    }
    // hephy makes no links there.
    let directories = |dir: &Path| dir.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    places.extend(directories(out).filter(|place| place.is_dir()));
    places.extend(directories(&out.join("bin")));
    let link = places.into_iter().find(|place| place.symlink_metadata().is_ok_and(|found| found.is_symlink()));
    match link {
        Some(link) => refuse(format!("{} is a symbolic link", escape(&link.display().to_string()))),
        None => Ok(()),
    }
}

/// The path without `.` and `..`, as far as that can be told without looking.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_and_what_holds_it_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for wrong in ["/", ".", "..", "x/..", "./x/../..", "../../..", ".git", ".git/hooks", "x/../.git/y"] {
            assert!(check(&root, &root.join(wrong)).is_err(), "{wrong}");
        }
        assert!(check(&root, &root).is_err() && check(&root, root.parent().unwrap()).is_err());
        for right in [".hephy", "a/b", "../x", "/nowhere/x", ".github", "-x"] {
            assert!(check(&root, &root.join(right)).is_ok(), "{right}");
        }
    }

    #[test]
    fn only_what_is_hephys_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let has = |name: &str| dir.path().join(name).exists();
        let theirs = ["work/mine", "work/build-mine", "other", ".source-code", ".prepare-notes", ".hephy-notes"];
        let ours = ["work/build-a1B2c3/source/deep", ".source-a1B2c3", ".credentials-a1B2c3"];
        for name in theirs.iter().chain(&ours).chain(&[".prepare-a1B2c3"]) {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("other"), dir.path().join(".unpack-a1B2c3")).unwrap();
        drop(OutDir::alone(dir.path()).unwrap());
        let kept = |names: &[&str]| names.iter().all(|name| has(name));
        assert!(kept(&theirs) && kept(&ours) && !has(".prepare-a1B2c3"), "a directory without a plan may be anybody's");
        std::fs::write(dir.path().join("plan.json"), "{}").unwrap();
        drop(OutDir::alone(dir.path()).unwrap());
        assert!(kept(&theirs) && !ours.iter().any(|name| has(name)) && !has(".unpack-a1B2c3"));
        std::fs::remove_dir_all(dir.path().join("work")).unwrap();
        std::fs::create_dir_all(dir.path().join("work/build-a1B2c3")).unwrap();
        drop(OutDir::shared(dir.path()).unwrap());
        assert!(!has("work"));
    }
}
