//! What the refs of other repositories mean now: asked of those that a run needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::survey::{Rules, Survey, UpstreamCommits};
use crate::config::Source;
use crate::diagnostic::escape;
use crate::error::{Error, Result};
use crate::plan::Reason;
use crate::source::{Access, Upstream, resolve};

/// What the refs of remote images mean, by index.
#[derive(Default)]
pub(super) struct Upstreams {
    /// The commits.
    pub(super) commits: UpstreamCommits,
    /// What could not be resolved.
    pub(super) failures: BTreeMap<usize, Error>,
}

impl Upstreams {
    /// Those of the images that are built and of what they lie on. What an image of another repository lies on stands
    /// there: then it may be any.
    pub(super) fn of_planned(survey: &Survey, decided: &[Vec<Reason>], rules: &Rules<'_>) -> Self {
        let mut open: Vec<usize> = (0..decided.len()).filter(|index| !decided[*index].is_empty()).collect();
        let mut needed: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(next) = open.pop() {
            open.extend(survey.edges[next].iter().copied().filter(|to| needed.insert(*to)));
        }
        let says_elsewhere = |index: &usize| {
            let image = &survey.images[*index];
            let is_remote = image.config().is_some_and(|config| matches!(config.source, Source::Remote { .. }));
            is_remote && image.backend(rules).reads_dockerfile()
        };
        let any = needed.iter().any(says_elsewhere);
        Self::of(survey, |index| any || needed.contains(&index))
    }

    /// One question an upstream repository of the `wanted` images, all at once.
    pub(super) fn of(survey: &Survey, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut wanted = Vec::new();
        for (index, image) in survey.images.iter().enumerate().filter(|(index, _)| is_wanted(*index)) {
            if let Some(Source::Remote { repository, reference }) = image.config().map(|config| &config.source) {
                wanted.push((index, Upstream { repository: repository.clone(), reference: reference.clone() }));
            }
        }
        let requests: Vec<Upstream> = wanted.iter().map(|(_, upstream)| upstream.clone()).collect();
        let mut found = Self::default();
        if requests.is_empty() {
            return found;
        }
        for ((index, _), resolved) in wanted.iter().zip(resolve(&Access::from_environment(), &requests)) {
            match resolved {
                Ok(resolved) => drop(found.commits.insert(*index, resolved.commit)),
                Err(error) => drop(found.failures.insert(*index, error)),
            }
        }
        found
    }

    /// What could not be resolved is a failure where the image is to be built, and a warning elsewhere.
    ///
    /// # Errors
    /// The first failure of an image that is to be built.
    pub(super) fn settle(self, survey: &Survey, decided: &[Vec<Reason>]) -> Result<(UpstreamCommits, Vec<String>)> {
        let mut warnings = Vec::new();
        for (index, error) in self.failures {
            let image = &survey.images[index];
            let source = image.config().map(|config| &config.source);
            let Some(Source::Remote { repository, reference }) = source else { continue };
            if !decided[index].is_empty() {
                return Err(error);
            }
            warnings.push(format!(
                "{}: {} of {} could not be looked up: {error}",
                image.name,
                escape(reference),
                escape(repository)
            ));
        }
        Ok((self.commits, warnings))
    }
}
