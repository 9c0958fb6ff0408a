//! The comparison with what is published (specification §6): gathers what the registry says, finds the commits that
//! tell why, and lets [`crate::plan::standing`] judge.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Ground;
use super::judge::{self, state_of};
use super::past::{MAX_COMMITS, Now, Past};
use super::published::{Answers, Question};
use super::run::Run;
use super::sided::Sided;
use super::upstreams::Upstreams;
use crate::change::{Difference, ImageChange, ImageId, Oid, State};
use crate::commands::published::Found;
use crate::commands::survey::{Known, Survey};
use crate::config::Dependents;
use crate::error::Result;
use crate::git::{Base, Objects};
use crate::index::Recorded;
use crate::oci::ImageName;
use crate::plan::decide::Selection;
use crate::plan::standing::{Evidence, Reuse, Standing, Verdict, Wish, reused_tags, same_input, standing, verdict};
use crate::plan::tags::{ImageTags, TagFacts};

/// What the registry said of the images that it was asked for.
#[derive(Default)]
pub(super) struct Against {
    /// By index of the image; none where the range decides.
    pub(super) verdicts: Vec<Option<Verdict>>,
    pub(super) standings: BTreeMap<usize, (Standing, Option<Recorded>)>,
    /// Earlier states that told a reason, and which image's.
    pub(super) pasts: Vec<Past>,
    told_by: BTreeMap<usize, usize>,
    pub(super) warnings: Vec<String>,
    /// Whether the registry could be read at all.
    pub(super) answered: bool,
    /// Whether some image could not be read there.
    pub(super) unread: bool,
}

/// What `--explain` says of the published index of one image.
#[derive(Clone, Debug)]
pub struct Note {
    /// Where it is: `registry:tag`.
    pub reference: String,
    /// Its input key.
    pub key: String,
    /// The commit that it was built from.
    pub revision: Option<String>,
    /// Index among the earlier states of the one that has its key; none when no commit here has it.
    pub past: Option<usize>,
    /// Whether its key is the image's.
    pub equal: bool,
    /// Images that it should be built on and is not, where nothing else differs.
    pub on_others: Vec<String>,
}

impl Run<'_> {
    /// Compares with what is published.
    ///
    /// # Errors
    /// When a signal came, or git fails.
    pub(super) fn with_published(
        &self,
        question: &Question,
        upstreams: &Upstreams,
        objects: &mut Objects<'_>,
    ) -> Result<Against> {
        let Sided { keys, compared, before, changes } = self.sided;
        let keyed = self.now.keys(keys, self.rules, &upstreams.commits, &Known::Same(compared), |_| true)?;
        let now = Now {
            survey: self.now,
            tree: &self.loaded.head,
            keys,
            rules: self.rules,
            compared,
            keyed: &keyed,
            upstreams,
        };
        let base = &self.loaded.base_commit;
        let range = match (self.was, base.id()) {
            (Some((was, tree)), Some(id)) => Some(Past {
                commit: id.to_string(),
                files: None,
                keys: now.keys_of(was, (tree, &self.loaded.changes), before)?,
                states: changes.clone(),
            }),
            _ => None,
        };
        let head = self.loaded.commit.as_ref().map(|commit| commit.id);
        let (ground, selection) = (self.ground, &self.asked.selection);
        let dependents = judge::dependents(self.select, self.now);
        Sources { ground, question, selection, now: &now, range, changes, base, head, dependents }.judge(objects)
    }
}

/// What there is to compare with.
pub(super) struct Sources<'a> {
    pub(super) ground: &'a Ground,
    pub(super) question: &'a Question,
    pub(super) selection: &'a Selection,
    pub(super) now: &'a Now<'a>,
    /// The base of the range, as an earlier state.
    range: Option<Past>,
    /// What became of the images since the base.
    pub(super) changes: &'a [ImageChange],
    pub(super) base: &'a Base,
    pub(super) head: Option<Oid>,
    pub(super) dependents: Dependents,
}

