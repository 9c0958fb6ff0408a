//! A repository of images that calls hephy's reusable workflow out of another repository, and act, which runs it: the
//! real workflow and action, hephy, Buildah and a registry; only the artifact actions are stand-ins, with their rules.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pack::emulated::{self, Ran, root};
use crate::support::builders::{buildah, tool};
use crate::support::registry::Registry;
use crate::support::repo::Repo;

/// What GitHub would say when a workflow begins, and what act is told of it.
pub(crate) enum Event<'a> {
    Push {
        before: &'a str,
    },
    Tag(&'a str),
    PullRequest {
        base: &'a str,
    },
    Schedule,
    Manual,
    /// Any other, with nothing in it.
    Named(&'a str),
}

/// Whether a job did anything.
pub(crate) fn did(ran: &Ran, job: &str) -> bool {
    ran.said.lines().any(|line| line.contains(&format!("/{job}")) && line.contains("⭐ Run"))
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) repo: Repo,
    pub(crate) registry: Registry,
    pub(crate) inputs: Vec<(&'static str, String)>,
}

impl World {
    /// A repository with one image, `a`, that is committed, and nothing published.
    pub(crate) fn new() -> Self {
        Self::on(Registry::start())
    }

    pub(crate) fn on(registry: Registry) -> Self {
        // act takes a script's path apart at spaces.
        let dir = TempDir::with_prefix("hephy-act-").unwrap();
        let pack = dir.path().join("pack");
        for part in ["action", ".github"] {
            copy(&root().join(part), &pack.join(part));
        }
        // The emulator's schema is older than this key, and it knows no concurrency at all.
        let workflow = pack.join(".github/workflows/hephy.yml");
        let text = std::fs::read_to_string(&workflow).unwrap();
        assert_eq!(text.matches("\n      queue: max\n").count(), 1);
        std::fs::write(&workflow, text.replace("\n      queue: max\n", "\n")).unwrap();
        for name in ["artifacts", "home", "buildah"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let world = Self { dir, repo: Repo::new(), registry, inputs: Vec::new() };
        world.repo.git(&["remote", "add", "origin", "https://github.com/acme/images"]);
        world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
        world
    }

    /// An image directory.
    pub(crate) fn image(&self, dir: &str, platforms: &str, dockerfile: &str) -> &Self {
        emulated::image(&self.repo, dir, platforms, dockerfile);
        self
    }

    /// An image that is built on another one.
    pub(crate) fn built_on(&self, dir: &str, below: &str) -> &Self {
        let tag = format!("{}_TAG", below.to_uppercase());
        let text = format!("ARG ECR_REGISTRY\nARG {tag}\nFROM ${{ECR_REGISTRY}}:${{{tag}}}\nCOPY text /{dir}\n");
        self.image(dir, "linux/amd64", &text)
    }

    pub(crate) fn registry(&self) -> String {
        format!("{}/acme", self.registry.address)
    }

    /// An input of the workflow.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.inputs.push((name, value.into()));
        self
    }

    /// What users write: a workflow that calls hephy's.
    fn caller(&self) {
        let mut with = json!({"registry": self.registry(), "backend": "buildah"});
        for (name, value) in &self.inputs {
            with[*name] = json!(value);
        }
        let called = json!({
            "uses": "acme/hephy/.github/workflows/hephy.yml@v1",
            "permissions": {"contents": "read", "packages": "write"},
            "with": with,
            "secrets": {
                "registry-username": "${{ secrets.REGISTRY_USER }}",
                "registry-password": "${{ secrets.REGISTRY_PASSWORD }}",
            },
        });
        let after = json!({
            "needs": "images",
            "if": "always()",
            "runs-on": "ubuntu-24.04",
            "env": {"IMAGES": "${{ needs.images.outputs.images }}", "DIRS": "${{ needs.images.outputs.dirs }}",
                    "HAS_BUILDS": "${{ needs.images.outputs.has_builds }}"},
            "steps": [{"run": "printf 'outputs of hephy: %s %s %s\\n' \"$DIRS\" \"$HAS_BUILDS\" \"$IMAGES\""}],
        });
        let on = json!(["push", "pull_request", "pull_request_target", "schedule", "workflow_dispatch", "merge_group"]);
        let workflow = json!({"name": "images", "on": on, "jobs": {"images": called, "after": after}});
        // JSON is YAML.
        self.repo.write(".github/workflows/images.yml", serde_json::to_string_pretty(&workflow).unwrap());
    }

    /// Writes the calling workflow and commits everything.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.caller();
        self.repo.commit(message)
    }

    /// Runs what is committed.
    pub(crate) fn run(&self, event: &Event<'_>) -> Ran {
        self.run_with(event, &[])
    }

    pub(crate) fn run_with(&self, event: &Event<'_>, more: &[&str]) -> Ran {
        let repository = json!({"full_name": "acme/images", "default_branch": "main"});
        let head = self.repo.head();
        let branch = self.repo.git(&["rev-parse", "--abbrev-ref", "HEAD"]);
        let (name, payload) = match event {
            Event::Push { before } => {
                ("push", json!({"before": before, "after": head, "ref": format!("refs/heads/{branch}")}))
            }
            Event::Tag(tag) => {
                ("push", json!({"before": "0".repeat(40), "created": true, "ref": format!("refs/tags/{tag}")}))
            }
            Event::PullRequest { base } => {
                let request =
                    json!({"number": 7, "base": {"sha": base, "ref": "main"}, "head": {"sha": head, "ref": branch}});
                ("pull_request", json!({"number": 7, "pull_request": request}))
            }
            Event::Schedule => ("schedule", json!({"schedule": "0 4 * * 1"})),
            Event::Manual => ("workflow_dispatch", json!({"ref": "refs/heads/main"})),
            Event::Named(name) => (*name, json!({})),
        };
        let mut payload: Value = payload;
        payload["repository"] = repository;
        let event = self.dir.path().join("event.json");
        std::fs::write(&event, payload.to_string()).unwrap();
        self.act(name, &event, more)
    }

    fn act(&self, event: &str, payload: &Path, more: &[&str]) -> Ran {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let actions = root().join("tests/suite/pack/github/actions").display().to_string();
        for entry in std::fs::read_dir(at("artifacts")).unwrap().flatten() {
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
        let (storage, config) = buildah(&self.dir.path().join("buildah"));
        let mut command = Command::new(tool("act"));
        command.env_clear().current_dir(self.repo.path());
        let path: Vec<PathBuf> = ["act", "node", "buildah", "docker-registry", "git", "python3"]
            .map(|name| tool(name).parent().unwrap().to_owned())
            .into_iter()
            .chain(["/usr/bin", "/bin", "/usr/sbin"].map(PathBuf::from))
            .collect();
        command.env("PATH", std::env::join_paths(path).unwrap());
        command.env("HOME", at("home")).env("XDG_CACHE_HOME", at("home/cache")).env("LC_ALL", "C.UTF-8");
        command.args([
            event,
            "--eventpath",
            &payload.display().to_string(),
            "--workflows",
            ".github/workflows/images.yml",
        ]);
        for label in ["ubuntu-24.04", "ubuntu-24.04-arm"] {
            command.args(["--platform", &format!("{label}=-self-hosted")]);
        }
        let mut variables = vec![
            ("HEPHY_BIN", env!("CARGO_BIN_EXE_hephy").to_owned()),
            ("STAND_IN_PACK", at("pack")),
            ("STAND_IN_ACTIONS", actions.clone()),
            ("STAND_IN_ARTIFACTS", at("artifacts")),
            ("HEPHY_RETRY_WAIT", "0".to_owned()),
        ];
        variables.push(("CONTAINERS_STORAGE_CONF", config));
        assert_eq!(storage, "CONTAINERS_STORAGE_CONF");
        for (name, value) in variables {
            command.args(["--env", &format!("{name}={value}")]);
        }
        for uses in pinned() {
            let (name, _) = uses.split_once('@').unwrap();
            let name = name.split_once('/').unwrap().1;
            command.args(["--local-repository", &format!("{uses}={actions}/{name}")]);
        }
        command.args(["--local-repository", &format!("acme/hephy@v1={}", at("pack"))]);
        command.args(["--no-cache-server", "--action-offline-mode", "--actor", "somebody"]).args(more);
        Ran::of(&mut command)
    }

    /// Tags in the registry.
    pub(crate) fn tags(&self) -> Vec<String> {
        emulated::tags(&self.registry())
    }

    /// The artifacts of the last run, with their files.
    pub(crate) fn artifacts(&self) -> Vec<String> {
        let store = self.dir.path().join("artifacts");
        let mut found = Vec::new();
        let mut open = vec![store.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                match path.is_dir() {
                    true => open.push(path),
                    false => found.push(path.strip_prefix(&store).unwrap().display().to_string()),
                }
            }
        }
        found.retain(|path| !path.starts_with('.'));
        found.sort();
        found
    }
}

/// Actions of others that workflow and action use, as `owner/name@ref`.
pub(crate) fn pinned() -> Vec<String> {
    let mut found = Vec::new();
    for file in yaml_files() {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: ")) {
            let uses = line.split(" #").next().unwrap().trim().to_owned();
            if !uses.starts_with("./") && uses.contains('@') && !found.contains(&uses) {
                found.push(uses);
            }
        }
    }
    found
}

/// Workflows and actions of this repository.
pub(crate) fn yaml_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yml"))
        .collect();
    files.extend(["action/action.yml", "action/leg/action.yml"].map(|path| root().join(path)));
    files.sort();
    files
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
