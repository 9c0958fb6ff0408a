//! `hephy build` with real builders and a real registry.

mod bad_input;
mod below;
mod buildah;
mod buildx;
mod cache;
mod check_run;
mod ignored;
mod job;
pub(crate) mod kaniko;
mod kaniko_run;
mod others;
mod outright;
mod platform;
mod preflight;
mod secrets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hephy::Result;
use hephy::commands::build::{Event, Options, Outcome, run};
use hephy::config::{BackendName, Layout};
use hephy::oci::{ImageName, Platform, Tag};
use hephy::plan::{
    ArgPart, DependencyFrom, DependencyVia, Mode, Plan, PlanSource, PlannedArg, PlannedDependency, PlannedImage,
    PlannedSource, Reason, ReasonKind,
};
use hephy::process::Interrupt;
use hephy::result::BuildResult;

use crate::support::builders;

/// A checkout with images, a plan for it, and a repository of its own in the shared registry.
pub(crate) struct Fixture {
    dir: tempfile::TempDir,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    pub(crate) interrupt: Interrupt,
    backend: BackendName,
    /// What was seen: one line an event.
    pub(crate) events: Mutex<Vec<String>>,
}

impl Fixture {
    pub(crate) fn new(backend: BackendName) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let repository = format!("{}/t{}", builders::registry(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::with_registry(backend, repository)
    }

    pub(crate) fn with_registry(backend: BackendName, registry: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let checkout = dir.path().canonicalize().unwrap().join("check out");
        std::fs::create_dir_all(checkout.join(".hephy")).unwrap();
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let options = Options {
            out: checkout.join(".hephy"),
            checkout,
            platform: Platform::linux_amd64(),
            images: Vec::new(),
            registry: None,
            jobs: 1,
            insecure_hosts: Vec::new(),
            cross: false,
            docker_config: None,
            secrets: Vec::new(),
            retries: 0,
            retry_wait: Duration::from_millis(10),
            environment,
            builder_env: BTreeMap::new(),
            preflight: true,
        };
        let mut fixture = Self {
            dir,
            plan: plan(registry),
            options,
            interrupt: Interrupt::default(),
            backend,
            events: Mutex::new(Vec::new()),
        };
        if backend == BackendName::Buildah {
            let (name, value) = builders::buildah(fixture.dir.path());
            fixture.options.builder_env.insert(name, value);
        }
        fixture
    }

    /// Images from now on are built by this builder.
    pub(crate) fn is_of(&mut self, backend: BackendName) {
        self.backend = backend;
    }

    pub(crate) fn backend(&self) -> BackendName {
        self.backend
    }

    pub(crate) fn registry(&self) -> &str {
        self.plan.registry.as_deref().unwrap()
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.options.checkout.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn program(&self, from: &Path, path: &str) {
        let to = self.file(path, "");
        std::fs::copy(from, to).unwrap();
    }

    /// An image in the directory of its name, with busybox beside its Dockerfile.
    pub(crate) fn image(&mut self, name: &str, dockerfile: &str) -> &mut PlannedImage {
        self.file(&format!("{name}/Dockerfile"), dockerfile);
        self.program(&builders::busybox(), &format!("{name}/busybox"));
        let image = planned(name, self.backend);
        self.plan.images.push(image);
        self.plan.images.last_mut().unwrap()
    }

    /// Makes the last image depend on `name` through `ARG <NAME>_TAG`.
    pub(crate) fn built_on(&mut self, name: &str) {
        let dependency = ImageName::parse(name).unwrap();
        let wave = self.plan.image(name).map_or(0, |image| image.wave + 1);
        let image = self.plan.images.last_mut().unwrap();
        image.wave = wave;
        image.dependencies.push(PlannedDependency {
            via: DependencyVia::Variable { name: dependency.tag_variable(), line: 1 },
            name: dependency,
            from: DependencyFrom::Plan,
            platforms: image.platforms.clone(),
        });
    }

    /// Makes the last image depend on `name` through a reference that names it outright.
    pub(crate) fn names(&mut self, name: &str, text: &str, line: usize, from: DependencyFrom) {
        let wave = self.plan.image(name).map_or(0, |image| image.wave + 1);
        let image = self.plan.images.last_mut().unwrap();
        image.wave = wave;
        image.dependencies.push(PlannedDependency {
            name: ImageName::parse(name).unwrap(),
            via: DependencyVia::Reference { text: text.into(), line },
            from,
            platforms: image.platforms.clone(),
        });
    }

    /// The real `hephy`, in this fixture's checkout, with its builders' environment.
    pub(crate) fn hephy(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hephy"));
        command.arg("-C").arg(&self.options.checkout).args(args).env_clear();
        for (name, value) in &self.options.environment {
            let foreign = ["HEPHY_", "CI", "GITHUB_", "GITLAB_", "ECR_"].iter().any(|start| name.starts_with(start));
            if !foreign {
                command.env(name, value);
            }
        }
        command.envs(&self.options.builder_env);
        command
    }

    pub(crate) fn write_plan(&self) {
        let json = serde_json::to_vec(&self.plan).unwrap();
        std::fs::write(self.options.out.join("plan.json"), json).unwrap();
    }

    pub(crate) fn run(&self) -> Result<Outcome> {
        let note = |event: Event<'_>| {
            let line = match event {
                Event::Started { image, backend, attempt } => format!("started {image} {backend} {attempt}"),
                Event::Line { image, text } => format!("{image}: {text}"),
                Event::Retry { image, attempt, error, .. } => format!("retry {image} {attempt} {}", error.kind()),
                Event::Note { image, text } => format!("note {image} {text}"),
                Event::OneAtATime { backend } => format!("one at a time {backend}"),
                Event::Finished(result) => format!("finished {} {:?}", result.image, result.status),
            };
            self.events.lock().unwrap().push(line);
        };
        run(&self.options, &self.plan, &builders::PlainView, &self.interrupt, &note)
    }

    /// Runs; every image must be built.
    pub(crate) fn build(&self) -> Vec<BuildResult> {
        let outcome = self.run().unwrap();
        if let Some(error) = &outcome.failure {
            panic!("{error}: {:#?}\n{:#?}", error.causes(), outcome.results);
        }
        assert!(outcome.needed);
        outcome.results
    }

    pub(crate) fn out(&self, path: &str) -> String {
        std::fs::read_to_string(self.options.out.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A file of an image, found by the end of its path.
    pub(crate) fn read(&self, result: &BuildResult, path: &str) -> Vec<u8> {
        use std::io::Read as _;
        for layer in self.layers(result).0 {
            let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer.as_slice()));
            for entry in tar.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path().unwrap().ends_with(path) {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    return bytes;
                }
            }
        }
        panic!("{path} is not in the image");
    }

