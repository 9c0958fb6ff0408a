//! GitHub Actions: default environment variables and the event file
//! (docs.github.com, "Events that trigger workflows" and "Variables reference").

use super::event::{self, EventFile};
use super::value::{clean_url, commit, number, ref_name, text};
use super::{BaseSpec, CiContext, Env, Event, Platform, Target, default_target, without_previous};
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::plan::Mode;

pub(super) fn context(env: &Env, event: Option<&[u8]>) -> Result<CiContext> {
    let name = text(env, "GITHUB_EVENT_NAME").unwrap_or_default();
    if name == "pull_request_target" {
        return Err(Error::usage(
            "pull_request_target is refused: it gives a stranger's code this repository's credentials",
        )
        .hint("use the event pull_request; forks need no secret for it"));
    }
    let file = event.map(event::parse).transpose()?.unwrap_or_default();
    let refs = Refs::read(env, name, &file)?;
    let head = commit(text(env, "GITHUB_SHA"), "GITHUB_SHA")?;
    let event = classify(name, &refs);
    let mut context = CiContext {
        platform: Platform::Github,
        event,
        mode: mode(event, name, &refs, &file, env),
        repository: repository(env),
        commit: head,
        base: BaseSpec::Nothing(String::new()),
        commits_only: true,
        created_at: None,
        run_number: number(text(env, "GITHUB_RUN_NUMBER"), "GITHUB_RUN_NUMBER")?,
        run_url: run_url(env),
        fetch_url: None,
        warnings: Vec::new(),
        branch: refs.branch.clone(),
        tag: refs.tag.clone(),
        default_branch: refs.default_branch.clone(),
    };
    context.base = base(name, &context, &refs, &file)?;
    let would_publish = matches!(event, Event::Push | Event::Manual | Event::WorkflowRun) && refs.branch.is_some();
    if would_publish && refs.default_branch.is_none() && text(env, "HEPHY_PUBLISH") != Some("never") {
        context.warnings.push(
            "the event file does not say which branch is the default one (repository.default_branch), so nothing is published"
                .to_owned(),
        );
    }
    if event == Event::Other && !name.is_empty() {
        context.warnings.push(format!("the event `{}` publishes nothing", escape_cut(name, 60)));
    }
    Ok(context)
}

struct Refs {
    branch: Option<String>,
    tag: Option<String>,
    default_branch: Option<String>,
    on_default: bool,
}

impl Refs {
    fn read(env: &Env, event: &str, file: &EventFile) -> Result<Self> {
        let full = text(env, "GITHUB_REF").unwrap_or_default();
        let tag = ref_name(full.strip_prefix("refs/tags/"), "GITHUB_REF")?;
        let pushed = ref_name(full.strip_prefix("refs/heads/"), "GITHUB_REF")?;
        let source = ref_name(text(env, "GITHUB_HEAD_REF"), "GITHUB_HEAD_REF")?;
        let told = file.repository.as_ref().and_then(|repository| repository.default_branch.as_deref());
        let mut default_branch = ref_name(told.filter(|name| !name.is_empty()), "repository.default_branch")?;
        if event == "schedule" && default_branch.is_none() {
            // Schedules run on the default branch only.
            default_branch.clone_from(&pushed);
        }
        let on_default = pushed.is_some() && pushed == default_branch;
        Ok(Self { branch: pushed.or(source), tag, default_branch, on_default })
    }
}

fn classify(name: &str, refs: &Refs) -> Event {
    match name {
        "push" if refs.tag.is_some() => Event::Tag,
        "push" => Event::Push,
        "release" if refs.tag.is_some() => Event::Tag,
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => Event::MergeRequest,
        "merge_group" => Event::MergeGroup,
        "schedule" => Event::Schedule,
        "workflow_dispatch" | "repository_dispatch" => Event::Manual,
        "workflow_run" => Event::WorkflowRun,
        _ => Event::Other,
    }
}

