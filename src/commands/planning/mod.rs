//! Gathers what a plan is made from and lets the pure rooms decide: the common part of `plan`, `prepare`, `run` and
//! `graph`. Of the registry two things are asked: what a run that publishes would find published already, and which
//! bases have moved (`--only-stale`).

mod against;
mod candidates;
mod evidence;
mod ground;
mod judge;
mod lasting;
mod lines;
mod lint;
mod listed;
mod past;
mod preflight;
mod published;
mod run;
mod schedule;
mod sided;
mod since;
mod upstreams;
mod whole;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::Version as BuilderVersion;
use crate::change::{ImageChange, ImageId, Keyed, Keys, State, Tree, TreeChange};
use crate::ci::{CiContext, Finding};
use crate::cli::SelectArgs;
use crate::commands::published::Found;
use crate::commands::session::Session;
use crate::commands::survey::{Known, Other, Survey, UpstreamCommits, crew, survey};
use crate::config::BackendName;
use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::git::Base;
use crate::oci::ImageName;
use crate::plan::assemble::{Bystanders, Candidate, Facts};
use crate::plan::decide::Selection;

use against::Note;
pub(super) use candidates::{bases, check_offers};
use ground::Ground;
pub(super) use judge::matching;
use lines::quoted;
use past::Past;
pub use preflight::{Choice as PreflightChoice, choice as preflight_of};
use run::{Asked, Run};
use sided::Sided;
use since::Api;
pub(super) use whole::with_published;
pub use whole::{graph_of, problems};

/// Everything that is known before the registry is asked.
pub struct Planning {
    /// Top of the checkout.
    pub root: PathBuf,
    /// What started the run.
    pub context: CiContext,
    /// What is the same for every image.
    pub facts: Facts,
    /// Images with a valid configuration, decided, in the order of their directories: all of them, or for a look those
    /// that are built and what they are built on.
    pub candidates: Vec<Candidate>,
    /// What there is nothing to do for.
    pub bystanders: Bystanders,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What became of each image, sorted.
    pub changes: Vec<ImageChange>,
    /// Bases that were looked up for the decision.
    pub known_bases: BTreeMap<String, Found>,
    /// What the comparison read of published images, by name: `{image}-head`.
    pub heads: BTreeMap<ImageName, Found>,
    /// What explanations and the graph need.
    pub sides: Sides,
    /// Whether what a builder would not build as written stops the run.
    pub preflight: bool,
    /// Builders that jobs declare, with their versions.
    pub offers: Vec<(BackendName, Option<BuilderVersion>)>,
}

/// Both sides of the comparison.
pub struct Sides {
    /// The images now.
    pub survey: Survey,
    /// The images at the base.
    pub was: Option<Survey>,
    /// The files now.
    pub head: Tree,
    /// The files at the base.
    pub base: Option<Tree>,
    /// What leads from the one to the other, sorted by path.
    pub changes: Vec<TreeChange>,
    /// Keys now.
    pub head_keys: BTreeMap<ImageId, Arc<Keyed>>,
    /// Keys at the base.
    pub base_keys: BTreeMap<ImageId, Arc<Keyed>>,
    /// The commit compared with.
    pub base_commit: Base,
    /// What is published; empty where the registry was not asked.
    pub published: BTreeMap<ImageId, Note>,
    /// Earlier states that tell why images differ from what is published.
    pub pasts: Vec<Past>,
}

impl Planning {
    /// The declared version of a builder.
    #[must_use]
    pub fn version_of(&self, backend: BackendName) -> Option<BuilderVersion> {
        self.offers.iter().find(|(name, _)| *name == backend).and_then(|(_, version)| *version)
    }

    /// What is wrong with images, now that none of it keeps any of the plan's from being built.
    #[must_use]
    pub fn problems(&self) -> Vec<Finding> {
        let survey = &self.sides.survey;
        let images = survey.images.iter().zip(&survey.uses);
        let own =
            images.flat_map(|(image, uses)| image.parsed.findings.iter().chain(&image.problems).chain(&uses.problems));
        let mut all: Vec<&Diagnostic> = Vec::new();
        for finding in survey.root_findings.iter().chain(own) {
            // Images of one directory stand side by side, and share what is wrong with its files.
            if !all.iter().rev().take_while(|known| known.file == finding.file).any(|known| *known == finding) {
                all.push(finding);
            }
        }
        all.into_iter().map(Finding::of_bystander).collect()
    }
}

/// How much of what is left alone has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// That it is left alone.
    Look,
    /// Everything: its key is shown, or it may be needed after all.
    Whole,
}

/// Gathers and decides.
///
/// # Errors
/// When the repository cannot be read, or when something that is to be built is invalid.
pub fn planning(session: &Session, select: &SelectArgs, depth: Depth) -> Result<Planning> {
    let mut ground = Ground::new(session, select)?;
    let later = since::may_wait(session, select, &ground.context)?;
    let api = if later { Api::Unknown } else { since::last_success(session, select, &mut ground.context)? };
    let select = &schedule::of_schedule(session, ground.context.event, select)?;
    let (found, by_range) = planned(session, &ground, select, api, depth)?;
    if !(later && by_range) {
        return Ok(found);
    }
    let api = since::last_success(session, select, &mut ground.context)?;
    Ok(planned(session, &ground, select, api, depth)?.0)
}

