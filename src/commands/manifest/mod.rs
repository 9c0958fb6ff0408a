//! The manifest stage (specification §9): gather every platform's image, decide what may be published, push the
//! indexes, move the tags.
//!
//! 1. For each image × platform the result file names a digest (or a tag); its manifest and configuration are read
//!    from the registry: two requests a child, the only proof that the image exists and is of that platform.
//! 2. `index` decides what may be published and makes the indexes.
//! 3. Wave by wave, so that nothing is published on top of something that could not be, 16 images at a time: each
//!    tag is looked at, the index is pushed by digest, the tags that move are written, the date tag first, and
//!    looked at again.
//! 4. What is published from the same input already gets its tags the same way; its index is not written.
//!
//! Nothing here runs git: the caller's `is_ancestor` does.

mod below;
mod children;
mod collect;
mod collisions;
pub mod command;
mod outcome;
mod results;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

pub use collect::collect;
pub use collisions::check_immutable_tags;
pub use outcome::{Outcome, Published, PublishedTag, TagState, file_name, write};
pub use results::{Left, Results};

use crate::error::{Error, ErrorKind, Result};
use crate::index::{self, Child, Dependencies, Held, Line, Ours};
use crate::oci::{ImageName, Platform, Repository, Tag};
use crate::plan::{Mode, Plan, PlannedImage};
use crate::registry::Client;

/// Images that are published at the same time.
const CONCURRENT_IMAGES: usize = 16;
/// Children that are read at the same time.
const CONCURRENT_CHILDREN: usize = 32;

/// What the caller decides.
pub struct Options<'a> {
    /// Where images are published: `host[:port]/path`.
    pub registry: &'a str,
    /// Only these images; all of them where it is empty.
    pub images: &'a [ImageName],
    /// Publish what exists where platforms lack.
    pub allow_partial: bool,
    /// Whether the first commit is an ancestor of the second; none when git does not know one of them.
    pub is_ancestor: &'a dyn Fn(&str, &str) -> Option<bool>,
}

/// What all images of one run have in common.
struct Run<'a> {
    client: &'a Client,
    plan: &'a Plan,
    options: &'a Options<'a>,
}

impl Run<'_> {
    /// What the run wants tags of its own builds to point at, for an image of this version.
    fn ours<'a>(&'a self, version: Option<&'a str>, head: &'a str) -> Ours<'a> {
        let source = &self.plan.source;
        let line = match source {
            source if source.tag.is_some() => Line::GitTag,
            source if source.beside_default => Line::Beside { head },
            _ => Line::Default,
        };
        Ours { commit: &source.commit, time: &source.commit_time, version, line }
    }

    /// `{image}-head`.
    fn head(&self, image: &ImageName) -> String {
        self.plan.layout.tag_of(image, "head")
    }

    /// The base tag where it names this very build; one without date and commit moves as others do.
    fn build_tag<'i>(&self, image: &'i PlannedImage) -> Option<&'i Tag> {
        let (date, commit) = (self.plan.date.as_str(), self.plan.source.commit.get(..7).unwrap_or("-"));
        image.tags.first().filter(|tag| tag.as_str().contains(date) || tag.as_str().contains(commit))
    }

    fn repository(&self, image: &ImageName) -> Result<Repository> {
        let text = self.plan.repository_of(self.options.registry, image);
        Repository::parse(&text).map_err(|error| Error::config(format!("{image} cannot be published")).cause(error))
    }
}

