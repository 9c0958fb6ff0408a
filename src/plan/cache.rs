//! Names of layer caches (specification §12): one for each image × target × architecture, and none that an image
//! could have.
//!
//! A cache lies in the repository of its image unless the configuration names another: that one exists wherever an
//! image can be pushed (ECR creates none), needs no further level of names (GitLab and Docker Hub limit them), and no
//! further permission. What distinguishes it there is its tag. BuildKit keeps a cache in one piece, whose tag begins
//! with [`PREFIX`]. Kaniko and Buildah keep each layer under a hash of all that led to it, 64 hexadecimal digits, so that
//! two jobs never write different things under one name; but their hashes do not tell architectures apart, and those of
//! each lie in `cache-<arch>` below the repository, where no image can be. Tags of images are refused both forms.

use sha2::{Digest as _, Sha256};

use super::PlannedCache;
use super::assemble::{Candidate, Facts};
use crate::config::BackendName;
use crate::oci::{Digest, Platform, Tag};

/// Begins the tag of every cache that is kept in one piece.
pub const PREFIX: &str = "_cache.";
/// How much of an image's name such a tag shows; a hash makes it unique.
const SHOWN: usize = 64;

/// Whether a tag is one that caches have.
#[must_use]
pub fn is_cache_tag(tag: &str) -> bool {
    let hash = || tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    tag.starts_with(PREFIX) || hash()
}

/// Whether the builder has a cache in a registry.
#[must_use]
pub const fn has_cache(backend: BackendName) -> bool {
    matches!(backend, BackendName::Kaniko | BackendName::Buildkit | BackendName::Buildah)
}

/// The cache of an image, if it is to have one and there is a place for it.
pub(super) fn planned(facts: &Facts, candidate: &Candidate) -> Option<PlannedCache> {
    let cache = candidate.config.cache.as_ref().filter(|_| has_cache(candidate.backend) && candidate.is_built())?;
    let own = facts.registry.as_ref().map(|registry| facts.layout.repository_of(registry, &candidate.name));
    let repository = cache.repo.clone().or_else(|| own.clone())?;
    let tag = |platform: &Platform| {
        let whose = [
            own.as_deref().unwrap_or(&facts.source.repository),
            candidate.name.as_str(),
            candidate.config.target.as_deref().unwrap_or_default(),
        ];
        Some((platform.arch(), tag(&whose, &platform.arch())?))
    };
    let tags = candidate.config.platforms.iter().filter_map(tag).collect();
    Some(PlannedCache { repository, tags, ttl_seconds: cache.ttl.map(|ttl| ttl.as_secs()) })
}

/// `_cache.<image>.<arch>.<hash>`; the hash is over repository, image, target and architecture.
fn tag(whose: &[&str; 3], arch: &str) -> Option<Tag> {
    let mut hasher = Sha256::new_with_prefix("hephy cache 1\0");
    for field in whose.iter().chain([&arch]) {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    let hash = Digest::from_hasher(hasher);
    // Names are ASCII.
    let shown = whose[1].get(..SHOWN).unwrap_or(whose[1]);
    Tag::parse(&format!("{PREFIX}{shown}.{arch}.{}", hash.hex().get(..12)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_target_and_architecture_has_a_tag_of_its_own() {
        let tags = [
            tag(&["r/a", "curl", ""], "amd64"),
            tag(&["r/a", "curl", ""], "arm64"),
            tag(&["r/a", "curl", "debug"], "amd64"),
            tag(&["r/a", "curl.debug", ""], "amd64"),
            tag(&["r/b", "curl", ""], "amd64"),
            tag(&["r/a", &"x".repeat(128), ""], "amd64"),
            tag(&["r/a", &"x".repeat(127), ""], "amd64"),
        ];
        let tags: std::collections::BTreeSet<Tag> = tags.into_iter().map(Option::unwrap).collect();
        assert_eq!(tags.len(), 7);
        assert!(tags.iter().all(|tag| is_cache_tag(tag.as_str())));
        assert!(tags.iter().any(|tag| tag.as_str().starts_with("_cache.curl.amd64.")));
    }

    #[test]
    fn no_tag_of_an_image_is_taken_for_one() {
        for tag in
            ["curl-20251015", "cache", "_cache", "curl-_cache.x", &"a".repeat(63), &"A".repeat(64), &"g".repeat(64)]
        {
            assert!(!is_cache_tag(tag), "{tag}");
        }
        assert!(is_cache_tag(&"0a".repeat(32)) && is_cache_tag("_cache.curl.amd64.0"));
    }
}
