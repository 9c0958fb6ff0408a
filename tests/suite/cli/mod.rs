//! The command line, end to end: the real binary, real git repositories, a real registry, Buildah as the builder.
//!
//! One module a stage. Every run has a scrubbed environment, a home of its own, and what is below a temporary
//! directory; nothing reaches the network.

mod build;
mod changes;
mod check;
mod dependencies;
mod explained;
mod failures;
mod first_steps;
mod graph;
mod jobs;
mod lint;
mod manifest;
mod not_yet;
mod output;
mod plan;
mod platforms;
mod preflight;
mod prepare;
mod run;
mod selected;
mod settings;
mod signals;
mod spin;
mod tags;
mod targets;
mod triggers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hephy::commands::build::RegistryView as _;
use hephy::oci::Digest;
use serde_json::Value;

use crate::support::builders::{self, PlainView};
use crate::support::repo::Repo;

/// What ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// It failed with this exit code, and stderr holds each of these parts.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "stderr lacks {part:?}\n{self}");
        }
        assert!(self.stderr.contains("hint: "), "a failure without a next step\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON document: {error}\n{self}"))
    }

    /// Names of the images that the plan on stdout builds.
    #[track_caller]
    pub(crate) fn built(&self) -> Vec<String> {
        let plan = self.json();
        let images = plan["images"].as_array().unwrap_or_else(|| panic!("{self}"));
        let mut names: Vec<String> = images.iter().map(|image| image["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The reasons of an image of the plan on stdout.
    #[track_caller]
    pub(crate) fn reason(&self, image: &str) -> String {
        let plan = self.json();
        let images = plan["images"].as_array().unwrap();
        let image = images.iter().find(|it| it["name"] == image).unwrap_or_else(|| panic!("{self}"));
        let reasons = image["reasons"].as_array().unwrap();
        reasons.iter().map(|reason| reason["text"].as_str().unwrap()).collect::<Vec<_>>().join("; ")
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// One call of hephy, made ready.
pub(crate) struct Hephy {
    dir: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<String, OsString>,
}

impl Hephy {
    pub(crate) fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = crate::support::repo::program_in(&self.dir, env!("CARGO_BIN_EXE_hephy"));
        command.args(&self.args).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Outcome {
        self.start().wait()
    }

    /// Starts it without waiting.
    pub(crate) fn start(&self) -> Running {
        let mut command = self.command();
        Running { child: command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap() }
    }
}

pub(crate) struct Running {
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn wait(self) -> Outcome {
        let output = self.child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }
}

/// A repository of images, a home, and a repository in the registry that all tests share.
pub(crate) struct Project {
    pub(crate) repo: Repo,
    pub(crate) home: tempfile::TempDir,
    number: u32,
}

impl Project {
    /// An empty repository.
    pub(crate) fn new() -> Self {
        Self::of(Repo::new())
    }

    pub(crate) fn of(repo: Repo) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { repo, home: tempfile::tempdir().unwrap(), number }
    }

    /// Images of one file each, committed.
    pub(crate) fn with(images: &[&str]) -> Self {
        let project = Self::new();
        for dir in images {
            project.image(dir, "");
        }
        project.repo.commit("images");
        project
    }

    /// An image that holds one file; `config` is added to its configuration.
    pub(crate) fn image(&self, dir: &str, config: &str) -> &Self {
        self.dockerfile(dir, config, "FROM scratch\nCOPY file /file\nCOPY . /\n")
    }

    pub(crate) fn dockerfile(&self, dir: &str, config: &str, dockerfile: &str) -> &Self {
        let path = |name: &str| if dir == "." { name.to_owned() } else { format!("{dir}/{name}") };
        self.repo
            .write(path("build-config.yaml"), format!("use_local_context: true\n{config}"))
            .write(path("Dockerfile"), dockerfile)
            .write(path("file"), format!("content of {dir}\n"));
        self
    }

    /// An image that is built on another one through its variable.
    pub(crate) fn image_on(&self, dir: &str, on: &str, config: &str) -> &Self {
        let variable = on.to_uppercase().replace('-', "_");
        let dockerfile = format!(
            "ARG ECR_REGISTRY\nARG {variable}_TAG\nFROM ${{ECR_REGISTRY}}:${{{variable}_TAG}}\nCOPY file /{dir}\nCOPY . /\n"
        );
        self.dockerfile(dir, config, &dockerfile)
    }

    pub(crate) fn change(&self, path: &str) -> String {
        let old = std::fs::read_to_string(self.path(path)).unwrap_or_default();
        self.repo.write(path, format!("{old}# changed\n"));
        self.repo.commit(&format!("change {path}"))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.repo.path().join(path)
    }

    pub(crate) fn out(&self, file: &str) -> PathBuf {
        self.path(".hephy").join(file)
    }

    pub(crate) fn read(&self, file: &str) -> String {
        let path = self.out(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `host/repository` of this test alone.
    pub(crate) fn registry(&self) -> String {
        format!("{}/cli-{}", builders::registry(), self.number)
    }

    /// hephy in this repository as a developer runs it.
    pub(crate) fn hephy<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Hephy {
        let hephy = Hephy { dir: self.repo.path().to_owned(), args: Vec::new(), env: BTreeMap::new() };
        let (storage, config) = builders::buildah(self.home.path());
        let tools = builders::tool("docker-registry");
        let tools = tools.parent().unwrap().display().to_string();
        hephy
            .args(args)
            .env("PATH", format!("{tools}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HEPHY_RETRY_WAIT", "0")
            .env(&storage, config)
    }

    /// The same as a CI job of a push to the default branch, whose previous commit is `before`. The project has a
    /// container registry, which everything else that names one comes before.
    pub(crate) fn push<'a>(&self, before: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
        let head = self.repo.head();
        let hephy = self.ci("gitlab-push", &[(HEAD, &head), (BEFORE, before)], args);
        hephy.env("HEPHY_BACKEND", "buildah").env("CI_REGISTRY_IMAGE", self.registry())
    }

    /// The same where there is no registry: compared with the previous commit.
    pub(crate) fn range<'a>(&self, before: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
        self.push(before, args).env("HEPHY_REGISTRY", "none")
    }

    /// The same with a recorded environment, ids in it replaced.
    pub(crate) fn ci<'a>(&self, fixture: &str, ids: &[(&str, &str)], args: impl IntoIterator<Item = &'a str>) -> Hephy {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ci");
        let replaced = |mut text: String| {
            ids.iter().for_each(|(from, to)| text = text.replace(from, to));
            text
        };
        let env = replaced(std::fs::read_to_string(place.join(format!("{fixture}.env"))).unwrap());
        let mut hephy = self.hephy(args);
        for (name, value) in env.lines().filter_map(|line| line.split_once('=')) {
            hephy = hephy.env(name, value);
        }
        // Where a missing commit is fetched from; nothing here may reach the network.
        hephy = hephy.env("CI_REPOSITORY_URL", "file:///nowhere");
        if let Ok(event) = std::fs::read_to_string(place.join(format!("{fixture}.json"))) {
            let path = self.home.path().join("event.json");
            std::fs::write(&path, replaced(event)).unwrap();
            hephy = hephy.env("GITHUB_EVENT_PATH", path);
        }
        hephy
    }
}

/// Ids of the recorded environments.
pub(crate) const HEAD: &str = "c0ffee0000000000000000000000000000000001";
pub(crate) const BEFORE: &str = "baadf00d00000000000000000000000000000002";
pub(crate) const TARGET: &str = "7a26e70000000000000000000000000000000003";
pub(crate) const DIFF_BASE: &str = "d1ff000000000000000000000000000000000004";

/// What a tag points at, read without hephy's client.
pub(crate) fn manifest(repository: &str, tag: &str) -> Option<(Digest, Value)> {
    let fetched = PlainView.manifest(repository, tag).ok()?;
    Some((fetched.digest, serde_json::from_slice(&fetched.bytes).unwrap()))
}

/// The image of a platform behind a tag.
#[track_caller]
pub(crate) fn image_of(repository: &str, tag: &str, arch: &str) -> Value {
    let (_, index) = manifest(repository, tag).unwrap_or_else(|| panic!("{repository}:{tag} is not there"));
    let children = index["manifests"].as_array().unwrap_or_else(|| panic!("{tag} is no index: {index}"));
    let child = children.iter().find(|child| child["platform"]["architecture"] == arch).unwrap();
    manifest(repository, child["digest"].as_str().unwrap()).unwrap().1
}

/// Digests of the layers of an image.
pub(crate) fn layers(image: &Value) -> Vec<String> {
    let layers = image["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// Names of the files in the layers of an image.
pub(crate) fn layer_files(repository: &str, image: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for digest in layers(image) {
        let blob = PlainView.blob(repository, &Digest::parse(&digest).unwrap(), 64 << 20).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(blob.as_slice()));
        for entry in archive.entries().unwrap() {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
    }
    names
}

/// Every tag of a repository.
pub(crate) fn tags(repository: &str) -> Vec<String> {
    let (host, name) = repository.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    std::io::Write::write_all(&mut stream, format!("GET /v2/{name}/tags/list HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let mut tags: Vec<String> = body["tags"]
        .as_array()
        .map(|tags| tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect())
        .unwrap_or_default();
    tags.sort();
    tags
}

/// Every file below a directory with its mode and content; of hephy's own binary, which is large in tests, only the
/// length.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                open.push(path.clone());
                found.insert(path, (meta.permissions().mode(), Vec::new()));
            } else {
                let large = meta.len() > 16 << 20;
                let content =
                    if large { meta.len().to_be_bytes().to_vec() } else { std::fs::read(&path).unwrap_or_default() };
                found.insert(path, (meta.permissions().mode(), content));
            }
        }
    }
    found
}
