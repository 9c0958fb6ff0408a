//! Tags (OCI distribution-spec, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).

use serde::{Deserialize, Serialize};

use super::{Invalid, text_type};

/// A valid tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(#[schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))] String);

text_type!(Tag);

impl Tag {
    /// Longest tag in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Parses a tag as it is written; nothing is rewritten.
    ///
    /// # Errors
    /// When a character or the length is not allowed.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let shown = || crate::diagnostic::escape_cut(text, 140);
        if text.is_empty() {
            return Err(Invalid("a tag is not empty".into()));
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) || !word(text.as_bytes()[0]) {
            return Err(Invalid(format!(
                "`{}` is not a tag: letters, digits and ._- and neither . nor - at the beginning",
                shown()
            )));
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(Invalid(format!(
                "`{}` is not a tag: {} characters, {} more than a registry takes",
                shown(),
                text.len(),
                text.len() - Self::MAX_LENGTH
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The tag of references that name none.
    #[must_use]
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a ref or branch name fit into a tag: every character outside the alphabet becomes `-`
    /// (specification §5: `{ref}` and `{branch}` are sanitised, every other tag is taken as written).
    #[must_use]
    pub fn sanitise(text: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        text.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_as_written_or_refused() {
        for good in ["latest", "1e3", "1.10", "_x", &"a".repeat(128)] {
            assert_eq!(Tag::parse(good).unwrap().as_str(), good);
        }
        for wrong in ["", ".a", "-a", "a b", "a/b", "ä", "a\n", &"a".repeat(129)] {
            assert!(Tag::parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(Tag::sanitise("feature/ä+b"), "feature---b");
    }
}
