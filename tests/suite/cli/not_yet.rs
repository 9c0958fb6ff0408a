//! What later versions do is refused by name or warned of, and never ignored in silence; and `hephy check` finds what
//! no run could ever build.

use super::Project;

#[test]
fn commands_and_flags_of_later_versions_say_so() {
    let project = Project::with(&["web"]);
    for words in [
        vec!["generate", "shipwright"],
        vec!["diagnose"],
        vec!["verify", "x"],
        vec!["builds", "list"],
        vec!["release", "create", "v1"],
        vec!["reuse", "--image", "web"],
        vec!["deploy", "prod"],
        vec!["rootfs", "web"],
        vec!["build", "-f", "run.yaml"],
    ] {
        let said = project.hephy(words.clone()).run().fails(2, &["is not supported yet"]);
        assert!(!said.stderr.contains("similar"), "{words:?}: {said}");
    }
    let misspelt = project.hephy(["bild"]).run();
    assert!(misspelt.code == 2 && misspelt.stderr.contains("'build'"), "{misspelt}");
}

#[test]
fn another_frontend_is_refused_unless_hephy_yaml_allows_it() {
    let project = Project::new();
    project.dockerfile("web", "", "#!/usr/bin/env x\n# escape=`\n# syntax = ghcr.io/acme/odd:1\nFROM scratch\n");
    project.repo.commit("images");
    let what =
        "web/Dockerfile:3:12: error: `# syntax=` names `ghcr.io/acme/odd:1`, another frontend than docker/dockerfile";
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    assert!(checked.stdout.contains(what), "{checked}");
    project.hephy(["plan", "--all"]).run().fails(3, &[what, "list ghcr.io/acme/odd:1 in syntax_frontends"]);
    project.repo.write("hephy.yaml", "syntax_frontends: [ghcr.io/acme/odd:1]\n");
    project.repo.commit("allow");
    project.hephy(["check"]).run().ok();
    project.hephy(["plan", "--all"]).run().ok();
}

#[test]
fn check_finds_tags_and_arguments_that_no_run_could_use() {
    let project = Project::new();
    let long = "x".repeat(127);
    project
        .image("a", "additional_tags: [ok, x-arm64]\n")
        .image("b", &format!("additional_tags: [{long}]\n"))
        .image("c", "build_args: ['A=${SHORT_SHA}', 'B=${NOPE}']\n")
        .image("d", "build_args:\n  A: ${A_TAG}\n")
        .image("e", "build_args: ['A=${BRANCH_NAME}-${BUILD_NUMBER}-${ECR_REGISTRY}-${ALLOWED}']\n")
        .image("f", "tag_template: '-{image}'\n")
        .image("g", "additional_tags: [h-latest]\n")
        .image("g/h", "additional_tags: [latest]\n")
        .image("o o", "");
    project.repo.write("hephy.yaml", "build_args_env: [ALLOWED]\nlint: {unused-build-arg: off}\n");
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    for part in [
        "a/build-config.yaml:2:23: error: `a-x-arm64` looks like the tag of one architecture",
        "b/build-config.yaml:2:19: error: ",
        "c/build-config.yaml:2:32: error: `${NOPE}` is not a variable of build arguments",
        "d/build-config.yaml:3:6: error: `${A_TAG}` is not the tag of an image that this one is built on\n  |\n3 |   A: ${A_TAG}\n  |      ^^^",
        "f/build-config.yaml:2:15: error: ",
        "g/h/build-config.yaml:2:18: error: `g` and `g/h` would both write the tag g-h-latest",
        "o o/build-config.yaml:1:1: warning: this directory cannot name an image",
        "6 errors, 1 warning in 7 of 10 files.",
    ] {
        assert!(checked.stdout.contains(part), "{part}: {checked}");
    }
}

#[test]
fn check_and_graph_see_the_registry_and_layout_of_the_environment() {
    let project = Project::new();
    project.image("base", "").dockerfile("app", "", "FROM reg.example/acme/base:latest\n");
    let with = |words: &[&'static str]| {
        let hephy = project.hephy(words.iter().copied());
        hephy.env("HEPHY_REGISTRY", "reg.example/acme").env("HEPHY_LAYOUT", "per-image")
    };
    let graph = with(&["graph"]).run().ok();
    assert!(graph.stdout.contains("app/Dockerfile:1"), "{graph}");
    project.image("lone", "additional_tags: [lone-amd64]\n");
    with(&["check"]).run().fails(3, &[]);
    with(&["graph"])
        .env("HEPHY_LAYOUT", "flat")
        .run()
        .fails(2, &["HEPHY_LAYOUT cannot be `flat`", "single, per-image"]);
}

#[test]
fn a_tag_variable_in_the_wrong_place_is_told_the_right_one() {
    let project = Project::new();
    project.image("curl", "").image_on("app", "curl", "");
    project.repo.write("hephy.yaml", "layout: per-image\n");
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    for part in [
        "app/Dockerfile:3:6: error: `CURL_TAG` is the tag of curl, and this is not where curl lies",
        "write ${ECR_REGISTRY}/curl:${CURL_TAG}, or give the ARG a default",
    ] {
        assert!(checked.stdout.contains(part), "{part}: {checked}");
    }
}

#[test]
fn annotations_that_docker_would_not_write_stop_the_plan_and_not_the_build() {
    let project = Project::new();
    project.image("web", "annotations: {a: b}\nbuild_backend: docker\n").image("api", "annotations: {a: b}\n");
    project.repo.commit("images");
    let what = "web/build-config.yaml:2:14: error: the builder `docker` cannot write annotations into a manifest";
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    assert!(checked.stdout.contains(what) && !checked.stdout.contains("api/"), "{checked}");
    project.hephy(["plan", "--all"]).run().fails(3, &[what, "use `labels`"]);
    project.hephy(["plan", "--dir", "api", "--backend", "docker"]).run().fails(3, &["api/build-config.yaml:2:14"]);
    project.hephy(["plan", "--dir", "api"]).run().ok();
}
