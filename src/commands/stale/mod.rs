//! `hephy stale`: which images lie on bases that have moved since they were published (specification §12).
//!
//! It exits 0 whatever is stale; only what could not be read makes it fail, after everything else was shown.

mod gather;
mod show;

use std::collections::BTreeSet;

pub(super) use gather::{Standing, assess};

use super::planning;
use super::session::Session;
use crate::cli::StaleArgs;
use crate::error::{Error, Result};

/// Runs the command.
///
/// # Errors
/// When the repository or the registry of its images cannot be read, a directory is no image's, or a base cannot be
/// read.
pub fn run(session: &Session, args: &StaleArgs) -> Result<()> {
    planning::with_published(session, &args.select(), |standing| {
        let survey = standing.survey;
        let mut wanted = BTreeSet::new();
        for pattern in &args.dirs {
            wanted.extend(planning::matching("", pattern, survey)?);
        }
        let every = !wanted.is_empty();
        if !every {
            wanted = (0..survey.images.len()).collect();
        }
        let assessment = assess(session, standing, &below(&wanted, &survey.edges))?;
        let shown = show::shown(&assessment, &wanted);
        let failure = show::failure(&shown);
        session.report.json(&show::document(standing.registry, survey, &shown, failure.as_ref()))?;
        session.report.text(&show::text(survey, &shown, every))?;
        failure.map_or(Ok(()), Err)
    })
}

/// These images and everything that they are built on.
fn below(wanted: &BTreeSet<usize>, edges: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut all = wanted.clone();
    let mut open: Vec<usize> = wanted.iter().copied().collect();
    while let Some(index) = open.pop() {
        open.extend(edges[index].iter().copied().filter(|to| all.insert(*to)));
    }
    all
}

/// There is nothing that could be stale.
pub(super) fn no_registry() -> Error {
    Error::config("there is no registry whose images could be stale")
        .hint("name it with --registry, HEPHY_REGISTRY or `registry` in hephy.yaml")
}
