//! `hephy plan`: what counts as a change of which image, and what it then says of the image.

use super::Project;

#[test]
fn a_deleted_image_is_removed_and_a_rename_counts_at_both_ends() {
    let project = Project::with(&["a", "b", "team/old"]);
    let before = project.repo.head();
    project.repo.remove("a").rename("team/old", "team/new");
    project.repo.commit("move");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["team-new"]);
    assert_eq!(outcome.json()["removed"], serde_json::json!(["a", "team/old"]));
    assert_eq!(outcome.reason("team-new"), "new image");

    // A file that moves from one image into another changes both.
    let before = project.repo.rename("b/file", "team/new/from-b").commit("move a file");
    let before = project.repo.git(&["rev-parse", &format!("{before}^")]);
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["b", "team-new"]);
    assert_eq!(outcome.reason("b"), "b/file deleted");
}

#[test]
fn odd_names_are_exact() {
    let project = Project::with(&["a", "with space", "b"]);
    let before = project.repo.head();
    for name in ["-rf", "a\nb", "quote\"'", "$(id)", "ünï", "*", "a;b"] {
        project.repo.write_bytes(format!("a/{name}").as_bytes(), b"x");
    }
    project.repo.write_bytes(b"b/\xff\xfe", b"x");
    project.repo.commit("odd names");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a", "b"]);

    // The directory itself: refused by name when it would be built, left alone otherwise.
    let before = project.change("with space/file");
    project.repo.write("-dash/file", "x");
    project.image("-dash", "");
    project.repo.commit("dash");
    let hephy = project.range(&before, ["plan"]);
    let outcome = hephy.run().fails(3, &[]);
    let finding = "-dash/build-config.yaml:1:1: error: this directory cannot name an image: `-dash` cannot begin a tag";
    assert!(outcome.stderr.contains(finding), "{outcome}");
    let outcome = project.range(&project.repo.head(), ["plan"]).run().ok();
    assert!(outcome.stderr.contains("warning: -dash cannot name an image and is left alone"), "{outcome}");
}

#[test]
fn a_file_below_nested_image_directories_counts_for_each() {
    let project = Project::with(&["a", "a/b", "a/b/c", "d"]);
    let before = project.repo.head();
    project.change("a/b/deep");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a", "a-b"]);
}

#[test]
fn an_invalid_configuration_fails_where_it_changed_and_warns_elsewhere() {
    let project = Project::with(&["a", "b"]);
    project.repo.write("b/build-config.yaml", "use_local_context: true\nplaforms: [linux/amd64]\n");
    let broken = project.repo.commit("break b");
    let before = project.repo.git(&["rev-parse", "HEAD^"]);
    let outcome = project.range(&before, ["prepare"]).run();
    let outcome = outcome.fails(3, &[]);
    assert_eq!(
        outcome.stderr,
        "b/build-config.yaml:2:1: error: unknown field `plaforms`\n  |\n2 | plaforms: [linux/amd64]\n  | ^^^^^^^^ did you \
         mean `platforms`?\n\nerror: one error keeps images from being built (config_error)\n\n\
         hint: begin at b/build-config.yaml:2; hephy check shows what else is wrong\n"
    );
    // A failure leaves the work directory as it was, but for the report that GitLab shows beside the code.
    let left = project.out("").read_dir().unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(left, ["codequality.json"]);

    project.change("a/file");
    let outcome = project.range(&broken, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a"]);
    let warning = "warning: b/build-config.yaml is invalid and left alone: unknown field `plaforms` (line 2)";
    assert!(outcome.stderr.contains(warning), "{outcome}");
}

#[test]
fn what_is_built_on_an_invalid_image_is_not_built_without_it() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "");
    project.repo.write("base/build-config.yaml", "nonsense: true\n");
    let broken = project.repo.commit("broken base");
    project.change("app/file");
    let outcome = project.range(&broken, ["plan"]).env("ECR_REGISTRY", "127.0.0.1:1/x").run();
    let outcome = outcome.fails(3, &[]);
    assert!(outcome.stderr.contains("base/build-config.yaml:1:1: error: unknown field `nonsense`"), "{outcome}");
}

#[test]
fn ko_without_ko_config_builds_the_source_root() {
    let project = Project::new();
    project.repo.write("app/build-config.yaml", "build_backend: ko\n").write("app/main.go", "package main\n");
    project.image("web", "build_backend: buildah\nko_config: {import_path: ./x}\n");
    project.repo.commit("images");
    let plan = project.hephy(["plan", "--all", "--format", "json"]).run().ok().json();
    let ko = |at: usize| plan["images"][at]["ko"].clone();
    assert_eq!((ko(0)["import_path"].as_str(), ko(1).is_null()), (Some("."), true), "{plan}");
}

#[test]
fn two_directories_with_the_same_image_name_are_an_error_that_names_both() {
    let project = Project::with(&["a", "b"]);
    let same = |first: &str, second: &str, name: &str| format!("`{first}` and `{second}` are both named {name}");
    let before = project.repo.head();
    for dir in ["x/y", "x-y"] {
        project.image(dir, "");
    }
    project.repo.commit("a name twice");
    for command in ["plan", "prepare"] {
        project.range(&before, [command]).run().fails(3, &[&same("x/y", "x-y", "x-y")]);
    }
    std::fs::remove_dir_all(project.path("x-y")).unwrap();
    project.image("B", "");
    let before = project.repo.commit("names that differ in case only");
    // Tags differ in case; repositories cannot.
    let plan = project.range(&before, ["plan", "--all", "--format", "json"]).run().ok();
    assert_eq!(plan.built(), ["B", "a", "b", "x-y"]);
    let per_image = ["plan", "--all", "--layout", "per-image"];
    project.range(&before, per_image).run().fails(3, &[&same("b", "B", "b")]);
}

#[test]
fn the_base_of_an_image_is_that_of_the_stage_that_is_built() {
    let project = Project::new();
    let dockerfile = "FROM golang:1 AS build\nFROM alpine:3 AS run\nCOPY --from=build /a /a\nCOPY --from=busybox /b /b\n\
                      FROM scratch AS bare\nCOPY --from=build /a /a\n";
    project.dockerfile("run", "target: run\nko_config: {base_image: debian}\n", dockerfile);
    project.dockerfile("bare", "", dockerfile);
    project.dockerfile("arch", "platforms: [linux/amd64, linux/arm64]\n", "FROM alpine-${TARGETARCH}\n");
    project.repo.commit("images");
    let plan = project.hephy(["plan", "--all", "--format", "json"]).run().ok().json();
    let bases = |at: usize| {
        let all = plan["images"][at]["bases"].as_array().unwrap();
        let part = |underlying: bool| {
            let found = all.iter().filter(|base| base["underlying"] == underlying);
            found.map(|base| base["reference"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        (part(true), part(false))
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(bases(0), pair("alpine-amd64 alpine-arm64", ""));
    assert_eq!(bases(1), pair("", "golang:1"));
    assert_eq!(bases(2), pair("alpine:3", "golang:1 busybox"), "ko's base is none of another builder's");
}
