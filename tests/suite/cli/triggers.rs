//! Triggers (`ONBUILD`) of bases from elsewhere, which read what no line of the Dockerfile says.

use hephy::oci::Platform;
use hephy::registry::By;
use serde_json::json;

use super::{Outcome, Project};
use crate::stale::world::{address, proxy};
use crate::support::proxy::{Action, Proxy};
use crate::support::registry::{block_on, client, image_of, repository, tag};

/// Points `path:1` at an index of one image with these triggers.
fn base(path: &str, triggers: &[&str]) {
    let to = repository(address(), path);
    block_on(async {
        let client = client();
        let platform = Platform::linux_amd64();
        let config = json!({
            "os": platform.os(), "architecture": platform.architecture(),
            "config": {"OnBuild": triggers, "Labels": {"of": path}},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let child = image_of(&client, &to, &config.to_string(), b"layer", json!({})).await;
        client.put_manifest(&to, By::Digest(&child.digest), &child).await.unwrap();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [{
            "mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(),
            "platform": {"os": platform.os(), "architecture": platform.architecture()},
        }]});
        let index = hephy::registry::Manifest::new(media_type, index.to_string().into_bytes());
        client.put_manifest(&to, By::Tag(&tag("1")), &index).await.unwrap();
    });
}

fn prepare(project: &Project, backend: &str) -> Outcome {
    let words = ["prepare", "--all", "--backend", backend, "--format", "json"];
    project.hephy(words).env("HEPHY_REGISTRY", project.registry()).run()
}

/// An image on `path:1` behind a proxy of its own, with sources that its Dockerfile does not name.
fn on(path: &str, config: &str, instructions: &str) -> (Project, Proxy) {
    let counted = proxy(|_| Action::Forward);
    let project = Project::new();
    let from = format!("{}/{path}:1", counted.address);
    project.dockerfile("web", config, &format!("# a line before\nFROM {from}\n{instructions}"));
    project.repo.write("web/src/main.js", "1\n").write("web/package.json", "{}\n");
    project.repo.commit("web");
    (project, counted)
}

#[test]
fn a_trigger_that_reads_what_does_not_count_is_refused_before_anything_is_built() {
    base("triggers/all", &["RUN true", "COPY . /app"]);
    let (project, counted) = on("triggers/all", "", "COPY file /file\n");
    let refused = prepare(&project, "kaniko").fails(3, &["triggers of base images", "web/Dockerfile:2:1"]);
    assert!(refused.stderr.contains("`ONBUILD COPY . /app`"), "{refused}");
    assert!(refused.stderr.contains("does not count for web"), "{refused}");
    assert!(refused.stderr.contains("name what is read in web/build-config.yaml:"), "{refused}");
    assert!(refused.stderr.contains("watch:\n") && refused.stderr.contains("- \"web/**\""), "{refused}");
    assert!(!project.path(".hephy/plan.json").exists());
    // The index; of one platform manifest and configuration.
    assert_eq!((counted.count("GET", "/manifests/"), counted.count("GET", "/blobs/")), (2, 1), "{:?}", counted.seen());
}

#[test]
fn a_trigger_whose_files_all_count_is_no_matter() {
    base("triggers/some", &["COPY package.json src /app/", "RUN npm ci"]);
    for (config, instructions) in [
        ("", "COPY . /x\n"),
        ("", "COPY package.json src /x/\n"),
        ("watch: [web/package.json, web/src/**]\n", "COPY file /file\n"),
        ("watch: [web/src/**]\nignore: [web/package.json]\n", "COPY file /file\n"),
    ] {
        let (project, _proxy) = on("triggers/some", config, instructions);
        assert_eq!(prepare(&project, "kaniko").ok().built(), ["web"], "{config}{instructions}");
    }
    let (project, _proxy) = on("triggers/some", "", "COPY file /file\n");
    prepare(&project, "buildah").fails(3, &["- \"web/package.json\"", "- \"web/src/**\""]);
    // What an ignore file leaves out, no trigger sees.
    project.repo.write("web/.dockerignore", "src\npackage.json\n");
    project.repo.commit("nothing is seen");
    prepare(&project, "buildah").ok();
}

#[test]
fn the_hint_is_enough() {
    base("triggers/hint", &["COPY . /app"]);
    let (project, _proxy) = on("triggers/hint", "", "COPY file /file\n");
    prepare(&project, "kaniko").fails(3, &["web/**"]);
    let config = std::fs::read_to_string(project.path("web/build-config.yaml")).unwrap();
    project.repo.write("web/build-config.yaml", format!("{config}watch:\n  - \"web/**\"\n"));
    project.repo.commit("watch");
    prepare(&project, "kaniko").ok();
    let before = project.repo.head();
    project.change("web/src/main.js");
    let words = ["plan", "--base", &before, "--format", "json"];
    let plan = project.hephy(words).env("HEPHY_REGISTRY", "none").run().ok();
    assert_eq!(plan.built(), ["web"], "and a change is no longer missed");
}

#[test]
fn nobody_is_asked_where_everything_counts() {
    base("triggers/asked", &["COPY . /app"]);
    let (project, counted) = on("triggers/asked", "", "COPY . /x\n");
    prepare(&project, "kaniko").ok();
    assert_eq!((counted.count("GET", "/manifests/"), counted.count("GET", "/blobs/")), (1, 0), "{:?}", counted.seen());
    // Files are only taken from it: nothing is triggered.
    let from = format!("{}/triggers/asked:1", counted.address);
    project.dockerfile("web", "", &format!("FROM scratch\nCOPY --from={from} /a /a\nCOPY file /file\n"));
    project.repo.commit("only files");
    counted.clear();
    prepare(&project, "kaniko").ok();
    assert_eq!((counted.count("GET", "/manifests/"), counted.count("GET", "/blobs/")), (1, 0), "{:?}", counted.seen());
}

#[test]
fn a_base_that_two_images_share_is_asked_for_once() {
    base("triggers/once", &[]);
    let (project, counted) = on("triggers/once", "", "COPY file /file\n");
    let from = format!("{}/triggers/once:1", counted.address);
    project.dockerfile("api", "", &format!("FROM {from}\nCOPY file /file\n"));
    project.repo.commit("api");
    prepare(&project, "kaniko").ok();
    assert_eq!((counted.count("GET", "/manifests/"), counted.count("GET", "/blobs/")), (2, 1), "{:?}", counted.seen());
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_warning() {
    base("triggers/unread", &["COPY . /app"]);
    let deaf = proxy(|seen| match seen.path.contains("/blobs/") {
        true => Action::error(403, "DENIED", "not for you"),
        false => Action::Forward,
    });
    let project = Project::new();
    let from = format!("{}/triggers/unread:1", deaf.address);
    project.dockerfile("web", "", &format!("FROM {from}\nCOPY file /file\n"));
    project.repo.commit("web");
    let prepared = prepare(&project, "kaniko").ok();
    assert!(prepared.stderr.contains("web/Dockerfile:1: the configuration of"), "{prepared}");
    assert!(prepared.stderr.contains("nobody knows what it has behind ONBUILD"), "{prepared}");
}
