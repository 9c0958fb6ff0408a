//! What the jobs of a child pipeline run on: handed to prepare by the template, in variables.

use std::collections::BTreeMap;

use crate::ci::{self, Env};
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};

/// The image of a build job and the tag of its runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runner {
    /// Container image; empty where the runner has one of its own.
    pub image: String,
    /// Runner tag; none where the runner takes jobs without tags.
    pub tag: Option<String>,
}

/// What the template says about jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name of the parent's prepare job.
    pub prepare: String,
    /// Image of the manifest jobs: it has hephy.
    pub image: String,
    /// Runner tag of the manifest jobs.
    pub tag: Option<String>,
    /// Build jobs, by architecture.
    pub runners: BTreeMap<String, Runner>,
    /// Inputs of the template that these jobs are told too.
    pub inputs: Env,
}

const IMAGE: &str = "HEPHY_GITLAB_IMAGE";
const TAG: &str = "HEPHY_GITLAB_TAG";
const PREPARE: &str = "HEPHY_GITLAB_PREPARE";
/// The name that the job has in a template without a prefix.
const DEFAULT_PREPARE: &str = "prepare";

impl Options {
    /// Reads `HEPHY_GITLAB_PREPARE`, `HEPHY_GITLAB_IMAGE`, `HEPHY_GITLAB_TAG`, and the last two with `_<ARCH>` for each
    /// of `arches`.
    ///
    /// # Errors
    /// When an architecture has no runner, because its tag is a variable that is not set.
    pub fn of_env<'a>(env: &Env, arches: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let text = |name: &str| env.get(name).cloned().unwrap_or_default();
        let tag = |name: &str| {
            ci::runner_tag(env, name).map_err(|unset| {
                Error::usage(format!("{name} is ${}, which is not set", escape_cut(&unset, 80)))
                    .hint(format!("set {} to a runner's tag in the project's CI/CD variables", escape_cut(&unset, 80)))
            })
        };
        let mut options = Self {
            prepare: text(PREPARE),
            image: text(IMAGE),
            tag: tag(TAG)?,
            inputs: ci::inputs(env),
            ..Self::default()
        };
        if options.prepare.is_empty() {
            DEFAULT_PREPARE.clone_into(&mut options.prepare);
        }
        for arch in arches {
            let suffix = arch.to_uppercase();
            let runner = Runner { image: text(&format!("{IMAGE}_{suffix}")), tag: tag(&format!("{TAG}_{suffix}"))? };
            options.runners.insert(arch.to_owned(), runner);
        }
        Ok(options)
    }

    /// What the template puts before the names of its jobs.
    pub(super) fn prefix(&self) -> &str {
        self.prepare.strip_suffix(DEFAULT_PREPARE).unwrap_or_default()
    }
}
