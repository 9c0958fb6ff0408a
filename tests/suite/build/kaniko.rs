//! Kaniko for real: image after image in one container, of which only mounts survive.
//!
//! `HEPHY_TEST_KANIKO` names an executor. The container is a private mount namespace and a root without any userland:
//! the executor in `/kaniko`, and the job's directory mounted at `/builds`, which holds the checkout and hephy's own
//! static binary. Without the variable these tests are skipped, and say so.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use hephy::config::BackendName::Kaniko;
use hephy::result::{BuildResult, Status};

use super::{APP, BASE, Fixture, argument, chain_results, failure_results, job, outright};

/// What a job leaves: the results it prints, and the first failure among them.
#[derive(serde::Deserialize)]
pub(super) struct Left {
    pub(super) results: Vec<BuildResult>,
}

impl Left {
    pub(super) fn failure(&self) -> Option<(&str, &str)> {
        let failed = self.results.iter().find(|result| result.status == Status::Failed)?;
        failed.error.as_ref().map(|error| (error.code.code(), error.message.as_str()))
    }
}

/// The executor, unless these tests are to be skipped.
pub(crate) fn executor(test: &str) -> Option<PathBuf> {
    let executor = std::env::var_os("HEPHY_TEST_KANIKO").map(PathBuf::from);
    if executor.is_none() {
        // Not `eprintln!`: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIPPED 1 test: {test} (HEPHY_TEST_KANIKO names no executor)");
    }
    executor
}

/// Makes the container's root and the commands that mount it; `$1` is the root, `$2` the job's directory.
pub(crate) const MOUNT: &str = "set -e
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

