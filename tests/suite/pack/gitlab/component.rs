//! The catalog component, generated from the template, and the documents that are generated from both.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::template::{inputs, text};
use super::world::{Event, World};
use crate::pack::emulated::{NEW, root};

/// What stands above the component: the rest is the template, word for word.
const HEADER: &str =
    "# Generated from gitlab-templates/hephy.yml: change that, and run `HEPHY_BLESS=1 cargo test pack::gitlab`.\n";

/// A generated file is as it would be generated; `HEPHY_BLESS=1` writes it.
#[track_caller]
fn is_generated(file: &str, expected: &str) {
    let path = root().join(file);
    if std::env::var_os("HEPHY_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file} differs from what it is generated from: run with HEPHY_BLESS=1");
}

#[test]
fn the_component_is_the_template() {
    is_generated("templates/hephy.yml", &format!("{HEADER}{}", text()));
}

#[test]
fn the_table_of_inputs_is_the_templates() {
    let mut table = String::from("| input | variable | type | default | meaning |\n|---|---|---|---|---|\n");
    for (name, input) in inputs() {
        let description = input["description"].as_str().unwrap();
        let (meaning, variable) = match description.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
            Some((meaning, variable)) => (meaning, format!("`{variable}`")),
            None => (description, String::new()),
        };
        let word = |value: &Value| match value {
            Value::String(text) if text.is_empty() => "empty".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let kind = match input["options"].as_array() {
            Some(options) => options.iter().map(word).collect::<Vec<_>>().join(", "),
            None => input["type"].as_str().unwrap().to_owned(),
        };
        let default = word(&input["default"]);
        writeln!(table, "| `{name}` | {variable} | {kind} | {default} | {meaning} |").unwrap();
    }
    let (begin, end) = ("<!-- inputs: generated -->\n", "<!-- end of inputs -->");
    let document = std::fs::read_to_string(root().join("docs/gitlab.md")).unwrap();
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    is_generated("docs/gitlab.md", &format!("{before}{begin}{table}{end}{after}"));
}

#[test]
fn the_component_runs_with_names_of_its_own() {
    let component = json!({"component": "$CI_SERVER_FQDN/$CI_PROJECT_PATH/hephy@$CI_COMMIT_SHA"});
    let world = World::new().included(component).with("job-prefix", "team ").with("stage-manifest", "deploy");
    world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    let ran = world.run(Event::Push { before: NEW }).succeeded();
    ran.says(&["team prepare", "team build_amd64", "team manifest"]);
    assert!(world.tags().iter().any(|tag| tag == "a-latest"), "{:?}\n{}", world.tags(), ran.said);
}

/// The job that publishes the component to the catalog.
#[test]
fn a_version_tag_releases_the_component() {
    let own = std::fs::read_to_string(root().join(".gitlab-ci.yml")).unwrap();
    let own: Value = serde_yaml::from_str(&own).unwrap();
    let release = &own["release"];
    assert_eq!(release["release"]["tag_name"], "$CI_COMMIT_TAG");
    let rules = release["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1, "nothing but a version is released");
    let condition = rules[0]["if"].as_str().unwrap();
    let pattern = condition.strip_prefix("$CI_COMMIT_TAG =~ /").and_then(|rest| rest.strip_suffix('/')).unwrap();
    assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
    assert!(release["needs"].as_array().unwrap().contains(&json!("test")), "what is released was tested");
}
