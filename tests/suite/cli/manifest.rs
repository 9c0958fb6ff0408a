//! `hephy manifest`: indexes, the tags of specification §5, and what a second run changes.

use std::net::ToSocketAddrs as _;

use super::{BEFORE, Project, manifest, tags};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};
use crate::support::repo::Repo;

/// prepare → build for amd64 → manifest, for whatever the machine can build.
fn pipeline(project: &Project, registry: &str) {
    project
        .push(BEFORE, ["prepare", "--all"])
        .env("ECR_REGISTRY", registry)
        .env("GIT_ALLOW_PROTOCOL", "file")
        .run()
        .ok();
    project.hephy(["build", "--arch", "amd64"]).run().ok();
    project.hephy(["manifest"]).run().ok();
}

#[test]
fn every_row_of_the_tags_of_section_5() {
    let upstream = Repo::new();
    upstream.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    upstream.commit("upstream");
    upstream.git(&["branch", "release/1.x"]);
    let project = Project::new();
    project.image("curl", "additional_tags: [latest, 'b${BUILD_NUMBER}', v1.25.3]\n");
    let remote = format!("upstream_repo: {}\nupstream_ref: release/1.x\n", upstream.url().replace(' ', "%20"));
    project.repo.write("test-app/build-config.yaml", remote);
    project.repo.commit("images");
    let registry = project.registry();
    pipeline(&project, &registry);
    assert_eq!(
        tags(&registry),
        [
            "curl-20251015",
            "curl-20251015-amd64",
            "curl-b42",
            "curl-head",
            "curl-latest",
            "curl-v1.25.3",
            "test-app-20251015-release-1.x",
            "test-app-20251015-release-1.x-amd64",
            "test-app-head",
        ]
    );
    // An image with one platform gets its index and all its tags as well.
    let (digest, index) = manifest(&registry, "curl-20251015").unwrap();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    for tag in ["curl-latest", "curl-head", "curl-b42", "curl-v1.25.3"] {
        assert_eq!(manifest(&registry, tag).unwrap().0, digest, "{tag}");
    }
}

#[test]
fn the_index_carries_its_annotations() {
    let project = Project::new();
    project.image("curl", "annotations: {team: infra}\n");
    let commit = project.repo.commit("images");
    let registry = project.registry();
    pipeline(&project, &registry);
    let plan: serde_json::Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    let (digest, index) = manifest(&registry, "curl-head").unwrap();
    let annotations = &index["annotations"];
    for (name, value) in [
        ("dev.hephy.input-key", plan["images"][0]["input_key"].as_str().unwrap()),
        ("dev.hephy.image", "curl"),
        ("org.opencontainers.image.revision", &commit),
        ("org.opencontainers.image.source", "https://gitlab.example.com/acme/images"),
        ("org.opencontainers.image.created", "2025-10-15T12:00:00Z"),
        ("team", "infra"),
    ] {
        assert_eq!(annotations[name], value, "{name} in {annotations}");
    }
    let written: serde_json::Value = serde_json::from_str(&project.read("curl.manifest.json")).unwrap();
    assert_eq!(written["digest"], digest.to_string());
    assert!(project.read("summary.md").contains("| curl | linux/amd64 | built |"));
    let schema = project.hephy(["schema", "manifest"]).run().ok().json();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&written), "{written}");
    let schema = project.hephy(["schema", "result"]).run().ok().json();
    let result: serde_json::Value = serde_json::from_str(&project.read("curl-amd64.json")).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&result), "{result}");
}

#[test]
fn running_the_stage_again_changes_nothing() {
    let project = Project::new();
    project.image("a", "additional_tags: [latest, x]\n").image("b", "");
    project.repo.commit("images");
    let upstream = builders::registry().to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::start(upstream, |_| Action::Forward);
    let registry = format!("{}/{}", proxy.address, project.registry().split_once('/').unwrap().1);
    pipeline(&project, &registry);
    assert!(proxy.count("PUT", "/manifests/") > 0);
    let was = super::snapshot(&project.out(""));
    proxy.clear();
    project.hephy(["manifest"]).run().ok();
    assert_eq!(proxy.count("PUT", "") + proxy.count("POST", "") + proxy.count("PATCH", ""), 0, "{:?}", proxy.seen());
    assert_eq!(super::snapshot(&project.out("")).len(), was.len());
}

