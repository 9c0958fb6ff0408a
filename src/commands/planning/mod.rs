//! Gathers what a plan is made from and lets the pure rooms decide: the common part of `plan`, `prepare`, `run` and
//! `graph`. The registry is not asked here.

mod candidates;
mod ground;
mod judge;
mod lasting;
mod lines;
mod preflight;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::backend::Version;
use crate::change::{ImageChange, Keyed, Keys, RepoPath, State, Tree, TreeChange, compare};
use crate::ci::{CiContext, Event, Finding};
use crate::cli::SelectArgs;
use crate::commands::session::Session;
use crate::commands::survey::{Image, Known, Other, Survey, UpstreamCommits, survey};
use crate::config::BackendName;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::git::{Base, Request};
use crate::plan::assemble::{Candidate, Facts};
use crate::plan::decide::Selection;

pub(super) use candidates::check_offers;
use ground::Ground;
use lines::{quote, quoted};
pub use preflight::{Choice as PreflightChoice, choice as preflight_of};

/// Everything that is known before the registry is asked.
pub struct Planning {
    /// Top of the checkout.
    pub root: PathBuf,
    /// What started the run.
    pub context: CiContext,
    /// What is the same for every image.
    pub facts: Facts,
    /// All images with a valid configuration, decided, in the order of their directories.
    pub candidates: Vec<Candidate>,
    /// Image directories that went away.
    pub removed: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What became of each image directory, sorted.
    pub changes: Vec<ImageChange>,
    /// What explanations and the graph need.
    pub sides: Sides,
    /// Whether what a builder would not build as written stops the run.
    pub preflight: bool,
    /// Builders that jobs declare, with their versions.
    pub offers: Vec<(BackendName, Option<Version>)>,
}

/// Both sides of the comparison.
pub struct Sides {
    /// The images now.
    pub survey: Survey,
    /// The files now.
    pub head: Tree,
    /// The files at the base.
    pub base: Option<Tree>,
    /// What leads from the one to the other, sorted by path.
    pub changes: Vec<TreeChange>,
    /// Keys now, by directory.
    pub head_keys: BTreeMap<RepoPath, Rc<Keyed>>,
    /// Keys at the base, by directory.
    pub base_keys: BTreeMap<RepoPath, Rc<Keyed>>,
    /// The commit compared with.
    pub base_commit: Base,
}

impl Planning {
    /// The declared version of a builder.
    #[must_use]
    pub fn version_of(&self, backend: BackendName) -> Option<Version> {
        self.offers.iter().find(|(name, _)| *name == backend).and_then(|(_, version)| *version)
    }

    /// What is wrong with images, now that none of it keeps any of the plan's from being built.
    #[must_use]
    pub fn problems(&self) -> Vec<Finding> {
        let survey = &self.sides.survey;
        let images = survey.images.iter().zip(&survey.uses);
        let own =
            images.flat_map(|(image, uses)| image.parsed.findings.iter().chain(&image.problems).chain(&uses.problems));
        survey.root_findings.iter().chain(own).map(Finding::of_bystander).collect()
    }
}

/// Gathers and decides.
///
/// # Errors
/// When the repository cannot be read, or when something that is to be built is invalid.
pub fn planning(session: &Session, select: &SelectArgs) -> Result<Planning> {
    let ground = Ground::new(session, select)?;
    let select = &of_schedule(session, &ground.context, select);
    let mut loaded = ground.repository.load(&Request {
        head: select.head.as_deref(),
        base: &ground.context.base,
        commits_only: ground.context.commits_only,
        exclude: &ground.exclude,
    })?;
    let rules = ground.rules(select);
    let now = survey(&loaded.head, &mut loaded.objects, &rules, None)?;
    refuse_broken(&now).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    let destination = ground::destination(rules.registry, &now.root, rules.platform_registry, rules.layout)?;
    let other = Other { survey: &now, changes: &loaded.changes };
    let was = loaded.base.as_ref().map(|tree| survey(tree, &mut loaded.objects, &rules, Some(&other))).transpose()?;

    let keys = Keys::new(&loaded.head);
    let compared = now.keys(&keys, &rules, &UpstreamCommits::new(), &Known::Nothing)?;
    let before = match (&was, &loaded.base) {
        (Some(was), Some(tree)) => {
            let keys = Keys::of_base(tree, &keys, &loaded.changes);
            was.keys(&keys, &rules, &UpstreamCommits::new(), &Known::Other(&compared))?
        }
        _ => Vec::new(),
    };
    let base_side = was.as_ref().zip(loaded.base.as_ref()).map(|(was, tree)| was.side(tree, &before));
    let changes = compare(&now.side(&loaded.head, &compared), base_side.as_ref(), &loaded.changes);

    let mut warnings = ground.context.warnings.clone();
    warnings.extend(unwatched(&now));
    let selection = judge::selection(select, &now, &loaded.head, &mut loaded.objects)?;
    let decided = judge::decided(&now, &changes, &selection, select, &loaded.base_commit);
    judge::refuse_invalid(&now, &decided, &changes, &selection, destination.layout, &mut warnings)
        .map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;

    let facts = ground.tag_facts(&loaded, destination.layout);
    let tags = candidates::all_tags(&now, &decided, &facts)
        .map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    let (commits, unresolved) = candidates::upstream_commits(&now, &decided)?;
    warnings.extend(unresolved);
    let keyed = now.keys(&keys, &rules, &commits, &Known::Same(&compared))?;
    let registry = destination.registry.as_deref();
    let parts = candidates::Parts {
        survey: &now,
        rules: &rules,
        facts: &facts,
        registry,
        keyed: &keyed,
        decided,
        tags,
        commits: &commits,
    };
    let candidates =
        candidates::candidates(session, parts).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    candidates::check_offers(session, &candidates)?;

    Ok(Planning {
        facts: Facts {
            mode: ground.context.mode,
            source: ground.plan_source(&loaded),
            date: facts.date.clone(),
            comparison: comparison(&selection, &loaded.base_commit),
            layout: destination.layout,
            registry: destination.registry,
        },
        candidates,
        removed: removed(&changes),
        warnings,
        sides: Sides {
            head_keys: by_dir(&now, &compared),
            base_keys: was.as_ref().map(|was| by_dir(was, &before)).unwrap_or_default(),
            survey: now,
            base_commit: loaded.base_commit,
            changes: loaded.changes,
            base: loaded.base,
            head: loaded.head,
        },
        changes,
        preflight: ground.preflight != Some(PreflightChoice::Off),
        offers: ground.offers,
        root: ground.root,
        context: ground.context,
    })
}

