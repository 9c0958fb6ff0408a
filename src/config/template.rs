//! `${VAR}` in the values of `build_args` and `additional_tags`: split into parts, for all who expand them.
//!
//! Only `${NAME}` is special. A `$` that no `{` follows stands for itself, and so does each of `$$`; there is no
//! escape, because no value has ever needed a literal `${`. Which names mean something is not decided here.

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Taken as it stands; never empty.
    Text(String),
    /// `${NAME}`.
    Var {
        /// The name, `[A-Za-z_][A-Za-z0-9_]*`.
        name: String,
        /// Where `${` begins, in characters from the beginning of the value.
        offset: usize,
    },
}

/// What is wrong with a value, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Follows the field's name.
    pub message: String,
    /// The rule.
    pub note: &'static str,
    /// First wrong character of the value, from 0.
    pub offset: usize,
    /// Number of wrong characters.
    pub length: usize,
}

const RULE: &str = "a variable is written ${NAME}, with letters, digits and _";

/// Splits a value at its variables.
///
/// # Errors
/// At the first `${` that is not closed, or that does not hold a name.
pub fn parse(value: &str) -> Result<Vec<Part>, Malformed> {
    let mut parts = Vec::new();
    let (mut rest, mut offset) = (value, 0);
    while let Some(at) = rest.find("${") {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
            offset += rest[..at].chars().count();
        }
        let inner = &rest[at + 2..];
        let Some((name, after)) = inner.split_once('}') else {
            let length = rest[at..].chars().count();
            return Err(Malformed { message: "has a `${` that is never closed".into(), note: RULE, offset, length });
        };
        if super::rules::variable_name(name).is_err() {
            let length = name.chars().count() + 3;
            return Err(Malformed {
                message: "has a `${…}` without a proper name".into(), note: RULE, offset, length
            });
        }
        parts.push(Part::Var { name: name.to_owned(), offset });
        offset += name.len() + 3;
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// The names that a value refers to; none of one that is malformed.
#[must_use]
pub fn names(value: &str) -> Vec<String> {
    let name = |part| match part {
        Part::Var { name, .. } => Some(name),
        Part::Text(_) => None,
    };
    parse(value).into_iter().flatten().filter_map(name).collect()
}

/// A value with this in place of one name; one that is malformed stays.
#[must_use]
pub fn with(value: &str, name: &str, by: &str) -> String {
    let Ok(parts) = parse(value) else { return value.to_owned() };
    let written = |part| match part {
        Part::Text(text) => text,
        Part::Var { name: found, .. } if found == name => by.to_owned(),
        Part::Var { name: other, .. } => format!("${{{other}}}"),
    };
    parts.into_iter().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.into())
    }

    fn var(name: &str, offset: usize) -> Part {
        Part::Var { name: name.into(), offset }
    }

    #[test]
    fn variables_are_found_and_a_lone_dollar_is_itself() {
        for (value, parts) in [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            ("${A}", vec![var("A", 0)]),
            ("ä${A}b${_C9}", vec![text("ä"), var("A", 1), text("b"), var("_C9", 6)]),
            ("$A $$ $", vec![text("$A $$ $")]),
            ("$${A}", vec![text("$"), var("A", 1)]),
            ("a}{b", vec![text("a}{b")]),
        ] {
            assert_eq!(parse(value), Ok(parts), "{value}");
        }
    }

    #[test]
    fn one_name_may_be_written_out() {
        let value = "a${VERSION}$VERSION${X}${VERSION}}";
        assert_eq!(names(value), ["VERSION", "X", "VERSION"]);
        assert_eq!(with(value, "VERSION", "1.2"), "a1.2$VERSION${X}1.2}");
        assert_eq!((names("${A}${"), with("${A}${", "A", "1")), (Vec::new(), "${A}${".to_owned()));
    }

    #[test]
    fn malformed_variables_are_refused_where_they_stand() {
        for (value, offset, length) in [
            ("x${A", 1, 3),
            ("${}", 0, 3),
            ("${A-b}", 0, 6),
            ("${A}${1}", 4, 4),
            ("${A:-default}", 0, 13),
            ("${ A}", 0, 5),
            ("${${A}}", 0, 6),
            ("${ä}", 0, 4),
        ] {
            let wrong = parse(value).unwrap_err();
            assert_eq!((wrong.offset, wrong.length), (offset, length), "{value}");
        }
    }
}
