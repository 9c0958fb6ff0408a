//! hephy's plan of a comparison, the way it comes about in CI and on a developer's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hephy::cli::{ColorChoice, Format, Global, SelectArgs};
use hephy::commands::planning::{Depth, Planning, planning};
use hephy::commands::session::Session;
use hephy::plan::assemble::{Resolved, assemble};

use super::files::{File, check_out, clear};
use super::history::{Commit, Repository, git, merge_base};
use super::random::Random;
use super::travels::Travels;
use crate::cli::{BEFORE, DIFF_BASE, HEAD, TARGET};

/// How a comparison comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `hephy plan --base REV --head REV`.
    Base,
    GitlabPush,
    GithubPush,
    /// A push to another branch than the default one: a check run.
    GitlabBranch,
    GitlabNewBranch,
    GithubNewBranch,
    GitlabRequest,
    GitlabMergedResult,
    GithubRequest,
    /// A clone without history, whose base is fetched.
    Shallow,
    /// The same where it cannot be had any more.
    Gone,
    /// Files that are not committed, on a developer's machine.
    WorkingTree,
}

pub(super) const MODES: [(Mode, &str); 12] = [
    (Mode::Base, "--base"),
    (Mode::GitlabPush, "GitLab push"),
    (Mode::GithubPush, "GitHub push"),
    (Mode::GitlabBranch, "GitLab push to a branch"),
    (Mode::GitlabNewBranch, "GitLab new branch"),
    (Mode::GithubNewBranch, "GitHub new branch"),
    (Mode::GitlabRequest, "GitLab merge request"),
    (Mode::GitlabMergedResult, "GitLab merged result"),
    (Mode::GithubRequest, "GitHub pull request"),
    (Mode::Shallow, "shallow clone"),
    (Mode::Gone, "shallow clone, base gone"),
    (Mode::WorkingTree, "working tree"),
];

impl Mode {
    /// Whether the run may publish, and so would ask a registry.
    fn publishes(self) -> bool {
        matches!(self, Self::GitlabPush | Self::GithubPush | Self::Shallow | Self::Gone)
    }
}

/// The commits compared: `before` is what the event names, which is not always the base.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) before: usize,
    pub(super) head: usize,
    pub(super) travels: Travels,
}

/// What came out.
pub(super) struct Planned {
    /// Number of the commit that must have been compared with; none where there is none to be had.
    pub(super) base: Option<usize>,
    /// Names of the images, or what hephy said.
    pub(super) images: Result<BTreeSet<String>, String>,
}

/// Runs hephy; none where the model itself cannot say what the base is.
pub(super) fn run(
    repository: &Repository,
    commits: &[Commit],
    mode: Mode,
    range: Range,
    random: &mut Random,
    registry: bool,
) -> Option<Planned> {
    if registry && mode.publishes() {
        return None;
    }
    let has_submodule = || commits[range.head].files.values().any(|file| matches!(file, File::Submodule(_)));
    if mode == Mode::WorkingTree && has_submodule() {
        return None; // where one points is said by the repository inside it, and there is none
    }
    let (mut call, base) = call(repository, commits, mode, range, random)?;
    if mode.publishes() {
        call.select.registry = Some("none".to_owned());
    }
    // Which transports git may use is the environment's say, and this process has its own.
    let images = if mode == Mode::Shallow || random.chance(5) { call.by_binary() } else { call.in_process() };
    if mode == Mode::WorkingTree {
        clear(repository.path());
    }
    Some(Planned { base, images })
}

/// The call, and the number of the commit that it must compare with.
fn call(
    repository: &Repository,
    commits: &[Commit],
    mode: Mode,
    range: Range,
    random: &mut Random,
) -> Option<(Call, Option<usize>)> {
    let Range { before, head, travels } = range;
    let (old, new) = (repository.ids[before].as_str(), repository.ids[head].as_str());
    repository.unset();
    repository.set("main", head);
    std::fs::write(repository.path().join(".git/HEAD"), format!("{new}\n")).unwrap();
    let mut call = Call::new(repository.path(), travels);
    let mut base = Some(before);
    match mode {
        Mode::Base => {
            call.select.base = Some(old.to_owned());
            call.select.head = Some(new.to_owned());
        }
        Mode::GitlabPush => call.fixture("gitlab-push", &[(BEFORE, old), (HEAD, new)]),
        Mode::GithubPush => call.fixture("github-push", &[(BEFORE, old), (HEAD, new)]),
        Mode::GitlabBranch => call.fixture("gitlab-push-branch", &[(BEFORE, old), (HEAD, new)]),
        Mode::GitlabNewBranch | Mode::GithubNewBranch => {
            repository.set("main", before);
            base = Some(merge_base(commits, before, head)?);
            let name = if mode == Mode::GithubNewBranch { "github-new-branch" } else { "gitlab-new-branch" };
            call.fixture(name, &[(HEAD, new)]);
        }
        Mode::GitlabRequest => {
            call.fixture("gitlab-merge-request-detached", &[(DIFF_BASE, old), (HEAD, new)]);
        }
        Mode::GitlabMergedResult | Mode::GithubRequest => {
            repository.set("main", before);
            base = Some(match commits[head].parents.as_slice() {
                [first, _, ..] => *first,
                _ => merge_base(commits, before, head)?,
            });
            let github = mode == Mode::GithubRequest;
            let name = if github { "github-pull-request" } else { "gitlab-merge-request-merged-result" };
            call.fixture(name, &[(TARGET, old), (HEAD, new)]);
        }
        Mode::Shallow => call = in_clone(repository, range, &repository.url(), 1 + random.below(3)),
        Mode::Gone => {
            let depth = 1 + random.below(3);
            call = in_clone(repository, range, "file:///nowhere", depth);
            git(&call.dir, &["remote", "remove", "origin"], None);
            base = near(commits, head, depth).contains(&before).then_some(before);
        }
        Mode::WorkingTree => {
            let checked_out = random.below(commits.len());
            std::fs::write(repository.path().join(".git/HEAD"), format!("{}\n", repository.ids[checked_out])).unwrap();
            clear(repository.path());
            check_out(&commits[head].files, repository.path());
            git(repository.path(), &["read-tree", "HEAD"], None);
            call.select.base = Some(old.to_owned());
        }
    }
    Some((call, base))
}

