//! `hephy manifest`: from what the build jobs left to [`super::publish`], and what people see of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::{Options, Outcome, Results, publish, write};
use crate::cli::ManifestArgs;
use crate::commands::out_dir::OutDir;
use crate::commands::published::{block_on, client};
use crate::commands::session::Session;
use crate::commands::summary;
use crate::error::{Error, Result};
use crate::git::Repository;
use crate::oci::ImageName;
use crate::plan::{Mode, Plan};
use crate::registry::Settings;
use crate::result::BuildResult;

/// Runs the command.
///
/// # Errors
/// When there is nothing to publish to, or the first failure of an image.
pub fn command(session: &Session, args: &ManifestArgs) -> Result<()> {
    let (root, plan) = session.plan()?;
    let out = session.out_below(&root);
    let image = args.image.as_deref().map(ImageName::parse).transpose();
    let image = image.map_err(|error| Error::usage("--image is no image name").cause(error))?;
    if plan.images.is_empty() || plan.mode == Mode::Check {
        let why = if plan.images.is_empty() { "the plan builds nothing" } else { "a check run publishes nothing" };
        session.report.say(&format!("Nothing to publish: {why}."));
        return session.report.json(&serde_json::json!({ "published": [], "failures": [] }));
    }
    let _in_use = OutDir::shared(&out)?;
    let outcome = manifest(session, &root, &plan, image.as_ref(), args.allow_partial)?;
    let results = results(&out, &plan);
    session.append_to("GITHUB_STEP_SUMMARY", &summary::markdown(&plan, &results, &outcome.published))?;
    crate::store::write_whole(
        &out.join("summary.md"),
        summary::markdown(&plan, &results, &outcome.published).as_bytes(),
    )?;
    tell(session, outcome)
}

/// Publishes what the build jobs left, and writes what was published.
///
/// # Errors
/// When nothing can be begun.
pub fn manifest(
    session: &Session,
    root: &Path,
    plan: &Plan,
    image: Option<&ImageName>,
    allow_partial: bool,
) -> Result<Outcome> {
    let out = session.out_below(root);
    let registry = plan.registry.as_deref().ok_or_else(|| {
        Error::config("the plan names no registry to publish to")
            .hint("give prepare one: --registry, HEPHY_REGISTRY, or `registry` in hephy.yaml")
    })?;
    let client = client(Settings::from_env(&session.env, Some(registry))?, &session.report);
    let results = Results::read(&out, plan, registry);
    let ancestry = Ancestry::new(root);
    let is_ancestor = |one: &str, other: &str| ancestry.is_ancestor(one, other);
    let options = Options { registry, image, allow_partial, is_ancestor: &is_ancestor };
    let outcome = block_on(publish(&client, plan, results, &options))?;
    write(&out, &outcome)?;
    session.report.detail(&format!("{} requests to the registry", client.requests()));
    Ok(outcome)
}

/// Says what was published and what was not.
///
/// # Errors
/// The first failure of an image.
pub fn tell(session: &Session, outcome: Outcome) -> Result<()> {
    for warning in &outcome.warnings {
        session.report.warn(warning);
    }
    let failures: Vec<serde_json::Value> =
        outcome.failures.iter().map(|(image, error)| serde_json::json!({ "image": image, "error": error })).collect();
    let failed = !outcome.failures.is_empty();
    if !failed {
        session.report.json(&serde_json::json!({ "published": outcome.published, "failures": failures }))?;
    }
    session.report.text(&summary::published(&outcome.published))?;
    let mut failures = outcome.failures.into_iter();
    let Some((image, first)) = failures.next() else { return Ok(()) };
    for (image, error) in failures {
        session.report.warn(&format!("nothing of {image} was published: {error}"));
    }
    session.report.say(&format!("Nothing of {image} was published."));
    Err(first)
}

/// What every build job left, in the plan's order; what cannot be read is left out.
#[must_use]
pub fn results(out: &Path, plan: &Plan) -> Vec<BuildResult> {
    let mut results = Vec::new();
    for image in &plan.images {
        for platform in &image.platforms {
            let path = out.join(BuildResult::file_name(&image.name, platform));
            let read = crate::store::read_left(&path, crate::result::MAX_BYTES as u64).ok().flatten();
            let parsed = read.and_then(|it| BuildResult::parse(&it, plan, &image.name, platform).ok());
            results.extend(parsed);
        }
    }
    results
}

/// Answers of git, each question asked once. A job without git, or without the history, knows nothing.
struct Ancestry {
    repository: Option<Repository>,
    known: RefCell<BTreeMap<(String, String), Option<bool>>>,
}

impl Ancestry {
    fn new(root: &Path) -> Self {
        Self { repository: Repository::open(root).ok(), known: RefCell::default() }
    }

    fn is_ancestor(&self, one: &str, other: &str) -> Option<bool> {
        if one == other {
            return Some(true);
        }
        let key = (one.to_owned(), other.to_owned());
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let answer = self.repository.as_ref().and_then(|repository| repository.is_ancestor(one, other));
        self.known.borrow_mut().insert(key, answer);
        answer
    }
}