impl Sources<'_> {
    /// Asks and judges.
    fn judge(mut self, objects: &mut Objects<'_>) -> Result<Against> {
        let survey = self.now.survey;
        let wanted = self.wanted();
        let mut answers = self.question.ask(survey, &wanted)?;
        let mut against = Against {
            answered: wanted.is_empty() || !answers.recorded.is_empty(),
            unread: !answers.unread.is_empty(),
            warnings: answers.warnings(survey, &self.base.text()),
            pasts: self.range.take().into_iter().collect(),
            verdicts: vec![None; survey.images.len()],
            ..Against::default()
        };
        self.stand(&mut answers, &mut against);
        if *self.selection == Selection::Changed {
            self.read_commits(objects, &mut against)?;
        }
        for index in survey.order.as_ref().map(Vec::as_slice).unwrap_or_default() {
            against.verdicts[*index] = self.verdict(*index, &mut against);
        }
        Ok(against)
    }

    /// Images that can be asked for: those with a key and a legal name that the selection does not leave out.
    fn wanted(&self) -> Vec<usize> {
        let named = |index: &usize| match self.selection {
            Selection::Named(named) => named.contains(index),
            _ => true,
        };
        let usable =
            |index: &usize| self.now.keyed[*index].is_some() && self.now.survey.images[*index].illegal.is_none();
        (0..self.now.survey.images.len()).filter(usable).filter(named).collect()
    }

    fn stand(&self, answers: &mut Answers, against: &mut Against) {
        let survey = self.now.survey;
        let uncertain = self.uncertain();
        for (index, recorded) in std::mem::take(&mut answers.recorded) {
            let image = &survey.images[index];
            let (Some(config), Some(keyed)) = (image.config(), &self.now.keyed[index]) else { continue };
            let key = Some(&keyed.key).filter(|_| !uncertain.contains(&index));
            let standing = standing(&image.name, key, &config.platforms, recorded.as_ref());
            against.standings.insert(index, (standing, recorded));
        }
    }

    /// Images whose key is not known: a ref of another repository could not be resolved, their own or that of an image
    /// below them.
    fn uncertain(&self) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for index in self.now.survey.order.as_ref().map(Vec::as_slice).unwrap_or_default() {
            let below = self.now.survey.edges[*index].iter().any(|to| found.contains(to));
            if below || self.now.upstreams.failures.contains_key(index) {
                found.insert(*index);
            }
        }
        found
    }

    /// Reads the commits that tell the reasons of most images, where the base does not.
    fn read_commits(&self, objects: &mut Objects<'_>, against: &mut Against) -> Result<()> {
        let Some(head) = self.head.filter(|_| self.ground.context.commits_only) else { return Ok(()) };
        let mut images: BTreeMap<&str, (usize, Option<&String>)> = BTreeMap::new();
        for (index, (standing, recorded)) in &against.standings {
            let Standing::Differs { revision: Some(revision), .. } = standing else { continue };
            if self.told_by(*index, against).is_none() {
                let entry = images.entry(revision).or_default();
                *entry = (entry.0 + 1, recorded.as_ref().and_then(|it| it.created.as_ref()));
            }
        }
        // The newest first among equals: what was published before it has its key there too.
        let mut revisions: Vec<_> = images.into_iter().collect();
        revisions.sort_by_key(|(revision, counted)| (std::cmp::Reverse(*counted), *revision));
        let mut found = Vec::new();
        for (revision, _) in revisions.into_iter().take(MAX_COMMITS) {
            found.extend(self.now.at(&self.ground.repository, objects, head, revision)?);
        }
        against.pasts.extend(found);
        Ok(())
    }

    fn verdict(&self, index: usize, against: &mut Against) -> Option<Verdict> {
        let (standing, _) = against.standings.get(&index)?;
        let survey = self.now.survey;
        let image = &survey.images[index];
        let range = state_of(self.changes, image);
        if *self.selection != Selection::Changed {
            // What is named is built, unless it is known to be there.
            return (*standing == Standing::Equal).then(|| verdict(standing, &Evidence::default(), range));
        }
        match standing {
            Standing::Equal if !self.question.reuse => return None,
            // What changed here is built, and that fails for want of the commit; else the next run will know.
            Standing::Unknown if self.base.id().is_some() && range.is_affected() => return None,
            _ => {}
        }
        let told_by = self.told_by(index, against);
        let evidence = self.evidence(index, told_by, against);
        let found = verdict(standing, &evidence, range);
        if let Some(at) = told_by {
            against.told_by.insert(index, at);
        }
        Some(found)
    }
}

impl Against {
    /// The published indexes that were read.
    pub(super) fn heads(&self, survey: &Survey) -> BTreeMap<ImageName, Found> {
        let found = |(index, (_, recorded)): (&usize, &(Standing, Option<Recorded>))| {
            Some((survey.images[*index].name.clone(), Found::of(recorded.clone()?)))
        };
        self.standings.iter().filter_map(found).collect()
    }

