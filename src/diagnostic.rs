//! A finding at a place in a file, and how it is shown: `file:line:column`, the line, a caret.
//!
//! Text from files is hostile: control and invisible characters are escaped and long lines cut, so that a
//! finding can neither move the cursor nor forge a line of output. Positions stay those of the file.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and should be looked at.
    Warning,
    /// The file is fine, and could be better.
    Info,
}

impl Severity {
    /// The word in front of the message.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// A stretch of one line. Line and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column of the first character, from 1.
    pub column: usize,
    /// Number of characters; at least one caret is drawn.
    pub length: usize,
}

impl Span {
    /// The first character of a file: the place of findings that concern all of it.
    pub const START: Self = Self { line: 1, column: 1, length: 1 };

    /// A stretch of `length` characters.
    #[must_use]
    pub const fn new(line: usize, column: usize, length: usize) -> Self {
        Self { line, column, length }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, relative to the repository's root.
    pub file: String,
    /// Where in the file.
    #[serde(flatten)]
    pub span: Span,
    /// How bad it is.
    pub severity: Severity,
    /// The rule of `hephy check` that found it; none for what is an error whatever is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Beside the caret: what was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Below the line: the rule, or the next step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The line itself as it stands in the file (not escaped); none where the file has no such line.
    #[serde(skip)]
    pub source_line: Option<String>,
}

/// Longest stretch of a source line that is shown, in characters: a terminal's width and a bit.
const SHOWN_CHARACTERS: usize = 120;

impl Diagnostic {
    /// An error at `span` of `file`.
    pub fn error(file: impl Into<String>, span: Span, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            span,
            severity: Severity::Error,
            rule: None,
            message: message.into(),
            suggestion: None,
            fix: None,
            notes: Vec::new(),
            source_line: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Adds what was probably meant, shown beside the caret.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// Adds a line below the caret.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Takes the line to show from the file's text.
    #[must_use]
    pub fn with_source(mut self, text: &str) -> Self {
        self.source_line = text.lines().nth(self.span.line.saturating_sub(1)).map(str::to_owned);
        self
    }

    /// The order in which findings are shown: by file, then by place.
    #[must_use]
    pub fn sort_key(&self) -> (&str, Span, Severity, &str) {
        (&self.file, self.span, self.severity, &self.message)
    }

    /// The finding for a person, ending in a newline, without colour.
    #[must_use]
    pub fn render(&self) -> String {
        let rule = self.rule.map(|rule| format!(" [{rule}]")).unwrap_or_default();
        let mut out = format!(
            "{}:{}:{}: {}: {}{rule}\n",
            escape(&self.file),
            self.span.line,
            self.span.column,
            self.severity.word(),
            escape(&self.message)
        );
        let gutter = self.span.line.to_string().len();
        if let Some(line) = &self.source_line {
            let shown = shown_part(line, self.span);
            let _ = writeln!(out, "{:gutter$} |", "");
            let _ = writeln!(out, "{} | {}", self.span.line, shown.text);
            let _ = write!(out, "{:gutter$} | {:indent$}{}", "", "", "^".repeat(shown.carets), indent = shown.indent);
            if let Some(suggestion) = &self.suggestion {
                let _ = write!(out, " {}", escape(suggestion));
            }
            out.push('\n');
        } else if let Some(suggestion) = &self.suggestion {
            let _ = writeln!(out, "{:gutter$} = {}", "", escape(suggestion));
        }
        if let Some(fix) = &self.fix {
            let _ = writeln!(out, "{:gutter$} = fix: {}", "", escape(fix));
        }
        for note in &self.notes {
            let _ = writeln!(out, "{:gutter$} = {}", "", escape(note));
        }
        out
    }
}

struct Shown {
    text: String,
    indent: usize,
    carets: usize,
}

/// The part of a line around the span, escaped, and where the carets go below it.
fn shown_part(line: &str, span: Span) -> Shown {
    let characters: Vec<char> = line.chars().collect();
    let start = span.column.saturating_sub(1).min(characters.len());
    let end = (start + span.length.max(1)).min(characters.len());
    // The window begins at the line's start whenever the span fits, so that short lines look as in the file.
    let from = if end <= SHOWN_CHARACTERS { 0 } else { start.saturating_sub(SHOWN_CHARACTERS / 4) };
    let to = characters.len().min(from + SHOWN_CHARACTERS);
    let escaped = |range: &[char]| escape(&range.iter().collect::<String>());
    let before = escaped(characters.get(from..start).unwrap_or_default());
    let inside = escaped(characters.get(start..end.min(to)).unwrap_or_default());
    let after = escaped(characters.get(end.min(to)..to).unwrap_or_default());
    let lead = if from > 0 { "…" } else { "" };
    let tail = if to < characters.len() { "…" } else { "" };
    Shown {
        indent: lead.chars().count() + before.chars().count(),
        carets: inside.chars().count().max(1),
        text: format!("{lead}{before}{inside}{after}{tail}"),
    }
}

/// Text from outside made safe for a terminal and a log: control characters, line separators, bidirectional
/// marks and other invisible characters become `\u{…}`, tabs become a space.
#[must_use]
pub fn escape(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => out.push(' '),
            character if is_unseen(character) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out
}

/// Like [`escape`], cut to at most `limit` characters.
#[must_use]
pub fn escape_cut(text: &str, limit: usize) -> String {
    let mut characters = text.chars();
    let head: String = characters.by_ref().take(limit).collect();
    let tail = if characters.next().is_some() { "…" } else { "" };
    escape(&head) + tail
}

/// Whether a character must not reach a terminal as it is.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control() || is_invisible(character)
}

/// The same for what has its point at its end, as the messages of builders do: the middle goes.
pub fn escape_cut_middle(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return escape(text);
    }
    let head: String = text.chars().take(limit / 3).collect();
    let tail: String = text.chars().skip(count - (limit - limit / 3)).collect();
    format!("{} … {}", escape(&head), escape(&tail))
}

