//! `hephy generate github`: the job matrices of a plan, and prepare's output `matrix`.

use crate::ci::Env;
use crate::cli::GenerateArgs;
use crate::commands::session::Session;
use crate::error::{Error, Result};
use crate::generate::github::{Fanout, Matrices, Runners, matrices};
use crate::plan::Plan;

/// Runs the command.
///
/// # Errors
/// When there is no plan, a variable holds something else than it should, or an architecture has no runner.
pub fn run(session: &Session, args: &GenerateArgs) -> Result<()> {
    let (_, plan) = session.plan()?;
    let document = document(&session.env, &plan)?;
    let Some(output) = &args.output else { return session.report.document(&document) };
    let mut bytes = serde_json::to_vec(&document).map_err(|error| Error::internal("no JSON").cause(error))?;
    bytes.push(b'\n');
    crate::store::write_whole(&session.dir.join(output), &bytes)
}

/// The matrices as this job's environment wants them.
///
/// # Errors
/// See [`run`].
pub fn document(env: &Env, plan: &Plan) -> Result<Matrices> {
    let text = |name: &str| env.get(name).map(String::as_str).unwrap_or_default();
    matrices(plan, &Runners::parse(text("HEPHY_GITHUB_RUNNERS"))?, Fanout::parse(text("HEPHY_FANOUT"))?)
}
