//! `hephy check`: which files are found, read and refused, and the whole report.

#![allow(clippy::unwrap_used, reason = "a helper that fails, fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hephy::commands::check;
use hephy::config::CheckReport;
use hephy::config::Transports;
use hephy::error::ErrorKind;
use tempfile::TempDir;

const GOOD: &str = "use_local_context: true\n";

fn repository(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn check(root: &TempDir) -> CheckReport {
    check::run(root.path(), &[], &Transports::default()).unwrap()
}

fn names(report: &CheckReport) -> Vec<&str> {
    report.files.iter().map(|file| file.file.as_str()).collect()
}

#[test]
fn all_problems_of_all_files_are_reported_sorted_and_counted() {
    let root = repository(&[
        ("curl/build-config.yaml", "use_local_context: true\nplaforms:\n  - linux/amd64\n"),
        ("curl/Dockerfile", ""),
        ("test-app/build-config.yaml", "upstream_repo: https://h/x\nupstream_ref: --upload-pack=touch /tmp/x\n"),
        ("a/b/build-config.yaml", GOOD),
        ("a/b/Dockerfile", ""),
    ]);
    let report = check(&root);
    assert_eq!(
        report.render(),
        "\
curl/build-config.yaml:2:1: error: unknown field `plaforms`
  |
2 | plaforms:
  | ^^^^^^^^ did you mean `platforms`?

test-app/build-config.yaml:2:15: error: `upstream_ref` looks like an option
  |
2 | upstream_ref: --upload-pack=touch /tmp/x
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^
  = a ref has letters, digits and ._/@+- and does not begin with -

2 errors in 2 of 3 files.
"
    );
    let failure = check::failure(&report, false).unwrap();
    assert_eq!(
        (failure.kind(), failure.message()),
        (ErrorKind::ConfigError, "not everything could be built like this")
    );
}

#[test]
fn json_has_each_files_normalised_configuration_and_findings() {
    let root = repository(&[
        ("hephy.yaml", "platforms: [linux/arm64]\n"),
        ("a/build-config.yaml", "use_local_context: true\ntimeout: 1m30s\n"),
        ("a/Dockerfile", ""),
        ("b/build-config.yaml", "x: y\nuse_local_context: true"),
    ]);
    let json = serde_json::to_value(check(&root)).unwrap();
    assert_eq!(json["errors"], 1);
    assert_eq!(json["files"][0]["file"], "a/build-config.yaml");
    assert_eq!(json["files"][0]["config"]["platforms"], serde_json::json!(["linux/arm64"]));
    assert_eq!(json["files"][0]["config"]["timeout_seconds"], 90);
    assert_eq!(json["files"][1]["config"], serde_json::Value::Null);
    assert_eq!(
        json["files"][1]["findings"],
        serde_json::json!([{
            "file": "b/build-config.yaml", "line": 1, "column": 1, "length": 1,
            "severity": "error", "message": "unknown field `x`",
        }])
    );
    assert_eq!(json["files"][2]["config"]["platforms"], serde_json::json!(["linux/arm64"]));
}

#[test]
fn a_repository_without_problems_says_so() {
    let root = repository(&[("build-config.yaml", GOOD), ("Dockerfile", "")]);
    assert_eq!(check(&root).render(), "1 file, no problems.\n");
    assert!(check::failure(&check(&root), true).is_none());
    assert_eq!(check(&repository(&[])).render(), "No configuration files.\n");
}

#[test]
fn the_walk_leaves_out_git_hephy_links_and_repositories_inside() {
    let root = repository(&[
        ("a/build-config.yaml", GOOD),
        (".git/x/build-config.yaml", GOOD),
        (".hephy/x/build-config.yaml", GOOD),
        ("a/.hephy/build-config.yaml", GOOD),
        ("submodule/.git", "gitdir: ../.git/modules/submodule"),
        ("submodule/build-config.yaml", GOOD),
        ("b/build-config.yml", GOOD),
    ]);
    let outside = repository(&[("build-config.yaml", GOOD)]);
    symlink(outside.path(), root.path().join("linked")).unwrap();
    symlink("..", root.path().join("a/loop")).unwrap();
    let report = check(&root);
    assert_eq!(names(&report), ["a/.hephy/build-config.yaml", "a/build-config.yaml", "b/build-config.yml"]);
    assert_eq!(
        report.files[2].findings[0].render(),
        "b/build-config.yml:1:1: warning: this file is not read\n  = its name must be build-config.yaml\n"
    );
}

fn first(report: &CheckReport, file: &str) -> String {
    let file = report.files.iter().find(|checked| checked.file == file).unwrap();
    file.findings.first().map(|finding| finding.message.clone()).unwrap_or_default()
}

#[test]
fn only_regular_files_inside_the_repository_are_opened() {
    let root = repository(&[("real.yaml", GOOD), ("in/Dockerfile", ""), (".git/config", "secret: 1")]);
    let outside = repository(&[("secret.yaml", "secret: hunter2\n")]);
    for directory in ["out", "relative", "nowhere", "fifo", "directory/build-config.yaml", "device", "git", "loop"] {
        fs::create_dir_all(root.path().join(directory)).unwrap();
    }
    let link = |target: &Path, name: &str| symlink(target, root.path().join(name).join("build-config.yaml")).unwrap();
    link(Path::new("../real.yaml"), "in");
    link(&outside.path().join("secret.yaml"), "out");
    link(&Path::new("../..").join(outside.path().file_name().unwrap()).join("secret.yaml"), "relative");
    link(Path::new("gone"), "nowhere");
    link(Path::new("/dev/zero"), "device");
    link(Path::new("../.git/config"), "git");
    link(Path::new("build-config.yaml"), "loop");
    let fifo = root.path().join("fifo/build-config.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let report = check(&root);
    let of = |directory: &str| first(&report, &format!("{directory}/build-config.yaml"));
    assert_eq!(of("in"), "");
    for directory in ["out", "relative", "device", "git"] {
        assert_eq!(of(directory), "the file is a link out of the repository", "{directory}");
    }
    for directory in ["nowhere", "loop"] {
        assert_eq!(of(directory), "the file is a link that leads nowhere, or cannot be reached");
    }
    for directory in ["fifo", "directory"] {
        assert_eq!(of(directory), "the file is not a regular file");
    }
    assert!(!report.render().contains("hunter2"));
}

#[test]
fn dockerfile_and_context_must_exist_inside_their_root() {
    let root = repository(&[
        ("no-file/build-config.yaml", GOOD),
        ("no-context/build-config.yaml", "use_local_context: true\ncontext_path: src\n"),
        ("no-context/Dockerfile", ""),
        ("link/build-config.yaml", "use_local_context: true\ndockerfile_path: Dockerfile\n"),
        ("dir/build-config.yaml", "use_local_context: true\ndockerfile_path: sub\ncontext_path: file\n"),
        ("dir/sub/x", ""),
        ("dir/file", ""),
        ("whole/build-config.yaml", "use_local_context: true\ncontext_from: repository\ndockerfile_path: dir/file\n"),
        ("remote/build-config.yaml", "upstream_repo: https://h/x\nupstream_ref: main\n"),
        ("ko/build-config.yaml", "build_backend: ko\n"),
        ("manual/build-config.yaml", "manual_build: true\nmanual_images: {amd64: a}\n"),
        ("needs/build-config.yaml", "build_backend: ko\ndepends_on: [ko, ko, dir/sub]\n"),
    ]);
    symlink("../dir/file", root.path().join("link/Dockerfile")).unwrap();
    assert_eq!(
        check(&root).render(),
        "\
dir/build-config.yaml:2:18: error: the Dockerfile `dir/sub` is a directory
  |
2 | dockerfile_path: sub
  |                  ^^^

dir/build-config.yaml:3:15: error: the context `dir/file` is no directory
  |
3 | context_path: file
  |               ^^^^

link/build-config.yaml:2:18: error: the Dockerfile `link/Dockerfile` is a link out of its source root
  |
2 | dockerfile_path: Dockerfile
  |                  ^^^^^^^^^^

needs/build-config.yaml:2:22: error: `depends_on` names `dir/sub`, which is no image directory
  |
2 | depends_on: [ko, ko, dir/sub]
  |                      ^^^^^^^
  = it has no build-config.yaml

no-context/build-config.yaml:2:15: error: the context `no-context/src` does not exist
  |
2 | context_path: src
  |               ^^^

no-file/build-config.yaml:1:1: error: the Dockerfile `no-file/Dockerfile` does not exist
  |
1 | use_local_context: true
  | ^

6 errors in 5 of 9 files.
"
    );
}

#[test]
fn paths_limit_what_is_checked() {
    let root = repository(&[
        ("hephy.yaml", "layout: flat\n"),
        ("a/build-config.yaml", "x: 1\nuse_local_context: true"),
        ("a/b/build-config.yaml", GOOD),
        ("c/build-config.yaml", "y: 1"),
        ("empty/file", ""),
    ]);
    let run = |paths: &[&str]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| root.path().join(path)).collect();
        check::run(root.path(), &paths, &Transports::default())
    };
    // Broken defaults are always shown.
    assert_eq!(names(&run(&["a"]).unwrap()), ["a/b/build-config.yaml", "a/build-config.yaml", "hephy.yaml"]);
    assert_eq!(names(&run(&["c/build-config.yaml"]).unwrap()), ["c/build-config.yaml", "hephy.yaml"]);
    assert_eq!(names(&run(&["c", "c/build-config.yaml", "./c"]).unwrap()), ["c/build-config.yaml", "hephy.yaml"]);
    fs::write(root.path().join("hephy.yaml"), "layout: single\n").unwrap();
    assert_eq!(names(&run(&["c"]).unwrap()), ["c/build-config.yaml"]);
    assert_eq!(names(&run(&["hephy.yaml"]).unwrap()), ["hephy.yaml"]);
    for (paths, message) in [
        (&["gone"][..], "does not exist"),
        (&["empty"], "no build-config.yaml in"),
        (&[".."], "lies outside the repository"),
    ] {
        let error = run(paths).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UsageError);
        assert!(error.message().contains(message) && error.hint_text().is_some(), "{error}");
    }
}

#[test]
fn names_are_escaped_and_defaults_that_cannot_be_read_are_reported() {
    let root = repository(&[("a\u{1b}[2J\nb/build-config.yaml", "x: 1\nuse_local_context: true")]);
    fs::create_dir(root.path().join("hephy.yaml")).unwrap();
    let report = check(&root).render();
    assert!(report.starts_with("a\\u{1b}[2J\\u{a}b/build-config.yaml:1:1: error: unknown field `x`\n"), "{report}");
    assert!(report.contains("hephy.yaml:1:1: error: the file is not a regular file\n"), "{report}");
}
