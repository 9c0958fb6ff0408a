//! What tells why a published image differs: an earlier state of this repository, or what no commit of it tells.

use std::collections::BTreeSet;

use super::against::{Against, Sources};
use super::judge::state_of;
use super::past::Past;
use crate::config::Source;
use crate::diagnostic::escape_cut;
use crate::plan::decide::changed_itself;
use crate::plan::standing::{Distance, Evidence, Standing};

impl Sources<'_> {
    /// The earlier state that tells why an image differs: one where it had the published key; or the published commit
    /// itself, for what is built from other repositories or with variables too, of which nobody knows what they were then.
    pub(super) fn told_by(&self, index: usize, against: &Against) -> Option<usize> {
        let (Standing::Differs { revision, .. }, Some(recorded)) = against.standings.get(&index)? else { return None };
        let (id, pasts) = (self.now.survey.images[index].id(), &against.pasts);
        let has_key = |past: &Past| past.key(&id).is_some_and(|key| recorded.is_of(key));
        let same_commit = |past: &Past| Some(&past.commit) == revision.as_ref() && self.is_of_outside(index);
        pasts.iter().position(has_key).or_else(|| pasts.iter().position(same_commit))
    }

    /// Of images that one should be built on, by name, those that are there now or will be.
    fn to_be_had<'n>(&self, names: &'n [String], against: &Against) -> Vec<(&'n str, Distance)> {
        let survey = self.now.survey;
        let distance = |name: &str| {
            let index = survey.images.iter().position(|image| image.name.as_str() == name)?;
            if against.is_equal(index) {
                return Some(Distance::Itself);
            }
            match (&against.verdicts[index], state_of(self.changes, &survey.images[index])) {
                (Some(verdict), _) => verdict.is_followed(self.dependents).then_some(verdict.distance),
                // The registry did not say, so the range decides.
                (None, state) if changed_itself(state) => Some(Distance::Itself),
                (None, _) => None,
            }
        };
        names.iter().filter_map(|name| Some((name.as_str(), distance(name)?))).collect()
    }

    /// Whether an image itself is built from what no commit of this repository tells: another repository, variables.
    fn takes_from_outside(&self, index: usize) -> bool {
        self.now.upstreams.commits.contains_key(&index) || !self.now.survey.settings[index].is_empty()
    }

    /// The same of an image or one below it.
    fn is_of_outside(&self, index: usize) -> bool {
        let survey = self.now.survey;
        let (mut open, mut seen) = (vec![index], BTreeSet::from([index]));
        while let Some(next) = open.pop() {
            if self.takes_from_outside(next) {
                return true;
            }
            open.extend(survey.edges[next].iter().copied().filter(|to| seen.insert(*to)));
        }
        false
    }

    /// What is known of why an image differs. `told_by` is the earlier state that tells it.
    pub(super) fn evidence<'e>(&'e self, index: usize, told_by: Option<usize>, against: &'e Against) -> Evidence<'e> {
        let survey = self.now.survey;
        let past = told_by.and_then(|at| against.pasts.get(at));
        let state = past.and_then(|past| past.state(&survey.images[index].id()));
        let built_on = survey.edges[index].iter().filter_map(|to| {
            let verdict = against.verdicts[*to].as_ref().filter(|verdict| !verdict.reasons.is_empty())?;
            Some((survey.images[*to].name.as_str(), verdict.distance))
        });
        let of_outside = |to: usize| {
            let distance = if self.takes_from_outside(to) { Distance::Itself } else { Distance::Direct };
            (survey.images[to].name.as_str(), distance)
        };
        Evidence {
            state,
            direct: past.is_some_and(|past| past.any_changed(survey, &survey.edges[index]))
                || built_on.clone().any(|(_, distance)| distance == Distance::Itself),
            upstream: self.upstream(index),
            settings: survey.settings[index].keys().map(String::as_str).collect(),
            of_outside: survey.edges[index]
                .iter()
                .copied()
                .filter(|to| self.is_of_outside(*to))
                .map(of_outside)
                .collect(),
            built_on: built_on.collect(),
            to_be_had: match against.standings.get(&index) {
                Some((Standing::OnOthers { names }, _)) => self.to_be_had(names, against),
                _ => Vec::new(),
            },
        }
    }

    /// Where an upstream ref is now.
    fn upstream(&self, index: usize) -> Option<String> {
        let commit = self.now.upstreams.commits.get(&index)?;
        let Source::Remote { repository, reference } = &self.now.survey.images[index].config()?.source else {
            return None;
        };
        let (short, repository) = (commit.get(..7).unwrap_or(commit), escape_cut(repository, 120));
        Some(format!("{} of {repository} is at {short} now", escape_cut(reference, 80)))
    }
}
