//! The name of an image: its directory with `/` replaced by `-` (specification §3).

use serde::{Deserialize, Serialize};

use super::{Invalid, text_type};

/// An image name: the prefix of its tags in layout `single`, the last part of the repository in `per-image`,
/// the stem of its files under `.hephy/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(#[schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))] String);

text_type!(ImageName);

impl ImageName {
    /// Parses a name: what may begin a tag.
    ///
    /// # Errors
    /// When the text cannot begin a legal tag.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        super::Tag::parse(text).map(|_| Self(text.to_owned())).map_err(|_| {
            Invalid(format!(
                "`{}` cannot begin a tag: letters, digits and ._- and neither . nor - at the beginning",
                crate::diagnostic::escape_cut(text, 140)
            ))
        })
    }

    /// The name of the image in `dir` (relative to the repository's root, `/`-separated, empty or `.` for the root,
    /// which takes the repository's name).
    ///
    /// # Errors
    /// When the directory's name gives no legal tag.
    pub fn of_directory(dir: &str, repository: &str) -> Result<Self, Invalid> {
        match dir {
            "" | "." => Self::parse(repository),
            dir => Self::parse(&dir.replace('/', "-")),
        }
    }

    /// The name of one of several images of a directory: the directory's, and then what tells it from the others.
    ///
    /// # Errors
    /// When the two together give no legal tag.
    pub fn of_target(&self, target: &str) -> Result<Self, Invalid> {
        Self::parse(&format!("{self}-{target}"))
    }

    /// What stands for the name of a directory that gives none; `index` tells it from others.
    #[must_use]
    pub fn stand_in(index: usize) -> Self {
        Self(format!("illegal-directory-{index}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the build argument that carries this image's tag: capitals, other characters as `_`, then
    /// `_TAG` (specification §7).
    #[must_use]
    pub fn tag_variable(&self) -> String {
        let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        self.0.chars().map(capital).collect::<String>() + "_TAG"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_name_images() {
        assert_eq!(ImageName::of_directory("base/curl", "acme").unwrap().as_str(), "base-curl");
        assert_eq!(ImageName::of_directory(".", "acme").unwrap().as_str(), "acme");
        assert!(ImageName::of_directory("-x", "acme").is_err());
        assert!(ImageName::of_directory("a b", "acme").is_err());
        assert_eq!(ImageName::parse("manifest-tool.x").unwrap().tag_variable(), "MANIFEST_TOOL_X_TAG");
    }
}
