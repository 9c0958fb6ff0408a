//! The configuration's fields that enter the input key.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::config::{BuildArg, ImageConfig, KoConfig};
use crate::oci::Platform;

/// The fields that count, under their names in the file.
#[derive(Serialize)]
struct Counted<'a> {
    dockerfile_path: &'a str,
    context_path: &'a str,
    target: &'a Option<String>,
    build_args: &'a [BuildArg],
    platforms: &'a [Platform],
    ko_config: &'a Option<KoConfig>,
    manual_images: &'a Option<BTreeMap<String, String>>,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    keep_git: bool,
    submodules: bool,
}

/// The normalised configuration by field, defaults applied, without what cannot reach a build: tags, what decides
/// which files count (the files do), what enters the key in another form (source, builder, dependencies), and the
/// limits of a build.
#[must_use]
pub fn config_fields(config: &ImageConfig) -> BTreeMap<String, Value> {
    // Every field is named, so that a new one is decided about.
    let ImageConfig {
        source: _,
        dockerfile_path,
        context_path,
        target,
        build_args,
        platforms,
        additional_tags: _,
        build_backend: _,
        ko_config,
        manual_images,
        depends_on: _,
        watch: _,
        ignore: _,
        tag_template: _,
        labels,
        annotations,
        keep_git,
        submodules,
        timeout: _,
        retries: _,
    } = config;
    let counted = Counted {
        dockerfile_path,
        context_path,
        target,
        build_args,
        platforms,
        ko_config,
        manual_images,
        labels,
        annotations,
        keep_git: *keep_git,
        submodules: *submodules,
    };
    let Ok(Value::Object(fields)) = serde_json::to_value(&counted) else { return BTreeMap::new() };
    fields.into_iter().collect()
}
