//! The child pipeline, read back with a YAML parser as GitLab does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::ci::Env;

/// Name, wave, architectures, images of the plan that it is built on.
type Image<'a> = (&'a str, u32, &'a [&'a str], &'a [&'a str]);

const BOTH: &[&str] = &["amd64", "arm64"];
const AMD64: &[&str] = &["amd64"];

fn plan(mode: &str, images: &[Image<'_>]) -> Plan {
    let image = |(name, wave, arches, on): &Image<'_>| {
        let platforms: Vec<String> = arches.iter().map(|arch| format!("linux/{arch}")).collect();
        let tags: BTreeMap<&str, String> = arches.iter().map(|arch| (*arch, format!("{name}-1-{arch}"))).collect();
        let dependencies: Vec<Value> = on
            .iter()
            .map(|on| {
                let via = json!({"variable": {"name": "X_TAG", "line": 1}});
                let from = if on.starts_with("old") { "unresolved" } else { "plan" };
                json!({"name": on, "via": via, "from": from, "platforms": platforms})
            })
            .collect();
        json!({
            "name": name, "dir": name, "input_key": "k", "reasons": [], "source": {"mode": "local", "root": name},
            "backend": "kaniko", "dockerfile": "Dockerfile", "context": ".", "target": null,
            "platforms": platforms, "targets": [], "tags": [format!("{name}-1")], "arch_tags": tags,
            "build_args": [], "labels": {}, "annotations": {}, "bases": [], "dependencies": dependencies,
            "wave": wave, "ko": null, "manual_images": null, "timeout_seconds": null, "retries": null,
        })
    };
    let document = json!({
        "version": 1, "id": "bld_x", "mode": mode,
        "source": {"repository": "r", "commit": "c", "commit_time": "t", "ref": "main", "base": null, "event": "push"},
        "date": "20251015", "registry": "r.example/acme", "layout": "single", "comparison": "all",
        "images": images.iter().map(image).collect::<Vec<_>>(),
        "unchanged": [], "removed": [], "warnings": [],
    });
    Plan::parse(document.to_string().as_bytes()).unwrap()
}

