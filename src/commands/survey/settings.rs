//! Values of the environment that reach builds: variables that `hephy.yaml` allows in `build_args_env` and that build
//! arguments name. They are settings, unlike facts of the run, so they are part of the key: as hashes, for nobody has
//! said that they may be shown.

use std::collections::BTreeMap;

use super::{Image, Rules};
use crate::config::{RootConfig, template};
use crate::oci::{Digest, ImageName};
use crate::plan::args::is_given;

/// Whether a variable holds a secret.
pub(in crate::commands) fn is_secret(root: &RootConfig, name: &str) -> bool {
    crate::config::may_name_a_secret(name) || root.secrets.env.iter().any(|secret| secret == name)
}

/// The hashes of the values that an image's build arguments name, by variable; nothing for those that are not set.
pub(super) fn of(image: &Image, on: &[&ImageName], root: &RootConfig, rules: &Rules<'_>) -> BTreeMap<String, String> {
    let Some(config) = image.config().filter(|_| !root.build_args_env.is_empty()) else { return BTreeMap::new() };
    let names = config.build_args.iter().flat_map(|arg| template::names(&arg.value));
    let allowed = names.filter(|name| {
        let is_tag = || on.iter().any(|on| on.tag_variable() == *name);
        root.build_args_env.contains(name)
            && !is_given(name)
            && !is_tag()
            // Refused where it would be used; and no value of a secret is in a key.
            && !is_secret(root, name)
    });
    let hash = |name: &str| rules.env.get(name).map(|value| Digest::of(value.as_bytes()).hex().to_owned());
    allowed
        .map(|name| {
            let hash = hash(&name).unwrap_or_default();
            (name, hash)
        })
        .collect()
}
