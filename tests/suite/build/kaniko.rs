//! Kaniko for real: image after image in one container, of which only mounts survive.
//!
//! `HEPHY_TEST_KANIKO` names an executor. The container is a private mount namespace and a root without any userland:
//! the executor in `/kaniko`, the job's directory mounted at `/builds`, and this test binary, static as hephy is,
//! which runs the build stage inside. Without the variable these tests are skipped, and say so.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use hephy::commands::build::{FIRST_WAIT, Options, run};
use hephy::config::BackendName::Kaniko;
use hephy::oci::Platform;
use hephy::process::Interrupt;
use hephy::result::{BuildResult, Status};

use super::{APP, BASE, Fixture, argument, chain_results, failure_results};
use crate::support::builders;

/// What the process inside leaves for the one outside.
#[derive(serde::Serialize, serde::Deserialize)]
struct Left {
    results: Vec<BuildResult>,
    failure: Option<(String, String)>,
}

/// The executor, unless these tests are to be skipped.
fn executor(test: &str) -> Option<PathBuf> {
    let executor = std::env::var_os("HEPHY_TEST_KANIKO").map(PathBuf::from);
    if executor.is_none() {
        // Not `eprintln!`: the test harness would swallow it.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED 1 test: build::kaniko::{test} (HEPHY_TEST_KANIKO names no executor)");
    }
    executor
}

