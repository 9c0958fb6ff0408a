//! Random histories, written into real repositories: one `git fast-import` each.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::edits::edit;
use super::files::{File, Files};
use super::generate::{self, Limits};
use super::random::Random;
use super::world::World;

/// A commit: what it holds and what it comes from, by number.
pub(super) struct Commit {
    pub(super) world: Option<World>,
    pub(super) files: Files,
    pub(super) parents: Vec<usize>,
    /// What was done, for people.
    pub(super) what: String,
}

/// Commits, each behind its parents.
pub(super) fn history(random: &mut Random, limits: Limits, length: usize) -> Vec<Commit> {
    let first = generate::world(random, limits);
    let mut commits = vec![commit(first, vec![], "the first".to_owned())];
    let mut tip = 0;
    while commits.len() < length {
        let any = random.below(commits.len());
        let (mut world, mut parents, mut what) = (world_of(&commits, tip), vec![tip], String::new());
        match random.below(20) {
            // A branch from an older commit; the next commits lie on it.
            0..=2 => (world, parents, what) = (world_of(&commits, any), vec![any], format!("branch from {any}, ")),
            // A merge that takes one side's files, and perhaps more.
            3 | 4 if any != tip => {
                parents = vec![tip, any];
                what = format!("merge of {any}, ");
                if random.chance(50) {
                    world = world_of(&commits, any);
                }
            }
            // A revert: exactly what an older commit held.
            5 | 6 => {
                commits.push(commit(world_of(&commits, any), parents, format!("revert to {any}")));
                tip = commits.len() - 1;
                continue;
            }
            _ => {}
        }
        for _ in 0..1 + random.below(3) {
            what = format!("{what}{}, ", edit(random, &mut world, limits));
        }
        commits.push(commit(world, parents, what));
        tip = commits.len() - 1;
    }
    commits
}

fn world_of(commits: &[Commit], at: usize) -> World {
    commits[at].world.clone().unwrap()
}

fn commit(world: World, parents: Vec<usize>, what: String) -> Commit {
    Commit { files: world.written(), world: Some(world), parents, what }
}

/// Commits that are known by their files only, one behind the other.
pub(super) fn of_files(all: Vec<Files>) -> Vec<Commit> {
    let commit = |(at, files): (usize, Files)| Commit {
        world: None,
        files,
        parents: at.checked_sub(1).into_iter().collect(),
        what: String::new(),
    };
    all.into_iter().enumerate().map(commit).collect()
}

/// The numbers of a commit and all that it comes from.
pub(super) fn ancestors(commits: &[Commit], of: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![of];
    while let Some(at) = open.pop() {
        if found.insert(at) {
            open.extend(&commits[at].parents);
        }
    }
    found
}

/// The merge base of two commits; none when there are several, between which nobody can choose.
pub(super) fn merge_base(commits: &[Commit], one: usize, other: usize) -> Option<usize> {
    let common: BTreeSet<usize> = ancestors(commits, one).intersection(&ancestors(commits, other)).copied().collect();
    let best: Vec<usize> = common
        .iter()
        .copied()
        .filter(|at| !common.iter().any(|other| other != at && ancestors(commits, *other).contains(at)))
        .collect();
    match best.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// A repository with these commits: nothing is checked out, and no branch but those that are set.
pub(super) struct Repository {
    dir: TempDir,
    /// Ids by number.
    pub(super) ids: Vec<String>,
}

impl Repository {
    pub(super) fn new(commits: &[Commit]) -> Self {
        let dir = TempDir::with_prefix("hephy-model-").unwrap();
        let repository = Self { dir, ids: vec![] };
        git(repository.path(), &["init", "-q", "-b", "main"], None);
        let config = "[uploadpack]\n\tallowAnySHA1InWant = true\n[gc]\n\tauto = 0\n";
        let mut file = std::fs::OpenOptions::new().append(true).open(repository.path().join(".git/config")).unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let mut stream = Vec::new();
        for (number, commit) in commits.iter().enumerate() {
            write!(stream, "commit refs/import\nmark :{}\ncommitter A <a@example.org> ", number + 1).unwrap();
            write!(stream, "{} +0000\ndata 1\nx\n", 1_760_000_000 + number).unwrap();
            for (at, parent) in commit.parents.iter().enumerate() {
                writeln!(stream, "{} :{}", if at == 0 { "from" } else { "merge" }, parent + 1).unwrap();
            }
            if commit.parents.is_empty() && number > 0 {
                stream.extend_from_slice(b"from 0000000000000000000000000000000000000000\n");
            }
            stream.extend_from_slice(b"deleteall\n");
            for (path, file) in &commit.files {
                let (mode, content) = file.parts();
                if let File::Submodule(commit) = file {
                    writeln!(stream, "M {mode} {} {}", String::from_utf8_lossy(commit), quoted(path)).unwrap();
                    continue;
                }
                writeln!(stream, "M {mode} inline {}\ndata {}", quoted(path), content.len()).unwrap();
                stream.extend_from_slice(content);
                stream.push(b'\n');
            }
        }
        let marks = repository.path().join(".git/marks");
        let option = format!("--export-marks={}", marks.display());
        git(repository.path(), &["fast-import", "--quiet", "--force", &option], Some(&stream));
        let marks = std::fs::read_to_string(marks).unwrap();
        let mut ids = vec![String::new(); commits.len()];
        for (mark, id) in marks.lines().filter_map(|line| line.trim_start_matches(':').split_once(' ')) {
            ids[mark.parse::<usize>().unwrap() - 1] = id.to_owned();
        }
        std::fs::remove_file(repository.path().join(".git/refs/import")).unwrap();
        Self { ids, ..repository }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Lets a branch (`main` is checked out, as far as git knows) point at a commit.
    pub(super) fn set(&self, branch: &str, commit: usize) {
        let file = self.path().join(".git/refs/heads").join(branch);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("{}\n", self.ids[commit])).unwrap();
    }

    /// Takes all branches away.
    pub(super) fn unset(&self) {
        let heads = self.path().join(".git/refs/heads");
        std::fs::remove_dir_all(&heads).unwrap();
        std::fs::create_dir(&heads).unwrap();
    }

    /// What a CI system checks out: the newest `depth` commits of `main`.
    pub(super) fn shallow(&self, depth: usize) -> TempDir {
        let dir = TempDir::with_prefix("hephy-model-").unwrap();
        let depth = format!("--depth={depth}");
        let args = ["clone", "-q", "--no-checkout", &depth, "--branch=main", &self.url(), "clone"];
        git(dir.path(), &args, None);
        dir
    }
}

pub(super) fn git(dir: &Path, args: &[&str], input: Option<&[u8]>) {
    let mut command = crate::support::repo::program_in(dir, "git");
    command.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A path as `git fast-import` reads any bytes.
fn quoted(path: &[u8]) -> String {
    let escaped: String = path
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(*byte)),
            0x20..=0x7e => char::from(*byte).to_string(),
            _ => format!("\\{byte:03o}"),
        })
        .collect();
    format!("\"{escaped}\"")
}
