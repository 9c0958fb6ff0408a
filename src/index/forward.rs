//! Tags move forward only (specification §5, §9): what a tag points at now, against what it is to point at.
//!
//! There is no compare-and-swap on tags in any registry, so each run looks before it writes, looks again
//! afterwards, and repairs towards the newer run.

use std::collections::BTreeSet;

use oci_client::manifest::OciImageIndex;

use super::annotations::{CREATED, REVISION, TAGS};
use crate::oci::{Digest, Platform, Tag};

/// What a tag points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// Its digest.
    pub digest: Option<Digest>,
    /// The commit that it was built from.
    pub revision: Option<String>,
    /// Time of that commit.
    pub created: Option<String>,
    /// Platforms that it has.
    pub platforms: BTreeSet<(String, String, String)>,
    /// The tags that its run wanted to point at it.
    pub tags: Vec<String>,
}

impl Current {
    /// Reads an index. One that hephy did not make has no revision, and is never newer than ours.
    #[must_use]
    pub fn of(digest: Digest, index: &OciImageIndex) -> Self {
        let get = |key: &str| index.annotations.as_ref().and_then(|it| it.get(key)).cloned();
        let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        let platforms = platforms.filter(|it| it.os.to_string() != "unknown").map(|it| {
            let variant = it.variant.clone().unwrap_or_default();
            spelled(&it.os.to_string(), &it.architecture.to_string(), &variant)
        });
        Self {
            digest: Some(digest),
            revision: get(REVISION),
            created: get(CREATED),
            platforms: platforms.collect(),
            tags: get(TAGS).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        }
    }
}

fn spelled(os: &str, architecture: &str, variant: &str) -> (String, String, String) {
    let slash = if variant.is_empty() { "" } else { "/" };
    match Platform::parse(&format!("{os}/{architecture}{slash}{variant}")) {
        Ok(it) => (it.os().into(), it.architecture().into(), it.variant().unwrap_or_default().into()),
        Err(_) => (os.into(), architecture.into(), variant.into()),
    }
}

/// How what is there relates to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Built from a descendant of our commit.
    Newer,
    /// Built from an ancestor, from the same commit, from another line of history, or by nobody known.
    NotNewer,
}

/// Compares what a tag points at with our commit. `is_ancestor(a, b)` asks git whether `a` is an ancestor of `b`; it
/// answers none when it does not know one of them, as a shallow clone does of everything newer than itself. Then
/// the commits' times decide: without history, what was committed later counts as newer.
pub fn relation(
    current: &Current,
    ours: &str,
    our_time: &str,
    is_ancestor: &dyn Fn(&str, &str) -> Option<bool>,
) -> Relation {
    let clean = |revision: &str| revision.trim_end_matches("-dirty").to_owned();
    let Some(theirs) = current.revision.as_deref().map(clean) else { return Relation::NotNewer };
    let ours = clean(ours);
    // A revision out of a registry is anybody's text; only a full commit id is one that git may be asked about.
    let is_id = theirs.len() >= 40 && theirs.bytes().all(|byte| byte.is_ascii_hexdigit());
    if theirs == ours || !is_id {
        return Relation::NotNewer;
    }
    match is_ancestor(&ours, &theirs) {
        Some(true) => Relation::Newer,
        Some(false) => Relation::NotNewer,
        None => {
            let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
            let theirs = current.created.as_deref().and_then(time);
            if theirs.zip(time(our_time)).is_some_and(|(theirs, ours)| theirs > ours) {
                Relation::Newer
            } else {
                Relation::NotNewer
            }
        }
    }
}

/// What happens to one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It points there already.
    Unchanged,
    /// It is written.
    Write,
    /// A newer run had it: not taken back.
    Newer,
    /// It points at an index with platforms that ours, made with `--allow-partial`, lacks.
    FewerPlatforms,
}

/// Decides about one tag. `partial` says that our index lacks platforms of the plan.
#[must_use]
pub fn decide(
    current: Option<&Current>,
    relation: Relation,
    ours: &Digest,
    platforms: &[Platform],
    partial: bool,
) -> Decision {
    let Some(current) = current else { return Decision::Write };
    if current.digest.as_ref() == Some(ours) {
        return Decision::Unchanged;
    }
    if relation == Relation::Newer {
        return Decision::Newer;
    }
    let have: BTreeSet<_> =
        platforms.iter().map(|it| spelled(it.os(), it.architecture(), it.variant().unwrap_or_default())).collect();
    if partial && !current.platforms.is_subset(&have) {
        return Decision::FewerPlatforms;
    }
    Decision::Write
}

/// The tags of ours that a newer run wanted too: they are handed to it.
#[must_use]
pub fn repairs<'a>(newer: &Current, written: &[&'a Tag]) -> Vec<&'a Tag> {
    written.iter().copied().filter(|tag| newer.tags.iter().any(|it| it == tag.as_str())).collect()
}
