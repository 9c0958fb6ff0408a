//! The rules of `hephy check` about what is allowed and could be better: images as they are → findings.
//!
//! A rule looks at one image, is cheap, needs no network, and is almost never wrong; what is opinion is no more than an
//! info. Each has a name, a level that `lint` in `hephy.yaml` or `build-config.yaml` changes, what mends it, and is
//! silenced where it stands by a comment ([`silence`]). What an image cannot be built with is no rule's affair: that is
//! an error, and found elsewhere.

mod arguments;
mod bases;
mod context;
mod page;
mod projects;
mod rules;
pub mod silence;

use serde::Serialize;

use crate::config::{BackendName, ImageConfig, Spans};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::dockerfile::Dockerfile;
use crate::plan::graph::ExternalBase;

pub use context::Context;
pub use page::{explain, page};
pub use rules::{RULES, Rule, find};

/// How bad what a rule finds is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not reported.
    Off,
    /// Could be better.
    Info,
    /// Should be looked at; an error with `--strict`.
    Warning,
    /// Fails the check.
    Error,
}

impl Level {
    /// The level that a word of a configuration file means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Info, Self::Warning, Self::Error].into_iter().find(|level| level.word() == word)
    }

    /// The word in configuration files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    const fn severity(self) -> Option<Severity> {
        match self {
            Self::Off => None,
            Self::Info => Some(Severity::Info),
            Self::Warning => Some(Severity::Warning),
            Self::Error => Some(Severity::Error),
        }
    }
}

/// One image, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its configuration file.
    pub file: &'a str,
    /// Where the fields of that stand.
    pub spans: &'a Spans,
    /// The configuration.
    pub config: &'a ImageConfig,
    /// The builder.
    pub backend: BackendName,
    /// Path and content of its Dockerfile, where it has one in this repository.
    pub dockerfile: Option<(&'a str, &'a Dockerfile)>,
    /// External images that its Dockerfile refers to.
    pub bases: &'a [ExternalBase],
    /// What the builder gets, where it is in this repository.
    pub context: Option<&'a Context>,
    /// Whether a `spin.toml` lies in the source root.
    pub has_spin_manifest: bool,
}

impl Subject<'_> {
    /// What every rule finds in the image, at the levels of its configuration.
    #[must_use]
    pub fn findings(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        bases::find(self, &mut found);
        context::find(self, &mut found);
        arguments::find(self, &mut found);
        projects::find(self, &mut found);
        let level = |finding: Found| {
            let level = self.config.lint.get(finding.rule.name).copied().unwrap_or(finding.rule.level);
            finding.diagnostic(level)
        };
        found.into_iter().filter_map(level).collect()
    }

    /// The place of the field that says most about the build context.
    fn context_place(&self) -> Span {
        let fields = ["context_path", "context_from", "use_local_context", "build_backend"];
        fields.iter().find_map(|field| self.spans.0.get(*field).copied()).unwrap_or(Span::START)
    }
}

/// What a rule found.
#[derive(Clone, Debug)]
struct Found {
    rule: &'static Rule,
    file: String,
    span: Span,
    message: String,
    /// What mends it here, where that can be said better than in general.
    fix: Option<String>,
}

impl Found {
    fn new(rule: &'static Rule, file: &str, span: Span, message: String) -> Self {
        Self { rule, file: file.to_owned(), span, message, fix: None }
    }

    fn fix(self, fix: String) -> Self {
        Self { fix: Some(fix), ..self }
    }

    fn diagnostic(self, level: Level) -> Option<Diagnostic> {
        let severity = level.severity()?;
        let mut finding = Diagnostic::error(self.file, self.span, self.message);
        finding.severity = severity;
        finding.rule = Some(self.rule.name);
        finding.fix = Some(self.fix.unwrap_or_else(|| self.rule.fix.to_owned()));
        Some(finding)
    }
}
