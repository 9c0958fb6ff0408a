//! Reads what the build jobs left in the output directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::Layout;
use crate::error::{Error, Result};
use crate::oci::{ImageName, Platform, Repository, Tag};
use crate::plan::Plan;
use crate::result::{BuildResult, MAX_BYTES, Status};
use crate::store::read_left;

/// What a build job left for one image × platform.
#[derive(Debug)]
pub enum Left {
    /// Its result.
    Result(Box<BuildResult>),
    /// Only a tag: a build job of another kind.
    Tag(Tag),
    /// Nothing.
    Missing,
}

/// What all build jobs left.
#[derive(Debug, Default)]
pub struct Results(BTreeMap<(ImageName, Platform), Result<Left>>);

impl Results {
    /// Reads the files of every image × platform of the plan below `dir`. An unusable file fails its image only.
    #[must_use]
    pub fn read(dir: &Path, plan: &Plan, registry: &str) -> Self {
        let mut results = Self::default();
        for image in &plan.images {
            for platform in &image.platforms {
                let left = read_one(dir, plan, registry, &image.name, platform);
                results.0.insert((image.name.clone(), platform.clone()), left);
            }
        }
        results
    }

    /// Adds or replaces one.
    pub fn insert(&mut self, image: &ImageName, platform: &Platform, left: Left) {
        self.0.insert((image.clone(), platform.clone()), Ok(left));
    }

    /// Takes one out, if anything is known of it.
    pub fn remove(&mut self, image: &ImageName, platform: &Platform) -> Option<Result<Left>> {
        self.0.remove(&(image.clone(), platform.clone()))
    }

    pub(super) fn take(&mut self, image: &ImageName, platform: &Platform) -> Result<Left> {
        self.remove(image, platform).unwrap_or(Ok(Left::Missing))
    }

    /// The platforms that images have as far as the files tell. An image of which there is no file at all is left
    /// out: its files belong to another job.
    pub(super) fn available(&self, plan: &Plan) -> BTreeMap<ImageName, BTreeSet<Platform>> {
        let mut available = BTreeMap::new();
        for image in &plan.images {
            let left = |platform: &Platform| self.0.get(&(image.name.clone(), platform.clone()));
            let any = |platform: &Platform| !matches!(left(platform), None | Some(Ok(Left::Missing)));
            if image.platforms.iter().any(any) {
                let failed = |platform: &Platform| match left(platform) {
                    Some(Ok(Left::Result(result))) => result.status != Status::Completed,
                    Some(Err(_)) => true,
                    _ => false,
                };
                let have = image.platforms.iter().filter(|platform| !failed(platform)).cloned().collect();
                available.insert(image.name.clone(), have);
            }
        }
        available
    }
}

fn read_one(dir: &Path, plan: &Plan, registry: &str, image: &ImageName, platform: &Platform) -> Result<Left> {
    if let Some(bytes) = read_left(&dir.join(BuildResult::file_name(image, platform)), MAX_BYTES as u64)? {
        return BuildResult::parse(&bytes, plan, image, platform).map(|result| Left::Result(Box::new(result)));
    }
    let name = BuildResult::tag_file_name(image, platform);
    let Some(bytes) = read_left(&dir.join(&name), MAX_BYTES as u64)? else { return Ok(Left::Missing) };
    let repository = Repository::parse(&plan.repository_of(registry, image))
        .map_err(|error| Error::config(format!("{image} cannot be published")).cause(error))?;
    let tag = BuildResult::parse_tag(&bytes, &name, &repository)?;
    // In one repository the tags of all images lie side by side.
    let others = plan.images.iter().filter(|other| plan.layout == Layout::Single && other.name != *image);
    match others.into_iter().find(|other| other.arch_tags.values().any(|theirs| *theirs == tag)) {
        None => Ok(Left::Tag(tag)),
        Some(other) => Err(Error::config(format!("{name} holds {tag}, which is a tag of {}", other.name))
            .hint("it holds the tag that the build job pushed, and nothing else")),
    }
}