/// A call in a clone without history, of a repository at this address.
fn in_clone(repository: &Repository, range: Range, url: &str, depth: usize) -> Call {
    let dir = repository.shallow(depth);
    let mut call = Call::new(&dir.path().join("clone"), range.travels);
    call.fixture("gitlab-push", &[(BEFORE, &repository.ids[range.before]), (HEAD, &repository.ids[range.head])]);
    call.env.insert("CI_REPOSITORY_URL".to_owned(), url.to_owned());
    call.clone = Some(dir);
    call
}

/// Numbers of the commits that a clone of this depth has.
fn near(commits: &[Commit], head: usize, depth: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([head]);
    for _ in 1..depth {
        let parents: Vec<usize> = found.iter().flat_map(|at| commits[*at].parents.clone()).collect();
        found.extend(parents);
    }
    found
}

/// One call of hephy.
struct Call {
    dir: PathBuf,
    env: BTreeMap<String, String>,
    select: SelectArgs,
    travels: Travels,
    event: Option<tempfile::NamedTempFile>,
    /// Where it runs, if nowhere else.
    clone: Option<tempfile::TempDir>,
}

impl Call {
    fn new(dir: &Path, travels: Travels) -> Self {
        let backend = Some(hephy::config::BackendName::Buildkit);
        let path = std::env::var("PATH").unwrap_or_default();
        let env = [("PATH", path.as_str()), ("HOME", "/nonexistent"), ("GIT_ALLOW_PROTOCOL", "file")];
        Self {
            dir: dir.to_owned(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            select: SelectArgs { backend, dependents: Some(travels.dependents()), ..SelectArgs::default() },
            travels,
            event: None,
            clone: None,
        }
    }

    /// A recorded environment, ids in it replaced.
    fn fixture(&mut self, name: &str, ids: &[(&str, &str)]) {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ci");
        let replaced = |mut text: String| {
            ids.iter().for_each(|(from, to)| text = text.replace(from, to));
            text
        };
        let text = replaced(std::fs::read_to_string(place.join(format!("{name}.env"))).unwrap());
        self.env.extend(
            text.lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        self.env.insert("CI_REPOSITORY_URL".to_owned(), "file:///nowhere".to_owned());
        if let Ok(event) = std::fs::read_to_string(place.join(format!("{name}.json"))) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), replaced(event)).unwrap();
            self.env.insert("GITHUB_EVENT_PATH".to_owned(), file.path().display().to_string());
            self.event = Some(file);
        }
    }

    /// The library, as `hephy plan` calls it.
    fn in_process(&self) -> Result<BTreeSet<String>, String> {
        let global = Global {
            directory: Some(self.dir.clone()),
            format: Format::Json,
            verbose: false,
            quiet: true,
            color: ColorChoice::Never,
            out: ".hephy".into(),
        };
        let said = |error: hephy::Error| format!("{error:?}");
        let session = Session::new(&global, self.env.clone()).map_err(said)?;
        let plan = |depth: Depth| {
            let Planning { facts, candidates, bystanders, warnings, .. } =
                planning(&session, &self.select, depth).map_err(said)?;
            Ok::<_, String>(assemble(facts, &candidates, &Resolved::default(), bystanders, warnings))
        };
        let (plan, whole) = (plan(Depth::Look)?, plan(Depth::Whole)?);
        if plan != whole {
            return Err(format!("a look differs from the whole plan:\n{plan:#?}\n{whole:#?}"));
        }
        Ok(plan.images.iter().map(|image| image.name.to_string()).collect())
    }

    /// The command.
    fn by_binary(&self) -> Result<BTreeSet<String>, String> {
        let mut command = crate::support::repo::program_in(&self.dir, env!("CARGO_BIN_EXE_hephy"));
        command.args(["plan", "--format=json", "--quiet", "--backend=buildkit"]).env_clear().envs(&self.env);
        command.arg(format!("--dependents={}", self.travels.word()));
        let select = &self.select;
        for (name, value) in [("base", &select.base), ("head", &select.head), ("registry", &select.registry)] {
            command.args(value.as_ref().map(|value| format!("--{name}={value}")));
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let images = plan["images"].as_array().unwrap();
        Ok(images.iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect())
    }
}
