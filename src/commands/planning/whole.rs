//! The images of a tree without a comparison: for the graph, for `hephy stale` and for `hephy check`.

use std::collections::HashSet;

use super::ground::{self, Ground};
use super::lines::{quote, quoted};
use super::{judge, lasting, lint, schedule};
use crate::cli::SelectArgs;
use crate::commands::session::Session;
use crate::commands::stale::Standing;
use crate::commands::survey::{Survey, survey};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};

/// The images of the tree that a plan would be made of, without a comparison.
///
/// # Errors
/// When the repository cannot be read, `hephy.yaml` is invalid, or images are built on each other in a circle.
pub fn graph_of(session: &Session, select: &SelectArgs) -> Result<Survey> {
    let ground = Ground::new(session, select)?;
    let (loaded, mut objects) = ground.load_head()?;
    let survey = survey(&loaded.head, &mut objects, &ground.rules(select), None)?;
    refuse_broken(&survey).map_err(|error| quoted(error, &loaded.head, &mut objects))?;
    Ok(survey)
}

/// The images of the tree, and where they are published, for `work`.
///
/// # Errors
/// Those of [`graph_of`] and of `work`, and when there is no registry.
pub(in crate::commands) fn with_published<T>(
    session: &Session,
    select: &SelectArgs,
    work: impl FnOnce(&Standing<'_>) -> Result<T>,
) -> Result<T> {
    let ground = Ground::new(session, select)?;
    let rules = ground.rules(select);
    let (loaded, mut objects) = ground.load_head()?;
    let survey = survey(&loaded.head, &mut objects, &rules, None)?;
    refuse_broken(&survey).map_err(|error| quoted(error, &loaded.head, &mut objects))?;
    let destination = ground::destination(rules.registry, &survey.root, rules.platform_registry, rules.layout)?;
    work(&schedule::standing(&survey, &rules, &destination)?)
}

/// Everything that is wrong with images beyond their own configurations: Dockerfiles, references, names, circles. Each
/// with the configuration file of the image that it is about.
///
/// # Errors
/// When the repository cannot be read.
pub fn problems(session: &Session) -> Result<Vec<(String, Diagnostic)>> {
    let select = session.select()?;
    let ground = Ground::new(session, &select)?;
    let (loaded, mut objects) = ground.load_head()?;
    let survey = survey(&loaded.head, &mut objects, &ground.rules(&select), None)?;
    let mut found = Vec::new();
    for (image, uses) in survey.images.iter().zip(&survey.uses) {
        let own = image.problems.iter().chain(&uses.problems);
        found.extend(own.map(|finding| (image.file.clone(), finding.clone())));
    }
    let layout = select.layout.or(survey.root.layout).unwrap_or_default();
    let lasting = lasting::findings(&survey, layout);
    let whole = judge::duplicate_names(&survey, layout).into_iter().chain(lasting);
    let circle = survey.order.as_ref().err().map(|finding| (**finding).clone());
    let whole = whole.chain(circle);
    found.extend(whole.map(|finding| (finding.file.clone(), finding)));
    found.extend(lint::findings(&survey, &loaded.head, &mut objects, &ground.rules(&select))?);
    let mut said = HashSet::new();
    found.retain(|(_, finding)| said.insert((finding.file.clone(), finding.span, finding.message.clone())));
    quote(found.iter_mut().map(|(_, finding)| finding), &loaded.head, &mut objects);
    Ok(found)
}

/// An invalid `hephy.yaml` and a cycle concern every image.
pub(super) fn refuse_broken(survey: &Survey) -> Result<()> {
    if survey.root_findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::config("hephy.yaml is invalid").diagnostics(survey.root_findings.clone()));
    }
    match &survey.order {
        Ok(_) => Ok(()),
        Err(finding) => {
            Err(Error::config("images are built on each other in a circle").diagnostics(vec![(**finding).clone()]))
        }
    }
}
