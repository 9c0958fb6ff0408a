//! Random edits: what people do to a repository of images between two pushes.

use super::files::{File, is_free};
use super::generate::{self, Limits, add_file, content, glob, pattern};
use super::random::Random;
use super::stages;
use super::world::{Image, Line, World};

/// Changes something, and says what in a word.
pub(super) fn edit(random: &mut Random, world: &mut World, limits: Limits) -> &'static str {
    match random.below(30) {
        0..=6 => modify(random, world),
        7..=9 => add(random, world, limits),
        10 | 11 => delete(random, world),
        12 => rename(random, world),
        13 => mode(random, world),
        14 => relink(random, world),
        15 => move_dir(random, world),
        16 => readme(random, world),
        17 if !limits.buildable => move_image(random, world),
        18 if !limits.buildable => add_or_remove_image(random, world, limits),
        19 => root(random, world),
        20..=23 => dockerfile(random, world, limits),
        24 | 25 => excluded(random, world),
        _ => config(random, world, limits),
    }
}

fn any_path(random: &mut Random, world: &World) -> Option<Vec<u8>> {
    random.one_of(world.files.keys().cloned())
}

fn modify(random: &mut Random, world: &mut World) -> &'static str {
    let Some(path) = any_path(random, world) else { return "nothing" };
    let new = content(random);
    match world.files.get_mut(&path) {
        Some(File::Plain(content) | File::Program(content)) => *content = new,
        Some(File::Submodule(commit)) => *commit = generate::commit_id(random),
        _ => {}
    }
    "modify"
}

/// A directory that a context, or nothing, lies in.
fn place(random: &mut Random, world: &World) -> String {
    let contexts = world.images.values().flat_map(|image| [image.context_root(), format!("{}/", image.dir)]);
    let mut places: Vec<String> = contexts.collect();
    places.extend(["shared/".to_owned(), String::new(), "elsewhere/".to_owned()]);
    random.one_of(places).unwrap_or_default()
}

fn add(random: &mut Random, world: &mut World, limits: Limits) -> &'static str {
    let place = place(random, world);
    let mut all = world.written();
    let before = all.clone();
    add_file(random, &mut all, &place, limits);
    world.files.extend(all.into_iter().filter(|(path, _)| !before.contains_key(path)));
    "add"
}

fn delete(random: &mut Random, world: &mut World) -> &'static str {
    let path = any_path(random, world).filter(|path| !path.ends_with(b"keep.me"));
    path.map(|path| world.files.remove(&path));
    "delete"
}

fn rename(random: &mut Random, world: &mut World) -> &'static str {
    let Some(path) = any_path(random, world).filter(|path| !path.ends_with(b"keep.me")) else { return "nothing" };
    let dir = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let to = [&path[..dir], random.pick(&generate::FILES)].concat();
    if is_free(&world.written(), &to) && std::str::from_utf8(&path).is_ok() == std::str::from_utf8(&to).is_ok() {
        let file = world.files.remove(&path);
        world.files.extend(file.map(|file| (to, file)));
    }
    "rename"
}

fn mode(random: &mut Random, world: &mut World) -> &'static str {
    let Some(path) = any_path(random, world) else { return "nothing" };
    let file = world.files.get_mut(&path);
    if let Some(file) = file {
        *file = match file.clone() {
            File::Plain(content) => File::Program(content),
            File::Program(content) => File::Plain(content),
            other => other,
        };
    }
    "mode"
}

fn relink(random: &mut Random, world: &mut World) -> &'static str {
    let links = world.files.iter().filter(|(_, file)| matches!(file, File::Link(_))).map(|(path, _)| path.clone());
    let links: Vec<_> = links.collect();
    let path = if random.chance(60) { random.one_of(links) } else { any_path(random, world) };
    if let Some(path) = path.filter(|path| !path.ends_with(b"keep.me")) {
        let target = generate::link(random, b"");
        world.files.insert(path, File::Link(target));
    }
    "relink"
}

