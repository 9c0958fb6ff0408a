//! `hephy plan` against the least that git needs to print what a plan is made from.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::gitlab;
use crate::measure::{Times, alternately, command, difference, hephy, memory, ratio, run};
use crate::project::git;
use crate::report::{Report, megabytes, milliseconds};

const ROUNDS: usize = 40;

pub(crate) fn measure(report: &mut Report) {
    report.section("plan", "`hephy plan`");
    report.text(
        "A repository of image directories with 20 files each, 60 of them changed between two commits, packed as after \
         a clone; the environment is that of a GitLab push pipeline, so only commits count. The floor is what git needs \
         to print the same input, one after the other: `git diff --name-only`, `git ls-tree -r -z`, and \
         `git cat-file --batch` of every configuration, Dockerfile and `.dockerignore` of the head. hephy starts those processes too and \
         works beside them, so the ratio needs a second core that is free. Peak memory is hephy's own (`VmHWM`); the \
         largest git process stands apart.",
    );
    let (ours, floor) = compare(report, 1_000, Content::Plain, ROUNDS);
    report.target("`hephy plan`, 1,000 directories", "≤ 2.00 × git", ratio(&ours, &floor), 2.0, " ×");
    let (ours, floor) = compare(report, 1_000, Content::Ignoring, ROUNDS);
    let what = "`hephy plan`, 1,000 directories with .dockerignore files";
    report.target(what, "≤ 3.00 × git", ratio(&ours, &floor), 3.0, " ×");
    let (ours_large, floor_large) = compare(report, 10_000, Content::Ignoring, 5);
    let growth = ratio(&ours_large, &ours);
    report.target("`hephy plan`, 10,000 directories for 1,000", "linear, ≤ 11 ×", growth, 11.0, " ×");
    report.text(&format!(
        "Ten times the directories take git {:.1} × and hephy {growth:.1} × the time.",
        ratio(&floor_large, &floor)
    ));
}

/// What the directories hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Configuration, Dockerfile, sources.
    Plain,
    /// And a `.dockerignore`.
    Ignoring,
}

fn compare(report: &mut Report, directories: usize, content: Content, rounds: usize) -> (Times, Times) {
    let repository = Repository::new(directories, 60, content);
    let (ours, floor) = alternately(rounds, || run(&mut repository.plan()), || repository.floor());
    let used = memory(&mut repository.plan());
    report.row(
        &["directories", "`hephy plan`", "git's floor", "ratio", "over the floor", "peak memory", "its largest git"],
        &[
            format!("{directories}{}", if content == Content::Ignoring { ", .dockerignore" } else { "" }),
            milliseconds(ours.fastest()),
            milliseconds(floor.fastest()),
            format!("{:.2}", ratio(&ours, &floor)),
            format!("{:+.1} ms", difference(&ours, &floor)),
            megabytes(used.own),
            megabytes(used.child),
        ],
    );
    let mebibytes = used.own as f64 / 1024.0;
    match (directories, content) {
        (1_000, Content::Plain) => {
            report.target("`hephy plan`, 1,000 directories, peak memory", "≤ 50 MiB", mebibytes, 50.0, " MiB");
        }
        (1_000, Content::Ignoring) => {
            let what = "`hephy plan`, 1,000 directories with .dockerignore files, peak memory";
            report.target(what, "≤ 100 MiB", mebibytes, 100.0, " MiB");
        }
        (10_000, _) => {
            report.target("`hephy plan`, 10,000 directories, peak memory", "≤ 100 MiB", mebibytes, 100.0, " MiB");
        }
        _ => {}
    }
    (ours, floor)
}

/// The files whose contents a plan is made from.
const READ: [&str; 3] = ["build-config.yaml", "Dockerfile", ".dockerignore"];

/// A repository with a base commit and a head.
struct Repository {
    _temp: tempfile::TempDir,
    dir: PathBuf,
    base: String,
    head: String,
    /// Ids of configurations and Dockerfiles, one a line.
    questions: PathBuf,
}

