//! What prepare asks before anything is built: would this run's tags collide with tags that cannot move?

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::CONCURRENT_IMAGES;
use super::tags::immutable;
use crate::error::{Error, Result};
use crate::oci::{Repository, Tag};
use crate::plan::{Mode, Plan};
use crate::registry::{By, Client};

/// Fails when an architecture tag of this run exists where tags are immutable.
///
/// No registry says over this API whether its tags are immutable. A registry that does refuses even what changes
/// nothing, so an existing tag is put to the digest that it has: one request a tag that exists, none otherwise.
///
/// Only build jobs write these tags, and everything that follows goes by digest. A tag that people pull is not touched:
/// another run may move it between the question and the answer, and would see it go back.
///
/// # Errors
/// When a tag collides; when the registry refuses to be read. That this job may not write is no error.
pub async fn check_immutable_tags(client: &Client, plan: &Plan, registry: &str) -> Result<()> {
    if plan.mode == Mode::Check {
        return Ok(());
    }
    let mut images: Vec<(Repository, Vec<&Tag>)> = Vec::new();
    for image in &plan.images {
        let repository = Repository::parse(&plan.repository_of(registry, &image.name))
            .map_err(|error| Error::config(format!("{} cannot be published", image.name)).cause(error))?;
        client.will_push(&repository);
        images.push((repository, image.arch_tags.values().collect()));
    }
    stream::iter(images)
        .map(|(repository, tags)| async move {
            // One after the other: while a child is put, a registry may not find it for the index that names it.
            for tag in tags {
                check(client, &repository, tag).await?;
            }
            Ok(())
        })
        .buffered(CONCURRENT_IMAGES)
        .try_collect()
        .await
}

async fn check(client: &Client, repository: &Repository, tag: &Tag) -> Result<()> {
    let Some(manifest) = client.manifest(repository, By::Tag(tag)).await? else { return Ok(()) };
    match client.put_manifest(repository, By::Tag(tag), &manifest).await {
        Err(error) if Client::is_tag_refusal(&error) => Err(immutable(repository, tag, None).cause(error)),
        // Whatever else keeps this job from writing is for those to say who have to write.
        Err(_) | Ok(()) => Ok(()),
    }
}
