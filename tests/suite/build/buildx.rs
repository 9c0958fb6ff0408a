//! BuildKit through `docker buildx`, with the remote driver: the same daemon as `buildctl`'s.

use std::path::{Path, PathBuf};
use std::process::Command;

use hephy::config::BackendName;

use super::{Fixture, chain_plan, chain_results, failure_plan, failure_results, others};
use crate::support::builders;

/// A Docker configuration with the plugin and a builder in it.
fn docker_config(dir: &Path, docker: &Path) -> PathBuf {
    let config = dir.join("docker config");
    std::fs::create_dir_all(config.join("cli-plugins")).unwrap();
    std::os::unix::fs::symlink(builders::tool("buildx"), config.join("cli-plugins/docker-buildx")).unwrap();
    std::fs::write(config.join("config.json"), "{}").unwrap();
    let created = Command::new(docker)
        .args(["buildx", "create", "--name=hephy-test", "--driver=remote", builders::buildkit()])
        .env("DOCKER_CONFIG", &config)
        .output()
        .unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    config
}

pub(super) fn buildx() -> Fixture {
    let mut fixture = Fixture::new(BackendName::Buildkit);
    others::prepend_path(&mut fixture, "docker");
    let home = fixture.options.checkout.parent().unwrap().to_owned();
    let config = docker_config(&home, &builders::tool("docker"));
    fixture.options.environment.remove("BUILDKIT_HOST");
    for (name, value) in [("DOCKER_CONFIG", config.display().to_string()), ("BUILDX_BUILDER", "hephy-test".into())] {
        fixture.options.environment.insert(name.into(), value.clone());
        fixture.options.builder_env.insert(name.into(), value);
    }
    fixture
}

#[test]
fn buildx_builds_a_chain() {
    let mut fixture = buildx();
    chain_plan(&mut fixture);
    let results = fixture.build();
    chain_results(&fixture, &results);
}

#[test]
fn buildx_names_the_failing_line() {
    let mut fixture = buildx();
    failure_plan(&mut fixture);
    let outcome = fixture.run().unwrap();
    let error = outcome.failure.unwrap();
    failure_results(&fixture, error.kind().code(), error.message(), &outcome.results);
}

#[test]
fn a_docker_config_that_hephy_writes_hides_neither_plugins_nor_builders() {
    let mut fixture = buildx();
    chain_plan(&mut fixture);
    fixture.write_plan();
    let built = fixture
        .hephy(&["build", "--arch", "amd64"])
        .envs([("HEPHY_REGISTRY_USERNAME", "somebody"), ("HEPHY_REGISTRY_PASSWORD", "correct-horse")])
        .env("HEPHY_REGISTRY", fixture.registry())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let left: Vec<_> = std::fs::read_dir(&fixture.options.out).unwrap().flatten().map(|it| it.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".credentials-")), "{left:?}");
    assert!(fixture.options.checkout.parent().unwrap().join("docker config/cli-plugins/docker-buildx").exists());
}
