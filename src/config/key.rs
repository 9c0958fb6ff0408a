//! The part of a configuration that enters the input key (specification §6).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ImageConfig, Source};

impl ImageConfig {
    /// The normalised configuration that can reach the build: defaults applied, lists whose order means nothing
    /// sorted, fields that the image's kind of source or build does not read left out.
    ///
    /// Not in it: tags (`additional_tags`, `tag_template`), what decides when or how long to build (`watch`, `ignore`,
    /// `depends_on`, `timeout`, `retries`), and what enters the key in another form: the source as files or commit
    /// (a branch that is renamed is the same build), the builder as decided, other images as their keys.
    #[must_use]
    pub fn key_fields(&self) -> BTreeMap<&'static str, Value> {
        let mut platforms: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
        platforms.sort();
        let mut fields = BTreeMap::from([("platforms", json!(platforms)), ("annotations", json!(self.annotations))]);
        if let Some(images) = &self.manual_images {
            fields.insert("manual_images", json!(images));
            return fields;
        }
        match &self.source {
            Source::Local { from } => {
                fields.insert("context_from", json!(from));
            }
            Source::Remote { .. } => {
                fields.insert("keep_git", json!(self.keep_git));
                fields.insert("submodules", json!(self.submodules));
            }
        }
        let args: BTreeMap<&str, &str> =
            self.build_args.iter().map(|arg| (arg.name.as_str(), arg.value.as_str())).collect();
        fields.insert("build_args", json!(args));
        fields.insert("context_path", json!(self.context_path));
        fields.insert("dockerfile_path", json!(self.dockerfile_path));
        fields.insert("labels", json!(self.labels));
        fields.insert("target", json!(self.target));
        if let Some(ko) = &self.ko_config {
            fields.insert("ko_config", json!(ko));
        }
        if let Some(spin) = &self.spin_config {
            fields.insert("spin_config", json!(spin));
        }
        if !self.secrets.is_empty() {
            // Neither the value nor its place: a token that is renewed, or renamed, builds nothing.
            let mut ids: Vec<&str> = self.secrets.iter().map(|secret| secret.id.as_str()).collect();
            ids.sort_unstable();
            fields.insert("secrets", json!(ids));
        }
        fields
    }
}
