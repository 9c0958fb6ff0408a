//! A run that was asked to build anew executes every step, whatever a cache has (specification §12).

use hephy::config::BackendName;
use hephy::result::Status;

use super::super::{Fixture, kaniko, others};
use super::{build, fixture, prepared, steps};
use crate::support::builders;

/// Builds, builds anew, and builds with the cache again: whether the second build executed every step, and whose results
/// the third one has (the first or the second build's).
fn anew(backend: BackendName) -> (bool, usize) {
    let mut fixture = prepared(fixture(backend), None);
    let mut build = |anew: bool| {
        fixture.plan.anew = anew;
        steps(&fixture, &build(&fixture, backend))
    };
    let [first, second, third] = [false, true, false].map(&mut build);
    let executed = first.iter().zip(&second).all(|(first, second)| first != second);
    (executed, 1 + [first, second].iter().position(|earlier| *earlier == third).unwrap())
}

#[test]
fn buildah_executes_every_step_anew_and_keeps_the_results() {
    assert_eq!(anew(BackendName::Buildah), (true, 2));
}

#[test]
fn buildkit_executes_every_step_anew_and_keeps_the_results() {
    assert_eq!(anew(BackendName::Buildkit), (true, 2));
}

/// It reads whatever it writes, so it builds without a cache.
#[test]
fn kaniko_executes_every_step_anew_and_keeps_none() {
    let Some(_) = kaniko::executor("build::cache::anew::kaniko_executes_every_step_anew_and_keeps_none") else {
        return;
    };
    assert_eq!(anew(BackendName::Kaniko), (true, 1));
}

/// What the builder itself has kept of an earlier build, without a cache in a registry.
fn executes_all_that_it_kept(mut fixture: Fixture) {
    fixture = prepared(fixture, None);
    fixture.plan.images[0].cache = None;
    let first = steps(&fixture, &fixture.build()[0]);
    fixture.plan.anew = true;
    let second = steps(&fixture, &fixture.build()[0]);
    assert!(first[0] != second[0] && first[1] != second[1]);
}

#[test]
fn buildkit_takes_nothing_of_what_it_kept_itself() {
    executes_all_that_it_kept(others::buildkit());
}

#[test]
fn buildx_takes_nothing_of_what_its_builder_kept_itself() {
    executes_all_that_it_kept(super::super::buildx::buildx());
}

#[test]
fn docker_takes_nothing_of_what_its_engine_kept_itself() {
    executes_all_that_it_kept(others::docker());
}

/// It keeps layers where the environment says so.
#[test]
fn buildah_takes_nothing_of_what_it_kept_itself() {
    let mut fixture = fixture(BackendName::Buildah);
    fixture.options.builder_env.insert("BUILDAH_LAYERS".into(), "true".into());
    executes_all_that_it_kept(fixture);
}

#[test]
fn the_run_that_leaves_a_broken_cache_alone_executes_every_step_too() {
    let mut fixture = prepared(others::buildkit(), None);
    let first = steps(&fixture, &fixture.build()[0]);
    let buildctl = builders::tool("buildctl").display().to_string();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--export-cache*) echo 'exporting cache to registry' >&2; exit 1 ;; esac\n\
         exec {buildctl} \"$@\"\n"
    );
    let bin = fixture.file("bin/text", script).parent().unwrap().to_owned();
    kaniko::install(&bin.join("text"), &bin.join("buildctl"));
    let path = format!("{}:{}", bin.display(), fixture.options.environment["PATH"]);
    fixture.options.environment.insert("PATH".into(), path);
    fixture.plan.anew = true;
    let result = fixture.build().remove(0);
    assert_eq!((result.status, result.attempts), (Status::Completed, 1));
    let second = steps(&fixture, &result);
    assert!(first[0] != second[0] && first[1] != second[1]);
    assert!(fixture.out("logs/app-amd64.log").contains("hephy: once more, without the layer cache"));
}
