//! What the template says, read with a YAML parser: what the emulator does not enforce.

use serde_json::{Value, json};

use super::world::{Event, World};
use crate::pack::emulated::{NEW, Ran, root};

/// GitLab drops an empty tag (`Gitlab::Ci::Tags::TagList#clean!`), and its schema for editors does not know that.
pub(in crate::pack) const NO_TAG: [&str; 2] = ["--ignore-schema-paths", "#/definitions/tags/items/anyOf/0/minLength"];

/// The template as it is written.
pub(super) fn text() -> String {
    std::fs::read_to_string(root().join("gitlab-templates/hephy.yml")).unwrap()
}

fn documents() -> (Value, Value) {
    let text = text();
    let (spec, jobs) = text.split_once("\n---\n").unwrap();
    (serde_yaml::from_str(spec).unwrap(), serde_yaml::from_str(jobs).unwrap())
}

/// The inputs in the order of the file.
pub(super) fn inputs() -> Vec<(String, Value)> {
    let (spec, _) = documents();
    let inputs = spec["spec"]["inputs"].as_object().unwrap().clone();
    let text = text();
    let place = |name: &str| text.find(&format!("\n    {name}:\n")).unwrap();
    let mut inputs: Vec<(String, Value)> = inputs.into_iter().collect();
    inputs.sort_by_key(|(name, _)| place(name));
    inputs
}

/// The jobs, hidden ones merged in, under their names without the prefix.
fn jobs() -> Vec<(String, Value)> {
    let (_, all) = documents();
    let all = all.as_object().unwrap();
    let merged = |job: &Value| {
        let mut whole = serde_json::Map::new();
        let mut parents = vec![job.clone()];
        while let Some(parent) = parents.pop() {
            for (key, value) in parent.as_object().unwrap() {
                if key == "extends" {
                    let names = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                    let names =
                        names.iter().map(|name| name.as_str().unwrap().replace("$[[ inputs.fan-out ]]", "arch"));
                    parents.extend(names.map(|name| all[&name].clone()));
                } else if key == "variables" {
                    let variables = whole.entry("variables").or_insert_with(|| json!({}));
                    for (name, value) in value.as_object().unwrap() {
                        variables.as_object_mut().unwrap().entry(name).or_insert_with(|| value.clone());
                    }
                } else {
                    whole.entry(key).or_insert_with(|| value.clone());
                }
            }
        }
        Value::Object(whole)
    };
    let visible = all.iter().filter(|(name, _)| !name.starts_with('.'));
    visible.map(|(name, job)| (name.replace("$[[ inputs.job-prefix ]]", ""), merged(job))).collect()
}

fn job(name: &str) -> Value {
    jobs().into_iter().find(|(it, _)| it == name).unwrap_or_else(|| panic!("no job {name}")).1
}

fn rules(job: &Value) -> Vec<(String, String)> {
    let rules = job["rules"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rules.map(|rule| (text(&rule["if"]), text(&rule["when"]))).collect()
}

#[test]
fn every_input_has_a_type_a_default_and_a_meaning() {
    let inputs = inputs();
    assert!(inputs.len() >= 20);
    let (_, jobs) = documents();
    let jobs = jobs.to_string();
    for (name, input) in inputs {
        let keys: Vec<&String> = input.as_object().unwrap().keys().collect();
        assert!(keys.iter().all(|key| ["type", "default", "options", "regex", "description"].contains(&key.as_str())));
        let default = &input["default"];
        match input["type"].as_str().unwrap() {
            "string" => assert!(default.is_string(), "{name}"),
            "boolean" => assert!(default.is_boolean(), "{name}"),
            other => panic!("{name}: {other}"),
        }
        assert!(input["description"].as_str().unwrap().len() > 20, "{name}");
        if let Some(options) = input["options"].as_array() {
            assert!(options.contains(default), "{name}: {default}");
        }
        assert!(jobs.contains(&format!("$[[ inputs.{name} ]]")), "nothing uses {name}");
    }
}

#[test]
fn the_jobs_are_those_of_the_specification_and_take_nothing_from_their_surroundings() {
    let names: Vec<String> = jobs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["build", "build_amd64", "build_arm64", "manifest", "prepare"]);
    let (_, all) = documents();
    // A component must not change the jobs of others.
    for word in ["default", "variables", "workflow", "stages", "image", "before_script", "include"] {
        assert!(all[word].is_null(), "{word}");
    }
    assert!(all.as_object().unwrap().keys().all(|name| name.contains("$[[ inputs.job-prefix ]]")));
    for (name, job) in jobs() {
        assert_eq!(job["inherit"], json!({"default": false}), "{name}");
        if name != "build" {
            assert_eq!((&job["before_script"], &job["after_script"]), (&json!([]), &json!([])), "{name}");
            assert_eq!(job["image"]["entrypoint"], json!([""]), "{name}");
            assert_eq!(job["interruptible"], false, "a publishing run is not cancelled by a newer one: {name}");
        }
    }
}

