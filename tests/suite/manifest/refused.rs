//! Results that make no index.

use super::*;

/// Publishes `curl` for amd64 with this change to its result and gives the failure.
fn failure(change: impl FnOnce(&Stage, &mut Value)) -> hephy::Error {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &["linux/amd64"], &[])]);
    let dir = tempfile::tempdir().unwrap();
    let built = block_on(async {
        let manifest = image(&stage.client, &stage.to, &Platform::linux_amd64(), "x").await;
        stage.client.put_manifest(&stage.to, By::Digest(&manifest.digest), &manifest).await.unwrap();
        manifest
    });
    let mut result = result_of(&plan, "curl", "linux/amd64", Some(&built.digest));
    change(&stage, &mut result);
    if !result.is_null() {
        std::fs::write(dir.path().join("curl-amd64.json"), result.to_string()).unwrap();
    }
    let mut outcome = stage.publish(&plan, Results::read(dir.path(), &plan, &stage.to.to_string()));
    assert!(outcome.published.is_empty());
    assert!(stage.tags().is_empty(), "nothing was published");
    outcome.failures.remove(0).1
}

#[test]
fn a_missing_result_is_not_found_and_names_the_files() {
    let error = failure(|_, result| *result = Value::Null);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.message(), "there is no build result of curl for linux/amd64");
    assert_eq!(error.causes(), ["neither curl-amd64.json nor curl-amd64.tag is in the output directory"]);
    assert!(error.hint_text().unwrap().contains("build job for amd64"));
}

#[test]
fn results_that_are_not_this_runs_are_refused() {
    for (key, value, words) in [
        ("plan", json!("bld_other"), "belongs to another run"),
        ("commit", json!(OLD), "belongs to another run"),
        ("image", json!("wget"), "is the result of wget"),
        ("platform", json!("linux/arm64"), "is the result of curl for linux/arm64"),
        ("version", json!(2), "has version 2"),
        ("digest", json!("sha256:x"), "is no build result"),
        ("digest", Value::Null, "in two ways"),
        ("status", json!("failed"), "in two ways"),
    ] {
        let error = failure(|_, result| result[key] = value);
        assert_eq!(error.kind(), ErrorKind::ConfigError, "{key}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn a_digest_that_is_not_in_the_registry_is_not_found() {
    let error = failure(|_, result| result["digest"] = json!(Digest::of(b"gone")));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.message(), "the image of curl for linux/amd64 is not in the registry");
    assert!(error.hint_text().unwrap().contains("run the build job again"));
}

#[test]
fn an_image_of_another_platform_is_refused() {
    let error = failure(|stage, result| {
        let arm = Platform::parse("linux/arm64").unwrap();
        let other = block_on(async {
            let manifest = image(&stage.client, &stage.to, &arm, "x").await;
            stage.client.put_manifest(&stage.to, By::Digest(&manifest.digest), &manifest).await.unwrap();
            manifest
        });
        result["digest"] = json!(other.digest);
    });
    assert_eq!(error.kind(), ErrorKind::BuildError);
    assert_eq!(error.message(), "curl: the image for linux/amd64 says that it is for linux/arm64");
}

#[test]
fn a_result_file_that_is_a_link_is_refused() {
    let plan = plan(NEW, &[planned("curl", &["linux/amd64"], &[])]);
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digest = Digest::of(b"x");
    let result = result_of(&plan, "curl", "linux/amd64", Some(&digest));
    std::fs::write(other.path().join("result"), result.to_string()).unwrap();
    std::os::unix::fs::symlink(other.path().join("result"), dir.path().join("curl-amd64.json")).unwrap();
    let stage = Stage::start();
    let outcome = stage.publish(&plan, Results::read(dir.path(), &plan, &stage.to.to_string()));
    assert!(outcome.first_failure().unwrap().message().contains("no regular file"));
}

#[test]
fn children_that_disagree_make_no_index() {
    let stage = Stage::start();
    let mut curl = planned("curl", &PLATFORMS, &[]);
    // A builder that always writes its own annotations, and never its base's.
    curl["backend"] = json!("buildah");
    let plan = plan(NEW, &[curl]);
    let publish_with = |extra: Value| {
        let mut results = stage.built(&plan, "a");
        let config = r#"{"os":"linux","architecture":"arm64"}"#;
        let child = block_on(async {
            let manifest = image_of(&stage.client, &stage.to, config, b"layer", extra).await;
            stage.client.put_manifest(&stage.to, By::Digest(&manifest.digest), &manifest).await.unwrap();
            manifest
        });
        let (image, arm) = (ImageName::parse("curl").unwrap(), Platform::parse("linux/arm64").unwrap());
        results.insert(&image, &arm, left(result_of(&plan, "curl", "linux/arm64", Some(&child.digest))));
        stage.publish(&plan, results)
    };
    for (key, value) in [("dev.hephy.input-key", "b".repeat(64)), ("dev.hephy.image", "wget".to_owned())] {
        let outcome = publish_with(json!({"annotations": {key: value}}));
        let error = outcome.first_failure().unwrap();
        assert_eq!(error.kind(), ErrorKind::BuildError);
        assert!(error.message().contains(key), "{error}");
    }
    assert!(stage.tags().is_empty());
    let docker = json!({"mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                        "annotations": {"dev.hephy.image": "curl"}});
    assert_eq!(published(&publish_with(docker)), ["curl"], "schema2 children are accepted");
}

#[test]
fn a_push_that_the_registry_refuses_holds_back_what_is_built_on_it() {
    let stage = Stage::with(|seen| match seen.is("PUT", "/manifests/a-20251015") {
        true => Action::error(403, "DENIED", "not yours"),
        false => Action::Forward,
    });
    let plan = plan(NEW, &[planned("a", &PLATFORMS, &[]), planned("b", &PLATFORMS, &["a"])]);
    let outcome = stage.publish(&plan, stage.built(&plan, "x"));
    let failed: Vec<_> = outcome.failures.iter().map(|(name, error)| (name.as_str(), error.kind())).collect();
    assert_eq!(failed, [("a", ErrorKind::AuthError), ("b", ErrorKind::BuildError)]);
    assert!(stage.tags().is_empty(), "neither tags of a nor of b moved");
}
