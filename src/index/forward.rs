//! Tags move forward only (specification §5, §9): what a tag points at now, against what it is to point at.
//!
//! Forward means two things. Every tag follows the commits: it is not taken back from a descendant of ours. A tag that
//! people pull by what it promises (`latest`, `1`, `1.2`) follows the versions as well: a release of an old branch does
//! not take it from a newer release. `{image}-head` is the newest of the default branch and knows no versions; the base
//! tag is what this very build is called, so that nothing is published without a name.
//!
//! There is no compare-and-swap on tags in any registry, so each run looks before it writes, looks again
//! afterwards, and repairs towards the newer run.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use oci_client::manifest::OciImageIndex;

use super::annotations::{CREATED, REVISION, TAGS, VERSION};
use crate::config::Layout;
use crate::oci::{Digest, ImageName, Platform, Tag};
use crate::plan::tags::Version;

/// What a tag points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Current {
    /// Its digest.
    pub digest: Option<Digest>,
    /// The commit that it was built from.
    pub revision: Option<String>,
    /// Time of that commit.
    pub created: Option<String>,
    /// The version of what is inside, as it says.
    pub version: Option<String>,
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
            version: get(VERSION),
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
    /// Of a newer version than ours.
    NewerVersion,
    /// Built from a line of history that our git tag or branch is not known to lie on.
    OtherLine,
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
    if theirs == ours || !is_commit_id(&theirs) {
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

/// What we want a tag to point at.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// The commit that it is built from.
    pub commit: &'a str,
    /// Time of that commit.
    pub time: &'a str,
    /// The version of what is inside, as its annotation says.
    pub version: Option<&'a str>,
    /// What the run is of.
    pub line: Line<'a>,
}

/// The line of history that a run is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The default branch, as far as anybody knows.
    Default,
    /// A branch that is known not to be the default one, for an image whose newest of the default branch has this tag.
    Beside {
        /// `{image}-head`.
        head: &'a str,
    },
    /// A git tag, which may lie on any line.
    GitTag,
}

/// What a tag follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The build that it names.
    Build,
    /// The commits of the default branch alone.
    Commits,
    /// Versions, where both sides have one, and commits.
    Versions,
}

impl Follows {
    /// What this tag of an image follows. `build_tag` names one build.
    #[must_use]
    pub fn of(layout: Layout, image: &ImageName, build_tag: Option<&Tag>, tag: &Tag) -> Self {
        match tag {
            tag if layout.tag_of(image, "head") == tag.as_str() => Self::Commits,
            tag if build_tag == Some(tag) => Self::Build,
            _ => Self::Versions,
        }
    }
}

/// How what a tag points at relates to what we want it to point at. Beside [`relation`]:
///
/// - two versions by semver.org decide for a tag that follows versions: the newer one keeps it;
/// - where versions say nothing, the run of a git tag takes no tag from a line of history that the git tag does not
///   lie on, as a branch's run may (a force push, say): a release of an old branch would put `latest` back;
/// - a run of another branch (a schedule, say) takes no tag at all from what the default branch or a git tag published
///   on another line of history, except with a newer version. Who published it is what its run wanted tagged: only those
///   move `{image}-head`.
pub fn standing(
    current: &Current,
    ours: &Ours<'_>,
    follows: Follows,
    is_ancestor: &dyn Fn(&str, &str) -> Option<bool>,
) -> Relation {
    let versions = match (follows, current.version.as_deref(), ours.version) {
        (Follows::Versions, Some(theirs), Some(ours)) => Version::compare(theirs, ours),
        _ => None,
    };
    if versions == Some(Ordering::Greater) {
        return Relation::NewerVersion;
    }
    let commits = relation(current, ours.commit, ours.time, is_ancestor);
    let lies_elsewhere = || {
        let clean = |revision: &str| revision.trim_end_matches("-dirty").to_owned();
        let theirs = current.revision.as_deref().map(clean).filter(|revision| is_commit_id(revision));
        // Where nobody knows it stays: a clone without history would let any late release win.
        let clean_ours = clean(ours.commit);
        theirs.is_some_and(|theirs| theirs != clean_ours && is_ancestor(&theirs, &clean_ours) != Some(true))
    };
    let stays = match ours.line {
        Line::Default => false,
        Line::GitTag => versions.is_none() && follows != Follows::Build,
        Line::Beside { head } => versions != Some(Ordering::Less) && current.tags.iter().any(|tag| tag == head),
    };
    match commits {
        Relation::NotNewer if stays && lies_elsewhere() => Relation::OtherLine,
        commits => commits,
    }
}

/// A revision out of a registry is anybody's text; only a full commit id is one that git may be asked about.
fn is_commit_id(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
    /// It points at a newer version.
    NewerVersion,
    /// It points at another line of history than the one our git tag or branch lies on.
    OtherLine,
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
    match relation {
        Relation::Newer => return Decision::Newer,
        Relation::NewerVersion => return Decision::NewerVersion,
        Relation::OtherLine => return Decision::OtherLine,
        Relation::NotNewer => {}
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
