//! The repository through git: trees, contents, revisions; a missing base commit is fetched.
//!
//! ## What runs
//!
//! A plan of two commits takes three processes: `cat-file --batch` (revisions, commits, and contents), `ls-tree -r` of the
//! head, `diff-tree -r` between the two; the base's tree is the head's with the changes undone. Where the head has many
//! images, what they are read from is asked of a second `cat-file` beside the listing ([`ahead`]). A merge base is one
//! more. A working tree takes three more (`ls-files` twice, `diff-files`).
//!
//! ## What cannot run
//!
//! The checkout is hostile: its `.git` may hold hooks, filters, a file-system monitor, external diffs, text
//! conversions, aliases, includes, helpers and commands for transports, and may belong to somebody else. git is
//! therefore never started on it. It runs on a git directory of our own ([`private`]) that shares objects and refs
//! with the checkout and has its own configuration. No driver is defined there, so no attribute can name one; a
//! missing object is missing, never fetched on the way. Of the environment's `GIT_*` nothing is passed on.
//!
//! One process reads the checkout's configuration: before something is fetched, `git config` prints the address of
//! `origin` and the settings that CI systems leave for it (headers with tokens, proxies, certificates, rewritten
//! addresses). Those are copied as data. Commands (`core.sshCommand`, `credential.helper`, `remote.*.uploadpack`,
//! `remote.*.vcs`) are not; the user's own configuration, `GIT_SSH_COMMAND` and `GIT_ASKPASS` of the job are in
//! force for that one command, and so are the protocols https and ssh, or those that `GIT_ALLOW_PROTOCOL` lists.

mod ahead;
mod base;
mod checked_out;
mod fetch;
mod locate;
mod objects;
mod parse;
mod private;
mod sizes;
mod worktree;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::change::{Entry, Oid, RepoPath, Tree, TreeChange};
use crate::ci::{BaseSpec, Secret};
use crate::diagnostic::escape;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{Command, Dialogue, Gathered};

pub use ahead::ReadAhead;
pub use base::Base;
pub use checked_out::checked_out;
pub use objects::{Commit, Content, Objects};

use ahead::Asking;
use locate::Places;
use parse::Listing;
use private::{Private, Refs};

/// A repository on this machine.
#[derive(Debug)]
pub struct Repository {
    places: Places,
    private: Private,
    fetch_url: Option<Secret>,
    /// What was fetched for a partial clone.
    store: OnceLock<Private>,
}

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The head, `HEAD` if not given.
    pub head: Option<&'a str>,
    /// What it is compared with.
    pub base: &'a BaseSpec,
    /// Whether only commits count; otherwise the working tree does.
    pub commits_only: bool,
    /// Directories of the working tree that do not count: where hephy itself writes.
    pub exclude: &'a [RepoPath],
    /// Files whose contents will be asked for.
    pub ahead: Option<ReadAhead<'a>>,
}

/// Both sides of a comparison.
#[derive(Debug)]
pub struct Loaded {
    /// The head commit; none in a repository without one.
    pub commit: Option<Commit>,
    /// Whether the working tree counts and differs from the head commit.
    pub dirty: bool,
    /// The files that count.
    pub head: Tree,
    /// The commit compared with, or the reason why there is none.
    pub base_commit: Base,
    /// Its files.
    pub base: Option<Tree>,
    /// What leads from the base to the head, sorted by path.
    pub changes: Vec<TreeChange>,
}

impl Repository {
    /// The repository that holds `dir`, which may lie anywhere in it, or be a bare one.
    ///
    /// # Errors
    /// When there is none, or git is not installed.
    pub fn open(dir: &Path) -> Result<Self> {
        let places = Places::find(dir)?;
        let private = Private::new(&places, Refs::Linked)?;
        Ok(Self { places, private, fetch_url: None, store: OnceLock::new() })
    }

    /// Another address to fetch a missing commit from, when `origin` does not give it.
    #[must_use]
    pub fn fetch_url(mut self, url: Option<Secret>) -> Self {
        self.fetch_url = url;
        self
    }

