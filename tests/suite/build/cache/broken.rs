//! A cache that is missing or broken fails no build (specification §12).

use hephy::config::BackendName;
use hephy::result::Status;

use super::super::{Fixture, kaniko, others};
use super::{build, cache_in, fixture, prepared};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};

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
    let test = "build::cache::broken::a_cache_that_refuses_everything_fails_no_build_of_kaniko";
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
    let test = "build::cache::broken::a_cache_with_other_bytes_fails_no_build_of_kaniko";
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
