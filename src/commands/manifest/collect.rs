//! `hephy manifest --collect`: what other jobs of this pipeline published, read back from the registry. The jobs of a
//! child pipeline cannot hand their artifacts to the pipeline above it; the registry is where both look.
//!
//! Nothing is built or published again. Only tags of images that are reused are written, since no other job has them. An
//! index is this plan's when it has the plan's input key and image name and was
//! published from the plan's commit, or from a later one whose input is the same.

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _};

use super::outcome::{Outcome, Published, PublishedTag, TagState};
use super::{CONCURRENT_IMAGES, Options, Run, known, selected};
use crate::change::Oid;
use crate::commands::published::recorded;
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{self, Recorded, Relation};
use crate::oci::{Platform, Repository, Tag};
use crate::plan::{Mode, Plan, PlannedImage};
use crate::registry::{By, Client, Manifest};

/// Reads what was published for the plan. An image that is not there is a failure of the outcome, in the plan's order.
///
/// # Errors
/// When `--image` names no image of the plan.
pub async fn collect(client: &Client, plan: &Plan, options: &Options<'_>) -> Result<Outcome> {
    if plan.mode == Mode::Check || plan.is_empty() {
        return Ok(Outcome::default());
    }
    known(plan, options)?;
    let run = Run { client, plan, options };
    let found: Vec<_> = stream::iter(plan.images.iter().filter(|image| selected(options, &image.name)))
        .map(async |image| (image.name.clone(), one(&run, image).await))
        .buffered(CONCURRENT_IMAGES)
        .collect()
        .await;
    let mut outcome = Outcome::default();
    for (image, result) in found {
        outcome.add(image, result);
    }
    super::reuse(&run, &mut outcome).await;
    Ok(outcome)
}

/// What a tag points at.
struct Behind {
    manifest: Manifest,
    current: Recorded,
}

async fn one(run: &Run<'_>, image: &PlannedImage) -> Result<(Published, Vec<String>)> {
    let repository = run.repository(&image.name)?;
    let looks = image.tags.iter().map(|tag| behind(run.client, &repository, tag));
    let found: Vec<Option<Behind>> = try_join_all(looks).await?;
    let Some(ours) = found.iter().flatten().find(|behind| is_ours(run, image, behind)) else {
        let error = absent(image, &repository, found.iter().flatten().next());
        return Err(match run.plan.source.beside_default {
            false => error,
            true => error.hint(format!(
                "see the job `manifest {}` of the child pipeline; where the default branch holds all its tags, \
                 tag_template: \"{{image}}-{{date}}-{{branch}}\" gives it one of its own",
                image.name
            )),
        });
    };
    let platforms = ours.current.platforms.clone();
    let lacking: Vec<Platform> = image.platforms.iter().filter(|it| !platforms.contains_key(it)).cloned().collect();
    if let Some(first) = lacking.first().filter(|_| !run.options.allow_partial) {
        let sentence = format!("{} was published without {first}", image.name);
        return Err(Error::new(ErrorKind::NotFound, sentence)
            .hint("see the build job of that platform; --allow-partial takes what there is"));
    }
    let (tags, gone) = states(run, image, ours, &found);
    let published = Published {
        image: image.name.clone(),
        repository: repository.to_string(),
        digest: ours.manifest.digest.clone(),
        media_type: ours.manifest.media_type.clone(),
        size: ours.manifest.bytes.len() as u64,
        platforms: platforms.into_iter().filter(|(platform, _)| image.platforms.contains(platform)).collect(),
        lacking,
        tags,
        reused: false,
    };
    Ok((published, gone.into_iter().map(|tag| format!("{repository} has no tag {tag}")).collect()))
}

/// Whether an index holds what this plan builds: by input and name, of its commit or of a later one.
fn is_ours(run: &Run<'_>, image: &PlannedImage, behind: &Behind) -> bool {
    let Recorded { input_key, image: name, revision, .. } = &behind.current;
    let ours = Oid::of_revision(&run.plan.source.commit).map(|id| id.to_string());
    input_key.as_ref().is_some_and(|key| key.as_str() == image.input_key)
        && name.as_deref() == Some(image.name.as_str())
        && (revision.is_some() && *revision == ours || is_newer(run, behind))
}

fn is_newer(run: &Run<'_>, behind: &Behind) -> bool {
    let source = &run.plan.source;
    let relation = index::relation(&behind.current, &source.commit, &source.commit_time, run.options.is_ancestor);
    relation == Relation::Newer
}

fn is_newer_version(run: &Run<'_>, image: &PlannedImage, tag: &Tag, behind: &Behind) -> bool {
    let annotations = index::of_image(run.plan, image);
    let follows = index::Follows::of(run.plan.layout, &image.name, run.build_tag(image), tag);
    let head = run.head(&image.name);
    let ours = run.ours(annotations.get(index::VERSION).map(String::as_str), &head);
    index::standing(&behind.current, &ours, follows, run.options.is_ancestor) == Relation::NewerVersion
}

/// Where the image's tags point, seen from its index; and those that do not exist.
fn states<'p>(
    run: &Run<'_>,
    image: &'p PlannedImage,
    ours: &Behind,
    found: &[Option<Behind>],
) -> (Vec<PublishedTag>, Vec<&'p Tag>) {
    let (mut tags, mut gone) = (Vec::new(), Vec::new());
    for (tag, behind) in image.tags.iter().zip(found) {
        let Some(behind) = behind else {
            gone.push(tag);
            continue;
        };
        let newer = behind.current.version.clone().filter(|_| is_newer_version(run, image, tag, behind));
        let state = match behind {
            behind if behind.manifest.digest == ours.manifest.digest => TagState::Unchanged,
            _ if newer.is_some() => TagState::NewerVersion,
            behind if is_newer(run, behind) => TagState::Newer,
            _ => TagState::Elsewhere,
        };
        tags.push(PublishedTag { tag: tag.clone(), state, there: newer });
    }
    (tags, gone)
}

async fn behind(client: &Client, repository: &Repository, tag: &Tag) -> Result<Option<Behind>> {
    let Some(manifest) = client.manifest(repository, By::Tag(tag)).await? else { return Ok(None) };
    Ok(Some(Behind { current: recorded(&manifest)?, manifest }))
}

fn absent(image: &PlannedImage, repository: &Repository, other: Option<&Behind>) -> Error {
    let name = &image.name;
    let error = Error::new(ErrorKind::NotFound, format!("{name} was not published by this pipeline"));
    let error = match (other, image.tags.first()) {
        (Some(other), _) => {
            let revision =
                other.current.revision.as_deref().map_or("an unknown commit".into(), |it| escape_cut(it, 80));
            error.cause(anyhow::anyhow!("{repository} holds {} of {revision}", other.manifest.digest))
        }
        (None, Some(tag)) => error.cause(anyhow::anyhow!("{repository}:{tag} does not exist")),
        (None, None) => error,
    };
    error.hint(format!("see the jobs `build {name} …` and `manifest {name}` of the child pipeline"))
}
