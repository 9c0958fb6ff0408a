//! Bad input of a pipeline: each a sentence, a next step and its exit code, before anything is built; nothing is
//! published.

use super::Github;
use crate::cli::{BEFORE, HEAD, Hephy, Project, tags};
use crate::support::registry::{Kind, Registry};

fn stage<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    project.push(BEFORE, args).env("HEPHY_REGISTRY", project.registry())
}

#[track_caller]
fn nothing_was_built(project: &Project) {
    assert_eq!(tags(&project.registry()), Vec::<String>::new());
    let results = project.out("").read_dir().into_iter().flatten().flatten();
    let results: Vec<_> = results.map(|it| it.file_name().into_string().unwrap()).collect();
    assert!(!results.iter().any(|name| name.ends_with("64.json") || name.ends_with(".tag")), "{results:?}");
    assert!(!results.iter().any(|name| name.starts_with("registry-")), "a registry was started: {results:?}");
}

#[test]
fn a_runner_of_the_wrong_architecture_is_named_before_anything_starts() {
    let project = Project::new();
    project.image("a", "platforms: [linux/s390x]\n");
    project.repo.commit("a");
    stage(&project, ["prepare", "--all"]).run().ok();
    let sentence = "cannot run linux/s390x, which a is to be built for (usage_error)";
    let hint = "run `hephy build --arch s390x` on a linux/s390x runner";
    stage(&project, ["build", "--arch", "s390x"]).run().fails(2, &[sentence, hint]);
    nothing_was_built(&project);
    // A check run starts no registry for it.
    let base = project.repo.head();
    project.change("a/file");
    super::merge_request(&project, &base, ["prepare"]).env("HEPHY_BACKEND", "buildah").run().ok();
    let build = super::merge_request(&project, &base, ["build", "--arch", "s390x"]);
    build.run().fails(2, &[sentence, hint]);
    nothing_was_built(&project);
    for wrong in ["x86_64", "nonsense", "", "-x", "amd64\n::error::x"] {
        stage(&project, ["build", &format!("--arch={wrong}")]).run().fails(2, &["--arch names no architecture"]);
    }
    // One that nothing needs is no mistake.
    let outcome = stage(&project, ["build", "--arch", "arm64"]).run();
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn a_publishing_run_without_a_registry_ends_in_prepare() {
    let project = Project::with(&["a"]);
    let outcome = project.push(BEFORE, ["prepare", "--all"]).env("CI_REGISTRY_IMAGE", "").run();
    outcome.fails(3, &["there is no registry to publish to (config_error)", "set HEPHY_REGISTRY or ECR_REGISTRY"]);
    assert!(!project.out("plan.json").exists());
    // A check run needs none, and a run with nothing to build neither.
    let head = project.repo.head();
    project.push(&head, ["prepare"]).env("CI_REGISTRY_IMAGE", "").run().ok();
    super::merge_request(&project, &head, ["prepare", "--all"]).run().ok();
}

#[test]
fn missing_or_wrong_credentials_are_named_with_where_they_are_looked_for() {
    let registry = Registry::of(Kind::Password);
    let address = format!("{}/acme", registry.address);
    let project = Project::with(&["a"]);
    let job = |args: &[&'static str]| project.push(BEFORE, args.iter().copied()).env("HEPHY_REGISTRY", &address);
    let prepared = job(&["prepare", "--all"]).run();
    if prepared.code == 0 {
        job(&["build", "--arch", "amd64"]).run().fails(5, &["(auth_error)", "HEPHY_REGISTRY_USERNAME"]);
        job(&["manifest"]).run().fails(5, &["auth_error"]);
    } else {
        prepared.fails(5, &["(auth_error)", "HEPHY_REGISTRY_USERNAME"]);
    }
    assert!(!project.out("a.manifest.json").exists());
}

#[test]
fn artifacts_that_did_not_arrive() {
    let project = Project::with(&["a", "b"]);
    for args in [&["build", "--arch", "amd64"][..], &["manifest"], &["manifest", "--collect"]] {
        let outcome = stage(&project, args.iter().copied()).run();
        outcome.fails(3, &["there is no plan in ", "hand its artifacts on to this job"]);
    }
    stage(&project, ["prepare", "--all"]).run().ok();
    stage(&project, ["build", "--arch", "amd64", "--image", "a"]).run().ok();
    let outcome = stage(&project, ["manifest"]).run();
    outcome.fails(9, &["there is no build result of b for linux/amd64", "or its artifacts did not arrive"]);
    assert!(tags(&project.registry()).iter().all(|tag| !tag.starts_with("b-")));
}

/// Artifacts of another pipeline: the plan is of commit A, and the job is about commit B.
#[test]
fn a_plan_of_another_commit_is_neither_built_nor_published() {
    let project = Project::with(&["a"]);
    stage(&project, ["prepare", "--all"]).run().ok();
    stage(&project, ["build", "--arch", "amd64"]).run().ok();
    let old = project.repo.head();
    let new = project.change("a/file");
    let before = tags(&project.registry());
    let sentence = format!("the plan is of commit {}, and this job is at {} (config_error)", &old[..12], &new[..12]);
    for args in [&["build", "--arch", "amd64"][..], &["manifest"], &["manifest", "--collect"]] {
        // GitLab's job, GitHub's, and a developer's.
        stage(&project, args.iter().copied()).run().fails(3, &[&sentence, "start a new pipeline"]);
        Github::new().step(&project, BEFORE, args.iter().copied()).run().fails(3, &[&sentence]);
        let local = project.hephy(args.iter().copied()).env("HEPHY_REGISTRY", project.registry());
        local.run().fails(3, &[&sentence, "run hephy prepare again"]);
    }
    assert_eq!(tags(&project.registry()), before);
    // Whatever form HEAD has.
    project.repo.git(&["checkout", "-q", "--detach"]);
    stage(&project, ["manifest"]).run().fails(3, &[&sentence]);
    project.repo.git(&["checkout", "-q", "main"]);
    project.repo.git(&["pack-refs", "--all"]);
    let local = project.hephy(["build", "--arch", "amd64"]).env("HEPHY_REGISTRY", project.registry());
    local.run().fails(3, &[&sentence]);
    // A job without a checkout goes by what GitLab says, over a checkout that an earlier pipeline left.
    let job =
        |head: &str| project.ci("gitlab-push", &[(HEAD, head)], ["manifest"]).env("HEPHY_REGISTRY", project.registry());
    job(&old).run().ok();
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    job(&new).run().fails(3, &[&sentence]);
    job(&old).run().ok();
}

#[test]
fn values_that_are_none_are_said_with_the_variable_that_holds_them() {
    let project = Project::with(&["a"]);
    for (name, value) in [
        ("HEPHY_BACKEND", "kanico"),
        ("HEPHY_LAYOUT", "flat"),
        ("HEPHY_DEPENDENTS", "some"),
        ("HEPHY_INSECURE_ALL", "maybe"),
        ("HEPHY_BACKENDS", "kanico"),
        ("HEPHY_ARCHES", "amd46"),
        ("HEPHY_REGISTRY", "not a registry"),
        ("HEPHY_INSECURE_REGISTRIES", "a b"),
    ] {
        let outcome = stage(&project, ["prepare", "--all"]).env(name, value).run();
        outcome.fails(2, &[if name == "HEPHY_REGISTRY" { "not a registry" } else { name }]);
        assert!(!project.out("plan.json").exists(), "{name}");
    }
    stage(&project, ["prepare", "--all"]).run().ok();
    let wrong = |args: &[&'static str], name: &str, value: &str| {
        stage(&project, args.iter().copied()).env(name, value).run().fails(2, &[name]);
    };
    wrong(&["manifest"], "HEPHY_ALLOW_PARTIAL", "perhaps");
    wrong(&["build", "--arch", "amd64"], "HEPHY_RETRIES", "many");
    wrong(&["build", "--arch", "amd64"], "HEPHY_RETRY_WAIT", "-1");
    nothing_was_built(&project);
}

/// CI templates set all their variables, most of them to nothing.
#[test]
fn an_empty_variable_is_not_set() {
    let project = Project::with(&["a"]);
    let empty = |args: &[&'static str]| {
        let names = ["BACKENDS", "ARCHES", "LAYOUT", "DEPENDENTS", "OUT", "ALLOW_PARTIAL", "INSECURE_ALL", "RETRIES"];
        let more = ["RETRY_WAIT", "INSECURE_REGISTRIES", "BINARIES", "KANIKO", "KANIKO_IMAGE", "REGISTRY_PASSWORD"];
        let names = names.iter().chain(&more);
        names.fold(stage(&project, args.iter().copied()), |job, name| job.env(&format!("HEPHY_{name}"), ""))
    };
    empty(&["prepare", "--all"]).run().ok();
    empty(&["build", "--arch", "amd64"]).run().ok();
    empty(&["manifest"]).run().ok();
    let defaults = project.ci("gitlab-push", &[(HEAD, &project.repo.head())], ["plan", "--all", "--format", "json"]);
    let plan = defaults.env("HEPHY_BACKEND", "").env("HEPHY_REGISTRY", "").run().ok().json();
    assert_eq!(plan["images"][0]["backend"], "kaniko");
}