    /// Whether an image is published from the same input for every wanted platform.
    pub(super) fn is_equal(&self, index: usize) -> bool {
        matches!(self.standings.get(&index), Some((Standing::Equal, _)))
    }

    /// What became of each image as far as the registry decided it.
    pub(super) fn states(&self, survey: &Survey, mut changes: Vec<ImageChange>) -> Vec<ImageChange> {
        for (index, verdict) in self.verdicts.iter().enumerate() {
            let Some(verdict) = verdict else { continue };
            let id = survey.images[index].id();
            let Ok(at) = changes.binary_search_by(|change| change.id.cmp(&id)) else { continue };
            let told = self.told_by.get(&index).and_then(|at| self.pasts.get(*at));
            let state = told.and_then(|past| past.state(&id)).filter(|state| matches!(state, State::Changed(_)));
            match (verdict.reasons.is_empty(), state) {
                (true, _) => changes[at].state = State::Unchanged,
                (false, Some(state)) => changes[at].state = state.clone(),
                (false, None) if changes[at].state == State::Unchanged => {
                    changes[at].state = State::Changed(Vec::<Difference>::new());
                }
                (false, None) => {}
            }
        }
        changes
    }

    /// What is said of the published indexes.
    pub(super) fn notes(&self, survey: &Survey, question: &Question) -> BTreeMap<ImageId, Note> {
        let mut notes = BTreeMap::new();
        for (index, (standing, recorded)) in &self.standings {
            let image = &survey.images[*index];
            let Some(recorded) = recorded.as_ref().filter(|_| !matches!(standing, Standing::Foreign(_))) else {
                continue;
            };
            let Some(key) = &recorded.input_key else { continue };
            let (id, equal) = (image.id(), matches!(standing, Standing::Equal | Standing::Lacks(_)));
            let same = |past: &Past| past.key(&id).is_some_and(|key| recorded.is_of(key));
            notes.insert(
                id.clone(),
                Note {
                    reference: question.head_of(&image.name),
                    key: key.to_string(),
                    revision: recorded.revision.clone(),
                    past: self.told_by.get(index).copied().or_else(|| self.pasts.iter().position(same)),
                    equal,
                    on_others: match standing {
                        Standing::OnOthers { names } => names.clone(),
                        _ => Vec::new(),
                    },
                },
            );
        }
        notes
    }

    /// The images whose published index is used: those that the run puts tags on, and those that were named.
    ///
    /// # Errors
    /// When a signal came.
    pub(super) fn reused(
        &self,
        survey: &Survey,
        question: &Question,
        facts: &TagFacts,
        tags: &BTreeMap<usize, ImageTags>,
        elsewhere: &BTreeMap<usize, ImageTags>,
    ) -> Result<BTreeMap<usize, Reuse>> {
        let mut reused = BTreeMap::new();
        let mut lacking = Vec::new();
        let wish = if question.for_tags { Wish::OfTheRun } else { Wish::Lacking };
        for (index, (standing, recorded)) in &self.standings {
            let (Standing::Equal, Some(recorded), true) = (standing, recorded, question.reuse) else { continue };
            let (Some(tags), Some(elsewhere)) = (tags.get(index), elsewhere.get(index)) else { continue };
            let name = &survey.images[*index].name;
            let head = facts.layout.tag_of(name, "head");
            let tags = reused_tags(wish, tags, elsewhere, &head, recorded);
            let reuse = Reuse { digest: recorded.digest.clone(), tags, reason: same_input(recorded) };
            if wish == Wish::OfTheRun {
                reused.insert(*index, reuse);
            } else {
                lacking.extend(reuse.tags.into_iter().map(|tag| (*index, name, recorded.digest.clone(), tag)));
            }
        }
        for (index, tags) in question.missing(lacking)? {
            let Some((_, Some(recorded))) = self.standings.get(&index) else { continue };
            let reason = format!("{}; new tags", same_input(recorded));
            reused.insert(index, Reuse { digest: recorded.digest.clone(), tags, reason });
        }
        Ok(reused)
    }
}

/// The facts of a run that is not this one: tags that differ between the two name the run. A run that was started for
/// tags keeps its commit.
pub(super) fn of_another_run(facts: &TagFacts, for_tags: bool) -> TagFacts {
    TagFacts {
        date: "19700101".to_owned(),
        commit: if for_tags { facts.commit.clone() } else { "f".repeat(facts.commit.len()) },
        run: facts.run.as_ref().map(|_| "0".to_owned()),
        ..facts.clone()
    }
}
