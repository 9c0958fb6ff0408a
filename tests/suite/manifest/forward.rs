//! Tags only move forward, and where they cannot move at all.

use super::*;

#[test]
fn a_tag_is_not_taken_back_from_a_descendant() {
    let stage = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    let newer = stage.publish(&new, stage.built(&new, "new"));
    let older = stage.publish(&old, stage.built(&old, "old"));
    assert_eq!(states(&older.published[0]), [TagState::Newer; 3]);
    assert_eq!(stage.get("curl-head").unwrap().digest, newer.published[0].digest);
    // Its index is there by digest all the same, and a second run does not push it again.
    stage.proxy.clear();
    stage.publish(&old, stage.built(&old, "old"));
    assert_eq!(stage.proxy.count("PUT", ""), 0);
    // And forward it goes.
    let again = Stage::start();
    again.publish(&old, again.built(&old, "old"));
    assert_eq!(states(&again.publish(&new, again.built(&new, "new")).published[0]), [TagState::Moved; 3]);
}

#[test]
fn what_a_newer_run_has_not_written_yet_is_left_to_it() {
    let setup = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    setup.publish(&new, setup.built(&new, "new"));
    // The older run looks when only the first tag is there.
    let stage = setup.behind(move |seen| match seen.is("GET", "/manifests/curl-") {
        true if seen.is("GET", "/manifests/curl-2") => Action::Forward,
        true => Action::error(404, "MANIFEST_UNKNOWN", "not yet"),
        false => Action::Forward,
    });
    let older = stage.publish(&old, stage.built(&old, "old"));
    assert_eq!(states(&older.published[0]), [TagState::Newer; 3]);
    assert_eq!(stage.proxy.count("PUT", "/manifests/curl-"), 0);
}

/// Commits on different branches.
fn apart(one: &str, other: &str) -> Option<bool> {
    Some(one == other)
}

/// A clone without history.
fn unknown(one: &str, other: &str) -> Option<bool> {
    (one == other).then_some(true)
}

/// A plan of the git tag of this version, on a line of its own.
fn release(commit: &str, version: &str, tags: &[&str]) -> Plan {
    let mut image = planned("curl", &PLATFORMS, &[]);
    image["version"] = json!(version);
    image["tags"] = json!([&["curl-20251015"], tags, &["curl-latest", "curl-head"]].concat());
    let mut plan = plan(commit, &[image]);
    plan.source.tag = Some(format!("v{version}"));
    plan
}

#[test]
fn a_release_of_an_old_branch_moves_its_own_tags_and_none_of_a_newer_release() {
    let stage = Stage::start();
    let publish = |plan: &Plan, seed: &str| stage.publish_in(apart, plan, seed).published.remove(0);
    let first = publish(&release(OLD, "1.2.8", &["curl-1.2.8", "curl-1.2", "curl-1"]), "1.2.8");
    assert_eq!(states(&first), [TagState::Moved; 6]);
    let newer = publish(&release(NEW, "1.3.0", &["curl-1.3.0", "curl-1.3", "curl-1"]), "1.3.0");
    let head = TagState::OtherLine;
    let moved = TagState::Moved;
    assert_eq!(states(&newer), [moved, moved, moved, moved, moved, head], "{newer:?}");
    let old = publish(&release(OLD, "1.2.9", &["curl-1.2.9", "curl-1.2", "curl-1"]), "1.2.9");
    let stays = TagState::NewerVersion;
    assert_eq!(states(&old), [moved, moved, moved, stays, stays, moved], "{old:?}");
    assert_eq!(stage.get("curl-1.2").unwrap().digest, old.digest);
    for tag in ["curl-1", "curl-latest", "curl-1.3", "curl-1.3.0"] {
        assert_eq!(stage.get(tag).unwrap().digest, newer.digest, "{tag}");
    }
    let latest = old.tags.iter().find(|tag| tag.tag.as_str() == "curl-latest").unwrap();
    assert_eq!(latest.text(), "curl-latest (1.3.0 there, which is newer)");
    assert_eq!(serde_json::to_value(latest).unwrap()["state"], "newer_version");
    // The same again changes nothing.
    let again = publish(&release(OLD, "1.2.9", &["curl-1.2.9", "curl-1.2", "curl-1"]), "1.2.9");
    let same = TagState::Unchanged;
    assert_eq!(states(&again), [same, same, same, stays, stays, same]);
}

#[test]
fn a_release_takes_no_tag_from_a_build_of_which_nobody_knows_whether_it_is_older() {
    let stage = Stage::start();
    let publish = |plan: &Plan, seed: &str| stage.publish_in(unknown, plan, seed).published.remove(0);
    let mut newer = release(NEW, "1.3.0", &["curl-1.3.0"]);
    (newer.source.tag, newer.images[0].version) = (None, None);
    publish(&newer, "newer");
    let mut late = release(OLD, "1.2.9", &["curl-1.2.9"]);
    late.source.commit_time = "2025-10-16T08:00:00Z".into();
    let (held, moved) = (TagState::OtherLine, TagState::Moved);
    assert_eq!(states(&publish(&late, "late")), [moved, moved, held, held], "its commit is the later one");
}

