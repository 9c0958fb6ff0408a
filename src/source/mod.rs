//! Upstream repositories: from a reference to a commit, from a commit to a deterministic archive, and from the
//! archive back to a directory (specification §2, §3, §16).
//!
//! | step | function | stage |
//! |---|---|---|
//! | branch, tag or id → commit | [`resolve()`] | plan, prepare |
//! | commit → `<image>-source.tar.gz` | [`prepare()`] | prepare |
//! | archive → directory | [`unpack()`] | build |
//! | path below a root, links followed | [`confine()`] | build |
//!
//! Invariants:
//! - An archive holds the committed bytes and nothing else decides them: no attribute, filter, time, umask, number of
//!   processors or version of git. The same commit gives the same bytes (`keep_git` apart).
//! - Nothing of an upstream repository is executed or obeyed as configuration: no hooks, templates, filters, LFS,
//!   fsmonitor; no submodules unless asked for, and of `.gitmodules` only paths and addresses are read.
//! - git is never able to ask a question, and never goes on for ever.
//! - Nothing is written through a symbolic link, and no file appears under its name before it is whole.
//!
//! The job's own git configuration (system and user) is trusted: credential helpers, `insteadOf`, proxies and ssh
//! settings work as for any other git call of that user. That of the checkout hephy runs in is not read.

mod access;
mod address;
mod archive;
mod confine;
mod failure;
mod fetch;
mod git;
mod gzip;
mod kept;
mod limits;
mod parallel;
mod peek;
mod prepare;
mod resolve;
mod submodules;
mod tree;
mod unpack;

pub use access::Access;
pub use address::{check_reference, check_repository, is_commit_id};
pub use confine::confine;
pub use peek::read_file;
pub use prepare::prepare;
pub use resolve::resolve;
pub use unpack::unpack;

use std::time::Duration;

use crate::oci::{Digest, ImageName};

/// A repository and what to take of it, as written in a `build-config.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    /// `upstream_repo`.
    pub repository: String,
    /// `upstream_ref`: branch, tag, full ref name, or full commit id.
    pub reference: String,
}

/// What an [`Upstream`] means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Full id of the commit, lower case.
    pub commit: String,
    /// Full name of the ref, such as `refs/tags/v1`; none where the reference is a commit id.
    pub name: Option<String>,
}

/// An archive to make.
#[derive(Clone, Debug)]
pub struct SourceRequest {
    /// The image that it is for; it names the file.
    pub image: ImageName,
    /// `upstream_repo`.
    pub repository: String,
    /// `upstream_ref`: the way to the commit on servers that give no commit by its id.
    pub reference: String,
    /// The commit that [`resolve()`] found.
    pub commit: String,
    /// Keep `.git`, without configuration, hooks and logs.
    pub keep_git: bool,
    /// Put the submodules' files in, recursively.
    pub submodules: bool,
}

/// An archive that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its name below the output directory.
    pub file: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What [`prepare()`] tells while it works.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A commit is being fetched.
    Fetching {
        /// From where.
        repository: &'a str,
        /// Which.
        commit: &'a str,
    },
    /// The network failed, and git will be tried again.
    Retrying {
        /// The repository that did not answer.
        repository: &'a str,
        /// How many tries failed so far.
        failed: u32,
        /// The wait before the next one.
        delay: Duration,
    },
    /// An archive is in place.
    Archived {
        /// The image that it is for.
        image: &'a ImageName,
        /// The archive.
        archive: &'a Archived,
    },
}

/// Receives [`Event`]s, from several threads.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Sync);
