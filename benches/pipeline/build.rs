//! `hephy build` of one image against the builder with the same arguments.

use std::process::Command;
use std::time::Duration;

use crate::measure::{Times, alternately, command, ratio, run};
use crate::project::Project;
use crate::recorder::{Recorder, Stopwatch};
use crate::report::{Report, milliseconds};
use crate::support::builders;

const HEADER: [&str; 6] = ["builder", "image", "`hephy build`", "of that hephy's own", "builder alone", "ratio"];

pub(crate) fn measure(report: &mut Report) {
    report.section("build", "The build stage");
    report.text(
        "`hephy build` of one image, from start to end, against the commands that hephy itself starts: they are \
         recorded once, with their arguments and environment, and repeated without it. Both sides push to a registry \
         on loopback; between two builds the builder's storage is emptied, and that time does not count. The small \
         image holds a program, the large ones four layers of 64 MiB of data, half of it noise; no image has a `RUN`. \
         What hephy does more: it reads the plan, looks for the builder, and confirms in the registry the digest, the \
         platform and the programs of what was pushed. A layer that begins with a program costs 4 MiB of reading, one \
         without any 20 MiB: the large image without programs is the worst case. Two runs of a builder differ by more \
         than what is looked for, so hephy's own time is taken inside its run: all of it but the time between start and \
         end of the builder's commands. The ratio compares whole runs, and holds that noise.",
    );
    for builder in [Builder::buildah(), Builder::buildkit()] {
        let name = builder.name;
        let sides = compare(&builder, SMALL, 15);
        row(report, &builder, SMALL, &sides);
        let what = format!("build stage, {name}, small image");
        report.target(&what, "≤ 50 ms over the builder", sides.own.fastest().as_secs_f64() * 1000.0, 50.0, " ms");
        for image in [LARGE, DATA] {
            let sides = compare(&builder, image, 4);
            row(report, &builder, image, &sides);
            let what = format!("build stage, {name}, {} image", image.name);
            let percent = 100.0 * ratio(&sides.own, &sides.theirs);
            report.target(&what, "≤ 2 % over the builder", percent, 2.0, " %");
        }
    }
}

/// What is built.
#[derive(Clone, Copy)]
struct Image {
    name: &'static str,
    layers: usize,
    /// Bytes of data in each layer.
    length: usize,
    /// Whether each layer holds a program before the data.
    programs: bool,
}

const SMALL: Image = Image { name: "small", layers: 1, length: 1_000, programs: true };
const LARGE: Image = Image { name: "large", layers: 4, length: 64 << 20, programs: true };
const DATA: Image = Image { name: "large-without-programs", layers: 4, length: 64 << 20, programs: false };

/// The times of whole runs, of hephy's part of its runs, and of the builder alone.
struct Sides {
    ours: Times,
    own: Times,
    theirs: Times,
}

fn row(report: &mut Report, builder: &Builder, image: Image, sides: &Sides) {
    let Sides { ours, own, theirs } = sides;
    report.row(
        &HEADER,
        &[
            builder.name.into(),
            image.name.into(),
            milliseconds(ours.fastest()),
            milliseconds(own.fastest()),
            milliseconds(theirs.fastest()),
            format!("{:.3}", ratio(ours, theirs)),
        ],
    );
}

/// A builder with a storage of its own.
pub(crate) struct Builder {
    pub(crate) name: &'static str,
    pub(crate) backend: &'static str,
    program: &'static str,
    /// First arguments of the commands that build and push.
    commands: &'static [&'static str],
    /// Empties the storage.
    empty: &'static [&'static str],
    env: (String, String),
    _storage: tempfile::TempDir,
}

impl Builder {
    pub(crate) fn buildah() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let env = builders::buildah(storage.path());
        let (commands, empty): (&[_], &[_]) = (&["build", "push"], &["rmi", "--all", "--force"]);
        Self { name: "Buildah", backend: "buildah", program: "buildah", commands, empty, env, _storage: storage }
    }

    pub(crate) fn buildkit() -> Self {
        let env = ("BUILDKIT_HOST".into(), builders::buildkit().into());
        let (commands, empty): (&[_], &[_]) = (&["build"], &["prune", "--all"]);
        let storage = tempfile::tempdir().unwrap();
        Self { name: "BuildKit", backend: "buildkit", program: "buildctl", commands, empty, env, _storage: storage }
    }

    pub(crate) fn with_storage<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(&self.env.0, &self.env.1)
    }

    pub(crate) fn clean(&self, project: &Project) {
        run(self.with_storage(command(builders::tool(self.program), &project.root()).args(self.empty)));
    }
}

fn compare(builder: &Builder, image: Image, rounds: usize) -> Sides {
    let project = Project::new();
    let mut dockerfile = String::from("FROM scratch\n");
    for layer in 0..image.layers {
        project.write(&format!("app/{layer}/data"), half_noise(image.length, layer as u64 + 1));
        if image.programs {
            project.write(&format!("app/{layer}/busybox"), std::fs::read(builders::busybox()).unwrap());
        }
        dockerfile += &format!("COPY {layer} /{layer}\n");
    }
    project.write("app/Dockerfile", dockerfile);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    project.write("app/build-config.yaml", format!("use_local_context: true\nplatforms: [linux/{arch}]\n"));
    project.commit();
    project.prepare(&format!("{}/{}-{}", builders::registry(), builder.backend, image.name), builder.backend);

    let build = || {
        let mut build = project.hephy(&["build", "--arch", arch]);
        builder.with_storage(&mut build);
        build
    };
    let recorder = Recorder::new(project.beside("record"), &builders::tool(builder.program), project.out("work"));
    run(build().env("PATH", recorder.path()));
    let clean = |work: &dyn Fn() -> Duration| {
        builder.clean(&project);
        work()
    };
    let stopwatch = Stopwatch::new(project.beside("stopwatch"), &builders::tool(builder.program));
    let mut own = Times::default();
    let ours = || {
        let whole = clean(&|| run(build().env("PATH", stopwatch.path())));
        own.add(whole.saturating_sub(stopwatch.take(builder.commands)));
        whole
    };
    let theirs = || clean(&|| recorder.replay(builder.commands));
    let (ours, theirs) = alternately(rounds, ours, theirs);
    // The first round warms caches.
    Sides { ours, own: own.without_first(), theirs }
}

/// Bytes that compress to a little over their half.
fn half_noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(length + 128);
    while bytes.len() < length {
        for _ in 0..8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.extend_from_slice(&[b'x'; 64]);
    }
    bytes.truncate(length);
    bytes
}
