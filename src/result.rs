//! What a build job leaves: one `<image>-<arch>.json` and, for what was pushed, one `<image>-<arch>.tag`.
//!
//! A contract between jobs (specification §2). Nobody believes it: the manifest stage asks the registry.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::oci::{Digest, ImageName, Platform, Tag};

/// Version of the document that this hephy writes and reads.
pub const VERSION: u32 = 1;

/// One execution of one image × platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BuildResult {
    /// Version of this document.
    pub version: u32,
    /// Image name.
    pub image: ImageName,
    /// Identifier of the plan that it belongs to.
    pub plan: String,
    /// Input key of the image in that plan.
    pub input_key: String,
    /// Platform that was built for.
    pub platform: Platform,
    /// The architecture tag.
    pub tag: Tag,
    /// `registry/repository@digest` of what was pushed or named by `manual_images`.
    pub reference: Option<String>,
    /// Digest of what was pushed: a manifest, or an index where the builder adds attestations.
    pub digest: Option<Digest>,
    /// Its media type.
    pub media_type: Option<String>,
    /// Bytes in the registry: manifest, config and layers of the platform.
    pub size: Option<u64>,
    /// The builder, or `manual`.
    pub backend: String,
    /// Start, RFC 3339 in UTC.
    pub start: String,
    /// End, RFC 3339 in UTC.
    pub end: String,
    /// How often it was tried; 0 when it was skipped.
    pub attempts: u32,
    /// How it ended.
    pub status: Status,
    /// Why it did not complete.
    pub error: Option<ResultError>,
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResultError {
    /// The code of §10, such as `build_error`.
    pub code: ErrorCode,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// An [`ErrorKind`] in JSON Schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorCode(pub ErrorKind);

impl schemars::JsonSchema for ErrorCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": ErrorKind::ALL.map(ErrorKind::code) })
    }
}

impl ResultError {
    /// The parts of a failure that are kept.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        Self {
            code: ErrorCode(error.kind()),
            message: error.message().to_owned(),
            causes: error.causes(),
            hint: error.hint_text().map(str::to_owned),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        let error = ResultError::of(&Error::resource("full").hint("free some"));
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!((json["code"].as_str(), json["hint"].as_str()), (Some("resource_error"), Some("free some")));
        assert_eq!(serde_json::from_value::<ResultError>(json).unwrap(), error);
    }
}
