//! Names and texts of strangers reach every workflow, and change nothing.

use std::path::PathBuf;

use super::world::{Event, World, did};
use crate::pack::emulated::NEW;

/// Whoever runs this leaves a file beside the artifacts. git allows it in the name of a branch.
const COMMAND: &str = "$(touch${IFS}$STAND_IN_ARTIFACTS-owned)`id`;'\"${{github.token}}";

fn marker(world: &World) -> PathBuf {
    world.dir.path().join("artifacts-owned")
}

#[test]
fn hostile_names_run_nothing_and_forge_nothing() {
    let world = World::new().with("fan-out", "image");
    // No image, and in no one's way either.
    world.repo.write(format!("x{COMMAND}/file"), "text");
    let message = format!("{COMMAND}\n::set-output name=images::forged\n##[error]forged\n::error::forged");
    let base = world.commit(&message);
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    assert!(ran.said.contains(r#"outputs of hephy: ["a"] true {"a":"#), "{}", ran.said);

    let name = format!("x/{COMMAND}");
    world.repo.git(&["checkout", "-q", "-b", &name]);
    world.repo.write("a/text", "changed");
    world.commit(&message);
    let ran = world.run(&Event::PullRequest { base: &base }).succeeded();
    assert!(did(&ran, "check a-amd64") && !did(&ran, "build"), "{}", ran.said);
    let ran = world.run(&Event::Push { before: &base }).succeeded();
    assert!(did(&ran, "check a-amd64") && !did(&ran, "build"), "another branch is checked: {}", ran.said);
    world.repo.git(&["tag", &name]);
    let ran = world.run(&Event::Tag(&name)).succeeded();
    assert!(did(&ran, "build a-amd64") && !ran.said.contains("::forged"), "{}", ran.said);
    assert!(!marker(&world).exists(), "something ran");
}

#[test]
fn a_hostile_image_directory_is_refused_by_name_and_runs_nothing() {
    let world = World::new();
    let dir = format!("x{COMMAND}\n::error::forged");
    world.repo.write(format!("{dir}/build-config.yaml"), "use_local_context: true\n");
    world.repo.write(format!("{dir}/Dockerfile"), "FROM scratch\n");
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    assert!(ran.said.contains("x$(touch"), "it is named: {}", ran.said);
    assert!(!ran.said.lines().any(|line| line.trim_start().starts_with("::error::forged")), "{}", ran.said);
    assert!(!marker(&world).exists() && !did(&ran, "build"), "{}", ran.said);
    assert_eq!(world.tags(), [""; 0]);
}
