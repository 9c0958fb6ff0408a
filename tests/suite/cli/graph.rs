//! `hephy graph` in each of its forms.

use super::Project;

fn chain() -> Project {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image("alone", "depends_on: [mid]\n");
    project.repo.commit("images");
    project
}

#[test]
fn every_form_shows_who_is_built_on_whom() {
    let project = chain();
    let form =
        |form: &str| project.hephy(["graph", "--as", form]).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().stdout;
    let text = project.hephy(["graph"]).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().stdout;
    assert_eq!(text, form("text"));
    for name in ["base", "mid", "alone"] {
        assert!(text.contains(name), "{text}");
    }
    let dot = form("dot");
    assert!(
        dot.starts_with("digraph") && dot.contains("\"base\" -> \"mid\" [label = \"ARG BASE_TAG, mid/Dockerfile:3\"]"),
        "{dot}"
    );
    let mermaid = form("mermaid");
    assert!(mermaid.starts_with("flowchart") || mermaid.starts_with("graph"), "{mermaid}");
    let json: serde_json::Value = serde_json::from_str(&form("json")).unwrap();
    let mid = json["images"].as_array().unwrap().iter().find(|it| it["name"] == "mid").unwrap();
    assert_eq!(mid["built_on"][0]["name"], "base");
    assert_eq!(mid["wave"], 1);
    let outcome = project.hephy(["graph", "--as", "picture"]).run();
    assert_eq!(outcome.code, 2, "{outcome}");
}

#[test]
fn a_cycle_is_an_error_that_shows_the_lines_that_make_it() {
    let project = chain();
    project.image_on("base", "mid", "");
    project.repo.commit("a circle");
    let hephy = |command: &str| project.hephy([command]).env("ECR_REGISTRY", "127.0.0.1:1/x").run();
    for command in ["graph", "plan", "prepare"] {
        let outcome = hephy(command).fails(3, &[]);
        for part in
            ["built on each other in a circle", "base/Dockerfile:3 uses MID_TAG", "mid/Dockerfile:3 uses BASE_TAG"]
        {
            assert!(outcome.stderr.contains(part), "{command}: {outcome}");
        }
    }
    assert!(!project.path(".hephy").exists());
}