/// Characters that take no room or reorder what stands beside them (Unicode: default ignorable, bidi controls,
/// line and paragraph separators).
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The candidate that a misspelt word most likely meant, if one is near enough to be worth saying.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Every other letter is one away from a single one.
    let length = word.chars().count();
    let limit = if length < 2 { 0 } else { (length / 3).clamp(1, 3) };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_shows_place_line_caret_and_suggestion() {
        let finding = Diagnostic::error("curl/build-config.yaml", Span::new(9, 1, 8), "unknown field `plaforms`")
            .suggest("did you mean `platforms`?")
            .with_source("1\n2\n3\n4\n5\n6\n7\n8\nplaforms:\n");
        assert_eq!(
            finding.render(),
            "curl/build-config.yaml:9:1: error: unknown field `plaforms`\n\
             \x20 |\n\
             9 | plaforms:\n\
             \x20 | ^^^^^^^^ did you mean `platforms`?\n"
        );
    }

    #[test]
    fn control_and_invisible_characters_are_escaped_and_the_caret_still_points_right() {
        let finding = Diagnostic::error("a\u{1b}[2J", Span::new(1, 4, 2), "bad\nvalue").with_source("a\u{202e}bXY");
        assert_eq!(
            finding.render(),
            "a\\u{1b}[2J:1:4: error: bad\\u{a}value\n  |\n1 | a\\u{202e}bXY\n  |           ^^\n"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_span() {
        let line = format!("{}BAD{}", "x".repeat(500), "y".repeat(500));
        let rendered = Diagnostic::error("f", Span::new(1, 501, 3), "m").with_source(&line).render();
        assert!(rendered.lines().all(|line| line.chars().count() < 140), "{rendered}");
        let lines: Vec<&str> = rendered.lines().collect();
        let caret = lines[3].find('^').map(|at| lines[3][..at].chars().count());
        let bad = lines[2].find("BAD").map(|at| lines[2][..at].chars().count());
        assert_eq!(caret, bad);
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("plaforms", ["platforms", "target"]), Some("platforms"));
        assert_eq!(nearest("xyz", ["platforms", "target"]), None);
        assert_eq!(nearest("c", ["a", "b"]), None);
    }
}
