//! `--since last-success`: the commit of the last successful pipeline of the branch, from the platform's API, as the
//! base of the comparison (specification §6). Whatever goes wrong, the event's own base stays, and that is said.

use crate::ci::{BaseSpec, CiContext, Event};
use crate::cli::{SelectArgs, Since};
use crate::commands::published::block_on;
use crate::commands::session::Session;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::forge::{Forge, Trouble};
use crate::plan::Mode;

/// What is known of the platform's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// Nothing that speaks against a question.
    Unknown,
    /// It did not answer, which was said.
    Silent,
}

/// Whether the question can wait until the registry could not be read: a run that publishes compares with what is
/// published, and its base decides nothing before that.
///
/// # Errors
/// When `HEPHY_SINCE` is no such word.
pub(super) fn may_wait(session: &Session, select: &SelectArgs, context: &CiContext) -> Result<bool> {
    let is_wanted = select.base.is_none() && select.merge_base.is_none() && wanted(session, select)?.is_some();
    Ok(is_wanted && context.platform.is_known() && context.mode == Mode::Publish)
}

/// Puts the last successful pipeline's commit in the place of the event's base, where that was asked for. Says whether the
/// API can be asked more.
///
/// # Errors
/// When `HEPHY_SINCE` is no such word, or the flag is used where there are no pipelines.
pub(super) fn last_success(session: &Session, select: &SelectArgs, context: &mut CiContext) -> Result<Api> {
    // A base that somebody typed is more than a habit of the project.
    if select.base.is_some() || select.merge_base.is_some() || wanted(session, select)?.is_none() {
        return Ok(Api::Unknown);
    }
    if !context.platform.is_known() {
        return Err(Error::usage("--since last-success needs a pipeline of GitHub or GitLab")
            .hint("elsewhere --base REV says what to compare with"));
    }
    // Requests are compared with their target, and tags and schedules with nothing, whatever succeeded before.
    let of_branch = matches!(context.event, Event::Push | Event::Manual | Event::WorkflowRun | Event::Other);
    let Some(branch) = context.branch.clone().filter(|_| of_branch && context.tag.is_none()) else {
        return Ok(Api::Unknown);
    };
    let found = match Forge::of_job(&session.env) {
        Ok(Some(forge)) => block_on(async { Ok(forge.last_success(&branch).await) })?,
        Ok(None) => return Ok(Api::Unknown),
        Err(trouble) => Err(trouble),
    };
    match found {
        Ok(Some(id)) => context.base = BaseSpec::Commit { id, what: "the last successful pipeline's commit" },
        Ok(None) => context.warnings.push(format!(
            "no pipeline of `{}` was successful yet, so the base of the event counts",
            escape_cut(&branch, 80)
        )),
        Err(Trouble { what, hint, silent }) => {
            context.warnings.push(format!(
                "the last successful pipeline is not known, so the base of the event counts: {what}; hint: {hint}"
            ));
            if silent {
                return Ok(Api::Silent);
            }
        }
    }
    Ok(Api::Unknown)
}

fn wanted(session: &Session, select: &SelectArgs) -> Result<Option<Since>> {
    if select.since.is_some() {
        return Ok(select.since);
    }
    match session.env.get("HEPHY_SINCE").map_or("", |word| word.trim()) {
        "" => Ok(None),
        "last-success" => Ok(Some(Since::LastSuccess)),
        other => Err(Error::usage(format!("HEPHY_SINCE cannot be `{}`", escape_cut(other, 80)))
            .hint("last-success compares with the commit of the branch's last successful pipeline")),
    }
}
