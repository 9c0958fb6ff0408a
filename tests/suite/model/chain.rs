//! The chain of `examples/`: manifest-tool is built on curl.

use std::path::Path;

use crate::cli::{Outcome, Project};
use crate::support::builders::busybox;

/// The two examples as they are shipped.
fn shipped() -> Project {
    let project = Project::new();
    for dir in ["curl", "manifest-tool"] {
        for file in ["build-config.yaml", "Dockerfile"] {
            let path = format!("{dir}/{file}");
            let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(&path)).unwrap();
            project.repo.write(&path, text);
        }
    }
    project.repo.commit("the examples");
    project
}

fn waves(outcome: &Outcome) -> Vec<(String, u64)> {
    let plan = outcome.json();
    let images = plan["images"].as_array().unwrap().iter();
    images.map(|image| (image["name"].as_str().unwrap().to_owned(), image["wave"].as_u64().unwrap())).collect()
}

#[test]
fn a_change_of_curl_alone_rebuilds_manifest_tool_after_it() {
    let project = shipped();
    let plan = |base: &str| project.hephy(["plan", "--format=json", "--base", base, "--head"]).run().ok();
    let first = project.repo.head();
    assert_eq!(waves(&plan(&first)), []);

    let second = project.change("curl/Dockerfile");
    let outcome = plan(&first);
    assert_eq!(waves(&outcome), [("curl".to_owned(), 0), ("manifest-tool".to_owned(), 1)]);
    assert_eq!(outcome.reason("manifest-tool"), "built on curl");

    // Not the other way, and not for what nobody builds from.
    let third = project.change("manifest-tool/Dockerfile");
    assert_eq!(plan(&second).built(), ["manifest-tool"]);
    project.change("curl/README.md");
    assert_eq!(waves(&plan(&third)), []);
    // A change back is none.
    project.repo.git(&["revert", "--no-edit", &third, &second]);
    project.repo.remove("curl/README.md").commit("as it was");
    assert_eq!(waves(&plan(&first)), []);
}

/// The same two images for one architecture, out of what is on this machine: nothing here reaches a network.
fn buildable() -> Project {
    let project = Project::new();
    let config = |more: &str| format!("use_local_context: true\nadditional_tags: [latest]\n{more}");
    let repo = &project.repo;
    repo.write("curl/build-config.yaml", config(""))
        .write("curl/Dockerfile", "FROM scratch\nCOPY sh /bin/sh\n")
        .write("curl/sh", std::fs::read(busybox()).unwrap())
        .executable("curl/sh")
        .write("manifest-tool/build-config.yaml", config("build_args: [MANIFEST_TOOL_VERSION=2.2.0]\n"))
        .write(
            "manifest-tool/Dockerfile",
            "ARG ECR_REGISTRY\nARG CURL_TAG\nFROM ${ECR_REGISTRY}:${CURL_TAG} AS download\n\
             ARG MANIFEST_TOOL_VERSION\nRUN echo \"$MANIFEST_TOOL_VERSION\" > /manifest-tool\n\
             FROM scratch\nCOPY --from=download /manifest-tool /usr/local/bin/manifest-tool\n",
        );
    repo.commit("curl, and manifest-tool on it");
    project
}

#[test]
fn a_change_of_curl_alone_is_caught_up_with_after_a_cancelled_pipeline() {
    let project = buildable();
    let stage = |before: &str, args: &[&str]| {
        let args = [&["--format=json"], args].concat();
        project.push(before, args).env("HEPHY_REGISTRY", project.registry()).run().ok()
    };
    let pipeline = |before: &str| {
        let plan = stage(before, &["prepare"]);
        stage(before, &["build", "--arch=amd64"]);
        stage(before, &["manifest"]);
        plan.built()
    };
    let both = ["curl", "manifest-tool"];
    let first = project.repo.head();
    assert_eq!(pipeline(&"0".repeat(40)), both);
    // Run again: nothing.
    assert_eq!(pipeline(&"0".repeat(40)), [""; 0]);

    // curl changes, and its pipeline is cancelled before it publishes; the next push changes nothing of either.
    let second = project.change("curl/Dockerfile");
    assert_eq!(stage(&first, &["prepare"]).built(), both);
    let third = project.change("manifest-tool/README.md");
    assert_eq!(pipeline(&second), both);
    // Only what lies above curl changes.
    project.change("manifest-tool/Dockerfile");
    assert_eq!(pipeline(&third), ["manifest-tool"]);
}
