//! `hephy run`: all stages on one machine.

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{DIFF_BASE, HEAD, Outcome, Project, TARGET, image_of, layers, manifest, snapshot, tags};
use crate::support::builders;

/// `host:port` of the registry that hephy started.
#[track_caller]
fn own_registry(outcome: &Outcome) -> String {
    let line = outcome.stderr.lines().find_map(|line| line.strip_prefix("registry "));
    let address = line.unwrap_or_else(|| panic!("{outcome}")).split('/').next().unwrap();
    address.to_owned()
}

/// Whether a process runs with this text among its arguments.
pub(super) fn runs(part: &str) -> bool {
    let processes = Path::new("/proc").read_dir().unwrap().flatten();
    processes.into_iter().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(part)
    })
}

#[test]
fn its_own_registry_is_started_and_stopped_and_keeps_its_data() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "");
    project.repo.commit("images");
    let first = project.hephy(["run", "--all"]).run().ok();
    let address = own_registry(&first);
    assert!(TcpStream::connect(&address).is_err(), "the port is closed");
    assert!(!runs(&project.out("registry").display().to_string()), "no process is left");
    assert!(project.out("registry/data").exists());
    assert!(first.stdout.contains("mid-head") && first.stdout.contains("1 platform"), "{first}");

    // Twice in a row: what the first run published is what the second one builds on.
    project.repo.write("mid/file", "changed");
    let second = project.hephy(["run"]).run().ok();
    assert!(second.stderr.contains("build mid") && second.stderr.contains("build top"), "{second}");
    assert!(!second.stderr.contains("build base"), "{second}");
    let files = snapshot(&project.out(""));
    assert!(
        !files.keys().any(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with('.') && name != ".gitignore"
        }),
        "no temporary file"
    );
    assert!(!project.out("work").exists(), "{files:?}", files = files.keys());
}

/// As a program that is linked against libraries which the job's image does not have.
#[test]
fn a_registry_that_cannot_be_loaded_is_no_failed_build() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::with(&["a"]);
    let bin = project.home.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("registry"), "#!/lib/no-such-loader\n").unwrap();
    std::fs::set_permissions(bin.join("registry"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let said = project.hephy(["run", "--all"]).env("PATH", path).run();
    said.fails(6, &["a registry for this job could not be started", "it is linked dynamically"]);
}

#[test]
fn with_nothing_to_build_nothing_is_started_and_nothing_written() {
    let project = Project::with(&["a"]);
    let was = snapshot(project.repo.path());
    // Neither a registry nor a builder is there.
    let outcome = project.hephy(["run"]).env("PATH", "/usr/bin").run().ok();
    assert!(outcome.stdout.ends_with("Nothing to build: 1 image unchanged.\n"), "{outcome}");
    assert_eq!(outcome.stderr, "");
    assert_eq!(snapshot(project.repo.path()), was);
    let json = project.hephy(["run", "--format", "json"]).run().ok().json();
    assert_eq!(json["results"], serde_json::json!([]));
}

#[test]
fn the_registry_can_be_kept_running() {
    let project = Project::with(&["a"]);
    let outcome = project.hephy(["run", "--all", "--keep-registry"]).run().ok();
    let address = own_registry(&outcome);
    let id = outcome.stderr.split("stop it with: kill ").nth(1).unwrap_or_else(|| panic!("{outcome}"));
    let id = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
    let found = manifest(&format!("{address}/hephy"), "a-head");
    rustix::process::kill_process(id, Signal::TERM).unwrap();
    assert!(found.is_some(), "{outcome}");
}

#[test]
fn a_registry_that_is_given_is_used_and_none_started() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    let outcome = project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    assert!(manifest(&registry, "a-head").is_some());
    assert!(!project.out("registry").exists() && !outcome.stderr.contains("registry 127"), "{outcome}");
    assert!(tags(&registry).iter().any(|tag| tag.ends_with("-amd64")));
}

#[test]
fn a_check_run_pushes_nothing_to_the_registry_that_it_names() {
    let project = Project::new();
    project.dockerfile("base", "", "FROM scratch\nCOPY Dockerfile /\n");
    project.dockerfile(
        "app",
        "",
        "ARG BASE_TAG\nARG HEPHY_REGISTRY\nFROM ${HEPHY_REGISTRY}:${BASE_TAG}\nCOPY . /app/\n",
    );
    project.repo.commit("images");
    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let published = tags(&registry);
    let main = project.repo.head();
    project.repo.write("app/more", "").commit("a change");
    let head = project.repo.head();
    let ids = [(HEAD, head.as_str()), (TARGET, &main), (DIFF_BASE, &main)];
    let hephy = project.ci("gitlab-merge-request-detached", &ids, ["run"]).env("HEPHY_REGISTRY", &registry);
    let outcome = hephy.env("HEPHY_BACKEND", "buildah").run().ok();
    assert!(outcome.stderr.contains("build app linux/amd64"), "{outcome}");
    assert_eq!(tags(&registry), published, "{outcome}");
}

#[test]
fn a_branch_of_a_developer_does_not_take_head() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    project.repo.git(&["checkout", "-q", "-b", "feature/x"]);
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    assert!(manifest(&registry, "a-head").is_none());
    project.repo.git(&["checkout", "-q", "main"]);
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    assert!(manifest(&registry, "a-head").is_some());
}

