//! A child pipeline of GitLab out of a plan: one job for each image and architecture (specification §11).
//!
//! | job | needs | does |
//! |---|---|---|
//! | `build <image> <arch>` | prepare of the parent pipeline, the builds that its Dockerfile needs for this architecture | `hephy build` |
//! | `manifest <image>` | its builds, and `manifest` of what it is built on | `hephy manifest`; also after failures |
//! | `nothing to build` | | stands in an empty plan: GitLab refuses a pipeline without jobs |
//!
//! A check run publishes nothing, and its images stay in the registry inside the job that builds them: images that are
//! built on each other share a job there, and nobody runs `manifest`.
//!
//! Beyond GitLab's limits (needs of a job, jobs, length of a name, bytes of the file) images share jobs; nothing fails
//! because there are many. The document is JSON, which is YAML.

mod groups;
mod runners;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use groups::Limits;
use groups::{Group, coarser, groups};
pub use runners::{Options, Runner};

use crate::error::{Error, Result};
use crate::plan::{Mode, Plan, PlannedImage};

/// Stages of the child pipeline.
const BUILD: &str = "build";
const MANIFEST: &str = "manifest";
/// First lines of a build job's script, as the template has them: what nobody else could say.
pub const ARRIVED: &str = r#"test -e ".hephy/bin/$(uname -m)/hephy" || {
  echo "error: .hephy/bin/$(uname -m)/hephy is not there (config_error)"
  echo
  echo "hint: prepare's artifacts did not arrive, so start a new pipeline; or prepare does not know this machine: HEPHY_BINARIES names a directory with hephy for others"
  exit 3
} >&2
"#;
/// What the trigger job of the parent hands down: docs.gitlab.com, "Fetch artifacts from a parent pipeline".
const PARENT: &str = "$PARENT_PIPELINE_ID";

/// The child pipeline as a document, within GitLab's limits.
///
/// # Errors
/// When even one job for everything is larger than GitLab takes.
pub fn child_pipeline(plan: &Plan, options: &Options, limits: &Limits) -> Result<String> {
    let mut groups = groups(plan, limits);
    loop {
        let jobs = jobs(plan, &groups, options);
        let count = jobs.keys().filter(|name| !name.starts_with('.')).count();
        let document = document(jobs, options)?;
        if count <= limits.jobs && document.len() <= limits.bytes {
            return Ok(document);
        }
        let before = groups.len();
        groups = coarser(groups);
        if groups.len() == before {
            return Err(Error::usage(format!(
                "a child pipeline of {} bytes is more than GitLab takes",
                document.len()
            ))
            .hint("use fan-out `arch`, or build fewer images at once with --dir"));
        }
    }
}

fn document(jobs: BTreeMap<String, Value>, options: &Options) -> Result<String> {
    let mut pipeline = serde_json::Map::new();
    // Without a rule of its own a child pipeline of a merge request has no jobs.
    pipeline.insert("workflow".into(), json!({"rules": [{"when": "always"}]}));
    pipeline.insert("stages".into(), json!([BUILD, MANIFEST]));
    let variables = options.inputs.iter().map(|(name, value)| (name.clone(), literal(value)));
    pipeline.insert("variables".into(), Value::Object(variables.collect()));
    pipeline.extend(jobs);
    serde_json::to_string_pretty(&pipeline)
        .map(|text| text + "\n")
        .map_err(|error| Error::internal("the child pipeline could not be written").cause(error))
}