fn mode(event: Event, name: &str, refs: &Refs, file: &EventFile, env: &Env) -> Mode {
    let publishes = match event {
        Event::Push => refs.on_default,
        Event::Tag | Event::Schedule => true,
        // Both run in this repository and need write access to be started.
        Event::Manual => refs.on_default || (refs.tag.is_some() && name == "workflow_dispatch"),
        Event::WorkflowRun => refs.on_default && follows_push_to_default(refs, file, env),
        Event::MergeRequest | Event::MergeGroup | Event::Local | Event::Other => false,
    };
    if publishes { Mode::Publish } else { Mode::Check }
}

/// A workflow that follows one of a stranger's pull request holds credentials that the stranger must not use.
fn follows_push_to_default(refs: &Refs, file: &EventFile, env: &Env) -> bool {
    let Some(run) = &file.workflow_run else { return false };
    let home = run.head_repository.as_ref().and_then(|repository| repository.full_name.as_deref());
    run.event.as_deref() == Some("push")
        && run.head_branch.is_some()
        && run.head_branch == refs.default_branch
        && home.is_some()
        && home == text(env, "GITHUB_REPOSITORY")
}

fn base(name: &str, context: &CiContext, refs: &Refs, file: &EventFile) -> Result<BaseSpec> {
    let default_branch = refs.default_branch.as_deref();
    Ok(match context.event {
        Event::Push => {
            if file.deleted == Some(true) {
                return Err(Error::usage("the pushed branch was deleted: there is nothing to build"));
            }
            match commit(file.before.as_deref().filter(|id| !id.is_empty()), "before")? {
                Some(id) if file.created != Some(true) => {
                    BaseSpec::Commit { id, what: "the previous commit of the push" }
                }
                _ => without_previous(refs.on_default, default_branch, "the first push of the default branch"),
            }
        }
        Event::MergeRequest => pull_request(context, file)?,
        Event::MergeGroup => {
            let told = file.merge_group.as_ref().and_then(|group| group.base_sha.as_deref());
            match commit(told, "merge_group.base_sha")? {
                Some(id) => BaseSpec::Commit { id, what: "the base of the merge group" },
                None => BaseSpec::MergeBase(default_target(default_branch)),
            }
        }
        Event::Tag => BaseSpec::Nothing("a tag has no previous commit to compare with".into()),
        Event::Schedule => BaseSpec::Nothing("a schedule has no previous commit to compare with".into()),
        _ if refs.tag.is_some() => BaseSpec::Nothing("a tag has no previous commit to compare with".into()),
        _ => without_previous(refs.on_default, default_branch, &format!("`{}`", escape_cut(name, 60))),
    })
}

fn pull_request(context: &CiContext, file: &EventFile) -> Result<BaseSpec> {
    let Some(request) = &file.pull_request else {
        return Ok(BaseSpec::MergeBase(default_target(context.default_branch.as_deref())));
    };
    if let Some(head) = &request.head {
        commit(head.sha.as_deref(), "pull_request.head.sha")?;
    }
    let side = request.base.as_ref();
    let target = match commit(side.and_then(|side| side.sha.as_deref()), "pull_request.base.sha")? {
        Some(id) => Target::Commit(id),
        None => match ref_name(side.and_then(|side| side.reference.as_deref()), "pull_request.base.ref")? {
            Some(branch) => Target::Branch(branch),
            None => default_target(context.default_branch.as_deref()),
        },
    };
    Ok(match context.commit {
        Some(merge) => BaseSpec::FirstParent { merge, target },
        None => BaseSpec::MergeBase(target),
    })
}

fn repository(env: &Env) -> Option<String> {
    let server = text(env, "GITHUB_SERVER_URL").unwrap_or("https://github.com");
    clean_url(&format!("{server}/{}", text(env, "GITHUB_REPOSITORY")?))
}

fn run_url(env: &Env) -> Option<String> {
    let id = text(env, "GITHUB_RUN_ID").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(format!("{}/actions/runs/{id}", repository(env)?))
}
