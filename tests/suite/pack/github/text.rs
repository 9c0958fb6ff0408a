//! What emulators hide, asserted on the YAML itself, and the tables of the documentation that are made from it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::world::{pinned, yaml_files};
use crate::pack::emulated::root;
use crate::support::builders::tool;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn workflow() -> Value {
    yaml(".github/workflows/hephy.yml")
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

fn job<'w>(workflow: &'w Value, name: &str) -> &'w Value {
    let job = &workflow["jobs"][name];
    assert!(job.is_object(), "there is no job {name}");
    job
}

const CHECK: [&str; 2] = ["prepare-check", "check"];
const PUBLISH: [&str; 6] = ["prepare", "wave-1", "wave-2", "wave-3", "wave-4", "manifest"];

#[test]
fn every_workflow_and_action_passes_the_linters() {
    let linted = Command::new(tool("actionlint")).arg("-no-color").current_dir(root()).output().unwrap();
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    let audited = Command::new(tool("zizmor"))
        .args(["--offline", "--no-progress", "--persona=regular", "--strict-collection", "--color=never", "."])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stdout));
}

/// What a linter is told to leave alone has its reason beside it.
#[test]
fn every_exception_of_a_linter_is_explained() {
    for path in yaml_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("zizmor: ignore")) {
            let explained = lines[at.saturating_sub(4)..at].iter().any(|line| line.trim_start().starts_with("# "));
            assert!(explained, "{}:{}", path.display(), at + 1);
        }
    }
    for path in [".github/actionlint.yaml", ".github/zizmor.yml"] {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let exception = line.trim_start().starts_with("- '") || line.trim_end().ends_with("disable: true");
            let explained = lines[at.saturating_sub(2)..at].iter().any(|line| line.trim_start().starts_with("# "));
            let explained =
                explained || lines[at.saturating_sub(5)..at].iter().any(|it| it.trim_start().starts_with("# "));
            assert!(!exception || explained, "{path}:{}", at + 1);
        }
    }
}

#[test]
fn actions_of_others_are_pinned_to_a_commit_with_its_version_beside() {
    let all = pinned();
    assert!(all.len() >= 4, "{all:?}");
    for path in yaml_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.contains("uses: ") && line.contains('@') && !line.contains("OWNER"))
        {
            let (_, pin) = line.split_once('@').unwrap();
            let (commit, version) = pin.split_once(" # v").unwrap_or_else(|| panic!("{}: {line}", path.display()));
            assert!(commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit()), "{line}");
            assert!(version.starts_with(|it: char| it.is_ascii_digit()), "{line}");
        }
    }
}

#[test]
fn a_pull_requests_jobs_ask_for_read_access_and_name_no_secret_of_a_writer() {
    let workflow = workflow();
    for name in CHECK {
        let job = job(&workflow, name);
        assert_eq!(job["permissions"], serde_json::json!({"contents": "read", "packages": "read"}), "{name}");
        let text = job.to_string();
        assert!(!text.contains("secrets.registry-") && !text.contains("aws-role"), "{name}");
    }
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let text = job["permissions"].to_string();
        assert!(!text.contains("write"), "{name} asks for more than a caller may have: the run would not start");
    }
    // Without a key of its own a job has what its caller grants; one for all jobs would take that away.
    assert!(workflow.get("permissions").is_none());
    for name in PUBLISH {
        assert!(job(&workflow, name).get("permissions").is_none(), "{name}");
    }
    let condition = job(&workflow, "prepare")["if"].as_str().unwrap();
    assert_eq!(condition, "github.event_name != 'merge_group' && !startsWith(github.event_name, 'pull_request')");
    for name in &PUBLISH[1..] {
        let condition = job(&workflow, name)["if"].as_str().unwrap();
        assert!(condition.contains(".mode == 'publish'") && condition.contains("needs.prepare.result == 'success'"));
        assert!(!job(&workflow, name)["needs"].to_string().contains("prepare-check"), "{name}");
    }
    assert!(job(&workflow, "check")["if"].as_str().unwrap().contains(".mode == 'check'"));
}

#[test]
fn a_publishing_run_is_never_cancelled_by_a_newer_one() {
    let workflow = workflow();
    assert!(workflow.get("concurrency").is_none());
    for name in &PUBLISH[..5] {
        assert!(job(&workflow, name).get("concurrency").is_none(), "{name}");
    }
    let manifest = &job(&workflow, "manifest")["concurrency"];
    assert_eq!(manifest["cancel-in-progress"], false);
    assert_eq!(manifest["queue"], "max", "the default keeps one pending run and cancels the others");
    for name in CHECK {
        let concurrency = &job(&workflow, name)["concurrency"];
        assert_eq!(concurrency["cancel-in-progress"], true, "{name}");
        let group = concurrency["group"].as_str().unwrap();
        assert!(group.contains("github.ref") && group.contains(name), "{group}");
        assert!(!group.contains("github.workflow }}"), "the caller may use that one: {group}");
    }
    assert!(job(&workflow, "check")["concurrency"]["group"].as_str().unwrap().contains("matrix.leg"));
}