    /// Paths in the layers of an image, and the config.
    pub(crate) fn contents(&self, result: &BuildResult) -> (Vec<String>, serde_json::Value) {
        let (layers, config) = self.layers(result);
        let mut paths = Vec::new();
        for layer in layers {
            let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer.as_slice()));
            paths.extend(tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()));
        }
        (paths, config)
    }

    /// The compressed layers of an image, and the config.
    fn layers(&self, result: &BuildResult) -> (Vec<Vec<u8>>, serde_json::Value) {
        use hephy::commands::build::RegistryView as _;
        let view = builders::PlainView;
        let (repository, digest) = result.reference.as_ref().unwrap().split_once('@').unwrap();
        let manifest: serde_json::Value =
            serde_json::from_slice(&view.manifest(repository, digest).unwrap().bytes).unwrap();
        let blob = |descriptor: &serde_json::Value| {
            view.blob(repository, &descriptor["digest"].as_str().unwrap().parse().unwrap(), 1 << 30).unwrap()
        };
        let config = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        (manifest["layers"].as_array().unwrap().iter().map(blob).collect(), config)
    }
}

fn plan(registry: String) -> Plan {
    Plan {
        version: hephy::plan::VERSION,
        id: "bld_0123".into(),
        mode: Mode::Publish,
        source: PlanSource {
            tag: None,
            repository: "https://example.com/acme.git".into(),
            commit: "0".repeat(40),
            commit_time: "2025-10-15T00:00:00Z".into(),
            reference: "main".into(),
            beside_default: false,
            base: None,
            event: "push".into(),
        },
        date: "20251015".into(),
        registry: Some(registry),
        layout: Layout::Single,
        comparison: "nothing".into(),
        anew: false,
        images: Vec::new(),
        reused: Vec::new(),
        unchanged: Vec::new(),
        removed: Vec::new(),
        warnings: Vec::new(),
    }
}

fn planned(name: &str, backend: BackendName) -> PlannedImage {
    let arch_tag = |arch: &str| (arch.to_owned(), Tag::parse(&format!("{name}-20251015-{arch}")).unwrap());
    PlannedImage {
        version: None,
        name: ImageName::parse(name).unwrap(),
        dir: name.into(),
        input_key: "0".repeat(64),
        built_on: BTreeMap::new(),
        reasons: vec![Reason { kind: ReasonKind::Requested, text: "asked for".into() }],
        source: PlannedSource::Local { root: name.into() },
        backend,
        rerouted: None,
        dockerfile: "Dockerfile".into(),
        context: ".".into(),
        target: None,
        platforms: vec![Platform::linux_amd64()],
        targets: Vec::new(),
        tags: Vec::new(),
        arch_tags: ["386", "amd64", "arm64"].map(arch_tag).into(),
        build_args: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        bases: Vec::new(),
        dependencies: Vec::new(),
        wave: 0,
        ko: None,
        spin: None,
        cache: None,
        secrets: Vec::new(),
        manual_images: None,
        timeout_seconds: Some(120),
        retries: None,
    }
}

