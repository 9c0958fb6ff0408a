//! What started this run, what it may do, and what it is compared with (specification §2 and §6).
//!
//! Pure: an environment map and the bytes of an event file become one [`CiContext`]. Both are untrusted: a base is
//! a full commit id or all zeros, branch names obey git's rules, and whatever else stands there is refused before
//! git sees it. Nothing here holds a credential but [`Secret`], which cannot be printed.
//!
//! Where a run publishes, what is published comes before the last column, which then tells reasons and decides alone when
//! the registry cannot be read (`commands::planning`).
//!
//! | platform | event | mode | compared with |
//! |---|---|---|---|
//! | GitLab | push | publish on the default branch | `CI_COMMIT_BEFORE_SHA` |
//! | GitLab | new branch | check | merge base with the default branch |
//! | GitLab | first push of the default branch | publish | nothing: all is built |
//! | GitLab | merge request, detached | check | merge base with the target |
//! | GitLab | merge request, merged result or merge train | check | first parent of the merge |
//! | GitLab | tag, schedule | publish | nothing: all, or the schedule's list |
//! | GitLab | web, api, trigger, pipeline, chat | publish on the default branch, else check | previous commit if told, else as a new branch |
//! | GitLab | child pipeline | as the pipeline above | as the pipeline above, as far as it is told |
//! | GitHub | push | publish on the default branch | `before` |
//! | GitHub | push of a new branch | check | merge base with the default branch |
//! | GitHub | pull request | check | first parent of the merge, else merge base with the target |
//! | GitHub | merge group | check | `merge_group.base_sha` |
//! | GitHub | tag, release, schedule | publish | nothing |
//! | GitHub | workflow and repository dispatch | publish on the default branch or a tag, else check | as a new branch |
//! | GitHub | workflow run | publish only after a push to the default branch | as a new branch |
//! | GitHub | any other event | check | as a new branch |
//! | GitHub | `pull_request_target` | refused | |
//! | another CI system | any | check | merge base with the default branch |
//! | another CI system | any, with `HEPHY_PUBLISH=always` | publish | nothing |
//! | – | developer's machine | publish: whoever runs it asked for it | merge base with the default branch |

mod event;
mod finding;
mod github;
mod gitlab;
mod inputs;
mod local;
pub(crate) mod output;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use crate::change::Oid;
use crate::error::Result;
use crate::plan::Mode;

pub use event::MAX_BYTES as MAX_EVENT_BYTES;
pub use finding::{Finding, annotations, code_quality};
pub(crate) use inputs::NO_ARCH;
pub use inputs::{input_of, inputs, runner_tag, with_inputs};
pub use output::{dotenv_line, github_output, workflow_command};
pub use value::check_revision;
pub(crate) use value::clean_url;

/// The environment of a job.
pub type Env = BTreeMap<String, String>;

/// Everything that is known of a run before git is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiContext {
    /// Where it runs.
    pub platform: Platform,
    /// What started it.
    pub event: Event,
    /// May it publish.
    pub mode: Mode,
    /// Address of the repository without credentials.
    pub repository: Option<String>,
    /// The commit that the platform named.
    pub commit: Option<Oid>,
    /// Branch name; of a merge or pull request its source.
    pub branch: Option<String>,
    /// Tag name.
    pub tag: Option<String>,
    /// Name of the default branch, where the platform tells it.
    pub default_branch: Option<String>,
    /// What the range comparison is made with.
    pub base: BaseSpec,
    /// Whether only commits count; on a developer's machine the working tree does.
    pub commits_only: bool,
    /// When the pipeline was created, RFC 3339, where the platform tells it.
    pub created_at: Option<String>,
    /// The pipeline's number.
    pub run_number: Option<u64>,
    /// Page of the run.
    pub run_url: Option<String>,
    /// Address with the job's own credential, to fetch a missing commit from.
    pub fetch_url: Option<Secret>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl CiContext {
    /// The branch or tag that is built, for people and records.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.tag.as_deref().or(self.branch.as_deref())
    }

    /// Whether the run is of a branch that is known not to be the default one.
    #[must_use]
    pub fn is_beside_default(&self) -> bool {
        let other = |branch: &String| self.default_branch.as_ref().is_some_and(|default| default != branch);
        self.tag.is_none() && self.branch.as_ref().is_some_and(other)
    }
}

/// Platforms that hephy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// GitLab CI/CD.
    Gitlab,
    /// GitHub Actions.
    Github,
    /// A CI system that hephy does not know.
    Other,
    /// A developer's machine.
    Local,
}

