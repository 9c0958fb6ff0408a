//! Files that a build job reads and writes in the output directory, each whole or not at all.

use std::path::Path;

use crate::error::{Error, Result};
use crate::oci::{ImageName, Platform};
use crate::plan::{Plan, PlannedImage};
use crate::result::{BuildResult, ResultError, Status, VERSION};
use crate::store::{read_left, write_whole};

/// The result that another job of the same plan left for an image, if there is one.
pub(super) fn read_result(
    out: &Path,
    plan: &Plan,
    image: &ImageName,
    platform: &Platform,
) -> Result<Option<BuildResult>> {
    let path = out.join(BuildResult::file_name(image, platform));
    let bytes = read_left(&path, crate::result::MAX_BYTES as u64)?;
    bytes.map(|bytes| BuildResult::parse(&bytes, plan, image, platform)).transpose()
}

/// Removes what an earlier run left for these images, so that nobody takes it for this run's.
pub(super) fn clear(out: &Path, images: &[&PlannedImage], platform: &Platform) -> Result<()> {
    for image in images {
        let stem = BuildResult::stem(&image.name, platform);
        for name in [format!("{stem}.json"), format!("{stem}.tag"), format!("logs/{stem}.log")] {
            let path = out.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format!("{} could not be removed", path.display()), error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A result that has yet to happen.
pub(super) fn begin(plan: &Plan, image: &PlannedImage, platform: &Platform) -> BuildResult {
    BuildResult {
        version: VERSION,
        image: image.name.clone(),
        plan: plan.id.clone(),
        commit: plan.source.commit.clone(),
        input_key: image.input_key.clone(),
        platform: platform.clone(),
        tag: image.arch_tags[&platform.arch()].clone(),
        reference: None,
        digest: None,
        media_type: None,
        size: None,
        backend: image.manual_images.is_none().then_some(image.backend),
        start: now(),
        end: now(),
        attempts: 0,
        status: Status::Failed,
        error: None,
    }
}

/// Puts a failure into a result, keeping what is known of its place.
pub(super) fn note_failure(result: &mut BuildResult, error: &Error) {
    let known = result.error.take();
    let mut failure = ResultError::of(error);
    if let Some(known) = known {
        failure.instruction = known.instruction;
        failure.last_lines = known.last_lines;
    }
    result.error = Some(failure);
}

/// Writes `<image>-<arch>.json`, and `<image>-<arch>.tag` for what was pushed.
pub(super) fn write(out: &Path, result: &BuildResult) -> Result<()> {
    let stem = BuildResult::stem(&result.image, &result.platform);
    let mut json = serde_json::to_vec_pretty(result)
        .map_err(|error| Error::internal("a build result could not be written as JSON").cause(error))?;
    json.push(b'\n');
    if result.status == Status::Completed && result.backend.is_some() {
        write_whole(&out.join(format!("{stem}.tag")), format!("{}\n", result.tag).as_bytes())?;
    }
    write_whole(&out.join(format!("{stem}.json")), &json)
}

/// The time, RFC 3339 in UTC, to the millisecond.
pub(super) fn now() -> String {
    use jiff::{Timestamp, Unit};
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}
