//! The default branch of a repository of pipelines: what is pushed to it, forced onto it, and run once more.

use super::edits::edit;
use super::files::{check_out, clear};
use super::generate::Limits;
use super::random::Random;
use super::world::World;
use crate::support::repo::Repo;

/// A commit that nobody has any more.
const GONE: &str = "dead000000000000000000000000000000000000";

pub(super) struct Branch {
    commits: Vec<Commit>,
    /// Number of the newest one.
    tip: usize,
}

pub(super) struct Commit {
    pub(super) id: String,
    pub(super) world: World,
}

/// What starts a pipeline of a commit, which is checked out.
pub(super) struct Push {
    /// What the event calls the commit before it.
    pub(super) before: String,
    /// What happened, for people.
    pub(super) what: String,
    /// The same in a word.
    pub(super) kind: &'static str,
}

impl Branch {
    pub(super) fn new(repo: &Repo, world: World) -> Self {
        let commit = Commit { id: commit(repo, &world, 0), world };
        Self { commits: vec![commit], tip: 0 }
    }

    /// The first push.
    pub(super) fn created(&self) -> Push {
        Push { before: "0".repeat(40), what: self.commits[0].id.clone(), kind: "first commit" }
    }

    /// The commit that is checked out.
    pub(super) fn checked_out(&self, repo: &Repo) -> &Commit {
        let head = repo.head();
        self.commits.iter().find(|commit| commit.id == head).unwrap()
    }

    /// What may happen next; `fit` makes a world one that the builder takes.
    pub(super) fn next(
        &mut self,
        random: &mut Random,
        repo: &Repo,
        limits: Limits,
        fit: impl Fn(World) -> World,
    ) -> Push {
        let (tip, any) = (self.tip, random.below(self.commits.len()));
        let old = self.commits[tip].id.clone();
        let forced = |random: &mut Random| if random.chance(50) { old.clone() } else { GONE.to_owned() };
        let edited = |random: &mut Random, world: &World| {
            let mut world = world.clone();
            let edits: Vec<_> = (0..1 + random.below(2)).map(|_| edit(random, &mut world, limits)).collect();
            (fit(world), edits.join(", "))
        };
        match random.below(100) {
            0..=19 => self.again(repo, tip, "run again"),
            20..=29 if any != tip => self.again(repo, any, "older run again"),
            30..=36 if any != tip => {
                self.tip = any;
                Push { before: forced(random), ..self.again(repo, any, "forced back") }
            }
            37..=49 if any != tip => {
                let (world, what) = edited(random, &self.commits[any].world);
                Push { before: forced(random), ..self.push(repo, any, world, ("forced", what)) }
            }
            50..=59 if any != tip => {
                let world = self.commits[any].world.clone();
                self.push(repo, tip, world, ("revert", format!("to {}", self.commits[any].id)))
            }
            _ => {
                let (world, what) = edited(random, &self.commits[tip].world);
                self.push(repo, tip, world, ("commit", what))
            }
        }
    }

    fn again(&self, repo: &Repo, number: usize, kind: &'static str) -> Push {
        let id = &self.commits[number].id;
        repo.git(&["reset", "-q", "--hard", id]);
        let parent = repo.try_git(&["rev-parse", "--verify", "-q", "HEAD~1"]).stdout;
        let before = if parent.is_empty() { "0".repeat(40) } else { String::from_utf8(parent).unwrap().trim().into() };
        Push { before, what: format!("{kind}: {id}"), kind }
    }

    /// A commit on top of that of a number.
    fn push(&mut self, repo: &Repo, on: usize, world: World, (kind, what): (&'static str, String)) -> Push {
        let before = self.commits[on].id.clone();
        repo.git(&["reset", "-q", "--hard", &before]);
        let id = commit(repo, &world, self.commits.len());
        let what = format!("{kind} on {before}: {id}: {what}");
        self.commits.push(Commit { id, world });
        self.tip = self.commits.len() - 1;
        Push { before, what, kind }
    }
}

/// Commits a world; two of a sequence are never one, though they hold the same.
fn commit(repo: &Repo, world: &World, number: usize) -> String {
    clear(repo.path());
    check_out(&world.written(), repo.path());
    repo.commit(&format!("push {number}"))
}