/// All jobs by name, the hidden ones that hold what they have in common included.
fn jobs(plan: &Plan, groups: &[Group<'_>], options: &Options) -> BTreeMap<String, Value> {
    let mut jobs = BTreeMap::new();
    if groups.is_empty() {
        jobs.insert("nothing to build".to_owned(), nothing(options));
        return jobs;
    }
    let arches: BTreeSet<String> = groups.iter().flat_map(Group::arches).collect();
    for arch in &arches {
        jobs.insert(format!(".build {arch}"), build_template(arch, options));
    }
    for group in groups {
        for arch in group.arches() {
            jobs.insert(group.job(BUILD, &arch), build(group, groups, &arch, options));
        }
    }
    if plan.mode == Mode::Publish {
        jobs.insert(".manifest".to_owned(), manifest_template(options));
        for group in groups {
            jobs.insert(group.job(MANIFEST, ""), manifest(group, groups, options));
        }
    }
    jobs
}

/// What every job of this pipeline has.
fn common(stage: &str, image: &str, tag: Option<&str>) -> serde_json::Map<String, Value> {
    let mut job = serde_json::Map::new();
    job.insert("stage".into(), json!(stage));
    if !image.is_empty() {
        job.insert("image".into(), json!({"name": image, "entrypoint": [""]}));
    }
    if let Some(tag) = tag {
        job.insert("tags".into(), json!([tag]));
    }
    job.insert("interruptible".into(), json!(false));
    job.insert("retry".into(), json!({"max": 2, "when": ["runner_system_failure"]}));
    job
}

fn nothing(options: &Options) -> Value {
    let mut job = common(BUILD, &options.image, options.tag.as_deref());
    job.insert("variables".into(), json!({"GIT_STRATEGY": "none"}));
    job.insert("script".into(), json!(["echo 'Nothing to build: the plan names no image.'"]));
    job.insert("rules".into(), json!([{"when": "on_success"}]));
    Value::Object(job)
}

fn build_template(arch: &str, options: &Options) -> Value {
    let none = Runner::default();
    let runner = options.runners.get(arch).unwrap_or(&none);
    let mut job = common(BUILD, &runner.image, runner.tag.as_deref());
    job.insert("rules".into(), json!([{"when": "on_success"}]));
    // Which images stands in HEPHY_IMAGES: a name never enters a script.
    job.insert("script".into(), json!([ARRIVED, ".hephy/bin/$(uname -m)/hephy build --arch \"$HEPHY_ARCH\""]));
    Value::Object(job)
}

fn build(group: &Group<'_>, groups: &[Group<'_>], arch: &str, options: &Options) -> Value {
    let below = group.built_on(groups, Some(arch)).filter(|below| below.arches().contains(arch));
    let needs = below.map(|below| json!({"job": below.job(BUILD, arch), "artifacts": true}));
    let needs: Vec<Value> = std::iter::once(prepare(options)).chain(needs).collect();
    let images: Vec<&PlannedImage> = group.images_for(arch).collect();
    let files = images.iter().flat_map(|image| {
        let stem = format!("{}-{arch}", image.name);
        [format!(".hephy/{stem}.tag"), format!(".hephy/{stem}.json"), format!(".hephy/logs/{stem}.log")]
    });
    json!({
        "extends": format!(".build {arch}"),
        "needs": needs,
        "variables": {"GIT_DEPTH": "1", "HEPHY_ARCH": arch, "HEPHY_IMAGES": names(&images)},
        "artifacts": {
            "when": "always",
            "expire_in": "1 week",
            "paths": files.collect::<Vec<_>>(),
            "reports": {"codequality": ".hephy/codequality.json"},
        },
    })
}

fn manifest_template(options: &Options) -> Value {
    let mut job = common(MANIFEST, &options.image, options.tag.as_deref());
    job.insert("rules".into(), json!([{"when": "always"}]));
    job.insert("script".into(), json!(["hephy manifest"]));
    // What is built on these images is published only where they are: its manifest job gets their results from here.
    job.insert(
        "artifacts".into(),
        json!({
            "when": "always",
            "expire_in": "1 week",
            "paths": [".hephy/*.json", ".hephy/*.tag", ".hephy/summary.md"],
            "exclude": [".hephy/plan.json", ".hephy/images.json", ".hephy/codequality.json"],
        }),
    );
    Value::Object(job)
}

fn manifest(group: &Group<'_>, groups: &[Group<'_>], options: &Options) -> Value {
    let builds = group.arches().into_iter().map(|arch| json!({"job": group.job(BUILD, &arch), "artifacts": true}));
    let below = group.built_on(groups, None).map(|below| json!({"job": below.job(MANIFEST, ""), "artifacts": true}));
    let needs: Vec<Value> = std::iter::once(prepare(options)).chain(builds).chain(below).collect();
    json!({
        "extends": ".manifest",
        "needs": needs,
        "variables": {"HEPHY_IMAGES": names(&group.images)},
        "resource_group": format!("{}hephy-manifest-{}", options.prefix(), group.first()),
    })
}

/// The artifacts of the parent's prepare: the plan, the archives, the binary.
fn prepare(options: &Options) -> Value {
    json!({"pipeline": PARENT, "job": options.prepare, "artifacts": true})
}

fn names(images: &[&PlannedImage]) -> String {
    images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(",")
}

/// A value in which GitLab expands nothing.
fn literal(value: &str) -> Value {
    json!({"value": value, "expand": false})
}

#[cfg(test)]
mod tests;
