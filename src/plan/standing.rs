//! How an image stands in the registry (specification §6, `published`): what its index says of itself against what
//! would be built now, the verdict that follows, and the tags that a published index gets without a build.
//!
//! Everything that an index says is anybody's text: what is not this image's counts as if it were not there.

use super::decide::{reasons_of, travels};
use super::tags::ImageTags;
use super::{Reason, ReasonKind};
use crate::change::{Difference, InputKey, State, built_on};
use crate::config::Dependents;
use crate::diagnostic::escape_cut;
use crate::index::Recorded;
use crate::oci::{ImageName, Platform, Tag};

/// An image in the registry next to the same image now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Published from the same input, for every wanted platform.
    Equal,
    /// Published for every wanted platform; what it would be built from now is not known.
    Unknown,
    /// Published from another input.
    Differs {
        /// The published key.
        was: InputKey,
        /// The commit that it was built from, where the index says it.
        revision: Option<String>,
        /// A wanted platform that it does not have.
        lacks: Option<Platform>,
    },
    /// Published from the same input, but built on other images than that names: on what was published of these.
    OnOthers {
        /// Their names.
        names: Vec<String>,
    },
    /// Published from the same input, without this platform.
    Lacks(Platform),
    /// Nothing is published.
    Nothing,
    /// What is there is not this image, or another tool made it.
    Foreign(String),
}

/// How an image stands. `key` is none while what it would be built from is not known.
#[must_use]
pub fn standing(
    name: &ImageName,
    key: Option<&InputKey>,
    platforms: &[Platform],
    recorded: Option<&Recorded>,
) -> Standing {
    let Some(recorded) = recorded else { return Standing::Nothing };
    match &recorded.image {
        Some(image) if image == name.as_str() => {}
        Some(other) => {
            return Standing::Foreign(format!("what is published says that it is {}", escape_cut(other, 80)));
        }
        None => return Standing::Foreign("what is published was not made by hephy".to_owned()),
    }
    let Some(was) = &recorded.input_key else {
        return Standing::Foreign("what is published does not say what it was built from".to_owned());
    };
    let lacks = platforms.iter().find(|platform| !recorded.platforms.contains_key(platform)).cloned();
    if key.is_some_and(|key| !recorded.is_of(key)) {
        return Standing::Differs { was: was.clone(), revision: recorded.revision.clone(), lacks };
    }
    match lacks {
        Some(lacking) => Standing::Lacks(lacking),
        None if key.is_none() => Standing::Unknown,
        None if key == Some(was) => Standing::Equal,
        None => Standing::OnOthers { names: recorded.built_on.keys().cloned().collect() },
    }
}

/// How far away from an image the change lies that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// The image itself.
    Itself,
    /// An image that it is directly built on.
    Direct,
    /// An image further down.
    Further,
}

/// What the comparison with the registry says of one image. Without reasons it is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is to be built.
    pub reasons: Vec<Reason>,
    /// Where the change lies.
    pub distance: Distance,
}

impl Verdict {
    /// Whether the image is built, where changes travel that far.
    #[must_use]
    pub fn is_followed(&self, dependents: Dependents) -> bool {
        !self.reasons.is_empty() && travels(self.distance, dependents)
    }
}

