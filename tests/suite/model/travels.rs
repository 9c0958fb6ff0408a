//! How far changes travel: `--dependents`.

use std::collections::BTreeMap;

use hephy::config::Dependents;
use hephy::oci::Digest;

use super::oracle::{Image, Seen};
use super::random::Random;

/// Begins the parts of an image that are other images.
pub(super) const OTHER: &str = "dependency ";

pub(super) type Parts = BTreeMap<String, String>;

/// Names of the other images among the parts.
pub(super) fn others(parts: &Parts) -> impl Iterator<Item = &str> {
    parts.keys().filter_map(|part| part.strip_prefix(OTHER))
}

/// The parts that are no other images, and which others there are.
pub(super) fn own(parts: &Parts) -> Parts {
    let own = parts.iter().filter(|(part, _)| !part.starts_with(OTHER));
    let on = others(parts).collect::<Vec<_>>().join(" ");
    own.map(|(part, it)| (part.clone(), it.clone())).chain([("others".to_owned(), on)]).collect()
}

pub(super) fn hash(parts: &Parts) -> String {
    Digest::of(format!("{parts:?}").as_bytes()).to_string()
}

/// How far changes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travels {
    All,
    Direct,
    None,
}

impl Travels {
    pub(super) fn random(random: &mut Random) -> Self {
        [Self::All, Self::All, Self::Direct, Self::None][random.below(4)]
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Direct => "direct",
            Self::None => "none",
        }
    }

    pub(super) const fn dependents(self) -> Dependents {
        match self {
            Self::All => Dependents::All,
            Self::Direct => Dependents::Direct,
            Self::None => Dependents::None,
        }
    }

    /// A checkout in which images hold of the others what travels to them.
    pub(super) fn seen(self, seen: &Seen) -> Seen {
        let mut seen = seen.clone();
        if self != Self::All {
            let whole = seen.images.clone();
            for image in seen.images.values_mut() {
                image.truth = self.parts(&whole, image, |image| &image.truth);
                image.rule = self.parts(&whole, image, |image| &image.rule);
            }
        }
        seen
    }

    fn parts(self, all: &BTreeMap<String, Image>, image: &Image, of: fn(&Image) -> &Parts) -> Parts {
        let mut parts = own(of(image));
        if self == Self::Direct {
            parts.extend(others(of(image)).map(|on| (format!("{OTHER}{on}"), hash(&own(of(&all[on]))))));
        }
        parts
    }
}
