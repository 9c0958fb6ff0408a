//! `hephy generate`: what a platform makes jobs of, from the plan that prepare left.

use std::collections::BTreeSet;

use super::session::Session;
use crate::cli::{GenerateArgs, GeneratePlatform};
use crate::error::{Error, Result};
use crate::generate::gitlab::{self, Limits, Options};
use crate::plan::Plan;
use crate::store::write_whole;

/// Runs the command.
///
/// # Errors
/// When there is no plan, or the document cannot be made or written.
pub fn run(session: &Session, args: &GenerateArgs) -> Result<()> {
    let (_, plan) = session.plan()?;
    let document = match args.platform {
        GeneratePlatform::Gitlab => child_pipeline(session, &plan)?,
    };
    let Some(path) = &args.output else {
        session.report.json(&parsed(&document)?)?;
        return session.report.text(&document);
    };
    let path = session.dir.join(path);
    write_whole(&path, document.as_bytes())?;
    session.report.json(&serde_json::json!({ "written": path }))
}

/// The child pipeline of GitLab for a plan.
///
/// # Errors
/// When an architecture has no runner.
pub(super) fn child_pipeline(session: &Session, plan: &Plan) -> Result<String> {
    let arches: BTreeSet<String> =
        plan.images.iter().flat_map(|image| image.platforms.iter().map(crate::oci::Platform::arch)).collect();
    let options = Options::of_env(&session.env, arches.iter().map(String::as_str))?;
    gitlab::child_pipeline(plan, &options, &Limits::default())
}

fn parsed(document: &str) -> Result<serde_json::Value> {
    serde_json::from_str(document).map_err(|error| Error::internal("the document is no JSON").cause(error))
}
