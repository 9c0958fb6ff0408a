//! Threat: what other jobs left in the output directory was changed on its way, or planted.

use std::path::Path;

use serde_json::{Value, json};

use super::{Hephy, one_image};
use crate::support::registry::{Registry, block_on, client, push};
use crate::support::repo::Repo;

/// A prepared plan of two images `a` and `b`, and what honest build jobs left.
struct Prepared {
    repo: Repo,
    registry: Registry,
}

impl Prepared {
    fn new() -> Self {
        let (repo, _) = one_image();
        repo.image("other").write("hephy.yaml", "backend: buildah\n").commit("two");
        let registry = Registry::start();
        let prepared = Self { repo, registry };
        let target = format!("{}/acme", prepared.registry.address);
        Hephy::at(prepared.repo.path()).run(&["prepare", "--all", "--registry", &target]).succeeded();
        let repository = prepared.registry.repository("acme");
        let plan = prepared.plan();
        for image in plan["images"].as_array().unwrap() {
            let tag = image["arch_tags"]["amd64"].as_str().unwrap();
            let manifest = block_on(push(&client(), &repository, "linux/amd64", tag));
            let result = json!({
                "version": 1, "plan": plan["id"], "commit": plan["source"]["commit"], "image": image["name"],
                "input_key": image["input_key"], "platform": "linux/amd64", "status": "completed", "tag": tag,
                "reference": format!("{repository}@{}", manifest.digest), "digest": manifest.digest,
                "media_type": manifest.media_type, "size": 1, "backend": "buildah",
                "start": "2025-10-15T12:00:00Z", "end": "2025-10-15T12:00:01Z", "attempts": 1, "error": null,
            });
            let name = image["name"].as_str().unwrap();
            prepared.write(&format!("{name}-amd64.json"), &result);
        }
        prepared
    }

    fn out(&self) -> std::path::PathBuf {
        self.repo.path().join(".hephy")
    }

    fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.out().join(name)).unwrap()).unwrap()
    }

    fn plan(&self) -> Value {
        self.read("plan.json")
    }

    fn write(&self, name: &str, content: &Value) {
        std::fs::write(self.out().join(name), content.to_string()).unwrap();
    }

    fn run(&self, args: &[&str]) -> super::Seen {
        Hephy::at(self.repo.path()).env("HEPHY_RETRIES", "0").run(args)
    }
}

const STAGES: [&[&str]; 2] = [&["build", "--arch", "amd64"], &["manifest"]];

#[test]
fn honest_results_are_published() {
    let prepared = Prepared::new();
    let seen = prepared.run(&["manifest"]);
    assert!(seen.succeeded().stdout.contains("curl-head"), "{}", seen.all());
}

#[test]
fn edited_plans_are_refused_by_every_stage_that_reads_them() {
    let prepared = Prepared::new();
    let honest = prepared.plan();
    let remote = |archive: &str| {
        json!({"mode": "remote", "repository": "x", "ref": "y", "commit": null, "archive": archive,
               "archive_digest": format!("sha256:{}", "0".repeat(64)), "keep_git": false, "submodules": false})
    };
    let fields = [
        ("dir", json!("../../etc")),
        ("dockerfile", json!("/etc/passwd")),
        ("dockerfile", json!("../other/Dockerfile")),
        ("context", json!("..")),
        ("source", json!({"mode": "local", "root": ".git"})),
        ("source", remote("../../../etc/passwd")),
        ("arch_tags", json!({})),
        ("arch_tags", json!({"amd64": "x\ny"})),
        ("arch_tags", json!({"amd64": "--help"})),
        ("tags", json!(["other-head"])),
        ("tags", json!(["a b"])),
        ("tags", honest["images"][1]["arch_tags"]["amd64"].as_str().map(|tag| json!([tag])).unwrap()),
        ("name", json!("other")),
        ("name", json!("../x")),
        ("platforms", json!(["linux/amd64", "linux/arm64"])),
        ("platforms", json!(["windows/amd64"])),
        ("labels", json!({"a=b": "c"})),
        ("build_args", json!([{"name": "--x", "value": [{"text": "y"}]}])),
        ("build_args", json!([{"name": "X", "value": [{"text": "a\nb"}]}])),
        ("target", json!("a\nb")),
        ("wave", json!(-1)),
        ("surprise", json!(1)),
    ];
    for (field, value) in fields {
        let mut plan = honest.clone();
        plan["images"][0][field] = value.clone();
        prepared.write("plan.json", &plan);
        for stage in STAGES {
            let seen = prepared.run(stage);
            assert_eq!(seen.code, 3, "{stage:?} {field} = {value}: {}", seen.all());
        }
    }
    for (field, value) in [
        ("registry", json!("--help")),
        ("registry", json!("h/x y")),
        ("registry", json!("http://u:p@h/x")),
        ("version", json!(2)),
        ("version", json!("x")),
        ("mode", json!("other")),
    ] {
        let mut plan = honest.clone();
        plan[field] = value.clone();
        prepared.write("plan.json", &plan);
        for stage in STAGES {
            let seen = prepared.run(stage);
            assert!(matches!(seen.code, 2 | 3), "{stage:?} {field} = {value}: {}", seen.all());
        }
    }
}

