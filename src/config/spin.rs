//! `spin_config`: how a WebAssembly application is built (specification §3).

use serde::{Deserialize, Serialize};

use super::file::{self, File};
use super::node::NodeKind;
use super::rules;

/// `spin_config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpinConfig {
    /// The application's manifest, relative to the context.
    pub manifest_path: String,
    /// Whether `spin build` runs first.
    pub build: bool,
}

impl Default for SpinConfig {
    fn default() -> Self {
        Self { manifest_path: "spin.toml".to_owned(), build: true }
    }
}

/// Reads the field.
pub(super) fn spin_config(file: &File<'_>) -> Option<SpinConfig> {
    let entries = file.mapping("spin_config")?;
    let build = entries.iter().find(|entry| &*entry.key == "build" && entry.nth == 0);
    let off = build
        .is_some_and(|entry| matches!(&entry.value.kind, NodeKind::Scalar { text, plain: true } if &**text == "false"));
    let default = SpinConfig::default();
    let manifest_path = file::text(&entries, "manifest_path", rules::file).unwrap_or(default.manifest_path);
    Some(SpinConfig { manifest_path, build: !off })
}
