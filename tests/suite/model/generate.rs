//! Random repositories.

use super::files::{File, Files, is_free};
use super::random::Random;
use super::stages;
use super::world::{Excluded, Image, Root, World};

const DIRS: [&str; 14] = [
    "app",
    "base",
    "lib",
    "web",
    "img-1",
    "tools/x",
    "tools/y",
    "tools/x/nested",
    "svc/a",
    "svc/b",
    "deep/er/est",
    "app/inner",
    "x_y",
    "Upper",
];
/// Directories below contexts.
pub(super) const BELOW: [&[u8]; 12] = [
    b"",
    b"src",
    b"src/sub",
    b"docs",
    b"testdata",
    b"node_modules/m",
    b"-d",
    b"sp ace",
    b"\xff\xfe",
    b".hidden",
    b"a.b",
    b"docs/docs",
];
pub(super) const FILES: [&[u8]; 28] = [
    b"file",
    b"file.txt",
    b"data.bin",
    b"x.log",
    b"y.md",
    b"main.go",
    b"f",
    b"README.md",
    b"README.md",
    b"readme.md",
    b"README",
    b"sp ace",
    b"new\nline",
    b"-dash",
    b"--from=x",
    b"\xc3\xbcn\xc3\xafcode",
    b"\xff",
    b"a*b",
    b"[x]",
    b"q?",
    b"back\\slash",
    b".hidden",
    b"#hash",
    b"!bang",
    b"quote\"s",
    b"tab\t",
    b"Makefile",
    b"keep.me",
];
const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
const PATTERNS: [&str; 36] = [
    "*.log",
    "**/*.log",
    "*.md",
    "**/*.md",
    "!README.md",
    "src",
    "src/",
    "/src",
    "./src",
    "src/*",
    "src/**",
    "!src/main.go",
    "docs",
    "!docs/keep.me",
    "**/testdata",
    "testdata/**",
    "*",
    "!src",
    "!file*",
    "# a comment",
    "",
    "  *.bin  ",
    "*/sub",
    "node_modules",
    "**/node_modules",
    ".hidden",
    "**/.*",
    "f?le",
    "[a-f]*",
    "[^a-f]*.txt",
    "\\!bang",
    "\\#hash",
    "sp ace",
    "**",
    "!**/keep.me",
    "docs/../src",
];
const GLOBS: [&str; 12] = [
    "**/*.log",
    "*/src/**",
    "**/testdata/**",
    "app/**",
    "shared/docs/**",
    "**/file",
    "shared/*",
    "**/[x]",
    "*/Makefile",
    "**/q?",
    "**/.hidden",
    "lib/src/main.go",
];

/// What may be generated: some real parts take less than git does.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// Only what every builder can build without a network: no `RUN`, no bases of other repositories.
    pub(super) buildable: bool,
    /// Only what Buildah knows: no here-documents, no arguments that hold the platform in front of all stages.
    pub(super) buildah: bool,
    /// Whether images may be built on each other.
    pub(super) bases: bool,
    /// Whether a registry is named, which makes comparisons that publish ask it.
    pub(super) registry: bool,
    /// At most this many images.
    pub(super) images: usize,
}

pub(super) fn world(random: &mut Random, limits: Limits) -> World {
    let mut root = Root { registry: limits.registry, style: random.next(), ..Root::default() };
    root.per_image = random.chance(25);
    if random.chance(20) {
        root.platforms = platforms(random);
    }
    if random.chance(20) {
        root.ignore = some(random, &GLOBS, 2);
    }
    let mut world = World { images: Default::default(), files: Files::new(), root, next: 0 };
    for _ in 0..3 + random.below(6) {
        add_file(random, &mut world.files, "shared/", limits);
    }
    if random.chance(50) {
        add_file(random, &mut world.files, "", limits);
    }
    for _ in 0..1 + random.below(limits.images) {
        add_image(random, &mut world, limits);
    }
    world
}

pub(super) fn some(random: &mut Random, all: &[&str], most: usize) -> Vec<String> {
    let mut found: Vec<String> = (0..1 + random.below(most)).map(|_| random.pick(all).to_owned()).collect();
    found.dedup();
    found
}

