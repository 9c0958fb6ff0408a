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
    /// Largest file that is searched, in bytes. Lock files and manifests have some hundred KiB.
    pub const MAX_BYTES: u64 = 1024 * 1024;

    /// Compiles a pattern: `^` and `$` at the ends of lines, whichever way these end. Linear in time, bounded in size.
    pub(super) fn regex(pattern: &str) -> Result<Regex, regex_lite::Error> {
        RegexBuilder::new(pattern).multi_line(true).crlf(true).size_limit(1 << 20).build()
    }

    /// What the group of the first match holds; none where nothing matches.
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
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
}