/// A scheduled pipeline builds what its list names: `HEPHY_SCHEDULED` says which list, unless flags say more.
fn of_schedule(session: &Session, context: &CiContext, select: &SelectArgs) -> SelectArgs {
    let mut select = select.clone();
    let named = session.env.get("HEPHY_SCHEDULED").filter(|name| !name.is_empty());
    if context.event == Event::Schedule && !select.all && select.dirs.is_empty() && select.scheduled.is_none() {
        select.scheduled = named.cloned();
    }
    select
}

/// The images of the tree that a plan would be made of, without a comparison.
///
/// # Errors
/// When the repository cannot be read, `hephy.yaml` is invalid, or images are built on each other in a circle.
pub fn graph_of(session: &Session, select: &SelectArgs) -> Result<Survey> {
    let ground = Ground::new(session, select)?;
    let mut loaded = ground.load_head()?;
    let survey = survey(&loaded.head, &mut loaded.objects, &ground.rules(select), None)?;
    refuse_broken(&survey).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    Ok(survey)
}

/// Everything that is wrong with images beyond their own configurations: Dockerfiles, references, names, circles. Each
/// with the configuration file of the image that it is about.
///
/// # Errors
/// When the repository cannot be read.
pub fn problems(session: &Session) -> Result<Vec<(String, Diagnostic)>> {
    let select = session.select()?;
    let ground = Ground::new(session, &select)?;
    let mut loaded = ground.load_head()?;
    let survey = survey(&loaded.head, &mut loaded.objects, &ground.rules(&select), None)?;
    let mut found = Vec::new();
    for (image, uses) in survey.images.iter().zip(&survey.uses) {
        let own = image.problems.iter().chain(&uses.problems);
        found.extend(own.map(|finding| (image.file.clone(), finding.clone())));
    }
    let layout = select.layout.or(survey.root.layout).unwrap_or_default();
    let lasting = lasting::findings(&survey, layout);
    let whole = judge::duplicate_names(&survey, layout).into_iter().chain(lasting);
    let whole = whole.chain(survey.order.err().map(|finding| *finding));
    found.extend(whole.map(|finding| (finding.file.clone(), finding)));
    quote(found.iter_mut().map(|(_, finding)| finding), &loaded.head, &mut loaded.objects);
    Ok(found)
}

/// An invalid `hephy.yaml` and a cycle concern every image.
fn refuse_broken(survey: &Survey) -> Result<()> {
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

/// `watch` is read and does nothing yet; whoever relies on it must hear so.
fn unwatched(survey: &Survey) -> Option<String> {
    let watching = |image: &&Rc<Image>| image.config().is_some_and(|config| !config.watch.is_empty());
    let names: Vec<&str> = survey.images.iter().filter(watching).map(|image| image.name.as_str()).collect();
    let (first, rest) = names.split_first()?;
    let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(format!("`watch` of {first}{others} is not supported yet: changes of those paths trigger nothing"))
}

fn by_dir(survey: &Survey, keyed: &[Option<Rc<Keyed>>]) -> BTreeMap<RepoPath, Rc<Keyed>> {
    let images = survey.images.iter().zip(keyed);
    images.filter_map(|(image, keyed)| Some((image.path.clone(), keyed.clone()?))).collect()
}

fn removed(changes: &[ImageChange]) -> Vec<String> {
    let gone = changes.iter().filter(|change| change.state == State::Removed);
    gone.map(|change| if change.dir.is_root() { ".".to_owned() } else { change.dir.to_string() }).collect()
}

/// What the run is about, for people.
fn comparison(selection: &Selection, base: &Base) -> String {
    match (selection, base) {
        (Selection::All, _) => "every image".to_owned(),
        (Selection::Named(_), _) => "the images that were named".to_owned(),
        (Selection::Scheduled(_, file), _) => format!("the images listed in {file}"),
        (Selection::Changed, Base::Commit { .. }) => format!("compared with {}", base.text()),
        (Selection::Changed, Base::Nothing { reason }) => format!("everything: {reason}"),
    }
}
