//! Bad input: each has its exit code, a sentence and a hint, and leaves registry and work directory as they were.

use std::net::ToSocketAddrs as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{BEFORE, Hephy, Outcome, Project, manifest, snapshot, tags};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};
use crate::support::registry::{Kind, Registry, USER, block_on, client, push};
use crate::support::repo::Repo;

/// The work directory without the report that GitLab shows beside the code: a failure writes that.
fn files(project: &Project) -> std::collections::BTreeMap<std::path::PathBuf, (u32, Vec<u8>)> {
    let mut files = snapshot(project.repo.path());
    let out = project.out("");
    if files.remove(&project.out("codequality.json")).is_some() && !files.keys().any(|it| it.parent() == Some(&out)) {
        files.retain(|path, _| *path != project.path(".hephy"));
    }
    files
}

/// Runs it and holds that work directory and registry are as they were.
#[track_caller]
fn refused(project: &Project, hephy: &Hephy) -> Outcome {
    let was = (files(project), tags(&project.registry()));
    let outcome = hephy.run();
    let is = files(project);
    let differs: Vec<_> = is.iter().filter(|(path, file)| was.0.get(*path) != Some(file)).map(|it| it.0).collect();
    assert!(differs.is_empty() && is.len() == was.0.len(), "the work directory changed: {differs:?}\n{outcome}");
    assert_eq!(tags(&project.registry()), was.1, "the registry changed");
    outcome
}

fn prepare(project: &Project) -> Hephy {
    project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", project.registry())
}

/// base and app, so that prepare has something to ask the registry for.
fn dependent() -> Project {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "");
    project.repo.commit("images");
    project
}

fn ask(project: &Project, registry: &str) -> Hephy {
    project.push(BEFORE, ["prepare", "--dir", "app"]).env("ECR_REGISTRY", registry)
}

#[test]
fn a_base_that_lacks_a_wanted_platform_or_does_not_exist() {
    let project = Project::new();
    let registry = project.registry();
    block_on(async {
        let to = hephy::oci::Repository::parse(&format!("{registry}/alpine")).unwrap();
        push(&client(), &to, "linux/amd64", "3.22").await;
    });
    let platforms = "platforms: [linux/amd64, linux/arm64]\n";
    project.dockerfile("a", platforms, &format!("# a base\nFROM {registry}/alpine:3.22\nCOPY file /\n"));
    project.repo.commit("a");
    refused(&project, &prepare(&project)).fails(
        3,
        &[
            &format!("a/Dockerfile:2:1: error: {registry}/alpine:3.22 does not exist for linux/arm64"),
            "it exists for linux/amd64",
            "take the platform away, or choose a base that exists for all of them",
        ],
    );
    project.dockerfile("a", "", &format!("FROM {registry}/alpine:9.99\n"));
    project.repo.commit("another base");
    refused(&project, &prepare(&project)).fails(3, &["a/Dockerfile:1:1: error:", "alpine:9.99 does not exist\n"]);
}

fn remote(project: &Project, repository: &str, reference: &str) {
    let config = format!("upstream_repo: {repository}\nupstream_ref: {reference}\n");
    project.repo.write("site/build-config.yaml", config);
    project.repo.commit("site");
}

#[test]
fn an_upstream_that_does_not_exist_needs_credentials_or_lacks_the_ref() {
    let project = Project::new();
    let hephy = || prepare(&project).env("GIT_ALLOW_PROTOCOL", "file:http");
    remote(&project, "file:///nowhere/at-all", "main");
    refused(&project, &hephy()).fails(4, &["file:///nowhere/at-all"]);

    let upstream = Repo::new();
    upstream.write("Dockerfile", "FROM scratch\n");
    upstream.commit("upstream");
    let url = upstream.url().replace(' ', "%20");
    remote(&project, &url, "mian");
    refused(&project, &hephy()).fails(4, &["mian"]);
    remote(&project, &url, &"1".repeat(40));
    refused(&project, &hephy()).fails(4, &[&"1".repeat(7)]);

    let private = Proxy::start(([127, 0, 0, 1], 1).into(), |_| {
        Action::Answer(401, vec![("WWW-Authenticate".into(), "Basic realm=\"git\"".into())], Vec::new())
    });
    remote(&project, &format!("http://{}/acme/private", private.address), "main");
    refused(&project, &hephy()).fails(5, &["acme/private"]);
}

#[test]
fn a_registry_that_is_down() {
    let project = dependent();
    let outcome = refused(&project, &ask(&project, "127.0.0.1:1/acme"));
    outcome.fails(6, &["base could not be looked up in 127.0.0.1:1/acme", "app/Dockerfile:3 uses BASE_TAG"]);
    let wrong = ask(&project, "not a registry");
    refused(&project, &wrong).fails(2, &["`not a registry` is no registry to publish to", "host[:port]/repository"]);
}

