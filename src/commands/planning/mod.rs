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
mod schedule;
mod since;
mod upstreams;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::backend::Version as BuilderVersion;
use crate::change::{ImageChange, ImageId, Keyed, Keys, State, Tree, TreeChange, compare};
use crate::ci::{CiContext, Finding};
use crate::cli::SelectArgs;
use crate::commands::published::Found;
use crate::commands::session::Session;
use crate::commands::stale::Standing;
use crate::commands::survey::{Known, Other, Rules, Survey, UpstreamCommits, survey};
use crate::config::BackendName;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Result};
use crate::git::{Base, Request};
use crate::oci::ImageName;
use crate::plan::Reason;
use crate::plan::assemble::{Candidate, Facts};
use crate::plan::decide::Selection;
use crate::plan::standing::Reuse;
use crate::plan::tags::{ImageTags, TagFacts, Version};

use against::{Against, Compared, Note, of_another_run};
pub(super) use candidates::{bases, check_offers};
use ground::Ground;
pub(super) use judge::matching;
use lines::{quote, quoted};
use listed::ListedPaths;
use past::Past;
pub use preflight::{Choice as PreflightChoice, choice as preflight_of};
use published::Question;
use upstreams::Upstreams;

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
    pub head_keys: BTreeMap<ImageId, Rc<Keyed>>,
    /// Keys at the base.
    pub base_keys: BTreeMap<ImageId, Rc<Keyed>>,
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

/// Gathers and decides.
///
/// # Errors
/// When the repository cannot be read, or when something that is to be built is invalid.
pub fn planning(session: &Session, select: &SelectArgs) -> Result<Planning> {
    let mut ground = Ground::new(session, select)?;
    since::last_success(session, select, &mut ground.context)?;
    let select = &schedule::of_schedule(session, ground.context.event, select)?;
    let mut loaded = ground.repository.load(&Request {
        head: select.head.as_deref(),
        base: &ground.context.base,
        commits_only: ground.context.commits_only,
        exclude: &ground.exclude,
    })?;
    let mut warnings = ground.context.warnings.clone();
    let rules = ground.rules(select);
    let now = survey(&loaded.head, &mut loaded.objects, &rules, None)?;
    refuse_broken(&now).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    let destination = ground::destination(rules.registry, &now.root, rules.platform_registry, rules.layout)?;
    let selection = judge::selection(select, &now, &loaded.head, &mut loaded.objects)?;
    let question = Question::of(session, &ground, select, &selection, &destination)?;
    let listed = match question.is_none() && selection == Selection::Changed {
        true => listed::ask(session, &ground.context, &mut loaded, &mut warnings)?,
        false => None,
    };
    let other = Other { survey: &now, changes: &loaded.changes };
    let was = loaded.base.as_ref().map(|tree| survey(tree, &mut loaded.objects, &rules, Some(&other))).transpose()?;
    let base = was.as_ref().zip(loaded.base.as_ref());
    let sides = Sided::new(&now, base, (&loaded.head, &loaded.changes), &rules, listed)?;
    let Sided { keys, compared, before, changes } = &sides;
    warnings.extend(gone_targets(&now, changes));
    let mut against = Against::default();
    let mut upstreams = None;
    if let Some(question) = &question {
        let sides = Compared {
            now: &now,
            was: base,
            tree: &loaded.head,
            changes: &loaded.changes,
            keys,
            rules: &rules,
            compared,
            before,
            images: changes,
            base: &loaded.base_commit,
            head: loaded.commit.as_ref().map(|commit| commit.id),
            dependents: judge::dependents(select, &now),
        };
        let found = upstreams.insert(Upstreams::of(&now, |_| true));
        against = sides.with_published(&ground, question, &selection, found, &mut loaded.objects)?;
        warnings.append(&mut against.warnings);
    }
    let mut decided = judge::decided(&now, changes, &selection, select, &loaded.base_commit, &against.verdicts);
    let mut known_bases = BTreeMap::new();
    if select.only_stale {
        let standing = schedule::standing(&now, &rules, &destination)?;
        known_bases = schedule::keep_stale(session, &standing, &mut decided, &mut warnings)?;
    }
    judge::refuse_invalid(&now, &decided, changes, &selection, destination.layout, &mut warnings)
        .map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;

    let facts = ground.tag_facts(&loaded, destination.layout);
    let versions = candidates::versions(&now, &facts);
    let published = question.as_ref().map(|question| (question, &against));
    let (tags, reused) = tags_and_reuse(&now, &decided, &facts, &versions, published)
        .map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    let upstreams = upstreams.unwrap_or_else(|| Upstreams::of_planned(&now, &decided, &rules));
    let (commits, unresolved) = upstreams.settle(&now, &decided)?;
    warnings.extend(unresolved);
    let keyed = now.keys(keys, &rules, &commits, &Known::Same(compared))?;
    let parts = candidates::Parts {
        survey: &now,
        rules: &rules,
        facts: &facts,
        registry: destination.registry.as_deref(),
        keyed: &keyed,
        decided,
        reused,
        tags,
        versions: &versions,
        commits: &commits,
    };
    let candidates =
        candidates::candidates(session, parts).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
    candidates::check_offers(session, &candidates)?;

    // Both with the commits of upstream repositories, or both without.
    let head_keys = by_id(&now, if question.is_some() { &keyed } else { compared });
    let range_keys = against.pasts.iter().find(|past| past.files.is_none()).map(|past| past.keys.clone());
    let base_keys = range_keys.or_else(|| was.as_ref().map(|was| by_id(was, before))).unwrap_or_default();
    let changes = sides.changes;
    Ok(Planning {
        facts: Facts {
            mode: ground.context.mode,
            source: ground.plan_source(&loaded),
            date: facts.date.clone(),
            comparison: match selection {
                Selection::Changed if question.is_some() && against.answered => {
                    "compared with what is published".to_owned()
                }
                _ => comparison(&selection, select.only_stale, &loaded.base_commit),
            },
            layout: destination.layout,
            registry: destination.registry,
        },
        candidates,
        known_bases,
        heads: against.heads(&now),
        removed: removed(&changes),
        warnings,
        changes: against.states(&now, changes),
        sides: Sides {
            published: question.as_ref().map(|question| against.notes(&now, question)).unwrap_or_default(),
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
        offers: ground.offers,
        root: ground.root,
        context: ground.context,
    })
}

/// The keys of both sides, without the commits of upstream repositories, and what became of each image.
struct Sided<'t> {
    keys: Keys<'t>,
    /// Keys now.
    compared: Vec<Option<Rc<Keyed>>>,
    /// Keys at the base; empty without one.
    before: Vec<Option<Rc<Keyed>>>,
    changes: Vec<ImageChange>,
}

