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

use super::Recorded;
use crate::change::Oid;
use crate::config::Layout;
use crate::oci::{Digest, ImageName, Platform, Tag};
use crate::plan::tags::Version;

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
    current: &Recorded,
    ours: &str,
    our_time: &str,
    is_ancestor: &dyn Fn(&str, &str) -> Option<bool>,
) -> Relation {
    let Some(theirs) = current.revision.as_deref() else { return Relation::NotNewer };
    let ours = commit_of(ours);
    if theirs == ours {
        return Relation::NotNewer;
    }
    match is_ancestor(&ours, theirs) {
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
    current: &Recorded,
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
        let ours = commit_of(ours.commit);
        // Where nobody knows it stays: a clone without history would let any late release win.
        let theirs = current.revision.as_deref();
        theirs.is_some_and(|theirs| theirs != ours && is_ancestor(theirs, &ours) != Some(true))
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

/// The commit of a plan, without what says that the working tree differed.
fn commit_of(text: &str) -> String {
    Oid::of_revision(text).map_or_else(|| text.to_owned(), |id| id.to_string())
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
    current: Option<&Recorded>,
    relation: Relation,
    ours: &Digest,
    platforms: &[Platform],
    partial: bool,
) -> Decision {
    let Some(current) = current else { return Decision::Write };
    if current.digest == *ours {
        return Decision::Unchanged;
    }
    match relation {
        Relation::Newer => return Decision::Newer,
        Relation::NewerVersion => return Decision::NewerVersion,
        Relation::OtherLine => return Decision::OtherLine,
        Relation::NotNewer => {}
    }
    if partial && current.platforms.keys().any(|there| !platforms.contains(there)) {
        return Decision::FewerPlatforms;
    }
    Decision::Write
}

/// The tags of ours that a newer run wanted too: they are handed to it.
#[must_use]
pub fn repairs<'a>(newer: &Recorded, written: &[&'a Tag]) -> Vec<&'a Tag> {
    written.iter().copied().filter(|tag| newer.tags.iter().any(|it| it == tag.as_str())).collect()
}
