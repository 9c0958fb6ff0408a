//! The GitHub pack, run for real: act runs the action and the reusable workflow, called from a second repository, with
//! Buildah and a registry. What act hides (permissions, concurrency, what a fork may do) is asserted on the YAML.

mod action;
mod hostile;
mod modes;
mod release;
mod text;
pub(super) mod world;

use crate::pack::emulated::NEW;
use crate::support::registry::{Kind, Registry, USER};
use world::{Event, World, did};

#[test]
fn a_push_publishes_what_changed_and_the_outputs_arrive() {
    let world = World::new();
    world.image("b", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    let first = world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    let tags = world.tags();
    for tag in ["a-head", "a-latest", "b-head", "b-latest"] {
        assert!(tags.iter().any(|it| it == tag), "{tag}: {tags:?}\n{}", ran.said);
    }
    assert!(did(&ran, "build amd64") && did(&ran, "manifest") && !did(&ran, "check"), "{}", ran.said);
    let outputs = ran.said.lines().find(|line| line.contains("outputs of hephy: [")).expect("the caller's job");
    assert!(outputs.contains(r#"["a","b"] true"#), "{outputs}");
    assert!(outputs.contains(&format!(r#"{{"a":"{}@sha256:"#, world.registry())), "{outputs}");

    world.repo.write("b/text", "changed");
    world.commit("second");
    let ran = world.run(&Event::Push { before: &first }).succeeded();
    assert!(ran.said.contains(r#"outputs of hephy: ["b"] true {"b":"#), "{}", ran.said);

    let same = world.repo.head();
    let ran = world.run(&Event::Push { before: &same }).succeeded();
    assert!(ran.said.contains("outputs of hephy: [] false"), "{}", ran.said);
    assert!(!did(&ran, "build"), "{}", ran.said);
}

#[test]
fn a_pull_request_checks_a_chain_without_a_credential_and_publishes_nothing() {
    for fanout in ["arch", "image"] {
        let world = World::new().with("fan-out", fanout);
        world.built_on("b", "a");
        let base = world.commit("first");
        world.repo.git(&["checkout", "-q", "-b", "change"]);
        world.repo.write("a/text", "changed");
        world.commit("change");
        let ran = world.run_with(&Event::PullRequest { base: &base }, &["--secret", "GITHUB_TOKEN="]).succeeded();
        assert!(ran.said.contains(r#"outputs of hephy: ["a","b"] true"#), "{}", ran.said);
        let leg = if fanout == "arch" { "check amd64" } else { "check a+1-amd64" };
        assert!(did(&ran, leg), "{leg}: {}", ran.said);
        assert!(!did(&ran, "build") && !did(&ran, "manifest"), "{}", ran.said);
        assert_eq!(world.tags(), [""; 0]);
    }
}

#[test]
fn a_schedule_builds_its_list() {
    for fanout in ["arch", "image"] {
        let world = World::new().with("fan-out", fanout);
        world.image("b", "linux/amd64", "FROM scratch\nCOPY text /text\n");
        world.repo.write("rebuild-weekly.txt", "# these only\nb\n");
        world.commit("first");
        let ran = world.run(&Event::Schedule).succeeded();
        assert!(ran.said.contains(r#"outputs of hephy: ["b"] true {"b":"#), "{}", ran.said);
        assert!(!world.tags().iter().any(|tag| tag.starts_with("a-")));
    }
}

#[test]
fn a_manual_run_takes_arguments_and_publishes() {
    for fanout in ["arch", "image"] {
        let world = World::new().with("args", "--dir\na\n\n--force").with("fan-out", fanout);
        world.image("b", "linux/amd64", "FROM scratch\nCOPY text /text\n");
        world.commit("first");
        let ran = world.run(&Event::Manual).succeeded();
        assert!(ran.said.contains(r#"outputs of hephy: ["a"] true {"a":"#), "{}", ran.said);
        let ran = world.run(&Event::Manual).succeeded();
        assert!(ran.said.contains(r#"outputs of hephy: ["a"] true {"a":"#), "--force builds it again: {}", ran.said);
    }
}

#[test]
fn a_failing_image_fails_the_run_by_name_and_the_others_are_published() {
    for fanout in ["arch", "image"] {
        let world = World::new().with("fan-out", fanout);
        world.image("broken", "linux/amd64", "FROM scratch\nCOPY nothing /\n");
        world.built_on("after", "broken");
        world.commit("first");
        let ran = world.run(&Event::Push { before: NEW }).failed();
        assert!(ran.said.contains("broken/Dockerfile"), "{}", ran.said);
        let tags = world.tags();
        assert!(tags.iter().any(|tag| tag == "a-latest"), "{tags:?}\n{}", ran.said);
        assert!(!tags.iter().any(|tag| tag.starts_with("broken") || tag.starts_with("after")), "{tags:?}");
        let results = world.artifacts();
        let leg = if fanout == "arch" { "amd64" } else { "broken-amd64" };
        let kept = format!("hephy-build-{leg}/logs/broken-amd64.log");
        assert!(results.contains(&kept), "a failed leg hands on what it has: {results:?}");
        assert!(did(&ran, "manifest"), "{}", ran.said);
    }
}

#[test]
fn pull_request_target_is_refused_before_anything_is_checked_out() {
    let world = World::new();
    world.commit("first");
    let ran = world.run(&Event::Named("pull_request_target")).failed();
    assert!(ran.said.contains("pull_request_target is refused"), "{}", ran.said);
    assert!(!did(&ran, "prepare") && !did(&ran, "check") && !did(&ran, "build"), "{}", ran.said);
}

#[test]
fn a_runner_of_the_wrong_architecture_is_said_before_anything_is_built() {
    let world = World::new();
    world.image("b", "linux/arm64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    assert!(ran.said.contains("linux/arm64"), "{}", ran.said);
    assert!(!world.tags().iter().any(|tag| tag.starts_with("b-")), "{:?}", world.tags());
}

#[test]
fn without_credentials_the_job_says_where_they_are_looked_for_and_nothing_is_published() {
    let world = World::on(Registry::of(Kind::Password));
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    ran.says(&["(auth_error)", "HEPHY_REGISTRY_USERNAME", "::error"]);
    assert!(!ran.said.contains("outputs of hephy: [\"a\"] true {\"a\""), "{}", ran.said);
    let (user, password) = USER;
    let secrets = [format!("REGISTRY_USER={user}"), format!("REGISTRY_PASSWORD={password}")];
    let ran = world.run_with(&Event::Push { before: NEW }, &["--secret", &secrets[0], "--secret", &secrets[1]]);
    let ran = ran.succeeded();
    ran.says(&[r#"outputs of hephy: ["a"] true {"a":"#]);
    assert!(!ran.said.contains(password), "the password is masked");
}

#[test]
fn inputs_that_are_none_are_said_and_nothing_is_built() {
    for (input, value, said) in [
        ("registry", "not a registry", "not a registry"),
        ("layout", "flat", "HEPHY_LAYOUT"),
        ("backend", "kanico", "kanico"),
        ("dependents", "some", "HEPHY_DEPENDENTS"),
        ("runners", "[]", "HEPHY_GITHUB_RUNNERS"),
        ("args", "--no-such-flag", "--no-such-flag"),
    ] {
        let world = World::new().with(input, value);
        world.commit("first");
        let ran = world.run(&Event::Push { before: NEW }).failed();
        ran.says(&[said]);
        assert!(!did(&ran, "build") && !did(&ran, "manifest"), "{input}: {}", ran.said);
        assert_eq!(world.tags(), [""; 0], "{input}");
    }
}
