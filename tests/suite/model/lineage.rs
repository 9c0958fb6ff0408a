//! What published images were really built on: a run that builds some images only builds them on what is published of the
//! others, which need not be what their files of now would give.

use std::collections::{BTreeMap, BTreeSet};

use hephy::oci::Digest;

use super::oracle::{Image, Seen};
use super::pipeline::{Head, Heads};
use super::travels::{OTHER, Parts, hash, others, own};

/// An image as it was built.
#[derive(Clone, Debug)]
pub(super) struct Built {
    image: Image,
    /// What it was built on, by name.
    on: BTreeMap<String, Built>,
}

/// Everything that was published, by digest.
#[derive(Default)]
pub(super) struct Lineage(BTreeMap<Digest, Built>);

/// An image as it is published.
#[derive(Clone, Debug)]
pub(super) struct There {
    built: Built,
    /// What its index has, which need not be all that was wanted.
    pub(super) platforms: BTreeSet<String>,
}

impl Built {
    /// As it would be built now, with all that it is built on.
    fn now(seen: &Seen, name: &str) -> Self {
        let image = seen.images[name].clone();
        let on = others(&image.truth).map(|on| (on.to_owned(), Self::now(seen, on))).collect();
        Self { image, on }
    }

    /// By parts; what it was built on is one each, unless only its own are wanted.
    fn parts(&self, of: fn(&Image) -> &Parts, own_only: bool) -> Parts {
        let mut parts = own(of(&self.image));
        if !own_only {
            parts.extend(self.on.iter().map(|(on, built)| (format!("{OTHER}{on}"), hash(&built.parts(of, false)))));
        }
        parts
    }

    fn image(&self, platforms: &BTreeSet<String>, own_only: bool) -> Image {
        let parts = |of: fn(&Image) -> &Parts| {
            let mut parts = self.parts(of, own_only);
            parts.insert("platforms".to_owned(), format!("{platforms:?}"));
            parts
        };
        Image { truth: parts(|image| &image.truth), rule: parts(|image| &image.rule), ..self.image.clone() }
    }
}

/// What images would be built from now.
pub(super) fn now_of(seen: &Seen, own_only: bool) -> Seen {
    let image =
        |(name, image): (&String, &Image)| (name.clone(), Built::now(seen, name).image(&image.platforms, own_only));
    Seen { images: seen.images.iter().map(image).collect(), ..seen.clone() }
}

/// What published images were built from.
pub(super) fn published_of(there: &BTreeMap<String, There>, own_only: bool) -> Seen {
    let images = there.iter().map(|(name, it)| (name.clone(), it.built.image(&it.platforms, own_only)));
    Seen { images: images.collect(), ..Seen::default() }
}

impl Lineage {
    /// What is published.
    pub(super) fn there(&self, heads: &Heads) -> BTreeMap<String, There> {
        let there = |head: &Head| {
            let built = self.0.get(&head.digest)?.clone();
            Some(There { built, platforms: head.children.keys().cloned().collect() })
        };
        heads.iter().filter_map(|(name, head)| Some((name.clone(), there(head)?))).collect()
    }

    /// After a run: what it published was built on what it built, and else on what was there.
    pub(super) fn learn(
        &mut self,
        now: &Seen,
        planned: &BTreeSet<String>,
        there: &BTreeMap<String, There>,
        (before, after): (&Heads, &Heads),
    ) {
        for (name, head) in after {
            if before.get(name).is_none_or(|was| was.digest != head.digest) {
                self.0.insert(head.digest.clone(), built(now, planned, there, name));
            }
        }
    }
}

fn built(now: &Seen, planned: &BTreeSet<String>, there: &BTreeMap<String, There>, name: &str) -> Built {
    let image = now.images[name].clone();
    let on = |on: &str| match there.get(on).filter(|_| !planned.contains(on)) {
        Some(there) => there.built.clone(),
        None => built(now, planned, there, on),
    };
    let on = others(&image.truth).map(|name| (name.to_owned(), on(name))).collect();
    Built { image, on }
}
