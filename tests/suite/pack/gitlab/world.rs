//! A repository that includes the template, a registry, and the emulator of GitLab that runs its pipelines.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pack::emulated::{self, Ran, root};
use crate::support::builders::{buildah, busybox, tool};
use crate::support::registry::Registry;
use crate::support::repo::Repo;

/// What GitLab would say when a pipeline begins.
#[derive(Clone, Copy)]
pub(crate) enum Event<'a> {
    Push { before: &'a str },
    MergeRequest,
    Schedule,
    Tag(&'a str),
    Manual,
}

/// What one job said, without the emulator's marks.
pub(crate) fn of_job(ran: &Ran, name: &str) -> String {
    let of_job = |line: &&str| line.split_whitespace().next() == name.split_whitespace().next();
    let lines = ran.said.lines().filter(of_job).filter_map(|line| line.split_once("> "));
    lines.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) repo: Repo,
    pub(crate) registry: Registry,
    inputs: Value,
    include: Value,
}

impl World {
    /// An empty repository that includes the template.
    pub(crate) fn new() -> Self {
        Self::on(Registry::start())
    }

    pub(crate) fn on(registry: Registry) -> Self {
        let dir = TempDir::with_prefix("hephy-gitlab-").unwrap();
        for name in ["home", "buildah", "bin"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        // The image of prepare and manifest: hephy on the PATH.
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hephy"), dir.path().join("bin/hephy")).unwrap();
        let repo = Repo::new();
        repo.git(&["remote", "add", "origin", "https://gitlab.example/acme/images.git"]);
        repo.write(".git/info/exclude", ".gitlab-ci-local/\n");
        for file in ["gitlab-templates/hephy.yml", "templates/hephy.yml"] {
            repo.write(file, std::fs::read(root().join(file)).unwrap());
        }
        let inputs = json!({
            "registry": format!("{}/acme", registry.address),
            "backend": "buildah",
            "builders": "buildah",
            "tag": "general",
        });
        Self { dir, repo, registry, inputs, include: json!({"local": "gitlab-templates/hephy.yml"}) }
    }

    /// The images of the quickstart, for amd64.
    pub(crate) fn quickstart() -> Self {
        let world = Self::new();
        let upstream = world.dir.path().join("upstream");
        std::fs::create_dir(&upstream).unwrap();
        std::fs::write(upstream.join("Dockerfile"), "FROM scratch\nCOPY index.html /index.html\n").unwrap();
        std::fs::write(upstream.join("index.html"), "<h1>Made somewhere else</h1>\n").unwrap();
        for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "page"]] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(&upstream);
            assert!(git.status().unwrap().success());
        }
        for dir in ["base", "greeter", "notes", "report", "site"] {
            for entry in std::fs::read_dir(root().join("examples/quickstart").join(dir)).unwrap().flatten() {
                let name = entry.file_name().into_string().unwrap();
                let text = std::fs::read_to_string(entry.path()).unwrap();
                let text = text.replace("  - linux/arm64\n", "");
                let text = text.replace("file:///upstream", &format!("file://{}", upstream.display()));
                world.repo.write(format!("{dir}/{name}"), text);
            }
        }
        world.repo.write("base/busybox-amd64", std::fs::read(busybox()).unwrap()).executable("base/busybox-amd64");
        world
    }

    /// An image of one file.
    pub(crate) fn image(&self, dir: &str, platforms: &str, dockerfile: &str) -> &Self {
        emulated::image(&self.repo, dir, platforms, dockerfile);
        self
    }

    /// An input of the template.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.inputs[name] = value.into();
        self
    }

    /// Only what the specification names.
    pub(crate) fn without_inputs(mut self) -> Self {
        self.inputs = json!({});
        self
    }

    /// With everything committed.
    pub(crate) fn committed(self) -> Self {
        self.commit("first");
        self
    }

    /// Includes it in another way.
    pub(crate) fn included(mut self, include: Value) -> Self {
        self.include = include;
        self
    }

    /// Writes `.gitlab-ci.yml` and commits everything, as what the remote has too.
    pub(crate) fn commit(&self, message: &str) -> String {
        let mut include = self.include.clone();
        include["inputs"] = self.inputs.clone();
        // JSON is YAML.
        self.repo.write(".gitlab-ci.yml", json!({"include": [include]}).to_string());
        self.commit_as_it_is(message)
    }

    /// Commits a `.gitlab-ci.yml` of somebody else's.
    pub(crate) fn commit_as_it_is(&self, message: &str) -> String {
        let commit = self.repo.commit(message);
        self.repo.git(&["update-ref", "refs/remotes/origin/main", &commit]);
        self.repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
        commit
    }

    /// Runs the pipeline of an event.
    pub(crate) fn run(&self, event: Event<'_>) -> Ran {
        self.emulate(event, &[])
    }

    /// The jobs that an event gives, with `when`.
    pub(crate) fn jobs(&self, event: Event<'_>, more: &[&str]) -> Vec<String> {
        let listed = self.emulate(event, &[&["--list-csv"], more].concat()).succeeded();
        let jobs = listed.said.lines().filter(|line| line.matches(';').count() >= 4 && !line.starts_with("name;"));
        let job = |line: &str| {
            let fields: Vec<&str> = line.split(';').collect();
            format!("{} {}", fields[0], fields[2])
        };
        jobs.map(job).collect()
    }

    pub(crate) fn emulate(&self, event: Event<'_>, more: &[&str]) -> Ran {
        let at = |name: &str| self.dir.path().join(name);
        let (storage, config) = buildah(&at("buildah"));
        let mut path = vec![at("bin")];
        path.extend(["node", "buildah", "docker-registry", "git", "rsync"].map(|it| tool(it).parent().unwrap().into()));
        path.extend(["/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from));
        let mut command = Command::new(tool("gitlab-ci-local"));
        command.env_clear().current_dir(self.repo.path()).env("PATH", std::env::join_paths(path).unwrap());
        command.env("HOME", at("home")).env("LC_ALL", "C.UTF-8").env("GIT_ALLOW_PROTOCOL", "https:ssh:file");
        command.env(storage, config).env("HEPHY_RETRIES", "0");
        command.args(["--force-shell-executor", "--shell-isolation", "--color=false", "--no-artifacts-to-source"]);
        let home = at("home").display().to_string();
        command.args(["--home", &home, "--ignore-predefined-vars", IGNORED]);
        let mut variables: Vec<(&str, String)> = vec![
            ("GITLAB_CI", "true".into()),
            ("CICD_TAG_AMD64", "amd64-runner".into()),
            ("CICD_TAG_ARM64", "arm64-runner".into()),
        ];
        let source = |source: &str| ("CI_PIPELINE_SOURCE", source.to_owned());
        match event {
            Event::Push { before } => {
                variables.extend([source("push"), ("CI_COMMIT_BEFORE_SHA", before.to_owned())]);
            }
            Event::MergeRequest => {
                variables.extend([
                    source("merge_request_event"),
                    ("CI_MERGE_REQUEST_IID", "7".into()),
                    ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result".into()),
                    ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main".into()),
                    ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "change".into()),
                ]);
            }
            Event::Schedule => variables.push(source("schedule")),
            Event::Tag(tag) => variables.extend([source("push"), ("CI_COMMIT_TAG", tag.to_owned())]),
            Event::Manual => variables.push(source("web")),
        }
        for (name, value) in variables {
            command.args(["--variable", &format!("{name}={value}")]);
        }
        if matches!(event, Event::MergeRequest | Event::Tag(_)) {
            command.args(["--unset-variable", "CI_COMMIT_BRANCH"]);
        }
        Ran::of(command.args(more))
    }

    /// A file of a job's artifacts.
    pub(crate) fn artifact(&self, job: &str, file: &str) -> PathBuf {
        self.repo.path().join(".gitlab-ci-local/artifacts").join(job).join(".hephy").join(file)
    }

    /// All files of a job's artifacts, sorted.
    pub(crate) fn artifacts(&self, job: &str) -> Vec<String> {
        let dir = self.artifact(job, "");
        let mut found = Vec::new();
        files(&dir, &dir, &mut found);
        found.sort();
        found
    }

    /// `images.json` of the pipeline.
    pub(crate) fn images(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.artifact("manifest", "images.json")).unwrap();
        let images: Value = serde_json::from_str(&text).unwrap();
        images.as_object().unwrap().keys().cloned().collect()
    }

    /// The image directories that prepare planned.
    pub(crate) fn dirs(&self) -> String {
        std::fs::read_to_string(self.artifact("prepare", "dirs.txt")).unwrap()
    }

    /// The tags of the registry, sorted.
    pub(crate) fn tags(&self) -> Vec<String> {
        emulated::tags(&format!("{}/acme", self.registry.address))
    }
}

const IGNORED: &str = "GITLAB_CI,CI_PIPELINE_SOURCE,CI_COMMIT_BEFORE_SHA,CI_MERGE_REQUEST_IID,\
                       CI_MERGE_REQUEST_EVENT_TYPE,CI_MERGE_REQUEST_TARGET_BRANCH_NAME,\
                       CI_MERGE_REQUEST_SOURCE_BRANCH_NAME,CI_COMMIT_TAG,CI_COMMIT_MESSAGE,CI_COMMIT_TITLE,\
                       CI_REGISTRY_IMAGE,CI_REGISTRY_USER,CI_REGISTRY_PASSWORD,CI_DEFAULT_BRANCH";

fn files(top: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(top, &path, found);
        } else {
            found.push(path.strip_prefix(top).unwrap().display().to_string());
        }
    }
}
