//! Kaniko's image through `docker run`, as on GitHub's runners: a real engine runs an image of the executor.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use hephy::config::BackendName::Kaniko;

use super::kaniko::{executor, install, make_root};
use super::{Fixture, chain, failure, others};
use crate::support::builders;

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

fn fixture(executor: &Path) -> Fixture {
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
