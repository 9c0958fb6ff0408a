//! Layer caches in the registry (specification §12): what an earlier build executed is not executed again, check runs
//! only read, architectures stay apart, and a cache that is missing or broken fails nothing.
//!
//! A step that writes something new each time tells whether it was executed: the image has it.

use std::collections::BTreeMap;
use std::time::Duration;

use hephy::config::BackendName;
use hephy::oci::{Platform, Tag};
use hephy::plan::{Mode, PlannedCache};
use hephy::result::{BuildResult, Status};

use super::{Fixture, kaniko, others};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};

/// Two steps whose results differ each time that they are executed.
const RANDOM: &str = "FROM scratch AS one\nCOPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cat /proc/sys/kernel/random/uuid > /first\"]\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cat /proc/sys/kernel/random/uuid > /second\"]\n";

fn cache_in(repository: &str) -> PlannedCache {
    let tag = |arch: &str| (arch.to_owned(), Tag::parse(&format!("_cache.app.{arch}.0123")).unwrap());
    PlannedCache {
        repository: repository.to_owned(),
        tags: ["amd64", "arm64"].map(tag).into(),
        ttl_seconds: Some(3600),
    }
}

/// An image with random steps and a cache.
fn prepared(mut fixture: Fixture, repository: Option<&str>) -> Fixture {
    let repository = repository.unwrap_or(fixture.registry()).to_owned();
    fixture.image("app", RANDOM).cache = Some(cache_in(&repository));
    fixture
}

/// The builders without Kaniko, which works in a container of its own.
fn fixture(backend: BackendName) -> Fixture {
    match backend {
        BackendName::Buildkit => others::buildkit(),
        _ => Fixture::new(backend),
    }
}

/// Builds once, as a job that starts with nothing does.
fn build(fixture: &Fixture, backend: BackendName) -> BuildResult {
    match backend {
        BackendName::Kaniko => {
            let executor = std::env::var_os("HEPHY_TEST_KANIKO").unwrap();
            let left = kaniko::run_inside(fixture, std::path::Path::new(&executor));
            assert_eq!(left.failure(), None);
            left.results.into_iter().next().unwrap()
        }
        BackendName::Buildkit => {
            let pruned = std::process::Command::new(builders::tool("buildctl"))
                .args(["prune", "--all"])
                .env("BUILDKIT_HOST", builders::buildkit())
                .output()
                .unwrap();
            assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
            fixture.build().remove(0)
        }
        _ => fixture.build().remove(0),
    }
}

/// What the random steps wrote.
fn steps(fixture: &Fixture, result: &BuildResult) -> [Vec<u8>; 2] {
    ["first", "second"].map(|path| fixture.read(result, path))
}

/// Steps of the second build that were executed again: those whose result differs.
fn executed_again(backend: BackendName) -> usize {
    let fixture = prepared(fixture(backend), None);
    let first = steps(&fixture, &build(&fixture, backend));
    let second = steps(&fixture, &build(&fixture, backend));
    first.iter().zip(&second).filter(|(first, second)| first != second).count()
}

#[test]
fn buildah_executes_no_step_twice() {
    assert_eq!(executed_again(BackendName::Buildah), 0);
}

#[test]
fn buildkit_executes_no_step_twice() {
    assert_eq!(executed_again(BackendName::Buildkit), 0);
}

#[test]
fn kaniko_executes_no_step_twice() {
    let Some(_) = kaniko::executor("build::cache::kaniko_executes_no_step_twice") else { return };
    assert_eq!(executed_again(BackendName::Kaniko), 0);
}

#[test]
fn without_a_cache_every_step_is_executed() {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    fixture.plan.images[0].cache = None;
    let [first, second] = [0, 1].map(|_| steps(&fixture, &build(&fixture, BackendName::Buildah)));
    assert!(first[0] != second[0] && first[1] != second[1]);
}

#[test]
fn a_lifetime_that_is_over_has_the_steps_executed() {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    let first = steps(&fixture, &build(&fixture, BackendName::Buildah));
    fixture.plan.images[0].cache.as_mut().unwrap().ttl_seconds = Some(1);
    std::thread::sleep(Duration::from_millis(1500));
    let second = steps(&fixture, &build(&fixture, BackendName::Buildah));
    assert!(first[0] != second[0] && first[1] != second[1]);
}

