//! GitLab CI/CD: predefined variables (docs.gitlab.com, "Predefined CI/CD variables reference").

use super::value::{clean_url, commit, number, ref_name, text, time};
use super::{BaseSpec, CiContext, Env, Event, Platform, Secret, Target, default_target, without_previous};
use crate::diagnostic::escape_cut;
use crate::error::Result;
use crate::plan::Mode;

pub(super) fn context(env: &Env) -> Result<CiContext> {
    let source = text(env, "CI_PIPELINE_SOURCE").unwrap_or_default();
    let refs = Refs::read(env)?;
    let event = classify(source, env, &refs);
    let publishes = match event {
        Event::Tag | Event::Schedule => true,
        Event::Push | Event::Manual | Event::Other => refs.on_default,
        Event::MergeRequest | Event::MergeGroup | Event::WorkflowRun | Event::Local => false,
    };
    Ok(CiContext {
        platform: Platform::Gitlab,
        event,
        mode: if publishes { Mode::Publish } else { Mode::Check },
        repository: repository(env),
        commit: commit(text(env, "CI_COMMIT_SHA"), "CI_COMMIT_SHA")?,
        base: base(event, source, env, &refs)?,
        commits_only: true,
        created_at: time(text(env, "CI_PIPELINE_CREATED_AT"), "CI_PIPELINE_CREATED_AT")?,
        run_number: number(text(env, "CI_PIPELINE_IID"), "CI_PIPELINE_IID")?,
        run_url: text(env, "CI_PIPELINE_URL").and_then(clean_url),
        fetch_url: text(env, "CI_REPOSITORY_URL").map(Secret::new),
        warnings: Vec::new(),
        branch: refs.branch,
        tag: refs.tag,
        default_branch: refs.default_branch,
    })
}

struct Refs {
    branch: Option<String>,
    tag: Option<String>,
    default_branch: Option<String>,
    target: Option<String>,
    on_default: bool,
}

impl Refs {
    fn read(env: &Env) -> Result<Self> {
        let name = |variable| ref_name(text(env, variable), variable);
        let tag = name("CI_COMMIT_TAG")?;
        let pushed = name("CI_COMMIT_BRANCH")?;
        let source = name("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")?;
        let default_branch = name("CI_DEFAULT_BRANCH")?;
        let on_default = pushed.is_some() && pushed == default_branch && tag.is_none();
        let target = name("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")?;
        Ok(Self { branch: pushed.or(source), tag, default_branch, target, on_default })
    }
}

fn classify(source: &str, env: &Env, refs: &Refs) -> Event {
    // A child pipeline of a merge request has its variables too, and must publish no more than its parent.
    let of_request = text(env, "CI_MERGE_REQUEST_IID").is_some() && refs.tag.is_none();
    match source {
        "merge_request_event" | "external_pull_request_event" => Event::MergeRequest,
        _ if of_request => Event::MergeRequest,
        "schedule" => Event::Schedule,
        _ if refs.tag.is_some() => Event::Tag,
        "push" => Event::Push,
        "web" | "webide" | "api" | "trigger" | "pipeline" | "chat" => Event::Manual,
        _ => Event::Other,
    }
}

fn base(event: Event, source: &str, env: &Env, refs: &Refs) -> Result<BaseSpec> {
    let default_branch = refs.default_branch.as_deref();
    let previous = commit(text(env, "CI_COMMIT_BEFORE_SHA"), "CI_COMMIT_BEFORE_SHA")?;
    Ok(match (event, previous) {
        (Event::MergeRequest, _) => merge_request(env, refs)?,
        (Event::Tag, _) => BaseSpec::Nothing("a tag has no previous commit to compare with".into()),
        (Event::Schedule, _) => BaseSpec::Nothing("a schedule has no previous commit to compare with".into()),
        (_, Some(id)) => BaseSpec::Commit { id, what: "the previous commit of the push" },
        (Event::Push, None) => {
            without_previous(refs.on_default, default_branch, "the first push of the default branch")
        }
        (_, None) => {
            let what = format!("a pipeline of source `{}`", escape_cut(source, 60));
            without_previous(refs.on_default, default_branch, &what)
        }
    })
}

/// A merged result is compared with its first parent: the merge request's own diff base would add what the target
/// got meanwhile.
fn merge_request(env: &Env, refs: &Refs) -> Result<BaseSpec> {
    let target_branch = refs.target.as_deref().or(refs.default_branch.as_deref());
    let target_commit = commit(text(env, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA"), "CI_MERGE_REQUEST_TARGET_BRANCH_SHA")?;
    let diff_base = commit(text(env, "CI_MERGE_REQUEST_DIFF_BASE_SHA"), "CI_MERGE_REQUEST_DIFF_BASE_SHA")?;
    let head = commit(text(env, "CI_COMMIT_SHA"), "CI_COMMIT_SHA")?;
    let kind = text(env, "CI_MERGE_REQUEST_EVENT_TYPE").unwrap_or_default();
    let target = target_commit.map_or_else(|| default_target(target_branch), Target::Commit);
    Ok(match (head, diff_base) {
        (Some(merge), _) if matches!(kind, "merged_result" | "merge_train") => BaseSpec::FirstParent { merge, target },
        (_, Some(id)) => BaseSpec::Commit { id, what: "the merge base with the target" },
        _ => BaseSpec::MergeBase(target),
    })
}

fn repository(env: &Env) -> Option<String> {
    text(env, "CI_PROJECT_URL")
        .and_then(clean_url)
        .or_else(|| clean_url(&format!("{}/{}", text(env, "CI_SERVER_URL")?, text(env, "CI_PROJECT_PATH")?)))
}