/// Makes the container's root and the commands that mount it; `$1` is the root, `$2` the job's directory.
const MOUNT: &str = "set -e
mount --bind \"$1\" \"$1\"
mount --bind \"$2\" \"$1/builds\"
mount -t proc proc \"$1/proc\"
for device in null zero random urandom; do mount --bind /dev/$device \"$1/dev/$device\"; done
for file in etc/passwd lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6; do
  if [ -e \"$1/$file\" ]; then
    case $file in etc/*) from=$1/kaniko/passwd ;; *) from=/$file ;; esac
    mount --bind \"$from\" \"$1/$file\"
  fi
done
root=$1
shift 2
exec chroot \"$root\" \"$@\"";

fn make_root(root: &Path, executor: &Path) {
    for dir in ["kaniko", "builds", "proc", "dev", "etc"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in ["null", "zero", "random", "urandom"] {
        std::fs::write(root.join("dev").join(file), "").unwrap();
    }
    install(executor, &root.join("kaniko/executor"));
    // An executor that is linked dynamically brings its C library and a passwd file along, as mounts.
    let bytes = std::fs::read(executor).unwrap();
    if bytes.windows(27).any(|part| part == b"/lib64/ld-linux-x86-64.so.2") {
        for file in ["etc/passwd", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        std::fs::write(root.join("kaniko/passwd"), "root:x:0:0:root:/root:/none\n").unwrap();
    }
}

/// Copies a program in a process of its own: one that this process wrote could not be started while a child of
/// another test, between fork and exec, still holds it open.
fn install(from: &Path, to: &Path) -> PathBuf {
    let copied = Command::new("install").args(["-m", "755", "--"]).args([from, to]).status().unwrap();
    assert!(copied.success());
    to.to_owned()
}

/// Runs the build stage of a fixture inside the container.
fn run_inside(fixture: &Fixture, executor: &Path) -> Left {
    fixture.write_plan();
    let builds = fixture.options.checkout.parent().unwrap();
    let root = tempfile::tempdir().unwrap();
    make_root(root.path(), executor);
    install(&std::env::current_exe().unwrap(), &builds.join("hephy-suite"));
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", MOUNT, "sh"])
        .args([root.path(), builds])
        .args(["/builds/hephy-suite", "build::kaniko::inside_the_container", "--exact", "--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HEPHY_SUITE_INSIDE", "/builds")
        .output()
        .unwrap();
    let said = || format!("{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "this test needs root, for mounts: {}", said());
    // Mounts survived the builds, and what was no mount did not.
    serde_json::from_slice(&std::fs::read(builds.join("left.json")).unwrap()).unwrap()
}

#[test]
#[ignore = "the other tests of this module start it inside their container"]
fn inside_the_container() {
    let Some(builds) = std::env::var_os("HEPHY_SUITE_INSIDE").map(PathBuf::from) else { return };
    let checkout = builds.join("check out");
    let options = Options {
        out: checkout.join(".hephy"),
        checkout,
        platform: Platform::linux_amd64(),
        image: None,
        registry: None,
        insecure_hosts: Vec::new(),
        cross: false,
        docker_config: None,
        secrets: Vec::new(),
        retries: 0,
        retry_wait: FIRST_WAIT,
        environment: std::env::vars().collect(),
        builder_env: std::collections::BTreeMap::new(),
    };
    let outcome = run(&options, &builders::PlainView, &Interrupt::default(), &|_| {}).unwrap();
    let failure = outcome.failure.map(|error| (error.kind().code().to_owned(), error.message().to_owned()));
    let left = Left { results: outcome.results, failure };
    std::fs::write(builds.join("left.json"), serde_json::to_vec(&left).unwrap()).unwrap();
}

#[test]
fn a_chain_is_built_in_one_container() {
    let Some(executor) = executor("a_chain_is_built_in_one_container") else { return };
    let mut fixture = Fixture::new(Kaniko);
    super::chain_plan(&mut fixture);
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure, None);
    chain_results(&fixture, &left.results);
}

#[test]
fn a_failing_instruction_is_named() {
    let Some(executor) = executor("a_failing_instruction_is_named") else { return };
    let mut fixture = Fixture::new(Kaniko);
    super::failure_plan(&mut fixture);
    let left = run_inside(&fixture, &executor);
    let (code, message) = left.failure.unwrap();
    failure_results(&fixture, &code, &message, &left.results);
}

#[test]
fn a_killed_build_leaves_nothing_for_the_next() {
    let Some(executor) = executor("a_killed_build_leaves_nothing_for_the_next") else { return };
    let mut fixture = Fixture::new(Kaniko);
    fixture.image("a", BASE);
    let killed = fixture.image(
        "b",
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"touch\", \"/left-behind\"]\n\
         RUN [\"/bin/busybox\", \"sleep\", \"4444\"]\n",
    );
    killed.timeout_seconds = Some(3);
    fixture.image("base", BASE);
    let app = fixture.image("app", APP);
    app.build_args.push(argument("COLOUR", "red"));
    fixture.built_on("base");
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure.as_ref().map(|(code, _)| code.as_str()), Some("timeout_error"));
    let status: Vec<_> = left.results.iter().map(|result| result.status).collect();
    assert_eq!(status, [Status::Completed, Status::Failed, Status::Completed, Status::Completed]);
    for result in [&left.results[2], &left.results[3]] {
        let (paths, _) = fixture.contents(result);
        assert!(!paths.iter().any(|path| path.contains("left-behind")), "{paths:?}");
    }
}

#[test]
fn the_checkout_and_hephys_files_enter_no_image() {
    let Some(executor) = executor("the_checkout_and_hephys_files_enter_no_image") else { return };
    let mut fixture = Fixture::new(Kaniko);
    fixture.file("Dockerfile", "FROM scratch\nCOPY . /src\nRUN [\"/src/root/busybox\", \"touch\", \"/ran\"]\n");
    symlink("root/busybox", fixture.options.checkout.join("link")).unwrap();
    let image = fixture.image("root", "");
    image.source = hephy::plan::PlannedSource::Local { root: ".".into() };
    image.annotations.insert("com.example.a".into(), "b".into());
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure, None);
    assert_eq!(left.results[0].media_type.as_deref(), Some("application/vnd.oci.image.manifest.v1+json"));
    let (paths, _) = fixture.contents(&left.results[0]);
    assert!(paths.iter().any(|path| path.ends_with("src/link")) && paths.iter().any(|path| path.ends_with("ran")));
    assert!(!paths.iter().any(|path| path.contains(".hephy") || path.contains("builds")), "{paths:?}");
}

#[test]
fn a_version_that_cannot_clean_up_ends_the_job_after_a_kill() {
    let mut fixture = Fixture::new(Kaniko);
    // An old version is not to be had, and what counts is that nothing is built after it: a stand-in will do.
    let old = fixture.file(
        "old-kaniko",
        "#!/bin/sh\ncase $1 in version) echo 'Kaniko version :  v1.24.0' ;; *) exec sleep 60 ;; esac\n",
    );
    let old = install(&old, &old.with_extension("run"));
    fixture.options.environment.insert("HEPHY_KANIKO".into(), old.display().to_string());
    fixture.image("a", BASE).timeout_seconds = Some(1);
    fixture.image("b", BASE);
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.failure.unwrap().kind().code(), "timeout_error");
    assert_eq!(outcome.results[1].status, Status::Skipped);
    let error = outcome.results[1].error.as_ref().unwrap();
    assert!(error.message.contains("the killed build of a"), "{error:?}");
}
