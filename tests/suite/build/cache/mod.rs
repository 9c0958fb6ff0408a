//! Layer caches in the registry (specification §12): what an earlier build executed is not executed again, check runs
//! only read, and architectures stay apart.
//!
//! A step that writes something new each time tells whether it was executed: the image has it.

mod anew;
mod broken;
mod counts;

use std::collections::BTreeMap;
use std::time::Duration;

use hephy::config::BackendName;
use hephy::oci::{Platform, Tag};
use hephy::plan::{Mode, PlannedCache};
use hephy::result::BuildResult;

use super::{Fixture, kaniko, kaniko_run, others};
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
        tags: ["386", "amd64", "arm64"].map(tag).into(),
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
    check_run_in(fixture(backend))
}

fn check_run_in(fixture: Fixture) -> (usize, usize) {
    let backend = fixture.backend();
    let build = |fixture: &Fixture| match backend {
        BackendName::Kaniko => fixture.build().remove(0),
        _ => build(fixture, backend),
    };
    let mut fixture = prepared(fixture, None);
    let first = steps(&fixture, &build(&fixture));
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.method.as_str() {
        "GET" | "HEAD" => Action::Forward,
        _ => Action::error(403, "DENIED", "this job may not write"),
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.images[0].cache = Some(cache_in(&format!("{}/{repository}", proxy.address)));
    fixture.plan.mode = Mode::Check;
    let second = steps(&fixture, &build(&fixture));
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
fn a_check_run_of_kaniko_reads_the_cache_and_does_not_write_it() {
    let test = "build::cache::a_check_run_of_kaniko_reads_the_cache_and_does_not_write_it";
    let Some(executor) = kaniko::executor(test) else { return };
    assert_eq!(check_run_in(kaniko_run::fixture(&executor)), (0, 0));
    // Nor what was not there to be read.
    let fixture = kaniko_run::fixture(&executor);
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |_| Action::Forward);
    let mut fixture = prepared(fixture, Some(&format!("{}/never-written", proxy.address)));
    fixture.plan.mode = Mode::Check;
    fixture.build();
    let writes = proxy.seen().into_iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").count();
    assert_eq!((writes, proxy.seen().is_empty()), (0, false));
}

#[test]
fn a_check_run_of_buildkit_reads_the_cache_and_does_not_write_it() {
    assert_eq!(check_run(BackendName::Buildkit), (0, 0));
}

/// A fixture of a builder; none for Kaniko where no executor is at hand, which is said of `test`.
fn at_hand(backend: BackendName, test: &str) -> Option<Fixture> {
    match backend {
        BackendName::Kaniko => kaniko::executor(test).map(|executor| kaniko_run::fixture(&executor)),
        _ => Some(fixture(backend)),
    }
}

#[test]
fn architectures_stay_apart() {
    for backend in [BackendName::Buildah, BackendName::Buildkit, BackendName::Kaniko] {
        let Some(mut fixture) = at_hand(backend, "build::cache::architectures_stay_apart") else { continue };
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

/// What an earlier stage executed is kept for its architecture alone, whatever the base: with `FROM scratch` nothing in
/// the text of the file tells architectures apart.
#[test]
fn no_architecture_gets_a_step_of_another_from_kaniko() {
    let test = "build::cache::no_architecture_gets_a_step_of_another_from_kaniko";
    let Some(executor) = kaniko::executor(test) else { return };
    let mut fixture = kaniko_run::fixture(&executor);
    let repository = fixture.registry().to_owned();
    let image = fixture.image("app", &format!("{RANDOM}FROM scratch\nCOPY --from=one /first /first\n"));
    image.cache = Some(cache_in(&repository));
    image.platforms = ["linux/amd64", "linux/386"].map(|text| Platform::parse(text).unwrap()).to_vec();
    fixture.options.cross = true;
    // A machine that builds for amd64 runs the programs of both.
    let [wide, narrow, again] = ["amd64", "386", "amd64"].map(|arch| {
        fixture.options.platform = Platform::from_arch(arch).unwrap();
        let result = fixture.build().remove(0);
        assert_eq!(fixture.contents(&result).1["architecture"], arch);
        fixture.read(&result, "first")
    });
    assert_eq!(wide, again, "the cache is used");
    assert_ne!(wide, narrow);
}
