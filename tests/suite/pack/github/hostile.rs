//! Names and texts of strangers reach every workflow, and change nothing.

use super::NEW;
use super::world::{Event, World};

const COMMAND: &str = "$(touch${IFS}/tmp/hephy-owned)`id`;'\"${{github.token}}";

#[test]
fn hostile_names_run_nothing_and_forge_nothing() {
    let marker = std::path::Path::new("/tmp/hephy-owned");
    assert!(!marker.exists());
    let world = World::new().with("fan-out", "image");
    // No image name, and in no one's way either.
    world.repo.write(format!("x{COMMAND}/file"), "text");
    let message = format!("{COMMAND}\n::set-output name=images::forged\n##[error]forged\n::error::forged");
    let base = world.commit(&message);
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    assert!(ran.said.contains(r#"outputs of hephy: ["a"] true {"a":"#), "{}", ran.said);

    // git allows this much in the name of a branch and of a tag.
    let name = "x/$(touch${IFS}/tmp/hephy-owned)`id`;'\"";
    world.repo.git(&["checkout", "-q", "-b", name]);
    world.repo.write("a/text", "changed");
    world.commit(&message);
    world.run(&Event::PullRequest { base: &base }).succeeded();
    let ran = world.run(&Event::Push { before: &base }).succeeded();
    assert!(ran.ran("check a-amd64") && !ran.ran("build"), "another branch is checked: {}", ran.said);
    world.repo.git(&["tag", name]);
    world.run(&Event::Tag(name)).succeeded();
    assert!(!marker.exists(), "something ran");
}

#[test]
fn a_hostile_image_directory_is_refused_by_name_and_runs_nothing() {
    let marker = std::path::Path::new("/tmp/hephy-owned-2");
    let world = World::new();
    let dir = "x$(touch${IFS}$PWD)`touch hephy-owned-2`\n::error::forged";
    world.repo.write(format!("{dir}/build-config.yaml"), "use_local_context: true\n");
    world.repo.write(format!("{dir}/Dockerfile"), "FROM scratch\n");
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    assert!(!ran.said.lines().any(|line| line.trim_start().starts_with("::error::forged")), "{}", ran.said);
    assert!(!marker.exists() && !ran.ran("build"), "{}", ran.said);
    assert_eq!(world.tags(), [""; 0]);
}
