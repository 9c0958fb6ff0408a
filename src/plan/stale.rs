//! Which images lie on bases that have moved since they were published (specification §12).
//!
//! Pure: what an image uses, what its published index recorded, and what registries say now become one state for
//! each base and platform, and from those follow along the graph the images that are stale. A state is never
//! guessed. What cannot be read, and what an index knows nothing of, makes no image stale. A base that was there without
//! a digest when the image was planned does, as soon as it has one: it may have been another.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Reason, ReasonKind};
use crate::change::built_on;
use crate::diagnostic::escape_cut;
use crate::error::ErrorKind;
use crate::oci::{Digest, ImageName, Platform, Reference};

/// A base of an image, for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedBase {
    /// The reference, arguments expanded.
    pub reference: String,
    /// Platform of the base, which `FROM --platform=` may make another one than the image's.
    pub platform: Platform,
    /// The file that names it, for people.
    pub file: String,
    /// The line of that file.
    pub line: usize,
}

/// What a registry holds under a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Now {
    /// An index: the image of each platform.
    Index(BTreeMap<Platform, Digest>),
    /// One image, whatever its platform.
    Image(Digest),
    /// Nothing.
    Gone,
    /// It could not be read.
    Failed {
        /// Class of the failure.
        kind: ErrorKind,
        /// What went wrong, for people.
        why: String,
    },
}

/// What became of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BaseState {
    /// It is what the image was built with.
    Fresh {
        /// Its digest.
        digest: Digest,
    },
    /// The reference names a digest: it cannot move.
    Pinned,
    /// It could not be looked up when the image was planned: whatever is there now may be another one.
    Unrecorded {
        /// What is there now.
        now: Digest,
    },
    /// It is another one now.
    Moved {
        /// What the image was built with.
        was: Digest,
        /// What is there now.
        now: Digest,
    },
    /// Nobody can say whether it moved: it is gone, or its registry refuses or fails.
    Unreadable {
        /// Why, for people.
        why: String,
        /// Class of the failure.
        #[serde(skip)]
        kind: ErrorKind,
    },
    /// Nothing was recorded that it could be compared with.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

/// A base with what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedBase {
    /// The reference, arguments expanded.
    pub reference: String,
    /// Platform of the base.
    pub platform: Platform,
    /// The file that names it.
    pub file: String,
    /// The line of that file.
    pub line: usize,
    /// What became of it.
    #[serde(flatten)]
    pub state: BaseState,
}

/// Bases as a published index recorded them: reference → platform → digest.
pub type RecordedBases = BTreeMap<String, BTreeMap<Platform, Digest>>;

/// Whether a reference names a digest.
#[must_use]
pub fn is_pinned(reference: &str) -> bool {
    Reference::parse(reference).is_ok_and(|reference| reference.digest.is_some())
}

/// The references that have to be looked up to check these bases, each once.
#[must_use]
pub fn to_look_up<'a>(used: &'a [UsedBase], recorded: &RecordedBases) -> BTreeSet<&'a str> {
    let known = |base: &&UsedBase| recorded.contains_key(&base.reference);
    used.iter().filter(|base| !is_pinned(&base.reference)).filter(known).map(|base| base.reference.as_str()).collect()
}

/// Holds every base of an image against the record and against what is there now.
#[must_use]
pub fn check(used: Vec<UsedBase>, recorded: &RecordedBases, now: &BTreeMap<String, Now>) -> Vec<CheckedBase> {
    used.into_iter()
        .map(|UsedBase { reference, platform, file, line }| {
            let state = match recorded.get(&reference) {
                _ if is_pinned(&reference) => BaseState::Pinned,
                None => unknown("the published image was built without it: its sources changed since"),
                Some(digests) => compare(digests.get(&platform), &platform, now.get(&reference)),
            };
            CheckedBase { reference, platform, file, line, state }
        })
        .collect()
}

fn unknown(why: &str) -> BaseState {
    BaseState::Unknown { why: why.to_owned() }
}

fn compare(was: Option<&Digest>, platform: &Platform, now: Option<&Now>) -> BaseState {
    let gone = |why: String| match was {
        Some(_) => BaseState::Unreadable { why, kind: ErrorKind::NotFound },
        None => unknown(&format!("its digest for {platform} was not recorded, and it {why}")),
    };
    let now = match now {
        // One image's own digest is enough where it is the same: then its platform is as well.
        Some(Now::Image(now)) => now,
        Some(Now::Index(platforms)) => match platforms.get(platform) {
            Some(now) => now,
            None => return gone(format!("does not exist for {platform} any more")),
        },
        Some(Now::Gone) => return gone("does not exist any more".to_owned()),
        Some(Now::Failed { kind, why }) => return BaseState::Unreadable { why: why.clone(), kind: *kind },
        None => return unknown("nobody looked"),
    };
    match was {
        Some(was) if now == was => BaseState::Fresh { digest: now.clone() },
        Some(was) => BaseState::Moved { was: was.clone(), now: now.clone() },
        None => BaseState::Unrecorded { now: now.clone() },
    }
}

