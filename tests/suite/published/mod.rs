//! The comparison with what is published (specification §6), through the binary, against real registries.

mod dependents;
mod other_branch;
mod other_ci;
mod refused;
mod reuse;
mod settings;
mod told;
mod truth;

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::cli::{BEFORE, HEAD, Hephy, Outcome, Project};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy, Seen};

/// The registry that all tests share.
fn upstream() -> SocketAddr {
    builders::registry().to_socket_addrs().unwrap().next().unwrap()
}

/// A stage of a push to the default branch, whose previous commit is `before`.
fn stage<'a>(project: &Project, before: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    project.push(before, args).env("GIT_ALLOW_PROTOCOL", "file")
}

/// A stage of a pipeline of the git tag `v1.2.3`.
fn of_tag<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    let head = project.repo.head();
    let hephy = project.ci("gitlab-tag", &[(HEAD, &head)], args).env("HEPHY_BACKEND", "buildah");
    hephy.env("CI_REGISTRY_IMAGE", project.registry())
}

/// What a push would build.
fn plan(project: &Project, before: &str) -> Outcome {
    stage(project, before, ["plan", "--format", "json"]).run().ok()
}

/// prepare, build and manifest.
fn pipeline(project: &Project, before: &str) -> Outcome {
    let prepared = stage(project, before, ["prepare", "--format", "json"]).run().ok();
    for args in [&["build", "--arch", "amd64"][..], &["manifest"]] {
        stage(project, before, args.iter().copied()).run().ok();
    }
    prepared
}

/// Names of the images that a plan reuses, with the tags that it puts on them.
fn reused(outcome: &Outcome) -> Vec<(String, Vec<String>)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let plan = outcome.json();
    let images = plan["reused"].as_array().unwrap().iter();
    images.map(|image| (text(&image["name"]), image["tags"].as_array().unwrap().iter().map(text).collect())).collect()
}

/// The project's registry behind a proxy.
fn behind(project: &Project, rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> (Proxy, String) {
    let proxy = Proxy::start(upstream(), rule);
    let registry = format!("{}/{}", proxy.address, project.registry().split_once('/').unwrap().1);
    (proxy, registry)
}

#[test]
fn what_is_published_is_not_built_again_and_what_differs_is() {
    let project = Project::with(&["a", "b"]);
    let first = pipeline(&project, BEFORE);
    assert_eq!(first.built(), ["a", "b"]);
    assert_eq!(first.reason("a"), "it was never published");
    assert_eq!(first.json()["comparison"], "compared with what is published");
    // A pipeline that is run again, and one whose previous commit is gone.
    let again = plan(&project, BEFORE);
    assert_eq!(again.built(), Vec::<String>::new());
    assert_eq!(again.json()["unchanged"].as_array().unwrap().len(), 2, "{again}");

    let before = project.repo.head();
    project.change("a/file");
    let changed = plan(&project, &before);
    assert_eq!(changed.built(), ["a"]);
    assert_eq!(changed.reason("a"), "a/file changed");
    // A change back is none.
    project.repo.write("a/file", "content of a\n").commit("back");
    assert_eq!(plan(&project, &before).built(), Vec::<String>::new());
}

#[test]
fn what_a_failed_pipeline_left_out_is_built_by_the_next_one() {
    let project = Project::with(&["a", "b", "c"]);
    pipeline(&project, BEFORE);
    let failed = project.change("a/file");
    project.change("b/file");
    // Its pipeline published b, and not a.
    let published = stage(&project, &failed, ["prepare", "--format", "json"]).run().ok();
    assert_eq!(published.built(), ["a", "b"]);
    assert_eq!(published.reason("a"), "a/file changed", "the base of the range has the change already");
    stage(&project, &failed, ["build", "--arch", "amd64", "--image", "b"]).run().ok();
    stage(&project, &failed, ["manifest", "--image", "b"]).run().ok();

    let before = project.repo.head();
    project.change("c/file");
    let next = plan(&project, &before);
    assert_eq!(next.built(), ["a", "c"]);
    assert_eq!((next.reason("a"), next.reason("c")), ("a/file changed".into(), "c/file changed".into()));
}

#[test]
fn a_platform_that_was_never_published_is_built() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("a");
    stage(&project, BEFORE, ["prepare"]).run().ok();
    stage(&project, BEFORE, ["build", "--arch", "amd64"]).run().ok();
    stage(&project, BEFORE, ["manifest", "--allow-partial"]).run().ok();
    let next = plan(&project, BEFORE);
    assert_eq!(next.built(), ["a"]);
    assert_eq!(next.reason("a"), "linux/arm64 was never published");
    // One more in the configuration is another input.
    let project = Project::with(&["a"]);
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.repo.write("a/build-config.yaml", "use_local_context: true\nplatforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("arm64");
    assert_eq!(plan(&project, &before).reason("a"), "`platforms` changed");
}

#[test]
fn a_change_travels_as_far_as_dependents_says() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("base/file");
    for (dependents, built) in [("all", &["base", "mid", "top"][..]), ("direct", &["base", "mid"]), ("none", &["base"])]
    {
        let plan = ["plan", "--format", "json", "--dependents", dependents];
        let outcome = stage(&project, &before, plan).run().ok();
        assert_eq!(outcome.built(), built, "{dependents}");
    }
    // The pipeline published base, and failed behind it: what is built on it is built by the next one, whose own
    // range has nothing of it. Where changes do not travel it is left alone still.
    stage(&project, &before, ["prepare"]).run().ok();
    stage(&project, &before, ["build", "--arch", "amd64", "--image", "base"]).run().ok();
    stage(&project, &before, ["manifest", "--image", "base"]).run().ok();
    let before = project.repo.head();
    project.change("other/file");
    for (dependents, built) in
        [("all", &["mid", "other", "top"][..]), ("direct", &["mid", "other"]), ("none", &["other"])]
    {
        let plan = ["plan", "--format", "json", "--dependents", dependents];
        let outcome = stage(&project, &before, plan).run().ok();
        assert_eq!(outcome.built(), built, "{dependents}");
        if dependents != "none" {
            assert_eq!(outcome.reason("mid"), "built on base");
        }
    }
}

