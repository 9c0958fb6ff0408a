//! `hephy manifest`: from what the build jobs left to [`super::publish`], and what people see of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::{Options, Outcome, Results, collect, publish, write};
use crate::cli::ManifestArgs;
use crate::commands::build::command::image_names;
use crate::commands::out_dir::OutDir;
use crate::commands::outputs;
use crate::commands::published::{block_on, client};
use crate::commands::session::Session;
use crate::commands::summary;
use crate::error::{Error, Result};
use crate::git::Repository;
use crate::oci::ImageName;
use crate::plan::{Mode, Plan};
use crate::registry::{Client, Settings};
use crate::result::BuildResult;

/// Runs the command.
///
/// # Errors
/// When there is nothing to publish to, or the first failure of an image.
pub fn command(session: &Session, args: &ManifestArgs) -> Result<()> {
    let (root, plan) = session.plan()?;
    let out = session.out_below(&root);
    let images = image_names(&args.images)?;
    if plan.is_empty() || plan.mode == Mode::Check {
        let why = if plan.is_empty() { "the plan builds nothing" } else { "a check run publishes nothing" };
        session.report.say(&format!("Nothing to publish: {why}."));
        outputs::published(session, &[], &out)?;
        return session.report.json(&serde_json::json!({ "published": [], "failures": [] }));
    }
    let _in_use = OutDir::shared(&out)?;
    let outcome = match args.collect {
        true => collected(session, &root, &plan, &images, args.allow_partial)?,
        false => manifest(session, &root, &plan, &images, args.allow_partial)?,
    };
    let results = results(&out, &plan);
    let text = session.report.masked(&summary::markdown(&plan, &results, &outcome));
    crate::store::write_whole(&out.join("summary.md"), text.as_bytes())?;
    outputs::summary(session, &text, "summary.md")?;
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
    images: &[ImageName],
    allow_partial: bool,
) -> Result<Outcome> {
    let results = Results::read(&session.out_below(root), plan, registry_of(plan)?);
    with_registry(session, root, plan, images, allow_partial, async |client, options| {
        publish(client, plan, results, options).await
    })
}

/// Reads from the registry what other jobs published, and writes the same files.
fn collected(
    session: &Session,
    root: &Path,
    plan: &Plan,
    images: &[ImageName],
    allow_partial: bool,
) -> Result<Outcome> {
    with_registry(session, root, plan, images, allow_partial, async |client, options| {
        collect(client, plan, options).await
    })
}

fn with_registry(
    session: &Session,
    root: &Path,
    plan: &Plan,
    images: &[ImageName],
    allow_partial: bool,
    work: impl AsyncFnOnce(&Client, &Options<'_>) -> Result<Outcome>,
) -> Result<Outcome> {
    let out = session.out_below(root);
    let registry = registry_of(plan)?;
    let client = client(Settings::from_env(&session.env, Some(registry))?, &session.report);
    let ancestry = Ancestry::new(root);
    let is_ancestor = |one: &str, other: &str| ancestry.is_ancestor(one, other);
    let options = Options { registry, images, allow_partial, is_ancestor: &is_ancestor };
    let outcome = block_on(work(&client, &options))?;
    write(&out, &outcome)?;
    outputs::published(session, &outcome.published, &out)?;
    session.report.detail(&format!("{} requests to the registry", client.requests()));
    Ok(outcome)
}

fn registry_of(plan: &Plan) -> Result<&str> {
    plan.registry.as_deref().ok_or_else(|| {
        Error::config("the plan names no registry to publish to")
            .hint("give prepare one: --registry, HEPHY_REGISTRY, or `registry` in hephy.yaml")
    })
}

/// Says what was published and what was not.
///
/// # Errors
/// The first failure of an image.
pub fn tell(session: &Session, outcome: Outcome) -> Result<()> {
    for warning in &outcome.warnings {
        session.report.warn(warning);
    }
    for published in &outcome.published {
        if let Some(warning) = published.partly() {
            session.report.warn(&warning);
        }
    }
    let failures: Vec<serde_json::Value> =
        outcome.failures.iter().map(|(image, error)| serde_json::json!({ "image": image, "error": error })).collect();
    let mut document = serde_json::json!({ "published": outcome.published, "failures": failures });
    if let Some((_, first)) = outcome.failures.first() {
        document["error"] = serde_json::json!(first);
    }
    session.report.json(&document)?;
    session.report.text(&summary::published(&outcome.published))?;
    let mut failures = outcome.failures.into_iter();
    let Some((image, first)) = failures.next() else { return Ok(()) };
    for (image, error) in failures {
        session.report.warn(&format!("{image} was not published: {error}"));
    }
    session.report.say(&format!("{image} was not published."));
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