#[test]
fn a_registry_that_refuses_credentials() {
    let registry = Registry::of(Kind::Password);
    let address = format!("{}/acme", registry.address);
    let project = dependent();
    refused(&project, &ask(&project, &address)).fails(5, &["(auth_error)"]);
    let wrong =
        ask(&project, &address).env("HEPHY_REGISTRY_USERNAME", USER.0).env("HEPHY_REGISTRY_PASSWORD", "wr0ng-one");
    let outcome = refused(&project, &wrong).fails(5, &["HEPHY_REGISTRY_USERNAME"]);
    assert!(!outcome.stderr.contains("wr0ng-one"), "{outcome}");

    // With the right ones the whole pipeline runs, and nobody sees them.
    let right = |hephy: Hephy| {
        let hephy = hephy.env("HEPHY_REGISTRY_USERNAME", USER.0).env("HEPHY_REGISTRY_PASSWORD", USER.1);
        let outcome = hephy.run().ok();
        assert!(!outcome.stdout.contains(USER.1) && !outcome.stderr.contains(USER.1), "{outcome}");
    };
    right(ask(&project, &address));
    right(project.hephy(["build", "--arch", "amd64", "-v"]).env("HEPHY_REGISTRY", &address));
    right(project.hephy(["manifest"]).env("HEPHY_REGISTRY", &address));
    for (path, (_, content)) in snapshot(&project.out("")) {
        assert!(!content.windows(USER.1.len()).any(|it| it == USER.1.as_bytes()), "{}", path.display());
    }
}

#[test]
fn a_registry_that_fails_once_is_asked_again_and_one_that_always_fails_is_named() {
    let project = dependent();
    let upstream = builders::registry().to_socket_addrs().unwrap().next().unwrap();
    let failed = AtomicBool::new(false);
    let once = Proxy::start(upstream, move |seen| {
        let first = seen.path.contains("/manifests/") && !failed.swap(true, Ordering::Relaxed);
        if first { Action::status(500) } else { Action::Forward }
    });
    ask(&project, &format!("{}/once", once.address)).run().ok();
    std::fs::remove_dir_all(project.out("")).unwrap();
    let always = Proxy::start(upstream, |_| Action::error(500, "UNKNOWN", "disk on fire"));
    let outcome = refused(&project, &ask(&project, &format!("{}/always", always.address)));
    outcome.fails(6, &["answered 500", "disk on fire"]);
    assert!(always.count("GET", "") + always.count("HEAD", "") > 1, "it was asked again");
}

fn build(project: &Project) -> Hephy {
    project.hephy(["build", "--arch", "amd64"])
}

#[test]
fn a_builder_that_is_not_installed() {
    let project = Project::with(&["a"]);
    prepare(&project).run().ok();
    let outcome = build(&project).env("PATH", "/nowhere").run();
    outcome.fails(1, &["buildah is not installed", "apt-get install"]);
    assert_eq!(tags(&project.registry()), Vec::<String>::new());
}

#[test]
fn a_builder_that_hangs() {
    let project = Project::new();
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"27182\"]\n";
    project.dockerfile("a", "timeout: 2s\n", dockerfile);
    std::fs::copy(builders::busybox(), project.path("a/busybox")).unwrap();
    project.repo.commit("a");
    prepare(&project).run().ok();
    build(&project).run().fails(8, &["buildah did not end within 2.0 s", "set `timeout` in build-config.yaml higher"]);
    let result: serde_json::Value = serde_json::from_str(&project.read("a-amd64.json")).unwrap();
    assert_eq!(result["error"]["code"], "timeout_error");
    assert_eq!(tags(&project.registry()), Vec::<String>::new());
}

#[test]
fn a_builder_that_pushes_the_wrong_architecture() {
    let project = Project::new();
    project.dockerfile("a", "platforms: [linux/arm64]\n", "FROM scratch\nCOPY busybox /bin/busybox\n");
    std::fs::copy(builders::busybox(), project.path("a/busybox")).unwrap();
    project.repo.commit("a");
    let registry = project.registry();
    let outcome = project.hephy(["run", "--all", "--platform", "all", "--registry", &registry]).run();
    outcome.fails(1, &["/bin/busybox", "linux/arm64", "amd64"]);
    assert!(manifest(&registry, "a-head").is_none());
    assert!(!project.out("a-arm64.tag").exists(), "nothing says that it was built");
}

