//! `hephy check` as it is typed.

use super::Project;

#[test]
fn the_whole_report_and_exit_code_3() {
    let project = Project::with(&["curl"]);
    project.repo.write("curl/build-config.yaml", "use_local_context: true\nplaforms:\n  - linux/amd64\n");
    project.image("good", "");
    let outcome = project.hephy(["check"]).run();
    assert_eq!(outcome.code, 3, "{outcome}");
    assert_eq!(
        outcome.stdout,
        "curl/build-config.yaml:2:1: error: unknown field `plaforms`\n  |\n2 | plaforms:\n  | ^^^^^^^^ did you mean \
         `platforms`?\n\n1 error in 1 of 2 files.\n"
    );
    assert!(!outcome.stderr.contains("plaforms"), "nothing is said twice: {outcome}");
    let outcome = project.hephy(["check", "good"]).run().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("1 file, no problems.\n", ""));
    // From a directory below, paths are those that are typed there.
    let outcome = project.hephy(["check", "."]).dir(project.path("good")).run().ok();
    assert_eq!(outcome.stdout, "1 file, no problems.\n");
    project.hephy(["check", "nowhere"]).run().fails(2, &["does not exist"]);
}

#[test]
fn a_dockerfile_stands_for_the_images_that_are_built_from_it() {
    let project = Project::with(&["a", "b"]);
    project.dockerfile("b", "", "FROM alpine\n");
    let shared = "use_local_context: true\ncontext_from: repository\ndockerfile_path: b/Dockerfile\n";
    project.repo.write("c/build-config.yaml", shared).write("notes.txt", "x\n").write("unused/Dockerfile", "FROM x\n");
    let outcome = project.hephy(["check", "b/Dockerfile"]).run().ok();
    assert!(outcome.stdout.contains("b/Dockerfile:1:6: warning"), "{outcome}");
    assert!(outcome.stdout.ends_with("of 2 files.\n"), "{outcome}");
    let outcome = project.hephy(["check", "Dockerfile", "../b/Dockerfile"]).dir(project.path("a")).run().ok();
    assert!(outcome.stdout.ends_with("of 3 files.\n"), "{outcome}");
    for none in ["notes.txt", "unused/Dockerfile"] {
        project.hephy(["check", none]).run().fails(2, &[none, "is no configuration, and no image is built from it"]);
    }
}

#[test]
fn json_is_one_document_with_configuration_and_findings() {
    let project = Project::with(&["a"]);
    project.repo.write("b/build-config.yaml", "x: y\n");
    let outcome = project.hephy(["check", "--format", "json"]).run();
    assert_eq!(outcome.code, 3, "{outcome}");
    let json = outcome.json();
    assert_eq!(json["files"][0]["config"]["platforms"], serde_json::json!(["linux/amd64"]));
    assert_eq!(json["files"][1]["findings"][0]["file"], "b/build-config.yaml");
    let outcome = project.hephy(["check", "--format", "json", "a"]).run().ok();
    assert_eq!(outcome.json()["errors"], 0);
}
