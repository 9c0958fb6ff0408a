//! Tags of images that are published already: the index stays, and its tags go the same way as those of built ones.

use super::*;

/// A plan of `commit` that reuses this index of curl.
fn reusing(commit: &str, digest: &Digest, tags: &[&str]) -> Plan {
    let mut plan = plan(commit, &[]);
    let reused = json!([{
        "name": "curl", "dir": "curl", "input_key": "a".repeat(64), "digest": digest, "platforms": PLATFORMS,
        "tags": tags, "reason": "same input",
    }]);
    plan.reused = serde_json::from_value(reused).unwrap();
    plan
}

#[test]
fn the_index_is_read_once_and_never_written() {
    let stage = Stage::start();
    let built = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let digest = stage.publish(&built, stage.built(&built, "a")).published[0].digest.clone();
    stage.proxy.clear();
    let outcome = stage.publish(&reusing(NEW, &digest, &["curl-v1", "curl-latest"]), Results::default());
    assert_eq!(published(&outcome), ["curl"]);
    assert_eq!(states(&outcome.published[0]), [TagState::Moved, TagState::Unchanged]);
    assert!(outcome.published[0].reused && outcome.published[0].lacking.is_empty());
    assert_eq!(stage.get("curl-v1").unwrap().digest, digest);
    assert_eq!(stage.proxy.count("PUT", "/manifests/sha256"), 0);
    assert_eq!((stage.proxy.count("PUT", ""), stage.proxy.count("GET", "/blobs/")), (1, 0));
    assert_eq!(stage.proxy.count("GET", "/manifests/sha256"), 1);
}

/// The commit of the index decides, not that of the run: what is reused may be older than the run.
#[test]
fn a_tag_is_not_taken_back_to_an_older_index() {
    let stage = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    let older = stage.publish(&old, stage.built(&old, "old")).published[0].digest.clone();
    let newer = stage.publish(&new, stage.built(&new, "new")).published[0].digest.clone();
    let outcome = stage.publish(&reusing(NEW, &older, &["curl-latest", "curl-v1"]), Results::default());
    assert_eq!(states(&outcome.published[0]), [TagState::Newer, TagState::Moved]);
    assert_eq!(stage.get("curl-latest").unwrap().digest, newer);
    // And forward it goes.
    let outcome = stage.publish(&reusing(OLD, &newer, &["curl-v1"]), Results::default());
    assert_eq!(states(&outcome.published[0]), [TagState::Moved]);
}

#[test]
fn an_older_run_that_takes_a_tag_back_meanwhile_is_repaired() {
    let setup = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    setup.publish(&old, setup.built(&old, "old"));
    let older = setup.get("curl-head").unwrap();
    let digest = setup.publish(&new, setup.built(&new, "new")).published[0].digest.clone();
    let (upstream, direct) = (setup.registry.address, setup.registry.repository("acme"));
    let once = AtomicUsize::new(0);
    let proxy = Proxy::start(upstream, move |seen| {
        // The first look back comes after somebody else's write.
        if seen.is("HEAD", "/manifests/curl-v1") && once.fetch_add(1, Ordering::Relaxed) == 0 {
            let (direct, older) = (direct.clone(), older.clone());
            std::thread::spawn(move || {
                block_on(async { client().put_manifest(&direct, By::Tag(&tag("curl-v1")), &older).await.unwrap() });
            })
            .join()
            .unwrap();
        }
        Action::Forward
    });
    let to = repository(proxy.address, "acme");
    let stage = Stage { client: client(), to, registry: setup.registry, proxy };
    stage.publish(&reusing(NEW, &digest, &["curl-v1"]), Results::default());
    assert_eq!(stage.get("curl-v1").unwrap().digest, digest);
    assert_eq!(stage.proxy.count("PUT", "/manifests/curl-v1"), 2);
}

#[test]
fn where_tags_cannot_move_it_is_said() {
    let setup = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    setup.publish(&old, setup.built(&old, "old"));
    let older = setup.get("curl-head").unwrap().digest;
    setup.publish(&reusing(OLD, &older, &["curl-v1"]), Results::default());
    let digest = setup.publish(&new, setup.built(&new, "new")).published[0].digest.clone();
    let proxy = Proxy::start(setup.registry.address, |seen| match seen.is("PUT", "/manifests/curl-v1") {
        true => Action::error(400, "TAG_INVALID", "The image tag already exists and cannot be overwritten"),
        false => Action::Forward,
    });
    let to = repository(proxy.address, "acme");
    let stage = Stage { client: client(), to, registry: setup.registry, proxy };
    let outcome = stage.publish(&reusing(NEW, &digest, &["curl-v1", "curl-v2"]), Results::default());
    assert_eq!(states(&outcome.published[0]), [TagState::Immutable, TagState::Moved]);
    assert_eq!(outcome.warnings, ["curl-v1 stays where it is: the registry makes tags immutable"]);
}

#[test]
fn what_is_not_the_image_of_the_plan_is_refused() {
    let stage = Stage::start();
    let built = plan(NEW, &[planned("curl", &PLATFORMS, &[]), planned("other", &PLATFORMS, &[])]);
    let outcome = stage.publish(&built, stage.built(&built, "a"));
    let other = outcome.published.iter().find(|it| it.image.as_str() == "other").unwrap().digest.clone();
    let child = outcome.published[0].platforms.values().next().unwrap().clone();
    for (digest, kind) in [
        (other, ErrorKind::ConfigError),
        (child, ErrorKind::ConfigError),
        (Digest::of(b"nowhere"), ErrorKind::NotFound),
    ] {
        let outcome = stage.publish(&reusing(NEW, &digest, &["curl-v1"]), Results::default());
        assert_eq!(outcome.failures[0].1.kind(), kind);
        assert!(stage.get("curl-v1").is_none());
    }
}
