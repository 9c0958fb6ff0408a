//! Bases that cannot be read are said with their place, and nothing is guessed: not stale, not fresh.

use serde_json::json;

use super::show::stale;
use super::world::{BOTH, address, base, proxy, publish, publish_with};
use crate::cli::Project;
use crate::support::proxy::{Action, Proxy};

/// Two images: `good`, whose base moved, and `bad`, whose base is read through a proxy that answers like this.
fn project(path: &str, proxy: &Proxy) -> Project {
    let project = Project::new();
    let (good, bad) = (format!("{}/{path}:good", address()), format!("{}/{path}:bad", proxy.address));
    let old = base(path, "good", &[(BOTH[0], "old")]);
    project.dockerfile("good", "", &format!("FROM {good}\n")).dockerfile("bad", "", &format!("\nFROM {bad}\n"));
    project.repo.write("rebuild-weekly.txt", "good\nbad\n");
    project.repo.commit("images");
    publish(&project, "good", &json!({ good: old.clone() }));
    publish(&project, "bad", &json!({ bad: old }));
    base(path, "good", &[(BOTH[0], "new")]);
    project
}

fn says(path: &str, answer: fn() -> Action, code: i32, why: &str) {
    let proxy = proxy(move |seen| if seen.path == "/v2/" { Action::Forward } else { answer() });
    let project = project(path, &proxy);
    let said = stale(&project, &[]).fails(code, &["not every base could be read", "bad/Dockerfile:2", why]);
    assert!(said.stdout.contains("stale    good"), "everything else is printed: {said}");
    assert!(said.stdout.contains("unread   bad") && said.stdout.contains("bad/Dockerfile:2"), "{said}");
    assert!(said.stdout.contains("1 of 2 images is stale, 1 could not be checked"), "{said}");
    let json = stale(&project, &["--format", "json"]);
    assert_eq!((json.code, json.json()["counts"]["unreadable"].as_u64()), (code, Some(1)), "{json}");

    let words = ["plan", "--scheduled", "--only-stale", "--format", "json"];
    let plan = project.hephy(words).env("HEPHY_REGISTRY", project.registry()).run().ok();
    assert_eq!(plan.built(), ["good"]);
    assert!(
        plan.stderr.contains("bad/Dockerfile:2") && plan.stderr.contains("nothing is rebuilt because of it"),
        "{plan}"
    );
}

#[test]
fn a_base_that_vanished() {
    says("vanished", || Action::error(404, "MANIFEST_UNKNOWN", "gone"), 9, "does not exist any more");
}

#[test]
fn a_base_that_may_not_be_read() {
    says("forbidden", || Action::error(403, "DENIED", "no"), 5, "answered 403");
}

#[test]
fn a_registry_that_fails() {
    says("failing", || Action::error(503, "UNAVAILABLE", "later"), 6, "answered 503");
}

#[test]
fn a_registry_that_answers_garbage() {
    says("garbage", || Action::Answer(200, Vec::new(), b"<html>".to_vec()), 6, "is not the manifest of an image");
}

#[test]
fn a_base_that_lost_a_platform() {
    let project = Project::new();
    let path = format!("{}/lost:1", address());
    let old = base("lost", "1", &[(BOTH[0], "a"), (BOTH[1], "b")]);
    project.dockerfile("web", "platforms: [linux/amd64, linux/arm64]\n", &format!("FROM {path}\n"));
    project.repo.commit("web");
    publish(&project, "web", &json!({ path: old }));
    base("lost", "1", &[(BOTH[0], "a")]);
    let said = stale(&project, &[]).fails(9, &["does not exist for linux/arm64 any more"]);
    assert!(said.stdout.contains("0 of 1 image are stale, 1 could not be checked"), "{said}");
}

#[test]
fn what_is_published_cannot_be_read_at_all() {
    let project = Project::with(&["web"]);
    let down = proxy(|_| Action::error(403, "DENIED", "no"));
    let registry = format!("{}/x", down.address);
    let run = |words: &[&'static str]| project.hephy(words.iter().copied()).env("HEPHY_REGISTRY", &registry).run();
    run(&["stale"]).fails(5, &["what is published cannot be read", "answered 403"]);
    run(&["plan", "--all", "--only-stale"]).fails(5, &["what is published cannot be read"]);
    project.hephy(["stale"]).run().fails(3, &["there is no registry"]);
    project.hephy(["plan", "--all", "--only-stale"]).run().fails(3, &["there is no registry"]);
}

#[test]
fn a_record_that_cannot_be_read_is_told_as_that() {
    let project = Project::with(&["none", "odd"]);
    let key = "0".repeat(64);
    publish_with(&project, "none", &json!({"dev.hephy.image": "none", "dev.hephy.input-key": key}));
    let odd = json!({"dev.hephy.image": "odd", "dev.hephy.input-key": key, "dev.hephy.bases": "{\"alpine:3\": 1"});
    publish_with(&project, "odd", &odd);
    let said = stale(&project, &[]).ok();
    let line = |name: &str| said.stdout.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("none").contains("did not record its bases"), "{said}");
    assert!(line("odd").contains("records its bases in a form that cannot be read (dev.hephy.bases)"), "{said}");
}
