//! Registries that do not answer, and indexes that say what nobody should believe.

use hephy::registry::{By, Manifest};
use serde_json::json;

use super::*;
use crate::support::registry::{block_on, client, image, tag};

#[test]
fn a_registry_that_cannot_be_read_is_said_aloud_and_the_range_compared() {
    let project = Project::with(&["a", "b"]);
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("a/file");
    let garbage = || Action::Answer(200, vec![("Content-Type".into(), "text/html".into())], b"<html>".to_vec());
    let broken_index = || {
        let kind = "application/vnd.oci.image.index.v1+json".to_owned();
        Action::Answer(200, vec![("Content-Type".into(), kind)], b"{\"manifests\": 7}".to_vec())
    };
    type Answer = fn() -> Action;
    let answers: [(&str, Answer); 6] = [
        ("answered 401", || Action::status(401)),
        ("answered 403", || Action::error(403, "DENIED", "no\u{1b}[2J")),
        ("answered 500", || Action::status(500)),
        ("", garbage),
        ("", broken_index),
        ("", || Action::Reset),
    ];
    for (said, answer) in answers {
        let (_proxy, registry) = behind(&project, move |_| answer());
        for (base, built) in [(before.as_str(), &["a"][..]), (BEFORE, &["a", "b"])] {
            let plan = stage(&project, base, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", &registry).run().ok();
            assert_eq!(plan.built(), built, "{said}: {plan}");
            let warning = "what is published could not be read, so the comparison is with ";
            assert_eq!(plan.stderr.matches(warning).count(), 1, "{plan}");
            assert!(plan.stderr.contains(said) && !plan.stderr.contains('\u{1b}'), "{plan}");
            let plan = plan.json();
            assert!(plan["warnings"][0].as_str().unwrap().contains(warning), "{plan}");
            assert!(!plan["comparison"].as_str().unwrap().contains("what is published"), "{plan}");
        }
    }
}

#[test]
fn a_registry_that_is_down_is_asked_once() {
    let project = Project::with(&["a", "b", "c", "d"]);
    let (proxy, registry) = behind(&project, |_| Action::error(403, "DENIED", "no"));
    stage(&project, BEFORE, ["plan"]).env("HEPHY_REGISTRY", &registry).run().ok();
    assert_eq!(proxy.count("GET", "-head"), 1, "{:?}", proxy.seen());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plan = stage(&project, BEFORE, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", format!("{gone}/x"));
    let plan = plan.run().ok();
    assert_eq!(plan.built().len(), 4);
    assert!(plan.stderr.contains("what is published could not be read"), "{plan}");
}

/// Answers that are under way when it refuses the first time still come; nothing is asked after them.
#[test]
fn a_registry_that_begins_to_refuse_is_asked_no_more() {
    let names: Vec<String> = (0..120).map(|number| format!("i{number:03}")).collect();
    let project = Project::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (proxy, registry) = behind(&project, |seen| match seen.path.contains("i000-head") {
        true => Action::Forward,
        false => Action::error(403, "DENIED", "no"),
    });
    let plan = stage(&project, BEFORE, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", &registry).run().ok();
    assert_eq!(plan.built().len(), 120);
    assert_eq!(plan.stderr.matches("of i001 and 118 more could not be read").count(), 1, "{plan}");
    let asked = proxy.count("GET", "-head");
    assert!((2..=1 + 48).contains(&asked), "{asked} questions");
}

/// With a repository for each image, one of them may be closed.
#[test]
fn one_repository_that_is_closed_does_not_hide_the_others() {
    let project = Project::with(&["a", "b", "c"]);
    project.repo.write("hephy.yaml", "layout: per-image\n").commit("layout");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("a/file");
    for closed in ["/a/manifests", "/b/manifests"] {
        let (_proxy, registry) = behind(&project, move |seen| match seen.path.contains(closed) {
            true => Action::error(403, "DENIED", "no"),
            false => Action::Forward,
        });
        let plan = stage(&project, &before, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", &registry).run().ok();
        assert_eq!(plan.built(), ["a"], "{plan}");
        assert!(plan.stderr.contains("what is published of "), "{plan}");
        // Without a base the closed one is built, and the others are what they are.
        let plan = stage(&project, BEFORE, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", &registry).run().ok();
        let built = if closed.starts_with("/a") { vec!["a"] } else { vec!["a", "b"] };
        assert_eq!(plan.built(), built, "{plan}");
    }
}

/// Pushes an index under `a-head` by hand.
fn plant(project: &Project, annotations: &serde_json::Value) {
    let (host, path) = (upstream(), project.registry().split_once('/').unwrap().1.to_owned());
    let to = crate::support::registry::repository(host, &path);
    block_on(async {
        let client = client();
        let platform = hephy::oci::Platform::parse("linux/amd64").unwrap();
        let child = image(&client, &to, &platform, "planted").await;
        client.put_manifest(&to, By::Digest(&child.digest), &child).await.unwrap();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(),
                           "platform": {"os": "linux", "architecture": "amd64"}}],
            "annotations": annotations,
        });
        let index = Manifest::new("application/vnd.oci.image.index.v1+json", index.to_string().into_bytes());
        client.put_manifest(&to, By::Tag(&tag("a-head")), &index).await.unwrap();
    });
}

#[test]
fn what_an_index_says_is_anybodys_text() {
    let project = Project::with(&["a"]);
    let key = plan(&project, BEFORE).json()["images"][0]["input_key"].as_str().unwrap().to_owned();
    let long = "9".repeat(100_000);
    let good = json!({
        "dev.hephy.image": "a", "dev.hephy.input-key": key, "org.opencontainers.image.revision": project.repo.head(),
    });
    plant(&project, &good);
    assert_eq!(plan(&project, BEFORE).built(), Vec::<String>::new());
    for (name, value, reason) in [
        ("dev.hephy.image", "b", "what is published says that it is b"),
        ("dev.hephy.image", "a\u{1b}[2J\n::error::x", "what is published says that it is a\\u{1b}[2J"),
        ("dev.hephy.image", &long, "what is published says that it is 999"),
        ("dev.hephy.input-key", "", "does not say what it was built from"),
        ("dev.hephy.input-key", &key.to_uppercase(), "does not say what it was built from"),
        ("dev.hephy.input-key", &"0".repeat(64), "differs from the one published from"),
    ] {
        let mut annotations = good.clone();
        annotations[name] = value.into();
        plant(&project, &annotations);
        let plan = plan(&project, BEFORE);
        assert_eq!(plan.built(), ["a"], "{name}={value:.40}");
        assert!(plan.reason("a").contains(reason), "{}", plan.reason("a"));
        let text = stage(&project, BEFORE, ["plan"]).run().ok();
        assert!(!text.stdout.contains('\u{1b}') && !text.stdout.contains("\n::error"), "{text}");
    }
    // A commit that is none, or that nobody has: the key decides, and the reason says what is known.
    for revision in ["--upload-pack=touch /tmp/x", "HEAD", &"d".repeat(40), &"d".repeat(64), "main\n", &long] {
        plant(
            &project,
            &json!({
                "dev.hephy.image": "a", "dev.hephy.input-key": "0".repeat(64), "org.opencontainers.image.revision": revision,
                "dev.hephy.tags": "[[[", "dev.hephy.bases": "{\"a\": 1}", "org.opencontainers.image.created": "never",
            }),
        );
        let plan = plan(&project, BEFORE);
        assert_eq!(plan.built(), ["a"]);
        assert!(plan.reason("a").starts_with("its input key differs from the "), "{}", plan.reason("a"));
    }
    // Another tool's image, and what is no index.
    plant(&project, &json!({}));
    assert_eq!(plan(&project, BEFORE).reason("a"), "what is published was not made by hephy");
}
