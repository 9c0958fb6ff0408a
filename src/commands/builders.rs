//! Which builders this machine has.

use crate::config::BackendName;
use crate::process::find;

/// The builder that is used on a developer's machine when nobody names one: the first that is found.
#[must_use]
pub fn first_found() -> Option<BackendName> {
    found().into_iter().next()
}

/// The builders of Dockerfiles that this machine has, the preferred one first.
#[must_use]
pub fn found() -> Vec<BackendName> {
    let found = |backend: &BackendName| match backend {
        BackendName::Kaniko => std::path::Path::new("/kaniko/executor").exists(),
        BackendName::Buildkit => find("buildctl").is_some() && std::env::var_os("BUILDKIT_HOST").is_some(),
        other => find(other.word()).is_some(),
    };
    let order = [BackendName::Kaniko, BackendName::Buildkit, BackendName::Buildah, BackendName::Docker];
    order.into_iter().filter(found).collect()
}
