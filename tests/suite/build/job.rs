//! The command itself in its output directory: alone or beside others, after a kill, and what it leaves.

use std::fs::File;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use hephy::commands::build::RegistryView as _;
use hephy::config::BackendName;

use super::{BASE, Fixture, others};
use crate::support::builders;
use crate::support::repo::Repo;

const SLOW: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"2\"]\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A fixture as prepare leaves it.
fn prepared(dockerfile: &str) -> Fixture {
    let mut fixture = Fixture::new(BackendName::Buildah);
    let arm = fixture.image("base", dockerfile);
    arm.platforms.push(hephy::oci::Platform::parse("linux/arm64").unwrap());
    fixture.write_plan();
    for arch in ["amd64", "arm64"] {
        std::fs::write(fixture.options.out.join(format!("need_{arch}.txt")), "true\n").unwrap();
    }
    fixture
}

#[test]
fn two_jobs_of_one_architecture_do_not_share_a_directory() {
    let fixture = prepared(SLOW);
    let mut hephy = fixture.hephy(&["build", "--arch", "amd64"]);
    let first = hephy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = fixture.options.out.join("logs/base-amd64.log");
    while !log.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert_eq!(second.status.code(), Some(7), "{}", said(&second));
    assert!(said(&second).contains("is in use: another hephy builds for amd64 in it"), "{}", said(&second));
    assert!(said(&second).contains("--out DIR"));
    // Another architecture's job works beside it: it gets as far as the machine lets it.
    let third = fixture.hephy(&["build", "--arch", "arm64"]).output().unwrap();
    assert!(!said(&third).contains("in use"), "{}", said(&third));
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", said(&first));
    assert!(fixture.out("base-amd64.json").contains("\"completed\""));
}

#[test]
fn a_registry_that_never_answers_does_not_keep_a_job_from_being_cancelled() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reference = format!("{}/acme/x:1", silent.local_addr().unwrap());
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE).manual_images = Some([("amd64".to_owned(), reference)].into());
    fixture.write_plan();
    std::fs::write(fixture.options.out.join("need_amd64.txt"), "true\n").unwrap();
    let mut hephy = fixture.hephy(&["build", "--arch", "amd64"]);
    let job = hephy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let connection = silent.accept().unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(job.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let started = Instant::now();
    let output = job.wait_with_output().unwrap();
    drop(connection);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
}

#[test]
fn whoever_prepares_is_alone() {
    let fixture = prepared(BASE);
    let dir = File::open(&fixture.options.out).unwrap();
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let refused = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(said(&refused).contains("hephy prepare or hephy run works in it"), "{}", said(&refused));
    drop(dir);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
}

#[test]
fn what_a_killed_run_left_is_taken_away() {
    let fixture = prepared(BASE);
    let out = &fixture.options.out;
    for dir in
        ["work/build-Ab12cd/source/deep", ".source-Ab12cd", ".peek-Ab12cd", ".credentials-Ab12cd", ".unpack-Ab12cd"]
    {
        std::fs::create_dir_all(out.join(dir)).unwrap();
        std::fs::write(out.join(dir).join("config.json"), "{}").unwrap();
    }
    std::fs::write(out.join(".hephy-Ab12cd"), "x").unwrap();
    std::fs::write(out.join("another-source.tar.gz"), "x").unwrap();
    let built = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let mut left: Vec<_> = std::fs::read_dir(out).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    let expected = [
        "another-source.tar.gz",
        "base-amd64.json",
        "base-amd64.tag",
        "logs",
        "need_amd64.txt",
        "need_arm64.txt",
        "plan.json",
    ];
    assert_eq!(left, expected);
}

/// A server that takes connections and never answers; gives its address and waits for the first one.
fn silent_server() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<std::net::TcpStream>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| send.send(stream)));
    (address, receive)
}

/// Processes that were given this text as an argument.
fn with_argument(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    processes.map(command).filter(|line| line.windows(text.len()).any(|part| part == text.as_bytes())).count()
}

/// While the source is fetched (`prepare`), and while the ref is looked up (`plan`).
#[test]
fn a_signal_ends_git_with_its_helpers_and_leaves_nothing() {
    for (command, reference) in [("prepare", "0123456789012345678901234567890123456789"), ("plan", "main")] {
        let (address, connected) = silent_server();
        let url = format!("http://{address}/silent.git");
        let repo = Repo::new();
        repo.write("app/build-config.yaml", format!("upstream_repo: {url}\nupstream_ref: {reference}\n"));
        repo.commit("Describe an image");
        let mut hephy = std::process::Command::new(env!("CARGO_BIN_EXE_hephy"))
            .args([command, "--all", "--registry", "none", "--backend", "buildah"])
            .current_dir(repo.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_ALLOW_PROTOCOL", "http")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _open = connected.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(with_argument(&url) > 1, "git and its helper are at work");
        let started = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&hephy), rustix::process::Signal::INT).unwrap();
        let code = hephy.wait().unwrap().code();
        assert_eq!(code, Some(130), "{command}");
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(!repo.path().join(".hephy").exists(), "{command} left its directory");
        let until = Instant::now() + Duration::from_secs(5);
        while with_argument(&url) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(with_argument(&url), 0, "{command} left git running");
    }
}

/// `dev.hephy.input-key` and `dev.hephy.image` of what a fixture's only image was pushed as.
pub(super) fn own_annotations(fixture: &Fixture, result: &hephy::result::BuildResult) -> [Option<String>; 2] {
    let digest = result.digest.as_ref().unwrap().as_str();
    let manifest = builders::PlainView.manifest(fixture.registry(), digest).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    [hephy::index::INPUT_KEY, hephy::index::IMAGE].map(|key| Some(manifest["annotations"][key].as_str()?.to_owned()))
}

/// So that the manifest stage sees children that do not belong together.
#[test]
fn manifests_say_what_they_are_built_from() {
    for (mut fixture, annotates) in
        [(Fixture::new(BackendName::Buildah), true), (others::buildkit(), true), (others::docker(), false)]
    {
        fixture.image("base", BASE);
        let result = fixture.build().remove(0);
        let expected = if annotates { ["0".repeat(64), "base".to_owned()].map(Some) } else { [None, None] };
        assert_eq!(own_annotations(&fixture, &result), expected);
    }
}
