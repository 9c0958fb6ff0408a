//! From two sides that are read and compared to the candidates of a plan: decides what is built, and then what becomes
//! of it: tags, arguments, commits.

use std::collections::BTreeMap;

use super::against::{Against, of_another_run};
use super::candidates;
use super::ground::{self, Destination, Ground};
use super::listed::{self, ListedPaths};
use super::published::Question;
use super::sided::Sided;
use super::since::Api;
use super::upstreams::Upstreams;
use super::whole::refuse_broken;
use super::{judge, schedule};
use crate::change::Tree;
use crate::ci::{CiContext, Event};
use crate::cli::SelectArgs;
use crate::commands::published::Found;
use crate::commands::session::Session;
use crate::commands::survey::{ImageKeys, Known, Rules, Survey};
use crate::error::Result;
use crate::git::{Base, Loaded, Objects};
use crate::plan::assemble::{Candidate, Facts};
use crate::plan::decide::Selection;
use crate::plan::standing::Reuse;
use crate::plan::tags::{ImageTags, TagFacts, Version};
use crate::plan::{Reason, UnchangedImage};

/// What was asked for: of which images, and where they go.
pub(super) struct Asked {
    pub(super) destination: Destination,
    pub(super) selection: Selection,
    /// What the registry is asked; none where it is not.
    pub(super) question: Option<Question>,
}

impl Asked {
    /// Reads flags and environment with what the images of now say.
    ///
    /// # Errors
    /// When nothing can be planned for these images, or flags, environment or a schedule's list name what is not there.
    pub(super) fn of(
        (session, ground, select, rules): (&Session, &Ground, &SelectArgs, &Rules<'_>),
        now: &Survey,
        (head, objects): (&Tree, &mut Objects<'_>),
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        refuse_broken(now)?;
        let destination = ground::destination(rules.registry, &now.root, rules.platform_registry, rules.layout)?;
        let selection = judge::selection(select, now, head, objects, warnings)?;
        let question = Question::of(session, ground, select, &selection, &destination)?;
        Ok(Self { destination, selection, question })
    }

    /// The paths that the platform lists, where the commits decide and git has no base.
    ///
    /// # Errors
    /// When a signal came.
    pub(super) fn listed(
        &self,
        (session, context, api): (&Session, &CiContext, Api),
        loaded: &mut Loaded,
        warnings: &mut Vec<String>,
    ) -> Result<Option<ListedPaths>> {
        if self.question.is_some() || self.selection != Selection::Changed {
            return Ok(None);
        }
        listed::ask(session, context, loaded, api, warnings)
    }
}

/// A run whose sides are read and compared.
pub(super) struct Run<'a> {
    pub(super) session: &'a Session,
    pub(super) ground: &'a Ground,
    pub(super) select: &'a SelectArgs,
    pub(super) rules: &'a Rules<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) now: &'a Survey,
    /// The images and the files at the base.
    pub(super) was: Option<(&'a Survey, &'a Tree)>,
    pub(super) asked: &'a Asked,
    pub(super) sided: &'a Sided<'a>,
}

/// Which images are built.
pub(super) struct Decision {
    /// By index; an image without reasons is left alone.
    reasons: Vec<Vec<Reason>>,
    /// What the registry said; empty where it was not asked.
    pub(super) against: Against,
    /// Upstream commits, where they were looked up for the decision.
    upstreams: Option<Upstreams>,
    /// Bases that were looked up for the decision.
    pub(super) known_bases: BTreeMap<String, Found>,
}

/// Everything that goes into the plan.
pub(super) struct Settled {
    pub(super) facts: Facts,
    pub(super) candidates: Vec<Candidate>,
    pub(super) left_alone: Vec<UnchangedImage>,
    /// Keys with the commits of upstream repositories.
    pub(super) keyed: ImageKeys,
}

impl Run<'_> {
    /// Decides, and gives what was decided all that the plan says of it.
    ///
    /// # Errors
    /// Those of its steps: something that is to be built is invalid or cannot be had, a signal came, git fails.
    pub(super) fn decided(&self, objects: &mut Objects<'_>, warnings: &mut Vec<String>) -> Result<(Decision, Settled)> {
        let mut decision = self.decide(objects, warnings)?;
        let settled = self.settle(&mut decision, warnings)?;
        Ok((decision, settled))
    }