/// Counts who connects, and says nothing.
fn listener() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in socket.incoming() {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            drop(connection);
        }
    });
    (address, count)
}

#[test]
fn a_plan_cannot_send_the_jobs_credential_to_another_registry() {
    let prepared = Prepared::new();
    let honest = prepared.plan();
    let own = honest["registry"].as_str().unwrap().to_owned();
    let (evil, connections) = listener();
    let run = |registry: Option<&str>, stage: &[&str]| {
        let run = Hephy::at(prepared.repo.path()).env("HEPHY_RETRIES", "0").env("HEPHY_REGISTRY_USERNAME", "u");
        let run = run.env("HEPHY_REGISTRY_PASSWORD", "correct-horse");
        registry.into_iter().fold(run, |run, registry| run.env("HEPHY_REGISTRY", registry)).run(stage)
    };
    let mut edited = honest.clone();
    edited["registry"] = json!(format!("{evil}/acme"));
    for stage in STAGES {
        prepared.write("plan.json", &edited);
        run(Some(&own), stage).refused(3, "HEPHY_REGISTRY names");
        run(None, stage).refused(3, "nothing here says that it is for");
        // A host that the repository or the platform names is one, in any spelling of the whole.
        Hephy::at(prepared.repo.path()).env("ECR_REGISTRY", &own).run(stage).refused(3, "ECR_REGISTRY names");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 0);
    prepared.write("plan.json", &honest);
    run(Some(&format!("{own}/")), &["manifest"]).succeeded();
    prepared.repo.write("hephy.yaml", format!("backend: buildah\nregistry: {own}\n"));
    run(None, &["manifest"]).succeeded();
    run(Some("none"), &["manifest"]).succeeded();
    prepared.repo.write("hephy.yaml", "backend: buildah\n");
    run(None, &["manifest"]).refused(3, "nothing here says");
    Hephy::at(prepared.repo.path()).run(&["manifest"]).succeeded();
}

#[test]
fn enormous_numbers_in_a_plan_break_nothing() {
    let prepared = Prepared::new();
    let honest = prepared.plan();
    for (field, value) in
        [("timeout_seconds", u64::MAX), ("retries", u64::from(u32::MAX)), ("wave", u64::from(u32::MAX))]
    {
        let mut plan = honest.clone();
        plan["images"][0][field] = json!(value);
        prepared.write("plan.json", &plan);
        // A builder that is not there ends the job after everything was looked at; one that is there builds.
        let seen = prepared.run(&["build", "--arch", "amd64"]);
        assert!(matches!(seen.code, 0 | 1), "{field}: {}", seen.all());
    }
}

/// Puts something at a path that is no honest file, and gives its name.
fn plant(path: &Path, secret: &Path, what: &str) {
    let _ = std::fs::remove_file(path);
    match what {
        "pipe" => {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }
        "directory" => std::fs::create_dir(path).unwrap(),
        "endless" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        "secret" => std::os::unix::fs::symlink(secret, path).unwrap(),
        "itself" => std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap(),
        "deep" => std::fs::write(path, "[".repeat(900_000)).unwrap(),
        "NUL" => std::fs::write(path, [0; 100]).unwrap(),
        _ => std::fs::write(path, "").unwrap(),
    }
}

