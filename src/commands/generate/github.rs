//! `hephy generate github`: the job matrices of a plan, and prepare's output `matrix`.

use crate::ci::Env;
use crate::cli::GenerateArgs;
use crate::commands::session::Session;
use crate::error::{Error, Result};
use crate::generate::Fanout;
use crate::generate::github::{Matrices, Runners, matrices};
use crate::plan::Plan;

/// Runs the command.
///
/// # Errors
/// When there is no plan, a variable holds something else than it should, or an architecture has no runner.
pub fn run(session: &Session, args: &GenerateArgs) -> Result<()> {
    let (_, plan) = session.plan()?;
    match &args.output {
        None => session.report.document(&document(&session.env, &plan)?),
        Some(file) => {
            let line = format!("{}\n", output(&session.env, &plan)?);
            crate::store::write_whole(&session.dir.join(file), line.as_bytes())
        }
    }
}

/// Prepare's output `matrix`.
///
/// # Errors
/// See [`run`].
pub fn output(env: &Env, plan: &Plan) -> Result<String> {
    serde_json::to_string(&document(env, plan)?).map_err(|error| Error::internal("no JSON").cause(error))
}

/// The matrices as this job's environment wants them.
///
/// # Errors
/// See [`run`].
fn document(env: &Env, plan: &Plan) -> Result<Matrices> {
    let text = |name: &str| env.get(name).map(String::as_str).unwrap_or_default();
    matrices(plan, &Runners::parse(text("HEPHY_GITHUB_RUNNERS"))?, Fanout::parse(text("HEPHY_FANOUT"))?)
}
