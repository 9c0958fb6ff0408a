//! Platform digests → image index (specification §9): what goes into it, when it must not be made, which images
//! are held back, and which tags move. Pure: descriptors in, bytes and decisions out.
//!
//! An index whose children disagree is never made; the same children and plan give the same bytes.

mod annotations;
mod child;
mod forward;
mod recorded;
mod scope;

use std::collections::BTreeMap;

use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};

pub use annotations::{BASES, DEPENDENCIES, IMAGE, INPUT_KEY, REVISION, TAGS, VERSION, of_image};
pub use child::{Child, Picked, attestations_of, check_config, entry_for, pick};
pub use forward::{Decision, Follows, Line, Ours, Relation, decide, relation, repairs, standing};
pub use recorded::{Recorded, Said, platforms};
pub use scope::{Held, publishable};

use crate::config::BackendName;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, ImageName, Platform};
use crate::plan::{Plan, PlannedImage};

/// An index that is ready to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The bytes; their digest is the index's.
    pub bytes: Vec<u8>,
    /// Digest of the bytes.
    pub digest: Digest,
    /// The children's digests in the plan's order.
    pub platforms: BTreeMap<Platform, Digest>,
}

/// What an image was built on, of the same repository: name → platform → digest, of that platform's image or of the index
/// that has it.
pub type Dependencies = BTreeMap<ImageName, BTreeMap<Platform, Digest>>;

/// Media type of what [`assemble`] makes.
pub const MEDIA_TYPE: &str = OCI_IMAGE_INDEX_MEDIA_TYPE;

/// Whether what is built for this platform runs on every machine, so that it is built once and has no index.
#[must_use]
pub fn stands_alone(platform: &Platform) -> bool {
    platform.os() == "wasi"
}

/// Makes the index of one image. `wanted` are the platforms that it is to have: all of the plan's, or those that
/// exist when a partial index was asked for.
///
/// # Errors
/// When a platform lacks, comes twice, or was not asked for; when two platforms have the same manifest; when a
/// child says that it is another image or was built from another input.
pub fn assemble(
    plan: &Plan,
    image: &PlannedImage,
    wanted: &[Platform],
    children: &[Child],
    dependencies: &Dependencies,
) -> Result<Assembled> {
    check(image, wanted, children)?;
    let find = |platform: &&Platform| children.iter().find(|child| child.platform == **platform);
    let ordered: Vec<&Child> =
        image.platforms.iter().filter(|it| wanted.contains(it)).filter_map(|it| find(&it)).collect();
    let manifests = ordered.iter().map(|child| annotations::with_base(image, child));
    let attestations = ordered.iter().flat_map(|child| child.attestations.iter().cloned());
    let mut annotations = of_image(plan, image);
    if !dependencies.is_empty() {
        annotations.insert(DEPENDENCIES.to_owned(), serde_json::to_string(dependencies).unwrap_or_default());
    }
    let index = OciImageIndex {
        schema_version: 2,
        media_type: Some(MEDIA_TYPE.to_owned()),
        artifact_type: None,
        manifests: manifests.chain(attestations).collect::<Vec<ImageIndexEntry>>(),
        annotations: Some(annotations),
    };
    let bytes =
        serde_json::to_vec(&index).map_err(|error| Error::internal("an index could not be written").cause(error))?;
    let platforms = ordered.iter().map(|child| (child.platform.clone(), child.digest.clone())).collect();
    Ok(Assembled { digest: Digest::of(&bytes), bytes, platforms })
}

/// Whether a child's annotations may be its base's: those of images that were built elsewhere say nothing of this
/// plan, and Kaniko before 1.28.1 and ko before 0.17 copy them from the base and write none of their own.
fn is_inherited(image: &PlannedImage, child: &Child) -> bool {
    let copies = matches!(image.backend, BackendName::Kaniko | BackendName::Ko);
    let of_another = child.annotations.get(IMAGE).is_some_and(|found| found != image.name.as_str());
    image.manual_images.is_some() || (copies && of_another)
}

fn check(image: &PlannedImage, wanted: &[Platform], children: &[Child]) -> Result<()> {
    let name = &image.name;
    let refuse = |why: String| {
        Err(Error::new(ErrorKind::BuildError, format!("no index of {name} can be made: {why}"))
            .hint("the build jobs of the platforms do not fit together: run them again, all in one pipeline"))
    };
    for platform in wanted {
        match children.iter().filter(|child| child.platform == *platform).count() {
            0 => return refuse(format!("{platform} lacks")),
            1 => {}
            _ => return refuse(format!("{platform} comes twice")),
        }
    }
    if wanted.is_empty() {
        return refuse("it would be empty".into());
    }
    for (at, child) in children.iter().enumerate() {
        if !wanted.contains(&child.platform) || !image.platforms.contains(&child.platform) {
            return refuse(format!("{} was not asked for", child.platform));
        }
        if let Some(twin) = children.iter().skip(at + 1).find(|other| other.digest == child.digest) {
            return refuse(format!("{} and {} are the same manifest, {}", child.platform, twin.platform, child.digest));
        }
        if is_inherited(image, child) {
            continue;
        }
        for (key, expected) in [(INPUT_KEY, image.input_key.as_str()), (IMAGE, name.as_str())] {
            if let Some(found) = child.annotations.get(key).filter(|found| *found != expected) {
                let found = crate::diagnostic::escape_cut(found, 80);
                return refuse(format!("the manifest for {} says {key}={found}, the plan {expected}", child.platform));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
