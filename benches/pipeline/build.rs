//! `hephy build` of one image against the builder with the same arguments.

use std::process::Command;
use std::time::Duration;

use crate::measure::{Times, alternately, command, difference, ratio, run};
use crate::project::Project;
use crate::recorder::Recorder;
use crate::report::{Report, milliseconds};
use crate::support::builders;

const HEADER: [&str; 6] = ["builder", "image", "`hephy build`", "builder alone", "over", "ratio"];

pub(crate) fn measure(report: &mut Report) {
    report.section("build", "The build stage");
    report.text(
        "`hephy build` of one image, from start to end, against the commands that hephy itself starts: they are \
         recorded once, with their arguments and environment, and repeated without it. Both sides push to a registry \
         on loopback; between two builds the builder's storage is emptied, and that time does not count. The small \
         image holds one file, the large one four layers of 64 MiB, half of it noise; neither has a `RUN`. What hephy \
         does more: it reads the plan, looks for the builder and its version, and confirms in the registry the digest, \
         the platform and the programs of what was pushed.",
    );
    for builder in [Builder::buildah(), Builder::buildkit()] {
        let (ours, theirs) = compare(&builder, 1, 1_000, 15);
        let over = row(report, &builder, "small", &ours, &theirs);
        let name = builder.name;
        report.target(&format!("build stage, {name}, small image"), "≤ 50 ms over the builder", over, 50.0, " ms");
        let (ours, theirs) = compare(&builder, 4, 64 << 20, 5);
        let over = row(report, &builder, "large", &ours, &theirs);
        let allowed = theirs.fastest().as_secs_f64() * 20.0;
        let percent = over / allowed * 2.0;
        report.target(&format!("build stage, {name}, large image"), "≤ 2 % over the builder", percent, 2.0, " %");
    }
}

fn row(report: &mut Report, builder: &Builder, image: &str, ours: &Times, theirs: &Times) -> f64 {
    let over = difference(ours, theirs);
    report.row(
        &HEADER,
        &[
            builder.name.into(),
            image.into(),
            milliseconds(ours.fastest()),
            milliseconds(theirs.fastest()),
            format!("{over:+.1} ms"),
            format!("{:.3}", ratio(ours, theirs)),
        ],
    );
    over
}

/// A builder with a storage of its own.
struct Builder {
    name: &'static str,
    backend: &'static str,
    program: &'static str,
    /// First arguments of the commands that build and push.
    commands: &'static [&'static str],
    /// Empties the storage.
    empty: &'static [&'static str],
    env: (String, String),
    _storage: tempfile::TempDir,
}

impl Builder {
    fn buildah() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let env = builders::buildah(storage.path());
        let (commands, empty): (&[_], &[_]) = (&["build", "push"], &["rmi", "--all", "--force"]);
        Self { name: "Buildah", backend: "buildah", program: "buildah", commands, empty, env, _storage: storage }
    }

    fn buildkit() -> Self {
        let env = ("BUILDKIT_HOST".into(), builders::buildkit().into());
        let (commands, empty): (&[_], &[_]) = (&["build"], &["prune", "--all"]);
        let storage = tempfile::tempdir().unwrap();
        Self { name: "BuildKit", backend: "buildkit", program: "buildctl", commands, empty, env, _storage: storage }
    }

    fn with_storage<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(&self.env.0, &self.env.1)
    }

    fn clean(&self, project: &Project) {
        run(self.with_storage(command(builders::tool(self.program), &project.root()).args(self.empty)));
    }
}

/// Builds an image of `layers` files of `length` bytes.
fn compare(builder: &Builder, layers: usize, length: usize, rounds: usize) -> (Times, Times) {
    let project = Project::new();
    let mut dockerfile = String::from("FROM scratch\n");
    for layer in 0..layers {
        project.write(&format!("app/file{layer}"), half_noise(length, layer as u64 + 1));
        dockerfile += &format!("COPY file{layer} /file{layer}\n");
    }
    project.write("app/Dockerfile", dockerfile);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    project.write("app/build-config.yaml", format!("use_local_context: true\nplatforms: [linux/{arch}]\n"));
    project.commit();
    project.prepare(&format!("{}/{}-{layers}", builders::registry(), builder.backend), builder.backend);

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
    let ours = || clean(&|| run(&mut build()));
    let theirs = || clean(&|| recorder.replay(builder.commands));
    alternately(rounds, ours, theirs)
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
