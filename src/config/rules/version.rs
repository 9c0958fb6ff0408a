//! The pattern that finds a version in a file.

use regex_lite::Regex;

use super::{Checked, Refusal, not_empty, single_line};
use crate::config::VersionFrom;

/// Longest pattern, in bytes. What it is matched against takes linear time whatever it says.
const MAX_BYTES: usize = 1000;
const RULE: &str = "a pattern is a regular expression with one group, the version: `^version = \"(.+)\"$`";

/// A regular expression with exactly one group.
pub(in super::super) fn version_pattern(text: &str) -> Checked<String> {
    not_empty(text)?;
    single_line(text)?;
    if text.len() > MAX_BYTES {
        return Err(Refusal::new(format!("has {} bytes", text.len())).note("a pattern has at most 1000 bytes"));
    }
    let groups = VersionFrom::regex(text).map(|regex| Regex::captures_len(&regex) - 1);
    match groups {
        Ok(1) => Ok(text.to_owned()),
        Ok(0) => Err(Refusal::new("has no group").note(RULE)),
        Ok(count) => Err(Refusal::new(format!("has {count} groups"))
            .note("only one may say which part is the version; others are written (?:…)")),
        Err(_) => Err(Refusal::new("is no regular expression").note(RULE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_exactly_one_group() {
        for good in ["(.+)", r"^ARG (?:CURL|X)_VERSION=(\d+\.\d+)$", r#""version":\s*"([^"]+)""#] {
            assert!(version_pattern(good).is_ok(), "{good}");
        }
        for (wrong, what) in [
            ("", "is empty"),
            ("v", "has no group"),
            ("(a)(b)", "has 2 groups"),
            ("(", "is no regular expression"),
            (r"(a)\1", "is no regular expression"),
            ("(((((a{1000}){1000}){1000}){1000}){1000})", "is no regular expression"),
            ("(a)\n", "has more than one line"),
        ] {
            assert_eq!(version_pattern(wrong).unwrap_err().what, what, "{wrong}");
        }
        assert_eq!(version_pattern(&"(a)".repeat(400)).unwrap_err().what, "has 1200 bytes");
    }
}
