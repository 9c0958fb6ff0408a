//! What is published from the same input is used: tags without a build, images that were named, `--force`.

use super::*;
use crate::cli::{manifest, tags};

/// The template names the version in pipelines of tags.
const VERSIONED: &str = "tag_template: \"{image}-{ref}\"\nadditional_tags: [latest]\n";

#[test]
fn a_tag_pipeline_puts_its_version_on_what_is_published_without_a_build() {
    let project = Project::new();
    project.image("a", VERSIONED).image("b", "additional_tags: [latest, \"${SHORT_SHA}\"]\n").image("plain", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let registry = project.registry();
    let (digest, _) = manifest(&registry, "a-head").unwrap();
    let before = tags(&registry);

    let (proxy, through) = behind(&project, |_| Action::Forward);
    let stage = |args: &[&str]| of_tag(&project, args.iter().copied()).env("HEPHY_REGISTRY", &through);
    let prepared = stage(&["prepare", "--format", "json"]).run().ok();
    assert_eq!(prepared.built(), Vec::<String>::new());
    let short = project.repo.head()[..8].to_owned();
    let expected = [
        ("a".to_owned(), vec!["a-v1.2.3".to_owned(), "a-latest".to_owned()]),
        ("b".to_owned(), vec!["b-latest".to_owned(), format!("b-{short}")]),
        ("plain".to_owned(), Vec::new()),
    ];
    assert_eq!(reused(&prepared), expected, "the date names a build, and there is none");
    assert_eq!(prepared.json()["reused"][0]["digest"], digest.as_str());
    assert_eq!(proxy.seen().iter().filter(|seen| seen.path != "/v2/").count(), 3, "{:?}", proxy.seen());
    assert_eq!((project.read("dirs.txt"), project.read("need_amd64.txt")), (String::new(), "false\n".into()));
    assert_eq!(project.read("prepare.env").lines().next(), Some("HEPHY_HAS_BUILDS=false"));
    assert!(project.read("plan.md").contains("| a | v1.2.3, latest → sha256:"), "{}", project.read("plan.md"));

    let build = stage(&["build", "--arch", "amd64"]).run().ok();
    assert!(build.stderr.contains("Nothing to build for amd64"), "{build}");
    proxy.clear();
    let published = stage(&["manifest"]).run().ok();
    let written: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.method == "PUT").map(|seen| seen.path).collect();
    assert_eq!(written.len(), 1, "the tag that is not there yet: {written:?}");
    assert!(written[0].ends_with("/manifests/a-v1.2.3"), "{written:?}");
    assert_eq!(manifest(&registry, "a-v1.2.3").unwrap().0, digest);
    let mut expected = before;
    expected.push("a-v1.2.3".into());
    expected.sort();
    assert_eq!(tags(&registry), expected, "{published}");
    let images: serde_json::Value = serde_json::from_str(&project.read("images.json")).unwrap();
    assert_eq!(images["a"], format!("{through}@{digest}"));
    assert_eq!(images.as_object().unwrap().len(), 3, "whoever releases wants all of them");
    assert!(project.read("summary.md").contains("| a | – | reused |"), "{}", project.read("summary.md"));
    let own: serde_json::Value = serde_json::from_str(&project.read("a.manifest.json")).unwrap();
    assert_eq!((&own["reused"], own["platforms"].as_object().unwrap().len()), (&true.into(), 1));

    // Run again: nothing is written.
    proxy.clear();
    stage(&["manifest"]).run().ok();
    assert!(proxy.seen().iter().all(|seen| seen.method != "PUT"), "{:?}", proxy.seen());
}

#[test]
fn a_tag_of_a_commit_that_differs_builds() {
    let project = Project::new();
    project.image("a", VERSIONED).image("b", VERSIONED);
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    project.change("a/file");
    let prepared = of_tag(&project, ["plan", "--format", "json"]).run().ok();
    assert_eq!(prepared.built(), ["a"]);
    assert_eq!(reused(&prepared)[0].0, "b");
}