#[test]
fn a_platform_that_failed_holds_its_image_back_although_another_was_left_out() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/arm64, linux/arm/v7]\n");
    project.repo.write("a/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH}.txt /\n");
    project.repo.write("a/amd64.txt", "there is no other").commit("a");
    let registry = project.registry();
    let args = ["run", "--all", "--registry", &registry, "--platform", "amd64", "--platform", "arm64"];
    let outcome = project.hephy(args).run();
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(manifest(&registry, "a-head").is_none(), "{outcome}");
}

#[test]
fn platforms_are_the_hosts_unless_named() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("a");
    let registry = project.registry();
    let outcome = project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    assert!(
        outcome.stderr.contains("Not built on this machine: linux/arm64 (--platform all builds them)."),
        "{outcome}"
    );
    let outcome = project.hephy(["run", "--all", "--registry", &registry, "--platform", "all"]).run().ok();
    let arm64 = image_of(&registry, "a-head", "arm64");
    assert_eq!(layers(&arm64).len(), 1, "{outcome}");
    assert!(outcome.stdout.contains("2 platforms"), "{outcome}");
    let outcome = project.hephy(["run", "--all", "--platform", "nonsense"]).run();
    assert_eq!(outcome.code, 2, "{outcome}");
    let again = ["run", "--all", "--force", "--registry", &registry, "--platform", "arm64"];
    let outcome = project.hephy(again).run().ok();
    assert!(
        outcome.stderr.contains("build a linux/arm64") && !outcome.stderr.contains("build a linux/amd64"),
        "{outcome}"
    );
}

#[test]
fn an_interrupt_stops_builder_and_registry_and_keeps_the_results() {
    let project = Project::new();
    project.image("a-first", "");
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"31337\"]\n";
    project.dockerfile("b-slow", "", dockerfile);
    std::fs::copy(builders::busybox(), project.path("b-slow/busybox")).unwrap();
    project.image_on("c-after", "b-slow", "");
    project.repo.commit("images");
    for signal in [Signal::INT, Signal::TERM] {
        let running = project.hephy(["run", "--all"]).start();
        let until = Instant::now() + Duration::from_secs(60);
        while !runs("sleep\u{0}31337") {
            assert!(Instant::now() < until, "the slow build never began");
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!(outcome.code, 130, "{outcome}");
        assert!(outcome.stderr.contains("(cancelled)"), "{outcome}");
        assert!(TcpStream::connect(own_registry(&outcome)).is_err(), "the registry is stopped");
        assert!(!runs("sleep\u{0}31337"), "and so is the builder");
        let result = |image: &str| -> serde_json::Value {
            serde_json::from_str(&project.read(&format!("{image}-amd64.json"))).unwrap()
        };
        assert_eq!(result("a-first")["status"], "completed", "results so far are kept");
        assert_eq!(result("b-slow")["status"], "cancelled");
        assert!(outcome.stdout.contains("a-first") && outcome.stdout.contains("cancelled"), "{outcome}");
        let left: Vec<String> = snapshot(&project.out(""))
            .keys()
            .filter(|path| !path.starts_with(project.out("registry")))
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .filter(|name| (name.starts_with('.') && name != ".gitignore") || name.starts_with("build-"))
            .collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
    }
}

#[test]
fn the_account_of_a_failed_build() {
    let project = Project::new();
    let dockerfile = "FROM scratch AS build\nCOPY busybox /bin/busybox\n\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo before; \
                      exit 7\"]\n";
    project.dockerfile("test-app", "retries: 0\n", dockerfile);
    std::fs::copy(builders::busybox(), project.path("test-app/busybox")).unwrap();
    project.image_on("test-app-debug", "test-app", "").image("curl", "");
    project.repo.commit("images");
    let registry = project.registry();
    let outcome = project.hephy(["run", "--all", "--registry", &registry]).run().fails(
        1,
        &[
            "✗ test-app linux/amd64 failed after ",
            "\n  test-app/Dockerfile:4  (stage build)\n     4 │ RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo before; exit 7\"]\n",
            "\n  last lines of .hephy/logs/test-app-amd64.log\n",
            "     before\n",
            "\n  hint: ",
            "\n– test-app-debug linux/amd64 not built, because test-app was not\n",
            "error: 1 of 3 builds failed: test-app linux/amd64 (build_error)\n",
            "test-app was not published",
        ],
    );
    assert!(manifest(&registry, "curl-head").is_some(), "{outcome}");
    assert!(manifest(&registry, "test-app-head").is_none() && manifest(&registry, "test-app-debug-head").is_none());
    let json = project.hephy(["run", "--all", "--force", "--registry", &registry, "--format", "json"]).run();
    assert_eq!(json.code, 1, "{json}");
    let document = json.json();
    assert_eq!(document["error"]["code"], "build_error");
    assert_eq!(document["results"].as_array().unwrap().len(), 3);
}

#[test]
fn a_failure_before_anything_is_built_leaves_nothing() {
    let project = Project::with(&["a"]);
    project.dockerfile("b", "", "FROM 127.0.0.1:1/nowhere:1\n");
    project.repo.write("b/build-config.yaml", "use_local_context: true\ndockerfile_path: gone\n");
    project.repo.commit("b is broken");
    let was = snapshot(project.repo.path());
    project.hephy(["run", "--all"]).run().fails(3, &[]);
    assert_eq!(snapshot(project.repo.path()), was);
}

#[test]
fn a_proxy_of_the_environment_is_not_used_for_this_machine() {
    let project = Project::with(&["a"]);
    let mut hephy = project.hephy(["run", "--all"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        hephy = hephy.env(name, "http://127.0.0.1:1");
    }
    hephy.run().ok();
}