fn move_dir(random: &mut Random, world: &mut World) -> &'static str {
    let Some(path) = any_path(random, world) else { return "nothing" };
    let dirs: Vec<usize> = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).collect();
    let Some(end) = random.one_of(dirs) else { return "nothing" };
    let dir = path[..=end].to_vec();
    let to = [&dir[..dir.len() - 1], b"-moved/"].concat();
    let moved: Vec<Vec<u8>> = world.files.keys().filter(|path| path.starts_with(&dir)).cloned().collect();
    let all = world.written();
    for path in moved.iter().filter(|path| !path.ends_with(b"keep.me")) {
        let new = [to.as_slice(), &path[dir.len()..]].concat();
        if is_free(&all, &new) {
            let file = world.files.remove(path);
            world.files.extend(file.map(|file| (new, file)));
        }
    }
    "move a directory"
}

fn readme(random: &mut Random, world: &mut World) -> &'static str {
    let readmes = world.files.keys().filter(|path| path.ends_with(b"README.md")).cloned();
    let readmes: Vec<_> = readmes.collect();
    let new = format!("{}README.md", place(random, world)).into_bytes();
    let path = random.one_of(readmes).filter(|_| random.chance(60)).unwrap_or(new);
    if world.files.contains_key(&path) || is_free(&world.written(), &path) {
        let content = content(random);
        world.files.insert(path, File::Plain(content));
    }
    "README"
}

fn move_image(random: &mut Random, world: &mut World) -> &'static str {
    let Some(id) = random.one_of(world.images.keys().copied()) else { return "nothing" };
    let old = world.images[&id].dir.clone();
    let new = format!("{old}-2");
    let nested = world.images.values().any(|image| image.dir.starts_with(&format!("{old}/")));
    if nested || !world.is_free_dir(&new) || world.images[&id].of_repository {
        return "nothing";
    }
    let (from, to) = (format!("{old}/").into_bytes(), format!("{new}/").into_bytes());
    let moved: Vec<Vec<u8>> = world.files.keys().filter(|path| path.starts_with(&from)).cloned().collect();
    for path in moved {
        let file = world.files.remove(&path);
        world.files.extend(file.map(|file| ([to.as_slice(), &path[from.len()..]].concat(), file)));
    }
    world.images.entry(id).and_modify(|image| image.dir = new);
    "move an image"
}

fn add_or_remove_image(random: &mut Random, world: &mut World, limits: Limits) -> &'static str {
    if random.chance(50) && world.images.len() < limits.images {
        generate::add_image(random, world, limits);
        return "add an image";
    }
    if let Some(id) = random.one_of(world.images.keys().copied()).filter(|_| world.images.len() > 1) {
        world.remove(id);
    }
    "remove an image"
}

fn root(random: &mut Random, world: &mut World) -> &'static str {
    match random.below(4) {
        0 => world.root.platforms = if random.chance(50) { generate::platforms(random) } else { vec![] },
        1 => toggle(random, &mut world.root.ignore),
        _ => world.root.style = random.next(),
    }
    "hephy.yaml"
}

/// Takes a glob away, or adds one.
fn toggle(random: &mut Random, globs: &mut Vec<String>) {
    if random.chance(50) && !globs.is_empty() {
        globs.remove(random.below(globs.len()));
    } else {
        let new = glob(random);
        if !globs.contains(&new) {
            globs.push(new);
        }
    }
}

/// Some image, taken out of the world while it is edited.
fn with_image(random: &mut Random, world: &mut World, edit: impl FnOnce(&mut Random, &World, &mut Image)) {
    let Some(id) = random.one_of(world.images.keys().copied()) else { return };
    let mut image = world.images[&id].clone();
    let mut earlier = world.clone();
    earlier.images.retain(|other, _| *other < id);
    edit(random, &earlier, &mut image);
    let file = format!("{}{}", image.root(), image.dockerfile).into_bytes();
    let before = world.images.insert(id, image);
    // No edit may put a file where another one lies.
    let clash = world.files.contains_key(&file) || !paths_are_apart(world);
    if clash {
        world.images.extend(before.map(|image| (id, image)));
    }
}