    /// Decides what is built.
    ///
    /// # Errors
    /// When something that is to be built is invalid, a signal came, or git fails.
    fn decide(&self, objects: &mut Objects<'_>, warnings: &mut Vec<String>) -> Result<Decision> {
        let (changes, selection) = (&self.sided.changes, &self.asked.selection);
        let mut against = Against::default();
        let mut upstreams = None;
        if let Some(question) = &self.asked.question {
            let found = upstreams.insert(Upstreams::of(self.now, |_| true));
            against = self.with_published(question, found, objects)?;
            warnings.append(&mut against.warnings);
        }
        let base = &self.loaded.base_commit;
        let mut reasons = judge::decided(self.now, changes, selection, self.select, base, &against.verdicts);
        let mut known_bases = BTreeMap::new();
        if self.select.only_stale {
            let standing = schedule::standing(self.now, self.rules, &self.asked.destination)?;
            known_bases = {
                let named = !self.select.dirs.is_empty();
                schedule::keep_stale(self.session, &standing, (named, &mut reasons), warnings)?
            };
        }
        let layout = self.asked.destination.layout;
        judge::refuse_invalid(self.now, &reasons, changes, selection, layout, warnings)?;
        Ok(Decision { reasons, against, upstreams, known_bases })
    }

    /// Gives what was decided its tags, arguments and commits. Takes the reasons and the commits out of the decision.
    ///
    /// # Errors
    /// When tags or arguments cannot be made, an upstream commit is not known, or no job can build an image.
    fn settle(&self, decision: &mut Decision, warnings: &mut Vec<String>) -> Result<Settled> {
        let Destination { layout, registry } = &self.asked.destination;
        let facts = self.ground.tag_facts(self.loaded, *layout);
        let versions = candidates::versions(self.now, &facts);
        let reasons = std::mem::take(&mut decision.reasons);
        let (tags, reused) = self.tags_and_reuse(&reasons, &decision.against, &facts, &versions)?;
        let upstreams = decision.upstreams.take();
        let upstreams = upstreams.unwrap_or_else(|| Upstreams::of_planned(self.now, &reasons, self.rules));
        let (commits, unresolved) = upstreams.settle(self.now, &reasons)?;
        warnings.extend(unresolved);
        let compared = &self.sided.compared;
        let is_needed = |index: usize| compared[index].is_some() || !reasons[index].is_empty();
        let keyed = self.now.keys(&self.sided.keys, self.rules, &commits, &Known::Same(compared), is_needed)?;
        let left_alone = candidates::left_alone(self.now, &keyed);
        let parts = candidates::Parts {
            survey: self.now,
            rules: self.rules,
            facts: &facts,
            registry: registry.as_deref(),
            keyed: &keyed,
            decided: reasons,
            reused,
            tags,
            versions: &versions,
            commits: &commits,
        };
        let candidates = candidates::candidates(self.session, parts)?;
        candidates::check_offers(self.session, &candidates)?;
        let facts = Facts {
            mode: self.ground.context.mode,
            source: self.ground.plan_source(self.loaded, &facts),
            date: facts.date,
            comparison: self.comparison(&decision.against),
            layout: *layout,
            registry: registry.clone(),
            anew: self.is_anew(),
        };
        Ok(Settled { facts, candidates, left_alone, keyed })
    }

    /// The tags of every image, and the published indexes that get some without a build.
    fn tags_and_reuse(
        &self,
        reasons: &[Vec<Reason>],
        against: &Against,
        facts: &TagFacts,
        versions: &[Option<Version>],
    ) -> Result<(BTreeMap<usize, ImageTags>, BTreeMap<usize, Reuse>)> {
        let question = self.asked.question.as_ref();
        let reuses = question.is_some_and(|question| question.for_tags && question.reuse);
        let equal = |index: usize| reuses && against.is_equal(index);
        let tags = candidates::all_tags(self.now, |index| !reasons[index].is_empty() || equal(index), facts, versions)?;
        let Some(question) = question else { return Ok((tags, BTreeMap::new())) };
        let another = of_another_run(facts, question.for_tags);
        let (elsewhere, _) = candidates::tags_and_findings(self.now, &another, versions, |_| false);
        let reused = against.reused(self.now, question, facts, &tags, &elsewhere)?;
        Ok((tags, reused))
    }

    /// Whether steps are to be executed though nothing of their input changed. An image that is stale has another input.
    fn is_anew(&self) -> bool {
        let of_schedule = self.select.scheduled.is_some() || self.ground.context.event == Event::Schedule;
        self.select.force || (of_schedule && !self.select.only_stale)
    }

    /// What the run is about, for people.
    fn comparison(&self, against: &Against) -> String {
        let base = &self.loaded.base_commit;
        let what = match (&self.asked.selection, base) {
            (Selection::All, _) => "every image".to_owned(),
            (Selection::Named(_), _) => "the images that were named".to_owned(),
            (Selection::Scheduled(_, file), _) => format!("the images listed in {file}"),
            (Selection::Changed, _) if self.asked.question.is_some() && against.answered => {
                "compared with what is published".to_owned()
            }
            (Selection::Changed, Base::Commit { .. } | Base::Listed { .. }) => {
                format!("compared with {}", base.text())
            }
            (Selection::Changed, Base::Nothing { reason }) => format!("everything: {reason}"),
        };
        if self.select.only_stale { format!("{what}, where bases have moved") } else { what }
    }
}