#[test]
fn planted_files_are_neither_waited_for_nor_followed_nor_shown() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), r#"{"auths": {"hunter2": {"auth": "hunter2"}}, "version": 1, "plan": "hunter2"}"#)
        .unwrap();
    let prepared = Prepared::new();
    let result = std::fs::read(prepared.out().join("curl-amd64.json")).unwrap();
    for what in ["pipe", "directory", "endless", "secret", "itself", "deep", "NUL", "empty"] {
        for name in ["curl-amd64.json", "curl-amd64.tag", "plan.json"] {
            let plan = prepared.plan();
            let path = prepared.out().join(name);
            if name.ends_with(".tag") {
                std::fs::remove_file(prepared.out().join("curl-amd64.json")).unwrap();
            }
            plant(&path, secret.path(), what);
            let seen = prepared.run(&["manifest"]);
            assert_eq!(seen.code, 3, "{name} as {what}: {}", seen.all());
            assert!(!seen.all().contains("hunter2"), "{name}: {}", seen.all());
            let _ = std::fs::remove_dir(&path);
            let _ = std::fs::remove_file(&path);
            prepared.write("plan.json", &plan);
            std::fs::write(prepared.out().join("curl-amd64.json"), &result).unwrap();
        }
    }
}

#[test]
fn results_that_contradict_the_plan_publish_nothing_of_their_image() {
    let prepared = Prepared::new();
    let honest = prepared.read("curl-amd64.json");
    for (field, value) in [
        ("plan", json!("bld_other")),
        ("commit", json!("0")),
        ("image", json!("other")),
        ("platform", json!("linux/arm64")),
        ("status", json!("failed")),
        ("digest", json!(null)),
        ("digest", json!("sha256:0")),
        ("size", json!(-5)),
        ("size", json!(1e300)),
        ("version", json!(9)),
    ] {
        let mut result = honest.clone();
        result[field] = value.clone();
        prepared.write("curl-amd64.json", &result);
        prepared.run(&["manifest"]).refused(3, "curl-amd64.json");
        assert!(!prepared.out().join("curl.manifest.json").exists(), "{field} = {value}");
        assert!(prepared.out().join("other.manifest.json").exists(), "the other image does not suffer");
    }
    // Numbers and times that only people see.
    let mut result = honest;
    result["size"] = json!(u64::MAX);
    result["start"] = json!("-9999-01-01T00:00:00Z");
    result["end"] = json!("9999-12-30T00:00:00Z\u{1b}[2J");
    prepared.write("curl-amd64.json", &result);
    prepared.run(&["manifest"]).succeeded();
}

#[test]
fn a_failure_that_a_job_tells_cannot_command_the_log() {
    let prepared = Prepared::new();
    let mut result = prepared.read("curl-amd64.json");
    let nasty = "\u{1b}[2J\n::error::x";
    result["status"] = json!("failed");
    result["digest"] = json!(null);
    result["error"] = json!({
        "code": "build_error", "message": nasty, "causes": [nasty], "hint": nasty, "because_of": null,
        "instruction": {"file": nasty, "line": 0, "stage": nasty, "text": nasty}, "last_lines": [nasty],
    });
    prepared.write("curl-amd64.json", &result);
    let seen = prepared.run(&["manifest"]);
    seen.refused(1, "the build of curl for linux/amd64 failed");
    assert!(!seen.all().contains('\u{1b}') && !seen.all().contains("\n::error"), "{}", seen.all());
}

#[test]
fn a_tag_file_names_a_tag_of_its_own_image() {
    let prepared = Prepared::new();
    std::fs::remove_file(prepared.out().join("curl-amd64.json")).unwrap();
    let plan = prepared.plan();
    let own = plan["images"][0]["arch_tags"]["amd64"].as_str().unwrap();
    let theirs = plan["images"][1]["arch_tags"]["amd64"].as_str().unwrap();
    for wrong in [theirs, "a\nb", "evil.example/x:y", "--help", "\u{1b}[2J/x:y"] {
        std::fs::write(prepared.out().join("curl-amd64.tag"), wrong).unwrap();
        prepared.run(&["manifest"]).refused(3, "curl-amd64.tag");
        assert!(!prepared.out().join("curl.manifest.json").exists(), "{wrong}");
    }
    std::fs::write(prepared.out().join("curl-amd64.tag"), format!("{own}\n")).unwrap();
    prepared.run(&["manifest"]).succeeded();
}

#[test]
fn what_is_published_is_written_beside_a_planted_link_and_not_through_it() {
    let prepared = Prepared::new();
    let victim = tempfile::NamedTempFile::new().unwrap();
    for name in ["curl.manifest.json", "summary.md"] {
        std::os::unix::fs::symlink(victim.path(), prepared.out().join(name)).unwrap();
    }
    prepared.run(&["manifest"]).succeeded();
    assert_eq!(std::fs::read(victim.path()).unwrap(), b"");
}
