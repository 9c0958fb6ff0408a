//! Kaniko's image through `docker run`, as on GitHub's runners: a real engine runs an image of the executor.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use hephy::config::BackendName::Kaniko;

use super::kaniko::{executor, install, make_root};
use super::{Fixture, chain, failure, others};
use crate::support::builders;
use crate::support::registry::{Kind, Registry, USER};

/// What Kaniko's own image says of itself.
const SAYS: [&str; 4] =
    ["ENTRYPOINT [\"/kaniko/executor\"]", "ENV HOME=/root", "ENV USER=root", "ENV DOCKER_CONFIG=/kaniko/.docker/"];

/// Makes the image in the engine, once.
fn image(executor: &Path) -> &'static str {
    static IMAGE: OnceLock<&str> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        make_root(root.path(), executor);
        install(executor, &root.path().join("kaniko/executor"));
        let archive = root.path().with_extension("tar");
        let packed = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(root.path()).arg(".").status();
        assert!(packed.unwrap().success());
        let mut import = Command::new(builders::tool("docker"));
        import.env("DOCKER_HOST", builders::docker()).arg("import");
        for line in SAYS {
            import.args(["--change", line]);
        }
        let imported = import.arg(&archive).arg("kaniko:v1.28.3").output().unwrap();
        std::fs::remove_file(&archive).unwrap();
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        "kaniko:v1.28.3"
    })
}

/// Images that are built by the executor's image in an engine.
pub(super) fn fixture(executor: &Path) -> Fixture {
    let mut fixture = others::docker();
    fixture.is_of(Kaniko);
    fixture.options.environment.remove("HEPHY_KANIKO");
    fixture.options.environment.insert("HEPHY_KANIKO_IMAGE".into(), image(executor).into());
    fixture
}

#[test]
fn the_executors_image_builds_a_chain() {
    let Some(executor) = executor("build::kaniko_run::the_executors_image_builds_a_chain") else { return };
    chain(&mut fixture(&executor));
}

#[test]
fn the_executors_image_names_the_failing_line() {
    let Some(executor) = executor("build::kaniko_run::the_executors_image_names_the_failing_line") else { return };
    failure(&mut fixture(&executor));
}

/// A chain in a registry with a password, which only Docker's own configuration knows: what it said, and the fixture.
fn signed_in(executor: &Path, config: &dyn Fn(&str, &Path) -> serde_json::Value) -> (Fixture, std::process::Output) {
    let registry = Registry::of(Kind::Password);
    let mut fixture = fixture(executor);
    let repository = format!("{}/acme", registry.address);
    fixture.plan.registry = Some(repository.clone());
    // A step can print what the builder signs in with.
    let base = "FROM scratch\nCOPY busybox /bin/busybox\n\
        RUN [\"/bin/busybox\", \"cat\", \"/kaniko/.docker/config.json\"]\n";
    fixture.image("base", base);
    fixture.image("app", super::APP).build_args.push(super::argument("COLOUR", "red"));
    fixture.built_on("base");
    fixture.write_plan();
    let dir = fixture.options.checkout.parent().unwrap().join("docker");
    let config = config(&registry.address.to_string(), &dir);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let path = format!("{}:{}", dir.display(), fixture.options.environment["PATH"]);
    let built = fixture
        .hephy(&["build", "--arch", "amd64"])
        .env("PATH", path)
        .env("DOCKER_CONFIG", &dir)
        .env("HEPHY_REGISTRY", repository)
        .env("HEPHY_KANIKO_IMAGE", image(executor))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    for name in ["base", "app"] {
        assert!(fixture.out(&format!("{name}-amd64.json")).contains("\"completed\""), "{said}");
    }
    let log = fixture.out("logs/base-amd64.log");
    assert!(log.contains("auths") && log.contains("***"), "the step saw the file: {log}");
    for secret in [USER.1.to_owned(), base64_of_login()] {
        assert!(!log.contains(&secret) && !said.contains(&secret), "{log}");
    }
    (fixture, built)
}

/// `tester:correct-horse`, as Docker writes it.
fn base64_of_login() -> String {
    assert_eq!(USER, ("tester", "correct-horse"));
    "dGVzdGVyOmNvcnJlY3QtaG9yc2U=".to_owned()
}

#[test]
fn a_login_of_dockers_own_configuration_reaches_the_container() {
    let test = "build::kaniko_run::a_login_of_dockers_own_configuration_reaches_the_container";
    let Some(executor) = executor(test) else { return };
    let other = serde_json::json!({ "auth": "c29tZWJvZHk6ZWxzZXdoZXJlLXNlY3JldA==" });
    let (fixture, _) = signed_in(
        &executor,
        &|host, _| serde_json::json!({ "auths": { host: { "auth": base64_of_login() }, "elsewhere.example": other.clone() } }),
    );
    assert!(!fixture.out("logs/base-amd64.log").contains("elsewhere"), "no other login is in the container");
}

#[test]
fn a_login_out_of_a_helper_reaches_the_container() {
    let test = "build::kaniko_run::a_login_out_of_a_helper_reaches_the_container";
    let Some(executor) = executor(test) else { return };
    signed_in(&executor, &|_, dir| {
        std::fs::create_dir_all(dir).unwrap();
        let helper = dir.join("script");
        let text =
            format!("#!/bin/sh\ncat >/dev/null\necho '{{\"Username\":\"{}\",\"Secret\":\"{}\"}}'\n", USER.0, USER.1);
        std::fs::write(&helper, text).unwrap();
        install(&helper, &dir.join("docker-credential-kept"));
        serde_json::json!({ "credsStore": "kept" })
    });
}
