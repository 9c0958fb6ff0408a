//! Reads what the build jobs left in the output directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::oci::{ImageName, Platform, Repository, Tag};
use crate::plan::Plan;
use crate::result::{BuildResult, MAX_BYTES, Status};

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
    if let Some(bytes) = read_file(&dir.join(BuildResult::file_name(image, platform)))? {
        return BuildResult::parse(&bytes, plan, image, platform).map(|result| Left::Result(Box::new(result)));
    }
    let name = BuildResult::tag_file_name(image, platform);
    let Some(bytes) = read_file(&dir.join(&name))? else { return Ok(Left::Missing) };
    let repository = Repository::parse(&plan.repository_of(registry, image))
        .map_err(|error| Error::config(format!("{image} cannot be published")).cause(error))?;
    BuildResult::parse_tag(&bytes, &name, &repository).map(Left::Tag)
}

/// The content of a regular file of bounded size; none when there is no file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error| Error::io(format!("{} cannot be read", path.display()), error);
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let refuse = |why: &str| Err(Error::new(ErrorKind::ConfigError, format!("{} is {why}", path.display())));
    if !metadata.is_file() {
        return refuse("no regular file");
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_BYTES { refuse("too large for a result file") } else { Ok(Some(bytes)) }
}
