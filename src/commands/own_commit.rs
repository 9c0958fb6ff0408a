//! A plan arrives as an artifact, and artifacts of another pipeline may lie where this one's were expected: what is
//! built or published must be of the commit that this job is about.

use std::path::Path;

use super::session::Session;
use crate::ci;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::git::checked_out;
use crate::plan::Plan;

/// Refuses a plan of another commit than this job's: the one that GitLab names, or the one that is checked out. Where
/// neither is known, as in a job without a checkout, nothing can be said.
///
/// # Errors
/// When every commit that is known is another one.
pub(super) fn confirm(session: &Session, root: &Path, plan: &Plan) -> Result<()> {
    let named = session.env.get("CI_COMMIT_SHA").filter(|_| ci::platform(&session.env) == ci::Platform::Gitlab);
    let known: Vec<String> = named.cloned().into_iter().chain(checked_out(root)).collect();
    match known.last() {
        Some(last) if !known.iter().any(|commit| is_of(plan, commit)) => Err(other(plan, last)),
        _ => Ok(()),
    }
}

/// The same for a job that builds from the checkout: that one decides.
///
/// # Errors
/// When another commit is checked out.
pub(super) fn confirm_checkout(root: &Path, plan: &Plan) -> Result<()> {
    match checked_out(root) {
        Some(commit) if !is_of(plan, &commit) => Err(other(plan, &commit)),
        _ => Ok(()),
    }
}

fn is_of(plan: &Plan, commit: &str) -> bool {
    let planned = planned(plan);
    // A repository without a commit has a plan too.
    planned == commit || planned.bytes().all(|digit| digit == b'0')
}

fn planned(plan: &Plan) -> &str {
    let commit = &plan.source.commit;
    commit.strip_suffix("-dirty").unwrap_or(commit)
}

fn other(plan: &Plan, commit: &str) -> Error {
    let short = |commit: &str| escape_cut(commit.get(..12).unwrap_or(commit), 80);
    Error::config(format!("the plan is of commit {}, and this job is at {}", short(planned(plan)), short(commit))).hint(
        "run hephy prepare again; in CI, start a new pipeline: its jobs must share one commit and take the plan from its own prepare",
    )
}
