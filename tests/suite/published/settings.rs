//! Values from outside that reach the build or the tags: variables of `build_args_env`, and tags that have no value in
//! some runs.

use super::*;
use crate::cli::manifest;

/// prepare, build and manifest with these variables.
fn with(project: &Project, before: &str, values: &[(&str, &str)]) -> Outcome {
    let run = |args: &[&'static str]| {
        let stage = stage(project, before, args.iter().copied());
        values.iter().fold(stage, |stage, (name, value)| stage.env(name, *value)).run().ok()
    };
    let prepared = run(&["prepare", "--format", "json"]);
    run(&["build", "--arch", "amd64"]);
    run(&["manifest"]);
    prepared
}

#[test]
fn the_value_of_an_allowed_variable_is_part_of_what_is_built() {
    let project = Project::new();
    project.repo.write("hephy.yaml", "build_args_env: [GO_VERSION, CHANNEL, UNUSED]\n");
    project.image("go", "build_args: ['GO=go${GO_VERSION}', 'BUILD=${BUILD_NUMBER}']\n").image_on("on-go", "go", "");
    project.image("other", "");
    project.repo.commit("images");
    let first = [("GO_VERSION", "1.24"), ("UNUSED", "x"), ("CI_PIPELINE_IID", "1")];
    assert_eq!(with(&project, BEFORE, &first).built(), ["go", "on-go", "other"]);
    let plan = |before: &str, args: &[&str], values: &[(&str, &str)]| {
        let stage = stage(&project, before, [&["plan"], args].concat());
        values.iter().fold(stage, |stage, (name, value)| stage.env(name, *value)).run().ok()
    };
    let json = ["--format", "json"];
    // Neither what nobody uses nor facts of the run.
    let same = [("GO_VERSION", "1.24"), ("UNUSED", "y"), ("CI_PIPELINE_IID", "2")];
    assert_eq!(plan(BEFORE, &json, &same).built(), Vec::<String>::new());
    let newer = [("GO_VERSION", "1.25-new"), ("CI_PIPELINE_IID", "3")];
    let said = plan(BEFORE, &json, &newer);
    assert_eq!(said.built(), ["go", "on-go"]);
    assert_eq!(
        (said.reason("go").as_str(), said.reason("on-go").as_str()),
        ("the value of GO_VERSION changed", "built on go")
    );
    let explained = plan(BEFORE, &["--explain", "go"], &newer);
    assert!(explained.stdout.contains("GO_VERSION"), "{explained}");
    assert!(!explained.stdout.contains("1.25-new"), "{explained}");
    // Where commits are compared, both have the values of today.
    let before = project.repo.head();
    project.change("other/file");
    assert_eq!(plan(&before, &["--format", "json", "--base", &before], &newer).built(), ["other"]);
    assert_eq!(plan(&before, &json, &newer).built(), ["go", "on-go", "other"]);
    with(&project, &before, &newer);
    assert_eq!(plan(&before, &json, &newer).built(), Vec::<String>::new());
    // Where it is not set, what changed by itself cannot be built.
    assert_eq!(plan(&before, &["--format", "json", "--base", &before], &[]).built(), ["other"]);
}

#[test]
fn an_image_whose_tags_have_no_value_in_this_run_stays_in_the_graph() {
    let project = Project::new();
    project.image("a", "additional_tags: ['${BUILD_NUMBER}']\n");
    project.image_on("c", "a", "build_args: ['X=${A_TAG}']\n");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("c/file");
    let registry = project.registry();
    // A developer's machine counts no builds.
    let local = |args: &[&'static str], registry: &str| {
        let hephy = project.hephy(args.iter().copied()).args(["--base", &before, "--registry", registry]);
        hephy.env("HEPHY_BACKEND", "buildah").run()
    };
    let prepared = local(&["prepare", "--format", "json"], &registry).ok();
    assert_eq!(prepared.built(), ["c"]);
    let (digest, _) = manifest(&registry, "a-head").unwrap();
    let dependency = prepared.json()["images"][0]["dependencies"][0].clone();
    assert_eq!(
        (&dependency["name"], &dependency["from"]["published"]["digest"]),
        (&"a".into(), &digest.as_str().into())
    );
    assert_eq!(prepared.json()["unchanged"][0]["name"], "a");
    project
        .hephy(["build", "--arch", "amd64"])
        .env("HEPHY_BACKEND", "buildah")
        .env("HEPHY_REGISTRY", &registry)
        .run()
        .ok();
    let explained = local(&["plan", "--explain", "a"], &registry).ok();
    assert!(explained.stdout.contains("a is left alone") && explained.stdout.contains("built on it: c"), "{explained}");
    // Where it is not published it must be built, and its tags cannot be written.
    let needed = local(&["prepare"], &format!("{registry}-other"));
    needed.fails(3, &["a is needed", "a/build-config.yaml:2:19", "`${BUILD_NUMBER}` has no value"]);
}