#[test]
fn artifacts_hold_hidden_files_and_survive_a_second_attempt() {
    let workflow = workflow();
    let leg = yaml("action/leg/action.yml");
    let mut uploads = 0;
    let jobs = workflow["jobs"].as_object().unwrap().values();
    for step in jobs.flat_map(steps).chain(steps(&leg["runs"])) {
        let uses = step["uses"].as_str().unwrap_or_default();
        if uses.starts_with("actions/upload-artifact@") {
            uploads += 1;
            assert_eq!(step["with"]["include-hidden-files"], true, "{step}");
            assert_eq!(step["with"]["overwrite"], true, "{step}");
        }
        if uses.starts_with("actions/download-artifact@") && step["with"]["pattern"].is_null() {
            assert!(step["with"]["artifact-ids"].is_string(), "the plan is named by its id: {step}");
        }
    }
    assert_eq!(uploads, 4);
    // The plan comes last: nothing that a build job left takes its place.
    let order = |steps: Vec<&Value>| -> Vec<bool> {
        let downloads = steps.into_iter().filter(|it| it["uses"].as_str().unwrap_or_default().contains("download-"));
        downloads.map(|it| it["with"]["artifact-ids"].is_string()).collect()
    };
    assert_eq!(order(steps(job(&workflow, "manifest")).collect()), [false, true]);
    assert_eq!(order(steps(&leg["runs"]).collect()), [false, true]);
    let upload = steps(&leg["runs"]).last().unwrap();
    assert!(upload["if"].as_str().unwrap().starts_with("always()"), "kept on failure");
    assert!(upload["with"]["name"].as_str().unwrap().ends_with("-build-${{ inputs.leg }}"));
}

#[test]
fn four_waves_follow_each_other_also_behind_a_failure() {
    let workflow = workflow();
    for wave in 1..=hephy::generate::github::WAVES {
        let job = job(&workflow, &format!("wave-{wave}"));
        let matrix = format!("${{{{ fromJSON(needs.prepare.outputs.matrix).waves[{}] }}}}", wave - 1);
        assert_eq!(job["strategy"], serde_json::json!({"fail-fast": false, "matrix": matrix}));
        assert_eq!(job["runs-on"], "${{ matrix.runner }}");
        let condition = job["if"].as_str().unwrap();
        assert!(condition.starts_with("!cancelled()"), "{condition}");
        assert!(condition.contains(&format!(".waves[{}].include[0] != null", wave - 1)), "{condition}");
        for earlier in 1..wave {
            assert!(job["needs"].to_string().contains(&format!("wave-{earlier}")));
        }
        let leg = steps(job).last().unwrap();
        assert_eq!(leg["with"]["earlier"].as_str(), (wave > 1).then_some("true"));
    }
    assert!(workflow["jobs"].get(format!("wave-{}", hephy::generate::github::WAVES + 1)).is_none());
}

/// Nothing that a person may choose is pasted into a script.
#[test]
fn no_script_holds_an_expression() {
    for path in yaml_files() {
        let document: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let jobs = document["jobs"].as_object().map(|jobs| jobs.values().collect::<Vec<_>>()).unwrap_or_default();
        for step in jobs.into_iter().flat_map(steps).chain(steps(&document["runs"])) {
            let script = step["run"].as_str().unwrap_or_default();
            assert!(!script.contains("${{"), "{}: {script}", path.display());
        }
    }
}

#[test]
fn the_credential_stays_only_where_nothing_of_the_repository_runs() {
    let workflow = workflow();
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        for step in steps(job).filter(|it| it["uses"].as_str().unwrap_or_default().starts_with("actions/checkout@")) {
            let kept = step["with"]["persist-credentials"] != false;
            assert_eq!(kept, name.starts_with("prepare") && step["with"]["path"].is_null(), "{name}: {step}");
        }
    }
}

#[test]
fn the_workflow_finds_its_own_action_by_what_github_says_of_itself() {
    let workflow = workflow();
    for (name, job) in workflow["jobs"].as_object().unwrap().iter().filter(|(name, _)| *name != "refused") {
        let packs: Vec<&Value> = steps(job).filter(|step| step["with"]["path"] == ".hephy/pack").collect();
        assert_eq!(packs.len(), 1, "{name}");
        assert_eq!(packs[0]["with"]["repository"], "${{ inputs.pack-repository || job.workflow_repository }}");
        assert_eq!(packs[0]["with"]["ref"], "${{ inputs.pack-ref || job.workflow_sha }}");
        let own = steps(job).filter(|it| it["uses"].as_str().unwrap_or_default().starts_with("./.hephy/pack/action"));
        assert_eq!(own.count(), 1, "{name}");
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("${{ ", "`${{ ").replace(" }}", " }}`")
}

/// The entries below a key as the file has them: a parsed mapping is sorted by name.
fn in_order<'v>(text: &str, kind: &str, entries: &'v Value) -> Vec<(&'v String, &'v Value)> {
    let below = text.find(&format!("{kind}:\n")).unwrap_or_else(|| panic!("no {kind}"));
    let place = |name: &str| text[below..].find(&format!(" {name}:\n")).unwrap_or_else(|| panic!("no {name}"));
    let mut entries: Vec<_> = entries.as_object().unwrap().iter().collect();
    entries.sort_by_key(|(name, _)| place(name));
    entries
}

