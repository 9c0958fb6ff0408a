//! What jobs say they can build with and for: `HEPHY_BACKENDS` and `HEPHY_ARCHES` (specification §8).

use std::collections::BTreeMap;

use super::Version;
use crate::config::BackendName;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::oci::Platform;

/// Parses `HEPHY_BACKENDS`, such as `kaniko@1.28.3,ko`: builders with their versions, where they are said.
///
/// # Errors
/// When a word is no builder, or a version is none.
pub fn declared_backends(text: &str) -> Result<BTreeMap<BackendName, Option<Version>>> {
    words(text)
        .map(|word| {
            let (name, version) = word.split_once('@').map_or((word, None), |(name, version)| (name, Some(version)));
            let shown = escape_cut(word, 80);
            let known = BackendName::ALL.map(BackendName::word).join(", ");
            let name = BackendName::ALL.into_iter().find(|backend| backend.word() == name).ok_or_else(|| {
                Error::usage(format!("HEPHY_BACKENDS names `{shown}`, which is no builder"))
                    .hint(format!("one of {known}"))
            })?;
            let version = match version {
                None => None,
                Some(text) => Some(Version::find(text).ok_or_else(|| {
                    Error::usage(format!("HEPHY_BACKENDS has `{shown}`, whose version is none"))
                        .hint("write it as kaniko@1.28.3")
                })?),
            };
            Ok((name, version))
        })
        .collect()
}

/// Parses `HEPHY_ARCHES`, such as `amd64,arm64`, or `none`.
///
/// # Errors
/// When a word is no architecture.
pub fn declared_arches(text: &str) -> Result<Vec<Platform>> {
    let parse = |word| {
        Platform::from_arch(word).map_err(|invalid| {
            Error::usage(format!("HEPHY_ARCHES names `{}`, which is no architecture", escape_cut(word, 80)))
                .cause(invalid)
                .hint("write it as amd64,arm64")
        })
    };
    words(text).filter(|word| *word != crate::ci::NO_ARCH).map(parse).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_parsed_or_refused() {
        let offered = declared_backends("kaniko@1.28.3, ko,").unwrap();
        assert_eq!(offered[&BackendName::Kaniko], Some(Version(1, 28, 3)));
        assert_eq!((offered[&BackendName::Ko], offered.len()), (None, 2));
        for wrong in ["kanko", "kaniko@", "kaniko@latest", "-x"] {
            assert_eq!(declared_backends(wrong).unwrap_err().kind().code(), "usage_error", "{wrong}");
        }
        let arches: Vec<_> = declared_arches("amd64,armv7").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(arches, ["linux/amd64", "linux/arm/v7"]);
        assert_eq!(declared_arches("none").unwrap(), []);
        assert!(declared_arches("x86_64").is_err());
    }
}
