//! Bases that cannot be read are said with their place, and nothing is guessed: not stale, not fresh.

use serde_json::json;

use super::show::stale;
use super::world::{BOTH, address, base, proxy, publish, publish_with, single_of};
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

/// One row of attempts for all images, instead of one for each after the other.
#[test]
fn a_registry_that_does_not_answer_is_not_asked_again_for_every_image() {
    let names: Vec<String> = (0..12).map(|number| format!("i{number}")).collect();
    let project = Project::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begun = std::time::Instant::now();
    let said = project.hephy(["stale"]).env("HEPHY_REGISTRY", format!("{closed}/x")).run();
    let said = said
        .fails(6, &["what is published cannot be read", "did not answer the greeting", "could not be connected to"]);
    assert_eq!(said.stderr.matches("trying again in").count(), 4, "{said}");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());

    // The same where the registry answers and its token service does not.
    let down = Proxy::start(closed, |seen| match seen.path.starts_with("/token") {
        true => Action::error(503, "UNAVAILABLE", "later"),
        false => {
            let realm = format!("Bearer realm=\"http://{}/token\"", seen.header("host").unwrap_or_default());
            Action::Answer(401, vec![("WWW-Authenticate".to_owned(), realm)], Vec::new())
        }
    });
    let said = project.hephy(["stale"]).env("HEPHY_REGISTRY", format!("{}/x", down.address)).run();
    let said = said.fails(6, &["the request for a token"]);
    assert_eq!((down.count("GET", "/token"), said.stderr.matches("trying again in").count()), (5, 4), "{said}");
}

/// What `hephy` says of a project's stale images, in JSON.
fn only_stale(project: &Project, words: &[&str]) -> crate::cli::Outcome {
    let words = words.iter().copied().chain(["--only-stale", "--format", "json"]);
    project.hephy(words).env("HEPHY_REGISTRY", project.registry()).run()
}

/// good's base moved; so did one of dead's two, whose other one is gone; above is built on dead, and arm's index became
/// an image of another platform.
#[test]
fn an_image_with_a_dead_base_stops_no_rebuild_of_others() {
    let project = Project::new();
    let of = |name: &str| format!("{}/dead:{name}", address());
    let old = base("dead", "moved", &[(BOTH[0], "old")]);
    let other = base("dead", "single", &[(BOTH[0], "was")]);
    project.dockerfile("good", "", &format!("FROM {}\n", of("moved")));
    let both = format!("FROM {} AS one\nFROM {}\nCOPY --from=one /a /a\n", of("gone"), of("moved"));
    project.dockerfile("dead", "", &both).image_on("above", "dead", "");
    project.dockerfile("arm", "", &format!("FROM {}\n", of("single")));
    project.repo.write("rebuild-weekly.txt", "good\ndead\nabove\narm\n").commit("images");
    publish(&project, "good", &json!({ of("moved"): old }));
    publish(&project, "dead", &json!({ of("moved"): old, of("gone"): old }));
    publish(&project, "above", &json!({}));
    publish(&project, "arm", &json!({ of("single"): other }));
    base("dead", "moved", &[(BOTH[0], "new")]);
    single_of("dead", "single", "other", BOTH[1]);

    let said = stale(&project, &[]).fails(9, &["not every base could be read", "arm/Dockerfile:1"]);
    assert!(said.stdout.contains("does not exist for linux/amd64 any more"), "{said}");
    assert!(said.stdout.contains("does not exist any more                       dead/Dockerfile:1"), "{said}");
    assert!(said.stdout.contains("3 of 4 images are stale, 2 could not be checked"), "{said}");
    let counts = stale(&project, &["--format", "json"]).json()["counts"].clone();
    assert_eq!(counts, json!({"images": 4, "stale": 3, "unreadable": 2, "unknown": 0}));

    let prepared = only_stale(&project, &["prepare", "--scheduled"]).ok();
    assert_eq!(prepared.built(), ["good"], "{prepared}");
    for words in
        ["dead is stale and not rebuilt: a base of it is gone", "above is stale and not rebuilt: it is built on dead"]
    {
        assert!(prepared.stderr.contains(words), "{prepared}");
    }
    // What somebody asks for by its name is tried.
    only_stale(&project, &["prepare", "--dir", "dead"])
        .fails(3, &["base images are missing", "dead:gone does not exist"]);
}

/// The registry of the base was down while the image was prepared, and up when it was built.
#[test]
fn a_base_that_was_not_recorded_is_looked_up_and_its_image_rebuilt_once() {
    let project = Project::new();
    let base_project = Project::new();
    base_project.image("later", "").repo.commit("base");
    base_project.hephy(["run", "--all"]).env("HEPHY_REGISTRY", base_project.registry()).run().ok();
    let down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (is_down, path) = (down.clone(), base_project.registry().split_once('/').unwrap().1.to_owned());
    let proxy = Proxy::start(address(), move |_| match is_down.load(std::sync::atomic::Ordering::SeqCst) {
        true => Action::error(503, "UNAVAILABLE", "later"),
        false => Action::Forward,
    });
    project.dockerfile("web", "", &format!("FROM {}/{path}:later-head\nCOPY file /web\n", proxy.address));
    project.repo.commit("web");
    let run = |words: &[&str]| project.hephy(words.iter().copied()).env("HEPHY_REGISTRY", project.registry()).run();
    let prepared = run(&["prepare", "--all"]).ok();
    assert!(prepared.stderr.contains("could not be looked up"), "{prepared}");
    down.store(false, std::sync::atomic::Ordering::SeqCst);
    run(&["build", "--arch", "amd64"]).ok();
    run(&["manifest"]).ok();

    let said = run(&["stale"]).ok();
    assert!(said.stdout.contains("was not recorded") && said.stdout.contains("1 of 1 image is stale"), "{said}");
    let plan = run(&["plan", "--all", "--only-stale", "--format", "json"]).ok();
    assert_eq!(plan.built(), ["web"]);
    assert!(plan.reason("web").contains("was not recorded (linux/amd64)"), "{plan}");
    run(&["run", "--all", "--only-stale"]).ok();
    let said = run(&["stale"]).ok();
    assert!(said.stdout.starts_with("0 of 1 image are stale ("), "rebuilt once: {said}");
    down.store(true, std::sync::atomic::Ordering::SeqCst);
}