/// The variable by which a job's hephy hears of an input: of the workflow in an `env`, of the action in its scripts.
fn variable(input: &str) -> Option<String> {
    let workflow = read(".github/workflows/hephy.yml");
    let expression = format!(": ${{{{ inputs.{input} }}}}");
    let of_workflow = workflow.lines().map(str::trim).filter(|line| line.starts_with("HEPHY_"));
    let mut of_workflow = of_workflow.filter_map(|line| line.strip_suffix(&expression));
    let word = input.to_uppercase().replace('-', "_");
    let (run, install) = (read("action/run"), read("action/install"));
    let (exports, names) = (format!("set_from INPUT_{word} "), format!("${{INPUT_{word}:-${{"));
    let mut exported = run.lines().filter_map(|line| line.strip_prefix(&exports));
    let mut named = install.split(&names).skip(1).filter_map(|rest| rest.split(':').next());
    of_workflow.next().or_else(|| exported.next()).or_else(|| named.next()).map(str::to_owned)
}

/// The tables of docs/github.md: of inputs, secrets and outputs.
fn tables() -> String {
    let mut out = String::new();
    let table = |out: &mut String, title: &str, (text, entries): (&str, &Value), kind: &str| {
        out.push_str(&format!("### {title}\n\n"));
        out.push_str(if kind == "inputs" {
            "| name | variable | type | default | meaning |\n|---|---|---|---|---|\n"
        } else {
            "| name | meaning |\n|---|---|\n"
        });
        for (name, entry) in in_order(text, kind, entries) {
            let meaning = cell(entry["description"].as_str().unwrap_or_else(|| panic!("{name} has no description")));
            if kind != "inputs" {
                out.push_str(&format!("| `{name}` | {meaning} |\n"));
                continue;
            }
            let default = match &entry["default"] {
                Value::Null if entry["required"] == true => "required".to_owned(),
                Value::String(text) if text.is_empty() => String::new(),
                Value::String(text) => format!("`{text}`"),
                other => format!("`{other}`"),
            };
            let kind = entry["type"].as_str().unwrap_or("string");
            let variable = variable(name).map(|it| format!("`{it}`")).unwrap_or_default();
            out.push_str(&format!("| `{name}` | {variable} | {kind} | {default} | {meaning} |\n"));
        }
        out.push('\n');
    };
    let (text, workflow) = (read(".github/workflows/hephy.yml"), workflow());
    let call = |kind: &str| (text.as_str(), workflow["on"]["workflow_call"][kind].clone());
    for (title, kind) in [("Inputs", "inputs"), ("Secrets", "secrets"), ("Outputs", "outputs")] {
        let (text, entries) = call(kind);
        table(&mut out, &format!("{title} of the workflow"), (text, &entries), kind);
    }
    let (text, action) = (read("action/action.yml"), yaml("action/action.yml"));
    table(&mut out, "Inputs of the action", (&text, &action["inputs"]), "inputs");
    table(&mut out, "Outputs of the action", (&text, &action["outputs"]), "outputs");
    out
}

#[test]
fn the_documentation_has_every_input_and_output() {
    const BEGIN: &str =
        "<!-- From the YAML files. To write it anew: HEPHY_BLESS=1 cargo test --test suite pack::github::text -->\n\n";
    const END: &str = "<!-- End of what is generated. -->";
    let path = root().join("docs/github.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/github.md has the mark of its tables");
    let (there, after) = rest.split_once(END).expect("docs/github.md has the mark behind its tables");
    let tables = tables();
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(there, tables, "docs/github.md is not what the YAML says; HEPHY_BLESS=1 writes it");
}

#[test]
fn every_output_of_the_specification_is_there() {
    let names = ["plan", "dirs", "need_amd64", "need_arm64", "has_builds", "matrix", "images"];
    let (workflow, action) = (workflow(), yaml("action/action.yml"));
    for name in names {
        assert!(workflow["on"]["workflow_call"]["outputs"][name]["value"].is_string(), "{name}");
        assert!(action["outputs"][name]["value"].is_string(), "{name}");
    }
    assert!(Path::new(&root()).join("action/release.txt").exists());
}
