//! One commit of a repository into a bare repository of our own, the cheap way first:
//!
//! 1. the commit by its id, shallow: every current server;
//! 2. the ref that was resolved, shallow: servers that give no commit by its id;
//! 3. all branches and tags with their history: commits that are at no tip there, and servers without shallow fetches.
//!
//! Whatever the way, the commit has to be there at the end under the id that was asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::{self, Trouble, with_retries};
use super::git::{Git, LOCAL_LIMIT};
use super::resolve::{shown, slow};
use super::{Event, Progress, address};
use crate::error::{Error, ErrorKind, Result};
use crate::process::Output;

/// What to fetch.
#[derive(Clone, Debug)]
pub(super) struct Want<'a> {
    /// From where.
    pub repository: &'a str,
    /// Full id.
    pub commit: &'a str,
    /// Names that may lead to the commit.
    pub references: Vec<&'a str>,
    /// Also the tags that point at the commit.
    pub tags: bool,
}

/// A bare repository that holds a commit with everything below it.
#[derive(Debug)]
pub(super) struct Repository {
    /// Where it is.
    pub git_dir: PathBuf,
    /// The commit.
    pub commit: String,
}

/// Fetches into `work`, a directory of the caller's that is deleted with everything in it later.
pub(super) fn fetch(git: &Git, want: &Want<'_>, work: &Path, progress: Progress<'_>) -> Result<Repository> {
    progress(Event::Fetching { repository: want.repository, commit: want.commit });
    let fetcher = Fetcher { git, want, progress };
    let commit = want.commit;
    let by_id = if want.tags { format!("{commit}:refs/hephy/commit") } else { commit.to_owned() };
    let mut last = None;

    let mut ways: Vec<(String, Vec<String>)> = vec![("id".into(), vec![by_id])];
    for (number, reference) in want.references.iter().flat_map(|name| full_names(name)).enumerate() {
        ways.push((format!("ref{number}"), vec![format!("+{reference}:refs/hephy/ref")]));
    }
    let everything = ["+refs/heads/*:refs/hephy/heads/*", "+refs/tags/*:refs/tags/*"];
    ways.push(("all".into(), everything.map(str::to_owned).to_vec()));

    for (name, refspecs) in ways {
        let git_dir = work.join(&name);
        let depth: &[&str] = if name == "all" { &[] } else { &["--depth=1"] };
        let output = fetcher.attempt(&git_dir, depth, &refspecs)?;
        if output.success() && fetcher.holds_commit(&git_dir)? {
            return Ok(Repository { git_dir, commit: commit.to_owned() });
        }
        if !output.success() {
            let trouble = failure::classify(&output, want.repository);
            if trouble != Trouble::Refused && !(trouble == Trouble::Missing && name != "id") {
                return Err(fetcher.failed(trouble, &output, &git_dir));
            }
            last = Some(output);
        }
        let _ = std::fs::remove_dir_all(&git_dir);
    }
    Err(fetcher.not_there(last.as_ref()))
}

/// The refs that a reference may stand for; none for a commit id.
fn full_names(reference: &str) -> Vec<String> {
    if address::is_commit_id(reference) || address::check_reference(reference).is_err() {
        Vec::new()
    } else if reference.starts_with("refs/") || reference == "HEAD" {
        vec![reference.to_owned()]
    } else {
        vec![format!("refs/heads/{reference}"), format!("refs/tags/{reference}")]
    }
}

struct Fetcher<'a> {
    git: &'a Git,
    want: &'a Want<'a>,
    progress: Progress<'a>,
}

impl Fetcher<'_> {
    fn attempt(&self, git_dir: &Path, depth: &[&str], refspecs: &[String]) -> Result<Output> {
        self.init(git_dir)?;
        let tags: &[&str] = if self.want.tags { &[] } else { &["--no-tags"] };
        let command = self
            .git
            .inside(git_dir)
            .args(["fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"])
            .args(depth.iter().chain(tags).copied())
            .args(["--", self.want.repository])
            .args(refspecs)
            .timeout(self.git.fetch_limit);
        let told = |failed: u32, delay: Duration| {
            (self.progress)(Event::Retrying { repository: self.want.repository, failed, delay });
        };
        with_retries(self.want.repository, &told, &|| command.capture())
            .map_err(|error| slow(error, self.want.repository))
    }

    /// An empty bare repository without templates, with the object format that the commit's id has.
    fn init(&self, git_dir: &Path) -> Result<()> {
        let format = if self.want.commit.len() == 64 { "sha256" } else { "sha1" };
        let output = self
            .git
            .inside(git_dir)
            .args(["init", "--quiet", "--bare", "--template=", &format!("--object-format={format}")])
            .timeout(LOCAL_LIMIT)
            .capture()?;
        if output.success() {
            return Ok(());
        }
        let what = format!("a repository could not be made in {}", git_dir.display());
        Err(Error::resource(what).cause(anyhow::anyhow!("git says: {}", output.stderr_text())))
    }

    /// Whether the id names a commit that is here.
    fn holds_commit(&self, git_dir: &Path) -> Result<bool> {
        let asked =
            self.git.inside(git_dir).args(["cat-file", "-t", self.want.commit]).timeout(LOCAL_LIMIT).capture()?;
        if !asked.success() {
            return Ok(false);
        }
        match asked.stdout.trim_ascii_end() {
            b"commit" => Ok(true),
            other => Err(Error::new(
                ErrorKind::CloneError,
                format!(
                    "{} of upstream {} is a {}, not a commit",
                    self.want.commit,
                    shown(self.want.repository),
                    String::from_utf8_lossy(other)
                ),
            )
            .hint("name a branch, a tag that points at a commit, or a commit")),
        }
    }

    fn failed(&self, trouble: Trouble, output: &Output, git_dir: &Path) -> Error {
        let mut what =
            format!("commit {} of upstream {} cannot be fetched", self.want.commit, shown(self.want.repository));
        if trouble == Trouble::Disk {
            what += &format!(" into {}", git_dir.display());
        }
        failure::error(trouble, output, &what, self.want.repository)
    }

    fn not_there(&self, last: Option<&Output>) -> Error {
        let what = format!("upstream {} has no commit {}", shown(self.want.repository), self.want.commit);
        let hint = "check upstream_ref; a commit that no branch or tag contains any more cannot be fetched";
        match last {
            Some(output) => failure::error(Trouble::Refused, output, &what, self.want.repository).hint(hint),
            None => Error::new(ErrorKind::CloneError, what).hint(hint),
        }
    }
}
