//! How far a change travels (`dependents`), from one pipeline to the next: what is left alone stays left alone, whatever
//! was built meanwhile on what was left alone.

use super::*;
use crate::cli::manifest;

/// base ← mid ← top, and an image beside them, all published.
fn chain(dependents: &str) -> Project {
    let project = Project::new();
    project.repo.write("hephy.yaml", format!("dependents: {dependents}\n"));
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    project
}

/// Changes a file and runs a pipeline; gives what it built.
fn changed(project: &Project, file: &str) -> Vec<String> {
    let before = project.repo.head();
    project.change(file);
    pipeline(project, &before).built()
}

#[test]
fn what_is_built_on_an_image_that_was_left_alone_is_built_once() {
    let project = chain("none");
    assert_eq!(changed(&project, "base/file"), ["base"]);
    let before = project.repo.head();
    project.change("top/file");
    let built = pipeline(&project, &before);
    assert_eq!(built.built(), ["top"]);
    assert!(built.stderr.contains("top is built on mid as it is published"), "{built}");
    let annotations = manifest(&project.registry(), "top-head").unwrap().1["annotations"].clone();
    let (mid, _) = manifest(&project.registry(), "mid-head").unwrap();
    assert_eq!(annotations["dev.hephy.built-on"], format!(r#"{{"mid":"{mid}"}}"#));
    // Every later push, whatever it touches.
    assert_eq!(changed(&project, "other/file"), ["other"]);
    let explained = stage(&project, BEFORE, ["plan", "--explain", "top"]).run().ok();
    assert!(explained.stdout.starts_with("top is left alone: nothing of its own changed"), "{explained}");
    assert!(explained.stdout.contains("built on mid as it was published"), "{explained}");
    assert_eq!(changed(&project, "base/file"), ["base"]);
    assert_eq!(changed(&project, "mid/file"), ["mid"], "a change of what it is built on does not travel");
    assert_eq!(changed(&project, "other/file"), ["other"]);
    // What changes by itself is built, and what lets changes travel builds all that is behind.
    assert_eq!(changed(&project, "top/file"), ["top"]);
    assert_eq!(changed(&project, "base/file"), ["base"]);
    let all = stage(&project, BEFORE, ["plan", "--format", "json", "--dependents", "all"]).run().ok();
    assert_eq!(all.built(), ["mid", "top"]);
    assert_eq!((all.reason("mid"), all.reason("top")), ("built on base".into(), "built on mid".into()));
}

#[test]
fn with_direct_dependents_what_lies_further_up_is_built_once() {
    let project = chain("direct");
    project.image_on("roof", "top", "");
    let before = project.repo.head();
    project.repo.commit("roof");
    assert_eq!(pipeline(&project, &before).built(), ["roof"]);
    assert_eq!(changed(&project, "base/file"), ["base", "mid"]);
    assert_eq!(changed(&project, "roof/file"), ["roof"], "on top, which still lies on the old mid");
    assert_eq!(changed(&project, "other/file"), ["other"]);
    assert_eq!(changed(&project, "top/file"), ["roof", "top"]);
    assert_eq!(plan(&project, BEFORE).built(), Vec::<String>::new());
}

#[test]
fn two_images_of_which_the_lower_one_lies_on_another_are_built_again_together() {
    let project = chain("all");
    let before = project.repo.head();
    project.change("base/file");
    stage(&project, &before, ["prepare", "--dir", "mid", "--dir", "top"]).run().ok();
    stage(&project, &before, ["build", "--arch", "amd64"]).run().ok();
    stage(&project, &before, ["manifest"]).run().ok();
    let annotations = |tag: &str| manifest(&project.registry(), tag).unwrap().1["annotations"].clone();
    let key = annotations("mid-head")["dev.hephy.input-key"].as_str().unwrap().to_owned();
    assert_eq!(annotations("top-head")["dev.hephy.built-on"], format!(r#"{{"mid":"{key}"}}"#));
    assert_eq!(plan(&project, &before).built(), ["base", "mid", "top"]);
    // Somebody builds what is below by itself: those above are still behind.
    stage(&project, &before, ["prepare", "--dir", "base"]).run().ok();
    stage(&project, &before, ["build", "--arch", "amd64"]).run().ok();
    stage(&project, &before, ["manifest"]).run().ok();
    let next = plan(&project, &before);
    assert_eq!(next.built(), ["mid", "top"]);
    assert_eq!(next.reason("mid"), "built on base");
    pipeline(&project, &before);
    assert_eq!(plan(&project, &before).built(), Vec::<String>::new());
}

#[test]
fn a_check_run_says_nothing_of_what_it_does_not_publish() {
    let project = chain("all");
    let first = project.repo.head();
    project.change("base/file");
    let target = project.repo.head();
    project.change("top/file");
    let head = project.repo.head();
    // The request changes top only; base has changed on its target, and nobody has published that.
    let ids = [(HEAD, head.as_str()), (crate::cli::TARGET, &target), (crate::cli::DIFF_BASE, &target)];
    let check = project.ci("gitlab-merge-request-detached", &ids, ["prepare", "--format", "json"]);
    let check = check.env("CI_REGISTRY_IMAGE", project.registry()).env("HEPHY_BACKEND", "buildah").run().ok();
    assert_eq!(check.built(), ["top"]);
    assert!(!check.stderr.contains("as it is published"), "{check}");
    let planned = stage(&project, &first, ["plan", "--format", "json"]).run().ok().json();
    let top = planned["images"].as_array().unwrap().iter().find(|image| image["name"] == "top").unwrap();
    assert_eq!(check.json()["images"][0]["input_key"], top["input_key"], "{check}");
}
