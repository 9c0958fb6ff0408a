//! Variables in a Dockerfile's references: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}` and their forms
//! without the colon (Dockerfile reference, "Environment replacement").

use std::collections::BTreeMap;

/// A piece of a text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Taken as it stands.
    Text(String),
    /// A variable, with what stands for it when it is unset.
    Variable {
        /// Its name.
        name: String,
        /// What follows `-` or `+` in braces.
        word: Option<Alternative>,
    },
    /// A form that is not understood, such as `${NAME#pattern}`.
    Unknown(String),
}

/// What follows the name in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// `${NAME-word}`, `${NAME:-word}`: used when unset (with the colon: or empty).
    Default {
        /// The word, unexpanded.
        word: String,
        /// Whether the empty value counts as unset.
        or_empty: bool,
    },
    /// `${NAME+word}`, `${NAME:+word}`: used when set.
    Replacement {
        /// The word, unexpanded.
        word: String,
        /// Whether the empty value counts as unset.
        or_empty: bool,
    },
}

/// Variables that are in scope, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(pub BTreeMap<String, String>);

/// How deep words in braces may nest. Real files nest one level.
const MAX_DEPTH: usize = 8;
/// Longest text that a reference or a default expands to, in bytes: ten arguments that each name the one before ten
/// times would fill any memory. The longest legal reference has some 500.
const MAX_EXPANDED: usize = 4096;

impl Scope {
    /// Expands a text; none when a variable without a value or an unknown form is in it, or when it grows too long.
    #[must_use]
    pub fn expand(&self, text: &str) -> Option<String> {
        self.expand_nested(text, 0)
    }

    fn expand_nested(&self, text: &str, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        if !text.contains(['$', '\\']) {
            return (text.len() <= MAX_EXPANDED).then(|| text.to_owned());
        }
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.push_str(&text),
                Part::Unknown(_) => return None,
                Part::Variable { name, word } => {
                    let value = self.0.get(&name).map(String::as_str);
                    match word {
                        None => out.push_str(value?),
                        Some(Alternative::Default { word, or_empty }) => match value {
                            Some(value) if !(or_empty && value.is_empty()) => out.push_str(value),
                            _ => out.push_str(&self.expand_nested(&word, depth + 1)?),
                        },
                        Some(Alternative::Replacement { word, or_empty }) => {
                            if value.is_some_and(|value| !(or_empty && value.is_empty())) {
                                out.push_str(&self.expand_nested(&word, depth + 1)?);
                            }
                        }
                    }
                }
            }
            if out.len() > MAX_EXPANDED {
                return None;
            }
        }
        Some(out)
    }
}

/// Splits a text at its variables. `\$` is a dollar sign.
#[must_use]
pub fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix('\\') {
            let escaped = after.chars().next();
            plain.extend(escaped.filter(|c| *c == '$').or(Some('\\')));
            rest = if escaped == Some('$') { &after[1..] } else { after };
            continue;
        }
        let after = &from[1..];
        let (part, length) = if let Some(inner) = after.strip_prefix('{') {
            match closing_brace(inner) {
                Some(end) => (braced(&inner[..end]), end + 2),
                None => (Part::Unknown(after.to_owned()), after.len()),
            }
        } else {
            let length = name_length(after);
            (Part::Variable { name: after[..length].to_owned(), word: None }, length)
        };
        if length == 0 {
            plain.push('$');
        } else {
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        rest = &after[length..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

fn name_length(text: &str) -> usize {
    let digits_first = text.starts_with(|c: char| c.is_ascii_digit());
    if digits_first {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Offset of the brace that closes one which was opened just before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn braced(inner: &str) -> Part {
    let length = name_length(inner);
    let (name, rest) = inner.split_at(length);
    let name = name.to_owned();
    let (or_empty, operator) = rest.strip_prefix(':').map_or((false, rest), |operator| (true, operator));
    let word = |text: &str| text.to_owned();
    match (name.is_empty(), operator.chars().next()) {
        (false, None) if !or_empty => Part::Variable { name, word: None },
        (false, Some('-')) => {
            Part::Variable { name, word: Some(Alternative::Default { word: word(&operator[1..]), or_empty }) }
        }
        (false, Some('+')) => {
            Part::Variable { name, word: Some(Alternative::Replacement { word: word(&operator[1..]), or_empty }) }
        }
        _ => Part::Unknown(inner.to_owned()),
    }
}

/// Splits at white space outside quotes and takes the quotes away, as builders do for `ARG a="b c" d`.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut started = false;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '\'') => (quote, started) = (Some(character), true),
            (None, space) if space.is_whitespace() => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            (_, other) => {
                word.push(other);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(pairs: &[(&str, &str)]) -> Scope {
        Scope(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_form_of_the_dockerfile_reference_expands() {
        let scope = scope(&[("A", "x"), ("E", "")]);
        for (text, expanded) in [
            ("plain", Some("plain")),
            ("$A/${A}", Some("x/x")),
            ("${B:-d}", Some("d")),
            ("${E:-d}", Some("d")),
            ("${E-d}", Some("")),
            ("${A:+r}", Some("r")),
            ("${E:+r}", Some("")),
            ("${E+r}", Some("r")),
            ("${B+r}", Some("")),
            ("${B:-${A}}", Some("x")),
            ("${B:-${C:-$A}}", Some("x")),
            ("a$", Some("a$")),
            ("\\$A", Some("$A")),
            ("$B", None),
            ("${A#p}", None),
            ("${A", None),
            ("${}", None),
        ] {
            assert_eq!(scope.expand(text).as_deref(), expanded, "{text}");
        }
    }

    #[test]
    fn a_text_that_grows_too_long_has_no_value() {
        let scope = scope(&[("A", &"x".repeat(600))]);
        assert_eq!(scope.expand("$A$A$A$A$A$A").map(|text| text.len()), Some(3600));
        assert_eq!(scope.expand("$A$A$A$A$A$A$A"), None);
        assert_eq!(scope.expand("${B:-$A$A$A$A$A$A$A}"), None);
        assert_eq!(scope.expand(&"x".repeat(5000)), None);
    }

    #[test]
    fn words_are_split_outside_quotes() {
        assert_eq!(words("A=1 B=\"x y\"  C"), ["A=1", "B=x y", "C"]);
        assert_eq!(words(""), [""; 0]);
    }
}