#[test]
fn a_base_tag_that_names_no_build_goes_to_no_older_version() {
    let stage = Stage::start();
    let publish = |plan: &Plan, seed: &str| stage.publish_in(apart, plan, seed).published.remove(0);
    let release = |commit: &str, version: &str| {
        let mut plan = release(commit, version, &[]);
        plan.images[0].tags[0] = tag("curl-newest");
        plan
    };
    publish(&release(NEW, "2.0.0"), "2");
    let old = publish(&release(OLD, "1.0.0"), "1");
    assert_eq!(old.tags[0].state, TagState::NewerVersion, "{old:?}");
}

#[test]
fn a_tag_that_an_older_version_takes_meanwhile_is_repaired_towards_the_newer() {
    let setup = Stage::start();
    setup.publish_in(apart, &release(OLD, "1.2.9", &["curl-1.2.9"]), "1.2.9");
    let older = setup.get("curl-latest").unwrap();
    let direct = setup.registry.repository("acme");
    let times = AtomicUsize::new(0);
    let stage = setup.behind(move |seen| {
        if seen.is("HEAD", "/manifests/curl-latest") && times.fetch_add(1, Ordering::SeqCst) == 0 {
            let (to, manifest) = (direct.clone(), older.clone());
            block_on(async { client().put_manifest(&to, By::Tag(&tag("curl-latest")), &manifest).await.unwrap() });
        }
        Action::Forward
    });
    let outcome = stage.publish_in(apart, &release(NEW, "1.3.0", &["curl-1.3.0"]), "1.3.0");
    assert_eq!(stage.get("curl-latest").unwrap().digest, outcome.published[0].digest);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
}

#[test]
fn what_moved_before_a_tag_failed_is_said() {
    let setup = Stage::start();
    let new = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let stage = setup.behind(|seen| match seen.is("PUT", "/manifests/curl-head") {
        true => Action::error(403, "DENIED", "no"),
        false => Action::Forward,
    });
    let outcome = stage.publish(&new, stage.built(&new, "new"));
    let hint = outcome.failures[0].1.hint_text().unwrap();
    assert!(hint.contains("curl-2") && hint.contains("moved before that"), "{hint}");
}

#[test]
fn without_history_the_later_commit_counts_as_newer() {
    let stage = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    let run = |plan: &Plan, seed: &str| states(&stage.publish_in(|_, _| None, plan, seed).published[0])[2];
    assert_eq!(run(&old, "old"), TagState::Moved);
    assert_eq!(run(&new, "new"), TagState::Moved);
    assert_eq!(run(&old, "old"), TagState::Newer);
}

#[test]
fn tags_that_an_older_run_takes_back_meanwhile_are_repaired_towards_the_newer() {
    let setup = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    setup.publish(&old, setup.built(&old, "old"));
    let older = setup.get("curl-head").unwrap();
    // Right after the newer run wrote `head`, an older one overwrites it.
    let direct = setup.registry.repository("acme");
    let times = AtomicUsize::new(0);
    let stage = setup.behind(move |seen| {
        if seen.is("HEAD", "/manifests/curl-head") && times.fetch_add(1, Ordering::SeqCst) == 0 {
            let (to, manifest) = (direct.clone(), older.clone());
            block_on(async { client().put_manifest(&to, By::Tag(&tag("curl-head")), &manifest).await.unwrap() });
        }
        Action::Forward
    });
    let outcome = stage.publish(&new, stage.built(&new, "new"));
    assert_eq!(stage.get("curl-head").unwrap().digest, outcome.published[0].digest);
    assert_eq!(states(&outcome.published[0])[2], TagState::Moved);
}

#[test]
fn an_older_run_that_finds_a_newer_one_hands_its_tags_over() {
    let setup = Stage::start();
    let (old, new) = (plan(OLD, &[planned("curl", &PLATFORMS, &[])]), plan(NEW, &[planned("curl", &PLATFORMS, &[])]));
    let newer = setup.publish(&new, setup.built(&new, "new"));
    let index = setup.get("curl-head").unwrap();
    // Start from an empty set of tags: the newer run's index is there by digest only.
    let direct = setup.registry.repository("acme");
    let times = AtomicUsize::new(0);
    let first_tag_is_free = AtomicUsize::new(0);
    let stage = setup.behind(move |seen| {
        // While the older run looks, the tags are not there yet.
        if seen.is("GET", "/manifests/curl-") && first_tag_is_free.fetch_add(1, Ordering::SeqCst) < 3 {
            return Action::error(404, "MANIFEST_UNKNOWN", "not yet");
        }
        // The newer run writes `head` after the older one did; `latest` it had written before.
        if seen.is("HEAD", "/manifests/curl-head") && times.fetch_add(1, Ordering::SeqCst) == 0 {
            let (to, manifest) = (direct.clone(), index.clone());
            block_on(async { client().put_manifest(&to, By::Tag(&tag("curl-head")), &manifest).await.unwrap() });
        }
        Action::Forward
    });
    let outcome = stage.publish(&old, stage.built(&old, "old"));
    assert_eq!(states(&outcome.published[0]), [TagState::Moved, TagState::Newer, TagState::Newer]);
    for name in ["curl-latest", "curl-head"] {
        assert_eq!(stage.get(name).unwrap().digest, newer.published[0].digest, "{name}");
    }
}

