//! An image that is built on another one for one platform only (specification §7): everything about it is exact by image
//! and platform.

use serde_json::{Value, json};

use super::{Outcome, Project, image_of, layers};

const BOTH: &str = "platforms: [linux/amd64, linux/arm64]\n";
const CHOOSES: &str = "ARG ECR_REGISTRY ONE_TAG TWO_TAG TARGETARCH\nFROM $ECR_REGISTRY:$ONE_TAG AS base-amd64\n\
                       FROM $ECR_REGISTRY:$TWO_TAG AS base-arm64\nFROM base-${TARGETARCH}\nCOPY file /app\n";

/// `app` for both platforms, built on `one` for amd64 and on `two` for arm64, which are for these alone.
fn project() -> Project {
    let project = Project::new();
    project.image("one", "").image("two", "platforms: [linux/arm64]\n").dockerfile("app", BOTH, CHOOSES);
    project.repo.commit("images");
    project
}

fn prepare(project: &Project, args: &[&str]) -> Outcome {
    let all = ["prepare", "--format", "json"].into_iter().chain(args.iter().copied());
    project.hephy(all).env("HEPHY_REGISTRY", project.registry()).run()
}

fn dependencies(outcome: &Outcome, image: &str) -> Vec<(Value, Value, Value)> {
    let plan = outcome.json();
    let image = plan["images"].as_array().unwrap().iter().find(|it| it["name"] == image).unwrap().clone();
    let all = image["dependencies"].as_array().unwrap();
    let from = |it: &Value| it["from"].as_object().map_or(it["from"].clone(), |it| json!(it.keys().next()));
    all.iter().map(|it| (it["name"].clone(), it["platforms"].clone(), from(it))).collect()
}

#[test]
fn each_platform_is_built_on_its_own_and_wants_nothing_of_the_other() {
    let project = project();
    let outcome = prepare(&project, &["--all"]).ok();
    assert_eq!(
        dependencies(&outcome, "app"),
        [(json!("one"), json!(["linux/amd64"]), json!("plan")), (json!("two"), json!(["linux/arm64"]), json!("plan")),]
    );
    let built = project.hephy(["build", "--arch", "amd64"]).run().ok();
    assert!(built.stderr.contains("build one") && !built.stderr.contains("build two"), "{built}");
    let jobs = project.hephy(["generate", "github"]).env("HEPHY_FANOUT", "image").run().ok().json();
    let wave = |at: usize| -> Vec<&str> {
        jobs["waves"][at]["include"].as_array().unwrap().iter().map(|leg| leg["leg"].as_str().unwrap()).collect()
    };
    assert_eq!((wave(0), wave(1)), (vec!["one-amd64", "two-arm64"], vec!["app-amd64", "app-arm64"]));
}

#[test]
fn what_is_needed_for_one_platform_must_be_published_for_that_one_alone() {
    let project = project();
    let registry = project.registry();
    project.hephy(["run", "--dir", "one", "--registry", &registry]).run().ok();
    let outcome = prepare(&project, &["--dir", "app"]).ok();
    assert_eq!(outcome.built(), ["app", "two"]);
    assert_eq!(outcome.reason("two"), "it is needed and was never published");
    assert_eq!(dependencies(&outcome, "app")[0].2, json!("published"));
    // Where both lines name `one`, arm64 of it is needed as well.
    project.dockerfile("app", BOTH, &CHOOSES.replace("TWO_TAG AS", "ONE_TAG AS")).repo.commit("one for both");
    prepare(&project, &["--dir", "app"])
        .fails(3, &["app/Dockerfile:3:1: error: one is not built for linux/arm64, app is"]);
}

#[test]
fn a_failure_skips_the_dependents_of_its_own_platform_only() {
    let project = project();
    project.dockerfile("two", BOTH, "FROM scratch\nCOPY nothing /\n").repo.commit("broken");
    let registry = project.registry();
    let args = ["run", "--all", "--registry", &registry, "--platform", "amd64"];
    let outcome = project.hephy(args).run();
    assert_eq!(outcome.code, 1, "{outcome}");
    let status = |stem: &str| -> Value {
        let result: Value = serde_json::from_str(&project.read(&format!("{stem}.json"))).unwrap();
        result["status"].clone()
    };
    assert_eq!((status("two-amd64"), status("app-amd64")), (json!("failed"), json!("completed")), "{outcome}");
    let base = layers(&image_of(&registry, "one-head", "amd64"));
    assert_eq!(base.len(), 1, "{outcome}");
}

#[test]
fn the_graph_says_for_which_platform() {
    let project = project();
    let graph = |args: &[&str]| {
        let hephy = project.hephy(["graph"].into_iter().chain(args.iter().copied()));
        hephy.env("HEPHY_REGISTRY", "127.0.0.1:1/x").run().ok().stdout
    };
    for form in ["text", "dot", "mermaid"] {
        let drawn = graph(&["--as", form]);
        assert!(drawn.contains("ARG TWO_TAG, app/Dockerfile:3, linux/arm64 only"), "{drawn}");
        assert!(drawn.contains("ARG ONE_TAG, app/Dockerfile:2, linux/amd64 only"), "{drawn}");
    }
    let json: Value = serde_json::from_str(&graph(&["--as", "json"])).unwrap();
    let app = json["images"].as_array().unwrap().iter().find(|it| it["name"] == "app").unwrap();
    assert_eq!(app["built_on"][1]["platforms"], json!(["linux/arm64"]));
}

#[test]
fn a_circle_that_needs_two_platforms_is_still_one() {
    // The input key is one for all platforms of an image, so neither of the two could have one.
    let project = Project::new();
    let on = |name: &str, arch: &str| {
        let other = if arch == "amd64" { "arm64" } else { "amd64" };
        format!("FROM 127.0.0.1:1/x:{name}-head AS base-{arch}\nFROM scratch AS base-{other}\nFROM base-$TARGETARCH\n")
    };
    project.dockerfile("a", BOTH, &on("b", "amd64")).dockerfile("b", BOTH, &on("a", "arm64"));
    project.repo.commit("images");
    let parts = ["a → b → a", "b-head, linux/amd64 only", "a-head, linux/arm64 only"];
    project.hephy(["plan", "--all"]).env("HEPHY_REGISTRY", "127.0.0.1:1/x").run().fails(3, &parts);
}