#[test]
fn nothing_to_build_is_success_in_every_stage() {
    let project = Project::with(&["a"]);
    let head = project.repo.head();
    let outcome = project.push(&head, ["prepare"]).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok();
    assert!(outcome.stdout.contains("Nothing to build: 1 image unchanged."), "{outcome}");
    let outcome = project.hephy(["build", "--arch", "amd64"]).run().ok();
    assert!(outcome.stderr.contains("Nothing to build for amd64"), "{outcome}");
    let outcome = project.hephy(["manifest"]).run().ok();
    assert_eq!(outcome.stderr, "Nothing to publish: the plan builds nothing.\n");
}

#[test]
fn a_check_run_publishes_nothing() {
    let project = Project::with(&["a"]);
    project.image_on("on-a", "a", "");
    let before = project.repo.commit("images");
    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let was = tags(&registry);
    let head = project.change("on-a/file");
    let ids = [(super::HEAD, head.as_str()), (BEFORE, before.as_str())];
    let hephy = project.ci("gitlab-push-branch", &ids, ["prepare"]).env("HEPHY_BACKEND", "buildah");
    hephy.env("ECR_REGISTRY", &registry).run().ok();
    let outcome = project.hephy(["build", "--arch", "amd64"]).run().ok();
    assert!(outcome.stdout.contains("on-a") && outcome.stdout.contains("built"), "{outcome}");
    let outcome = project.hephy(["manifest"]).run().ok();
    assert_eq!(outcome.stderr, "Nothing to publish: a check run publishes nothing.\n");
    assert_eq!(tags(&registry), was);
}

#[test]
fn a_failed_platform_holds_back_its_image_and_no_other() {
    let project = Project::new();
    // The arm64 half cannot be built on this machine: its job never ran.
    project.image("both", "platforms: [linux/amd64, linux/arm64]\n").image_on("on-both", "both", "").image("one", "");
    project.repo.commit("images");
    let registry = project.registry();
    project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", &registry).run().ok();
    project.hephy(["build", "--arch", "amd64"]).run().ok();
    let outcome = project.hephy(["manifest"]).run();
    assert_eq!(outcome.code, 9, "{outcome}");
    assert!(outcome.stderr.contains("both-arm64.json"), "{outcome}");
    assert!(manifest(&registry, "one-head").is_some());
    for tag in ["both-head", "both-20251015", "on-both-head", "on-both-20251015"] {
        assert!(manifest(&registry, tag).is_none(), "{tag}");
    }
    // What is there can be published on request, and says what lacks.
    let outcome = project.hephy(["manifest", "--allow-partial"]).run().ok();
    assert!(manifest(&registry, "both-head").is_some(), "{outcome}");
    assert!(outcome.stderr.contains("both is published without linux/arm64\n"), "{outcome}");
    // Tags that stay where more platforms are, are named.
    let path = registry.split_once('/').unwrap().1;
    for tag in ["both-20251015", "both-head"] {
        crate::stale::world::base(path, tag, &[("linux/amd64", "x"), ("linux/arm64", "y")]);
    }
    let outcome = project.hephy(["manifest", "--allow-partial"]).run().ok();
    let stays = "both is published without linux/arm64; not moved, since what is there has more platforms: both-20251015, both-head";
    assert!(outcome.stderr.contains(stays), "{outcome}");
}

#[test]
fn one_image_is_published_alone() {
    let project = Project::with(&["a", "b"]);
    let registry = project.registry();
    project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", &registry).run().ok();
    project.hephy(["build", "--arch", "amd64"]).run().ok();
    project.hephy(["manifest", "--image", "b"]).run().ok();
    assert!(manifest(&registry, "b-head").is_some() && manifest(&registry, "a-head").is_none());
    let outcome = project.hephy(["manifest", "--image", "zzz"]).run();
    assert_eq!(outcome.code, 9, "{outcome}");
}

#[test]
fn without_a_registry_there_is_nothing_to_publish_to() {
    let project = Project::with(&["a"]);
    project.push(BEFORE, ["prepare", "--all", "--registry", "none"]).run().ok();
    project.hephy(["manifest"]).run().fails(3, &["the plan names no registry to publish to", "HEPHY_REGISTRY"]);
}