    /// Ways in which a missing commit may be fetched, instead of the environment's `GIT_ALLOW_PROTOCOL` or https and
    /// ssh: a list such as `https:file`.
    #[must_use]
    pub fn allow_protocols(mut self, list: &str) -> Self {
        self.private.set_protocols(list.as_ref());
        self
    }

    /// Top of the working tree; none for a bare repository.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.places.root.as_deref()
    }

    /// Name of the directory that holds the repository.
    #[must_use]
    pub fn name(&self) -> String {
        let dir = self.places.root.clone().unwrap_or_else(|| self.places.git_dir.clone());
        dir.file_name().map(|name| name.to_string_lossy().trim_end_matches(".git").to_owned()).unwrap_or_default()
    }

    /// The branch that is checked out; none for a detached head.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let head = locate::read_small(&self.places.git_dir.join("HEAD")).ok()??;
        match branch_of(&head)? {
            // Where git keeps its references in tables, the file is there for programs that look no further.
            NO_BRANCH => {
                let said = self.private.local(["symbolic-ref", "-q", "HEAD"]).capture().ok()?;
                let name = branch_name(&said.stdout, b"refs/heads/").filter(|_| said.success())?;
                Some(name.to_owned()).filter(|name| name != NO_BRANCH)
            }
            name => Some(name.to_owned()),
        }
    }

    /// The default branch as far as a clone knows it: what `origin` says, else a local `main` or `master`.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        if self.places.common_dir.join("reftable").exists() {
            return self.default_branch_of_tables();
        }
        let read = |name: &str| self.places.common_file(name).ok().flatten();
        if let Some(told) = read("refs/remotes/origin/HEAD") {
            let name = told.strip_prefix(b"ref: refs/remotes/origin/")?.trim_ascii_end().to_vec();
            return String::from_utf8(name).ok();
        }
        let packed = read("packed-refs").unwrap_or_default();
        let packed = String::from_utf8_lossy(&packed);
        let exists = |name: &&str| {
            let full = format!("refs/heads/{name}");
            read(&full).is_some() || packed.lines().any(|line| line.split(' ').nth(1) == Some(&full))
        };
        ["main", "master"].into_iter().find(exists).map(str::to_owned)
    }

    /// The same where references are in tables, which git alone reads.
    fn default_branch_of_tables(&self) -> Option<String> {
        let told = self.private.local(["symbolic-ref", "-q", "refs/remotes/origin/HEAD"]).capture().ok()?;
        if told.success() {
            return branch_name(&told.stdout, b"refs/remotes/origin/").map(str::to_owned);
        }
        let exists = |name: &&str| {
            let question = ["rev-parse", "-q", "--verify", &format!("refs/heads/{name}")];
            self.private.local(question).capture().is_ok_and(|said| said.success())
        };
        ["main", "master"].into_iter().find(exists).map(str::to_owned)
    }

    /// Contents of objects.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(&self.private, Some(self))
    }

    /// Both trees and what differs, and the contents of both sides.
    ///
    /// # Errors
    /// When a revision that somebody typed means no commit, or git fails. A base of the platform's that cannot be
    /// had is no error: [`Loaded::base_commit`] says so, and there is no base.
    pub fn load(&self, request: &Request<'_>) -> Result<(Loaded, Objects<'_>)> {
        let mut objects = self.objects();
        let commit = objects.commits(&[request.head.unwrap_or("HEAD")])?.pop().flatten();
        let Some(commit) = commit else {
            return Ok((self.load_without_commit(request, &mut objects)?, objects));
        };
        let base_commit = base::find(self, &mut objects, &commit, request.base)?;
        let (at_commit, base, mut changes) = self.trees(commit.id, base_commit.id(), (request.ahead, &mut objects))?;
        if request.commits_only || request.head.is_some() {
            let commit = Some(commit);
            return Ok((Loaded { commit, dirty: false, head: at_commit, base_commit, base, changes }, objects));
        }
        let head = self.work_tree(commit.id.is_sha256(), request.exclude, &mut objects)?;
        let dirty = !head.changes_since(&at_commit).is_empty();
        if let Some(base) = &base {
            changes = head.changes_since(base);
        }
        Ok((Loaded { commit: Some(commit), dirty, head, base_commit, base, changes }, objects))
    }

    /// An earlier state of `head`, the tree of the commit `head_id`: the tree of `revision` (a full id) and what leads
    /// from it to the head. None when this clone does not have all of it; nothing is fetched.
    #[must_use]
    pub fn earlier(
        &self,
        objects: &mut Objects<'_>,
        (head, head_id): (&Tree, Oid),
        revision: &str,
    ) -> Option<(Tree, Vec<TreeChange>)> {
        let id = Oid::from_hex(revision.as_bytes())?;
        if !base::is_complete(self, objects, id).ok()? {
            return None;
        }
        let changes = run(&self.difference(id, head_id)).and_then(|bytes| parse::raw_diff(&bytes)).ok()?;
        Some((head.before(&changes).ok()?, changes))
    }

    /// `--ignore-submodules=none` wins over what a committed .gitmodules says.
    fn difference(&self, base: Oid, head: Oid) -> Command {
        let diff = self.private.local(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev"]);
        diff.args(["--no-relative", "--ignore-submodules=none", &base.to_string(), &head.to_string()])
    }

    fn load_without_commit(&self, request: &Request<'_>, objects: &mut Objects<'_>) -> Result<Loaded> {
        if let Some(head) = request.head {
            return Err(base::no_such_commit(head));
        }
        if request.commits_only {
            return Err(Error::new(ErrorKind::NotFound, "the repository has no commit"));
        }
        let sha256 = self.places.extension("objectformat")?.is_some_and(|format| format == "sha256");
        let head = self.work_tree(sha256, request.exclude, objects)?;
        let base_commit = Base::Nothing { reason: "the repository has no commit yet".into() };
        Ok(Loaded { commit: None, dirty: true, head, base_commit, base: None, changes: Vec::new() })
    }

    fn work_tree(&self, sha256: bool, exclude: &[RepoPath], objects: &mut Objects<'_>) -> Result<Tree> {
        let Some(root) = self.private.root() else {
            return Err(Error::usage("a bare repository has no working tree").hint("name a commit with --head"));
        };
        let found = worktree::read(&self.private, root, sha256, exclude)?;
        objects.add_files(found.files);
        Ok(found.tree)
    }

    /// The head's tree, the base's, and what leads from the one to the other. The two processes run side by side.
    fn trees(
        &self,
        head: Oid,
        base: Option<Oid>,
        (ahead, objects): (Option<ReadAhead<'_>>, &mut Objects<'_>),
    ) -> Result<(Tree, Option<Tree>, Vec<TreeChange>)> {
        let Some(base) = base else { return Ok((self.list(head, ahead, objects)?, None, Vec::new())) };
        let diff = self.difference(base, head);
        let (tree, changes) = std::thread::scope(|scope| {
            let changes = scope.spawn(|| run(&diff).and_then(|bytes| parse::raw_diff(&bytes)));
            let tree = self.list(head, ahead, objects);
            (tree, worktree::joined(changes))
        });
        let (tree, changes) = (tree?, changes?);
        let before = tree.before(&changes)?;
        Ok((tree, Some(before), changes))
    }

    /// The files of a commit, with the contents of some of them.
    fn list(&self, commit: Oid, ahead: Option<ReadAhead<'_>>, objects: &mut Objects<'_>) -> Result<Tree> {
        let listing = self.private.local(["ls-tree", "-r", "-z", "--full-tree", &commit.to_string()]);
        let Some(wanted) = ahead else { return list(&listing, |_| {}) };
        std::thread::scope(|scope| {
            let mut answers = None;
            let mut asking = Asking::new(wanted);
            let tree = list(&listing, |news| {
                news.for_each(|entry| asking.listed(entry.path, entry.mode, entry.oid));
                asking.flush(|| {
                    let started = self.private.local(["cat-file", "--batch", "--buffer"]).dialogue();
                    let Dialogue { input, mut output } = started.ok()?;
                    output.get_mut().expect_much();
                    answers = Some(scope.spawn(move || ahead::answers(output, wanted.limit)));
                    Some(input)
                });
            });
            drop(asking);
            objects.add_ahead(answers.and_then(|answers| answers.join().ok()).unwrap_or_default());
            tree
        })
    }

    /// Whether the commit `one` is an ancestor of `other` (both full ids); none when this clone does not know: one of
    /// them is not here, or its history is cut off.
    #[must_use]
    pub fn is_ancestor(&self, one: &str, other: &str) -> Option<bool> {
        let (one, other) = (Oid::of_revision(one)?, Oid::of_revision(other)?);
        let question = ["merge-base", "--is-ancestor", &one.to_string(), &other.to_string()];
        match self.private.local(question).capture().ok()?.code {
            Some(0) => Some(true),
            Some(1) if !self.git_dir().join("shallow").exists() => Some(false),
            _ => None,
        }
    }

    /// Whether the commit (a full id) is in the history of a branch of `origin`; none when this clone does not know.
    #[must_use]
    pub fn is_on_remote(&self, commit: &str, branch: &str) -> Option<bool> {
        let tip = self.objects().commits(&[&format!("refs/remotes/origin/{branch}")]).ok()?.pop()??;
        self.is_ancestor(commit, &tip.id.to_string())
    }

    /// Address of `origin` without credentials, where it is an `https` one.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        fetch::origin(self)
    }

    /// Whether some objects may be elsewhere by intention (`git clone --filter`).
    fn is_partial(&self) -> bool {
        let promised = |dir: std::fs::ReadDir| {
            dir.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "promisor"))
        };
        self.places.common_dir.join("objects/pack").read_dir().is_ok_and(promised)
    }

    /// Where a partial clone's missing objects go.
    fn store(&self) -> Result<&Private> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let mut store = Private::new(&self.places, Refs::Alone)?;
        store.set_protocols(self.private.protocols());
        Ok(self.store.get_or_init(|| store))
    }

    fn git_dir(&self) -> &PathBuf {
        &self.places.git_dir
    }
}

