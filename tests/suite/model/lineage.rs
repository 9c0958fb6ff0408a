//! What published images were really built on: a run that builds some images only builds them on what is published of the
//! others, which need not be what their files of now would give.

use std::collections::{BTreeMap, BTreeSet};

use hephy::oci::Digest;

use super::oracle::{Image, Seen};

/// Begins the parts of an image that are other images.
const OTHER: &str = "dependency ";

/// An image as it was built.
#[derive(Clone, Debug)]
pub(super) struct Built {
    image: Image,
    /// What it was built on, by directory.
    on: BTreeMap<String, Built>,
}

/// Everything that was published, by digest.
#[derive(Default)]
pub(super) struct Lineage(BTreeMap<Digest, Built>);

type Parts = BTreeMap<String, String>;

fn others(parts: &Parts) -> impl Iterator<Item = &str> {
    parts.keys().filter_map(|part| part.strip_prefix(OTHER))
}

fn own(parts: &Parts) -> Parts {
    parts.iter().filter(|(part, _)| !part.starts_with(OTHER)).map(|(part, it)| (part.clone(), it.clone())).collect()
}

fn hash(parts: &Parts) -> String {
    Digest::of(format!("{parts:?}").as_bytes()).to_string()
}

impl Built {
    /// As it would be built now, with all that it is built on.
    fn now(seen: &Seen, dir: &str) -> Self {
        let image = seen.images[dir].clone();
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

    fn image(&self, own_only: bool) -> Image {
        let truth = self.parts(|image| &image.truth, own_only);
        Image { truth, rule: self.parts(|image| &image.rule, own_only), ..self.image.clone() }
    }
}

/// What images would be built from now.
pub(super) fn now_of(seen: &Seen, own_only: bool) -> Seen {
    let image = |dir: &String| (dir.clone(), Built::now(seen, dir).image(own_only));
    Seen { images: seen.images.keys().map(image).collect(), ..seen.clone() }
}

/// What published images were built from.
pub(super) fn published_of(there: &BTreeMap<String, Built>, own_only: bool) -> Seen {
    let images = there.iter().map(|(dir, built)| (dir.clone(), built.image(own_only)));
    Seen { images: images.collect(), ..Seen::default() }
}

impl Lineage {
    /// What was published under a digest.
    pub(super) fn of(&self, digest: &Digest) -> Option<&Built> {
        self.0.get(digest)
    }

    /// After a run: what it published was built on what it built, and else on what was there.
    pub(super) fn learn(
        &mut self,
        now: &Seen,
        planned: &BTreeSet<String>,
        there: &BTreeMap<String, Built>,
        before: &BTreeMap<String, Option<Digest>>,
        after: &BTreeMap<String, Option<Digest>>,
    ) {
        for (dir, digest) in after {
            let Some(digest) = digest.as_ref().filter(|digest| before[dir].as_ref() != Some(*digest)) else { continue };
            self.0.insert(digest.clone(), built(now, planned, there, dir));
        }
    }
}

fn built(now: &Seen, planned: &BTreeSet<String>, there: &BTreeMap<String, Built>, dir: &str) -> Built {
    let image = now.images[dir].clone();
    let on = |on: &str| match there.get(on).filter(|_| !planned.contains(&now.images[on].name)) {
        Some(built) => built.clone(),
        None => built(now, planned, there, on),
    };
    let on = others(&image.truth).map(|name| (name.to_owned(), on(name))).collect();
    Built { image, on }
}
