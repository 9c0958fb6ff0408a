//! Images that are built on others of the repository (specification §7).

use serde_json::Value;

use super::{BEFORE, Outcome, Project, image_of, layers, manifest, tags};
use crate::support::proxy::{Action, Proxy};
use crate::support::repo::Repo;

/// base → mid → top, published by `hephy run`.
fn chain(base_config: &str) -> Project {
    let project = Project::new();
    project.image("base", base_config).image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    project.repo.commit("a chain");
    project.hephy(["run", "--all", "--registry", &project.registry()]).run().ok();
    project
}

fn plan(project: &Project) -> Value {
    serde_json::from_str(&project.read("plan.json")).unwrap()
}

fn dependency(plan: &Value, image: &str) -> Value {
    let images = plan["images"].as_array().unwrap();
    images.iter().find(|it| it["name"] == image).unwrap()["dependencies"][0]["from"].clone()
}

fn prepare(project: &Project, args: &[&str]) -> Outcome {
    let all = ["prepare", "--format", "json"].into_iter().chain(args.iter().copied());
    project.hephy(all).env("HEPHY_REGISTRY", project.registry()).run()
}

#[test]
fn what_is_published_is_used_pinned_and_what_is_built_in_the_run_is_used_from_it() {
    let project = chain("additional_tags: [latest]\n");
    let registry = project.registry();
    let base = manifest(&registry, "base-latest").unwrap().0;
    let base_layers = layers(&image_of(&registry, "base-head", "amd64"));
    project.change("mid/file");
    prepare(&project, &["--base", "HEAD^"]).ok();
    let plan = plan(&project);
    let names: Vec<&str> = plan["images"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mid", "top"], "in wave order, and nothing else");
    assert_eq!(dependency(&plan, "mid")["published"]["tag"], "base-latest");
    assert_eq!(dependency(&plan, "mid")["published"]["digest"], base.to_string());
    assert_eq!(dependency(&plan, "top"), "plan");

    // The tag moves after prepare has looked: what was pinned is built on all the same.
    crate::support::registry::block_on(async {
        let client = crate::support::registry::client();
        let to = hephy::oci::Repository::parse(&registry).unwrap();
        crate::support::registry::push(&client, &to, "linux/amd64", "base-latest").await;
    });
    assert_ne!(manifest(&registry, "base-latest").unwrap().0, base);
    let outcome = project.hephy(["build", "--arch", "amd64"]).run().ok();
    assert!(outcome.stderr.find("build mid").unwrap() < outcome.stderr.find("build top").unwrap(), "{outcome}");
    project.hephy(["manifest"]).run().ok();
    let mid = layers(&image_of(&registry, "mid-head", "amd64"));
    let top = layers(&image_of(&registry, "top-head", "amd64"));
    assert_eq!(mid[..base_layers.len()], base_layers);
    assert_eq!(top[..mid.len()], mid);
    assert_eq!((mid.len(), top.len()), (2, 3));
}

#[test]
fn latest_is_preferred_and_head_is_used_where_there_is_none() {
    let project = chain("");
    project.change("mid/file");
    prepare(&project, &["--base", "HEAD^"]).ok();
    assert_eq!(dependency(&plan(&project), "mid")["published"]["tag"], "base-head");
}

#[test]
fn what_was_never_published_joins_the_plan_with_its_reason() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    project.repo.commit("nothing is published");
    let outcome = prepare(&project, &["--dir", "top"]).ok();
    assert_eq!(outcome.built(), ["base", "mid", "top"]);
    assert_eq!(outcome.reason("mid"), "it is needed and was never published");
    assert_eq!(outcome.reason("base"), "it is needed and was never published");
    assert_eq!(project.read("dirs.txt"), "base\nmid\ntop\n");
}

#[test]
fn a_platform_that_was_never_published_joins_the_plan_with_its_reason() {
    let project = Project::new();
    let both = "platforms: [linux/amd64, linux/arm64]\n";
    project.image("base", both).image_on("app", "base", both);
    project.repo.commit("images");
    project.hephy(["run", "--dir", "base", "--registry", &project.registry()]).run().ok();
    let outcome = prepare(&project, &["--dir", "app"]).ok();
    assert_eq!(outcome.built(), ["app", "base"]);
    assert_eq!(outcome.reason("base"), "linux/arm64 is needed and was never published");
}

#[test]
fn an_image_for_a_platform_that_what_it_is_built_on_lacks_is_refused() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "platforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("images");
    prepare(&project, &["--all"]).fails(
        3,
        &[
            "app/Dockerfile:3:1: error: base is not built for linux/arm64, app is",
            "the platforms of base are linux/amd64",
        ],
    );
    assert!(!project.path(".hephy").exists());
    // `depends_on` is only an order.
    project.image("app", "platforms: [linux/amd64, linux/arm64]\ndepends_on: [base]\n");
    project.repo.commit("order only");
    prepare(&project, &["--all"]).ok();
}

#[test]
fn an_image_that_joins_and_cannot_be_built_is_refused_with_its_findings() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "");
    project.repo.remove("base/Dockerfile");
    project.repo.commit("base lost its Dockerfile");
    prepare(&project, &["--dir", "app"])
        .fails(3, &[])
        .says("base is needed (app/Dockerfile:3 uses BASE_TAG) and cannot be built")
        .says("the Dockerfile");
    project.image("base", "build_args: {X: '${NOPE}'}\n");
    project.repo.commit("base has an argument without value");
    let outcome = prepare(&project, &["--dir", "app"]).fails(3, &[]);
    outcome.says("base/build-config.yaml:2:");
}

