//! The last look before a build: prepare may not have known the builder's version, and an upstream Dockerfile may
//! have come later (specification §8, "Preflight").

use std::time::Duration;

use super::context::Files;
use super::{Event, Job, host};
use crate::backend::preflight::{Asked, findings};
use crate::backend::{StepCache, Tool, backend};
use crate::diagnostic::Severity;
use crate::dockerfile::{Arguments, Dockerfile, FeatureUse, References};
use crate::error::{Error, Result};
use crate::plan::{Mode, PlannedImage};

impl Job<'_> {
    /// Refuses what this machine cannot run, and what this builder would not build as written.
    pub(super) fn preflight(
        &self,
        image: &PlannedImage,
        tool: &Tool,
        files: &Files,
        build_args: &[(String, String)],
    ) -> Result<()> {
        let Some(dockerfile) = &files.parsed else { return Ok(()) };
        let target = target_of(image);
        let Some(references) = self.references(dockerfile, build_args) else { return Ok(()) };
        if self.options.cross && dockerfile.runs_programs(target, &references) {
            host::check(&self.options.platform, &self.options.environment, &[image])?;
        }
        if !self.options.preflight {
            return Ok(());
        }
        let features = dockerfile.features(target, &references);
        let asked = Asked::of_dockerfile(&files.shown, dockerfile.frontend(), &features);
        let mut found = findings(&asked, image.backend, tool.version);
        found.retain(|finding| finding.severity == Severity::Error);
        if found.is_empty() {
            return Ok(());
        }
        let found = found.into_iter().map(|finding| finding.with_source(&files.text)).collect();
        Err(Error::config(format!("{} would not build {} as it is written", image.backend, files.shown))
            .diagnostics(found)
            .hint("set another build_backend, or `preflight: reroute` in hephy.yaml"))
    }

    /// What the stages that are built ask of their builder; nothing of a Dockerfile that hephy cannot read.
    fn features<'f>(
        &self,
        image: &PlannedImage,
        files: &'f Files,
        build_args: &[(String, String)],
    ) -> Vec<&'f FeatureUse> {
        let Some(dockerfile) = &files.parsed else { return Vec::new() };
        let references = self.references(dockerfile, build_args);
        references.map(|references| dockerfile.features(target_of(image), &references)).unwrap_or_default()
    }

    /// What the Dockerfile refers to on this platform. Arguments that cannot be expanded are the builder's to refuse.
    pub(super) fn references(&self, dockerfile: &Dockerfile, build_args: &[(String, String)]) -> Option<References> {
        let mut arguments = Arguments { passed: build_args.iter().cloned().collect(), ..Arguments::default() };
        arguments.predefine(&self.options.platform);
        dockerfile.references(&arguments).ok()
    }

    /// Where the layers of this build are kept. Check runs only read. A builder whose cache does not notice that
    /// something has changed builds without.
    pub(super) fn cache(
        &self,
        image: &PlannedImage,
        files: &Files,
        build_args: &[(String, String)],
    ) -> Option<StepCache> {
        let cache = image.cache.as_ref()?;
        let cache = StepCache {
            repository: cache.repository.clone(),
            tag: cache.tags.get(&self.options.platform.arch())?.clone(),
            ttl: cache.ttl_seconds.map(Duration::from_secs),
            write: self.plan.mode == Mode::Publish,
        };
        let misses = |found: &&&FeatureUse| backend(image.backend).cache_misses(found.feature);
        let features = self.features(image, files, build_args);
        let Some(missed) = features.iter().find(misses) else { return Some(cache) };
        let place = format!("{}:{}", files.shown, missed.span.line);
        let text = format!(
            "{place}: built without a layer cache: that of {} does not notice a change of {}",
            image.backend,
            missed.feature.text()
        );
        (self.observer)(Event::Note { image: &image.name, text: &text });
        None
    }
}

/// The stage that is built; none is the last one.
pub(super) fn target_of(image: &PlannedImage) -> Option<&str> {
    image.target.as_deref().filter(|target| !target.is_empty())
}
