//! What a published index says of itself, or an artifact that stands alone: read again by runs that compare with what
//! is published, and by those that move tags.
//!
//! Everything in it is anybody's text: a value that is none is as if it were not there.

use std::collections::BTreeMap;

use oci_client::manifest::OciImageIndex;

use super::annotations::{BASES, BUILT_ON, CREATED, DEPENDENCIES, IMAGE, INPUT_KEY, REVISION, TAGS, VERSION};
use crate::change::{InputKey, Oid};
use crate::oci::{Digest, Platform};

/// The platform of what runs on every machine.
const EVERYWHERE: &str = "wasi/wasm";

/// A published index, or an artifact that stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its digest.
    pub digest: Digest,
    /// The image that it says it is.
    pub image: Option<String>,
    /// What it was built from; none for an index that hephy did not make.
    pub input_key: Option<InputKey>,
    /// Images that it is built on instead of those that its input names, by name; the key holds them too.
    pub built_on: BTreeMap<String, String>,
    /// The commit that it was built from: a full id, lower case, without `-dirty`.
    pub revision: Option<String>,
    /// Time of that commit, RFC 3339.
    pub created: Option<String>,
    /// The version of what is inside.
    pub version: Option<String>,
    /// The image of each platform; attestations and unknown platforms are left out.
    pub platforms: BTreeMap<Platform, Digest>,
    /// External bases as resolved before the build: reference → platform → digest.
    pub bases: Said<BTreeMap<String, BTreeMap<Platform, Digest>>>,
    /// Images of the repository that it was built on: name → platform → digest, of that platform's image or of the index
    /// that has it.
    pub dependencies: BTreeMap<String, BTreeMap<Platform, Digest>>,
    /// Tags that its run wanted to point at it, beside the date tag.
    pub tags: Vec<String>,
}

/// What an annotation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// There is none.
    Nothing,
    /// It cannot be read.
    Nonsense,
    /// This.
    Value(T),
}

impl<T: serde::de::DeserializeOwned> Said<T> {
    fn of(text: Option<&str>) -> Self {
        match text.map(serde_json::from_str) {
            None => Self::Nothing,
            Some(Err(_)) => Self::Nonsense,
            Some(Ok(value)) => Self::Value(value),
        }
    }
}

impl Recorded {
    /// Reads an index.
    #[must_use]
    pub fn of(digest: Digest, index: &OciImageIndex) -> Self {
        Self::said(digest, index.annotations.as_ref(), platforms(index))
    }

    /// Reads the annotations of a manifest that is no index: what has an input key of its own runs on every machine.
    #[must_use]
    pub fn of_artifact(digest: Digest, annotations: Option<&BTreeMap<String, String>>) -> Self {
        let found = Self::said(digest, annotations, BTreeMap::new());
        let everywhere = Platform::parse(EVERYWHERE).ok().filter(|_| found.input_key.is_some());
        let platforms = everywhere.map(|platform| (platform, found.digest.clone())).into_iter().collect();
        Self { platforms, ..found }
    }

    fn said(
        digest: Digest,
        annotations: Option<&BTreeMap<String, String>>,
        platforms: BTreeMap<Platform, Digest>,
    ) -> Self {
        let get = |key: &str| annotations.and_then(|it| it.get(key)).cloned();
        Self {
            digest,
            image: get(IMAGE),
            input_key: get(INPUT_KEY).and_then(|text| InputKey::parse(&text)),
            built_on: get(BUILT_ON).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            revision: get(REVISION).and_then(|text| Oid::of_revision(&text)).map(|id| id.to_string()),
            created: get(CREATED),
            version: get(VERSION),
            platforms,
            bases: Said::of(get(BASES).as_deref()),
            dependencies: get(DEPENDENCIES).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            tags: get(TAGS).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        }
    }

