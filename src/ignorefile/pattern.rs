//! One pattern: its text made an expression as each builder does, and what that matches.

use super::expression::{Expression, Scratch, Trouble};
use super::{Dialect, runes};

/// A pattern of an ignore file.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Cleaned, without the `!`.
    pub(super) text: Vec<u8>,
    /// Whether it begins with `!`: what it matches is taken back in.
    pub(super) takes_back: bool,
    /// Number of its parts.
    pub(super) depth: usize,
    /// Line of the file, from 1.
    pub(super) line: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The text itself.
    Exact,
    /// The text without its last two characters, `**`, and anything behind.
    Prefix,
    /// Anything, and the text without its first two characters, `**`.
    Suffix,
    Expression {
        expression: Expression,
        /// What every match begins and ends with; empty where that is not simple to say.
        first: Vec<u8>,
        last: Vec<u8>,
    },
    /// An expression that is not understood. It leaves nothing out and takes everything back in: too much counts then,
    /// never too little.
    Unknown,
}

/// A path, and what matching it needs.
#[derive(Debug, Default)]
pub(super) struct Subject {
    characters: Vec<char>,
    is_decoded: bool,
    scratch: Scratch,
}

impl Subject {
    /// Forgets the path that was matched last.
    pub(super) fn renew(&mut self) {
        self.is_decoded = false;
    }
}

impl Pattern {
    /// Compiles a cleaned text; none when builders refuse it.
    pub(super) fn new(text: Vec<u8>, takes_back: bool, line: usize, dialect: Dialect) -> Option<Self> {
        if !is_well_formed(&text) {
            return None;
        }
        let kind = match Writer::new(&text, dialect).write() {
            Ok(kind) => kind,
            Err(Trouble::Unknown) => Kind::Unknown,
            Err(Trouble::Invalid) => return None,
        };
        let depth = 1 + memchr::memchr_iter(b'/', &text).count();
        Some(Self { text, takes_back, depth, line, kind })
    }

    /// What it costs to match, for each character of a path.
    pub(super) fn cost(&self) -> usize {
        match &self.kind {
            Kind::Expression { expression, .. } => expression.cost(),
            _ => 1,
        }
    }

    /// Whether it matches a path. `subject` belongs to that path.
    pub(super) fn matches(&self, path: &[u8], subject: &mut Subject) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix => self.text.strip_suffix(b"**").is_some_and(|text| path.starts_with(text)),
            Kind::Suffix => self
                .text
                .strip_prefix(b"**")
                .is_some_and(|text| path.ends_with(text) || text.strip_prefix(b"/").is_some_and(|text| path == text)),
            Kind::Expression { expression, first, last } => {
                if !path.starts_with(first) || !path.ends_with(last) {
                    return false;
                }
                if !subject.is_decoded {
                    subject.characters.clear();
                    runes::decode(path, &mut subject.characters);
                    subject.is_decoded = true;
                }
                expression.matches(&subject.characters, &mut subject.scratch)
            }
            Kind::Unknown => self.takes_back,
        }
    }

    /// The same for another path than the subject's.
    pub(super) fn matches_other(&self, path: &[u8], other: &mut Subject) -> bool {
        other.renew();
        self.matches(path, other)
    }
}

/// Turns a pattern into an expression as `patternmatcher.compile` does (`fileutils.compile` in the older builders).
struct Writer<'a> {
    text: &'a [u8],
    dialect: Dialect,
    out: String,
    kind: Kind,
    /// Whether it means something in an expression that it was not meant to.
    is_unknown: bool,
}