#[test]
fn files_of_a_build_job_that_are_missing_or_forged() {
    let project = Project::with(&["a"]);
    prepare(&project).run().ok();
    build(&project).run().ok();
    let registry = project.registry();
    let result = project.read("a-amd64.json");
    std::fs::remove_file(project.out("a-amd64.json")).unwrap();
    std::fs::rename(project.out("a-amd64.tag"), project.home.path().join("tag")).unwrap();
    let manifest_stage = project.hephy(["manifest"]);
    manifest_stage.run().fails(9, &["there is no build result of a for linux/amd64", "a was not published"]);
    refused(&project, &manifest_stage).fails(9, &["or its artifacts did not arrive"]);
    // A job of another kind left the tag only.
    std::fs::rename(project.home.path().join("tag"), project.out("a-amd64.tag")).unwrap();
    manifest_stage.run().ok();
    assert!(manifest(&registry, "a-head").is_some());
    assert!(manifest_stage.run().ok().stdout.contains("a-head"), "twice is once");
    // A digest that the registry does not have.
    let digest = serde_json::from_str::<serde_json::Value>(&result).unwrap()["digest"].as_str().unwrap().to_owned();
    std::fs::write(project.out("a-amd64.json"), result.replace(&digest, &format!("sha256:{}", "0".repeat(64))))
        .unwrap();
    std::fs::remove_file(project.out("summary.md")).unwrap();
    let was = tags(&registry);
    manifest_stage
        .run()
        .fails(9, &["the image of a for linux/amd64 is not in the registry", "run the build job again"]);
    assert_eq!(tags(&registry), was);
    refused(&project, &manifest_stage);
}

#[test]
fn a_full_disk() {
    let project = Project::with(&["a"]);
    let before = snapshot(project.repo.path());
    let hephy = prepare(&project);
    let inner = hephy.command();
    let mut command = Command::new("unshare");
    let script =
        "mkdir .hephy && mount -t tmpfs -o size=256k none .hephy && \"$@\"; code=$?; ls -A .hephy >&2; exit $code";
    command.args(["--mount", "--map-root-user", "--user", "sh", "-c", script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(project.repo.path()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("unshare:") || text.contains("permission denied") {
        eprintln!("SKIPPED: this system lets nobody mount a file system: {text}");
        return;
    }
    let outcome = Outcome { code: output.status.code().unwrap(), stdout: String::new(), stderr: text };
    let outcome = outcome.fails(7, &["(resource_error)", "free some space, or point --out at a larger disk"]);
    assert!(!outcome.stderr.contains("plan.json\n"), "no plan is left: {outcome}");
    std::fs::remove_dir(project.path(".hephy")).unwrap();
    assert_eq!(snapshot(project.repo.path()), before);
}

#[test]
fn a_context_or_dockerfile_that_leaves_its_root_through_links() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("Dockerfile"), "FROM scratch\nCOPY secret /\n").unwrap();
    std::fs::write(outside.path().join("secret"), "s3cret").unwrap();
    let project = Project::new();
    let out = outside.path().display().to_string();
    for (at, (config, link, target)) in [
        ("", "Dockerfile", format!("{out}/Dockerfile")),
        ("", "Dockerfile", "../../../etc/passwd".into()),
        ("context_path: ctx\n", "ctx", out.clone()),
        ("context_path: ctx\n", "ctx", "..".into()),
        ("dockerfile_path: d/Dockerfile\n", "d", out.clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = format!("a{at}");
        project.image(&dir, config);
        let _ = std::fs::remove_file(project.path(&format!("{dir}/{link}")));
        project.repo.symlink(&target, &format!("{dir}/{link}"));
        project.repo.commit("a link");
        let hephy = project.push(BEFORE, ["prepare", "--dir", &dir]).env("ECR_REGISTRY", project.registry());
        let outcome = refused(&project, &hephy).fails(3, &[]);
        assert!(outcome.stderr.contains(&format!("{dir}/build-config.yaml:")), "{outcome}");
        assert!(!outcome.stderr.contains("s3cret") && !outcome.stderr.contains("root:"), "{outcome}");
    }
    // The same swapped in after prepare has looked: the build job looks again.
    project.image("late", "context_path: ctx\n").repo.write("late/ctx/file", "x");
    project.repo.commit("late");
    project.push(BEFORE, ["prepare", "--dir", "late"]).env("ECR_REGISTRY", project.registry()).run().ok();
    project.repo.remove("late/ctx").symlink(&out, "late/ctx");
    let outcome = build(&project).run().fails(3, &["late"]);
    assert_eq!(tags(&project.registry()), Vec::<String>::new(), "{outcome}");
}
