//! Source archives against `git clone --depth 1` followed by `tar czf`.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::measure::{Times, alternately, command, hephy, memory, ratio, run};
use crate::project::git;
use crate::report::{Report, megabytes, milliseconds};

const ROUNDS: usize = 5;
const FILES: usize = 5_000;

pub(crate) fn measure(report: &mut Report) {
    report.section("archive", "Source archives");
    report.text(
        "`hephy prepare` for one image whose source is another repository (planning, resolving, fetching and packing \
         included), against `git clone --depth 1` of a `file://` address followed by `tar czf`. 5,000 files of 40 KB, \
         half of them noise, half text. `tar` packs `.git` too unless it is told not to; both ways are measured.",
    );
    let world = World::new(FILES * 40_000, false);
    let (whole, bare) = (RefCell::new(Times::default()), RefCell::new(Times::default()));
    let (ours, _) = alternately(
        ROUNDS,
        || {
            world.clean();
            run(&mut world.prepare())
        },
        || {
            let clone = world.clone_shallow();
            let (with, without) = (world.tar(&[]), world.tar(&["--exclude=./.git"]));
            whole.borrow_mut().add(clone + with);
            bare.borrow_mut().add(clone + without);
            clone + with
        },
    );
    // The first round of each side warms the caches and does not count.
    let (whole, bare) = (whole.into_inner().without_first(), bare.into_inner().without_first());
    report.row(
        &["", "time", "of clone and tar", "of clone and tar without `.git`", "size"],
        &[
            "`hephy prepare`".into(),
            milliseconds(ours.fastest()),
            format!("{:.2}", ratio(&ours, &whole)),
            format!("{:.2}", ratio(&ours, &bare)),
            world.size("images/.hephy/app-source.tar.gz"),
        ],
    );
    report.row(
        &["", "time", "of clone and tar", "of clone and tar without `.git`", "size"],
        &["clone and tar".into(), milliseconds(whole.fastest()), String::new(), String::new(), world.size("whole.tgz")],
    );
    report.row(
        &["", "time", "of clone and tar", "of clone and tar without `.git`", "size"],
        &["without `.git`".into(), milliseconds(bare.fastest()), String::new(), String::new(), world.size("bare.tgz")],
    );
    report.target("source archive, against clone and tar", "≤ 0.70 ×", ratio(&ours, &whole), 0.7, " ×");
    report.target("source archive, against clone and tar without `.git`", "≤ 0.70 ×", ratio(&ours, &bare), 0.7, " ×");
    constant_memory(report, &world);
}

fn constant_memory(report: &mut Report, small: &World) {
    let large = World::new(1 << 30, true);
    let header = ["upstream", "peak memory of `hephy prepare`", "of its largest git"];
    let mut peaks = Vec::new();
    for (name, world) in [("200 MB", small), ("1 GiB", &large)] {
        world.clean();
        let used = memory(&mut world.prepare());
        report.row(&header, &[name.into(), megabytes(used.own), megabytes(used.child)]);
        peaks.push(used.own);
    }
    let growth = peaks[1] as f64 / peaks[0] as f64;
    report.target("source archive, memory for 1 GiB over that for 200 MB", "constant, ≤ 1.20 ×", growth, 1.2, " ×");
}

/// An upstream repository, and one with an image that is built from it.
struct World {
    temp: tempfile::TempDir,
}

impl World {
    fn new(bytes: usize, stored: bool) -> Self {
        let world = Self { temp: tempfile::tempdir().unwrap() };
        let upstream = world.path("upstream");
        std::fs::create_dir(&upstream).unwrap();
        git(&upstream, &["init", "-q", "-b", "main"]);
        // Compressing what nobody looks at would take most of the time here.
        let level = if stored { "core.compression=0" } else { "core.compression=1" };
        let mut import = command("git", &upstream)
            .args(["-c", level, "fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        fill(&mut std::io::BufWriter::new(import.stdin.take().unwrap()), bytes / FILES);
        assert!(import.wait().unwrap().success());

        let images = world.path("images");
        std::fs::create_dir_all(images.join("app")).unwrap();
        git(&images, &["init", "-q", "-b", "main"]);
        let config = format!("upstream_repo: {}\nupstream_ref: main\n", world.url());
        std::fs::write(images.join("app/build-config.yaml"), config).unwrap();
        git(&images, &["add", "."]);
        git(&images, &["-c", "user.name=B", "-c", "user.email=b@localhost", "commit", "-q", "-m", "One image"]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("upstream").display())
    }

    fn clean(&self) {
        let _ = std::fs::remove_dir_all(self.path("images/.hephy"));
    }

    fn prepare(&self) -> Command {
        let mut prepare = command(hephy(), &self.path("images"));
        prepare.args(["prepare", "--all", "--registry", "none"]).env("GIT_ALLOW_PROTOCOL", "https:ssh:file");
        prepare
    }

    fn clone_shallow(&self) -> std::time::Duration {
        let _ = std::fs::remove_dir_all(self.path("clone"));
        run(command("git", self.temp.path()).args(["clone", "-q", "--depth", "1", &self.url(), "clone"]))
    }

    fn tar(&self, args: &[&str]) -> std::time::Duration {
        let name = if args.is_empty() { "whole.tgz" } else { "bare.tgz" };
        run(command("tar", self.temp.path()).args(["czf", name, "-C", "clone"]).args(args).arg("."))
    }

    fn size(&self, name: &str) -> String {
        std::fs::metadata(self.path(name)).map_or_else(|_| String::new(), |file| megabytes(file.len() / 1024))
    }
}

/// One commit with a Dockerfile and [`FILES`] files of `length` bytes, in the language of `git fast-import`.
fn fill(to: &mut impl std::io::Write, length: usize) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    to.write_all(b"commit refs/heads/main\ncommitter B <b@localhost> 1760529600 +0000\ndata 3\nall\n").unwrap();
    to.write_all(b"M 100644 inline Dockerfile\ndata 13\nFROM scratch\n\n").unwrap();
    let mut content = Vec::with_capacity(length + 64);
    for number in 0..FILES {
        content.clear();
        while content.len() < length {
            if number % 2 == 0 {
                content.extend_from_slice(&noise().to_le_bytes());
            } else {
                let word = noise() % 5_000;
                let _ = write!(content, "let value_{word} = compute({});", word * 7);
                content.push(b'\n');
            }
        }
        let mut head = String::new();
        let _ = write!(head, "M 100644 inline dir{}/file{number}\ndata {}\n", number % 100, content.len());
        to.write_all(head.as_bytes()).unwrap();
        to.write_all(&content).unwrap();
        to.write_all(b"\n").unwrap();
    }
}
