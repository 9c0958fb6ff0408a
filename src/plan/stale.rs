//! Which images lie on bases that have moved since they were published (specification §12).
//!
//! Pure: what an image uses, what its published index recorded, and what registries say now become one state for
//! each base and platform, and from those follow along the graph the images that are stale. A state is never
//! guessed: what was not recorded is unknown, what cannot be read is unreadable, and neither makes an image stale.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Reason, ReasonKind};
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
    let own = stale.iter().filter(|index| images[**index].bases.iter().any(dead));
    let mut found: BTreeMap<usize, String> = own.map(|index| (*index, "a base of it is gone".to_owned())).collect();
    loop {
        let above = stale.iter().filter(|index| !found.contains_key(index)).find_map(|index| {
            let below = images[*index].built_on.iter().find(|to| found.contains_key(to))?;
            Some((*index, format!("it is built on {}", images[*below].name)))
        });
        let Some((index, why)) = above else { return found };
        found.insert(index, why);
    }
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
    let considered = || images.iter().enumerate().filter(|(index, _)| among.contains(index));
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); images.len()];
    for (from, image) in considered() {
        for to in image.built_on {
            dependents.get_mut(*to).into_iter().for_each(|of| of.push(from));
        }
    }
    let own: Vec<Vec<Reason>> = images.iter().map(|it| [moved(it.bases), rebuilt(it.below)].concat()).collect();
    let mut open: Vec<usize> = considered().map(|(index, _)| index).filter(|index| !own[*index].is_empty()).collect();
    let mut reached: BTreeSet<usize> = open.iter().copied().collect();
    while let Some(index) = open.pop() {
        open.extend(dependents[index].iter().copied().filter(|dependent| reached.insert(*dependent)));
    }
    let reasons = own.into_iter().enumerate().map(|(index, mut reasons)| {
        if !reached.contains(&index) {
            return Vec::new();
        }
        let below: BTreeSet<&ImageName> =
            images[index].built_on.iter().filter(|to| reached.contains(to)).map(|to| images[*to].name).collect();
        let built_on = |name| Reason { kind: ReasonKind::Dependency, text: format!("built on {name}") };
        reasons.extend(below.into_iter().map(built_on));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(seed: &str) -> Digest {
        Digest::of(seed.as_bytes())
    }

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    fn used(reference: &str, at: &str) -> UsedBase {
        UsedBase { reference: reference.into(), platform: platform(at), file: "curl/Dockerfile".into(), line: 1 }
    }

    /// What `alpine:3` was, as recorded for amd64 and arm64.
    fn recorded() -> RecordedBases {
        let digests = ["linux/amd64", "linux/arm64"].map(|at| (platform(at), digest(at)));
        [("alpine:3".to_owned(), BTreeMap::from(digests))].into()
    }

    fn state(used_base: UsedBase, now: Option<Now>) -> BaseState {
        let now = now.into_iter().map(|now| ("alpine:3".to_owned(), now)).collect();
        check(vec![used_base], &recorded(), &now).remove(0).state
    }

    fn index(platforms: &[(&str, &str)]) -> Option<Now> {
        Some(Now::Index(platforms.iter().map(|(at, seed)| (platform(at), digest(seed))).collect()))
    }

    #[test]
    fn a_base_is_compared_for_each_platform_by_itself() {
        let now = || index(&[("linux/amd64", "linux/amd64"), ("linux/arm64", "new")]);
        let fresh = BaseState::Fresh { digest: digest("linux/amd64") };
        assert_eq!(state(used("alpine:3", "linux/amd64"), now()), fresh);
        let moved = BaseState::Moved { was: digest("linux/arm64"), now: digest("new") };
        assert_eq!(state(used("alpine:3", "linux/arm64"), now()), moved);
    }

    #[test]
    fn one_image_answers_by_its_own_digest() {
        let fresh = BaseState::Fresh { digest: digest("linux/amd64") };
        assert_eq!(state(used("alpine:3", "linux/amd64"), Some(Now::Image(digest("linux/amd64")))), fresh);
        let moved = BaseState::Moved { was: digest("linux/amd64"), now: digest("new") };
        assert_eq!(state(used("alpine:3", "linux/amd64"), Some(Now::Image(digest("new")))), moved);
    }

    #[test]
    fn what_cannot_be_read_or_was_not_recorded_is_never_guessed() {
        let unreadable = |state: BaseState| matches!(state, BaseState::Unreadable { .. });
        let unknown = |state: BaseState| matches!(state, BaseState::Unknown { .. });
        assert!(unreadable(state(used("alpine:3", "linux/amd64"), Some(Now::Gone))));
        assert!(unreadable(state(used("alpine:3", "linux/amd64"), index(&[("linux/arm64", "x")]))));
        let failed = Now::Failed { kind: ErrorKind::AuthError, why: "403".into() };
        assert!(unreadable(state(used("alpine:3", "linux/amd64"), Some(failed))));
        assert!(unknown(state(used("alpine:3", "linux/s390x"), index(&[("linux/arm64", "x")]))));
        assert!(unknown(state(used("alpine:3", "linux/s390x"), Some(Now::Gone))));
        assert!(unknown(state(used("debian:12", "linux/amd64"), None)));
        assert_eq!(state(used(&format!("alpine:3@{}", digest("x")), "linux/amd64"), None), BaseState::Pinned);
    }

    #[test]
    fn what_could_not_be_looked_up_when_it_was_built_may_be_anything() {
        let unrecorded = BaseState::Unrecorded { now: digest("x") };
        assert_eq!(state(used("alpine:3", "linux/s390x"), index(&[("linux/s390x", "x")])), unrecorded);
        let nothing = [("alpine:3".to_owned(), BTreeMap::new())].into();
        assert_eq!(to_look_up(&[used("alpine:3", "linux/amd64")], &nothing), ["alpine:3"].into());
    }

    #[test]
    fn what_is_pinned_or_has_no_record_is_not_looked_up() {
        let bases = [
            used("alpine:3", "linux/amd64"),
            used("alpine:3", "linux/arm64"),
            used("debian:12", "linux/amd64"),
            used(&format!("alpine:3@{}", digest("x")), "linux/amd64"),
        ];
        assert_eq!(to_look_up(&bases, &recorded()), ["alpine:3"].into());
    }

    /// 0 has a moved base, 1 is built on 0, 2 on 1, 3 has an unreadable base.
    fn reasons(among: &[usize]) -> Vec<String> {
        let names = ["a", "b", "c", "d"].map(|name| ImageName::parse(name).unwrap());
        let based = |now: Now| {
            let now = [("alpine:3".to_owned(), now)].into();
            check(vec![used("alpine:3", "linux/amd64")], &recorded(), &now)
        };
        let bases = [based(Now::Image(digest("new"))), Vec::new(), Vec::new(), based(Now::Gone)];
        let built_on: [&[usize]; 4] = [&[], &[0], &[1], &[]];
        let images: Vec<Checked<'_>> = (0..4)
            .map(|at| Checked { name: &names[at], bases: &bases[at], built_on: built_on[at], below: &[] })
            .collect();
        let among = among.iter().copied().collect();
        let texts = |reasons: Vec<Reason>| reasons.into_iter().map(|it| it.text).collect::<Vec<_>>().join("; ");
        stale(&images, &among).into_iter().map(texts).collect()
    }

    #[test]
    fn a_moved_base_travels_along_the_graph_as_far_as_images_are_considered() {
        let moved =
            format!("alpine:3 moved (linux/amd64): {} → {}", short(&digest("linux/amd64")), short(&digest("new")));
        assert_eq!(reasons(&[0, 1, 2, 3]), [moved.as_str(), "built on a", "built on b", ""]);
        assert_eq!(reasons(&[0, 2]), [moved.as_str(), "", "", ""], "1 is not rebuilt, so 2 is not");
        assert_eq!(reasons(&[1, 2, 3]), ["", "", "", ""]);
    }

    #[test]
    fn what_lies_below_may_have_been_rebuilt_since() {
        let (name, index) = (ImageName::parse("curl").unwrap(), digest("index"));
        let now = BTreeMap::from([(platform("linux/amd64"), digest("now"))]);
        let told = |was: &str, at: &str| {
            let recorded = BTreeMap::from([(platform(at), digest(was))]);
            let below = Below { name: &name, recorded: &recorded, index: &index, platforms: &now };
            rebuilt(&[below]).into_iter().map(|reason| reason.text).collect::<Vec<_>>()
        };
        let moved =
            format!("curl was rebuilt since (linux/amd64): {} → {}", short(&digest("was")), short(&digest("now")));
        assert_eq!(told("was", "linux/amd64"), [moved]);
        for same in ["now", "index"] {
            assert!(told(same, "linux/amd64").is_empty());
        }
        assert!(told("was", "linux/arm64").is_empty(), "a platform that is gone is no rebuild");
    }
}