/// A build argument with a plain value.
fn argument(name: &str, value: &str) -> PlannedArg {
    PlannedArg { name: name.into(), value: vec![ArgPart::Text(value.into())] }
}

/// The Dockerfile of an image that runs a program.
const BASE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"touch\", \"/base\"]\n";
/// One built on it.
const APP: &str = "ARG ECR_REGISTRY\nARG BASE_TAG\nFROM ${ECR_REGISTRY}:${BASE_TAG}\n\
                   ARG COLOUR=none\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo $COLOUR > /colour-$COLOUR\"]\n";
/// One whose second stage fails.
const BROKEN: &str = "FROM scratch AS one\nCOPY busybox /bin/busybox\n\nFROM one AS two\n\
                      RUN [\"/bin/busybox\", \"true\"]\n\
                      RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo what went wrong; exit 3\"]\n";

/// A chain of two images, and what every builder must make of it.
pub(crate) fn chain(fixture: &mut Fixture) {
    chain_plan(fixture);
    let results = fixture.build();
    chain_results(fixture, &results);
}

pub(crate) fn chain_plan(fixture: &mut Fixture) {
    fixture.image("base", BASE).labels.insert("com.example.note".into(), "a=b, \"c\" --d".into());
    let app = fixture.image("app", APP);
    app.build_args.push(argument("COLOUR", "deep blue"));
    fixture.built_on("base");
}

pub(crate) fn chain_results(fixture: &Fixture, results: &[BuildResult]) {
    assert_eq!(results.iter().map(|result| result.image.as_str()).collect::<Vec<_>>(), ["base", "app"]);
    for result in results {
        assert_eq!((result.attempts, result.size.unwrap() > 500_000), (1, true));
        let stem = format!("{}-amd64", result.image);
        assert_eq!(fixture.out(&format!("{stem}.tag")), format!("{}-20251015-amd64\n", result.image));
        assert_eq!(serde_json::from_str::<BuildResult>(&fixture.out(&format!("{stem}.json"))).unwrap(), *result);
        assert!(!fixture.out(&format!("logs/{stem}.log")).is_empty());
    }
    assert!(!fixture.options.out.join("work").exists(), "nothing is left behind");
    let (paths, config) = fixture.contents(&results[1]);
    for path in ["bin/busybox", "base", "colour-deep blue"] {
        assert!(paths.iter().any(|found| found.trim_start_matches('/') == path), "{path} in {paths:?}");
    }
    assert_eq!(config["config"]["Labels"]["com.example.note"], "a=b, \"c\" --d");
}

/// A failing instruction: named with file, line and stage; dependents skipped, others built.
pub(crate) fn failure(fixture: &mut Fixture) {
    failure_plan(fixture);
    let outcome = fixture.run().unwrap();
    let error = outcome.failure.unwrap();
    assert_eq!(error.kind().exit_code(), 1);
    failure_results(fixture, error.kind().code(), error.message(), &outcome.results);
}

pub(crate) fn failure_plan(fixture: &mut Fixture) {
    fixture.image("base", BROKEN);
    fixture.image("other", BASE);
    fixture.image("app", APP);
    fixture.built_on("base");
}

pub(crate) fn failure_results(fixture: &Fixture, code: &str, message: &str, results: &[BuildResult]) {
    assert_eq!(code, "build_error");
    assert!(message.starts_with("base/Dockerfile:6: "), "{message}");
    let status: Vec<_> = results.iter().map(|result| format!("{} {:?}", result.image, result.status)).collect();
    assert_eq!(status, ["base Failed", "other Completed", "app Skipped"]);
    let failed = results[0].error.as_ref().unwrap();
    let instruction = failed.instruction.as_ref().unwrap();
    assert_eq!((instruction.line, instruction.stage.as_deref()), (6, Some("two")));
    assert!(failed.last_lines.iter().any(|line| line.contains("what went wrong")), "{:?}", failed.last_lines);
    assert!(failed.last_lines.len() <= 30);
    let skipped = results[2].error.as_ref().unwrap();
    assert_eq!(skipped.because_of.as_ref().map(ImageName::as_str), Some("base"));
    assert!(!fixture.options.out.join("base-amd64.tag").exists());
    assert!(fixture.out("base-amd64.json").contains("\"failed\""));
    assert!(fixture.out("logs/base-amd64.log").contains("what went wrong"));
}