#[test]
fn scripts_call_the_binary_and_hold_no_text_of_anybody() {
    let (_, all) = documents();
    let mut scripts = Vec::new();
    for job in all.as_object().unwrap().values() {
        scripts.extend(job["script"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap().to_owned()));
    }
    scripts.sort();
    assert_eq!(
        scripts,
        [
            ".hephy/bin/$(uname -m)/hephy build --arch amd64",
            ".hephy/bin/$(uname -m)/hephy build --arch arm64",
            "hephy manifest",
            "hephy manifest --collect",
            "hephy prepare",
            hephy::generate::gitlab::ARRIVED,
            hephy::generate::gitlab::ARRIVED,
        ]
    );
    // No variable of the platform is copied into another one: a name of a branch is not expanded a second time.
    let text = all.to_string();
    for variable in ["CI_COMMIT_REF", "CI_COMMIT_MESSAGE", "CI_COMMIT_TITLE", "CI_MERGE_REQUEST_TITLE", "BRANCH_NAME"] {
        assert!(!text.contains(variable), "{variable}");
    }
}

#[test]
fn the_kaniko_jobs_run_in_the_maintained_debug_image() {
    for (arch, machine) in [("amd64", "AMD64"), ("arm64", "ARM64")] {
        let job = job(&format!("build_{arch}"));
        assert_eq!(job["image"]["name"], format!("$[[ inputs.image-{arch} ]]"));
        assert_eq!(job["tags"], json!([format!("$[[ inputs.tag-{arch} ]]")]));
        let of = |name: &str| inputs().into_iter().find(|(it, _)| it == name).unwrap().1["default"].clone();
        let image = of(&format!("image-{arch}"));
        let version = image.as_str().unwrap().strip_prefix("ghcr.io/osscontainertools/kaniko:v").unwrap();
        let version = version.strip_suffix("-debug").expect("only the debug image has a shell");
        assert_eq!(of("builders"), format!("kaniko@{version}"));
        assert_eq!(of(&format!("tag-{arch}")), format!("$CICD_TAG_{machine}"));
        assert_eq!(job["variables"]["GIT_DEPTH"], "1", "a build needs no history");
        // Only its own files, and also when it failed.
        let own =
            [format!(".hephy/*-{arch}.tag"), format!(".hephy/*-{arch}.json"), format!(".hephy/logs/*-{arch}.log")];
        assert_eq!(job["artifacts"]["paths"], json!(own));
        assert_eq!(job["artifacts"]["when"], "always");
        assert_eq!(job["artifacts"]["reports"]["codequality"], ".hephy/codequality.json");
        assert_eq!(job["needs"], json!([{"job": "$[[ inputs.job-prefix ]]prepare", "artifacts": true}]));
    }
}

