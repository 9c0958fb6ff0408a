//! Scheduled rebuilds: what the environment of a scheduled pipeline asks for, and which images are left of those that
//! were asked for when only stale ones are to be built (specification §6 and §12).

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Destination;
use crate::ci::Event;
use crate::cli::SelectArgs;
use crate::commands::published::Found;
use crate::commands::session::Session;
use crate::commands::stale::{Standing, assess, no_registry};
use crate::commands::survey::{Rules, Survey};
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::plan::Reason;

/// A scheduled pipeline builds what its list names: `HEPHY_SCHEDULED` says which list, unless flags say more, and
/// `HEPHY_ONLY_STALE` whether only what is stale. Without a list it is about every image.
///
/// # Errors
/// When it is not said what is to be looked at, or `HEPHY_ONLY_STALE` is no switch.
pub(super) fn of_schedule(session: &Session, event: Event, select: &SelectArgs) -> Result<SelectArgs> {
    let mut select = select.clone();
    let is_explicit = |select: &SelectArgs| select.all || !select.dirs.is_empty();
    let of_schedule = event == Event::Schedule;
    let named = session.env.get("HEPHY_SCHEDULED").filter(|name| !name.is_empty());
    if of_schedule && !is_explicit(&select) && select.scheduled.is_none() {
        select.scheduled = named.cloned();
    }
    if (of_schedule || select.scheduled.is_some()) && !is_explicit(&select) {
        select.only_stale |= only_stale(session)?;
    }
    if select.only_stale && select.scheduled.is_none() && !is_explicit(&select) {
        if !of_schedule {
            return Err(Error::usage("--only-stale does not say which images to look at")
                .hint("add --scheduled NAME, --dir DIR or --all; hephy stale shows what is stale"));
        }
        select.all = true;
    }
    if select.only_stale && select.force {
        return Err(Error::usage("--only-stale and --force exclude each other")
            .hint("--force builds whatever was asked for, stale or not"));
    }
    Ok(select)
}

fn only_stale(session: &Session) -> Result<bool> {
    match session.env.get("HEPHY_ONLY_STALE").map_or("", |word| word.trim()) {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        other => Err(Error::usage(format!("HEPHY_ONLY_STALE cannot be `{}`", escape_cut(other, 80)))
            .hint("true builds only what is stale of a schedule's list, false the whole list")),
    }
}

/// Where the images of a survey are published.
///
/// # Errors
/// When there is no registry.
pub(super) fn standing<'a>(
    survey: &'a Survey,
    rules: &'a Rules<'a>,
    destination: &'a Destination,
) -> Result<Standing<'a>> {
    let registry = destination.registry.as_deref().ok_or_else(no_registry)?;
    Ok(Standing { survey, rules, registry, layout: destination.layout })
}

/// Takes away the reasons of images that are not stale, gives those that are their own, and says what nobody can
/// know. What is stale and cannot be built is left out, unless the images were `named` one by one. Gives the bases that
/// were looked up.
///
/// # Errors
/// When what is published cannot be read at all.
pub(super) fn keep_stale(
    session: &Session,
    standing: &Standing<'_>,
    (named, decided): (bool, &mut Vec<Vec<Reason>>),
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, Found>> {
    let asked = decided.iter().enumerate().filter(|(_, reasons)| !reasons.is_empty());
    let among: BTreeSet<usize> = asked.map(|(index, _)| index).collect();
    let mut assessment = assess(session, standing, &among)?;
    if !named {
        warnings.extend(assessment.leave_out_unbuildable(standing.survey));
    }
    *decided = assessment.reasons(standing.survey);
    warnings.extend(assessment.warnings(standing.survey));
    Ok(assessment.found)
}
