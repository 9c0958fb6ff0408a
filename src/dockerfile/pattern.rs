//! Patterns in `${NAME#pattern}` and its like: `*`, `?`, and escapes by `\`, whatever the file's escape character is.

use regex::{NoExpand, Regex};

use super::expand::Refusal;

/// Longest pattern, in bytes: nothing that matches a legal reference is longer.
const MAX_PATTERN: usize = 512;

/// `value` without what matches `word` at its front, or at its end: the shortest match, or the longest when the
/// operator is doubled.
pub(super) fn trim(value: &str, at_end: bool, word: &str) -> Result<String, Refusal> {
    let longest = word.strip_prefix(if at_end { '%' } else { '#' });
    let pieces = pieces(longest.unwrap_or(word))?;
    if at_end {
        // The shortest match at the end is the first one from behind.
        let reversed: String = value.chars().rev().collect();
        let rest = compile(pieces.iter().rev(), longest.is_some(), true)?.replace(&reversed, NoExpand("")).into_owned();
        return Ok(rest.chars().rev().collect());
    }
    Ok(compile(pieces.iter(), longest.is_some(), true)?.replace(value, NoExpand("")).into_owned())
}

/// Hands over `value` in pieces, with `with` in place of the first match, or of all.
pub(super) fn replace(
    value: &str,
    pattern: &str,
    with: &str,
    all: bool,
    mut piece: impl FnMut(&str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let compiled = compile(pieces(pattern)?.iter(), true, false)?;
    let mut end = 0;
    for found in compiled.find_iter(value).take(if all { usize::MAX } else { 1 }) {
        piece(&value[end..found.start()])?;
        piece(with)?;
        end = found.end();
    }
    piece(&value[end..])
}

enum Piece {
    Any,
    One,
    Literal(char),
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, Refusal> {
    if pattern.len() > MAX_PATTERN {
        return Err(Refusal(format!("a pattern is longer than {MAX_PATTERN} bytes")));
    }
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Piece::Literal(escaped),
                _ => return Err(Refusal("a pattern escapes what needs no escape".to_owned())),
            },
            other => Piece::Literal(other),
        });
    }
    Ok(pieces)
}

fn compile<'p>(pieces: impl Iterator<Item = &'p Piece>, longest: bool, at_front: bool) -> Result<Regex, Refusal> {
    let mut source = String::from(if at_front { "^" } else { "" });
    for piece in pieces {
        match piece {
            Piece::Any => source.push_str(if longest { ".*" } else { ".*?" }),
            Piece::One => source.push('.'),
            Piece::Literal(literal) => source.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&source).map_err(|_| Refusal("a pattern cannot be used".to_owned()))
}
