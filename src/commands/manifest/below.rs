//! What the images of a plan were built on, of the same repository: their indexes record it, so that a later look can tell
//! that what lies below was rebuilt, and they were not.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use super::{CONCURRENT_IMAGES, Run, selected};
use crate::index::{Child, Dependencies, Recorded};
use crate::oci::{Digest, ImageName, Platform};
use crate::plan::{DependencyFrom, PlannedImage};
use crate::registry::By;

/// The digests of what the plan builds and others of it are built on. What another manifest job publishes is read from
/// the registry: one request an image; what is not there is not recorded.
pub(super) async fn digests(run: &Run<'_>, children: &BTreeMap<ImageName, Vec<Child>>) -> Dependencies {
    let of_children = |children: &[Child]| -> BTreeMap<Platform, Digest> {
        children.iter().map(|child| (child.platform.clone(), child.digest.clone())).collect()
    };
    let mut below: Dependencies = children.iter().map(|(name, own)| (name.clone(), of_children(own))).collect();
    let images = run.plan.images.iter().filter(|image| selected(run.options, &image.name));
    let dependencies = images.flat_map(|image| &image.dependencies).filter(|it| it.from == DependencyFrom::Plan);
    let elsewhere: BTreeSet<&ImageName> =
        dependencies.map(|it| &it.name).filter(|name| !selected(run.options, name)).collect();
    let read = elsewhere.into_iter().filter_map(|name| run.plan.image(name.as_str()));
    let read: Vec<_> = stream::iter(read)
        .map(async |image| (image.name.clone(), published(run, image).await))
        .buffered(CONCURRENT_IMAGES)
        .collect()
        .await;
    below.extend(read.into_iter().filter_map(|(name, found)| Some((name, found?))));
    below
}

/// What another job of this plan published of an image.
async fn published(run: &Run<'_>, image: &PlannedImage) -> Option<BTreeMap<Platform, Digest>> {
    let repository = run.repository(&image.name).ok()?;
    let manifest = run.client.manifest(&repository, By::Tag(image.tags.first()?)).await.ok()??;
    let recorded = Recorded::of(manifest.digest.clone(), &manifest.is_index().then(|| manifest.index().ok())??);
    let is_ours = recorded.input_key.as_ref().is_some_and(|key| key.as_str() == image.input_key);
    is_ours.then_some(recorded.platforms)
}

/// What one image was built on.
pub(super) fn of(image: &PlannedImage, below: &Dependencies) -> Dependencies {
    let mut found = Dependencies::new();
    for dependency in &image.dependencies {
        let digest = |platform: &Platform| match &dependency.from {
            DependencyFrom::Plan => below.get(&dependency.name)?.get(platform).cloned(),
            DependencyFrom::Published { digest, .. } => Some(digest.clone()),
            DependencyFrom::Unresolved => None,
        };
        let digests = dependency.platforms.iter().filter_map(|it| Some((it.clone(), digest(it)?)));
        found.entry(dependency.name.clone()).or_default().extend(digests);
    }
    found.retain(|_, digests| !digests.is_empty());
    found
}
