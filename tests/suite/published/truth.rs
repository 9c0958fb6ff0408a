//! What is published tells the truth: a key means one build, and whoever is told "unchanged" misses nothing.

use super::*;
use crate::cli::manifest;

/// The index's annotation under a tag.
fn key(project: &Project, tag: &str) -> serde_json::Value {
    manifest(&project.registry(), tag).unwrap().1["annotations"]["dev.hephy.input-key"].clone()
}

#[test]
fn an_image_that_was_built_without_its_changed_dependency_is_built_again_with_it() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("base/file");
    // Only the image at the end is asked for: it lies on what is published of the others.
    let prepared = stage(&project, &before, ["prepare", "--dir", "top", "--format", "json"]).run().ok();
    assert_eq!(prepared.built(), ["top"]);
    assert!(prepared.stderr.contains("top is built on mid as it is published"), "{prepared}");
    stage(&project, &before, ["build", "--arch", "amd64"]).run().ok();
    stage(&project, &before, ["manifest"]).run().ok();
    let next = plan(&project, &before);
    assert_eq!(next.built(), ["base", "mid", "top"]);
    pipeline(&project, &before);
    assert_eq!(plan(&project, &before).built(), Vec::<String>::new());
}

#[test]
fn of_several_published_images_of_a_dependency_the_one_of_its_input_is_taken() {
    let project = Project::new();
    project.image("base", "additional_tags: [latest]\n").image_on("app", "base", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    // The tag is given up, and stays where it was.
    let before = project.repo.head();
    project.image("base", "");
    project.repo.write("base/file", "newer").commit("no latest");
    pipeline(&project, &before);
    assert_ne!(key(&project, "base-latest"), key(&project, "base-head"));
    let before = project.repo.head();
    project.change("app/file");
    let prepared = stage(&project, &before, ["prepare", "--format", "json"]).run().ok();
    assert_eq!(prepared.built(), ["app"]);
    let (newest, _) = manifest(&project.registry(), "base-head").unwrap();
    let from = &prepared.json()["images"][0]["dependencies"][0]["from"]["published"];
    assert_eq!((&from["tag"], &from["digest"]), (&"base-head".into(), &newest.as_str().into()), "{from}");
}

#[test]
fn a_manifest_stage_that_failed_at_a_tag_does_not_say_that_it_is_done() {
    let project = Project::new();
    project.image("a", "additional_tags: [latest]\n");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("a/file");
    stage(&project, &before, ["prepare"]).run().ok();
    stage(&project, &before, ["build", "--arch", "amd64"]).run().ok();
    let refuse = |seen: &Seen| match seen.is("PUT", "/manifests/a-latest") {
        true => Action::error(403, "DENIED", "not this one"),
        false => Action::Forward,
    };
    let (_proxy, through) = behind(&project, refuse);
    let plan_file = project.path(".hephy/plan.json");
    let text = std::fs::read_to_string(&plan_file).unwrap().replace(&project.registry(), &through);
    std::fs::write(&plan_file, text).unwrap();
    stage(&project, &before, ["manifest"]).env("HEPHY_REGISTRY", &through).run().fails(5, &["a-latest"]);
    assert_eq!(plan(&project, &before).built(), ["a"], "what is left is done by the next run");
}