#[test]
fn the_parent_of_a_child_pipeline_tags_and_names_what_is_reused() {
    let project = Project::new();
    project.image("a", VERSIONED).image("b", VERSIONED);
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    project.change("b/file");
    of_tag(&project, ["prepare"]).env("HEPHY_FANOUT", "image").run().ok();
    assert!(!project.read("child.yml").contains("build a amd64"), "{}", project.read("child.yml"));
    for args in [&["build", "--arch", "amd64", "--image", "b"][..], &["manifest", "--image", "b"]] {
        of_tag(&project, args.iter().copied()).run().ok();
    }
    assert!(manifest(&project.registry(), "a-v1.2.3").is_none(), "that job has one image");
    std::fs::remove_file(project.out("b.manifest.json")).unwrap();
    of_tag(&project, ["manifest", "--collect"]).run().ok();
    let images: serde_json::Value = serde_json::from_str(&project.read("images.json")).unwrap();
    assert_eq!(images.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(manifest(&project.registry(), "a-v1.2.3"), manifest(&project.registry(), "a-head"));
}

#[test]
fn a_tag_that_the_configuration_gains_is_put_on_what_is_published() {
    // The configuration is no part of the context, so that its tags are none of the input.
    let project = Project::with(&["b"]);
    project.image("a", "context_path: files\n").repo.write("a/files/file", "content").commit("a");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.image("a", "context_path: files\nadditional_tags: [stable, \"${SHORT_SHA}\"]\n");
    project.repo.commit("tags");
    let prepared = pipeline(&project, &before);
    assert_eq!(prepared.built(), Vec::<String>::new());
    assert_eq!(reused(&prepared), [("a".to_owned(), vec!["a-stable".to_owned()])], "what names a run is for builds");
    assert_eq!(manifest(&project.registry(), "a-stable"), manifest(&project.registry(), "a-head"));
    // Once there it is no news, whatever the index says of itself.
    let again = plan(&project, &before);
    assert!(reused(&again).is_empty(), "{again}");
    assert_eq!(again.json()["unchanged"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_named_is_reused_unless_forced() {
    let project = Project::with(&["a", "b"]);
    pipeline(&project, BEFORE);
    project.change("b/file");
    let plan = |args: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(args.iter().copied());
        stage(&project, BEFORE, all).run().ok()
    };
    let (all, named) = (plan(&["--all"]), plan(&["--dir", "a"]));
    assert_eq!(all.built(), ["b"]);
    assert_eq!(all.reason("b"), "everything was asked for");
    assert_eq!((reused(&all)[0].0.as_str(), named.built().len(), reused(&named).len()), ("a", 0, 1));
    assert_eq!(plan(&["--all", "--force"]).built(), ["a", "b"]);
    assert_eq!(plan(&["--dir", "a", "--force"]).built(), ["a"]);
    let off = stage(&project, BEFORE, ["plan", "--all", "--format", "json"]);
    assert_eq!(off.env("HEPHY_BUILD_REUSE", "false").run().ok().built(), ["a", "b"]);
    let odd = stage(&project, BEFORE, ["plan", "--all"]).env("HEPHY_BUILD_REUSE", "perhaps");
    odd.run().fails(2, &["HEPHY_BUILD_REUSE is `perhaps`"]);
    // Without names, force builds what the range changed although it is published.
    let first = project.repo.git(&["rev-parse", "HEAD^"]);
    pipeline(&project, &first);
    assert_eq!(super::plan(&project, &first).built(), Vec::<String>::new());
    let forced = stage(&project, &first, ["plan", "--force", "--format", "json"]).run().ok();
    assert_eq!(forced.built(), ["b"]);
    // A list is built whatever is there.
    project.repo.write("rebuild-weekly.txt", "a\n").commit("list");
    assert_eq!(plan(&["--scheduled"]).built(), ["a"]);
}

#[test]
fn run_reuses_what_its_registry_holds() {
    let project = Project::with(&["a", "b"]);
    project.hephy(["run", "--all"]).run().ok();
    let again = project.hephy(["run", "--all"]).run().ok();
    assert!(again.stderr.contains("reuse   a") && !again.stderr.contains("build a linux/amd64"), "{again}");
    assert!(again.stderr.contains("Nothing to build: 2 reused."), "{again}");
    project.repo.write("b/file", "changed");
    let some = project.hephy(["run", "--all"]).run().ok();
    assert!(some.stderr.contains("build b linux/amd64") && !some.stderr.contains("build a linux/amd64"), "{some}");
    let forced = project.hephy(["run", "--all", "--force"]).run().ok();
    assert!(forced.stderr.contains("build a linux/amd64"), "{forced}");

    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let json = project.hephy(["run", "--all", "--registry", &registry, "--format", "json"]).run().ok().json();
    assert_eq!((json["results"].as_array().unwrap().len(), json["published"].as_array().unwrap().len()), (0, 2));
}

#[test]
fn a_plan_that_names_another_index_tags_nothing() {
    let project = Project::new();
    project.image("a", VERSIONED).image("b", VERSIONED);
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    of_tag(&project, ["prepare"]).run().ok();
    let (other, _) = manifest(&project.registry(), "b-head").unwrap();
    let mut plan: serde_json::Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    let own = std::mem::replace(&mut plan["reused"][0]["digest"], other.as_str().into());
    std::fs::write(project.out("plan.json"), plan.to_string()).unwrap();
    of_tag(&project, ["manifest"]).run().fails(3, &["is not a built from the plan's input"]);
    assert!(manifest(&project.registry(), "a-v1.2.3").is_none());
    assert!(manifest(&project.registry(), "b-v1.2.3").is_some(), "one image's failure is its own");

    plan["reused"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    std::fs::write(project.out("plan.json"), plan.to_string()).unwrap();
    of_tag(&project, ["manifest"]).run().fails(9, &["the published index of a is gone"]);

    plan["reused"][0]["digest"] = own;
    plan["reused"][0]["tags"] = serde_json::json!(["b-latest"]);
    std::fs::write(project.out("plan.json"), plan.to_string()).unwrap();
    of_tag(&project, ["manifest"]).run().fails(3, &["its tag b-latest is written by"]);
}
