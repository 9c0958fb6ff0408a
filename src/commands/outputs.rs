//! What a stage tells the platform: outputs for other jobs, the job summary, annotations and reports
//! (specification §11). The texts are made in [`crate::ci`] and [`super::summary`]; here they are written where the
//! platform reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::manifest::Published;
use super::session::Session;
use crate::ci::{self, Finding, Platform};
use crate::error::{Error, Result};
use crate::oci;
use crate::plan::{Plan, show};
use crate::result::BuildResult;
use crate::store::write_whole;

/// Outputs for later jobs, below the output directory.
const PREPARE_ENV: &str = "prepare.env";
const MANIFEST_ENV: &str = "manifest.env";
/// The child pipeline of fan-out `image` on GitLab.
const CHILD: &str = "child.yml";
/// Name → reference by digest.
const IMAGES: &str = "images.json";
/// GitLab's code-quality report.
const CODE_QUALITY: &str = "codequality.json";
/// Bytes of a summary: GitHub drops a step's summary over 1 MiB altogether.
const MAX_SUMMARY: usize = 900 << 10;

/// After prepare: which jobs have something to do, and what is wrong with images that are left alone.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn prepared(session: &Session, plan: &Plan, out: &Path, findings: &[Finding]) -> Result<()> {
    let need =
        |arch: &str| plan.images.iter().any(|image| image.platforms.iter().any(|it| it.arch() == arch)).to_string();
    let has_builds = (!plan.images.is_empty()).to_string();
    match ci::platform(&session.env) {
        Platform::Github => {
            let dirs: BTreeSet<&str> = plan.images.iter().map(|image| image.dir.as_str()).collect();
            let outputs = [
                ("plan", out.join("plan.json").display().to_string()),
                ("dirs", json(&dirs)?),
                ("need_amd64", need("amd64")),
                ("need_arm64", need("arm64")),
                ("has_builds", has_builds),
                ("matrix", super::generate::github::output(&session.env, plan)?),
            ];
            github(session, &outputs)?;
        }
        Platform::Gitlab => {
            let values = [
                ("HEPHY_HAS_BUILDS", has_builds),
                ("HEPHY_NEED_AMD64", need("amd64")),
                ("HEPHY_NEED_ARM64", need("arm64")),
            ];
            dotenv(&out.join(PREPARE_ENV), &values)?;
            if let Some(pipeline) = super::generate::gitlab::fan_out(session, plan)? {
                write_whole(&out.join(CHILD), pipeline.as_bytes())?;
            }
        }
        Platform::Other | Platform::Local => {}
    }
    reported(session, out, findings)?;
    summary(session, &show::markdown(plan), "plan.md")
}

/// After a build job: what became of each image.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn built(
    session: &Session,
    plan: &Plan,
    platform: &oci::Platform,
    results: &[BuildResult],
    out: &Path,
) -> Result<()> {
    let findings: Vec<Finding> = results.iter().filter_map(|result| Finding::of_build(plan, result)).collect();
    reported(session, out, &findings)?;
    summary(session, &super::summary::build_markdown(plan, results, platform), "each <image>-<arch>.json")
}

/// After a failure that stopped a command: annotations on GitHub, and on GitLab a report of what has a place.
pub(super) fn failed(session: &Session, error: &Error, is_stage: bool) {
    let findings: Vec<Finding> = error.findings().iter().map(Finding::of_diagnostic).collect();
    match ci::platform(&session.env) {
        Platform::Github if !findings.is_empty() => session.report.annotate(&ci::annotations(&findings)),
        // Whoever was told where a build failed need not hear that it did.
        Platform::Github if is_stage && !session.report.has_annotated() => {
            session.report.annotate(&ci::annotations(&[Finding::of_error(error)]));
        }
        // The failure decides; a report that cannot be written adds nothing to it.
        Platform::Gitlab if is_stage && !findings.is_empty() => drop(report_failure(session, &findings)),
        _ => {}
    }
}

fn report_failure(session: &Session, findings: &[Finding]) -> Result<()> {
    let repository = crate::git::Repository::open(&session.dir)?;
    let out = session.safe_out(repository.root().unwrap_or(&session.dir))?;
    crate::store::Made::new(&out)?.keep();
    reported(session, &out, findings)
}

/// Findings where the platform shows them beside the code.
fn reported(session: &Session, out: &Path, findings: &[Finding]) -> Result<()> {
    match ci::platform(&session.env) {
        Platform::Github => session.report.annotate(&ci::annotations(findings)),
        Platform::Gitlab => {
            let report = session.report.masked(&ci::code_quality(findings));
            write_whole(&out.join(CODE_QUALITY), report.as_bytes())?;
        }
        Platform::Other | Platform::Local => {}
    }
    Ok(())
}

/// After manifest: what was published, by digest.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn published(session: &Session, published: &[Published], out: &Path) -> Result<()> {
    let reference = |image: &Published| format!("{}@{}", image.repository, image.digest);
    let images: BTreeMap<&str, String> =
        published.iter().map(|image| (image.image.as_str(), reference(image))).collect();
    let images = json(&images)?;
    write_whole(&out.join(IMAGES), format!("{images}\n").as_bytes())?;
    match ci::platform(&session.env) {
        Platform::Github => github(session, &[("images", images)]),
        // A report of GitLab's holds 5 KB, so it says where to look.
        Platform::Gitlab => {
            let file = session.out.join(IMAGES).display().to_string();
            dotenv(&out.join(MANIFEST_ENV), &[("HEPHY_IMAGES_FILE", file)])
        }
        Platform::Other | Platform::Local => Ok(()),
    }
}

/// Appends to the job's summary on GitHub. `file` has all of it where it is too long.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn summary(session: &Session, text: &str, file: &str) -> Result<()> {
    if ci::platform(&session.env) != Platform::Github {
        return Ok(());
    }
    let text = session.report.masked(text);
    let cut = text.floor_char_boundary(MAX_SUMMARY);
    if cut == text.len() {
        return session.append_to("GITHUB_STEP_SUMMARY", &text);
    }
    // Lines of a table stand for themselves.
    let whole_lines = text[..cut].rfind('\n').map_or(0, |at| at + 1);
    let rest = format!("\nThere is more than fits here: {file} in the output directory has all of it.\n\n");
    session.append_to("GITHUB_STEP_SUMMARY", &format!("{}{rest}", &text[..whole_lines]))
}

fn github(session: &Session, outputs: &[(&str, String)]) -> Result<()> {
    let lines: Result<String> = outputs.iter().map(|(name, value)| ci::github_output(name, value)).collect();
    session.append_to("GITHUB_OUTPUT", &lines?)
}

fn dotenv(path: &Path, values: &[(&str, String)]) -> Result<()> {
    let lines: Result<String> = values.iter().map(|(name, value)| ci::dotenv_line(name, value)).collect();
    write_whole(path, lines?.as_bytes())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("an output could not be written").cause(error))
}
