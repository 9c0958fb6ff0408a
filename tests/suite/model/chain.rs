//! The chain of `examples/`: manifest-tool is built on curl.

use std::path::Path;

use crate::cli::{Outcome, Project};

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