/// What is known of why two keys differ.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'a> {
    /// What became of the image since the commit that it was published from, or since another one with the published
    /// key; none where no such commit is here.
    pub state: Option<&'a State>,
    /// Whether since then an image changed by itself that this one is directly built on.
    pub direct: bool,
    /// Where the ref of the upstream repository is now, for an image whose own files cannot be the difference.
    pub upstream: Option<String>,
    /// Variables of the environment that it is built with, for an image whose own files cannot be the difference.
    pub settings: Vec<&'a str>,
    /// Images that it is directly built on and that hold what no commit of this repository tells (other repositories,
    /// variables), with where that lies.
    pub of_outside: Vec<(&'a str, Distance)>,
    /// Images that it is built on and that are built, with where their change lies.
    pub built_on: Vec<(&'a str, Distance)>,
    /// Of the images that it should be built on and is not, those that are there now, or will be: with where the change
    /// lies that they bring.
    pub to_be_had: Vec<(&'a str, Distance)>,
}

/// The verdict on an image. `range` is what became of it since the base of the range.
#[must_use]
pub fn verdict(standing: &Standing, evidence: &Evidence<'_>, range: &State) -> Verdict {
    let itself = |kind, text: String| Verdict { reasons: vec![Reason { kind, text }], distance: Distance::Itself };
    match standing {
        Standing::Equal | Standing::Unknown => Verdict { reasons: Vec::new(), distance: Distance::Further },
        // What is left alone cannot be built on: the same would come out.
        Standing::OnOthers { .. } => {
            of_images(&evidence.to_be_had).unwrap_or(Verdict { reasons: Vec::new(), distance: Distance::Further })
        }
        Standing::Nothing if *range == State::New => {
            Verdict { reasons: reasons_of(range, ""), distance: Distance::Itself }
        }
        Standing::Nothing => itself(ReasonKind::Unpublished, "it was never published".to_owned()),
        Standing::Lacks(platform) => itself(ReasonKind::Unpublished, never_published(platform)),
        Standing::Foreign(why) => itself(ReasonKind::Unpublished, why.clone()),
        Standing::Differs { revision, lacks, .. } => {
            let found = differs(revision.as_deref(), evidence)
                .unwrap_or_else(|| itself(ReasonKind::Input, unexplained(revision.as_deref())));
            // A platform that lacks is built, however far away the change lies.
            match lacks.as_ref().filter(|_| found.distance != Distance::Itself) {
                Some(platform) => {
                    let lacking = itself(ReasonKind::Unpublished, never_published(platform));
                    Verdict { reasons: [lacking.reasons, found.reasons].concat(), ..lacking }
                }
                None => found,
            }
        }
    }
}

fn never_published(platform: &Platform) -> String {
    format!("{platform} was never published")
}

fn differs(revision: Option<&str>, evidence: &Evidence<'_>) -> Option<Verdict> {
    if let Some(state @ State::Changed(differences)) = evidence.state {
        let own = differences.iter().any(Difference::is_own);
        let distance = match (own, evidence.direct) {
            (true, _) => Distance::Itself,
            (false, true) => Distance::Direct,
            (false, false) => Distance::Further,
        };
        return Some(Verdict { reasons: reasons_of(state, ""), distance });
    }
    evidence.state?;
    // Nothing of this repository that is its own is the difference.
    let of_images = of_images(&evidence.built_on).or_else(|| of_images(&evidence.of_outside));
    let upstream = evidence.upstream.as_ref().map(|text| Reason { kind: ReasonKind::Upstream, text: text.clone() });
    if upstream.is_none() && evidence.settings.is_empty() {
        return of_images.filter(|_| revision.is_some());
    }
    let is_certain = upstream.is_none() && of_images.is_none();
    let setting = (!evidence.settings.is_empty()).then(|| Reason {
        kind: ReasonKind::Config,
        text: format!(
            "the value of {} {}",
            evidence.settings.join(" or "),
            if is_certain { "changed" } else { "may have changed" }
        ),
    });
    Some(Verdict { reasons: upstream.into_iter().chain(setting).collect(), distance: Distance::Itself })
}

/// The verdict on an image that is built because those are that it is built on; none where there are none.
fn of_images(below: &[(&str, Distance)]) -> Option<Verdict> {
    let nearest = below.iter().map(|(_, distance)| *distance).min()?;
    let reason = |(name, _): &(&str, Distance)| Reason { kind: ReasonKind::Dependency, text: built_on(name) };
    let distance = if nearest == Distance::Itself { Distance::Direct } else { Distance::Further };
    Some(Verdict { reasons: below.iter().map(reason).collect(), distance })
}

fn unexplained(revision: Option<&str>) -> String {
    match revision.and_then(|revision| revision.get(..7)) {
        Some(short) => format!("its input key differs from the one published from {short}"),
        None => "its input key differs from the published one".to_owned(),
    }
}

/// A published index that takes the place of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// The index.
    pub digest: crate::oci::Digest,
    /// Tags that this run puts on it.
    pub tags: Vec<Tag>,
    /// Why nothing is built.
    pub reason: String,
}

/// Why a published index does.
#[must_use]
pub fn same_input(recorded: &Recorded) -> String {
    match recorded.revision.as_deref().and_then(|revision| revision.get(..7)) {
        Some(short) => format!("same input as published from {short}"),
        None => "same input as what is published".to_owned(),
    }
}

/// Which of a run's tags a published index gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Those that the run was started for: of a git tag, or of images that were named.
    OfTheRun,
    /// Those that the configuration names and the index was published without.
    Lacking,
}

/// The tags that a published index gets without a build. `tags` are the image's tags in this run, and `elsewhere` those
/// that another run would give it: a tag that is not among them names this run.
///
/// The base tag names a build, so a run that did not build does not write it, unless its template names neither date
/// nor number of the run: then it is a version's. `head` is where the index was found.
#[must_use]
pub fn reused_tags(wish: Wish, tags: &ImageTags, elsewhere: &ImageTags, head: &str, recorded: &Recorded) -> Vec<Tag> {
    let base = tags.index.iter().take(1).filter(|tag| wish == Wish::OfTheRun && elsewhere.index.first() == Some(tag));
    let others = tags.index.iter().skip(1).filter(|tag| match wish {
        Wish::OfTheRun => true,
        Wish::Lacking => elsewhere.index.contains(tag) && recorded.tags.iter().all(|known| known != tag.as_str()),
    });
    base.chain(others).filter(|tag| tag.as_str() != head).cloned().collect()
}

#[cfg(test)]
mod tests;