impl<'t> Sided<'t> {
    fn new(
        now: &Survey,
        was: Option<(&Survey, &Tree)>,
        (head, changes): (&'t Tree, &[TreeChange]),
        rules: &Rules<'_>,
        listed: Option<ListedPaths>,
    ) -> Result<Self> {
        let keys = Keys::new(head);
        let compared = now.keys(&keys, rules, &UpstreamCommits::new(), &Known::Nothing)?;
        let before = match was {
            Some((was, tree)) => {
                let keys = Keys::of_base(tree, &keys, changes);
                was.keys(&keys, rules, &UpstreamCommits::new(), &Known::Other(&compared))?
            }
            None => Vec::new(),
        };
        let base = was.map(|(was, tree)| was.side(tree, &before));
        let changes = match listed {
            Some(listed) => listed.changes(now, &compared, head),
            None => compare(&now.side(head, &compared), base.as_ref(), changes),
        };
        Ok(Self { keys, compared, before, changes })
    }
}

/// The tags of every image, and the published indexes that get some without a build.
///
/// # Errors
/// When an image that gets tags has illegal ones, or two images would write the same tag.
fn tags_and_reuse(
    now: &Survey,
    decided: &[Vec<Reason>],
    facts: &TagFacts,
    versions: &[Option<Version>],
    published: Option<(&Question, &Against)>,
) -> Result<(BTreeMap<usize, ImageTags>, BTreeMap<usize, Reuse>)> {
    let reuses = published.filter(|(question, _)| question.for_tags && question.reuse);
    let equal = |index: usize| reuses.is_some_and(|(_, against)| against.is_equal(index));
    let tags = candidates::all_tags(now, |index| !decided[index].is_empty() || equal(index), facts, versions)?;
    let Some((question, against)) = published else { return Ok((tags, BTreeMap::new())) };
    let another = of_another_run(facts, question.for_tags);
    let (elsewhere, _) = candidates::tags_and_findings(now, &another, versions, |_| false);
    let reused = against.reused(now, question, facts, &tags, &elsewhere)?;
    Ok((tags, reused))
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

/// The images of the tree, and where they are published, for `work`.
///
/// # Errors
/// Those of [`graph_of`] and of `work`, and when there is no registry.
pub(super) fn with_published<T>(
    session: &Session,
    select: &SelectArgs,
    work: impl FnOnce(&Standing<'_>) -> Result<T>,
) -> Result<T> {
    let ground = Ground::new(session, select)?;
    let rules = ground.rules(select);
    let mut loaded = ground.load_head()?;
    let survey = survey(&loaded.head, &mut loaded.objects, &rules, None)?;
    refuse_broken(&survey).map_err(|error| quoted(error, &loaded.head, &mut loaded.objects))?;
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
    let circle = survey.order.as_ref().err().map(|finding| (**finding).clone());
    let whole = whole.chain(circle);
    found.extend(whole.map(|finding| (finding.file.clone(), finding)));
    found.extend(lint::findings(&survey, &loaded.head, &mut loaded.objects, &ground.rules(&select))?);
    let mut said = std::collections::HashSet::new();
    found.retain(|(_, finding)| said.insert((finding.file.clone(), finding.span, finding.message.clone())));
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

fn by_id(survey: &Survey, keyed: &[Option<Rc<Keyed>>]) -> BTreeMap<ImageId, Rc<Keyed>> {
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

/// What the run is about, for people.
fn comparison(selection: &Selection, only_stale: bool, base: &Base) -> String {
    let what = match (selection, base) {
        (Selection::All, _) => "every image".to_owned(),
        (Selection::Named(_), _) => "the images that were named".to_owned(),
        (Selection::Scheduled(_, file), _) => format!("the images listed in {file}"),
        (Selection::Changed, Base::Commit { .. } | Base::Listed { .. }) => format!("compared with {}", base.text()),
        (Selection::Changed, Base::Nothing { reason }) => format!("everything: {reason}"),
    };
    if only_stale { format!("{what}, where bases have moved") } else { what }
}
