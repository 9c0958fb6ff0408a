//! What somebody meets who tries hephy for the first time.

use super::Project;

#[test]
fn check_finds_what_would_stop_a_plan_beyond_the_configurations() {
    let project = Project::new();
    for (dir, on) in [("a", "b"), ("b", "a")] {
        project.image_on(dir, on, "");
    }
    project.dockerfile("c", "", "FROM scratch\nCOPPY x /\n");
    let checked = project.hephy(["check"]).run().fails(3, &["begin at a/build-config.yaml:1"]);
    for part in ["in a circle: a → b → a", "c/Dockerfile:2:1: error: unknown instruction", "2 errors in 2 of 3 files."]
    {
        assert!(checked.stdout.contains(part), "{part}: {checked:?}");
    }
    project.hephy(["check", "c"]).run().fails(3, &["begin at c/Dockerfile:2"]);
}

#[test]
fn an_empty_repository_is_told_what_it_lacks() {
    let project = Project::new();
    let plan = project.hephy(["plan"]).run().ok();
    assert!(plan.stdout.contains("Nothing to build: no directory here has a build-config.yaml."), "{plan:?}");
}

#[test]
fn what_nobody_can_mean_is_refused() {
    let project = Project::with(&["web"]);
    project
        .hephy(["run", "--all", "--platform", "riscv64"])
        .run()
        .fails(2, &["no image here is built for linux/riscv64"]);
    project.hephy(["run", "--all", "--registry", "127.0.0.1:5000"]).run().fails(2, &["names no repository"]);
    assert!(!project.path(".hephy").exists());
}

#[test]
fn git_does_not_see_the_output_directory() {
    let project = Project::with(&["web"]);
    let registry = project.registry();
    project.hephy(["prepare", "--all", "--registry", &registry]).run().ok();
    assert!(project.read(".gitignore").ends_with("\n*\n"));
    // One that is somebody's own stays as it is.
    std::fs::create_dir(project.path("mine")).unwrap();
    std::fs::write(project.path("mine/notes"), "").unwrap();
    project.hephy(["prepare", "--all", "--out", "mine", "--registry", &registry]).run().ok();
    assert!(!project.path("mine/.gitignore").exists());
}
