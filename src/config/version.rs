//! `version_from`: where the version of an image stands, and how it is found there.

use regex_lite::{Regex, RegexBuilder};
use serde::Serialize;

/// A file of the source, and what of it is the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionFrom {
    /// The file, relative to the source root.
    pub file: String,
    /// A regular expression with one group; none where the file holds nothing else than the version.
    pub pattern: Option<String>,
}

/// The file's only word.
const ONLY_WORD: &str = r"\A\s*(\S+)\s*\z";

impl VersionFrom {
    /// Largest file that is searched, in bytes: the time of a search is at most its length times that of the program.
    pub const MAX_BYTES: u64 = 256 * 1024;
    /// Largest compiled pattern, in bytes. `"version": "(.*?)"` has some hundred.
    const MAX_PROGRAM: usize = 8 * 1024;

    /// Compiles a pattern: `^` and `$` at the ends of lines, whichever way these end. Linear in time, and so small that no file takes long.
    pub(super) fn regex(pattern: &str) -> Result<Regex, regex_lite::Error> {
        RegexBuilder::new(pattern).multi_line(true).crlf(true).size_limit(Self::MAX_PROGRAM).build()
    }

    /// What the group of the first match holds; none where nothing matches.
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        if text.len() as u64 > Self::MAX_BYTES {
            return None;
        }
        let regex = Self::regex(self.pattern.as_deref().unwrap_or(ONLY_WORD)).ok()?;
        let found = regex.captures(text.strip_prefix('\u{feff}').unwrap_or(text))?;
        Some(found.get(1)?.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_of_the_group_is_what_is_found() {
        let found = |pattern: Option<&str>, text: &'static str| {
            VersionFrom { file: "f".into(), pattern: pattern.map(str::to_owned) }.find(text)
        };
        assert_eq!(found(None, "1.2.3\n"), Some("1.2.3"));
        assert_eq!(found(None, "\u{feff} v1.2\r\n"), Some("v1.2"));
        assert_eq!(found(None, "1.2.3\n1.2.4\n"), None);
        assert_eq!(found(None, ""), None);
        assert_eq!(found(Some(r"^ARG V=(\S+)$"), "FROM x\r\nARG V=8.5.0\r\nARG V=9\n"), Some("8.5.0"));
        assert_eq!(found(Some(r#""version": "(.*?)""#), r#"{"version": "1.2.3", "x": "y"}"#), Some("1.2.3"));
        assert_eq!(found(Some("(a)|b"), "b"), None);
    }

    #[test]
    fn no_pattern_takes_long() {
        assert!(VersionFrom::regex("(?:[ab]?[ab]?){3000}(z)").is_err());
        let slow = "(?:[ab]?[ab]?){12}(z)";
        assert!(VersionFrom::regex(slow).is_ok());
        let (start, text) = (std::time::Instant::now(), "ab".repeat(VersionFrom::MAX_BYTES as usize / 2));
        assert_eq!(VersionFrom { file: "f".into(), pattern: Some(slow.to_owned()) }.find(&text), None);
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }
}