impl Platform {
    /// Whether it tells what started a run, and has an API to ask for more.
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self, Self::Gitlab | Self::Github)
    }
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Commits were pushed to a branch.
    Push,
    /// A merge request or pull request.
    MergeRequest,
    /// A queue of merges.
    MergeGroup,
    /// A tag was pushed or released.
    Tag,
    /// A schedule.
    Schedule,
    /// A person or a program asked for it.
    Manual,
    /// Another workflow ended.
    WorkflowRun,
    /// A developer's machine.
    Local,
    /// Anything else.
    Other,
}

impl Event {
    /// The word in plans and records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::MergeRequest => "merge_request",
            Self::MergeGroup => "merge_group",
            Self::Tag => "tag",
            Self::Schedule => "schedule",
            Self::Manual => "manual",
            Self::WorkflowRun => "workflow_run",
            Self::Local => "local",
            Self::Other => "other",
        }
    }
}

/// What the head is compared with. `git` finds the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseSpec {
    /// This commit of the platform's event.
    Commit {
        /// Full id.
        id: Oid,
        /// What it is, such as "the previous commit of the push".
        what: &'static str,
    },
    /// The first parent of this merge commit, if it is what is checked out; otherwise the merge base.
    FirstParent {
        /// The merge commit that the platform made.
        merge: Oid,
        /// What it was merged into.
        target: Target,
    },
    /// The merge base with this.
    MergeBase(Target),
    /// A revision that somebody typed: `--base REV`.
    Revision(String),
    /// There is nothing to compare with, for this reason.
    Nothing(String),
}

/// The other side of a merge base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A commit.
    Commit(Oid),
    /// A branch of the remote.
    Branch(String),
    /// The default branch, whose name the platform did not tell.
    DefaultBranch,
    /// A revision that somebody typed: `--merge-base REV`.
    Revision(String),
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What the command line says about the comparison; it wins over the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--base REV`.
    pub base: Option<String>,
    /// `--merge-base REV`.
    pub merge_base: Option<String>,
    /// `--head REV`: only commits count.
    pub head: Option<String>,
}

/// Path of the event file that the platform wrote, if it writes one.
#[must_use]
pub fn event_path(env: &Env) -> Option<&str> {
    match platform(env) {
        Platform::Github => env.get("GITHUB_EVENT_PATH").map(String::as_str).filter(|path| !path.is_empty()),
        _ => None,
    }
}

/// Which platform this is.
#[must_use]
pub fn platform(env: &Env) -> Platform {
    if value::is_true(env, "GITHUB_ACTIONS") {
        Platform::Github
    } else if value::is_true(env, "GITLAB_CI") {
        Platform::Gitlab
    } else if value::is_on(env, "CI") {
        Platform::Other
    } else {
        Platform::Local
    }
}

/// What the environment and the event file say.
///
/// # Errors
/// A [`UsageError`](crate::ErrorKind::UsageError) for an event that must not be built, a value that is none, or an
/// event file that is too large or malformed.
pub fn context(env: &Env, event: Option<&[u8]>, overrides: &Overrides) -> Result<CiContext> {
    for text in [&overrides.base, &overrides.merge_base, &overrides.head].into_iter().flatten() {
        check_revision(text)?;
    }
    let mut context = match platform(env) {
        Platform::Github => github::context(env, event)?,
        Platform::Gitlab => gitlab::context(env)?,
        Platform::Other => {
            let (mode, said) = inputs::said(env, Mode::Check)?;
            local::other_ci(mode, said)
        }
        Platform::Local => local::developer(inputs::said(env, Mode::Publish)?.0),
    };
    if context.platform.is_known() {
        let lasting = matches!(context.event, Event::Tag | Event::Schedule);
        context.mode = inputs::allowed(env, context.mode, lasting)?;
    }
    match (&overrides.base, &overrides.merge_base) {
        (Some(_), Some(_)) => {
            return Err(crate::Error::usage("--base and --merge-base exclude each other"));
        }
        (Some(base), None) => context.base = BaseSpec::Revision(base.clone()),
        (None, Some(with)) => context.base = BaseSpec::MergeBase(Target::Revision(with.clone())),
        (None, None) => {}
    }
    context.commits_only |= overrides.head.is_some();
    Ok(context)
}

/// The target for the merge base of a branch that has no previous commit.
fn default_target(default_branch: Option<&str>) -> Target {
    default_branch.map_or(Target::DefaultBranch, |name| Target::Branch(name.to_owned()))
}

/// What a run without a previous commit is compared with: on the default branch there is nothing before it that is
/// known to be published; another branch is compared with where it left the default branch.
fn without_previous(on_default: bool, default_branch: Option<&str>, what: &str) -> BaseSpec {
    if on_default {
        BaseSpec::Nothing(format!("{what} has no previous commit to compare with"))
    } else {
        BaseSpec::MergeBase(default_target(default_branch))
    }
}
