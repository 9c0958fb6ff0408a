//! A check run's build job as it runs in CI: in an environment that holds only what Kaniko's debug image brings
//! (busybox's shell and applets, the executor), without certificates, without a C library, without a credential.

use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::process::{Command, Output};

use super::{binaries, machine, merge_request};
use crate::build::kaniko::{MOUNT, executor, install, make_root};
use crate::cli::Project;
use crate::support::builders;
use crate::support::proxy::{Action, Proxy, Seen};

/// The applets that the script of a build job may use, and some more.
const APPLETS: [&str; 12] = ["sh", "env", "uname", "ls", "cat", "test", "mkdir", "rm", "echo", "true", "chmod", "cp"];

/// Runs a job's script in the image, with the checkout's parent mounted at `/builds`.
fn job(project: &Project, executor: &Path, env: &[(&str, &str)], script: &str) -> Output {
    let root = tempfile::tempdir().unwrap();
    make_root(root.path(), executor);
    let busybox = root.path().join("busybox");
    std::fs::create_dir(&busybox).unwrap();
    install(&builders::busybox(), &busybox.join("busybox"));
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", busybox.join(applet)).unwrap();
    }
    let image = [
        ("PATH", "/usr/local/bin:/kaniko:/busybox"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("SSL_CERT_DIR", "/kaniko/ssl/certs"),
        ("DOCKER_CONFIG", "/kaniko/.docker/"),
    ];
    let variables = image.iter().chain(env).map(|(name, value)| format!("{name}={value}"));
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", MOUNT, "sh"])
        .args([root.path(), project.repo.path().parent().unwrap()])
        .args(["/busybox/env", "-i"])
        .args(variables)
        .args(["/busybox/sh", "-ec", &format!("cd /builds/repo\n{script}")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap()
}

/// What the template's amd64 job runs.
fn script() -> String {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("gitlab-templates/hephy.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let jobs: serde_json::Value = serde_yaml::from_str(text.split_once("\n---\n").unwrap().1).unwrap();
    let lines = jobs["$[[ inputs.job-prefix ]]build_amd64"]["script"].as_array().unwrap().clone();
    lines.iter().map(|line| line.as_str().unwrap().trim_end()).collect::<Vec<_>>().join("\n")
}

/// A registry that lets nobody in.
fn closed(seen: &Seen) -> Action {
    let _ = seen;
    let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"closed\"".to_owned());
    Action::Answer(401, vec![challenge], Vec::new())
}

fn said(ran: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// Two changed images, one built on the other, and prepare's artifacts for them.
fn prepared(registry: &str) -> (Project, String) {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "").image("other", "");
    let base = project.repo.commit("images");
    project.change("base/file");
    project.change("app/file");
    let registry3 = builders::tool("registry3");
    let place = format!("{}/registry", machine());
    let dir = binaries(&[(&place, &registry3)]);
    let prepare = merge_request(&project, &base, ["prepare"]).env("HEPHY_REGISTRY", registry);
    prepare.env("HEPHY_BINARIES", dir.path()).run().ok();
    let head = project.repo.head();
    (project, head)
}

fn status(project: &Project, image: &str) -> String {
    let result: serde_json::Value = serde_json::from_str(&project.read(&format!("{image}-amd64.json"))).unwrap();
    result["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_chain_of_two_changed_images_is_built_in_kanikos_image_without_a_credential_and_nothing_leaves_the_job() {
    let name = "pack::core::check_run::a_chain_of_two_changed_images_is_built_in_kanikos_image";
    let Some(executor) = executor(name) else { return };
    let upstream = builders::registry().to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::start(upstream, closed);
    let registry = format!("{}/acme", proxy.address);
    let (project, head) = prepared(&registry);
    let asked_by_prepare = proxy.seen().len();
    let env = [("GITLAB_CI", "true"), ("CI", "true"), ("CI_COMMIT_SHA", head.as_str()), ("HEPHY_REGISTRY", &registry)];
    let ran = job(&project, &executor, &env, &script());
    assert!(ran.status.success(), "{}", said(&ran));
    for image in ["base", "app"] {
        assert_eq!(status(&project, image), "completed");
    }
    assert!(!project.out("other-amd64.json").exists(), "it did not change");
    let left = proxy.seen().split_off(asked_by_prepare);
    assert!(left.is_empty(), "the job asked the real registry: {left:?}");
    assert!(!proxy.seen().iter().any(|seen| seen.header("authorization").is_some()));
    assert!(!proxy.seen().iter().any(|seen| seen.method != "GET" && seen.method != "HEAD"));
    assert_eq!(project.read("codequality.json"), "[]\n");
    // The manifest stage of a check run has nothing to do, and says so.
    let stage = merge_request(&project, &head, ["manifest"]).env("HEPHY_REGISTRY", &registry).run().ok();
    assert!(stage.stderr.contains("a check run publishes nothing"), "{stage}");
    assert_eq!(project.read("images.json"), "{}\n");
}

/// In fan-out `image` each image has a job of its own, and what another job of a check run built is gone with it.
#[test]
fn a_job_for_one_image_of_a_check_run_builds_what_it_is_built_on_too() {
    let Some(executor) = executor("pack::core::check_run::a_job_for_one_image_of_a_check_run") else { return };
    let (project, head) = prepared("registry.invalid/acme");
    let env = [("GITLAB_CI", "true"), ("CI_COMMIT_SHA", head.as_str()), ("HEPHY_REGISTRY", "registry.invalid/acme")];
    let ran = job(&project, &executor, &env, &format!("{} --image app", script()));
    assert!(ran.status.success(), "{}", said(&ran));
    assert_eq!((status(&project, "base"), status(&project, "app")), ("completed".into(), "completed".into()));
}

#[test]
fn a_check_run_whose_job_has_no_registry_says_what_to_hand_on() {
    let Some(executor) = executor("pack::core::check_run::a_check_run_whose_job_has_no_registry") else { return };
    let (project, head) = prepared("registry.invalid/acme");
    std::fs::remove_file(project.out(&format!("bin/{}/registry", machine()))).unwrap();
    let env = [("GITLAB_CI", "true"), ("CI_COMMIT_SHA", head.as_str())];
    let ran = job(&project, &executor, &env, &script());
    assert_eq!(ran.status.code(), Some(6), "{}", said(&ran));
    assert!(said(&ran).contains("HEPHY_BINARIES names a directory with\n      <machine>/registry"), "{}", said(&ran));
    assert!(!project.out("base-amd64.json").exists());
}
