//! Random Dockerfiles.

use super::generate::Limits;
use super::random::Random;
use super::world::{From, Image, Line, Stage, Target, World};
use super::written::ARCHITECTURES;

pub(super) fn stages(random: &mut Random, world: &World, image: &mut Image, limits: Limits) {
    let count = 1 + random.below(3);
    for at in 0..count {
        let stage = stage(random, world, image, at, limits);
        image.stages.push(stage);
    }
    match random.below(100) {
        0..=24 => image.target = random.one_of(image.stages.iter().map(|stage| stage.name.clone())),
        25..=39 => image.targets = targets(random, image),
        _ => {}
    }
}

/// Some stages, not in their order.
pub(super) fn targets(random: &mut Random, image: &Image) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for (at, stage) in image.stages.iter().enumerate() {
        if at == 0 || random.chance(60) {
            let name = random.chance(40).then(|| format!("t{at}"));
            found.push(Target { stage: stage.name.clone(), name });
        }
    }
    random.shuffle(&mut found);
    found
}

/// A stage behind `at` others.
pub(super) fn stage(random: &mut Random, world: &World, image: &Image, at: usize, limits: Limits) -> Stage {
    let earlier = image.stages.get(..at).unwrap_or_default();
    let on = random.one_of(world.images.keys().copied());
    let from = match (random.below(10), on) {
        (0..=2, Some(on)) if limits.bases => From::Image(on),
        (3, Some(on)) if limits.bases && world.root.registry => match random.below(3) {
            0 => From::Outright(on),
            of => From::Argument { on, of_config: of == 1 },
        },
        (7, Some(on)) if limits.bases && !limits.buildah && random.chance(40) => {
            From::ForOne { on, architecture: random.pick(&ARCHITECTURES) }
        }
        (4, _) if !limits.buildable => From::Other(random.pick(&["alpine:3.20", "docker.io/library/busybox:1"])),
        (5 | 6, _) => random.one_of(earlier.iter().map(|stage| stage.name.clone())).map_or(From::Scratch, From::Stage),
        _ => From::Scratch,
    };
    let mut lines: Vec<Line> = Vec::new();
    for number in 0..1 + random.below(3) {
        lines.push(Line::Text(copy(random, world, image, &format!("/s{at}c{number}/"), limits)));
    }
    if let Some(stage) = random.one_of(earlier.iter().map(|stage| stage.name.clone())).filter(|_| random.chance(60)) {
        lines.push(Line::Text(format!("COPY --from={stage} / /of-{stage}/")));
    }
    if let Some(on) = on.filter(|_| limits.bases && world.root.registry && random.chance(8)) {
        lines.push(Line::CopyFrom(on));
    }
    if random.chance(10) && !limits.buildable {
        lines.push(Line::Text(
            random
                .pick(&[
                    "RUN --mount=type=bind,source=src,target=/m true",
                    "RUN --mount=type=bind,target=/m true",
                    "ONBUILD COPY file /onbuild/",
                    "RUN true",
                    "ARG UNUSED",
                    "ENV A=b",
                    "USER 1",
                ])
                .to_owned(),
        ));
    }
    // Names that no other stage has, now or later.
    Stage { name: format!("st{}", random.below(1_000_000)), from, lines }
}

/// An instruction that takes something of the context, if the dice will at all.
pub(super) fn copy(random: &mut Random, world: &World, image: &Image, to: &str, limits: Limits) -> String {
    let written = world.files.keys().filter_map(|path| path.strip_prefix(image.context_root().as_bytes()));
    let plain = |path: &&[u8]| path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"./_".contains(byte));
    let file = random.one_of(written.clone().filter(plain).map(|path| String::from_utf8(path.to_vec()).unwrap()));
    // BuildKit takes a source that begins with `!` for an exclusion: it finds no file, whatever is there. To hephy it counts.
    let odd = random.one_of(written.filter(|path| {
        std::str::from_utf8(path).is_ok()
            && !path.starts_with(b"!")
            && !path.iter().any(|byte| b"*?[\\\n\"\t$".contains(byte))
    }));
    let dir = file.as_deref().and_then(|file| file.rsplit_once('/')).map(|(dir, _)| dir.to_owned());
    let verb = if random.chance(15) { "ADD" } else { "COPY" };
    match (random.below(14), file, dir, odd) {
        (0 | 1, ..) => format!("{verb} . {to}"),
        (2..=4, Some(file), ..) => format!("{verb} {file} {to}"),
        (5, Some(file), ..) => format!("{verb} ./{file} {to}"),
        (6, Some(file), ..) => format!("{verb} /{file} {to}"),
        (7 | 8, _, Some(dir), _) => format!("{verb} {dir} {to}"),
        (9, _, Some(dir), _) => format!("{verb} {dir}/ {to}"),
        (10, Some(file), Some(dir), _) => format!("{verb} {dir}/../{file} keep.me {to}"),
        (11, .., Some(odd)) => format!("{verb} [\"{}\", \"{to}\"]", String::from_utf8_lossy(odd)),
        (12, ..) if random.chance(50) => format!("{verb} {} {to}", random.pick(&["*.txt", "src/*", "f?le*", "*"])),
        (12, ..) if !limits.buildable => format!("COPY missing {to}"),
        _ if limits.buildah => format!("COPY keep.me {to}"),
        _ => format!("COPY <<EOF {to}inline\n{}\nEOF", random.below(9)),
    }
}
