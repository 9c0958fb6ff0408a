//! From what a run is compared with to a commit that is here.
//!
//! A commit that is not here is fetched. A merge base is believed only when no end of a shallow history lies
//! between it and the two sides: otherwise there may be a better one beyond, and the history is fetched first.
//! What cannot be had is no failure: then there is no base, and the reason says so.

use std::collections::HashSet;

use super::fetch::{self, History};
use super::objects::{Commit, Objects};
use super::private::Private;
use super::{Repository, run};
use crate::change::Oid;
use crate::ci::{BaseSpec, Target};
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};

/// The commit that a head is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// This one.
    Commit {
        /// Its id.
        id: Oid,
        /// What it is, such as "the previous commit of the push".
        what: String,
    },
    /// A commit whose files nobody has; what changed since is known all the same.
    Listed {
        /// Its id, where it is known.
        id: Option<Oid>,
        /// What it is, and who listed the changes.
        what: String,
    },
    /// None: everything is built.
    Nothing {
        /// Why, as a sentence without a full stop.
        reason: String,
    },
}

impl Base {
    /// The commit, if it is known; that of [`Base::Listed`] has no files here.
    #[must_use]
    pub const fn id(&self) -> Option<Oid> {
        match self {
            Self::Commit { id, .. } => Some(*id),
            Self::Listed { id, .. } => *id,
            Self::Nothing { .. } => None,
        }
    }

    /// What is compared with, for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Commit { id, what } => format!("{what} ({})", id.short()),
            Self::Listed { what, .. } => what.clone(),
            Self::Nothing { reason } => format!("nothing: {reason}"),
        }
    }

    fn nothing(reason: impl Into<String>) -> Self {
        Self::Nothing { reason: reason.into() }
    }
}

pub(super) fn find(repo: &Repository, objects: &mut Objects<'_>, head: &Commit, spec: &BaseSpec) -> Result<Base> {
    match spec {
        BaseSpec::Nothing(reason) => Ok(Base::nothing(reason)),
        BaseSpec::Commit { id, what } => present(repo, objects, *id, what),
        BaseSpec::Revision(text) => match resolve(objects, text)? {
            Some(commit) => Ok(Base::Commit { id: commit.id, what: format!("`{}`", escape_cut(text, 80)) }),
            None => match Oid::from_hex(text.as_bytes()) {
                Some(id) => present(repo, objects, id, "the commit of --base"),
                None => Err(no_such_commit(text)),
            },
        },
        BaseSpec::FirstParent { merge, target } => match head.parents.as_slice() {
            [first, _, ..] if head.id == *merge => present(repo, objects, *first, "the first parent of the merge"),
            _ => merge_base(repo, objects, head, target),
        },
        BaseSpec::MergeBase(target) => merge_base(repo, objects, head, target),
    }
}

