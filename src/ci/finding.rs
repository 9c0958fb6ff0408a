//! What is wrong at a place of the repository, in the forms that platforms show beside the code: annotations on
//! GitHub, a code-quality report on GitLab. Texts are strangers', so neither form lets one forge another entry.

use serde_json::json;

use super::output::{harmless, workflow_command};
use crate::diagnostic::{Diagnostic, Severity, escape, escape_cut, escape_cut_middle};
use crate::error::Error;
use crate::oci::Digest;
use crate::plan::{Plan, PlannedSource};
use crate::result::{BuildResult, Status};

/// GitHub shows so many annotations of a kind and step, and drops the rest without a word.
const SHOWN: usize = 10;
/// Lines of a log that an annotation quotes.
const QUOTED: usize = 5;
/// Findings of one report: GitLab refuses large ones.
const MAX_REPORTED: usize = 1000;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    severity: Severity,
    /// Where, relative to the repository's root; none for what concerns no file.
    place: Option<(String, usize)>,
    /// The class: an error code, or `config`.
    check: String,
    title: String,
    message: String,
}

impl Finding {
    /// A finding in a configuration file or a Dockerfile.
    #[must_use]
    pub fn of_diagnostic(found: &Diagnostic) -> Self {
        let more =
            found.suggestion.iter().chain(&found.fix).chain(&found.notes).map(|text| format!("\n{}", escape(text)));
        Self {
            severity: found.severity,
            place: Some((found.file.clone(), found.span.line)),
            check: found.rule.unwrap_or("config").to_owned(),
            title: found.rule.map_or("hephy".to_owned(), |rule| format!("hephy: {rule}")),
            message: format!("{}{}", escape(&found.message), more.collect::<String>()),
        }
    }

    /// The same for an image that is not built: it stops nothing.
    #[must_use]
    pub fn of_bystander(found: &Diagnostic) -> Self {
        Self { severity: found.severity.max(Severity::Warning), ..Self::of_diagnostic(found) }
    }

    /// A failure that has no place.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        Self {
            severity: Severity::Error,
            place: None,
            check: error.kind().code().to_owned(),
            title: format!("hephy: {}", error.kind()),
            message: format!("{}\n{}", escape(error.message()), lines(error.next_step())),
        }
    }

    /// A build that did not complete; none for one that did, or that was skipped because of another one.
    #[must_use]
    pub fn of_build(plan: &Plan, result: &BuildResult) -> Option<Self> {
        if !matches!(result.status, Status::Failed | Status::Cancelled) {
            return None;
        }
        let error = result.error.as_ref()?;
        let image = plan.image(result.image.as_str())?;
        let config =
            if image.dir == "." { "build-config.yaml".into() } else { format!("{}/build-config.yaml", image.dir) };
        let mut message = String::new();
        let mut place = (config, 1);
        if let Some(at) = &error.instruction {
            message.push_str(&format!("{}\n", escape_cut(&at.text, 300)));
            match image.source {
                PlannedSource::Local { .. } => place = (at.file.clone(), at.line),
                // The file is in the other repository.
                PlannedSource::Remote { .. } => {
                    message.push_str(&format!("{}:{} of the upstream repository\n", escape(&at.file), at.line));
                }
            }
        }
        message.push_str(&escape(&error.message));
        let last = error.last_lines.iter().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
        for line in &last[last.len().saturating_sub(QUOTED)..] {
            message.push_str(&format!("\n  {}", escape_cut_middle(line, 300)));
        }
        let verb = if result.status == Status::Failed { "failed" } else { "was cancelled" };
        Some(Self {
            severity: Severity::Error,
            place: Some(place),
            check: error.code.code().to_owned(),
            title: format!("{} {} {verb} ({})", result.image, result.platform, error.code),
            message,
        })
    }
}

