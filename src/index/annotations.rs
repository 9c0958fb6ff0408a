//! Annotations of an index: what hephy reads again later, and the standard ones (OCI image-spec,
//! `annotations.md`).

use std::collections::BTreeMap;

use oci_client::manifest::ImageIndexEntry;

use super::child::Child;
use crate::oci::{Digest, Platform};
use crate::plan::tags::GitTag;
use crate::plan::{Plan, PlannedBase, PlannedImage, PlannedSource};

/// What the image is built from.
pub const INPUT_KEY: &str = "dev.hephy.input-key";
/// The image's name.
pub const IMAGE: &str = "dev.hephy.image";
/// External bases as resolved before the build: JSON, reference → platform → digest.
pub const BASES: &str = "dev.hephy.bases";
/// The images of the repository that it was built on: JSON, name → platform → digest, of that platform's image or of the
/// index that has it.
pub const DEPENDENCIES: &str = "dev.hephy.dependencies";
/// Images that it is built on instead of those that its input names, as a JSON mapping; not there where there are none.
/// See [`PlannedImage::built_on`].
pub(super) const BUILT_ON: &str = "dev.hephy.built-on";
/// The tags that its run wanted to point here beside the date tag, as a JSON list: a later look can tell a tag
/// that a newer run left alone from one that an older run took back.
pub const TAGS: &str = "dev.hephy.tags";

const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The commit that it was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";
pub(super) const CREATED: &str = "org.opencontainers.image.created";
/// The version of what is inside.
pub const VERSION: &str = "org.opencontainers.image.version";

/// The annotations of an image's index. The configuration may set any but those that hephy decides by.
#[must_use]
pub fn of_image(plan: &Plan, image: &PlannedImage) -> BTreeMap<String, String> {
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let mut bases: BTreeMap<&str, BTreeMap<&Platform, &Digest>> = BTreeMap::new();
    // A reference may stand there twice, for the builder's platform and for the image's.
    for base in &image.bases {
        bases.entry(base.reference.as_str()).or_default().extend(&base.digests);
    }
    let mut found = BTreeMap::new();
    let mut put = |key: &str, value: String| found.insert(key.to_owned(), value);
    put("org.opencontainers.image.source", plan.source.repository.clone());
    put(VERSION, version(plan, image));
    if let [base] = underlying(image).as_slice() {
        put(BASE_NAME, base.reference.clone());
        let mut digests = base.digests.values();
        if let Some(digest) = digests.next().filter(|first| digests.all(|other| other == *first)) {
            put(BASE_DIGEST, digest.to_string());
        }
    }
    found.extend(image.annotations.clone());
    found.retain(|key, _| !key.starts_with("dev.hephy."));
    let mut put = |key: &str, value: String| found.insert(key.to_owned(), value);
    put(REVISION, plan.source.commit.clone());
    put(CREATED, plan.source.commit_time.clone());
    put(INPUT_KEY, image.input_key.clone());
    put(IMAGE, image.name.to_string());
    put(BASES, json(serde_json::to_string(&bases)));
    if !image.built_on.is_empty() {
        put(BUILT_ON, json(serde_json::to_string(&image.built_on)));
    }
    put(TAGS, json(serde_json::to_string(image.tags.get(1..).unwrap_or_default())));
    found
}

/// The version of what is inside. An image that has none is as old as its upstream ref, the git tag (unless that is
/// another image's version), or the date say.
fn version(plan: &Plan, image: &PlannedImage) -> String {
    let tag = plan.source.tag.as_ref().filter(|tag| GitTag::parse(tag).is_none());
    match &image.source {
        _ if image.version.is_some() => image.version.clone().unwrap_or_default(),
        PlannedSource::Remote { reference, .. } => reference.clone(),
        PlannedSource::Local { .. } => tag.unwrap_or(&plan.date).clone(),
    }
}

/// What the image lies on: one, or several where it depends on the platform. A base that only lends files is none.
fn underlying(image: &PlannedImage) -> Vec<&PlannedBase> {
    image.bases.iter().filter(|base| base.underlying).collect()
}

/// The child's entry, with its own base beside it: an index has one set of annotations, bases differ by platform.
pub(super) fn with_base(image: &PlannedImage, child: &Child) -> ImageIndexEntry {
    let mut entry = child.entry.clone();
    let bases = underlying(image);
    let own = bases.iter().find_map(|base| Some((base, base.digests.get(&child.platform)?)));
    if let Some((base, digest)) = own {
        let annotations = entry.annotations.get_or_insert_default();
        annotations.entry(BASE_NAME.to_owned()).or_insert_with(|| base.reference.clone());
        annotations.entry(BASE_DIGEST.to_owned()).or_insert_with(|| digest.to_string());
    }
    entry
}