#[test]
fn manifest_needs_prepare_and_perhaps_the_builds_and_always_runs_alone() {
    let manifest = job("manifest");
    let needs = manifest["needs"].as_array().unwrap();
    assert_eq!(needs[0], json!({"job": "$[[ inputs.job-prefix ]]prepare", "artifacts": true}));
    assert!(needs[1..].iter().all(|need| need["optional"] == true), "{needs:?}");
    assert_eq!(needs.len(), 4);
    for (condition, when) in rules(&manifest) {
        assert!(when == "always" || when == "never", "{condition}: {when}");
    }
    assert!(manifest["resource_group"].as_str().unwrap().contains("hephy-manifest"));
    assert_eq!(manifest["artifacts"]["reports"], json!({"dotenv": ".hephy/manifest.env"}));
    // prepare's artifact is what all others believe; the report of one job is not uploaded by the next.
    let prepare = job("prepare");
    assert_eq!(prepare["artifacts"]["paths"], json!([".hephy/"]));
    assert_eq!(prepare["artifacts"]["exclude"], json!([".hephy/codequality.json"]));
    assert_eq!(prepare["artifacts"]["reports"]["dotenv"], ".hephy/prepare.env");
}

#[test]
fn all_jobs_run_on_the_same_events_and_no_rule_asks_what_prepare_found() {
    let run = |name: &str| -> Vec<String> {
        let rules = rules(&job(name)).into_iter();
        rules.map(|(condition, _)| condition).filter(|it| it.contains("$CI_")).collect()
    };
    let expected = run("prepare");
    assert_eq!(expected.len(), 7);
    for name in ["build_amd64", "build_arm64", "build", "manifest"] {
        assert_eq!(run(name), expected, "{name}");
    }
    for (name, job) in jobs() {
        for (condition, _) in rules(&job) {
            assert!(!condition.contains("HEPHY_NEED") && !condition.contains("HEPHY_HAS"), "{name}: {condition}");
        }
    }
}

#[test]
fn the_child_pipeline_comes_from_prepare_and_its_failure_is_the_parents() {
    let build = job("build");
    let include = json!([{"artifact": ".hephy/child.yml", "job": "$[[ inputs.job-prefix ]]prepare"}]);
    assert_eq!(build["trigger"]["include"], include);
    assert_eq!(build["trigger"]["strategy"], "depend");
    assert_eq!(build["trigger"]["forward"], json!({"yaml_variables": true, "pipeline_variables": true}));
    assert_eq!(build["variables"]["PARENT_PIPELINE_ID"], "$CI_PIPELINE_ID");
    let include = std::fs::symlink_metadata(root().join("gitlab-templates/hephy.yml")).unwrap();
    assert!(include.is_file(), "GitLab refuses a symbolic link");
    assert!(std::fs::symlink_metadata(root().join("templates/hephy.yml")).unwrap().is_file());
}

