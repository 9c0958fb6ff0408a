//! Collects the findings of one file, with exact places and the lines they stand in.
//!
//! Positions are character indices of the file without its byte order mark; lines end at `\n`, as every other tool
//! counts them. All findings of a file are kept that a person could ever read. A hostile file may have a hundred
//! thousand, all in one line, so their number, the lines attached and the suggestions looked for have a bound.

use crate::diagnostic::{Diagnostic, Span, nearest};

/// Characters of source lines that the findings of one file may carry together: four full files' worth.
const QUOTED_BYTES: usize = 1024 * 1024;
/// Findings of one file that are listed; then it is read no further.
const LISTED: usize = 1000;
/// Misspelt words of one file for which a suggestion is looked for.
const SUGGESTIONS: usize = 200;

/// The text of a file and where its lines are.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a str,
    lines: Vec<Line<'a>>,
}

#[derive(Debug)]
struct Line<'a> {
    /// Index of the first character.
    start: usize,
    /// Number of characters without the line's end.
    length: usize,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let mut start = 0;
        let mut lines = Vec::new();
        for line in text.split('\n') {
            let shown = line.strip_suffix('\r').unwrap_or(line);
            let length = shown.chars().count();
            lines.push(Line { start, length, text: shown });
            start += length + (line.len() - shown.len()) + 1;
        }
        Self { file, lines }
    }

    /// The place of the characters from `start` to before `end`, cut at the end of its first line.
    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        let number = self.lines.partition_point(|line| line.start <= start).max(1);
        let Some(line) = self.lines.get(number - 1) else { return Span::START };
        let from = (start - line.start).min(line.length);
        let to = end.saturating_sub(line.start).clamp(from, line.length);
        Span::new(number, from + 1, (to - from).max(1))
    }

    /// The first line that begins so.
    pub(super) fn line_that_begins(&self, beginning: &str) -> Option<Span> {
        let index = self.lines.iter().position(|line| line.text.starts_with(beginning))?;
        Some(Span::new(index + 1, 1, self.lines[index].length))
    }

    fn line(&self, number: usize) -> Option<&'a str> {
        self.lines.get(number.checked_sub(1)?).map(|line| line.text)
    }
}

/// The findings of one file.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    pub(super) source: Source<'a>,
    list: Vec<Diagnostic>,
    more: bool,
    quoted: usize,
    suggested: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, list: Vec::new(), more: false, quoted: 0, suggested: 0 }
    }

    /// An error at a place; give it to [`push`](Self::push) once it is complete.
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.source.file, span, message)
    }

    /// Takes a finding and attaches its line.
    pub(super) fn push(&mut self, mut finding: Diagnostic) {
        if self.list.len() == LISTED {
            self.more = true;
            return;
        }
        if finding.source_line.is_none()
            && let Some(line) = self.source.line(finding.span.line)
            && self.quoted + line.len() <= QUOTED_BYTES
        {
            self.quoted += line.len();
            finding.source_line = Some(mask_credentials(line));
        }
        finding.suggestion = finding.suggestion.map(|suggestion| mask_credentials(&suggestion));
        self.list.push(finding);
    }

    /// The word that a misspelt one most likely meant.
    pub(super) fn nearest(
        &mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'static str>,
    ) -> Option<&'static str> {
        self.suggested += 1;
        if self.suggested > SUGGESTIONS || word.len() > 64 { None } else { nearest(word, candidates) }
    }

    /// Whether there are more findings than anybody reads: the rest of the file may be left alone.
    pub(super) fn overflow(&self) -> bool {
        self.more
    }

    /// Everything found, by place, each once (an alias may lead to the same place twice).
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
        self.list.dedup_by(|one, other| one.sort_key() == other.sort_key());
        if self.more {
            let last = self.list.last().map_or(Span::START, |finding| finding.span);
            self.list
                .push(self.error(last, format!("more than {LISTED} problems, of which the others are not listed")));
        }
        self.list
    }
}

/// Hides `user:password@` of addresses, character for character so that carets stay where they belong: a finding is
/// shown in job logs that others read.
pub(crate) fn mask_credentials(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority =
            after.find(|c: char| c == '/' || c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(after.len());
        let user = after[..authority].rfind('@').unwrap_or(0);
        let hidden = &after[..user];
        if hidden.contains(':') || super::rules::repository::is_token(hidden) {
            out.extend(hidden.chars().map(|_| '*'));
        } else {
            out.push_str(hidden);
        }
        rest = &after[user..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_end_with_the_line() {
        let source = Source::new("f", "äb: 1\r\ncd: 22\n");
        assert_eq!(source.span(4, 5), Span::new(1, 5, 1));
        assert_eq!(source.span(7, 9), Span::new(2, 1, 2));
        assert_eq!(source.span(0, 99), Span::new(1, 1, 5));
        assert_eq!(source.span(99, 100), Span::new(3, 1, 1));
        assert_eq!(Source::new("f", "").span(0, 0), Span::START);
    }

    #[test]
    fn passwords_and_tokens_are_hidden_and_columns_kept() {
        for (line, shown) in [
            ("upstream_repo: https://me:secret@host/x", "upstream_repo: https://*********@host/x"),
            ("x: https://ghp_0123456789abcdef@host/x", "x: https://********************@host/x"),
            ("x: ssh://git@host/x https://a:b@c", "x: ssh://git@host/x https://***@c"),
            ("plain ://", "plain ://"),
        ] {
            assert_eq!(mask_credentials(line), shown);
        }
    }

    #[test]
    fn many_findings_in_one_long_line_carry_a_bounded_text() {
        let text = "x".repeat(200_000);
        let mut findings = Findings::new(Source::new("f", &text));
        for at in 0..100_000 {
            let finding = findings.error(findings.source.span(at, at + 1), "bad");
            findings.push(finding);
        }
        let all = findings.finish();
        assert_eq!(all.len(), LISTED + 1);
        assert_eq!(all[LISTED].message, "more than 1000 problems, of which the others are not listed");
        let quoted: usize = all.iter().filter_map(|finding| finding.source_line.as_ref()).map(String::len).sum();
        assert!(quoted <= QUOTED_BYTES);
    }
}