/// What `HEAD` names where the references are not files.
const NO_BRANCH: &str = ".invalid";

/// The branch that a `HEAD` file names.
fn branch_of(head: &[u8]) -> Option<&str> {
    branch_name(head.strip_prefix(b"ref: ")?, b"refs/heads/")
}

fn branch_name<'t>(reference: &'t [u8], below: &[u8]) -> Option<&'t str> {
    std::str::from_utf8(reference.strip_prefix(below)?.trim_ascii_end()).ok()
}

/// The files that `git ls-tree` lists; `hear` is told of them meanwhile.
fn list(command: &Command, mut hear: impl FnMut(&mut dyn Iterator<Item = Entry<'_>>)) -> Result<Tree> {
    let mut output = Gathered::new(command.reader()?);
    output.expect_much();
    let mut listing = Listing::default();
    loop {
        let known = listing.tree.len();
        match listing.read(&mut output) {
            Ok(true) => hear(&mut listing.tree.entries_from(known)),
            Ok(false) => return listing.tree(),
            // What git said about it was dropped: it says it again.
            Err(error) => return run(command).and(Err(error)),
        }
    }
}

/// Runs a local git command and gives what it printed.
fn run(command: &Command) -> Result<Vec<u8>> {
    let output = command.capture()?;
    if output.success() {
        return Ok(output.stdout);
    }
    let said: String = output.stderr_text().lines().last().map(escape).unwrap_or_default();
    Err(Error::resource("git could not read the repository")
        .cause(anyhow::anyhow!("git says: {said}"))
        .hint("git fsck says whether the repository is damaged or incomplete"))
}
