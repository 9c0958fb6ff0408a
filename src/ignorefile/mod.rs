//! `.dockerignore` and its like: which files of a build context a builder sees.
//!
//! There is one language, of `moby/patternmatcher`, and each builder has its own way with it ([`Dialect`]). What is
//! matched here is what that builder would match; where its way is not understood, a file counts. No pattern is ever
//! tried twice at the same place, whatever it looks like, and sizes are bounded. Pure: bytes in, values out.
//!
//! Read in the sources of BuildKit 0.25 (`frontend/dockerui`, `fsutil`), the Kaniko fork 1.28 (`pkg/util`), Buildah 1.28
//! (`imagebuilder`, `copier`) and Docker 20.10 (`pkg/archive`); `tests/suite/ignorefile` compares with the builders.

mod clean;
mod expression;
mod pattern;
mod runes;
mod walk;

pub use clean::clean;
pub use walk::{LeftOut, Walk};

use std::borrow::Cow;

use crate::diagnostic::{Diagnostic, Span, escape_cut};
use pattern::Pattern;

/// Largest ignore file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most patterns of one file.
const MAX_PATTERNS: usize = 2_000;
/// Most steps that matching one character of a path may take, over all patterns; a class counts its ranges.
const MAX_COST: usize = 8_192;

/// How a builder reads an ignore file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// BuildKit: a directory's matches hold for what is below it.
    BuildKit,
    /// Kaniko looks at each path by itself, and at the directory above it that is as deep as the pattern.
    Kaniko,
    /// Buildah reads lines in its own way; each pattern holds for what is below its matches.
    Buildah,
    /// The Docker engine without BuildKit: as Kaniko, with an older way to write expressions.
    Classic,
}

impl Dialect {
    /// Whether expressions are written in the older way, where `+()` are not escaped.
    const fn is_old(self) -> bool {
        matches!(self, Self::Buildah | Self::Classic)
    }
}

/// A compiled ignore file.
#[derive(Clone, Debug)]
pub struct IgnoreFile {
    dialect: Dialect,
    patterns: Vec<Pattern>,
    /// Whether a pattern begins with `!`.
    takes_back: bool,
    /// As it was written.
    text: Box<[u8]>,
}

impl PartialEq for IgnoreFile {
    fn eq(&self, other: &Self) -> bool {
        self.dialect == other.dialect && self.text == other.text
    }
}

impl Eq for IgnoreFile {}

impl IgnoreFile {
    /// Reads the bytes of `file` (its name, for findings). What cannot be read leaves nothing out.
    #[must_use]
    pub fn parse(file: &str, bytes: &[u8], dialect: Dialect) -> (Self, Vec<Diagnostic>) {
        let mut parsed = Self { dialect, patterns: Vec::new(), takes_back: false, text: Box::default() };
        let whole = |message: String| Diagnostic::error(file, Span::START, message);
        if bytes.len() > MAX_BYTES {
            return (parsed, vec![whole(format!("the ignore file is larger than {} KiB", MAX_BYTES / 1024))]);
        }
        let mut findings = Vec::new();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if let Some((text, takes_back)) = read_line(line, at == 0, dialect) {
                match text.and_then(|text| Pattern::new(text, takes_back, at + 1, dialect)) {
                    Some(pattern) => parsed.patterns.push(pattern),
                    None => findings.push(invalid(file, at + 1, &shown(line))),
                }
            }
        }
        parsed.text = bytes.into();
        let cost: usize = parsed.patterns.iter().map(Pattern::cost).sum();
        if parsed.patterns.len() > MAX_PATTERNS {
            findings.push(whole(format!("the ignore file has more than {MAX_PATTERNS} patterns")));
        } else if cost > MAX_COST {
            findings.push(whole("the wildcards of the ignore file are too many to be matched".to_owned()));
        }
        if !findings.is_empty() {
            // The builder stops, or leaves nothing out.
            parsed.patterns.clear();
        }
        parsed.takes_back = parsed.patterns.iter().any(|pattern| pattern.takes_back);
        (parsed, findings)
    }

    /// A line as it was written.
    #[must_use]
    pub fn line(&self, line: usize) -> Cow<'_, str> {
        line.checked_sub(1).and_then(|at| self.text.split(|byte| *byte == b'\n').nth(at)).map_or("".into(), shown)
    }
}

fn shown(line: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) => text.trim().to_owned().into(),
    }
}

fn invalid(file: &str, line: usize, shown: &str) -> Diagnostic {
    let message = format!("`{}` is no pattern that builders take", escape_cut(shown, 80));
    let mut finding = Diagnostic::error(file, Span::new(line, 1, shown.chars().count().max(1)), message);
    finding.source_line = Some(shown.to_owned());
    finding.note("a `[` wants a `]`, a range its two ends in order, `!` a pattern, and `\\` a character behind it")
}

/// The pattern of a line and whether it begins with `!`; none for a comment or an empty line, and no text where nothing
/// is left behind the `!`.
type Line = Option<(Option<Vec<u8>>, bool)>;

fn read_line(line: &[u8], is_first: bool, dialect: Dialect) -> Line {
    let pattern = match dialect {
        Dialect::Buildah => of_buildah(line)?,
        _ => of_moby(line, is_first)?,
    };
    // What `patternmatcher.New` does with each pattern.
    let pattern = runes::trim(&pattern);
    if pattern.is_empty() {
        return None;
    }
    let pattern = clean(pattern);
    let Some(taken_back) = pattern.strip_prefix(b"!") else { return Some((Some(pattern), false)) };
    if taken_back.is_empty() {
        return Some((None, true));
    }
    if dialect == Dialect::Buildah {
        let cleaned = clean(taken_back);
        return Some((Some(cleaned.strip_prefix(b"/").map_or(cleaned.clone(), <[u8]>::to_vec)), true));
    }
    Some((Some(taken_back.to_vec()), true))
}

/// `ignorefile.ReadAll` of `moby/patternmatcher`.
fn of_moby(line: &[u8], is_first: bool) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first).unwrap_or(line);
    if line.starts_with(b"#") {
        return None;
    }
    let pattern = runes::trim(line);
    if pattern.is_empty() {
        return None;
    }
    let (mark, pattern) = match pattern.strip_prefix(b"!") {
        Some(rest) => (b"!".as_slice(), runes::trim(rest)),
        None => (b"".as_slice(), pattern),
    };
    if pattern.is_empty() {
        return Some(mark.to_vec());
    }
    let mut pattern = clean(pattern);
    if pattern.len() > 1 && pattern.first() == Some(&b'/') {
        pattern.remove(0);
    }
    Some([mark, &pattern].concat())
}

/// `imagebuilder.ParseIgnore`.
fn of_buildah(line: &[u8]) -> Option<Vec<u8>> {
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let start = line.iter().take_while(|byte| **byte == b'/').count();
    let line = &line[start..];
    let end = line.iter().rev().take_while(|byte| **byte == b'/').count();
    let line = &line[..line.len() - end];
    (!line.is_empty()).then(|| line.to_vec())
}

#[cfg(test)]
mod tests;