impl<'a> Writer<'a> {
    const fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self { text, dialect, out: String::new(), kind: Kind::Exact, is_unknown: false }
    }

    fn write(mut self) -> Result<Kind, Trouble> {
        let mut characters = Vec::new();
        runes::decode(self.text, &mut characters);
        // Go's scanner drops a byte order mark in front, and stumbles over a NUL.
        if characters.first() == Some(&'\u{feff}') || characters.contains(&'\0') {
            return Err(Trouble::Unknown);
        }
        let mut is_expression = self.dialect.is_old();
        let mut rest = characters.iter().copied().peekable();
        let mut first = true;
        while let Some(character) = rest.next() {
            let special = match character {
                '*' if rest.next_if_eq(&'*').is_some() => {
                    rest.next_if_eq(&'/');
                    self.any_depth(first, rest.peek().is_none(), is_expression)
                }
                '*' => {
                    self.out.push_str("[^/]*");
                    true
                }
                '?' => {
                    self.out.push_str("[^/]");
                    true
                }
                '.' | '$' => self.escape(character),
                // The older ones leave these to mean what they mean in expressions.
                '+' | '(' | ')' if self.dialect.is_old() => return Err(Trouble::Unknown),
                '+' | '(' | ')' => self.escape(character),
                // `patternmatcher` means to escape these too, and shifts their bits out of a byte.
                '|' => self.meddle(),
                '{' if is_repetition(rest.clone()) => self.meddle(),
                '\\' => {
                    self.out.push('\\');
                    self.out.push(rest.next().ok_or(Trouble::Invalid)?);
                    true
                }
                '[' | ']' => {
                    self.out.push(character);
                    true
                }
                other => {
                    self.out.push(other);
                    false
                }
            };
            is_expression |= special;
            first = false;
        }
        match is_expression {
            true => self.expression(),
            false => Ok(self.kind),
        }
    }

    /// `**`, and the `/` behind it: whether it takes an expression, or is a case of its own.
    fn any_depth(&mut self, first: bool, at_end: bool, is_expression: bool) -> bool {
        let was_exact = matches!(self.kind, Kind::Exact) && !is_expression;
        self.out.push_str(if at_end { ".*" } else { "(.*/)?" });
        if first && !self.dialect.is_old() {
            self.kind = Kind::Suffix;
        } else if at_end && was_exact {
            self.kind = Kind::Prefix;
        } else {
            return true;
        }
        false
    }

    fn expression(mut self) -> Result<Kind, Trouble> {
        if self.dialect == Dialect::Buildah {
            self.out.push_str("(/.*)?");
        }
        let expression = Expression::parse(&self.out)?;
        if self.is_unknown {
            return Err(Trouble::Unknown);
        }
        let (first, last) = self.ends();
        Ok(Kind::Expression { expression, first, last })
    }

    fn escape(&mut self, character: char) -> bool {
        self.out.push('\\');
        self.out.push(character);
        false
    }

    const fn meddle(&mut self) -> bool {
        self.is_unknown = true;
        false
    }

    /// What every match begins and ends with.
    fn ends(&self) -> (Vec<u8>, Vec<u8>) {
        let is_special = |byte: &u8| b"*?[]\\^".contains(byte);
        let text = self.text;
        if !text.is_ascii() {
            return (Vec::new(), Vec::new());
        }
        let first = text.split(is_special).next().unwrap_or_default();
        let mut last = text.rsplit(is_special).next().unwrap_or_default();
        // `**/x` matches `x`.
        last = last.strip_prefix(b"/").unwrap_or(last);
        if self.dialect == Dialect::Buildah || text.contains(&b'\\') {
            last = b"";
        }
        (first.to_vec(), last.to_vec())
    }
}

/// Whether `{` is followed by numbers and a `}`: only then it is none of the text.
fn is_repetition(mut rest: impl Iterator<Item = char>) -> bool {
    let (mut digits, mut commas) = (0, 0);
    rest.find(|character| {
        digits += usize::from(character.is_ascii_digit());
        commas += usize::from(*character == ',');
        !(character.is_ascii_digit() || *character == ',')
    }) == Some('}')
        && digits > 0
        && commas < 2
}

/// Whether Go's `filepath.Match` takes a pattern: what it refuses, builders refuse.
fn is_well_formed(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        let chunk;
        (chunk, rest) = next_chunk(rest);
        if check_chunk(chunk).is_none() {
            return false;
        }
    }
    true
}

/// Up to the next `*` outside brackets.
fn next_chunk(pattern: &[u8]) -> (&[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let pattern = &pattern[stars..];
    let (mut at, mut in_range) = (0, false);
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'\\' if at + 1 < pattern.len() => at += 1,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => break,
            _ => {}
        }
        at += 1;
    }
    pattern.split_at(at)
}

fn check_chunk(mut chunk: &[u8]) -> Option<()> {
    while let Some((byte, rest)) = chunk.split_first() {
        chunk = rest;
        match byte {
            b'[' => {
                chunk = chunk.strip_prefix(b"^").unwrap_or(chunk);
                let mut ranges = 0;
                while ranges == 0 || chunk.first() != Some(&b']') {
                    chunk = range_end(chunk)?;
                    if let Some(behind) = chunk.strip_prefix(b"-") {
                        chunk = range_end(behind)?;
                    }
                    ranges += 1;
                }
                chunk = &chunk[1..];
            }
            b'\\' => {
                chunk = chunk.get(1..)?;
            }
            _ => {}
        }
    }
    Some(())
}

/// Behind one end of a range; none when there is none, or nothing follows.
fn range_end(chunk: &[u8]) -> Option<&[u8]> {
    if matches!(chunk.first(), None | Some(b'-' | b']')) {
        return None;
    }
    let chunk = chunk.strip_prefix(b"\\").unwrap_or(chunk);
    let length = (1..=4).find(|length| chunk.get(..*length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()))?;
    chunk.get(length..).filter(|rest| !rest.is_empty())
}
