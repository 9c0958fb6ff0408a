//! What `hephy stale` says, and how many requests it takes to know.

use serde_json::{Value, json};

use super::world::{BOTH, base, proxy, publish, publish_with, single};
use crate::cli::{Outcome, Project};
use crate::support::proxy::Action;

/// `hephy stale` for the images of a project.
pub(super) fn stale(project: &Project, words: &[&str]) -> Outcome {
    let words = ["stale"].into_iter().chain(words.iter().copied());
    project.hephy(words).env("HEPHY_REGISTRY", project.registry()).run()
}

fn image<'d>(document: &'d Value, name: &str) -> &'d Value {
    let images = document["images"].as_array().unwrap();
    images.iter().find(|image| image["name"] == name).unwrap_or_else(|| panic!("{name}: {document:#}"))
}

/// The states of an image's bases: `reference platform state`.
fn bases(document: &Value, name: &str) -> Vec<String> {
    let text = |base: &Value, field: &str| base[field].as_str().unwrap().to_owned();
    let line = |base: &Value| {
        let reference = text(base, "reference");
        let reference = reference.rsplit('/').next().unwrap();
        format!("{reference} {} {}", text(base, "platform"), text(base, "state"))
    };
    image(document, name)["bases"].as_array().unwrap().iter().map(line).collect()
}

const PLATFORMS: &str = "platforms: [linux/amd64, linux/arm64]\n";

#[test]
fn each_platform_is_compared_by_itself_and_the_table_says_what_moved_where() {
    let project = Project::new();
    let counted = proxy(|_| Action::Forward);
    let host = counted.address;
    let old = base("bases-a", "3", &[(BOTH[0], "old amd64"), (BOTH[1], "old arm64")]);
    let from = format!("{host}/bases-a:3");
    project.dockerfile("curl", PLATFORMS, &format!("FROM {from}\nCOPY file /file\n"));
    project.image("lone", "");
    project.repo.commit("images");
    publish(&project, "curl", &json!({ from.clone(): old }));
    publish(&project, "lone", &json!({}));

    let fresh = stale(&project, &[]).ok();
    assert_eq!(fresh.stdout, "0 of 2 images are stale (hephy stale DIR shows every base of an image).\n");

    let new = base("bases-a", "3", &[(BOTH[0], "old amd64"), (BOTH[1], "new arm64")]);
    let said = stale(&project, &[]).ok();
    let short = |digest: &Value| format!("{}…", &digest.as_str().unwrap()[..19]);
    let moved = format!("{} → {}", short(&old[BOTH[1]]), short(&new[BOTH[1]]));
    let expected = format!(
        "  stale   curl   linux/arm64   {from}   {moved}   curl/Dockerfile:1\n\n\
         1 of 2 images is stale (hephy stale DIR shows every base of an image).\n"
    );
    assert_eq!(said.stdout, expected);

    let named = stale(&project, &["c*", "lone"]).ok();
    assert!(named.stdout.contains("fresh   curl   linux/amd64"), "{named}");
    assert!(named.stdout.contains("fresh   lone   –             no base from outside"), "{named}");

    let document = stale(&project, &["--format", "json"]).ok().json();
    let states = ["bases-a:3 linux/amd64 fresh", "bases-a:3 linux/arm64 moved"];
    assert_eq!(bases(&document, "curl"), states, "{document:#}");
    let moved = &image(&document, "curl")["bases"][1];
    assert_eq!((&moved["was"], &moved["now"]), (&old[BOTH[1]], &new[BOTH[1]]));
    assert_eq!((&moved["file"], &moved["line"]), (&json!("curl/Dockerfile"), &json!(1)));
    assert_eq!(document["counts"], json!({"images": 2, "stale": 1, "unreadable": 0, "unknown": 0}));
    stale(&project, &["nowhere"]).fails(9, &["nowhere matches no image directory"]);
}

#[test]
fn each_base_takes_one_request_however_many_images_and_platforms_use_it() {
    let project = Project::new();
    let counted = proxy(|_| Action::Forward);
    let host = counted.address;
    let mut recorded = json!({});
    for number in 0..4 {
        let name = format!("{number}");
        let old = base("bases-b", &name, &[(BOTH[0], &name), (BOTH[1], &name)]);
        recorded[format!("{host}/bases-b:{number}")] = old;
    }
    // One image, no index: its own digest is enough.
    let lone = single("bases-b", "single", "single");
    recorded[format!("{host}/bases-b:single")] = json!({"linux/amd64": lone});
    let pinned = format!("{host}/bases-b:0@{}", recorded[format!("{host}/bases-b:0")][BOTH[0]].as_str().unwrap());
    for number in 0..12 {
        let dockerfile = format!(
            "FROM {host}/bases-b:{} AS build\nFROM {host}/bases-b:unused AS unused\nFROM {pinned} AS tools\n\
             FROM {host}/bases-b:{}\nCOPY --from=build /a /a\nCOPY --from={host}/bases-b:2 /a /b\n\
             COPY --from=tools /a /d\nRUN --mount=from={host}/bases-b:3,target=/t x\n",
            number % 2,
            number % 2,
        );
        project.dockerfile(&format!("i{number}"), PLATFORMS, &dockerfile);
        publish(&project, &format!("i{number}"), &recorded);
    }
    project.dockerfile("lone", "", &format!("FROM {host}/bases-b:single\n"));
    publish(&project, "lone", &recorded);
    project.repo.commit("images");
    counted.clear();
    let document = stale(&project, &["--format", "json"]).ok().json();
    assert_eq!(document["counts"]["stale"], 0, "{document:#}");
    let seen: Vec<String> = counted.seen().iter().map(|it| format!("{} {}", it.method, it.path)).collect();
    assert_eq!(counted.count("GET", "/v2/bases-b/manifests/"), 5, "{seen:?}");
    // The greeting of a registry comes before all of them.
    assert_eq!(seen.len(), 1 + 5, "nothing but manifests: {seen:?}");
    let states = bases(&document, "i0");
    assert_eq!(
        states.iter().filter(|state| state.ends_with("fresh")).count(),
        6,
        "three bases, two platforms: {states:?}"
    );
    assert_eq!(states.iter().filter(|state| state.ends_with("pinned")).count(), 2, "{states:?}");
}

