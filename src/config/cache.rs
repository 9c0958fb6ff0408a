//! `cache`: where a builder keeps its layers between runs (specification §12).

use std::time::Duration;

use serde::Serialize;

use super::file::{self, File};
use super::rules;

/// The layer cache of an image that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// Repository of the cache; none is the image's own.
    pub repo: Option<String>,
    /// How long a cached layer is used.
    #[serde(rename = "ttl_seconds", serialize_with = "super::in_seconds")]
    pub ttl: Option<Duration>,
}

/// `cache` of `hephy.yaml`: what images without a word of their own have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheDefaults {
    /// Whether images have one; none where nobody says.
    pub enabled: Option<bool>,
    /// Repository and lifetime of every cache that names none, wherever it was turned on.
    #[serde(flatten)]
    pub settings: Cache,
}

/// What `cache` of a file says.
pub(super) fn defaults(file: &File<'_>) -> CacheDefaults {
    let Some(entries) = file.mapping("cache") else {
        return CacheDefaults { enabled: file.flag("cache"), settings: Cache::default() };
    };
    let settings = Cache {
        repo: file::text(&entries, "repo", rules::cache_repository),
        ttl: file::text(&entries, "ttl", rules::duration),
    };
    CacheDefaults { enabled: Some(true), settings }
}

/// The cache of an image: its own word, else the defaults'.
pub(super) fn of_image(file: &File<'_>, defaults: &CacheDefaults) -> Option<Cache> {
    let own = self::defaults(file);
    own.enabled.or(defaults.enabled).unwrap_or_default().then(|| Cache {
        repo: own.settings.repo.or_else(|| defaults.settings.repo.clone()),
        ttl: own.settings.ttl.or(defaults.settings.ttl),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RootConfig, parse_image, parse_root};

    fn cache(root: &str, image: &str) -> Option<Cache> {
        let root = parse_root("hephy.yaml", root.as_bytes()).value.unwrap();
        cache_under(&root, image)
    }

    fn cache_under(root: &RootConfig, image: &str) -> Option<Cache> {
        let text = format!("use_local_context: true\n{image}");
        parse_image("f", text.as_bytes(), root).value.unwrap().cache
    }

    #[test]
    fn an_images_own_word_wins_and_inherits_what_it_leaves_open() {
        let of = |repo: Option<&str>, ttl: Option<u64>| {
            Some(Cache { repo: repo.map(str::to_owned), ttl: ttl.map(Duration::from_secs) })
        };
        let root = "cache: {repo: r.io/cache, ttl: 1h}";
        for (root, image, expected) in [
            ("", "", None),
            ("", "cache: true", of(None, None)),
            ("", "cache: {ttl: 2h}", of(None, Some(7200))),
            ("cache: true", "", of(None, None)),
            ("cache: true", "cache: false", None),
            ("cache: false", "cache: true", of(None, None)),
            (root, "", of(Some("r.io/cache"), Some(3600))),
            (root, "cache: true", of(Some("r.io/cache"), Some(3600))),
            (root, "cache: {ttl: 2h}", of(Some("r.io/cache"), Some(7200))),
            (root, "cache: false", None),
            ("cache: {}", "", of(None, None)),
        ] {
            assert_eq!(cache(root, image), expected, "{root} / {image}");
        }
        // HEPHY_CACHE turns it on and off, and says nothing of the place.
        let mut root = parse_root("hephy.yaml", root.as_bytes()).value.unwrap();
        root.cache.enabled = Some(false);
        assert_eq!(
            (cache_under(&root, ""), cache_under(&root, "cache: true")),
            (None, of(Some("r.io/cache"), Some(3600)))
        );
    }
}