fn paths_are_apart(world: &World) -> bool {
    let files = world.written();
    let mut seen = std::collections::BTreeSet::new();
    let distinct = world.images.values().all(|image| seen.insert(format!("{}{}", image.root(), image.dockerfile)));
    distinct
        && files
            .keys()
            .all(|path| (0..path.len()).filter(|at| path[*at] == b'/').all(|at| !files.contains_key(&path[..at])))
}

fn dockerfile(random: &mut Random, world: &mut World, limits: Limits) -> &'static str {
    with_image(random, world, |random, earlier, image| match random.below(6) {
        0 => image.dockerfile_style = random.next(),
        1 => {
            let at = random.below(image.stages.len());
            let to = format!("/e{}/", random.below(100_000));
            let line = stages::copy(random, earlier, image, &to, limits);
            image.stages[at].lines.push(Line::Text(line));
        }
        2 => {
            let at = random.below(image.stages.len());
            let lines = &mut image.stages[at].lines;
            if lines.len() > 1 {
                lines.remove(random.below(lines.len()));
            }
        }
        3 => {
            let stage = stages::stage(random, earlier, image, image.stages.len(), limits);
            image.stages.push(stage);
        }
        4 => {
            // In front of all others, where nothing leads to it.
            let stage = stages::stage(random, earlier, image, 0, limits);
            image.stages.insert(0, stage);
        }
        _ => {
            image.targets.clear();
            let target = random.one_of(image.stages.iter().map(|stage| stage.name.clone()));
            image.target = target.filter(|_| random.chance(60));
            if image.target.is_none() && random.chance(50) {
                image.targets = stages::targets(random, image);
            }
        }
    });
    "Dockerfile"
}

fn excluded(random: &mut Random, world: &mut World) -> &'static str {
    with_image(random, world, |random, _, image| {
        let mut beside = image.excluded.as_ref().is_some_and(|excluded| excluded.beside);
        match &mut image.excluded {
            None => image.excluded = Some(generate::excluded(random)),
            Some(excluded) => match random.below(5) {
                0 => image.excluded = None,
                1 => beside = !excluded.beside,
                2 => {
                    let at = random.below(excluded.lines.len() + 1);
                    excluded.lines.insert(at, pattern(random));
                }
                3 if excluded.lines.len() > 1 => drop(excluded.lines.remove(random.below(excluded.lines.len()))),
                _ => random.shuffle(&mut excluded.lines),
            },
        }
        image.excluded.iter_mut().for_each(|excluded| excluded.beside = beside);
    });
    ".dockerignore"
}

fn config(random: &mut Random, world: &mut World, limits: Limits) -> &'static str {
    with_image(random, world, |random, earlier, image| match random.below(12) {
        0..=2 => image.style = random.next(),
        3 => image.platforms = generate::platforms(random),
        4 => image.tags = vec![format!("v{}", random.below(5))],
        5 => image.retries = Some(1 + u32::try_from(random.below(5)).unwrap()),
        6 => set(random, &mut image.labels, "org.example.l"),
        7 => set(random, &mut image.args, "ARG"),
        8 => toggle(random, &mut image.watch),
        9 => toggle(random, &mut image.ignore),
        10 if limits.bases => {
            image.depends_on.clear();
            if random.chance(60) {
                image.depends_on.extend(random.one_of(earlier.images.keys().copied()));
            }
        }
        _ if !image.of_repository => {
            image.dockerfile = random.pick(&["Dockerfile", "docker/File", "Dockerfile.prod"]).to_owned();
        }
        _ => image.context = random.pick(&[".", "shared"]).to_owned(),
    });
    "configuration"
}

fn set(random: &mut Random, pairs: &mut Vec<(String, String)>, prefix: &str) {
    let key = format!("{prefix}{}", random.below(3));
    pairs.retain(|(name, _)| *name != key);
    if random.chance(70) {
        let value = random.pick(&["a", "b: c", "1.10", "#x", "yes", "", "q'uote\"s"]);
        pairs.push((key, value.to_owned()));
    }
}