#[test]
fn immutable_tags_a_free_date_tag_works_and_a_taken_one_names_the_templates() {
    let stage = Stage::with(immutable_tags());
    let old = plan(OLD, &[planned("curl", &PLATFORMS, &[])]);
    let first = stage.publish(&old, stage.built(&old, "old"));
    assert_eq!(states(&first.published[0]), [TagState::Moved; 3]);
    // The same again is fine.
    assert_eq!(states(&stage.publish(&old, stage.built(&old, "old")).published[0]), [TagState::Unchanged; 3]);
    // Another content on the same day is not.
    let new = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let collision = stage.publish(&new, stage.built(&new, "new"));
    let error = collision.first_failure().unwrap();
    assert_eq!(error.kind(), ErrorKind::RegistryError);
    assert!(error.message().contains("acme:curl-20251015 exists"), "{error}");
    assert!(error.hint_text().unwrap().contains("{run}") && error.hint_text().unwrap().contains("{short_sha}"));
    // A date tag of its own works; the tags that cannot move stay, and that is said.
    let mut image = planned("curl", &PLATFORMS, &[]);
    image["tags"] = json!(["curl-20251015-2222222", "curl-latest", "curl-head"]);
    let own = plan(NEW, &[image]);
    let outcome = stage.publish(&own, stage.built(&own, "new"));
    assert_eq!(states(&outcome.published[0]), [TagState::Moved, TagState::Immutable, TagState::Immutable]);
    assert_eq!(outcome.warnings.len(), 2);
    assert_eq!(stage.get("curl-head").unwrap().digest, first.published[0].digest);
}

#[test]
fn prepare_sees_a_collision_before_anything_is_built() {
    let plan = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let check = |stage: &Stage| {
        let registry = stage.to.to_string();
        block_on(async { check_immutable_tags(&stage.client, &plan, &registry).await })
    };
    let immutable = Stage::with(immutable_tags());
    check(&immutable).unwrap();
    assert_eq!(immutable.proxy.count("PUT", ""), 0);
    let built = |stage: &Stage| {
        stage.publish(&plan, stage.built(&plan, "a"));
        // What builders push to.
        let index = stage.get("curl-head").unwrap().index().unwrap();
        let child = index.manifests[0].digest.parse().unwrap();
        block_on(async {
            let child = stage.client.manifest(&stage.to, By::Digest(&child)).await.unwrap().unwrap();
            for arch in plan.images[0].arch_tags.values() {
                stage.client.put_manifest(&stage.to, By::Tag(arch), &child).await.unwrap();
            }
        });
    };
    built(&immutable);
    let error = check(&immutable).unwrap_err();
    assert!(error.message().contains("makes tags immutable") && error.hint_text().unwrap().contains("{run}"));
    let mutable = Stage::start();
    built(&mutable);
    mutable.proxy.clear();
    check(&mutable).unwrap();
    let written: Vec<_> = mutable.proxy.seen().into_iter().filter(|seen| seen.method == "PUT").collect();
    let moved = |seen: &crate::support::proxy::Seen| !seen.path.ends_with("-amd64") && !seen.path.ends_with("-arm64");
    assert!(!written.is_empty() && !written.iter().any(moved), "no tag that anybody pulls: {written:?}");
}

#[test]
fn a_rebuild_of_another_branch_takes_no_tag_from_the_default_one() {
    let stage = Stage::start();
    let publish = |plan: &Plan, seed: &str| stage.publish_in(apart, plan, seed).published.remove(0);
    let of = |commit: &str, beside: bool, tags: &[&str]| {
        let mut image = planned("curl", &PLATFORMS, &[]);
        image["tags"] = json!(tags);
        let mut plan = plan(commit, &[image]);
        (plan.source.beside_default, plan.source.event) = (beside, "schedule".into());
        plan
    };
    let both = ["curl-20251015", "curl-latest", "curl-1"];
    let main = publish(&of(NEW, false, &[&both[..], &["curl-head"]].concat()), "main");
    let own = [&both[..], &["curl-release-1"]].concat();
    let branch = publish(&of(OLD, true, &own), "branch");
    let (stays, moved) = (TagState::OtherLine, TagState::Moved);
    assert_eq!(states(&branch), [stays, stays, stays, moved], "{branch:?}");
    for tag in both {
        assert_eq!(stage.get(tag).unwrap().digest, main.digest, "{tag}");
    }
    assert_eq!(stage.get("curl-release-1").unwrap().digest, branch.digest);
    // What it published itself it may move, and the default branch takes back what is its own.
    let own = ["curl-20251016", "curl-release-1"];
    assert_eq!(states(&publish(&of(OLD, true, &own), "again")), [moved, moved]);
    let back = publish(&of(NEW, false, &["curl-20251016", "curl-head"]), "back");
    assert_eq!(states(&back), [moved, moved]);
}
