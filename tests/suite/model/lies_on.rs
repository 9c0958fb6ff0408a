//! Whether published images really lie on what [`lineage`](super::lineage) believes that they were built on: their layers
//! begin with those of their base, as it was published by the same run or was there before it.

use std::collections::BTreeSet;

use super::pipeline::{Head, Heads, Runner};
use super::world::{From, Image, World};

/// Why not, for images that a run published.
pub(super) fn wrongs(
    runner: &Runner,
    world: &World,
    planned: &BTreeSet<String>,
    (before, after): (&Heads, &Heads),
) -> Vec<String> {
    let moved = |name: &String| after.get(name).filter(|head| before.get(name) != Some(*head));
    let mut wrong = Vec::new();
    for image in world.images.values() {
        for (name, stage) in image.built() {
            let (Some(head), Some(base)) = (moved(&name), base(image, stage)) else { continue };
            let on = world.images[&base].referred();
            // A base that was built and may not move its tag is nowhere to be seen.
            let there = if planned.contains(&on) { moved(&on) } else { before.get(&on) };
            if there.is_some_and(|there| !lies_on(runner, (&name, head), (&on, there))) {
                wrong.push(format!("{name} does not lie on {on} as it was there"));
            }
        }
    }
    wrong
}

fn lies_on(runner: &Runner, (name, head): (&str, &Head), (on, base): (&str, &Head)) -> bool {
    head.children.iter().all(|(platform, child)| {
        base.children.get(platform).is_some_and(|below| {
            let (layers, below) = (runner.layers(name, child), runner.layers(on, below));
            layers.starts_with(&below)
        })
    })
}

/// The image that the stage which becomes an image is built on, on every platform.
fn base(image: &Image, stage: Option<&str>) -> Option<u32> {
    let named = |name: &str| image.stages.iter().find(|stage| stage.name == name);
    let mut stage = stage.map_or(image.stages.last(), named)?;
    while let From::Stage(below) = &stage.from {
        stage = named(below)?;
    }
    match stage.from {
        From::Image(on) => Some(on),
        _ => None,
    }
}