/// Text of several lines, each escaped.
fn lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// GitHub's annotations: lines for the log. What is beyond its limit is counted in the last one.
#[must_use]
pub fn annotations(findings: &[Finding]) -> String {
    let mut out = String::new();
    for (severity, word) in [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "notice")] {
        let found: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == severity).collect();
        let shown = if found.len() > SHOWN { SHOWN - 1 } else { found.len() };
        for finding in &found[..shown] {
            let line = finding.place.as_ref().map(|(_, line)| line.to_string());
            let file = finding.place.as_ref().map(|(file, _)| escape(file));
            let mut properties = Vec::new();
            properties.extend(file.as_deref().map(|file| ("file", file)));
            properties.extend(line.as_deref().map(|line| ("line", line)));
            properties.push(("title", &finding.title));
            out.push_str(&workflow_command(word, &properties, &harmless(&finding.message, true)));
        }
        if found.len() > shown {
            let more = format!("{} more {word}s: the log has all of them", found.len() - shown);
            out.push_str(&workflow_command(word, &[("title", "hephy")], &more));
        }
    }
    out
}

/// GitLab's code-quality report: a JSON list, empty when nothing was found. What has no place cannot be in it.
#[must_use]
pub fn code_quality(findings: &[Finding]) -> String {
    let entry = |finding: &Finding| {
        let (file, line) = finding.place.as_ref()?;
        let unique = [finding.check.as_str(), file, &line.to_string(), &finding.title, &finding.message].join("\0");
        Some(json!({
            "description": format!("{}: {}", finding.title, finding.message),
            "check_name": format!("hephy:{}", finding.check),
            "fingerprint": Digest::of(unique.as_bytes()).hex(),
            "severity": match finding.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
                Severity::Info => "info",
            },
            "location": { "path": escape(file), "lines": { "begin": line } },
        }))
    };
    let entries: Vec<serde_json::Value> = findings.iter().filter_map(entry).take(MAX_REPORTED).collect();
    format!("{}\n", serde_json::Value::from(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Span;

    fn finding(file: &str, message: &str) -> Finding {
        Finding::of_diagnostic(&Diagnostic::error(file, Span::new(3, 1, 1), message).note("a\n::error::note"))
    }

    #[test]
    fn a_name_or_message_forges_no_annotation() {
        let found = finding("a,line=9:b\n::error::x/%0A::warning::y", "m\r\n::set-output name=a::b %0A##[error]z");
        let text = annotations(&[found]);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("::error file=a%2Cline=9%3Ab\\u{a}%3A%3Aerror"), "{text}");
        assert!(text.contains("line=3,title=hephy::") && !text.contains("##[") && !text.contains('\r'), "{text}");
        assert!(text.contains("%250A") && !text.contains("%0A::"), "{text}");
    }

    #[test]
    fn beyond_githubs_limit_the_rest_is_counted_in_one_line_a_kind() {
        let mut found: Vec<Finding> = (0..12).map(|at| finding("a", &at.to_string())).collect();
        found.extend((0..10).map(|_| Finding { severity: Severity::Warning, ..finding("a", "w") }));
        let text = annotations(&found);
        assert_eq!(text.matches("::error ").count(), 10);
        assert!(text.contains("3 more errors: the log has all of them"), "{text}");
        assert_eq!(text.matches("::warning ").count(), 10);
    }

    #[test]
    fn a_code_quality_report_is_gitlabs_format() {
        assert_eq!(code_quality(&[]), "[]\n");
        let error = Finding::of_error(&Error::usage("x"));
        let report = code_quality(&[finding("web/build-config.yaml", "a \"b\""), error, finding("x", "y")]);
        let report: Vec<serde_json::Value> = serde_json::from_str(&report).unwrap();
        assert_eq!(report.len(), 2);
        assert_eq!(report[0]["location"], json!({"path": "web/build-config.yaml", "lines": {"begin": 3}}));
        assert_eq!((&report[0]["severity"], &report[0]["check_name"]), (&json!("major"), &json!("hephy:config")));
        assert_ne!(report[0]["fingerprint"], report[1]["fingerprint"]);
    }
}