/// `app` from another repository, `on-app` built on it, and `other`; that repository, and what the configuration says of
/// it.
fn on_a_remote_image() -> (Project, Project, String) {
    let upstream = Project::new();
    upstream.repo.write("Dockerfile", "FROM scratch\nCOPY file /\n").write("file", "1").commit("one");
    let project = Project::new();
    let remote = format!("upstream_repo: {}\nupstream_ref: main\n", upstream.repo.url().replace(' ', "%20"));
    project.repo.write("app/build-config.yaml", &remote);
    project.image_on("on-app", "app", "").image("other", "");
    project.repo.commit("images");
    (project, upstream, remote)
}

#[test]
fn a_remote_image_whose_upstream_ref_moved_is_changed() {
    let (project, upstream, remote) = on_a_remote_image();
    pipeline(&project, BEFORE);
    assert_eq!(plan(&project, BEFORE).built(), Vec::<String>::new());

    let moved = upstream.change("file");
    let head = project.repo.head();
    for before in [head.as_str(), BEFORE] {
        let outcome = plan(&project, before);
        assert_eq!(outcome.built(), ["app", "on-app"]);
        let reason = outcome.reason("app");
        assert!(
            reason.starts_with("main of file:") && reason.ends_with(&format!(" is at {} now", &moved[..7])),
            "{reason}"
        );
        assert_eq!(outcome.reason("on-app"), "built on app");
    }

    // What cannot be looked up cannot be compared: it is left alone, and so is what is built on it.
    std::fs::rename(upstream.repo.path(), upstream.home.path().join("away")).unwrap();
    let outcome = plan(&project, BEFORE);
    assert_eq!(outcome.built(), Vec::<String>::new(), "{outcome}");
    assert!(outcome.stderr.contains("app: main of file:"), "{outcome}");
    // What changes by itself must be built, and cannot be.
    project.repo.write("app/build-config.yaml", format!("{remote}labels: {{a: b}}\n")).commit("a label");
    stage(&project, &head, ["plan"]).run().fails(4, &[]);
    project.repo.git(&["reset", "-q", "--hard", &head]);
    // And so must what is not published.
    let nowhere = format!("{}-other", project.registry());
    stage(&project, BEFORE, ["plan"]).env("HEPHY_REGISTRY", nowhere).run().fails(4, &[]);
}

