//! What the random repositories have, counted, so that the generator cannot wither unseen.

use super::files::File;
use super::history::Commit;
use super::world::{From, Image, Line, World};

type Has = fn(&Commit, &World) -> bool;

/// By name.
pub(super) const FEATURES: [(&str, Has); 22] = [
    ("several platforms", |_, world| world.images.keys().any(|id| world.platforms(*id).len() > 1)),
    ("target", |_, world| any(world, |image| image.target.is_some())),
    ("targets", |_, world| any(world, |image| !image.targets.is_empty())),
    (".dockerignore", |_, world| any(world, |image| image.excluded.as_ref().is_some_and(|it| !it.beside))),
    ("<Dockerfile>.dockerignore", |_, world| any(world, |image| image.excluded.as_ref().is_some_and(|it| it.beside))),
    ("watch", |_, world| any(world, |image| !image.watch.is_empty())),
    ("ignore", |_, world| any(world, |image| !image.ignore.is_empty())),
    ("ignore of all images", |_, world| !world.root.ignore.is_empty()),
    ("context_from: repository", |_, world| any(world, |image| image.of_repository)),
    ("depends_on", |_, world| any(world, |image| !image.depends_on.is_empty())),
    ("base through its variable", |_, world| on(world, |from| matches!(from, From::Image(_)))),
    ("base outright", |_, world| on(world, |from| matches!(from, From::Outright(_)))),
    ("base in an argument", |_, world| on(world, |from| matches!(from, From::Argument { of_config: false, .. }))),
    ("base in build_args", |_, world| on(world, |from| matches!(from, From::Argument { of_config: true, .. }))),
    ("base for one architecture", |_, world| on(world, |from| matches!(from, From::ForOne { .. }))),
    ("COPY --from an image", |_, world| line(world, |line| matches!(line, Line::CopyFrom(_)))),
    ("COPY with wildcards", |_, world| line(world, |line| matches!(line, Line::Text(text) if text.contains('*')))),
    ("COPY of literal paths", |_, world| {
        line(world, |line| matches!(line, Line::Text(text) if text.contains("keep.me")))
    }),
    ("symbolic link", |_, world| world.files.values().any(|file| matches!(file, File::Link(_)))),
    ("submodule", |_, world| world.files.values().any(|file| matches!(file, File::Submodule(_)))),
    ("rename", |commit, _| commit.what.contains("rename") || commit.what.contains("move")),
    ("merge", |commit, _| commit.parents.len() > 1),
];

/// Names of what a commit has.
pub(super) fn of(commit: &Commit) -> impl Iterator<Item = &'static str> {
    let has = |has: Has| commit.world.as_ref().is_some_and(|world| has(commit, world));
    FEATURES.into_iter().filter(move |(_, it)| has(*it)).map(|(name, _)| name)
}

fn any(world: &World, has: fn(&Image) -> bool) -> bool {
    world.images.values().any(has)
}

fn on(world: &World, is: fn(&From) -> bool) -> bool {
    world.images.values().flat_map(|image| &image.stages).any(|stage| is(&stage.from))
}

fn line(world: &World, is: fn(&Line) -> bool) -> bool {
    world.images.values().flat_map(|image| &image.stages).flat_map(|stage| &stage.lines).any(is)
}