/// Of images that are stale those that cannot be built: a base is gone, or what they are built on is one of these. By
/// index, with the reason.
#[must_use]
pub fn unbuildable(images: &[Checked<'_>], stale: &BTreeSet<usize>) -> BTreeMap<usize, String> {
    let dead = |base: &CheckedBase| matches!(&base.state, BaseState::Unreadable { kind: ErrorKind::NotFound, .. });
    let is_dead = |index: &usize| images.get(*index).is_some_and(|image| image.bases.iter().any(dead));
    let own: BTreeSet<usize> = stale.iter().copied().filter(is_dead).collect();
    let reached = spread(images, stale, own.clone());
    let why = |index: usize| match images[index].built_on.iter().find(|to| reached.contains(to)) {
        Some(below) if !own.contains(&index) => format!("it is built on {}", images[*below].name),
        _ => "a base of it is gone".to_owned(),
    };
    reached.iter().map(|index| (*index, why(*index))).collect()
}

/// These images, and of those `among` all that are built on them, along the graph.
fn spread(images: &[Checked<'_>], among: &BTreeSet<usize>, mut reached: BTreeSet<usize>) -> BTreeSet<usize> {
    let mut dependents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, image) in among.iter().filter_map(|from| Some((*from, images.get(*from)?))) {
        image.built_on.iter().for_each(|to| dependents.entry(*to).or_default().push(from));
    }
    let mut open: Vec<usize> = reached.iter().copied().collect();
    while let Some(index) = open.pop() {
        let above = dependents.get(&index).into_iter().flatten().copied();
        open.extend(above.filter(|dependent| reached.insert(*dependent)));
    }
    reached
}

/// An image of the repository that another one was built on.
#[derive(Clone, Debug)]
pub struct Below<'a> {
    /// Its name.
    pub name: &'a ImageName,
    /// What the other one's index recorded: for each platform the image, or the index that has it.
    pub recorded: &'a BTreeMap<Platform, Digest>,
    /// Its index now.
    pub index: &'a Digest,
    /// What that has.
    pub platforms: &'a BTreeMap<Platform, Digest>,
}

/// An image with the states of its bases.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// Its name.
    pub name: &'a ImageName,
    /// Its bases.
    pub bases: &'a [CheckedBase],
    /// Images of the repository that it is built on, by index.
    pub built_on: &'a [usize],
    /// Those of them that are published, as they were and as they are.
    pub below: &'a [Below<'a>],
}

/// Why each image is stale, in the order given; empty for an image that is not. Only images that are `among` count:
/// an image is rebuilt because its base moved or because what it is built on is rebuilt, now or since it was published
/// itself, and not otherwise.
#[must_use]
pub fn stale(images: &[Checked<'_>], among: &BTreeSet<usize>) -> Vec<Vec<Reason>> {
    let own: Vec<Vec<Reason>> = images.iter().map(|it| [moved(it.bases), rebuilt(it.below)].concat()).collect();
    let by_themselves = own.iter().enumerate().filter(|(index, reasons)| among.contains(index) && !reasons.is_empty());
    let reached = spread(images, among, by_themselves.map(|(index, _)| index).collect());
    let reasons = own.into_iter().enumerate().map(|(index, mut reasons)| {
        if !reached.contains(&index) {
            return Vec::new();
        }
        let below: BTreeSet<&ImageName> =
            images[index].built_on.iter().filter(|to| reached.contains(to)).map(|to| images[*to].name).collect();
        let reason = |name: &ImageName| Reason { kind: ReasonKind::Dependency, text: built_on(name.as_str()) };
        reasons.extend(below.into_iter().map(reason));
        reasons
    });
    reasons.collect()
}

fn moved(bases: &[CheckedBase]) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for base in bases {
        let (reference, platform) = (escape_cut(&base.reference, 160), &base.platform);
        let text = match &base.state {
            BaseState::Moved { was, now } => {
                format!("{reference} moved ({platform}): {} → {}", short(was), short(now))
            }
            BaseState::Unrecorded { .. } => format!("{reference} was not recorded ({platform})"),
            _ => continue,
        };
        if reasons.iter().all(|known| known.text != text) {
            reasons.push(Reason { kind: ReasonKind::Stale, text });
        }
    }
    reasons
}

/// Images below that were published anew while this one was not: its own build failed then, or was not asked for.
fn rebuilt(below: &[Below<'_>]) -> Vec<Reason> {
    let reason = |below: &Below<'_>| {
        let moved = below.recorded.iter().find_map(|(platform, was)| {
            let now = below.platforms.get(platform)?;
            (was != now && was != below.index).then_some((platform, was, now))
        });
        let (platform, was, now) = moved?;
        let text = format!("{} was rebuilt since ({platform}): {} → {}", below.name, short(was), short(now));
        Some(Reason { kind: ReasonKind::Stale, text })
    };
    below.iter().filter_map(reason).collect()
}

/// A digest for people.
#[must_use]
pub fn short(digest: &Digest) -> String {
    format!("sha256:{}…", digest.hex().get(..12).unwrap_or_default())
}