pub(super) fn platforms(random: &mut Random) -> Vec<&'static str> {
    let mut found: Vec<&str> = PLATFORMS.into_iter().filter(|_| random.chance(40)).collect();
    if found.is_empty() {
        found.push(PLATFORMS[random.below(2)]);
    }
    found
}

pub(super) fn content(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => Vec::new(),
        1 => vec![0, 0xff, b'\n'],
        _ => format!("{}\n", random.below(1000)).into_bytes(),
    }
}

/// A new file below `prefix`; none when the place that chance chose is taken.
pub(super) fn add_file(random: &mut Random, files: &mut Files, prefix: &str, limits: Limits) {
    let (dir, name) = (random.pick(&BELOW), random.pick(&FILES));
    let mut path = prefix.as_bytes().to_vec();
    if !dir.is_empty() {
        path.extend_from_slice(dir);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if !is_free(files, &path) || limits.buildable && std::str::from_utf8(&path).is_err() {
        return;
    }
    let file = match random.below(10) {
        0 => File::Program(content(random)),
        1 => File::Link(link(random, dir)),
        2 if !limits.buildable && random.chance(15) => File::Submodule(commit_id(random)),
        _ => File::Plain(content(random)),
    };
    files.insert(path, file);
}

/// A commit of another repository.
pub(super) fn commit_id(random: &mut Random) -> Vec<u8> {
    format!("{:040x}", random.next()).into_bytes()
}

/// What a link in `dir` (of a context) holds: often something of the context.
pub(super) fn link(random: &mut Random, dir: &[u8]) -> Vec<u8> {
    let up = "../".repeat(if dir.is_empty() { 0 } else { dir.split(|byte| *byte == b'/').count() });
    let target = random.pick(&["file", "src", "src/main.go", "docs", "nowhere", "src/sub", "."]);
    match random.below(6) {
        0 => b"../outside".to_vec(),
        1 => b"/absolute".to_vec(),
        _ => format!("{up}{target}").into_bytes(),
    }
}

pub(super) fn add_image(random: &mut Random, world: &mut World, limits: Limits) {
    let Some(dir) = random.one_of(DIRS.into_iter().filter(|dir| world.is_free_dir(dir))) else { return };
    let id = world.next;
    world.next += 1;
    let mut image = Image {
        dir: dir.to_owned(),
        of_repository: random.chance(20),
        context: ".".to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: None,
        targets: vec![],
        args: vec![],
        platforms: if random.chance(50) { platforms(random) } else { vec![] },
        tags: vec![],
        labels: vec![],
        watch: if random.chance(15) { some(random, &GLOBS, 2) } else { vec![] },
        ignore: if random.chance(20) { some(random, &GLOBS, 3) } else { vec![] },
        depends_on: vec![],
        retries: None,
        stages: vec![],
        excluded: None,
        style: random.next(),
        dockerfile_style: random.next(),
    };
    if image.of_repository {
        image.dockerfile = format!("{dir}/Dockerfile");
        if random.chance(60) {
            image.context = random.pick(&["shared", "shared", dir]).to_owned();
        }
    } else {
        if random.chance(20) {
            image.context = "src".to_owned();
        }
        if random.chance(15) {
            image.dockerfile = random.pick(&["docker/File", "Dockerfile.prod", "src/Dockerfile"]).to_owned();
        }
    }
    image.excluded = random.chance(50).then(|| excluded(random));
    for _ in 0..2 + random.below(8) {
        add_file(random, &mut world.files, &format!("{dir}/"), limits);
    }
    // A context must hold something to be one.
    let keep = format!("{}keep.me", image.context_root()).into_bytes();
    if is_free(&world.files, &keep) {
        world.files.insert(keep, File::Plain(b"kept\n".to_vec()));
    }
    stages::stages(random, world, &mut image, limits);
    if random.chance(10) && limits.bases {
        image.depends_on.extend(random.one_of(world.images.keys().copied()));
    }
    world.images.insert(id, image);
}

pub(super) fn excluded(random: &mut Random) -> Excluded {
    Excluded { beside: random.chance(25), lines: some(random, &PATTERNS, 5) }
}

pub(super) fn pattern(random: &mut Random) -> String {
    random.pick(&PATTERNS).to_owned()
}

pub(super) fn glob(random: &mut Random) -> String {
    random.pick(&GLOBS).to_owned()
}
