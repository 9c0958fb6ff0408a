//! `hephy plan`: what prepare would decide. Writes nothing.

use super::planning::{Depth, Planning, planning};
use super::session::Session;
use crate::cli::PlanArgs;
use crate::error::Result;
use crate::plan::assemble::{Resolved, assemble};
use crate::plan::show;

/// Runs the command.
///
/// # Errors
/// Those of [`planning`], and an unknown directory for `--explain`.
pub fn run(session: &Session, args: &PlanArgs) -> Result<()> {
    let depth = if args.explain.is_some() { Depth::Whole } else { Depth::Look };
    let planning = planning(session, &args.select, depth)?;
    for warning in &planning.warnings {
        session.report.warn(warning);
    }
    if let Some(dir) = &args.explain {
        return super::explain::run(session, &planning, dir);
    }
    let Planning { facts, candidates, bystanders, warnings, sides, .. } = planning;
    // The process ends soon: taking the trees apart piece by piece would be for nothing.
    std::mem::forget(sides);
    let plan = assemble(facts, &candidates, &Resolved::default(), bystanders, warnings);
    session.report.json(&plan)?;
    session.report.text(&show::text(&plan))?;
    std::mem::forget((plan, candidates));
    Ok(())
}