#[test]
fn a_commit_that_is_named_or_a_check_run_is_compared_with_a_commit() {
    let project = Project::with(&["a", "b"]);
    let first = project.repo.head();
    project.change("a/file");
    let (proxy, registry) = behind(&project, |_| Action::Forward);
    let outcome =
        stage(&project, BEFORE, ["plan", "--format", "json", "--base", &first]).env("HEPHY_REGISTRY", &registry);
    let outcome = outcome.run().ok();
    assert_eq!(outcome.built(), ["a"]);
    let head = project.repo.head();
    let ids = [(HEAD, head.as_str()), (crate::cli::TARGET, &first), (crate::cli::DIFF_BASE, &first)];
    for (args, built) in [(&["plan"][..], &["a"][..]), (&["plan", "--all"], &["a", "b"])] {
        let check = project.ci("gitlab-merge-request-detached", &ids, args.iter().copied()).args(["--format", "json"]);
        let outcome = check.env("HEPHY_REGISTRY", &registry).run().ok();
        assert_eq!(outcome.built(), built);
    }
    let developer = project.hephy(["plan", "--registry", &registry]).run().ok();
    assert!(developer.stdout.contains("compared with the merge base"), "{developer}");
    assert_eq!(proxy.seen().len(), 0, "{:?}", proxy.seen());
}

#[test]
fn one_request_an_image() {
    let project = Project::with(&["a", "b", "c"]);
    pipeline(&project, BEFORE);
    project.change("c/file");
    let (proxy, registry) = behind(&project, |_| Action::Forward);
    stage(&project, BEFORE, ["plan"]).env("HEPHY_REGISTRY", &registry).run().ok();
    assert_eq!(proxy.count("GET", "-head"), 3);
    assert_eq!(proxy.seen().iter().filter(|seen| seen.path != "/v2/").count(), 3, "{:?}", proxy.seen());
}

/// The moving tags that a run asked the registry for.
fn asked(proxy: &Proxy) -> Vec<String> {
    let moves = |tag: &&str| tag.ends_with("-head") || tag.ends_with("-latest");
    let of_image = |seen: &Seen| Some(seen.path.split_once("/manifests/")?.1).filter(moves).map(str::to_owned);
    let mut asked: Vec<String> = proxy.seen().iter().filter(|it| it.method == "GET").filter_map(of_image).collect();
    asked.sort();
    asked
}

#[test]
fn prepare_asks_for_an_image_that_others_are_built_on_once() {
    let project = Project::new();
    project.repo.write("hephy.yaml", "dependents: none\n");
    project.image("a", "").image_on("b", "a", "").image_on("c", "b", "");
    project.repo.commit("images");
    pipeline(&project, BEFORE);
    let before = project.repo.head();
    project.change("c/file");
    let (proxy, registry) = behind(&project, |_| Action::Forward);
    let prepare = || {
        proxy.clear();
        let prepared = stage(&project, &before, ["prepare", "--format", "json"]).env("HEPHY_REGISTRY", &registry);
        let prepared = prepared.run().ok();
        assert_eq!(prepared.built(), ["c"]);
        prepared.json()["images"][0]["dependencies"][0]["from"]["published"]["tag"].clone()
    };
    // The comparison has just read what is needed.
    assert_eq!(prepare(), "b-head");
    assert_eq!(asked(&proxy), ["a-head", "b-head", "c-head"]);
    // What is there was built from another input: `latest` would come first.
    project.change("a/file");
    stage(&project, &before, ["prepare", "--dir", "a"]).run().ok();
    stage(&project, &before, ["build", "--arch", "amd64"]).run().ok();
    stage(&project, &before, ["manifest"]).run().ok();
    assert_eq!(prepare(), "b-head");
    assert_eq!(asked(&proxy), ["a-head", "b-head", "b-latest", "c-head"]);
}

#[test]
fn where_a_commit_decides_only_what_is_built_is_looked_up() {
    let (project, upstream, _) = on_a_remote_image();
    let first = project.repo.head();
    std::fs::rename(upstream.repo.path(), upstream.home.path().join("away")).unwrap();
    let plan = |base: &str| {
        let args = ["plan", "--format", "json", "--base", base];
        project.hephy(args).env("GIT_ALLOW_PROTOCOL", "file").run().ok()
    };
    let second = project.change("other/file");
    let said = plan(&first);
    assert_eq!(said.built(), ["other"]);
    assert!(!said.stderr.contains("could not be looked up"), "{said}");
    // What a planned image lies on is looked up.
    project.change("on-app/file");
    let said = plan(&second);
    assert_eq!(said.built(), ["on-app"]);
    assert!(said.stderr.contains("app: main of file:"), "{said}");
}
