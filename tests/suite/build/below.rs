//! What images are built on: results of other jobs, images built elsewhere, and plans that cannot be right.

use std::collections::BTreeMap;

use hephy::ErrorKind;
use hephy::config::BackendName;
use hephy::oci::ImageName;
use hephy::plan::Mode;
use hephy::result::Status;

use super::{APP, BASE, BROKEN, Fixture, kaniko, others};
use crate::support::builders;

/// `app`, built on `base`, which was built elsewhere and lies in another repository.
fn built_elsewhere(mut fixture: Fixture) -> Fixture {
    let mut elsewhere = Fixture::new(BackendName::Buildah);
    elsewhere.image("theirs", BASE);
    let reference = elsewhere.build().remove(0).reference.unwrap();
    fixture.image("base", "").manual_images = Some(BTreeMap::from([("amd64".to_owned(), reference)]));
    fixture.image("app", APP);
    fixture.built_on("base");
    fixture
}

fn has_both(fixture: &Fixture, results: &[hephy::result::BuildResult]) {
    assert_eq!(results.len(), 2);
    let (paths, _) = fixture.contents(&results[1]);
    for path in ["bin/busybox", "colour-none"] {
        assert!(paths.iter().any(|found| found.trim_start_matches('/') == path), "{path} in {paths:?}");
    }
}

#[test]
fn an_image_is_built_on_one_that_was_built_elsewhere() {
    for fixture in [Fixture::new(BackendName::Buildah), others::buildkit(), others::docker()] {
        let fixture = built_elsewhere(fixture);
        has_both(&fixture, &fixture.build());
    }
}

#[test]
fn kaniko_builds_on_an_image_that_was_built_elsewhere() {
    let Some(executor) = kaniko::executor("build::below::kaniko_builds_on_an_image_that_was_built_elsewhere") else {
        return;
    };
    let fixture = built_elsewhere(Fixture::new(BackendName::Kaniko));
    let left = kaniko::run_inside(&fixture, &executor);
    assert_eq!(left.failure(), None);
    has_both(&fixture, &left.results);
}

#[test]
fn a_check_run_builds_on_an_image_that_was_built_elsewhere() {
    let mut fixture = built_elsewhere(Fixture::new(BackendName::Buildah));
    fixture.plan.mode = Mode::Check;
    fixture.write_plan();
    let docker_registry = builders::tool("docker-registry");
    let path = format!("{}:{}", docker_registry.parent().unwrap().display(), fixture.options.environment["PATH"]);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", path).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert!(fixture.out("app-amd64.json").contains("\"completed\""));
}

#[test]
fn what_failed_in_another_job_skips_what_is_built_on_it() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BROKEN);
    for (name, on) in [("app", "base"), ("top", "app")] {
        fixture.image(name, APP);
        fixture.built_on(on);
    }
    let mut job = |image: &str| {
        fixture.options.images = vec![image.parse().unwrap()];
        let outcome = fixture.run().unwrap();
        (outcome.results.into_iter().next().unwrap(), outcome.failure.unwrap())
    };
    assert_eq!(job("base").0.status, Status::Failed);
    for image in ["app", "top"] {
        let (result, failure) = job(image);
        assert_eq!((result.status, result.attempts), (Status::Skipped, 0), "{image}");
        let because = result.error.unwrap().because_of;
        assert_eq!(because.as_ref().map(ImageName::as_str), Some("base"), "the root of the chain");
        // Nothing was built, and whoever looks at this job alone must see that.
        assert_eq!((failure.kind(), failure.message()), (ErrorKind::BuildError, "not built, because base was not"));
    }
}

#[test]
fn a_result_of_another_pipeline_is_not_built_on() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE);
    fixture.build();
    fixture.image("app", APP);
    fixture.built_on("base");
    fixture.plan.id = "bld_4567".into();
    fixture.options.images = vec!["app".parse().unwrap()];
    let failure = fixture.run().unwrap().failure.unwrap();
    assert_eq!(failure.kind(), ErrorKind::ConfigError);
    assert!(failure.message().contains("base-amd64.json belongs to another run"), "{failure}");
}

#[test]
fn images_that_wait_for_each_other_are_refused() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("one", BASE);
    fixture.image("two", APP);
    fixture.built_on("one");
    fixture.image("base", BASE);
    let edge = fixture.plan.images[1].dependencies[0].clone();
    let back = hephy::plan::PlannedDependency { name: "two".parse().unwrap(), ..edge };
    fixture.plan.images[0].dependencies.push(back.clone());
    let refused = |fixture: &Fixture, image: &str| {
        let error = fixture.run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigError);
        let sentence = format!("the plan's image {image} is not valid: it waits for itself, or for images that do");
        assert_eq!(error.message(), sentence);
    };
    refused(&fixture, "one");
    fixture.plan.images[0].dependencies.clear();
    fixture.plan.images[1].dependencies = vec![back];
    refused(&fixture, "two");
}
