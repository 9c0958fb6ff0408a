//! What a build job leaves behind for one image × platform: `<image>-<arch>.json`, and `<image>-<arch>.tag` for
//! jobs of another kind (specification §2). Pure.
//!
//! A result is a claim: whoever uses it confirms the digest in the registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::BackendName;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, ImageName, Platform, Reference, Repository, Tag};
use crate::plan::Plan;

/// Version of the document that this hephy writes and reads.
pub const VERSION: u32 = 1;
/// Largest result file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// `<image>-<arch>.json`: one execution of one image × platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildResult {
    /// Version of this document.
    pub version: u32,
    /// `id` of the plan that was executed.
    pub plan: String,
    /// Commit of the plan.
    pub commit: String,
    /// Image name.
    pub image: ImageName,
    /// Input key of the image in that plan.
    pub input_key: String,
    /// Platform that was built for.
    pub platform: Platform,
    /// How it ended.
    pub status: Status,
    /// The architecture tag.
    pub tag: Tag,
    /// `registry/repository@digest` of what was pushed, or named by `manual_images`.
    pub reference: Option<String>,
    /// Digest that the builder reported and the registry confirmed; present exactly when the build completed.
    /// A manifest, or an index where the builder adds attestations.
    pub digest: Option<Digest>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Bytes in the registry: manifest, config and layers of the platform.
    pub size: Option<u64>,
    /// The builder; none for images built elsewhere.
    pub backend: Option<BackendName>,
    /// Start, RFC 3339 in UTC.
    pub start: String,
    /// End, RFC 3339 in UTC.
    pub end: String,
    /// How often it was tried; 0 when it was skipped.
    pub attempts: u32,
    /// Why it did not complete.
    pub error: Option<ResultError>,
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Pushed and confirmed.
    Completed,
    /// It failed.
    Failed,
    /// A signal ended it.
    Cancelled,
    /// An image that it is built on was not built.
    Skipped,
}

/// The failure of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultError {
    /// The code of §10, such as `build_error`.
    pub code: ErrorKind,
    /// One sentence.
    pub message: String,
    /// Its causes, the nearest first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// The next step.
    pub hint: Option<String>,
    /// The instruction that failed, where the builder tells.
    pub instruction: Option<FailedInstruction>,
    /// The last lines of the log.
    #[serde(default)]
    pub last_lines: Vec<String>,
    /// The image whose failure this one follows from.
    pub because_of: Option<ImageName>,
}

/// A failing instruction of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedInstruction {
    /// The Dockerfile, relative to the repository (or to the upstream's root).
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The stage: its name or its number; none above the first.
    pub stage: Option<String>,
    /// The instruction's text, white space collapsed.
    pub text: String,
}

impl ResultError {
    /// The parts of a failure that are kept.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        Self {
            code: error.kind(),
            message: error.message().to_owned(),
            causes: error.causes(),
            hint: Some(error.next_step().to_owned()),
            instruction: None,
            last_lines: Vec::new(),
            because_of: None,
        }
    }
}

impl BuildResult {
    /// `<image>-<arch>`, the stem of the files of one image × platform.
    #[must_use]
    pub fn stem(image: &ImageName, platform: &Platform) -> String {
        format!("{image}-{}", platform.arch())
    }

    /// File name of the result of one image × platform.
    #[must_use]
    pub fn file_name(image: &ImageName, platform: &Platform) -> String {
        format!("{image}-{}.json", platform.arch())
    }

    /// File name of the tag that one image × platform was pushed under.
    #[must_use]
    pub fn tag_file_name(image: &ImageName, platform: &Platform) -> String {
        format!("{image}-{}.tag", platform.arch())
    }

    /// Reads a result and makes sure that it belongs to this plan, image and platform.
    ///
    /// # Errors
    /// When it is malformed, contradicts itself, or belongs to another run.
    pub fn parse(bytes: &[u8], plan: &Plan, image: &ImageName, platform: &Platform) -> Result<Self> {
        let file = Self::file_name(image, platform);
        let wrong = |why: String| Error::config(format!("{file} {why}"));
        let result: Self = serde_json::from_slice(bytes).map_err(|error| {
            wrong("is no build result".into())
                .cause(error)
                .hint("it is written by hephy build; delete it and run the build job again")
        })?;
        if result.version != VERSION {
            let hint = "use the same version of hephy in all jobs of a pipeline";
            return Err(wrong(format!("has version {}, this hephy reads {VERSION}", result.version)).hint(hint));
        }
        if result.plan != plan.id || result.commit != plan.source.commit {
            let shown = |text: &str| crate::diagnostic::escape_cut(text, 80);
            return Err(wrong(format!("belongs to another run: plan {}, commit {}", shown(&result.plan), shown(&result.commit)))
                .cause(anyhow::anyhow!("this run is plan {}, commit {}", plan.id, plan.source.commit))
                .hint("artifacts of an older pipeline lie in the output directory: delete them, or run the build job of this pipeline"));
        }
        if result.image != *image || result.platform != *platform {
            return Err(wrong(format!("is the result of {} for {}", result.image, result.platform)));
        }
        let has_image = result.status == Status::Completed;
        if has_image != result.digest.is_some() {
            return Err(wrong("says how the build went in two ways: status and digest do not fit".into()));
        }
        Ok(result)
    }

    /// Reads a `.tag` file: a tag, or a whole reference in the image's own repository.
    ///
    /// # Errors
    /// When it holds anything else.
    pub fn parse_tag(bytes: &[u8], file: &str, repository: &Repository) -> Result<Tag> {
        let wrong = |why: String| {
            Error::config(format!("{file} {why}")).hint("it holds the tag that the build job pushed, and nothing else")
        };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is no text".into()))?.trim();
        if !text.contains(['/', ':']) {
            return Tag::parse(text).map_err(|error| wrong("holds no tag".into()).cause(error));
        }
        let shown = crate::diagnostic::escape_cut(text, 160);
        let reference = Reference::parse(text).map_err(|error| wrong(format!("holds `{shown}`")).cause(error))?;
        if reference.repository != *repository {
            return Err(wrong(format!("names `{shown}`, which is not in {repository}")));
        }
        reference
            .tag
            .filter(|_| reference.digest.is_none())
            .ok_or_else(|| wrong(format!("holds `{shown}`, which names no tag")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_file_holds_a_tag_or_a_reference_of_the_same_repository() {
        let repository = Repository::parse("127.0.0.1:5000/acme").unwrap();
        let parse = |text: &str| BuildResult::parse_tag(text.as_bytes(), "curl-amd64.tag", &repository);
        assert_eq!(parse("curl-1-amd64\n").unwrap().as_str(), "curl-1-amd64");
        assert_eq!(parse("127.0.0.1:5000/acme:curl-1-amd64").unwrap().as_str(), "curl-1-amd64");
        for wrong in ["", "a b", "127.0.0.1:5000/other:x", "-x", "evil.example/acme:x", "a\nb", "127.0.0.1:5000/acme"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(BuildResult::parse_tag(&[0xff], "f", &repository).is_err());
    }
}
