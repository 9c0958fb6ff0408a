//! Which images may be published: the scope of a failure is one image and those built on it (specification §9).

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{ImageName, Platform};
use crate::plan::{DependencyFrom, Plan, PlannedImage};

/// Why an image is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Platforms of its own lack.
    Own(Vec<Platform>),
    /// An image of this run that it is built on is held back, or lacks these platforms.
    BuiltOn(ImageName),
}

/// Decides what may be published, image by image.
///
/// `available` are the platforms whose image exists. An image that is absent from the map is taken as complete: the
/// caller knows nothing of it (`--image` in a job that has one image's files only). With `partial` an image keeps
/// those platforms that exist, and that exist for everything it is built on.
#[must_use]
pub fn publishable(
    plan: &Plan,
    available: &BTreeMap<ImageName, BTreeSet<Platform>>,
    partial: bool,
) -> BTreeMap<ImageName, Result<Vec<Platform>, Held>> {
    let mut decided: BTreeMap<ImageName, Result<Vec<Platform>, Held>> = BTreeMap::new();
    let mut order: Vec<&PlannedImage> = plan.images.iter().collect();
    // Dependencies lie in lower waves, so whatever an image is built on is decided before it.
    order.sort_by_key(|image| image.wave);
    for image in order {
        let verdict = one(plan, image, available, &decided, partial);
        decided.insert(image.name.clone(), verdict);
    }
    decided
}

fn one(
    plan: &Plan,
    image: &PlannedImage,
    available: &BTreeMap<ImageName, BTreeSet<Platform>>,
    decided: &BTreeMap<ImageName, Result<Vec<Platform>, Held>>,
    partial: bool,
) -> Result<Vec<Platform>, Held> {
    let exists = |platform: &&Platform| available.get(&image.name).is_none_or(|have| have.contains(*platform));
    let mut platforms: Vec<Platform> = image.platforms.iter().filter(exists).cloned().collect();
    let lacking: Vec<Platform> = image.platforms.iter().filter(|it| !platforms.contains(it)).cloned().collect();
    let own = || Err(Held::Own(lacking.clone()));
    if platforms.is_empty() || (!lacking.is_empty() && !partial) {
        return own();
    }
    for dependency in image.dependencies.iter().filter(|it| it.from == DependencyFrom::Plan) {
        let held = || Err(Held::BuiltOn(dependency.name.clone()));
        match decided.get(&dependency.name) {
            None => {}
            Some(Err(_)) => return held(),
            Some(Ok(theirs)) => {
                // A platform that the dependency was not to be built for in this run was published before.
                let built_here =
                    plan.image(dependency.name.as_str()).map(|it| it.platforms.as_slice()).unwrap_or_default();
                platforms.retain(|platform| {
                    !dependency.is_for(platform) || theirs.contains(platform) || !built_here.contains(platform)
                });
            }
        }
        if platforms.is_empty() {
            return held();
        }
    }
    Ok(platforms)
}
