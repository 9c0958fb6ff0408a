//! What prepare asks before anything is built: would this run's tags collide with tags that cannot move?

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::CONCURRENT_IMAGES;
use super::tags::immutable;
use crate::error::{Error, Result};
use crate::oci::{Repository, Tag};
use crate::plan::{Mode, Plan};
use crate::registry::{By, Client};

/// Fails when a date tag or an architecture tag of this run exists where tags are immutable.
///
/// No registry says over this API whether its tags are immutable. A registry that does refuses even what changes
/// nothing, so an existing tag is put to the digest that it has: one request a tag that exists, none otherwise.
///
/// # Errors
/// When a tag collides; when the registry refuses to be read or written.
pub async fn check_immutable_tags(client: &Client, plan: &Plan, registry: &str) -> Result<()> {
    if plan.mode == Mode::Check {
        return Ok(());
    }
    let mut tags: Vec<(Repository, &Tag)> = Vec::new();
    for image in &plan.images {
        let repository = Repository::parse(&plan.repository_of(registry, &image.name))
            .map_err(|error| Error::config(format!("{} cannot be published", image.name)).cause(error))?;
        client.will_push(&repository);
        let named = image.tags.first().into_iter().chain(image.arch_tags.values());
        tags.extend(named.map(|tag| (repository.clone(), tag)));
    }
    stream::iter(tags)
        .map(|(repository, tag)| async move { check(client, &repository, tag).await })
        .buffered(CONCURRENT_IMAGES)
        .try_collect()
        .await
}

async fn check(client: &Client, repository: &Repository, tag: &Tag) -> Result<()> {
    let Some(manifest) = client.manifest(repository, By::Tag(tag)).await? else { return Ok(()) };
    match client.put_manifest(repository, By::Tag(tag), &manifest).await {
        Err(error) if Client::is_tag_refusal(&error) => Err(immutable(repository, tag, None).cause(error)),
        other => other,
    }
}
