//! Where not everything was built, or not everything was asked for.

use super::*;

#[test]
fn one_platforms_failure_holds_back_that_image_and_those_built_on_it_and_nothing_else() {
    let stage = Stage::start();
    let images =
        [planned("curl", &PLATFORMS, &[]), planned("other", &PLATFORMS, &[]), planned("tool", &PLATFORMS, &["curl"])];
    let plan = plan(NEW, &images);
    let mut results = stage.built(&plan, "a");
    fail(&mut results, &plan, "curl", "linux/arm64");
    let outcome = stage.publish(&plan, results);
    assert_eq!(outcome.published.iter().map(|it| it.image.as_str()).collect::<Vec<_>>(), ["other"]);
    let failed: Vec<_> =
        outcome.failures.iter().map(|(name, error)| (name.as_str(), error.kind(), error.message())).collect();
    assert_eq!(
        failed,
        [
            ("curl", ErrorKind::BuildError, "the build of curl for linux/arm64 failed"),
            ("tool", ErrorKind::BuildError, "tool is built on curl, which is not published"),
        ]
    );
    assert_eq!(outcome.failures[0].1.causes(), ["RUN make exited with 2"]);
    assert_eq!(outcome.failures[0].1.hint_text(), Some("look at make"));
    assert_eq!(stage.tags(), ["other-20251015", "other-head", "other-latest"]);
}

#[test]
fn the_first_failures_code_is_the_exit_code() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("a", &PLATFORMS, &[]), planned("b", &PLATFORMS, &[])]);
    let mut results = stage.built(&plan, "a");
    let mut timeout = result_of(&plan, "a", "linux/amd64", None);
    timeout["error"]["code"] = json!("timeout_error");
    results.insert(&ImageName::parse("a").unwrap(), &Platform::linux_amd64(), left(timeout));
    fail(&mut results, &plan, "b", "linux/amd64");
    assert_eq!(stage.publish(&plan, results).first_failure().unwrap().kind(), ErrorKind::TimeoutError);
}

#[test]
fn allow_partial_publishes_what_exists_and_never_moves_a_tag_to_fewer_platforms() {
    let stage = Stage::start();
    let before = plan(OLD, &[planned("curl", &PLATFORMS, &[])]);
    let full = stage.publish(&before, stage.built(&before, "old"));
    let mut image = planned("curl", &PLATFORMS, &[]);
    image["tags"] = json!(["curl-20251016", "curl-latest", "curl-head"]);
    let now = plan(NEW, &[image]);
    let mut results = stage.built(&now, "new");
    fail(&mut results, &now, "curl", "linux/arm64");
    let outcome = stage.publish_with(&now, results, None, true);
    assert_eq!(published(&outcome), ["curl"]);
    let partial = &outcome.published[0];
    assert_eq!(states(partial), [TagState::Moved, TagState::FewerPlatforms, TagState::FewerPlatforms]);
    assert_eq!(partial.lacking, [Platform::parse("linux/arm64").unwrap()]);
    assert_eq!(outcome.warnings, ["curl: the build of curl for linux/arm64 failed"]);
    assert_eq!(stage.get("curl-head").unwrap().digest, full.published[0].digest);
    assert_eq!(stage.get("curl-20251016").unwrap().digest, partial.digest);
}

#[test]
fn image_does_one_image_and_an_unknown_one_is_not_found() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("a", &PLATFORMS, &[]), planned("b", &PLATFORMS, &["a"])]);
    // Only b's files are in this job; nothing is known of a.
    let mut results = Results::default();
    let mut built = stage.built(&plan, "x");
    let b = ImageName::parse("b").unwrap();
    for platform in PLATFORMS {
        let platform = Platform::parse(platform).unwrap();
        results.insert(&b, &platform, take(&mut built, &b, &platform));
    }
    assert_eq!(published(&stage.publish_with(&plan, results, Some("b"), false)), ["b"]);
    // What is known of a to have failed holds b back.
    let mut results = stage.built(&plan, "x");
    fail(&mut results, &plan, "a", "linux/amd64");
    let outcome = stage.publish_with(&plan, results, Some("b"), false);
    assert_eq!(outcome.failures[0].1.message(), "b is built on a, which is not published");

    let registry = stage.to.to_string();
    let name = ImageName::parse("nobody").unwrap();
    let options = Options {
        registry: &registry,
        images: std::slice::from_ref(&name),
        allow_partial: false,
        is_ancestor: &is_ancestor,
    };
    let error = block_on(async { publish(&stage.client, &plan, Results::default(), &options).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// What was pushed is pushed again to learn its digest: the same seed gives the same bytes.
fn take(built: &mut Results, image: &ImageName, platform: &Platform) -> Left {
    built.remove(image, platform).unwrap().unwrap()
}