#[test]
fn direct_references_and_depends_on() {
    let project = Project::new();
    let registry = project.registry();
    project.image("base", "additional_tags: [latest]\n").image("plain", "depends_on: [base]\n");
    project.dockerfile("direct", "", &format!("FROM {registry}:base-latest\nCOPY file /direct\n"));
    project.dockerfile("copies", "", &format!("FROM scratch\nCOPY --from={registry}:base-latest /file /copied\n"));
    // Builders differ in whether they take variables there: the reference is replaced.
    let varied = "FROM scratch\nARG ECR_REGISTRY BASE_TAG\nCOPY --from=${ECR_REGISTRY}:${BASE_TAG} /file /varied\n";
    project.dockerfile("varied", "", varied);
    let outcome = prepare(&project, &["--all"]).ok();
    for image in ["plain", "direct", "copies", "varied"] {
        assert_eq!(dependency(&plan(&project), image), "plan", "{image}: {outcome}");
    }
    project.hephy(["build", "--arch", "amd64"]).run().ok();
    project.hephy(["manifest"]).run().ok();
    let base = layers(&image_of(&registry, "base-head", "amd64"));
    assert_eq!(layers(&image_of(&registry, "direct-head", "amd64"))[..1], base);
}

#[test]
fn layout_per_image() {
    let project = Project::new();
    project.repo.write("hephy.yaml", "layout: per-image\n");
    project.image("base", "additional_tags: [latest]\n");
    let dockerfile = "ARG ECR_REGISTRY\nARG BASE_TAG\nFROM ${ECR_REGISTRY}/base:${BASE_TAG}\nCOPY file /app\n";
    project.dockerfile("app", "", dockerfile);
    project.repo.commit("images");
    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let base = layers(&image_of(&format!("{registry}/base"), "head", "amd64"));
    let app = layers(&image_of(&format!("{registry}/app"), "head", "amd64"));
    assert_eq!(app[..1], base);
    let all = tags(&format!("{registry}/base"));
    assert!(all.contains(&"latest".to_owned()) && all.contains(&"head".to_owned()), "{all:?}");

    // The registry is a prefix then, and a host alone is one.
    let host = registry.split('/').next().unwrap();
    project.hephy(["run", "--all", "--registry", host]).run().ok();
    assert_eq!(layers(&image_of(&format!("{host}/app"), "head", "amd64"))[..1], base);
}

#[test]
fn a_check_run_that_may_not_read_the_registry_fails_with_reference_and_line() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "");
    let before = project.repo.commit("images");
    let head = project.change("app/file");
    let registry = project.registry();
    let upstream = registry.split('/').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(upstream, |_| Action::error(403, "DENIED", "requested access is denied"));
    let ids = [(super::HEAD, head.as_str()), (BEFORE, before.as_str())];
    let hephy = project.ci("gitlab-push-branch", &ids, ["prepare"]).env("HEPHY_BACKEND", "buildah");
    hephy.env("ECR_REGISTRY", format!("{}/acme", proxy.address)).run().fails(
        5,
        &["base could not be looked up", "app/Dockerfile:3 uses BASE_TAG", "must be readable, in check runs too"],
    );
    assert!(!project.path(".hephy").exists());
    assert_eq!(proxy.count("PUT", "") + proxy.count("POST", ""), 0);
}

/// An upstream repository whose Dockerfile is built on `base` of ours.
fn upstream() -> Repo {
    let upstream = Repo::new();
    upstream.write("Dockerfile", "ARG ECR_REGISTRY\nARG BASE_TAG\nFROM ${ECR_REGISTRY}:${BASE_TAG}\nCOPY page /page\n");
    upstream.write("page", "hello");
    upstream.commit("a page");
    upstream
}

fn remote(upstream: &Repo) -> String {
    format!("upstream_repo: {}\nupstream_ref: main\n", upstream.url().replace(' ', "%20"))
}

#[test]
fn an_upstream_dockerfile_may_be_built_on_an_image_of_this_repository() {
    let upstream = upstream();
    let project = Project::new();
    project.image("base", "").repo.write("site/build-config.yaml", remote(&upstream));
    project.repo.commit("images");
    let registry = project.registry();
    let run = |args: &[&str]| {
        let hephy = project.hephy(args.iter().copied()).env("HEPHY_REGISTRY", &registry);
        hephy.env("GIT_ALLOW_PROTOCOL", "file").run()
    };
    let outcome = run(&["prepare", "--dir", "site", "--format", "json"]).ok();
    assert_eq!(outcome.built(), ["base", "site"]);
    assert_eq!(outcome.reason("base"), "it is needed and was never published");
    assert!(outcome.stderr.contains("list base in its depends_on"), "{outcome}");
    run(&["build", "--arch", "amd64"]).ok();
    run(&["manifest"]).ok();
    let base = layers(&image_of(&registry, "base-head", "amd64"));
    assert_eq!(layers(&image_of(&registry, "site-head", "amd64"))[..1], base);
}

#[test]
fn an_unpublished_image_of_another_repository_joins_too() {
    let upstream = upstream();
    let project = Project::new();
    project.image("base", "").image_on("app", "site", "");
    project.repo.write("site/build-config.yaml", remote(&upstream));
    project.repo.commit("images");
    let hephy = project.hephy(["prepare", "--dir", "app", "--format", "json"]).env("GIT_ALLOW_PROTOCOL", "file");
    let outcome = hephy.env("HEPHY_REGISTRY", project.registry()).run().ok();
    assert_eq!(outcome.built(), ["app", "base", "site"], "site joins, and what its own Dockerfile needs");
    assert!(project.out("site-source.tar.gz").exists());
}
