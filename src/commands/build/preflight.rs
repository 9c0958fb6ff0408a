//! The last look before a build: prepare may not have known the builder's version, and an upstream Dockerfile may
//! have come later (specification §8, "Preflight").

use super::context::Files;
use super::{Job, host};
use crate::backend::Tool;
use crate::backend::preflight::{Asked, findings};
use crate::diagnostic::Severity;
use crate::dockerfile::Arguments;
use crate::error::{Error, Result};
use crate::plan::PlannedImage;

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
        let mut arguments = Arguments { passed: build_args.iter().cloned().collect(), ..Arguments::default() };
        arguments.predefine(&self.options.platform);
        // Arguments that cannot be expanded are the builder's to refuse.
        let Ok(references) = dockerfile.references(&arguments) else { return Ok(()) };
        let target = image.target.as_deref().filter(|target| !target.is_empty());
        if self.options.cross && dockerfile.runs_programs(target, &references) {
            host::check(&self.options.platform, &self.options.environment, &[image])?;
        }
        if !self.options.preflight {
            return Ok(());
        }
        let asked = Asked::of_dockerfile(&files.shown, &dockerfile.features(target, &references));
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
}