/// Publishes what the plan names. Failures of single images are part of the outcome, in the plan's order.
///
/// # Errors
/// When nothing can be begun: `--image` names no image of the plan.
pub async fn publish(client: &Client, plan: &Plan, results: Results, options: &Options<'_>) -> Result<Outcome> {
    if plan.mode == Mode::Check || plan.is_empty() {
        return Ok(Outcome::default());
    }
    known(plan, options)?;
    let run = Run { client, plan, options };
    let mut found = Found { available: results.available(plan), ..Found::default() };
    for (image, platform, child) in gather(&run, results).await {
        found.add(image, platform, child);
    }
    let below = below::digests(&run, &found.children).await;
    let verdicts = index::publishable(plan, &found.available, options.allow_partial);
    let mut outcome = Outcome::default();
    let mut unpublished: BTreeSet<ImageName> = BTreeSet::new();
    let waves: BTreeSet<u32> = plan.images.iter().map(|image| image.wave).collect();
    for wave in waves {
        let mut ready = Vec::new();
        for image in plan.images.iter().filter(|image| image.wave == wave && selected(options, &image.name)) {
            let verdict = verdicts.get(&image.name).cloned().unwrap_or_else(|| Ok(image.platforms.clone()));
            let broken = image.dependencies.iter().find(|it| unpublished.contains(&it.name)).map(|it| it.name.clone());
            let lacks = found.lacks.remove(&image.name).unwrap_or_default();
            match broken.map_or(verdict, |name| Err(Held::BuiltOn(name))) {
                Ok(platforms) => {
                    outcome.warnings.extend(lacks.iter().map(|error| format!("{}: {error}", image.name)));
                    let mut children = found.children.remove(&image.name).unwrap_or_default();
                    children.retain(|child| platforms.contains(&child.platform));
                    ready.push((image, platforms, children));
                }
                Err(held) => {
                    unpublished.insert(image.name.clone());
                    outcome.hold(&image.name, held, lacks);
                }
            }
        }
        for (image, result) in publish_wave(&run, ready, &below).await {
            if result.is_err() {
                unpublished.insert(image.clone());
            }
            outcome.add(image, result);
        }
    }
    reuse(&run, &mut outcome).await;
    Ok(outcome)
}

/// What the registry has, image by image.
#[derive(Default)]
struct Found {
    available: BTreeMap<ImageName, BTreeSet<Platform>>,
    children: BTreeMap<ImageName, Vec<Child>>,
    lacks: BTreeMap<ImageName, Vec<Error>>,
}

impl Found {
    fn add(&mut self, image: ImageName, platform: Platform, child: Result<Child>) {
        let have = self.available.entry(image.clone()).or_default();
        match child {
            Ok(child) => {
                have.insert(platform);
                self.children.entry(image).or_default().push(child);
            }
            Err(error) => {
                have.remove(&platform);
                self.lacks.entry(image).or_default().push(error);
            }
        }
    }
}

type Ready<'a> = (&'a PlannedImage, Vec<Platform>, Vec<Child>);

/// Publishes the images of one wave together; the results are in the plan's order.
async fn publish_wave(
    run: &Run<'_>,
    ready: Vec<Ready<'_>>,
    below: &Dependencies,
) -> Vec<(ImageName, Result<(Published, Vec<String>)>)> {
    stream::iter(ready)
        .map(async |(image, platforms, children)| {
            (image.name.clone(), tags::publish_image(run, image, &platforms, &children, below).await)
        })
        .buffered(CONCURRENT_IMAGES)
        .collect()
        .await
}

fn selected(options: &Options<'_>, image: &ImageName) -> bool {
    options.images.is_empty() || options.images.contains(image)
}

/// Puts the tags of this run on the indexes that are published already; they are in nobody's scope, since nothing of
/// theirs is built.
async fn reuse(run: &Run<'_>, outcome: &mut Outcome) {
    let images = run.plan.reused.iter().filter(|image| selected(run.options, &image.name));
    for repository in images.clone().filter_map(|image| run.repository(&image.name).ok()) {
        run.client.will_push(&repository);
    }
    let found: Vec<_> = stream::iter(images)
        .map(async |image| (image.name.clone(), tags::tag_published(run, image).await))
        .buffered(CONCURRENT_IMAGES)
        .collect()
        .await;
    for (image, result) in found {
        outcome.add(image, result);
    }
}

/// Refuses a name that is none of the plan's.
fn known(plan: &Plan, options: &Options<'_>) -> Result<()> {
    let unknown = |name: &&ImageName| plan.image(name.as_str()).is_none() && plan.reused(name.as_str()).is_none();
    let Some(name) = options.images.iter().find(unknown) else { return Ok(()) };
    let error = Error::new(ErrorKind::NotFound, format!("the plan names no image {name}"));
    Err(error.hint("hephy plan lists the images that are built"))
}

/// Reads every child of the selected images, in the plan's order.
async fn gather(run: &Run<'_>, mut results: Results) -> Vec<(ImageName, Platform, Result<Child>)> {
    let mut pairs = Vec::new();
    for image in run.plan.images.iter().filter(|image| selected(run.options, &image.name)) {
        if let Ok(repository) = run.repository(&image.name) {
            run.client.will_push(&repository);
        }
        for platform in &image.platforms {
            pairs.push((image, platform, results.take(&image.name, platform)));
        }
    }
    stream::iter(pairs)
        .map(async |(image, platform, left)| {
            (image.name.clone(), platform.clone(), children::find(run, image, platform, left).await)
        })
        .buffered(CONCURRENT_CHILDREN)
        .collect()
        .await
}
