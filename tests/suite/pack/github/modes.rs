//! Fan-out `image`: one leg for each image and architecture, in waves.

use super::world::{Event, World, did};
use crate::pack::emulated::NEW;

#[test]
fn a_chain_longer_than_the_waves_is_built_leg_by_leg() {
    let world = World::new().with("fan-out", "image");
    world.built_on("b", "a").built_on("c", "b").built_on("d", "c").built_on("e", "d");
    world.image("z", "linux/amd64, linux/386", "FROM scratch\nCOPY text /text\n");
    let world = world.with("runners", r#"{"386": ["ubuntu-24.04"]}"#);
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    for leg in ["a-amd64", "b-amd64", "c-amd64", "d+1-amd64", "z-amd64", "z-386"] {
        assert!(did(&ran, &format!("build {leg}")), "{leg}: {}", ran.said);
    }
    for image in ["a", "b", "c", "d", "e", "z"] {
        assert!(world.tags().contains(&format!("{image}-latest")), "{image}: {:?}\n{}", world.tags(), ran.said);
    }
    let artifacts = world.artifacts();
    for file in
        ["hephy-build-b-amd64/b-amd64.json", "hephy-build-d+1-amd64/e-amd64.json", "hephy-build-z-386/z-386.tag"]
    {
        assert!(artifacts.iter().any(|it| it == file), "{file}: {artifacts:?}");
    }
    let of_b: Vec<&String> = artifacts.iter().filter(|it| it.starts_with("hephy-build-b-amd64/")).collect();
    assert_eq!(of_b.len(), 3, "a leg hands on its own files only: {of_b:?}");
    let plan: Vec<&String> = artifacts.iter().filter(|it| it.starts_with("hephy-plan/")).collect();
    assert!(plan.iter().any(|it| *it == "hephy-plan/plan.json"), "{plan:?}");
    assert!(!plan.iter().any(|it| it.contains("/pack/") || it.contains("/bin/")), "{plan:?}");
}

#[test]
fn nothing_to_build_is_success() {
    for fanout in ["arch", "image"] {
        let world = World::new().with("fan-out", fanout);
        let head = world.commit("first");
        world.run(&Event::Push { before: NEW }).succeeded();
        let ran = world.run(&Event::Push { before: &head }).succeeded();
        assert!(ran.said.contains("outputs of hephy: [] false"), "{}", ran.said);
        assert!(did(&ran, "manifest") && !did(&ran, "build"), "{}", ran.said);
    }
}

#[test]
fn an_unknown_fan_out_is_said_and_nothing_is_built() {
    let world = World::new().with("fan-out", "images");
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    assert!(ran.said.contains("HEPHY_FANOUT cannot be `images`"), "{}", ran.said);
    assert!(!did(&ran, "build") && !did(&ran, "manifest") && !did(&ran, "check"), "{}", ran.said);
    assert_eq!(world.tags(), [""; 0]);
}

/// The same document as prepare's output, from the plan, for whoever writes own workflows.
#[test]
fn generate_github_prints_the_matrices_of_the_plan() {
    let world = World::new();
    let hephy = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hephy"));
        command.args(args).current_dir(world.repo.path()).env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.envs(variables.iter().copied()).env("HEPHY_BACKEND", "buildah").output().unwrap()
    };
    world.commit("first");
    let none = hephy(&["generate", "github"], &[]);
    assert_eq!(none.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&none.stderr).contains("run hephy prepare first"));
    assert!(hephy(&["prepare", "--all", "--registry", &world.registry()], &[]).status.success());
    let runners = ("HEPHY_GITHUB_RUNNERS", r#"{"amd64": ["self-hosted", "x64"]}"#);
    let printed = hephy(&["generate", "github"], &[("HEPHY_FANOUT", "image"), runners]);
    let document: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(document["waves"][0]["include"][0]["leg"], "a-amd64");
    assert_eq!(document["arch"]["include"][0]["runner"], serde_json::json!(["self-hosted", "x64"]));
    let written = hephy(&["generate", "github", "--output", "matrix.json"], &[]);
    assert!(written.status.success() && written.stdout.is_empty());
    let file = std::fs::read(world.repo.path().join("matrix.json")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(document["waves"].as_array().unwrap().len(), 4);
    let wrong = hephy(&["generate", "github"], &[("HEPHY_GITHUB_RUNNERS", "[]")]);
    assert_eq!(wrong.status.code(), Some(2));
}