    /// Whether it was built from this input, be it on other images than that names.
    #[must_use]
    pub fn is_of(&self, input: &InputKey) -> bool {
        let others = || InputKey::of_others(input.as_str(), &self.built_on);
        self.input_key.as_ref().is_some_and(|key| key == input || !self.built_on.is_empty() && *key == others())
    }
}

/// The image of each platform that hephy knows; the first of several.
#[must_use]
pub fn platforms(index: &OciImageIndex) -> BTreeMap<Platform, Digest> {
    let mut found = BTreeMap::new();
    for entry in &index.manifests {
        let Some(platform) = &entry.platform else { continue };
        let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        // Attestations stand under `unknown/unknown`, and other systems are none of ours.
        let parsed = Platform::parse(&format!("{}/{}{variant}", platform.os, platform.architecture));
        if let (Ok(platform), Ok(digest)) = (parsed, Digest::parse(&entry.digest)) {
            found.entry(platform).or_insert(digest);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(annotations: &[(&str, &str)]) -> OciImageIndex {
        let digest = format!("sha256:{}", "1".repeat(64));
        let entry = |os: &str, architecture: &str| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
                "platform": { "os": os, "architecture": architecture },
            })
        };
        let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
        serde_json::from_value(serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry("linux", "amd64"), entry("unknown", "unknown"), entry("windows", "amd64")],
            "annotations": annotations,
        }))
        .unwrap()
    }

    fn recorded(annotations: &[(&str, &str)]) -> Recorded {
        Recorded::of(Digest::of(b"x"), &index(annotations))
    }

    #[test]
    fn what_the_annotations_say_is_read() {
        let key = "0".repeat(64);
        let revision = format!("{}-dirty", "A".repeat(40));
        let bases = format!(r#"{{"alpine:3":{{"linux/amd64":"sha256:{}"}}}}"#, "2".repeat(64));
        let found = recorded(&[
            (INPUT_KEY, &key),
            (REVISION, &revision),
            (IMAGE, "curl"),
            (BASES, &bases),
            (TAGS, r#"["curl-latest"]"#),
            (BUILT_ON, r#"{"base":"sha256:1"}"#),
        ]);
        assert_eq!(found.built_on, BTreeMap::from([("base".to_owned(), "sha256:1".to_owned())]));
        assert_eq!(found.input_key.as_ref().map(InputKey::as_str), Some(key.as_str()));
        assert_eq!(found.revision, Some("a".repeat(40)));
        assert_eq!(found.image.as_deref(), Some("curl"));
        assert_eq!(found.platforms.keys().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
        let Said::Value(bases) = found.bases else { panic!("{:?}", found.bases) };
        assert_eq!(bases["alpine:3"].len(), 1);
        assert_eq!(found.tags, ["curl-latest"]);
    }

    #[test]
    fn an_artifact_with_a_key_runs_everywhere() {
        let annotations = |key: &str| BTreeMap::from([(INPUT_KEY.to_owned(), key.to_owned())]);
        let platforms = |key: &str| Recorded::of_artifact(Digest::of(b"x"), Some(&annotations(key))).platforms;
        assert_eq!(platforms(&"0".repeat(64)).keys().map(ToString::to_string).collect::<Vec<_>>(), ["wasi/wasm"]);
        assert!(platforms("x").is_empty());
        assert!(Recorded::of_artifact(Digest::of(b"x"), None).platforms.is_empty());
    }

    #[test]
    fn what_is_no_value_is_not_there() {
        let found =
            recorded(&[(INPUT_KEY, "x"), (REVISION, "--upload-pack=x"), (BASES, "[1]"), (TAGS, "{"), (BUILT_ON, "[]")]);
        assert_eq!((found.input_key, found.revision, found.bases), (None, None, Said::Nonsense));
        assert_eq!(recorded(&[]).bases, Said::Nothing);
        assert_eq!(found.tags, Vec::<String>::new());
        assert_eq!(found.built_on, BTreeMap::new());
    }
}
