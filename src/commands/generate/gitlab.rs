//! `hephy generate gitlab`: the child pipeline of a plan, which prepare writes itself with `HEPHY_FANOUT=image`.

use std::collections::BTreeSet;

use crate::cli::GenerateArgs;
use crate::commands::session::Session;
use crate::error::{Error, Result};
use crate::generate::Fanout;
use crate::generate::gitlab::{Limits, Options, child_pipeline};
use crate::oci::Platform;
use crate::plan::Plan;
use crate::store::write_whole;

/// Runs the command.
///
/// # Errors
/// When there is no plan, an architecture has no runner, or the file cannot be written.
pub fn run(session: &Session, args: &GenerateArgs) -> Result<()> {
    let (_, plan) = session.plan()?;
    let pipeline = document(session, &plan)?;
    if let Some(file) = &args.output {
        return write_whole(&session.dir.join(file), pipeline.as_bytes());
    }
    let value: serde_json::Value =
        serde_json::from_str(&pipeline).map_err(|error| Error::internal("a pipeline that is no JSON").cause(error))?;
    session.report.document(&value)
}

/// The child pipeline, where prepare is to write one.
///
/// # Errors
/// See [`run`], and when `HEPHY_FANOUT` is no such word.
pub fn fan_out(session: &Session, plan: &Plan) -> Result<Option<String>> {
    let word = session.env.get("HEPHY_FANOUT").map(String::as_str).unwrap_or_default();
    match Fanout::parse(word)? {
        Fanout::Arch => Ok(None),
        Fanout::Image => document(session, plan).map(Some),
    }
}

fn document(session: &Session, plan: &Plan) -> Result<String> {
    let platforms = plan.images.iter().flat_map(|image| &image.platforms);
    let arches: BTreeSet<String> = platforms.map(Platform::arch).collect();
    let options = Options::of_env(&session.env, arches.iter().map(String::as_str))?;
    child_pipeline(plan, &options, &Limits::default())
}
