//! The configuration's fields that enter the input key.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::ImageConfig;

/// What cannot reach a build: tags, what decides which files count (the files do), what enters the key in another
/// form (source, builder, dependencies), and the limits of a build.
const LEFT_OUT: [&str; 9] = [
    "source",
    "build_backend",
    "additional_tags",
    "tag_template",
    "depends_on",
    "watch",
    "ignore",
    "timeout",
    "retries",
];

/// The normalised configuration by field, defaults applied, without tags.
#[must_use]
pub fn config_fields(config: &ImageConfig) -> BTreeMap<String, Value> {
    let Ok(Value::Object(fields)) = serde_json::to_value(config) else { return BTreeMap::new() };
    fields.into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).collect()
}
