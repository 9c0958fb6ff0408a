//! Fan-out `image`: one leg for each image and architecture, in waves.

use super::NEW;
use super::world::{Event, World};

#[test]
fn a_chain_longer_than_the_waves_is_built_leg_by_leg() {
    let world = World::new().with("fan-out", "image");
    world.built_on("b", "a").built_on("c", "b").built_on("d", "c").built_on("e", "d");
    world.image("z", "linux/amd64, linux/386", "FROM scratch\nCOPY text /text\n");
    let world = world.with("runners", r#"{"386": ["ubuntu-24.04"]}"#);
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    for leg in ["a-amd64", "b-amd64", "c-amd64", "d+1-amd64", "z-amd64", "z-386"] {
        assert!(ran.ran(&format!("build {leg}")), "{leg}: {}", ran.said);
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
        let world = World::new().with("fan-out", fanout).with("args", "--dir=a");
        world.commit("first");
        world.run(&Event::Manual).succeeded();
        let ran = world.run(&Event::Manual).succeeded();
        assert!(ran.said.contains("outputs of hephy: [] false"), "{}", ran.said);
        assert!(ran.ran("manifest") && !ran.ran("build"), "{}", ran.said);
    }
}

#[test]
fn an_unknown_fan_out_is_said_and_nothing_is_built() {
    let world = World::new().with("fan-out", "images");
    world.commit("first");
    let ran = world.run(&Event::Push { before: NEW }).failed();
    assert!(ran.said.contains("HEPHY_FANOUT cannot be `images`"), "{}", ran.said);
    assert!(!ran.ran("build") && !ran.ran("manifest") && !ran.ran("check"), "{}", ran.said);
    assert_eq!(world.tags(), [""; 0]);
}