pub(crate) fn make_root(root: &Path, executor: &Path) {
    for dir in ["kaniko", "builds", "proc", "dev", "etc"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    for file in ["null", "zero", "random", "urandom"] {
        std::fs::write(root.join("dev").join(file), "").unwrap();
    }
    install(executor, &root.join("kaniko/executor"));
    // An executor that is linked dynamically brings its C library and a passwd file along, as mounts.
    let bytes = std::fs::read(executor).unwrap();
    if memchr::memmem::find(&bytes, b"/lib64/ld-linux-x86-64.so.2").is_some() {
        for file in ["etc/passwd", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        std::fs::write(root.join("kaniko/passwd"), "root:x:0:0:root:/root:/none\n").unwrap();
    }
}

/// Copies a program in a process of its own: one that this process wrote could not be started while a child of
/// another test, between fork and exec, still holds it open.
pub(crate) fn install(from: &Path, to: &Path) -> PathBuf {
    let copied = Command::new("install").args(["-m", "755", "--"]).args([from, to]).status().unwrap();
    assert!(copied.success());
    to.to_owned()
}

/// The results of a job that may do what preflight would stop.
pub(super) fn run_inside_unchecked(fixture: &Fixture, executor: &Path) -> Vec<BuildResult> {
    run_inside_with(fixture, executor, &[("HEPHY_PREFLIGHT", "off")]).0.results
}

/// Runs `hephy build` for a fixture inside the container.
pub(super) fn run_inside(fixture: &Fixture, executor: &Path) -> Left {
    run_inside_with(fixture, executor, &[]).0
}

/// The same with further variables, and with what it said.
fn run_inside_with(fixture: &Fixture, executor: &Path, variables: &[(&str, &str)]) -> (Left, String) {
    fixture.write_plan();
    let builds = fixture.options.checkout.parent().unwrap();
    let root = tempfile::tempdir().unwrap();
    make_root(root.path(), executor);
    install(Path::new(env!("CARGO_BIN_EXE_hephy")), &builds.join("hephy"));
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", MOUNT, "sh"])
        .args([root.path(), builds])
        .args(["/builds/hephy", "-C", "/builds/check out", "--format", "json", "build", "--arch", "amd64"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = || format!("{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let left: Left = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}; this test needs root, for mounts: {}", said()));
    assert_eq!(ran.status.success(), left.failure().is_none(), "{}", said());
    (left, String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn in_one_container_images_are_built_one_after_the_other_whatever_jobs_says() {
    let test = "build::kaniko::in_one_container_images_are_built_one_after_the_other_whatever_jobs_says";
    let Some(executor) = executor(test) else { return };
    let mut fixture = Fixture::new(Kaniko);
    for name in ["a", "b", "c"] {
        fixture.image(name, BASE);
    }
    let (left, said) = run_inside_with(&fixture, &executor, &[("HEPHY_JOBS", "3")]);
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let times: Vec<_> = left.results.iter().map(|result| (at(&result.start), at(&result.end))).collect();
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
    assert_eq!(said.matches("its images are built one after the other").count(), 1, "{said}");
}

/// The results of `hephy build` inside the container; every image must be built.
pub(super) fn results_inside(fixture: &Fixture, executor: &Path) -> Vec<BuildResult> {
    let left = run_inside(fixture, executor);
    assert_eq!(left.failure(), None);
    left.results
}

#[test]
fn a_chain_is_built_in_one_container() {
    let Some(executor) = executor("build::kaniko::a_chain_is_built_in_one_container") else { return };
    let mut fixture = Fixture::new(Kaniko);
    super::chain_plan(&mut fixture);
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure(), None);
    chain_results(&fixture, &left.results);
}

#[test]
fn a_reference_outright_is_this_runs_image() {
    let Some(executor) = executor("build::kaniko::a_reference_outright_is_this_runs_image") else { return };
    let mut fixture = Fixture::new(Kaniko);
    outright::plan(&mut fixture);
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure(), None);
    outright::results(&fixture, &left.results[1], true);
    for result in &left.results {
        let name = Some(result.image.to_string());
        assert_eq!(job::own_annotations(&fixture, result), [Some("0".repeat(64)), name]);
    }
}

#[test]
fn a_failing_instruction_is_named() {
    let Some(executor) = executor("build::kaniko::a_failing_instruction_is_named") else { return };
    let mut fixture = Fixture::new(Kaniko);
    super::failure_plan(&mut fixture);
    let left = run_inside(&fixture, &executor);
    let (code, message) = left.failure().unwrap();
    failure_results(&fixture, code, message, &left.results);
}

#[test]
fn a_killed_build_leaves_nothing_for_the_next() {
    let Some(executor) = executor("build::kaniko::a_killed_build_leaves_nothing_for_the_next") else { return };
    let mut fixture = Fixture::new(Kaniko);
    fixture.image("a", BASE);
    let killed = fixture.image(
        "b",
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"touch\", \"/left-behind\"]\n\
         RUN [\"/bin/busybox\", \"sh\", \"-c\", \"while :; do /bin/busybox touch /left-behind-$((i += 1)); done\"]\n",
    );
    killed.timeout_seconds = Some(3);
    fixture.image("base", BASE);
    let app = fixture.image("app", APP);
    app.build_args.push(argument("COLOUR", "red"));
    fixture.built_on("base");
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure().map(|(code, _)| code), Some("timeout_error"));
    let status: Vec<_> = left.results.iter().map(|result| result.status).collect();
    assert_eq!(status, [Status::Completed, Status::Failed, Status::Completed, Status::Completed]);
    for result in [&left.results[2], &left.results[3]] {
        let (paths, _) = fixture.contents(result);
        assert!(!paths.iter().any(|path| path.contains("left-behind")), "{paths:?}");
    }
}

#[test]
fn the_checkout_and_hephys_files_enter_no_image() {
    let Some(executor) = executor("build::kaniko::the_checkout_and_hephys_files_enter_no_image") else { return };
    let mut fixture = Fixture::new(Kaniko);
    fixture.file("Dockerfile", "FROM scratch\nCOPY . /src\nRUN [\"/src/root/busybox\", \"touch\", \"/ran\"]\n");
    symlink("root/busybox", fixture.options.checkout.join("link")).unwrap();
    let image = fixture.image("root", "");
    image.source = hephy::plan::PlannedSource::Local { root: ".".into() };
    image.annotations.insert("com.example.a".into(), "b".into());
    let left = run_inside(&fixture, &executor);
    assert_eq!(left.failure(), None);
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