fn options() -> Options {
    let env: Env = [
        ("HEPHY_GITLAB_PREPARE", "team prepare"),
        ("HEPHY_GITLAB_IMAGE", "hephy:1"),
        ("HEPHY_GITLAB_TAG", "$CICD_TAG"),
        ("CICD_TAG", "general"),
        ("HEPHY_GITLAB_IMAGE_AMD64", "kaniko:amd64"),
        ("HEPHY_GITLAB_IMAGE_ARM64", "kaniko:arm64"),
        ("HEPHY_GITLAB_TAG_AMD64", ""),
        ("HEPHY_GITLAB_TAG_ARM64", "${CICD_TAG_ARM64}"),
        ("CICD_TAG_ARM64", "arm"),
        ("HEPHY_INPUT_REGISTRY", "r.example/$acme"),
        ("HEPHY_INPUT_LAYOUT", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    Options::of_env(&env, BOTH.iter().copied()).unwrap()
}

fn child(plan: &Plan, limits: &Limits) -> Value {
    let text = child_pipeline(plan, &options(), limits).unwrap();
    assert!(text.len() <= limits.bytes);
    let yaml: Value = serde_yaml::from_str(&text).unwrap();
    check(plan, &yaml, limits);
    yaml
}

/// What GitLab refuses, and what would build an image twice, not at all, or before what it is built on.
fn check(plan: &Plan, pipeline: &Value, limits: &Limits) {
    let reserved = ["workflow", "stages", "variables"];
    let all = pipeline.as_object().unwrap();
    let jobs: BTreeMap<&String, &Value> =
        all.iter().filter(|(name, _)| !reserved.contains(&name.as_str()) && !name.starts_with('.')).collect();
    assert!(!jobs.is_empty() && jobs.len() <= limits.jobs);
    let mut built = BTreeSet::new();
    for (name, job) in &jobs {
        assert!(name.len() <= limits.name, "{name}");
        let Some(needs) = job["needs"].as_array() else { continue };
        assert!(needs.len() <= limits.needs, "{name} has {} needs", needs.len());
        let local: Vec<&str> =
            needs.iter().filter(|need| need["pipeline"].is_null()).map(|need| need["job"].as_str().unwrap()).collect();
        assert_eq!(local.len() + 1, needs.len(), "{name} needs prepare once");
        assert!(local.iter().all(|need| jobs.contains_key(&(*need).to_owned())), "{name} needs {local:?}");
        let Some(arch) = job["variables"]["HEPHY_ARCH"].as_str() else { continue };
        for image in job["variables"]["HEPHY_IMAGES"].as_str().unwrap().split(',') {
            assert!(built.insert((image.to_owned(), arch.to_owned())), "{image} is built twice");
            let same =
                |other: &str| job["variables"]["HEPHY_IMAGES"].as_str().unwrap().split(',').any(|it| it == other);
            for below in
                plan.image(image).unwrap().dependencies.iter().filter(|it| it.from == crate::plan::DependencyFrom::Plan)
            {
                let has = |need: &&str| {
                    let there = &jobs[&(*need).to_owned()]["variables"]["HEPHY_IMAGES"];
                    there.as_str().unwrap().split(',').any(|it| it == below.name.as_str())
                };
                let wants = plan.image(below.name.as_str()).unwrap().platforms.iter().any(|it| it.arch() == arch);
                assert!(!wants || same(below.name.as_str()) || local.iter().any(has), "{name} lacks {}", below.name);
            }
        }
    }
    let wanted: usize = plan.images.iter().map(|image| image.platforms.len()).sum();
    assert_eq!(built.len(), wanted);
}

fn needs(job: &Value) -> Vec<String> {
    job["needs"].as_array().unwrap().iter().map(|need| need["job"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_image_and_architecture_has_a_job_that_needs_what_it_is_built_on() {
    let plan =
        plan("publish", &[("base", 0, BOTH, &[]), ("notes", 0, AMD64, &[]), ("tool", 1, BOTH, &["base", "oldest"])]);
    let pipeline = child(&plan, &Limits::default());
    let prepare = json!({"pipeline": "$PARENT_PIPELINE_ID", "job": "team prepare", "artifacts": true});
    assert_eq!(pipeline["build tool arm64"]["needs"][0], prepare);
    assert_eq!(needs(&pipeline["build base amd64"]), ["team prepare"]);
    assert_eq!(needs(&pipeline["build tool arm64"]), ["team prepare", "build base arm64"]);
    assert_eq!(needs(&pipeline["manifest notes"]), ["team prepare", "build notes amd64"]);
    assert_eq!(
        needs(&pipeline["manifest tool"]),
        ["team prepare", "build tool amd64", "build tool arm64", "manifest base"]
    );
    assert!(pipeline["build notes arm64"].is_null());

    // A job has only its own files, also when it failed.
    let artifacts = &pipeline["build tool arm64"]["artifacts"];
    assert_eq!(
        artifacts["paths"],
        json!([".hephy/tool-arm64.tag", ".hephy/tool-arm64.json", ".hephy/logs/tool-arm64.log"])
    );
    assert_eq!(artifacts["when"], "always");
    // A slow or failed image holds back nobody; two pipelines never move one image's tags together.
    assert_eq!(pipeline[".manifest"]["rules"], json!([{"when": "always"}]));
    assert_eq!(pipeline["manifest tool"]["resource_group"], "team hephy-manifest-tool");
    // Plan and images of the parent must not be replaced by what a job below left.
    assert!(pipeline[".manifest"]["artifacts"]["exclude"].as_array().unwrap().contains(&json!(".hephy/plan.json")));

    assert_eq!(pipeline[".build arm64"]["tags"], json!(["arm"]));
    assert_eq!(pipeline[".build arm64"]["image"], json!({"name": "kaniko:arm64", "entrypoint": [""]}));
    assert!(pipeline[".build amd64"].get("tags").is_none(), "jobs without tags");
    assert_eq!(pipeline[".manifest"]["tags"], json!(["general"]));
    assert_eq!(pipeline["variables"], json!({"HEPHY_INPUT_REGISTRY": {"value": "r.example/$acme", "expand": false}}));
    // Without rules a child pipeline of a merge request has no jobs.
    assert_eq!(pipeline["workflow"]["rules"], json!([{"when": "always"}]));
    assert_eq!(pipeline[".build amd64"]["rules"], json!([{"when": "on_success"}]));
}

#[test]
fn a_pipeline_is_never_empty() {
    let pipeline = child(&plan("publish", &[]), &Limits::default());
    assert!(pipeline["nothing to build"]["script"][0].as_str().unwrap().contains("Nothing to build"));
}

#[test]
fn images_of_a_check_run_that_are_built_on_each_other_share_a_job() {
    let images: [Image<'_>; 5] = [
        ("base", 0, BOTH, &[]),
        ("loose", 0, BOTH, &[]),
        ("other", 0, AMD64, &[]),
        ("tool", 1, BOTH, &["base"]),
        ("top", 2, AMD64, &["tool", "other"]),
    ];
    let pipeline = child(&plan("check", &images), &Limits::default());
    let names: Vec<&String> = pipeline.as_object().unwrap().keys().filter(|name| name.starts_with("build ")).collect();
    assert_eq!(
        names,
        ["build base and 3 more amd64", "build base and 3 more arm64", "build loose amd64", "build loose arm64"]
    );
    assert_eq!(pipeline["build base and 3 more amd64"]["variables"]["HEPHY_IMAGES"], "base,other,tool,top");
    assert_eq!(pipeline["build base and 3 more arm64"]["variables"]["HEPHY_IMAGES"], "base,tool");
    assert!(pipeline.as_object().unwrap().keys().all(|name| !name.starts_with("manifest")), "nothing is published");
}

#[test]
fn more_needs_than_gitlab_takes_join_what_is_needed() {
    let names: Vec<String> = (0..120).map(|at| format!("dep{at:03}")).collect();
    let on: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut images: Vec<Image<'_>> = on.iter().map(|name| (*name, 0, BOTH, &[][..])).collect();
    images.push(("alone", 0, BOTH, &[]));
    images.push(("top", 1, BOTH, &on));
    let pipeline = child(&plan("publish", &images), &Limits::default());
    assert_eq!(
        needs(&pipeline["build top amd64"]),
        ["prepare", "build dep000 and 119 more amd64"].map(|name| name.replace("prepare", "team prepare"))
    );
    assert!(!pipeline["build alone amd64"].is_null(), "others are left alone");

    // A chain that is longer than any job may have needs: each of its images needs all below it.
    let chain: Vec<(String, u32, Vec<String>)> = (0..60u32)
        .map(|at| (format!("link{at:02}"), at, (0..at).map(|below| format!("link{below:02}")).collect()))
        .collect();
    let on: Vec<Vec<&str>> = chain.iter().map(|(_, _, on)| on.iter().map(String::as_str).collect()).collect();
    let images: Vec<Image<'_>> =
        chain.iter().zip(&on).map(|((name, wave, _), on)| (name.as_str(), *wave, AMD64, on.as_slice())).collect();
    child(&plan("publish", &images), &Limits::default());
}

#[test]
fn many_images_share_jobs_instead_of_failing() {
    let names: Vec<String> = (0..400).map(|at| format!("image{at:03}")).collect();
    let base = ["image000"];
    let images: Vec<Image<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (name.as_str(), u32::from(at > 200), BOTH, if at > 200 { &base[..] } else { &[] }))
        .collect();
    for mode in ["publish", "check"] {
        let plan = plan(mode, &images);
        child(&plan, &Limits::default());
        for limits in [
            Limits { jobs: 7, ..Limits::default() },
            Limits { jobs: 3, ..Limits::default() },
            Limits { bytes: 150_000, ..Limits::default() },
            Limits { needs: 5, ..Limits::default() },
        ] {
            child(&plan, &limits);
        }
    }
    assert!(
        child_pipeline(&plan("publish", &images), &options(), &Limits { bytes: 900, ..Limits::default() }).is_err()
    );
}

#[test]
fn a_name_that_is_too_long_is_replaced() {
    let (long, longer) = ("a".repeat(120), "b".repeat(120));
    let pipeline = child(&plan("publish", &[(&long, 0, BOTH, &[]), (&longer, 1, BOTH, &[&long])]), &Limits::default());
    assert_eq!(needs(&pipeline["build group 2 arm64"]), ["team prepare", "build group 1 arm64"]);
}

#[test]
fn an_architecture_without_a_runner_is_refused() {
    let env: Env = [("HEPHY_GITLAB_TAG_ARM64".to_owned(), "$CICD_TAG_ARM64".to_owned())].into();
    let error = Options::of_env(&env, ["arm64"]).unwrap_err();
    assert!(error.to_string().contains("$CICD_TAG_ARM64, which is not set"), "{error}");
    let options = Options::of_env(&Env::new(), ["arm64"]).unwrap();
    assert_eq!((options.prepare.as_str(), options.tag), ("prepare", None));
}