/// The emulator evaluates the rules: which jobs there are, by event and input.
#[test]
fn which_jobs_there_are() {
    let world = World::new();
    world.commit("first");
    let push = Event::Push { before: NEW };
    let arch = ["prepare on_success", "build_amd64 on_success", "build_arm64 on_success", "manifest always"];
    for event in [push, Event::MergeRequest, Event::Schedule, Event::Tag("v1.0.0"), Event::Manual] {
        assert_eq!(world.jobs(event, &[]), arch);
    }
    // An unset runner tag takes a job away.
    let unset = ["--variable", "CICD_TAG_ARM64="];
    assert_eq!(world.jobs(push, &unset), ["prepare on_success", "build_amd64 on_success", "manifest always"]);
    // Pushes to other branches belong to their merge requests.
    world.repo.git(&["checkout", "-q", "-b", "other"]);
    assert_eq!(world.jobs(push, &[]), [""; 0]);
    assert_eq!(world.jobs(Event::Manual, &[]), arch, "somebody asked for it: a check");

    let checked = World::new().with("check-branches", true).with("schedules", "").with("architectures", "arm64");
    checked.commit("first");
    assert_eq!(checked.jobs(Event::Schedule, &[]), [""; 0]);
    checked.repo.git(&["checkout", "-q", "-b", "other"]);
    assert_eq!(checked.jobs(push, &[]), ["prepare on_success", "build_arm64 on_success", "manifest always"]);
    assert_eq!(checked.jobs(push, &["--variable", "CI_OPEN_MERGE_REQUESTS=acme/images!7"]), [""; 0]);

    // A tag that is an input's own text needs no variable.
    let image = World::new().with("fan-out", "image");
    image.commit("first");
    assert_eq!(image.jobs(push, &[]), ["prepare on_success", "build on_success", "manifest always"]);
    let named = World::new().with("tag-arm64", "big-arm").with("tag-amd64", "");
    named.commit("first");
    let none = ["--variable", "CICD_TAG_AMD64=", "--variable", "CICD_TAG_ARM64="];
    assert_eq!(named.jobs(push, &[&none[..], &NO_TAG].concat()), arch);

    let wrong = World::new().with("fan-out", "images");
    wrong.commit("first");
    let ran = wrong.emulate(push, &["--list"]).failed();
    ran.says(&["`fan-out` input", "not in the list of allowed options"]);
}

/// The emulator holds every file against GitLab's schema before it runs anything.
#[test]
fn every_template_passes_gitlabs_schema() {
    let world = World::new();
    world.commit("first");
    let push = Event::Push { before: NEW };
    let passed = |ran: Ran| ran.succeeded().says(&["json schema validated"]).success;
    for fan_out in ["arch", "image"] {
        assert!(passed(World::new().with("fan-out", fan_out).committed().emulate(push, &["--list"])));
    }
    let component = json!({"component": "$CI_SERVER_FQDN/$CI_PROJECT_PATH/hephy@$CI_COMMIT_SHA"});
    assert!(passed(World::new().included(component).committed().emulate(push, &["--list"])));
    // hephy's own pipeline.
    world.repo.write(".git/own.yml", std::fs::read(root().join(".gitlab-ci.yml")).unwrap());
    assert!(passed(world.emulate(push, &["--list", "--file", ".git/own.yml"])));
    // And it is a check: one word wrong is found.
    let wrong = text().replacen("  interruptible: false\n", "  interruptibel: false\n", 1);
    world.repo.write("gitlab-templates/hephy.yml", wrong);
    world.commit("wrong");
    world.emulate(push, &["--list"]).failed().says(&["interruptibel"]);
}

/// The variables of the specification, and not one input: `include: local: gitlab-templates/hephy.yml`.
#[test]
fn the_variables_of_the_specification_are_enough() {
    let world = World::new().without_inputs();
    world.image("a", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    let registry = format!("ECR_REGISTRY={}/acme", world.registry.address);
    // Kaniko's image is not here: only the builder is another one, by a project's variables too.
    let variables =
        [&registry, "CICD_TAG=general", "HEPHY_IMAGE=hephy:1", "HEPHY_BACKEND=buildah", "HEPHY_BACKENDS=buildah"];
    let variables: Vec<&str> = variables.into_iter().flat_map(|it| ["--variable", it]).collect();
    let push = Event::Push { before: NEW };
    let preview = world.emulate(push, &[&variables[..], &["--preview"]].concat()).succeeded();
    preview.says(&["- $CICD_TAG_AMD64", "- $CICD_TAG_ARM64", "- $CICD_TAG\n", "name: $HEPHY_IMAGE"]);
    let ran = world.emulate(push, &variables).succeeded();
    assert_eq!(world.images(), ["a"], "{}", ran.said);
    let images = std::fs::read_to_string(world.artifact("manifest", "images.json")).unwrap();
    assert!(images.contains(&format!("{}/acme@sha256:", world.registry.address)), "{images}");
}