pub(super) fn no_such_commit(revision: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{}` is no commit of this repository", escape_cut(revision, 80)))
        .hint("`git log --all` shows the commits that are here; a shallow clone has only the last ones")
}

fn resolve(objects: &mut Objects<'_>, revision: &str) -> Result<Option<Commit>> {
    Ok(objects.commits(&[revision])?.pop().flatten())
}

/// A commit that the platform named: it is here, or it is fetched.
fn present(repo: &Repository, objects: &mut Objects<'_>, id: Oid, what: &str) -> Result<Base> {
    let found = Base::Commit { id, what: what.to_owned() };
    if is_complete(repo, objects, id)? {
        return Ok(found);
    }
    let fetched = fetch::commit(repo, id);
    objects.restart();
    let problem = match fetched {
        Ok(()) if is_complete(repo, objects, id)? => return Ok(found),
        Ok(()) => "it is incomplete".to_owned(),
        Err(why) => why,
    };
    Ok(Base::nothing(format!("{what} ({}) is gone and cannot be fetched: {problem}", id.short())))
}

/// Whether a commit and all its directories are here; a partial clone may lack some.
pub(super) fn is_complete(repo: &Repository, objects: &mut Objects<'_>, id: Oid) -> Result<bool> {
    if resolve(objects, &id.to_string())?.is_none() {
        return Ok(false);
    }
    if !repo.is_partial() {
        return Ok(true);
    }
    Ok(repo.private.local(["ls-tree", "-r", "-d", "-z", "--full-tree", &id.to_string()]).capture()?.success())
}

fn merge_base(repo: &Repository, objects: &mut Objects<'_>, head: &Commit, target: &Target) -> Result<Base> {
    let other = find_target(objects, target)?;
    let what = format!("the merge base with {}", describe(target, other.as_ref().map(|(name, _)| name.as_str())));
    let shallow = shallow_ends(&repo.private)?;
    if let Some((_, other)) = &other {
        match believable(&repo.private, head.id, other.id, &shallow)? {
            Answer::Found(id) => return present(repo, objects, id, &what),
            Answer::Unrelated => return Ok(Base::nothing(format!("there is no common history for {what}"))),
            Answer::Unknown => {}
        }
    }
    let wanted = match (&other, target) {
        (Some((_, commit)), _) => fetch::Wanted::Commit(commit.id),
        (None, Target::Commit(id)) => fetch::Wanted::Commit(*id),
        (None, Target::Branch(name)) => fetch::Wanted::Branch(name),
        (None, Target::DefaultBranch) => fetch::Wanted::DefaultBranch,
        (None, Target::Revision(text)) => match Oid::from_hex(text.as_bytes()) {
            Some(id) => fetch::Wanted::Commit(id),
            None => return Err(no_such_commit(text)),
        },
    };
    let history = match History::open(repo, head.id) {
        Ok(history) => history,
        Err(why) => return Ok(Base::nothing(format!("{what} is not here and cannot be fetched: {why}"))),
    };
    for depth in fetch::DEPTHS {
        let other = match history.fetch(&wanted, depth) {
            Ok(other) => other,
            Err(why) => return Ok(Base::nothing(format!("{what} is not here and cannot be fetched: {why}"))),
        };
        let shallow = shallow_ends(&history.private)?;
        match believable(&history.private, head.id, other, &shallow)? {
            Answer::Found(id) => return present(repo, objects, id, &what),
            Answer::Unrelated => return Ok(Base::nothing(format!("there is no common history for {what}"))),
            Answer::Unknown => {}
        }
    }
    Ok(Base::nothing(format!("{what} lies beyond the history that the remote gives")))
}

fn describe(target: &Target, found: Option<&str>) -> String {
    match target {
        Target::Commit(_) => "the target".to_owned(),
        Target::Branch(name) => format!("`{}`", escape_cut(name, 80)),
        Target::Revision(text) => format!("`{}`", escape_cut(text, 80)),
        Target::DefaultBranch => match found {
            Some(name) => format!("`{}`", escape_cut(name, 80)),
            None => "the default branch".to_owned(),
        },
    }
}

/// The other side where it is here, with the name under which it was found. The remote's branch is preferred: a
/// branch of the same name on this machine may be old, or hold what is to be built.
fn find_target(objects: &mut Objects<'_>, target: &Target) -> Result<Option<(String, Commit)>> {
    let candidates: Vec<String> = match target {
        Target::Commit(id) => vec![id.to_string()],
        Target::Revision(text) => vec![text.clone()],
        Target::Branch(name) => vec![format!("refs/remotes/origin/{name}"), format!("refs/heads/{name}")],
        Target::DefaultBranch => [
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/main",
            "refs/remotes/origin/master",
            "refs/heads/main",
            "refs/heads/master",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let names: Vec<&str> = candidates.iter().map(String::as_str).collect();
    let found = objects.commits(&names)?;
    Ok(candidates.iter().zip(found).find_map(|(name, commit)| {
        let name = name.strip_prefix("refs/remotes/").or(name.strip_prefix("refs/heads/")).unwrap_or(name);
        Some((name.to_owned(), commit?))
    }))
}

enum Answer {
    Found(Oid),
    /// The whole history is here, and there is none.
    Unrelated,
    /// The history ends too early to say.
    Unknown,
}

fn believable(private: &Private, head: Oid, other: Oid, shallow: &HashSet<Oid>) -> Result<Answer> {
    let (head, other) = (head.to_string(), other.to_string());
    let output = private.local(["merge-base", "--all", &head, &other]).capture()?;
    // 1: there is none. Everything else: some commit is missing.
    let bases: Vec<Oid> = output.stdout.split(|byte| *byte == b'\n').filter_map(Oid::from_hex).collect();
    match (output.code, bases.first()) {
        (Some(0), Some(first)) if shallow.is_empty() => return Ok(Answer::Found(*first)),
        (Some(1), _) if shallow.is_empty() => return Ok(Answer::Unrelated),
        (Some(0), Some(_)) => {}
        _ => return Ok(Answer::Unknown),
    }
    let excluded = bases.iter().map(|base| format!("^{base}"));
    let between = run(&private.local(["rev-list", &head, &other]).args(excluded))?;
    let cut = between.split(|byte| *byte == b'\n').filter_map(Oid::from_hex).any(|oid| shallow.contains(&oid));
    Ok(match bases.first() {
        Some(first) if !cut => Answer::Found(*first),
        _ => Answer::Unknown,
    })
}

/// The commits whose parents are not here.
fn shallow_ends(private: &Private) -> Result<HashSet<Oid>> {
    let bytes = super::locate::read_small(&private.path().join("shallow"))?.unwrap_or_default();
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(Oid::from_hex).collect())
}
