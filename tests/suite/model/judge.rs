//! The plan against the truth, image by image.

use std::collections::{BTreeMap, BTreeSet};

use super::oracle::{Image, Seen};

/// Why an image may be built although no build would see a difference: everything that is not exact, and why.
/// A name here is what [`exception`] finds; there is no other exception.
pub(super) const EXCEPTIONS: [(&str, &str); 8] = [
    ("dockerfile", "the Dockerfile counts with every byte: comments and unreachable stages too"),
    ("links", "a link on the way to context or Dockerfile counts, wherever it leads"),
    ("source with wildcards or variables", "what a pattern matches is not told apart: the whole context counts"),
    (
        "source behind an odd link",
        "it leads out of the context, to nothing, or does not count itself: the whole context counts",
    ),
    ("onbuild", "triggers act in other images' builds: the whole context counts"),
    ("onbuild of a base", "a base's triggers may copy anything: the whole context counts"),
    ("base of another repository", "nobody can see its triggers: the whole context counts"),
    ("dependency", "the image is built on one that is built for one of these reasons"),
];

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What a build sees changed, and the image is not in the plan.
    Missed(String),
    /// Nothing that counts changed, and the image is in the plan.
    Needless(String),
    /// The plan says something that is not so.
    Other(String),
}

impl Wrong {
    /// The name of the image.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Missed(name) | Self::Needless(name) | Self::Other(name) => name,
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) plans: usize,
    pub(super) images: usize,
    pub(super) built: usize,
    pub(super) left_alone: usize,
    /// Plans that hephy refused because something was really wrong.
    pub(super) refused: usize,
    pub(super) broken: usize,
    /// `README.md` or `ignore` kept an image from being built.
    pub(super) declared_left_out: usize,
    /// Builds by exception, by its name.
    pub(super) exceptions: BTreeMap<String, usize>,
    /// Plans by mode.
    pub(super) modes: BTreeMap<&'static str, usize>,
    /// Plans by how far changes travel.
    pub(super) travels: BTreeMap<&'static str, usize>,
    /// Commits by what they have.
    pub(super) features: BTreeMap<&'static str, usize>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.plans += other.plans;
        self.images += other.images;
        self.built += other.built;
        self.left_alone += other.left_alone;
        self.refused += other.refused;
        self.broken += other.broken;
        self.declared_left_out += other.declared_left_out;
        for (name, count) in &other.exceptions {
            *self.exceptions.entry(name.clone()).or_default() += count;
        }
        for (sum, added) in [
            (&mut self.modes, &other.modes),
            (&mut self.travels, &other.travels),
            (&mut self.features, &other.features),
        ] {
            added.iter().for_each(|(name, count)| *sum.entry(name).or_default() += count);
        }
    }
}

/// Compares a plan's image names with what changed between two checkouts; without a first one everything is built.
pub(super) fn judge(base: Option<&Seen>, head: &Seen, planned: &BTreeSet<String>, counts: &mut Counts) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let unknown = planned.iter().filter(|name| !head.images.contains_key(*name));
    wrong.extend(unknown.map(|name| Wrong::Other(format!("{name} is no image"))));
    counts.plans += 1;
    for (name, now) in &head.images {
        counts.images += 1;
        let is_planned = planned.contains(name);
        counts.built += usize::from(is_planned);
        let Some(was) = base.and_then(|base| base.images.get(name)) else {
            if !is_planned {
                wrong.push(Wrong::Missed(name.clone()));
            }
            continue;
        };
        if !now.broken.is_empty() || !was.broken.is_empty() {
            counts.broken += 1;
            continue;
        }
        let changed = now.truth != was.truth;
        match (is_planned, changed, now.rule != was.rule) {
            (false, true, _) => wrong.push(Wrong::Missed(name.clone())),
            (true, _, false) => wrong.push(Wrong::Needless(name.clone())),
            (true, false, true) => match exception(was, now) {
                Some(exception) => *counts.exceptions.entry(exception).or_default() += 1,
                None => wrong.push(Wrong::Needless(name.clone())),
            },
            (false, false, _) => {
                counts.left_alone += 1;
                counts.declared_left_out += usize::from(now.whole != was.whole);
            }
            (true, true, true) => {}
        }
    }
    wrong
}

/// Why what counts changed although what a build sees did not.
fn exception(was: &Image, now: &Image) -> Option<String> {
    let parts: BTreeSet<&String> = was.rule.keys().chain(now.rule.keys()).collect();
    let part = parts.into_iter().find(|part| was.rule.get(*part) != now.rule.get(*part))?;
    let name = match part.split(' ').next()? {
        "wide" => {
            let both = [&was.exceptions, &now.exceptions];
            let mut named = both.into_iter().flatten().flatten();
            named.next()?.as_str()
        }
        other => other,
    };
    EXCEPTIONS.iter().any(|(known, _)| *known == name).then(|| name.to_owned())
}

/// What differs between an image of two checkouts, for people.
pub(super) fn differences(base: Option<&Seen>, head: &Seen, name: &str) -> String {
    let (Some(was), Some(now)) = (base.and_then(|base| base.images.get(name)), head.images.get(name)) else {
        return "it is new".to_owned();
    };
    let of = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        let parts: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        let parts: Vec<&str> =
            parts.into_iter().filter(|part| one.get(*part) != other.get(*part)).map(String::as_str).collect();
        parts.join(", ")
    };
    format!(
        "a build sees a difference in: [{}]; by the rule: [{}]",
        of(&was.truth, &now.truth),
        of(&was.rule, &now.rule)
    )
}
