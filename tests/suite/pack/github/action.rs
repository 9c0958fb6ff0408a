//! The action: what it installs and refuses, and a job that uses nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;

use super::world::{Event, World, copy};
use crate::pack::emulated::{NEW, root};

/// A copy of the action, and a runner's directories.
struct Runner {
    dir: TempDir,
}

fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

fn sha256(bytes: &[u8]) -> String {
    hephy::oci::Digest::of(bytes).hex().to_owned()
}

impl Runner {
    fn new() -> Self {
        let dir = TempDir::with_prefix("hephy action ").unwrap();
        copy(&root().join("action"), &dir.path().join("source/action"));
        std::fs::create_dir(dir.path().join("temp")).unwrap();
        Self { dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn release(&self, text: &str) {
        std::fs::write(self.at("source/action/release.txt"), text).unwrap();
    }

    /// Serves a release 1.2.3 and ships its checksums.
    fn released(&self, binary: &[u8], registry: &[u8]) -> String {
        let files = self.at("served/v1.2.3");
        std::fs::create_dir_all(&files).unwrap();
        let machine = machine();
        let mut text = format!("# a comment\nversion 1.2.3\nurl {}\n", serve(self.at("served")));
        for (name, bytes) in [("hephy", binary), ("registry", registry)] {
            std::fs::write(files.join(format!("{name}-{machine}")), bytes).unwrap();
            text.push_str(&format!("sha256 {} {name}-{machine}\n", sha256(bytes)));
        }
        self.release(&text);
        text
    }

    fn install(&self, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.at("source/action/install"));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("RUNNER_OS", "Linux");
        command.env("RUNNER_TEMP", self.at("temp")).env("GITHUB_OUTPUT", self.at("output"));
        command.env("GITHUB_PATH", self.at("path")).envs(variables.iter().copied());
        command.output().unwrap()
    }

    #[track_caller]
    fn refused(&self, variables: &[(&str, &str)], what: &str, next: &str) {
        let output = self.install(variables);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("error: {what}")), "{said}");
        assert!(said.contains("\nhint: ") && said.contains(next), "{said}");
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("::error title=hephy::"));
        assert!(!self.installed().exists() && !self.at("path").exists(), "nothing is installed");
    }

    fn installed(&self) -> PathBuf {
        self.at("temp/hephy/bin/hephy")
    }
}

/// Serves a directory on a loopback port, until the test process ends.
fn serve(dir: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let (status, body) = match std::fs::read(dir.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}")
}

fn hephy() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_hephy"))
}

