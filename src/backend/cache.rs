//! Where a build keeps its layers between runs (specification §12).

use std::time::Duration;

use crate::oci::{Platform, Tag};

/// The layer cache of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCache {
    /// `host[:port]/repository`.
    pub repository: String,
    /// Tag of a cache that is kept in one piece.
    pub tag: Tag,
    /// How long a cached layer is used.
    pub ttl: Option<Duration>,
    /// Whether this build adds to it; check runs do not.
    pub write: bool,
}

impl StepCache {
    /// `host[:port]` of its registry.
    #[must_use]
    pub fn host(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// `<repository>/cache-<arch>`, for builders whose cache does not tell architectures apart.
    pub(super) fn of_architecture(&self, platform: &Platform) -> String {
        format!("{}/cache-{}", self.repository, platform.arch())
    }

    /// The lifetime as Go reads one.
    pub(super) fn ttl_option(&self) -> Option<String> {
        self.ttl.map(|ttl| format!("{}s", ttl.as_secs()))
    }
}
