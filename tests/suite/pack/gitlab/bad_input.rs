//! Bad input through the template: a sentence and a next step in the job's log, its exit code, and nothing published.

use super::world::{Event, World, of_job};
use crate::pack::emulated::{NEW, Ran};
use crate::support::registry::{Kind, Registry, USER};

const PUSH: Event<'static> = Event::Push { before: NEW };

/// One image, and what a pipeline needs.
fn one(world: World) -> World {
    world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    world
}

/// How a job ended, and what it said.
#[track_caller]
fn ended(ran: &Ran, job: &str, code: i32, parts: &[&str]) {
    let said = of_job(ran, job);
    for part in parts {
        assert!(said.contains(part), "{job} lacks {part:?}:\n{}", ran.said);
    }
    let of_job = ran.said.lines().filter(|line| line.split_whitespace().next() == Some(job));
    let ends: Vec<&str> = of_job.filter_map(|line| line.split_once(" FAIL ")).map(|(_, code)| code.trim()).collect();
    assert_eq!(ends, [code.to_string()], "{job}:\n{}", ran.said);
}

#[test]
fn without_a_registry_prepare_says_what_to_set() {
    let world = one(World::new().with("registry", ""));
    let none = ["--variable", "CI_REGISTRY_IMAGE="];
    let ran = world.emulate(PUSH, &none).failed();
    ended(&ran, "prepare", 3, &["there is no registry to publish to (config_error)", "hint: ", "set HEPHY_REGISTRY"]);
    assert!(!world.artifact("build_amd64", "").exists(), "{}", ran.said);
}

#[test]
fn without_credentials_the_job_says_where_they_are_looked_for() {
    let world = one(World::on(Registry::of(Kind::Password)));
    let nobody = ["--variable", "CI_REGISTRY_USER=", "--variable", "CI_REGISTRY_PASSWORD="];
    let ran = world.emulate(PUSH, &nobody).failed();
    ran.says(&["(auth_error)", "HEPHY_REGISTRY_USERNAME"]);
    assert!(!world.artifact("manifest", "a.manifest.json").exists(), "{}", ran.said);

    let (user, password) = USER;
    let [user, password] = [format!("HEPHY_REGISTRY_USERNAME={user}"), format!("HEPHY_REGISTRY_PASSWORD={password}")];
    let ran = world.emulate(PUSH, &["--variable", &user, "--variable", &password]).succeeded();
    assert_eq!(world.images(), ["a"], "{}", ran.said);
    assert!(!ran.said.contains(USER.1), "the password is masked");
}

#[test]
fn artifacts_that_did_not_arrive_are_said_by_every_job() {
    let world = one(World::new());
    world.emulate(PUSH, &["prepare"]).succeeded();
    std::fs::remove_dir_all(world.artifact("prepare", "")).unwrap();
    let ran = world.emulate(PUSH, &["build_amd64"]).failed();
    let machine = super::super::core::machine();
    let missing = format!("error: .hephy/bin/{machine}/hephy is not there (config_error)");
    ended(&ran, "build_amd64", 3, &[&missing, "hint: prepare's artifacts did not arrive, so start a new pipeline"]);
    let ran = world.emulate(PUSH, &["manifest"]).failed();
    ended(&ran, "manifest", 3, &["there is no plan in ", "hand its artifacts on to this job"]);
    assert_eq!(world.tags(), [""; 0]);

    // prepare's are there, and those of the build are not.
    world.emulate(PUSH, &["prepare"]).succeeded();
    let ran = world.emulate(PUSH, &["manifest"]).failed();
    ended(&ran, "manifest", 9, &["there is no build result of a for linux/amd64", "did not arrive"]);
    assert_eq!(world.tags(), [""; 0]);
}

#[test]
fn artifacts_of_another_commit_are_neither_built_nor_published() {
    let world = one(World::new());
    world.emulate(PUSH, &["prepare"]).succeeded();
    world.emulate(PUSH, &["build_amd64"]).succeeded();
    let before = world.tags();
    let old = world.repo.head();
    world.repo.write("a/text", "changed");
    let new = world.commit("second");
    let sentence = format!("the plan is of commit {}, and this job is at {}", &old[..12], &new[..12]);
    for job in ["build_amd64", "manifest"] {
        let ran = world.emulate(PUSH, &[job]).failed();
        ended(&ran, job, 3, &[&sentence, "start a new pipeline"]);
    }
    assert_eq!(world.tags(), before);
}

#[test]
fn a_value_that_is_none_is_refused_by_gitlab_or_by_prepare() {
    let push = PUSH;
    for (input, value, said) in [
        ("layout", "flat", "`layout` input"),
        ("dependents", "some", "`dependents` input"),
        ("backend", "kanico", "`backend` input"),
        ("publish", "always", "`publish` input"),
        ("architectures", "s390x", "`architectures` input"),
        ("schedules", "../weekly", "`schedules` input"),
        ("job-prefix", "a:b", "`job-prefix` input"),
    ] {
        let world = World::new().with(input, value);
        world.commit("first");
        world.emulate(push, &["--list"]).failed().says(&[said]);
    }
    let registry = one(World::new().with("registry", "not a registry"));
    ended(&registry.emulate(push, &["prepare"]).failed(), "prepare", 2, &["not a registry", "hint: "]);
    let builders = one(World::new().with("builders", "kanico"));
    ended(&builders.emulate(push, &["prepare"]).failed(), "prepare", 2, &["HEPHY_BACKENDS", "hint: "]);
    let publish = one(World::new());
    let ran = publish.emulate(push, &["prepare", "--variable", "HEPHY_PUBLISH=always"]).failed();
    ended(&ran, "prepare", 2, &["HEPHY_PUBLISH cannot be `always`", "one of auto, tags"]);
}
