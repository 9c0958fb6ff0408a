//! What `hephy check` found: every problem of every file, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::Parsed;
use crate::diagnostic::{Diagnostic, Severity};

/// One configuration file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedFile {
    /// Relative to the repository's root.
    pub file: String,
    /// The normalised configuration, defaults applied; none when there are errors.
    pub config: Option<Value>,
    /// What was found in it, by place.
    pub findings: Vec<Diagnostic>,
}

impl CheckedFile {
    /// A file that was parsed.
    pub fn parsed<T: Serialize>(file: impl Into<String>, parsed: Parsed<T>) -> Self {
        let config = parsed.value.and_then(|value| serde_json::to_value(value).ok());
        Self { file: file.into(), config, findings: parsed.findings }
    }

    /// Adds a finding about something that the file refers to; the configuration cannot be used any more.
    pub fn add(&mut self, finding: Diagnostic) {
        if finding.severity == Severity::Error {
            self.config = None;
        }
        self.findings.push(finding);
        self.findings.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// All files, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// The files that were looked at.
    pub files: Vec<CheckedFile>,
    /// Errors in all of them.
    pub errors: usize,
    /// Warnings in all of them.
    pub warnings: usize,
    /// What could be better, in all of them.
    pub infos: usize,
}

impl CheckReport {
    /// Sorts and counts.
    #[must_use]
    pub fn new(mut files: Vec<CheckedFile>) -> Self {
        files.sort_by(|one, other| one.file.cmp(&other.file));
        let count = |severity| files.iter().map(|file| file.count(severity)).sum();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let infos = count(Severity::Info);
        Self { files, errors, warnings, infos }
    }

    /// Adds what is wrong with the image that a file describes, unless something was found at that place already; what
    /// a rule finds is of its own and says so.
    #[must_use]
    pub fn also(mut self, problems: Vec<(String, Diagnostic)>) -> Self {
        for (about, finding) in problems {
            let Some(file) = self.files.iter_mut().find(|file| file.file == about) else { continue };
            let said = |other: &Diagnostic| {
                other.file == finding.file
                    && other.rule == finding.rule
                    && (other.span.line, other.span.column) == (finding.span.line, finding.span.column)
            };
            if !file.findings.iter().any(said) {
                file.add(finding);
            }
        }
        Self::new(self.files)
    }

    /// Every finding, by file and place.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.files.iter().flat_map(|file| &file.findings)
    }

    /// For people: the findings, and one line that counts them.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for finding in self.findings() {
            out.push_str(&finding.render());
            out.push('\n');
        }
        let _ = writeln!(out, "{}", self.summary());
        out
    }

    /// `2 errors in 2 of 14 files.`
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let found: Vec<String> = [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "info")]
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| count(number, word))
            .collect();
        let files = count(self.files.len(), "file");
        let with = self.files.iter().filter(|file| !file.findings.is_empty()).count();
        match found.as_slice() {
            [] if self.files.is_empty() => "No configuration files.".to_owned(),
            [] => format!("{files}, no problems."),
            found => format!("{} in {with} of {files}.", found.join(", ")),
        }
    }
}
