//! The expressions that builders make of patterns, in the syntax of Go's `regexp`, run without backtracking.
//!
//! A builder writes an expression out of a pattern character by character and knows nothing of classes meanwhile: a `*`
//! between brackets becomes a class within a class. To mean the same by such a pattern, the same text is written here
//! (`pattern`) and read as Go reads it. Only what can come of a pattern is understood.

use std::iter::Peekable;
use std::str::Chars;

/// Why an expression cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Go refuses it as well.
    Invalid,
    /// Go takes it, and nobody writes it into an ignore file.
    Unknown,
}

/// One step of a program. The numbers are places in it.
#[derive(Clone, Debug)]
enum Step {
    /// This character, or any other one. Most steps are of this kind, which takes no memory of its own.
    One { character: char, negated: bool },
    /// One character out of a set.
    Set(Box<Set>),
    /// Goes on at the next step and at that one.
    Fork(u32),
    /// Goes on at that one.
    Jump(u32),
    /// Goes on at the start of the text only.
    Begin,
}

impl From<Set> for Step {
    fn from(set: Set) -> Self {
        match set.ranges.as_slice() {
            [(low, high)] if low == high => Self::One { character: *low, negated: set.negated },
            _ => Self::Set(Box::new(set)),
        }
    }
}

/// The characters of some ranges, or all others.
#[derive(Clone, Debug)]
struct Set {
    negated: bool,
    /// Sorted, and none touches another.
    ranges: Vec<Span>,
}

/// The first and the last character of a range.
type Span = (char, char);

impl Set {
    fn one(character: char) -> Self {
        Self { negated: false, ranges: vec![(character, character)] }
    }

    /// Makes one of ranges that overlap: a class may name a character thousands of times.
    fn of(negated: bool, mut ranges: Vec<Span>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let overlap = next.0 <= before.1;
            if overlap {
                before.1 = before.1.max(next.1);
            }
            overlap
        });
        Self { negated, ranges }
    }

    fn holds(&self, character: char) -> bool {
        let behind = self.ranges.partition_point(|(low, _)| *low <= character);
        let found =
            behind.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|(_, high)| character <= *high);
        found != self.negated
    }
}

/// A compiled expression that matches whole texts.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    steps: Box<[Step]>,
    cost: usize,
}

/// What running an expression needs, kept between runs.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    now: Vec<usize>,
    next: Vec<usize>,
    /// For each step the round in which it was reached last.
    seen: Vec<usize>,
    todo: Vec<usize>,
}

impl Expression {
    /// Reads an expression without its `^` and `$`.
    pub(super) fn parse(text: &str) -> Result<Self, Trouble> {
        let mut parser = Parser { rest: text.chars().peekable(), steps: Vec::new(), names_no_class: false };
        while parser.rest.peek().is_some() {
            parser.piece()?;
        }
        let cost = |step: &Step| match step {
            Step::Set(set) => set.ranges.len().max(1),
            _ => 1,
        };
        Ok(Self { cost: parser.steps.iter().map(cost).sum(), steps: parser.steps.into() })
    }

