//! What the stage did, for people and for the jobs behind it: `<image>.manifest.json`.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::index::Held;
use crate::oci::{Digest, ImageName, Platform, Tag};

/// What became of every image.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Published images, by wave and then by name; behind them those that are reused.
    pub published: Vec<Published>,
    /// Images that were not, with the reason; an image may have several. In the plan's order.
    pub failures: Vec<(ImageName, Error)>,
    /// What should be known beside that.
    pub warnings: Vec<String>,
}

/// `<image>.manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// Image name.
    pub image: ImageName,
    /// `host[:port]/path`.
    pub repository: String,
    /// Digest of the index.
    pub digest: Digest,
    /// Media type of the index.
    pub media_type: String,
    /// Size of the index in bytes.
    pub size: u64,
    /// Digest of each platform's image.
    pub platforms: BTreeMap<Platform, Digest>,
    /// Wanted platforms that the index does not have (`--allow-partial`).
    pub lacking: Vec<Platform>,
    /// The plan's tags in their order, and what became of each.
    pub tags: Vec<PublishedTag>,
    /// Nothing was built: the index was there, and this run put tags on it.
    #[serde(default)]
    pub reused: bool,
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedTag {
    /// The tag.
    pub tag: Tag,
    /// What became of it.
    pub state: TagState,
    /// The newer version that it points at, where that keeps it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub there: Option<String>,
}

/// What became of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TagState {
    /// It was written and points at the index.
    Moved,
    /// It pointed at the index before.
    Unchanged,
    /// It points at a newer run's index and was not taken back.
    Newer,
    /// It points at a newer version: this is a release of an older one.
    NewerVersion,
    /// It points at another line of history than the one the git tag or branch of this run lies on.
    OtherLine,
    /// It points at an index with platforms that this one lacks.
    FewerPlatforms,
    /// It points elsewhere, and the registry does not let it move.
    Immutable,
    /// Another run moved it meanwhile, and nobody knows which of the two is newer.
    Elsewhere,
}

impl Published {
    /// What a person misses where not every wanted platform is published: these platforms, and tags that stay.
    #[must_use]
    pub fn partly(&self) -> Option<String> {
        let platforms: Vec<String> = self.lacking.iter().map(ToString::to_string).collect();
        let platforms = (!platforms.is_empty()).then(|| platforms.join(", "))?;
        let stays = self.tags.iter().filter(|tag| tag.state == TagState::FewerPlatforms);
        let stays: Vec<String> = stays.map(|tag| tag.tag.to_string()).collect();
        let mut text = format!("{} is published without {platforms}", self.image);
        if !stays.is_empty() {
            text.push_str(&format!("; not moved, since what is there has more platforms: {}", stays.join(", ")));
        }
        Some(text)
    }
}

impl PublishedTag {
    /// The tag, and why it is not there where it is not, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let there = self.there.as_deref().map(|version| crate::diagnostic::escape_cut(version, 60));
        match (self.state, there) {
            (state, _) if state.points_here() => self.tag.to_string(),
            (TagState::NewerVersion, Some(there)) => format!("{} ({there} there, which is newer)", self.tag),
            (TagState::Newer | TagState::NewerVersion, _) => format!("{} (newer there)", self.tag),
            (TagState::OtherLine, _) => {
                format!("{} (not moved: it is not known to be older than this build)", self.tag)
            }
            _ => format!("{} (not moved)", self.tag),
        }
    }
}

impl TagState {
    /// Whether the tag points at the index now.
    #[must_use]
    pub const fn points_here(self) -> bool {
        matches!(self, Self::Moved | Self::Unchanged)
    }
}

impl Outcome {
    /// The first failure: its kind is the exit status.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Error> {
        self.failures.first().map(|(_, error)| error)
    }

    pub(super) fn add(&mut self, image: ImageName, result: Result<(Published, Vec<String>)>) {
        match result {
            Ok((published, warnings)) => {
                self.published.push(published);
                self.warnings.extend(warnings);
            }
            Err(error) => self.failures.push((image, error)),
        }
    }

    pub(super) fn hold(&mut self, image: &ImageName, held: Held, own: Vec<Error>) {
        let name = image.clone();
        match held {
            Held::BuiltOn(other) if own.is_empty() => {
                let error =
                    Error::new(ErrorKind::BuildError, format!("{image} is built on {other}, which is not published"));
                self.failures
                    .push((name, error.hint(format!("{other} could not be published; see its failure above"))));
            }
            _ => self.failures.extend(own.into_iter().map(|error| (name.clone(), error))),
        }
    }
}

/// Name of the file that tells what was published of an image.
#[must_use]
pub fn file_name(image: &ImageName) -> String {
    format!("{image}.manifest.json")
}

/// Writes one file for each published image into the output directory, each whole or not at all.
///
/// # Errors
/// When the directory cannot be written.
pub fn write(dir: &Path, outcome: &Outcome) -> Result<()> {
    for published in &outcome.published {
        let path = dir.join(file_name(&published.image));
        let mut text = serde_json::to_vec_pretty(published).map_err(|error| Error::internal("no JSON").cause(error))?;
        text.push(b'\n');
        crate::store::write_whole(&path, &text)?;
    }
    Ok(())
}