#[test]
fn what_was_not_recorded_is_unknown_and_never_stale() {
    let project = Project::new();
    let path = |name: &str| format!("{}/bases-c:{name}", super::world::address());
    let old = base("bases-c", "1", &[(BOTH[0], "one")]);
    base("bases-c", "2", &[(BOTH[0], "two")]);
    for name in ["never", "foreign", "nameless", "mute", "odd", "changed", "platform"] {
        let platforms = if name == "platform" { PLATFORMS } else { "" };
        let tag = if name == "changed" { "2" } else { "1" };
        project.dockerfile(name, platforms, &format!("FROM {}\n", path(tag)));
    }
    project.repo.commit("images");
    let recorded = json!({ path("1"): old });
    let key = "0".repeat(64);
    publish_with(&project, "nameless", &json!({"dev.hephy.input-key": key, "dev.hephy.bases": recorded.to_string()}));
    publish_with(&project, "foreign", &json!({"dev.hephy.image": "other", "dev.hephy.bases": recorded.to_string()}));
    publish_with(&project, "mute", &json!({}));
    publish_with(
        &project,
        "odd",
        &json!({"dev.hephy.image": "odd", "dev.hephy.input-key": key, "dev.hephy.bases": "[\u{1b}[31m"}),
    );
    publish(&project, "changed", &recorded);
    publish(&project, "platform", &recorded);
    base("bases-c", "1", &[(BOTH[0], "one")]);
    let said = stale(&project, &[]).ok();
    for part in [
        "unknown   never      –             nothing is published",
        "unknown   foreign    –             what is published says that it is other",
        "unknown   nameless   –             what is published was not made by hephy",
        "unknown   mute       –             what is published was not made by hephy",
        "unknown   odd        –             what is published records its bases in a form that cannot be read (dev.hephy.bases)",
        "the published image was built without it: its sources changed since",
        "its digest for linux/arm64 was not recorded",
        "0 of 7 images are stale, 7 unknown",
    ] {
        assert!(said.stdout.contains(part), "{part}: {said}");
    }
}

#[test]
fn images_of_other_repositories_are_compared_by_what_was_recorded() {
    let project = Project::new();
    let path = format!("{}/bases-d:1", super::world::address());
    let old = base("bases-d", "1", &[(BOTH[0], "one")]);
    project.repo.write("app/build-config.yaml", "upstream_repo: https://git.invalid/app.git\nupstream_ref: main\n");
    project.repo.commit("remote");
    publish(&project, "app", &json!({ path: old }));
    stale(&project, &[]).ok();
    base("bases-d", "1", &[(BOTH[0], "two")]);
    let said = stale(&project, &[]).ok();
    assert!(said.stdout.contains("app/build-config.yaml:1"), "{said}");
    assert!(said.stdout.contains("1 of 1 image is stale"), "{said}");
}

#[test]
fn the_base_of_ko_and_a_base_of_another_platform_are_compared_too() {
    let project = Project::new();
    let path = |name: &str| format!("{}/bases-e:{name}", super::world::address());
    let runtime = base("bases-e", "static", &[(BOTH[0], "static")]);
    let tools = base("bases-e", "tools", &[(BOTH[0], "tools")]);
    let config = format!("build_backend: ko\nko_config:\n  import_path: ./cmd\n  base_image: {}\n", path("static"));
    project.repo.write("go/build-config.yaml", config);
    let dockerfile =
        format!("FROM --platform=linux/amd64 {} AS build\nFROM scratch\nCOPY --from=build /a /a\n", path("tools"));
    project.dockerfile("cross", "platforms: [linux/arm64]\n", &dockerfile);
    project.repo.commit("images");
    publish(&project, "go", &json!({ path("static"): runtime }));
    publish(&project, "cross", &json!({ path("tools"): tools }));
    let fresh = stale(&project, &[]).ok();
    assert!(fresh.stdout.starts_with("0 of 2 images are stale ("), "{fresh}");
    base("bases-e", "static", &[(BOTH[0], "static 2")]);
    base("bases-e", "tools", &[(BOTH[0], "tools 2")]);
    let said = stale(&project, &[]).ok();
    assert!(said.stdout.contains("go/build-config.yaml:4"), "{said}");
    assert!(said.stdout.contains("stale   cross   linux/amd64"), "{said}");
}
