//! Content digests (OCI image-spec, `descriptor.md`, "Digests").

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Invalid, text_type};

/// `sha256:` and 64 lower-case hexadecimal digits. Other algorithms are refused: no registry that hephy
/// knows of stores images under them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(#[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))] String);

text_type!(Digest);

impl Digest {
    /// Parses `sha256:…`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "`{}` is not a digest: sha256: and 64 hexadecimal digits",
                crate::diagnostic::escape_cut(text, 80)
            )))
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hasher(Sha256::new_with_prefix(bytes))
    }

    /// The digest of what a hasher was fed.
    #[must_use]
    pub fn from_hasher(hasher: Sha256) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in hasher.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The whole text, `sha256:` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.get("sha256:".len()..).unwrap_or_default()
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_lower_case_sha256_is_a_digest() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty).map(|digest| digest.short().to_owned()), Ok("e3b0c44298fc".into()));
        for wrong in ["", "sha256:", &empty[..70], &empty.to_uppercase(), &empty.replace("sha256", "sha512")] {
            assert!(Digest::parse(wrong).is_err(), "{wrong}");
        }
    }
}