/// A check run that finds the cache of the default branch behind a registry which refuses every write: steps executed
/// again, writes tried.
fn check_run(backend: BackendName) -> (usize, usize) {
    let mut fixture = prepared(fixture(backend), None);
    let first = steps(&fixture, &build(&fixture, backend));
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.method.as_str() {
        "GET" | "HEAD" => Action::Forward,
        _ => Action::error(403, "DENIED", "this job may not write"),
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.images[0].cache = Some(cache_in(&format!("{}/{repository}", proxy.address)));
    fixture.plan.mode = Mode::Check;
    let second = steps(&fixture, &build(&fixture, backend));
    let writes = proxy.seen().into_iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").count();
    let again = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    assert!(proxy.seen().len() > 1, "the cache was asked");
    (again, writes)
}

#[test]
fn a_check_run_of_buildah_reads_the_cache_and_does_not_write_it() {
    assert_eq!(check_run(BackendName::Buildah), (0, 0));
}

#[test]
fn a_check_run_of_buildkit_reads_the_cache_and_does_not_write_it() {
    assert_eq!(check_run(BackendName::Buildkit), (0, 0));
}

/// Every answer of the cache's registry is this one; the build goes on.
fn survives(backend: BackendName, status: u16) {
    let proxy = Proxy::start(builders::registry().parse().unwrap(), move |_| Action::error(status, "DENIED", "no"));
    let fixture = prepared(fixture(backend), Some(&format!("{}/cache", proxy.address)));
    let result = build(&fixture, backend);
    assert_eq!((result.status, result.attempts), (Status::Completed, 1), "{backend} {status}");
    assert!(!proxy.seen().is_empty());
}

#[test]
fn a_cache_that_refuses_everything_fails_no_build_of_buildah() {
    survives(BackendName::Buildah, 403);
    survives(BackendName::Buildah, 404);
}

#[test]
fn a_cache_that_refuses_everything_fails_no_build_of_kaniko() {
    let test = "build::cache::a_cache_that_refuses_everything_fails_no_build_of_kaniko";
    let Some(_) = kaniko::executor(test) else { return };
    survives(BackendName::Kaniko, 403);
    survives(BackendName::Kaniko, 404);
}

/// The registry serves other bytes than a layer of the cache has; the image is built all the same.
fn survives_other_bytes(backend: BackendName) {
    let mut fixture = prepared(fixture(backend), None);
    build(&fixture, backend);
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.is("GET", "/blobs/") {
        true => Action::Corrupt,
        false => Action::Forward,
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.images[0].cache = Some(cache_in(&format!("{}/{repository}", proxy.address)));
    assert_eq!(build(&fixture, backend).status, Status::Completed, "{backend}");
    assert!(proxy.seen().iter().any(|seen| seen.is("GET", "/blobs/")), "a layer was asked for");
}

#[test]
fn a_cache_with_other_bytes_fails_no_build_of_buildah() {
    survives_other_bytes(BackendName::Buildah);
}

#[test]
fn a_cache_with_other_bytes_fails_no_build_of_kaniko() {
    let test = "build::cache::a_cache_with_other_bytes_fails_no_build_of_kaniko";
    let Some(_) = kaniko::executor(test) else { return };
    survives_other_bytes(BackendName::Kaniko);
}

#[test]
fn a_cache_that_refuses_writes_fails_no_build_of_buildkit() {
    // The daemon's own configuration decides which hosts it speaks plain HTTP with; a repository that does not take
    // writes is as good a refusal.
    let fixture = prepared(others::buildkit(), Some("127.0.0.1:1/cache"));
    let result = build(&fixture, BackendName::Buildkit);
    assert_eq!((result.status, result.attempts), (Status::Completed, 1));
}

/// Buildah, but a build with a cache ends badly and says this.
fn with_a_cache_that_says(words: &str) -> Fixture {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    let buildah = builders::tool("buildah").display().to_string();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--cache-from*) echo '--> Pushing cache x'; echo '{words}' >&2; exit 125 ;; esac\n\
         exec {buildah} \"$@\"\n"
    );
    let bin = fixture.file("bin/text", script).parent().unwrap().to_owned();
    kaniko::install(&bin.join("text"), &bin.join("buildah"));
    let path = format!("{}:{}", bin.display(), fixture.options.environment["PATH"]);
    fixture.options.environment.insert("PATH".into(), path);
    fixture
}

/// What was told of attempts.
fn told(fixture: &Fixture) -> Vec<String> {
    let events = fixture.events.lock().unwrap();
    let of_ours = |line: &&String| ["started", "retry", "note"].iter().any(|start| line.starts_with(start));
    events.iter().filter(of_ours).map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

const AGAIN: &str = "note app failed with its layer cache, and is built once more without";

#[test]
fn the_log_has_the_build_with_the_cache_and_the_one_without() {
    let fixture = with_a_cache_that_says("Error: the cache is odd");
    assert_eq!(build(&fixture, BackendName::Buildah).status, Status::Completed);
    assert_eq!(told(&fixture), ["started app buildah 1", AGAIN]);
    let log = fixture.out("logs/app-amd64.log");
    let (with, without) = log.split_once("hephy: once more, without the layer cache\n").expect(&log);
    assert!(with.contains("the cache is odd") && without.contains("STEP 1/4"), "{log}");
}

#[test]
fn a_cache_that_is_busy_has_its_waits_before_it_is_left_alone() {
    let mut fixture = with_a_cache_that_says("Error: toomanyrequests: rate limit");
    fixture.options.retries = 1;
    let result = build(&fixture, BackendName::Buildah);
    assert_eq!((result.status, result.attempts), (Status::Completed, 2));
    let retried = "retry app 1 registry_error";
    assert_eq!(told(&fixture), ["started app buildah 1", retried, "started app buildah 2", AGAIN]);
    assert_eq!(fixture.out("logs/app-amd64.log").matches("toomanyrequests").count(), 2);
}

#[test]
fn architectures_stay_apart() {
    for backend in [BackendName::Buildah, BackendName::Buildkit] {
        let mut fixture = fixture(backend);
        let repository = fixture.registry().to_owned();
        let image = fixture.image("app", "FROM scratch\nCOPY Dockerfile /text\nENV A=b\n");
        image.cache = Some(cache_in(&repository));
        image.platforms = ["linux/amd64", "linux/arm64"].map(|text| Platform::parse(text).unwrap()).to_vec();
        fixture.options.cross = true;
        let mut found = BTreeMap::new();
        for arch in ["amd64", "arm64", "amd64"] {
            fixture.options.platform = Platform::from_arch(arch).unwrap();
            let result = fixture.build().remove(0);
            let (_, config) = fixture.contents(&result);
            found.insert(arch, config["architecture"].as_str().unwrap().to_owned());
        }
        assert_eq!(found, BTreeMap::from([("amd64", "amd64".to_owned()), ("arm64", "arm64".to_owned())]), "{backend}");
    }
}
