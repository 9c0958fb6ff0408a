//! Fan-out `image`. The emulator does not know `needs: pipeline`, so the child pipeline runs with a job that stands in
//! for the parent's prepare and hands on its real artifacts; everything else is as prepare wrote it.

use serde_json::{Value, json};

use super::world::{Event, World};
use crate::pack::emulated::{NEW, Ran};

fn is_of_parent(need: &Value) -> bool {
    need["pipeline"] == "$PARENT_PIPELINE_ID"
}

/// Runs prepare and the child pipeline that it wrote.
fn pipeline(world: &World, event: Event<'_>) -> (Value, Ran) {
    pipeline_with(world, event, &[])
}

/// The same with more arguments for the emulator.
pub(super) fn pipeline_with(world: &World, event: Event<'_>, more: &[&str]) -> (Value, Ran) {
    world.emulate(event, &[&["prepare"], more].concat()).succeeded();
    let text = std::fs::read_to_string(world.artifact("prepare", "child.yml")).unwrap();
    let child: Value = serde_yaml::from_str(&text).unwrap();
    let mut local = child.clone();
    let artifacts = world.artifact("prepare", "").display().to_string();
    for (_, job) in local.as_object_mut().unwrap() {
        let Some(needs) = job.get_mut("needs").and_then(Value::as_array_mut) else { continue };
        assert_eq!(needs.iter().filter(|need| is_of_parent(need)).count(), 1);
        for need in needs.iter_mut().filter(|need| is_of_parent(need)) {
            *need = json!({"job": "prepare", "artifacts": true});
        }
    }
    local["prepare"] = json!({
        "stage": "build", "needs": [], "rules": [{"when": "always"}], "variables": {"FROM": artifacts},
        "script": ["mkdir .hephy && cp -a \"$FROM/.\" .hephy/"], "artifacts": {"paths": [".hephy/"]},
    });
    let file = world.repo.path().join(".git/child.yml");
    std::fs::write(&file, local.to_string()).unwrap();
    let child_run = ["--file", ".git/child.yml", "--state-dir", ".gitlab-ci-local/child"];
    let ran = world.emulate(event, &[&child_run, more].concat());
    (child, ran)
}

#[test]
fn a_chain_of_three_is_built_and_published_image_by_image() {
    let world = World::quickstart().with("fan-out", "image").with("job-prefix", "");
    let first = world.commit("Describe five images");
    let (child, ran) = pipeline(&world, Event::Push { before: NEW });
    let ran = ran.succeeded();
    assert_eq!(child["build report amd64"]["needs"][1]["job"], "build greeter amd64", "{child}");
    assert_eq!(child[".build amd64"]["tags"], json!(["amd64-runner"]));
    let tags = world.tags();
    for image in ["base", "greeter", "notes", "report", "site"] {
        assert!(tags.iter().any(|tag| *tag == format!("{image}-head")), "{image}: {tags:?}\n{}", ran.said);
    }
    // A build job of the child keeps its own files only, though it was handed those of what it is built on.
    let dir = world.repo.path().join(".gitlab-ci-local/child/artifacts");
    let jobs: Vec<_> = std::fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.path()).collect();
    let of_report = jobs
        .iter()
        .find(|path| path.join(".hephy/report-amd64.json").is_file() && !path.join(".hephy/summary.md").is_file());
    let report = of_report.unwrap_or_else(|| panic!("{jobs:?}")).join(".hephy");
    assert!(report.join("logs/report-amd64.log").is_file() && !report.join("greeter-amd64.json").exists());
    assert!(!report.join("plan.json").exists());

    // The parent reads the results from the registry.
    world.emulate(Event::Push { before: NEW }, &["manifest"]).succeeded();
    assert_eq!(world.images(), ["base", "greeter", "notes", "report", "site"]);

    // An image that fails: its own and what is built on it is not published, the others are, and the parent names it.
    world.repo.write(
        "greeter/Dockerfile",
        "ARG ECR_REGISTRY\nARG BASE_TAG\nFROM ${ECR_REGISTRY}:${BASE_TAG}\nCOPY nothing /\n",
    );
    world.repo.write("notes/notes.txt", "changed\n");
    world.commit("Break the greeter");
    let event = Event::Push { before: &first };
    let (_, ran) = pipeline(&world, event);
    ran.failed().says(&["greeter/Dockerfile:4"]);
    let ran = world.emulate(event, &["manifest"]).failed();
    ran.says(&["greeter"]);
    assert_eq!(world.images(), ["notes"], "{}", ran.said);
}

#[test]
fn a_child_pipeline_is_never_empty_and_a_check_needs_no_job_for_tags() {
    let world = World::new().with("fan-out", "image");
    world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    world.image("b", "linux/amd64", "ARG ECR_REGISTRY\nARG A_TAG\nFROM ${ECR_REGISTRY}:${A_TAG}\nCOPY text /b\n");
    let first = world.commit("first");
    pipeline(&world, Event::Push { before: NEW }).1.succeeded();
    let (child, ran) = pipeline(&world, Event::Push { before: &first });
    ran.succeeded().says(&["Nothing to build: the plan names no image."]);
    assert!(child["nothing to build"].is_object());

    // The chain of a check run is built in one job, whose registry nobody else sees.
    let published = world.tags();
    world.repo.git(&["checkout", "-q", "-b", "change"]);
    world.repo.write("a/text", "changed");
    world.commit("change");
    world.repo.git(&["checkout", "-q", "main"]);
    world.repo.git(&["merge", "-q", "--no-ff", "-m", "Merge result", "change"]);
    let (child, ran) = pipeline(&world, Event::MergeRequest);
    ran.succeeded();
    assert_eq!(child["build a and 1 more amd64"]["variables"]["HEPHY_IMAGES"], "a,b");
    assert_eq!(world.tags(), published);
}
