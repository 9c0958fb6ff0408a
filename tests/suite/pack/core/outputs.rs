//! What a stage leaves for later jobs and for people on both platforms (specification §11).

use serde_json::{Value, json};

use super::{BROKEN, Github, broken, merge_request};
use crate::cli::{BEFORE, Project, manifest};
use crate::support::builders;

/// `ok`, an image that fails at line 4, and one that is built on it.
fn failing() -> Project {
    let project = Project::new();
    project.image("ok", "");
    broken(&project, "bad");
    project.image_on("top", "bad", "");
    project.repo.commit("images");
    project
}

#[test]
fn github_gets_typed_outputs_annotations_and_a_summary_of_every_stage() {
    let (project, github) = (failing(), Github::new());
    github.step(&project, BEFORE, ["prepare", "--all"]).run().ok();
    assert_eq!(github.output("plan"), project.out("plan.json").canonicalize().unwrap().display().to_string());
    assert_eq!(github.output("dirs"), r#"["bad","ok","top"]"#);
    let flags = ["need_amd64", "need_arm64", "has_builds"].map(|name| github.output(name));
    assert_eq!(flags, ["true", "false", "true"]);
    assert!(github.read("summary").starts_with("## hephy plan\n"), "{}", github.read("summary"));

    let build = github.step(&project, BEFORE, ["build", "--arch", "amd64"]).run().fails(1, &[]);
    let annotations: Vec<&str> = build.stderr.lines().filter(|line| line.starts_with("::error")).collect();
    assert_eq!(annotations.len(), 1, "{build}");
    let start = "::error file=bad/Dockerfile,line=4,title=bad linux/amd64 failed (build_error)::RUN [";
    assert!(annotations[0].starts_with(start) && annotations[0].contains("%0A  no such luck | <b>`x`"), "{build}");
    let last: Vec<&str> = build.stderr.trim_end().lines().rev().take(3).collect();
    assert!(last[2].contains("1 of 3 builds failed: bad linux/amd64 (build_error)"), "{last:?}");
    let summary = github.read("summary");
    for part in [
        "## hephy build · linux/amd64\n",
        "| ok | linux/amd64 | built | sha256:",
        "| bad | linux/amd64 | failed | – | – |",
        "| top | linux/amd64 | skipped |",
        "### bad linux/amd64 failed (build_error)\n\nAt bad/Dockerfile:4",
        "The last lines of its log:\n\n```text\n",
        "no such luck | <b>`x`",
    ] {
        assert!(summary.contains(part), "the summary lacks {part:?}\n{summary}");
    }

    let stage = github.step(&project, BEFORE, ["manifest"]).run().fails(1, &["bad was not published"]);
    let (digest, _) = manifest(&project.registry(), "ok-head").unwrap();
    assert_eq!(
        github.output("images"),
        json!({ "ok": format!("{}@{digest}", project.registry()) }).to_string(),
        "{stage}"
    );
    assert!(manifest(&project.registry(), "bad-head").is_none());
    let summary = github.read("summary");
    assert!(summary.ends_with(&project.read("summary.md")), "{summary}");
    let own = project.read("summary.md");
    for part in ["## hephy\n", "| not published | why | code |", "| bad | ", "| top | ", "At bad/Dockerfile:4"] {
        assert!(own.contains(part), "summary.md lacks {part:?}\n{own}");
    }
    assert!(!project.out("codequality.json").exists() && !project.out("prepare.env").exists());
}

#[test]
fn gitlab_gets_dotenv_values_a_code_quality_report_and_sections() {
    let project = failing();
    let registry = project.registry();
    let stage = |args: &[&'static str]| project.push(BEFORE, args.iter().copied()).env("HEPHY_REGISTRY", &registry);
    stage(&["prepare", "--all"]).run().ok();
    let flags = "HEPHY_HAS_BUILDS=true\nHEPHY_NEED_AMD64=true\nHEPHY_NEED_ARM64=false\n";
    assert_eq!(project.read("prepare.env"), flags);
    assert_eq!(project.read("codequality.json"), "[]\n");
    let build = stage(&["build", "--arch", "amd64"]).run().fails(1, &["1 of 3 builds failed: bad linux/amd64"]);
    assert!(!build.stderr.contains("::error"), "{build}");
    for image in ["ok", "bad"] {
        let start = build.stderr.find(&format!(":{image}-amd64[collapsed=true]\r\u{1b}[0Kbuild {image} linux/amd64"));
        let end = build.stderr.rfind(&format!(":{image}-amd64\r\u{1b}[0K"));
        assert!(start.is_some() && start < end, "{image} has no section\n{build}");
    }
    let report: Value = serde_json::from_str(&project.read("codequality.json")).unwrap();
    assert_eq!(report.as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report[0]["location"], json!({ "path": "bad/Dockerfile", "lines": { "begin": 4 } }));
    assert_eq!((&report[0]["check_name"], &report[0]["severity"]), (&json!("hephy:build_error"), &json!("major")));
    assert_eq!(report[0]["fingerprint"].as_str().unwrap().len(), 64);
    assert!(report[0]["description"].as_str().unwrap().starts_with("bad linux/amd64 failed (build_error): RUN ["));
    stage(&["manifest"]).run().fails(1, &[]);
    assert_eq!(project.read("manifest.env"), "HEPHY_IMAGES_FILE=.hephy/images.json\n");
    let images: Value = serde_json::from_str(&project.read("images.json")).unwrap();
    assert_eq!(images.as_object().unwrap().keys().collect::<Vec<_>>(), ["ok"]);
    assert!(project.read("summary.md").contains("| not published | why | code |"));
}

#[test]
fn nothing_to_do_leaves_outputs_too() {
    let (project, github) = (Project::with(&["a"]), Github::new());
    let head = project.repo.head();
    // The second pipeline finds everything published.
    for _ in 0..2 {
        for stage in [&["prepare"][..], &["build", "--arch", "amd64"], &["manifest"]] {
            github.step(&project, &head, stage.iter().copied()).run().ok();
        }
    }
    let outputs = ["has_builds", "need_amd64", "dirs", "images"].map(|name| github.output(name));
    assert_eq!(outputs, ["false", "false", "[]", "{}"]);
    std::fs::remove_dir_all(project.out("")).unwrap();
    let stage = |args: &[&'static str]| project.push(&head, args.iter().copied()).run().ok();
    stage(&["prepare", "--registry", "none"]);
    stage(&["manifest"]);
    assert!(project.read("prepare.env").starts_with("HEPHY_HAS_BUILDS=false\n"));
    assert_eq!((project.read("images.json"), project.read("codequality.json")), ("{}\n".into(), "[]\n".into()));
}

/// What is wrong in a configuration is shown at its line: a warning where the image is left alone.
#[test]
fn findings_in_configurations_stand_at_their_lines() {
    let (project, github) = (Project::with(&["a", "b"]), Github::new());
    project.repo.write("b/build-config.yaml", "use_local_context: true\nplaforms: [linux/amd64]\n");
    let before = project.repo.commit("b breaks");
    project.change("a/file");
    let left_alone = github.step(&project, &before, ["prepare"]).run().ok();
    let annotation = "file=b/build-config.yaml,line=2,title=hephy::unknown field";
    assert!(left_alone.stderr.contains(&format!("::warning {annotation}")), "{left_alone}");
    assert!(!left_alone.stderr.contains("::error"), "{left_alone}");
    let refused = github.step(&project, &before, ["prepare", "--all"]).run().fails(3, &[]);
    assert!(refused.stderr.contains(&format!("::error {annotation}")), "{refused}");
    let check = github.step(&project, &before, ["check"]).run();
    assert!(check.stderr.contains(&format!("::error {annotation}")), "{check}");

    let base = before;
    merge_request(&project, &base, ["prepare"]).env("HEPHY_REGISTRY", "none").run().ok();
    let report: Value = serde_json::from_str(&project.read("codequality.json")).unwrap();
    assert_eq!(report[0]["severity"], "minor");
    std::fs::remove_dir_all(project.out("")).unwrap();
    merge_request(&project, &base, ["prepare", "--all"]).run().fails(3, &[]);
    let report: Value = serde_json::from_str(&project.read("codequality.json")).unwrap();
    assert_eq!(report[0]["severity"], "major");
    assert_eq!(report[0]["location"], json!({ "path": "b/build-config.yaml", "lines": { "begin": 2 } }));
    assert!(!project.out("plan.json").exists());
}

#[test]
fn more_findings_than_github_shows_are_counted_in_one_line() {
    let (project, github) = (Project::new(), Github::new());
    for at in 0..13 {
        project.repo.write(format!("i{at:02}/build-config.yaml"), "use_local_context: true\nnope: 1\n");
    }
    let before = project.repo.commit("images");
    let outcome = github.step(&project, &before, ["prepare", "--all"]).run().fails(3, &[]);
    assert_eq!(outcome.stderr.matches("::error ").count(), 10, "{outcome}");
    assert!(outcome.stderr.contains("::error title=hephy::4 more errors: the log has all of them"), "{outcome}");
}

/// A Dockerfile of another repository is no file of this one: the annotation stands at the configuration.
#[test]
fn a_failure_in_an_upstream_is_shown_at_the_configuration() {
    let (project, github) = (Project::new(), Github::new());
    let upstream = crate::support::repo::Repo::new();
    upstream.write("Dockerfile", BROKEN).write("busybox", std::fs::read(builders::busybox()).unwrap());
    upstream.executable("busybox").commit("upstream");
    let url = upstream.url().replace(' ', "%20");
    project.repo.write("far/build-config.yaml", format!("upstream_repo: {url}\nupstream_ref: main\n"));
    project.repo.commit("far");
    github.step(&project, BEFORE, ["prepare", "--all"]).env("GIT_ALLOW_PROTOCOL", "file").run().ok();
    let build = github.step(&project, BEFORE, ["build", "--arch", "amd64"]).run().fails(1, &[]);
    let start = "::error file=far/build-config.yaml,line=1,title=far linux/amd64 failed (build_error)::RUN [";
    assert!(build.stderr.lines().any(|line| line.starts_with(start)), "{build}");
    assert!(build.stderr.contains("%0ADockerfile:4 of the upstream repository%0A"), "{build}");
}