/// The same with a base that is settled; says whether it decided about images.
fn planned(
    session: &Session,
    ground: &Ground,
    select: &SelectArgs,
    api: Api,
    depth: Depth,
) -> Result<(Planning, bool)> {
    let (mut loaded, mut objects) = ground.load(select.head.as_deref(), &ground.context.base)?;
    let mut warnings = ground.context.warnings.clone();
    warnings.extend(ground.compared_with_itself(&loaded));
    let rules = ground.rules(select);
    let now = survey(&loaded.head, &mut objects, &rules, None)?;
    let asked = Asked::of((session, ground, select, &rules), &now, (&loaded.head, &mut objects), &mut warnings)
        .map_err(|error| quoted(error, &loaded.head, &mut objects))?;
    let listed = asked.listed((session, &ground.context, api), &mut loaded, &mut warnings)?;
    let other = Other { survey: &now, changes: &loaded.changes };
    let keys = Keys::new(&loaded.head);
    let all = || now.keys(&keys, &rules, &UpstreamCommits::new(), &Known::Nothing, |_| true);
    let mut before = || loaded.base.as_ref().map(|tree| survey(tree, &mut objects, &rules, Some(&other))).transpose();
    // What nothing reached needs no key, unless it is compared with more than the base.
    let by_base = depth == Depth::Look && loaded.base.is_some() && asked.question.is_none();
    let (all, was) = if by_base {
        (None, before()?)
    } else {
        let (all, was) = crew::beside(all, before);
        (Some(all?), was?)
    };
    let base = was.as_ref().zip(loaded.base.as_ref());
    let sided = Sided::new((&now, keys, all), base, &loaded.changes, &rules, listed)?;
    warnings.extend(gone_targets(&now, &sided.changes));
    let run = Run {
        session,
        ground,
        select,
        rules: &rules,
        loaded: &loaded,
        now: &now,
        was: base,
        asked: &asked,
        sided: &sided,
    };
    let (decision, settled) =
        run.decided(&mut objects, &mut warnings).map_err(|error| quoted(error, &loaded.head, &mut objects))?;

    // Both with the commits of upstream repositories, or both without.
    let against = decision.against;
    let head_keys = by_id(&now, if asked.question.is_some() { &settled.keyed } else { &sided.compared });
    let range_keys = against.pasts.iter().find(|past| past.files.is_none()).map(|past| past.keys.clone());
    let base_keys = range_keys.or_else(|| was.as_ref().map(|was| by_id(was, &sided.before))).unwrap_or_default();
    let changes = sided.changes;
    let by_range = asked.selection == Selection::Changed && (asked.question.is_none() || against.unread);
    let planning = Planning {
        facts: settled.facts,
        candidates: settled.candidates,
        known_bases: decision.known_bases,
        heads: against.heads(&now),
        bystanders: Bystanders { unchanged: settled.left_alone, removed: removed(&changes) },
        warnings,
        changes: against.states(&now, changes),
        sides: Sides {
            published: asked.question.as_ref().map(|it| against.notes(&now, it)).unwrap_or_default(),
            pasts: against.pasts,
            head_keys,
            base_keys,
            survey: now,
            was,
            base_commit: loaded.base_commit,
            changes: loaded.changes,
            base: loaded.base,
            head: loaded.head,
        },
        preflight: ground.preflight != Some(PreflightChoice::Off),
        offers: ground.offers.clone(),
        root: ground.root.clone(),
        context: ground.context.clone(),
    };
    Ok((planning, by_range))
}

fn by_id(survey: &Survey, keyed: &[Option<Arc<Keyed>>]) -> BTreeMap<ImageId, Arc<Keyed>> {
    let images = survey.images.iter().zip(keyed);
    images.filter_map(|(image, keyed)| Some((image.id(), keyed.clone()?))).collect()
}

fn removed(changes: &[ImageChange]) -> Vec<String> {
    let shown = |change: &ImageChange| if change.id.dir.is_root() { ".".to_owned() } else { change.id.dir.to_string() };
    let of_dir = changes.chunk_by(|one, other| one.id.dir == other.id.dir);
    let gone = of_dir.filter(|images| images.iter().all(|change| change.state == State::Removed));
    gone.filter_map(|images| images.first().map(shown)).collect()
}

/// Images that are built no more although their directory is still there.
fn gone_targets(now: &Survey, changes: &[ImageChange]) -> Vec<String> {
    let gone = changes.iter().filter(|change| change.state == State::Removed);
    let in_dir = |change: &&ImageChange| now.images.iter().any(|image| image.path == change.id.dir);
    let what = |change: &ImageChange| match &change.id.target {
        Some(target) => format!("{} no longer has the target {target}", change.id.dir),
        None => format!("{} is now the images of its targets", change.id.dir),
    };
    gone.filter(in_dir).map(|change| format!("{}; what was published before stays", what(change))).collect()
}
