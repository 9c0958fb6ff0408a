//! References that name an image of this repository outright: the build takes exactly this run's image, whatever the
//! name leads to.

use hephy::config::BackendName;
use hephy::oci::{Digest, Tag};
use hephy::plan::DependencyFrom;
use hephy::result::{BuildResult, Status};

use super::{APP, BASE, Fixture, others};
use crate::support::builders;

/// An image that names `base` in every way the builder knows. Nothing is published under the name: whoever followed it
/// would fail.
pub(super) fn plan(fixture: &mut Fixture) {
    fixture.image("base", BASE);
    let named = format!("{}:base-latest", fixture.registry());
    fixture.image(
        "app",
        &format!(
            "ARG ECR_REGISTRY\n# FROM {named}\nFROM {named} AS one\nRUN [\"/bin/busybox\", \"touch\", \"/one\"]\n\
             FROM ${{ECR_REGISTRY}}:base-latest\nCOPY --from={named} /base /copied\nCOPY --from=one /one /one\n\
             COPY . /src\n"
        ),
    );
    fixture.names("base", &named, 3, DependencyFrom::Plan);
    fixture.names("base", "${ECR_REGISTRY}:base-latest", 5, DependencyFrom::Plan);
    fixture.names("base", &named, 6, DependencyFrom::Plan);
    fixture.file("app/hidden", "x");
    fixture.file("app/shown", "x");
    fixture.file("app/Dockerfile.dockerignore", "hidden\n");
}

/// `honours`: whether the builder reads `<Dockerfile>.dockerignore`.
pub(super) fn results(fixture: &Fixture, app: &BuildResult, honours: bool) {
    let (paths, _) = fixture.contents(app);
    let has = |wanted: &str| paths.iter().any(|path| path.trim_start_matches('/') == wanted);
    for path in ["base", "copied", "one", "src/shown"] {
        assert!(has(path), "{path} in {paths:?}");
    }
    assert_eq!(has("src/hidden"), !honours, "{paths:?}");
}

fn built(mut fixture: Fixture, honours: bool) {
    plan(&mut fixture);
    let built = fixture.build();
    results(&fixture, &built[1], honours);
}

#[test]
fn buildah_builds_on_this_runs_image() {
    built(Fixture::new(BackendName::Buildah), true);
}

#[test]
fn buildkit_builds_on_this_runs_image() {
    built(others::buildkit(), true);
}

/// The engine's own builder knows no ignore file but the context's.
#[test]
fn docker_builds_on_this_runs_image() {
    built(others::docker(), false);
}

/// A tag that moved after the build, or before it: what counts is the digest.
fn moved_tag(mut fixture: Fixture) {
    fixture.image("base", BASE);
    fixture.image("other", "FROM scratch\nCOPY busybox /bin/busybox\n");
    fixture.image("app", APP);
    fixture.built_on("base");
    let results = fixture.build();
    let tag = |from: &Digest| {
        let crane = std::process::Command::new(builders::tool("crane"))
            .args(["tag", &format!("{}@{from}", fixture.registry()), "base-20251015-amd64", "--insecure"])
            .output()
            .unwrap();
        assert!(crane.status.success(), "{}", String::from_utf8_lossy(&crane.stderr));
    };
    tag(results[1].digest.as_ref().unwrap());
    fixture.options.images = vec!["app".parse().unwrap()];
    let (paths, _) = fixture.contents(&fixture.build()[0]);
    assert!(paths.iter().any(|path| path.ends_with("base")), "{paths:?}");
}

#[test]
fn buildah_takes_the_digest_and_not_the_tag() {
    moved_tag(Fixture::new(BackendName::Buildah));
}

#[test]
fn buildkit_takes_the_digest_and_not_the_tag() {
    moved_tag(others::buildkit());
}

#[test]
fn docker_takes_the_digest_and_not_the_tag() {
    moved_tag(others::docker());
}

#[test]
fn what_was_published_before_is_pinned_as_prepare_found_it() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE);
    let base = fixture.build().remove(0);
    fixture.plan.images.clear();
    let named = format!("{}:base-stable", fixture.registry());
    fixture.image("app", &format!("FROM {named}\nCOPY busybox /again\n"));
    let tag = Tag::parse("base-latest").unwrap();
    let digest = base.digest.clone().unwrap();
    fixture.names("base", &named, 1, DependencyFrom::Published { tag, digest: digest.clone() });
    fixture.build();
    let log = fixture.out("logs/app-amd64.log");
    assert!(log.contains(&format!("base-latest@{digest}")), "{log}");
}

#[test]
fn a_failure_is_told_of_the_original_dockerfile() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE);
    let named = format!("{}:base-latest", fixture.registry());
    fixture.image("app", &format!("# why\nFROM {named} \\\n  AS one\nRUN [\"/bin/busybox\", \"false\"]\n"));
    fixture.names("base", &named, 2, DependencyFrom::Plan);
    let error = fixture.run().unwrap().failure.unwrap();
    assert!(error.message().starts_with("app/Dockerfile:4: "), "{error}");
}

#[test]
fn a_plan_and_a_dockerfile_that_differ_are_refused() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE);
    fixture.image("app", "FROM scratch\nCOPY busybox /\n");
    fixture.names("base", "elsewhere:base-latest", 1, DependencyFrom::Plan);
    let outcome = fixture.run().unwrap();
    let error = outcome.failure.unwrap();
    assert_eq!(error.kind().code(), "config_error");
    assert_eq!(error.message(), "app/Dockerfile:1: `elsewhere:base-latest` cannot be pinned to this run's image");
}

#[test]
fn a_plan_that_nobody_resolved_is_not_built() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("app", APP);
    fixture.names("base", "x", 3, DependencyFrom::Unresolved);
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.results[0].status, Status::Failed);
    let error = outcome.failure.unwrap();
    assert_eq!(error.kind().code(), "config_error");
    assert!(error.hint_text().unwrap().contains("hephy prepare"), "{error:?}");
}
