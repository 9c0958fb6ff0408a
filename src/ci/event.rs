//! The event file of GitHub: only the fields that decide something.
//!
//! The file is hostile: it holds titles and texts of strangers. It is limited in size, its depth is limited by the
//! reader, and a field of another type is an error, never a guess.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::error::{Error, Result};

/// Largest event file that is read. GitHub sends up to 25 MB.
pub const MAX_BYTES: usize = 32 << 20;

/// A JSON object. Derived readers take an array for one as well, and an empty one says nothing of any field.
#[derive(Debug, Default)]
pub(super) struct Object<T>(T);

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventFile {
    pub(super) before: Option<String>,
    pub(super) created: Option<bool>,
    pub(super) deleted: Option<bool>,
    pub(super) repository: Option<Object<Repository>>,
    pub(super) pull_request: Option<Object<PullRequest>>,
    pub(super) merge_group: Option<Object<MergeGroup>>,
    pub(super) workflow_run: Option<Object<WorkflowRun>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Repository {
    pub(super) full_name: Option<String>,
    pub(super) default_branch: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PullRequest {
    pub(super) base: Option<Object<Side>>,
    pub(super) head: Option<Object<Side>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Side {
    pub(super) sha: Option<String>,
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MergeGroup {
    pub(super) base_sha: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkflowRun {
    pub(super) event: Option<String>,
    pub(super) head_branch: Option<String>,
    pub(super) head_repository: Option<Object<Repository>>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Object<EventFile>> {
    let hint = "GITHUB_EVENT_PATH must name the file that the runner wrote";
    if bytes.len() > MAX_BYTES {
        return Err(Error::usage("the event file is larger than 32 MiB").hint(hint));
    }
    serde_json::from_slice(bytes).map_err(|error| Error::usage("the event file is malformed").cause(error).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_event_files_are_refused_and_never_guessed() {
        let deep = format!("{{\"before\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let before_twice = r#"{"before": "a", "before": "b"}"#;
        let arrays = ["[]", r#"{"repository": []}"#, r#"{"pull_request": {"base": []}}"#, "null", "5"];
        let wrong = ["", "[]x", "null x", r#"{"before": 5}"#, r#"{"created": "yes"}"#, &deep, before_twice];
        for wrong in wrong.iter().chain(&arrays) {
            assert!(parse(wrong.as_bytes()).is_err(), "{}", &wrong[..wrong.len().min(40)]);
        }
        assert!(parse(&vec![b' '; MAX_BYTES + 1]).is_err());
        // What nobody asks for may be as deep as it likes.
        let other = format!("{{\"x\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(other.as_bytes()).is_ok());
        assert!(parse(br#"{"before": null, "pull_request": null}"#).is_ok());
    }
}