    /// What running it costs at most for each character: its steps, and the ranges of its classes.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &[char], scratch: &mut Scratch) -> bool {
        scratch.seen.clear();
        scratch.seen.resize(self.steps.len() + 1, 0);
        scratch.now.clear();
        self.reach(0, 0, scratch);
        std::mem::swap(&mut scratch.now, &mut scratch.next);
        for (at, character) in text.iter().enumerate() {
            if scratch.now.is_empty() {
                return false;
            }
            scratch.next.clear();
            let now = std::mem::take(&mut scratch.now);
            for step in &now {
                let holds = match self.steps.get(*step) {
                    Some(Step::One { character: wanted, negated }) => (wanted == character) != *negated,
                    Some(Step::Set(set)) => set.holds(*character),
                    _ => false,
                };
                if holds {
                    self.reach(*step + 1, at + 1, scratch);
                }
            }
            scratch.now = now;
            std::mem::swap(&mut scratch.now, &mut scratch.next);
        }
        scratch.now.contains(&self.steps.len())
    }

    /// Adds to `next` every step that waits for a character, or the end, and can be reached from `step`.
    fn reach(&self, step: usize, at: usize, scratch: &mut Scratch) {
        if at == 0 {
            scratch.next.clear();
        }
        scratch.todo.push(step);
        while let Some(step) = scratch.todo.pop() {
            if std::mem::replace(&mut scratch.seen[step], at + 1) == at + 1 {
                continue;
            }
            match self.steps.get(step) {
                Some(Step::Fork(other)) => scratch.todo.extend([step + 1, *other as usize]),
                Some(Step::Jump(other)) => scratch.todo.push(*other as usize),
                Some(Step::Begin) if at == 0 => scratch.todo.push(step + 1),
                Some(Step::Begin) => {}
                Some(Step::One { .. } | Step::Set(_)) | None => scratch.next.push(step),
            }
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    steps: Vec<Step>,
    /// Whether what is left is known to have no `:]`.
    names_no_class: bool,
}

impl Parser<'_> {
    /// One piece with what repeats it.
    fn piece(&mut self) -> Result<(), Trouble> {
        let start = self.place()?;
        match self.rest.next() {
            Some('(') => {
                while self.rest.next_if_eq(&')').is_none() {
                    self.rest.peek().ok_or(Trouble::Invalid)?;
                    self.piece()?;
                }
            }
            Some('[') => {
                let set = self.class()?;
                self.steps.push(set.into());
            }
            Some('^') => self.steps.push(Step::Begin),
            Some('.') => self.steps.push(Step::One { character: '\n', negated: true }),
            Some('\\') => {
                let set = self.escaped()?;
                self.steps.push(set.into());
            }
            Some('*' | '+' | '?') => return Err(Trouble::Invalid),
            Some(other) => self.steps.push(Step::One { character: other, negated: false }),
            None => return Ok(()),
        }
        let end = self.place()?;
        match self.rest.peek() {
            Some('*') => {
                self.steps.insert(start as usize, Step::Fork(end + 2));
                self.steps.push(Step::Jump(start));
                // What lies in the piece moved by one.
                self.shift(start + 1, end + 1);
            }
            Some('?') => {
                self.steps.insert(start as usize, Step::Fork(end + 1));
                self.shift(start + 1, end + 1);
            }
            _ => return Ok(()),
        }
        self.rest.next();
        // `**` and its like: Go refuses them.
        match self.rest.peek() {
            Some('*' | '+' | '?') => Err(Trouble::Invalid),
            _ => Ok(()),
        }
    }

    /// Where the next step goes. Ignore files are far smaller than what does not fit.
    fn place(&self) -> Result<u32, Trouble> {
        u32::try_from(self.steps.len()).map_err(|_| Trouble::Unknown)
    }

    fn shift(&mut self, from: u32, to: u32) {
        for step in self.steps.iter_mut().take(to as usize).skip(from as usize) {
            if let Step::Fork(other) | Step::Jump(other) = step {
                *other += 1;
            }
        }
    }

    /// A class behind its `[`.
    fn class(&mut self) -> Result<Set, Trouble> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let character = self.rest.next().ok_or(Trouble::Invalid)?;
            if character == ']' && !first {
                return Ok(Set::of(negated, ranges));
            }
            first = false;
            if character == '[' && !self.names_no_class && self.rest.peek() == Some(&':') {
                // The name of a class, if `:]` follows anywhere; where it does not, it does not further on either.
                let rest: String = self.rest.clone().skip(1).collect();
                if rest.contains(":]") {
                    return Err(Trouble::Unknown);
                }
                self.names_no_class = true;
            }
            let low = self.class_character(character, &mut ranges)?;
            let mut behind = self.rest.clone();
            let is_range = behind.next() == Some('-') && behind.next().is_some_and(|next| next != ']');
            match low {
                None => {}
                Some(low) if !is_range => ranges.push((low, low)),
                Some(low) => {
                    self.rest.next();
                    let character = self.rest.next().ok_or(Trouble::Invalid)?;
                    // A class such as `\d` ends no range.
                    let high = self.class_character(character, &mut Vec::new())?.ok_or(Trouble::Invalid)?;
                    if high < low {
                        return Err(Trouble::Invalid);
                    }
                    ranges.push((low, high));
                }
            }
        }
    }

    /// A character of a class; none for `\d` and its like, which is put into `ranges`.
    fn class_character(&mut self, character: char, ranges: &mut Vec<Span>) -> Result<Option<char>, Trouble> {
        if character != '\\' {
            return Ok(Some(character));
        }
        let escaped = self.escaped()?;
        match (escaped.negated, escaped.ranges.as_slice()) {
            (true, _) => Err(Trouble::Unknown),
            (false, [(low, high)]) if low == high => Ok(Some(*low)),
            (false, more) => {
                ranges.extend(more);
                Ok(None)
            }
        }
    }

    /// What stands behind a `\`.
    fn escaped(&mut self) -> Result<Set, Trouble> {
        let word = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
        let space = [('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')];
        let set = |negated: bool, ranges: &[Span]| Ok(Set::of(negated, ranges.to_vec()));
        match self.rest.next().ok_or(Trouble::Invalid)? {
            'd' => set(false, &word[..1]),
            'D' => set(true, &word[..1]),
            'w' => set(false, &word),
            'W' => set(true, &word),
            's' => set(false, &space),
            'S' => set(true, &space),
            'a' => Ok(Set::one('\u{7}')),
            'f' => Ok(Set::one('\u{c}')),
            'n' => Ok(Set::one('\n')),
            'r' => Ok(Set::one('\r')),
            't' => Ok(Set::one('\t')),
            'v' => Ok(Set::one('\u{b}')),
            'A' | 'b' | 'B' | 'C' | 'Q' | 'z' | 'p' | 'P' | 'x' | '0'..='7' => Err(Trouble::Unknown),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(Set::one(other)),
            _ => Err(Trouble::Invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        let characters: Vec<char> = text.chars().collect();
        Expression::parse(expression).unwrap().matches(&characters, &mut Scratch::default())
    }

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        for (expression, text, expected) in [
            ("", "", true),
            ("a", "", false),
            ("[^/]*", "", true),
            ("a[^/]*b", "axxb", true),
            ("a[^/]*b", "a/b", false),
            ("(.*/)?b", "b", true),
            ("(.*/)?b", "x/y/b", true),
            ("(.*/)?b", "xb", false),
            ("(.*/)?b", "x\n/b", false),
            ("a(/.*)?", "a/b/c", true),
            ("a(/.*)?", "ab", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[a[^/]*]", "^^]", true),
            ("[a-]", "-", true),
            ("\\*\\d", "*7", true),
            ("[\\d\\]]", "]", true),
            ("[c-ea-bd-f]x", "fx", true),
            ("[c-ea-bd-f]x", "gx", false),
            ("[^zb-da-c]", "d", false),
            ("[^zb-da-c]", "e", true),
            ("a^b", "a^b", false),
            ("^a", "a", true),
        ] {
            assert_eq!(matches(expression, text), expected, "{expression} on {text}");
        }
    }

    #[test]
    fn a_class_costs_what_it_has_ranges() {
        let cost = |text: &str| Expression::parse(text).unwrap().cost();
        assert_eq!(cost("a[^/]*b"), 5);
        assert_eq!(cost(&format!("[{}]", "~".repeat(60_000))), 1);
        let apart: String = ('\u{4e00}'..'\u{9000}').step_by(2).collect();
        assert_eq!(cost(&format!("[{apart}]")), apart.chars().count());
    }

    #[test]
    fn a_class_is_read_in_one_go() {
        let start = std::time::Instant::now();
        assert!(Expression::parse(&format!("[{}]", "[:a".repeat(21_000))).is_ok());
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn what_go_refuses_is_invalid() {
        for (text, trouble) in [
            ("[a", Trouble::Invalid),
            ("[z-a]", Trouble::Invalid),
            ("\\e", Trouble::Invalid),
            ("\\é", Trouble::Invalid),
            ("[[:alpha:]]", Trouble::Unknown),
            ("\\pL", Trouble::Unknown),
        ] {
            assert_eq!(Expression::parse(text).unwrap_err(), trouble, "{text}");
        }
    }
}
