//! What is wrong with an image whatever the run: `hephy check` says it before a pipeline does.
//!
//! A branch, a pipeline's number, the environment and the registry differ from run to run; here each has a value, so
//! that what is found is wrong for all of them.

use std::sync::Arc;

use super::candidates::{argument_findings, tags_and_findings, versions};
use crate::commands::survey::settings::is_secret;
use crate::commands::survey::{Image, Survey};
use crate::config::{Layout, RootConfig, Source};
use crate::diagnostic::{Diagnostic, Span};
use crate::oci::ImageName;
use crate::plan::args::{Variables, expand};
use crate::plan::tags::{TagFacts, Version};

struct Anything<'a>(&'a RootConfig);

impl Variables for Anything<'_> {
    fn registry(&self) -> Option<&str> {
        Some("registry.invalid/images")
    }

    fn allowed(&self, name: &str) -> Option<Option<String>> {
        self.0.build_args_env.iter().any(|allowed| allowed == name).then(|| Some(String::new()))
    }

    fn is_secret(&self, name: &str) -> bool {
        is_secret(self.0, name)
    }
}

/// The versions that images have whatever the run, and one for those that a git tag gives theirs.
fn some_versions(survey: &Survey, facts: &TagFacts) -> Vec<Option<Version>> {
    let by_tag = |image: &Arc<Image>| {
        let config = image.config();
        config.is_some_and(|config| matches!(config.source, Source::Local { .. }) && config.version_from.is_none())
    };
    let known = versions(survey, facts).into_iter().zip(&survey.images);
    known.map(|(version, image)| version.or_else(|| Version::parse("1.2.3").filter(|_| by_tag(image)))).collect()
}

/// Tags that cannot be written, build arguments that cannot have a value, and directories that cannot name an image.
pub(super) fn findings(survey: &Survey, layout: Layout) -> Vec<Diagnostic> {
    let facts = TagFacts {
        date: "20000101".to_owned(),
        commit: "0".repeat(40),
        branch: Some("main".to_owned()),
        tag: None,
        run: Some("1".to_owned()),
        layout,
        beside_default: false,
    };
    let versions = some_versions(survey, &facts);
    let (_, mut found) = tags_and_findings(survey, &facts, &versions, |_| true);
    let variables = Anything(&survey.root);
    for ((image, edges), version) in survey.images.iter().zip(&survey.edges).zip(&versions) {
        let Some(config) = image.config() else { continue };
        if let Some(why) = &image.illegal {
            let message = format!("this directory cannot name an image: {why}");
            found.push(Diagnostic::error(&image.file, Span::START, message).warning().note("rename the directory"));
        }
        let dependencies: Vec<&ImageName> = edges.iter().map(|to| &survey.images[*to].name).collect();
        if let Err(problems) = expand(&config.build_args, (&facts, version.as_ref()), &variables, &dependencies) {
            found.extend(argument_findings(image, problems));
        }
    }
    found
}
