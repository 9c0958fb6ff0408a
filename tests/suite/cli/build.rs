//! `hephy build`: one job for one architecture.

use super::{BEFORE, Project, manifest, snapshot};

fn prepared(project: &Project) {
    project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", project.registry()).run().ok();
}

#[test]
fn an_architecture_that_is_not_needed_ends_at_once_and_says_so() {
    let project = Project::with(&["a"]);
    prepared(&project);
    let was = snapshot(project.repo.path());
    // No builder is there, and none is asked for.
    let outcome = project.hephy(["build", "--arch", "arm64"]).env("PATH", "/nowhere").run().ok();
    assert_eq!(outcome.stderr, "Nothing to build for arm64: no image of the plan needs it.\n");
    assert_eq!(outcome.stdout, "");
    let outcome = project.hephy(["build", "--arch", "arm64", "--format", "json"]).run().ok();
    assert_eq!(outcome.json(), serde_json::json!({"needed": false, "results": []}));
    assert_eq!(snapshot(project.repo.path()), was);
}

#[test]
fn a_machine_that_cannot_run_the_architecture_is_refused() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/s390x]\n");
    project.repo.commit("a");
    prepared(&project);
    project.hephy(["build", "--arch", "s390x"]).run().fails(
        2,
        &[
            "this machine is linux/amd64 and cannot run linux/s390x, which a is to be built for",
            "run `hephy build --arch s390x` on a linux/s390x runner, or register QEMU",
        ],
    );
    assert!(manifest(&project.registry(), "a-20251015-s390x").is_none());
}

#[test]
fn one_image_of_the_plan() {
    let project = Project::with(&["a", "b"]);
    prepared(&project);
    project.hephy(["build", "--arch", "amd64", "--image", "b"]).run().ok();
    assert_eq!(project.read("b-amd64.tag"), "b-20251015-amd64\n");
    assert!(project.out("b-amd64.json").exists() && project.out("logs/b-amd64.log").exists());
    assert!(!project.out("a-amd64.tag").exists() && !project.out("a-amd64.json").exists());
    let outcome = project.hephy(["build", "--arch", "amd64", "--image", "c"]).run();
    assert_eq!(outcome.code, 9, "{outcome}");
    for wrong in [["--arch", "nonsense"], ["--arch", "-x"], ["--arch", ""]] {
        let outcome = project.hephy(["build"].into_iter().chain(wrong)).run();
        assert_eq!(outcome.code, 2, "{wrong:?}: {outcome}");
    }
}

#[test]
fn without_a_plan() {
    let project = Project::with(&["a"]);
    project.hephy(["build", "--arch", "amd64"]).run().fails(3, &["there is no plan in", "run hephy prepare first"]);
    project.hephy(["manifest"]).run().fails(3, &["there is no plan in", "run hephy prepare first"]);
    std::fs::create_dir(project.path(".hephy")).unwrap();
    let version = "plan.json has version 99";
    for (text, said) in [("{}", "not a plan"), ("[]", "not a plan"), ("", "not a plan"), ("{\"version\": 99}", version)]
    {
        std::fs::write(project.out("plan.json"), text).unwrap();
        project.hephy(["build", "--arch", "amd64"]).run().fails(3, &[said]);
    }
    std::fs::write(project.out("plan.json"), "nonsense").unwrap();
    project.hephy(["manifest"]).run().fails(3, &["plan.json is not a plan"]);
}

#[test]
fn a_job_without_git_and_in_a_directory_below_builds_too() {
    let project = Project::with(&["a"]);
    prepared(&project);
    std::fs::rename(project.path(".git"), project.home.path().join("git")).unwrap();
    project.hephy(["build", "--arch", "amd64", "-C", "a"]).run().ok();
    project.hephy(["manifest"]).dir(project.path("a")).run().ok();
    assert!(manifest(&project.registry(), "a-head").is_some());
}

#[test]
fn a_failed_image_does_not_hold_back_those_that_are_not_built_on_it() {
    let project = Project::new();
    project.dockerfile("bad", "retries: 0\n", "FROM scratch\n\n# The next line fails.\nCOPY missing /\n");
    project.image_on("on-bad", "bad", "").image("good", "");
    project.repo.commit("images");
    prepared(&project);
    let outcome = project.hephy(["build", "--arch", "amd64"]).run().fails(1, &["bad/Dockerfile:4", "COPY missing /"]);
    assert!(outcome.stdout.contains("skipped") && outcome.stdout.contains("failed"), "{outcome}");
    let result = |image: &str| -> serde_json::Value {
        serde_json::from_str(&project.read(&format!("{image}-amd64.json"))).unwrap()
    };
    assert_eq!(result("bad")["status"], "failed");
    assert_eq!(result("on-bad")["status"], "skipped");
    assert_eq!(result("good")["status"], "completed");
    assert!(project.out("good-amd64.tag").exists() && !project.out("bad-amd64.tag").exists());
    let json = project.hephy(["build", "--arch", "amd64", "--format", "json"]).run();
    assert_eq!(json.code, 1);
    assert_eq!(json.json()["results"].as_array().unwrap().len(), 3, "one document, with every result");

    let outcome = project.hephy(["manifest"]).run();
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(manifest(&project.registry(), "good-head").is_some());
    assert!(manifest(&project.registry(), "bad-head").is_none());
    assert!(manifest(&project.registry(), "on-bad-head").is_none());
}