#[test]
fn the_released_binary_is_installed_when_its_checksum_is_the_shipped_one() {
    let runner = Runner::new();
    let binary = std::fs::read(hephy()).unwrap();
    let shipped = runner.released(&binary, b"#!/bin/sh\n");
    for version in ["", "1.2.3", "v1.2.3"] {
        let output = runner.install(&[("INPUT_VERSION", version)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read(runner.installed()).unwrap(), binary);
        assert!(runner.at("temp/hephy/bin/registry").exists(), "a check run's registry lies beside it");
        let written = std::fs::read_to_string(runner.at("output")).unwrap();
        assert!(written.starts_with("hephy<<") && written.contains("temp/hephy/bin/hephy\n"), "{written}");
        let path = std::fs::read_to_string(runner.at("path")).unwrap();
        assert!(path.ends_with("temp/hephy/bin\n"), "{path}");
        std::fs::remove_file(runner.installed()).unwrap();
        std::fs::remove_file(runner.at("path")).unwrap();
    }
    // Whoever exchanges the file on its way gets nothing run.
    std::fs::write(runner.at(&format!("served/v1.2.3/hephy-{}", machine())), "#!/bin/sh\n").unwrap();
    runner.refused(&[], "http://127.0.0.1", "do not use it");
    runner.release(&shipped.replace(&format!("hephy-{}", machine()), "hephy-vax"));
    runner.refused(&[], "there is no released hephy for this machine", "version: source");
}

#[test]
fn another_version_needs_a_checksum_of_its_own() {
    let runner = Runner::new();
    let binary = std::fs::read(hephy()).unwrap();
    runner.released(b"ours", b"ours");
    std::fs::create_dir_all(runner.at("served/v2.0.0")).unwrap();
    std::fs::write(runner.at(&format!("served/v2.0.0/hephy-{}", machine())), &binary).unwrap();
    let other = ("INPUT_VERSION", "2.0.0");
    runner.refused(&[other], "the version 2.0.0 is not this action's own (1.2.3)", "as `checksum`");
    runner.refused(&[other, ("INPUT_CHECKSUM", "latest")], "the version 2.0.0", "as `checksum`");
    let output = runner.install(&[other, ("INPUT_CHECKSUM", &sha256(&binary))]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(runner.installed()).unwrap();
    std::fs::remove_file(runner.at("path")).unwrap();
    for version in ["latest", "../../x", "1.2.3/../..", "$(id)", "-x\n::error::forged"] {
        runner.refused(&[("INPUT_VERSION", version)], "`", "write it as 1.2.3");
    }
}

#[test]
fn other_systems_and_programs_are_refused_with_the_next_step() {
    let runner = Runner::new();
    for system in ["Windows", "macOS"] {
        let said = format!("hephy runs on Linux runners, and this one is {system}");
        runner.refused(&[("RUNNER_OS", system), ("HEPHY_BIN", env!("CARGO_BIN_EXE_hephy"))], &said, "ubuntu-24.04");
    }
    runner.refused(&[("INPUT_BINARY", "/nowhere/hephy")], "/nowhere/hephy is no program", "names the hephy to use");
    let text = root().join("Cargo.toml").display().to_string();
    runner.refused(&[("HEPHY_BIN", &text)], &format!("{text} is no program"), "names the hephy to use");
}

#[test]
fn a_commit_that_is_no_release_builds_the_source_beside_it() {
    let runner = Runner::new();
    runner.refused(&[], "there is no source of hephy beside the action", "OWNER/hephy/action@VERSION");
    std::fs::write(runner.at("source/Cargo.toml"), "").unwrap();
    // The suite builds hephy with cargo anyway; this one says what it was asked for, and leaves what cargo would.
    let tools = runner.at("tools");
    std::fs::create_dir(&tools).unwrap();
    for (name, script) in [
        (
            "cargo",
            format!(
                "pwd >{0}; printf '%s\\n' \"$@\" >>{0}; mkdir -p \"$5/host/release\"; cp '{1}' \"$5/host/release/\"",
                "\"$RUNNER_TEMP/asked\"",
                hephy().display()
            ),
        ),
        ("rustc", "echo 'host: host'".to_owned()),
    ] {
        std::fs::write(tools.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(tools.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let output = runner.install(&[("PATH", &path)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = std::fs::read_to_string(runner.at("temp/asked")).unwrap();
    assert!(asked.starts_with(&format!("{}\nbuild\n--release\n--locked\n", runner.at("source").display())), "{asked}");
    assert!(runner.installed().exists());
}

#[test]
fn a_job_uses_the_action_alone() {
    let world = World::new();
    let uses = "acme/hephy/action@v1";
    let registry = world.registry();
    let workflow = json!({
        "name": "images",
        "on": "push",
        "jobs": {"images": {
            "runs-on": "ubuntu-24.04",
            "env": {"HEPHY_BACKEND": "buildah"},
            "steps": [
                {"uses": "actions/checkout@v7"},
                {"uses": uses, "id": "plan", "with": {"command": "prepare", "registry": registry}},
                {"uses": uses, "with": {"command": "build", "arch": "amd64", "images": "a", "registry": registry}},
                {"uses": uses, "id": "publish", "with": {"command": "manifest", "args": "--image\na", "registry": registry}},
                {"uses": uses, "with": {"command": "install"}},
                {"run": "hephy --version; printf 'outputs: %s %s\\n' \"$NEED\" \"$IMAGES\"",
                 "env": {"NEED": "${{ steps.plan.outputs.need_amd64 }} ${{ steps.plan.outputs.need_arm64 }}",
                         "IMAGES": "${{ steps.publish.outputs.images }}"}},
            ],
        }},
    });
    world.commit("first");
    world.repo.write(".github/workflows/images.yml", workflow.to_string());
    world.repo.commit("the action alone");
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    assert!(ran.said.contains(&format!("outputs: true false {{\"a\":\"{registry}@sha256:")), "{}", ran.said);
    assert!(world.tags().contains(&"a-latest".to_owned()));
}

#[test]
fn a_command_is_one_word_and_arguments_are_lines() {
    let runner = Runner::new();
    let program = runner.at("echo");
    std::fs::write(&program, "#!/bin/sh\nprintf '<%s>' \"$@\"; env | grep ^HEPHY_\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(runner.at("source/action/run"));
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HEPHY_INSTALLED", &program);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&[
        ("INPUT_COMMAND", "build"),
        ("INPUT_ARGS", "--out\n\na b; $(id)*\n"),
        ("INPUT_ARCH", "amd64 --x"),
        ("INPUT_IMAGES", "a, b\nc *"),
        ("INPUT_REGISTRY", "r.example/a"),
        ("HEPHY_REGISTRY", "other"),
        ("HEPHY_BACKEND", ""),
        ("HEPHY_DEPENDENTS", ""),
    ]);
    assert_eq!(code, Some(0));
    let words = "<build><--arch=amd64 --x><--image=a><--image=b><--image=c><--image=*><--out><a b; $(id)*>";
    assert_eq!(said, format!("{words}HEPHY_INSTALLED={}\nHEPHY_REGISTRY=r.example/a\n", program.display()));
    for wrong in ["", "--version", "build --force", "$(id)", "a\nb"] {
        assert_eq!(run(&[("INPUT_COMMAND", wrong)]).0, Some(2), "{wrong}");
    }
}