impl Repository {
    fn new(directories: usize, changed: usize, content: Content) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("images");
        let questions = temp.path().join("questions");
        std::fs::create_dir(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main"]);
        let mut import = command_of_git(&dir, &["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = std::io::BufWriter::new(import.stdin.take().unwrap());
        input.write_all(history(directories, changed, content).as_bytes()).unwrap();
        drop(input);
        assert!(import.wait().unwrap().success());
        git(&dir, &["repack", "-q", "-a", "-d"]);
        let listing = git(&dir, &["ls-tree", "-r", "HEAD"]);
        let ids: String = listing
            .lines()
            .filter(|line| READ.iter().any(|name| line.rsplit('/').next() == Some(name)))
            .fold(String::new(), |text, line| text + line.split([' ', '\t']).nth(2).unwrap_or_default() + "\n");
        assert_eq!(ids.lines().count(), directories * if content == Content::Ignoring { 3 } else { 2 });
        std::fs::write(&questions, ids).unwrap();
        let (base, head) = (git(&dir, &["rev-parse", "HEAD^"]), git(&dir, &["rev-parse", "HEAD"]));
        Self { _temp: temp, dir, base, head, questions }
    }

    fn plan(&self) -> Command {
        let mut plan = command(hephy(), &self.dir);
        plan.args(["plan", "--format", "json", "--base", &self.base]);
        gitlab::push_pipeline(&mut plan, &self.base, &self.head);
        plan
    }

    fn floor(&self) -> Duration {
        let questions = std::fs::File::open(&self.questions).unwrap();
        run(&mut command_of_git(&self.dir, &["diff", "--name-only", &self.base, &self.head]))
            + run(&mut command_of_git(&self.dir, &["ls-tree", "-r", "-z", &self.head]))
            + run(command_of_git(&self.dir, &["cat-file", "--batch"]).stdin(questions))
    }
}

fn command_of_git(dir: &Path, args: &[&str]) -> Command {
    let mut git = command("git", dir);
    git.args(args);
    git
}

/// Two commits in the language of `git fast-import`.
fn history(directories: usize, changed: usize, content: Content) -> String {
    let mut text = String::new();
    commit(&mut text, "Describe the images");
    for number in 0..directories {
        let dir = directory(number);
        file(&mut text, &format!("{dir}/build-config.yaml"), &configuration(number));
        file(&mut text, &format!("{dir}/Dockerfile"), &dockerfile(number));
        if content == Content::Ignoring {
            file(&mut text, &format!("{dir}/.dockerignore"), &ignored(number));
        }
        for at in 0..18 {
            file(&mut text, &format!("{dir}/{}", name(at)), &source(number, at));
        }
    }
    commit(&mut text, "Change some of them");
    for step in 0..changed {
        // Spread over the repository; of every kind a third: sources, Dockerfiles, configurations.
        let number = step * directories / changed;
        let dir = directory(number);
        match step % 3 {
            0 => file(&mut text, &format!("{dir}/{}", name(7)), "changed\n"),
            1 => file(&mut text, &format!("{dir}/Dockerfile"), &(dockerfile(number) + "ENV CHANGED=yes\n")),
            _ => file(&mut text, &format!("{dir}/build-config.yaml"), &(configuration(number) + "retries: 2\n")),
        }
    }
    text
}

fn commit(text: &mut String, message: &str) {
    let _ = write!(
        text,
        "commit refs/heads/main\ncommitter Bench <bench@localhost> 1760529600 +0000\ndata {}\n{message}\n",
        message.len()
    );
}

fn file(text: &mut String, path: &str, content: &str) {
    let _ = write!(text, "M 100644 inline {path}\ndata {}\n{content}\n", content.len());
}

fn directory(number: usize) -> String {
    format!("images/team-{:02}/service-{number:05}", number % 40)
}

fn image(number: usize) -> String {
    directory(number).replace('/', "-")
}

/// Names at two levels, as programs have them.
fn name(at: usize) -> String {
    if at < 6 { format!("file-{at:02}.txt") } else { format!("src/module_{at:02}.rs") }
}

fn source(number: usize, at: usize) -> String {
    (0..20).fold(String::new(), |text, line| text + &format!("line {line} of file {at} of image {number}\n"))
}

fn configuration(number: usize) -> String {
    format!(
        "# Built by the platform team.\nuse_local_context: true\nplatforms:\n  - linux/amd64\n  - linux/arm64\n\
         build_args:\n  - VERSION=1.{number}.0\n  - BRANCH=${{BRANCH_NAME}}\nadditional_tags:\n  - latest\n  - \
         v1.{number}\n"
    )
}

/// Every image has patterns of its own.
fn ignored(number: usize) -> String {
    format!("# Not for the build.\n**/*.md\ntestdata-{number}/\n*.txt\n!file-0?.txt\nsrc/**/module_1[0-3].rs\n.git\n")
}

/// One image in five is built on another one of the repository.
fn dockerfile(number: usize) -> String {
    let base = if number % 5 == 4 {
        let variable = image(number - number % 5).replace('-', "_").to_uppercase() + "_TAG";
        format!("ARG ECR_REGISTRY\nARG {variable}\nFROM ${{ECR_REGISTRY}}:${{{variable}}}\n")
    } else {
        "ARG ALPINE=3.22\nFROM golang:1.25 AS build\nWORKDIR /src\nCOPY src src\nRUN go build -o /out/app ./src\n\n\
         FROM alpine:${ALPINE}\nCOPY --from=build /out/app /usr/local/bin/app\n"
            .to_owned()
    };
    format!(
        "# Image {number}\n{base}ARG VERSION\nLABEL version=$VERSION\nRUN apk add --no-cache curl ca-certificates \\\n \
         && adduser -D service\nCOPY file-00.txt file-01.txt /etc/service/\nUSER service\nEXPOSE 8080\n\
         ENTRYPOINT [\"/usr/local/bin/app\"]\nCMD [\"--port\", \"8080\"]\n"
    )
}
