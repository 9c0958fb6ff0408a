//! What goes where: stdout is data, stderr is talk (specification §10).

use std::io::Read as _;
use std::process::{Command, Stdio};

use super::{BEFORE, HEAD, Project};

#[test]
fn json_makes_stdout_one_document_whatever_happens() {
    let project = Project::with(&["a"]);
    for args in [
        &["plan"][..],
        &["plan", "--explain", "a"],
        &["plan", "--explain", "zzz"],
        &["prepare"],
        &["prepare", "--dir", "zzz"],
        &["build", "--arch", "amd64"],
        &["build", "--arch", "nonsense"],
        &["manifest"],
        &["run"],
        &["check"],
        &["graph"],
        &["schema", "config"],
        &["completions", "bash"],
        &["man"],
        &["check", "broken"],
    ] {
        project.repo.write(
            "broken/build-config.yaml",
            if args.contains(&"broken") { "x: y" } else { "use_local_context: true" },
        );
        let outcome = project.hephy(args.iter().copied().chain(["--format", "json"])).run();
        let json = outcome.json();
        if outcome.code != 0 {
            assert_eq!(json["error"]["exit_code"], outcome.code, "{args:?}: {outcome}");
            assert!(json["error"]["message"].is_string() && json["error"]["code"].is_string(), "{outcome}");
        }
    }
    // What clap refuses is a failure like others.
    for args in [&["--format", "json", "plan", "--nonsense"][..], &["--format=json", "build"]] {
        let outcome = project.hephy(args.iter().copied()).run();
        assert_eq!(outcome.code, 2, "{outcome}");
        assert_eq!(outcome.json()["error"]["code"], "usage_error");
    }
}

#[test]
fn quiet_and_verbose_change_stderr_only() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    let run = |flags: &[&str]| {
        project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", &registry).run().ok();
        project.hephy(["build", "--arch", "amd64"].into_iter().chain(flags.iter().copied())).run().ok()
    };
    let (plain, quiet, verbose) = (run(&[]), run(&["-q"]), run(&["-v"]));
    assert_eq!(quiet.stderr, "");
    assert!(!plain.stderr.is_empty() && verbose.stderr.len() > plain.stderr.len());
    assert!(verbose.stderr.contains("STEP 1/3: FROM scratch"), "{verbose}");
    assert_eq!(plain.stdout.lines().next(), quiet.stdout.lines().next());
    let outcome = project.hephy(["plan", "-q", "-v"]).run();
    assert_eq!(outcome.code, 2, "{outcome}");
    // A failure is said all the same.
    project.hephy(["plan", "-q", "--dir", "zzz"]).run().fails(9, &["error: "]);
}

#[test]
fn colour_is_for_terminals_or_on_request() {
    let project = Project::with(&["a"]);
    let fail =
        |args: &[&str]| project.hephy(["plan", "--dir", "zzz"].into_iter().chain(args.iter().copied())).run().stderr;
    assert!(!fail(&[]).contains('\u{1b}'));
    assert!(!fail(&["--color", "never"]).contains('\u{1b}'));
    assert!(fail(&["--color", "always"]).contains("\u{1b}["));
    // On a terminal there is colour, unless NO_COLOR is set; nothing else differs.
    let on_terminal = |no_color: &str| {
        let hephy = project.hephy([]).env("NO_COLOR", no_color).env("TERM", "xterm");
        let inner = hephy.command();
        let mut command = Command::new("script");
        let line = format!("'{}' plan --dir zzz", env!("CARGO_BIN_EXE_hephy"));
        command.args(["-qec", &line, "/dev/null"]).current_dir(project.repo.path()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        String::from_utf8(command.stdin(Stdio::null()).output().expect("script (bsdutils) gives a terminal").stdout)
            .unwrap()
    };
    assert!(on_terminal("").contains("\u{1b}["));
    assert!(!on_terminal("1").contains('\u{1b}'));
}

#[test]
fn something_moves_on_a_terminal_and_nowhere_else() {
    let project = Project::new();
    project.dockerfile("web", "", "FROM scratch\nCOPY file /file\n");
    let head = project.repo.commit("web");
    let registry = project.registry();
    let on_terminal = |hephy: super::Hephy, flags: &str| {
        let inner = hephy.env("TERM", "xterm").command();
        let mut command = Command::new("script");
        let line = format!("'{}' run --all --force --registry {registry} {flags}", env!("CARGO_BIN_EXE_hephy"));
        command.args(["-qec", &line, "/dev/null"]).current_dir(project.repo.path()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stdin(Stdio::null()).output().expect("script (bsdutils) gives a terminal");
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    // A line is drawn over and over, and taken away: the carriage return stands alone.
    let moves = |text: &str| text.contains("build web linux/amd64 (buildah)  0s") && text.contains("\r\u{1b}[2K");
    let live = on_terminal(project.hephy([]), "");
    assert!(moves(&live) && live.contains("web-head"), "{live:?}");
    let plain = on_terminal(project.hephy([]), "--color never");
    assert!(moves(&plain) && !plain.contains("\u{1b}[2m"), "no colour when nobody wants it: {plain:?}");
    assert!(!moves(&on_terminal(project.hephy([]), "-q")));
    let ci = project.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &head)], []).env("HEPHY_BACKEND", "buildah");
    assert!(!moves(&on_terminal(ci, "")), "a CI log is none, whatever it is written to");
    let piped = project.hephy(["run", "--all", "--force", "--registry", &registry]).run().ok();
    assert!(piped.stderr.contains("build web linux/amd64 (buildah)\n") && !moves(&piped.stderr), "{piped}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let project = Project::with(&["a"]);
    for args in [&["plan"][..], &["schema", "config"], &["man"], &["completions", "bash"]] {
        let mut command = project.hephy(args.iter().copied()).command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
    // A full device is one.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = project.hephy(["plan"]).command();
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout cannot be written"));
}

#[test]
fn completions_manual_and_version_come_from_the_same_definitions() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = project.hephy(["completions", shell]).run().ok().stdout;
        for word in ["prepare", "manifest", "explain", "keep-registry"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        if shell == "bash" {
            let path = project.home.path().join("completions");
            std::fs::write(&path, &script).unwrap();
            assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
        }
    }
    let page = project.hephy(["man"]).run().ok().stdout;
    assert!(page.contains(".TH hephy 1") && page.contains("Exit codes"), "{page}");
    for part in [".SH \"HEPHY PLAN\"", "\\-\\-explain", ".SH \"HEPHY MANIFEST\"", "\\-\\-allow\\-partial"] {
        assert!(page.contains(part), "the manual lacks {part}");
    }
    assert_eq!(page.matches("GLOBAL OPTIONS").count(), 1, "{page}");
    let version = project.hephy(["--version"]).run().ok().stdout;
    assert_eq!(version, format!("hephy {}\n", env!("CARGO_PKG_VERSION")));
    let outcome = project.hephy([]).run();
    assert_eq!(outcome.code, 2);
    let outcome = project.hephy(["plaan"]).run();
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("plan"), "a near word is suggested: {outcome}");
}

#[test]
fn every_schema_is_one() {
    let project = Project::new();
    for document in ["config", "root", "plan", "result", "manifest"] {
        let schema = project.hephy(["schema", document]).run().ok().json();
        assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{document}");
        assert!(jsonschema::meta::is_valid(&schema), "{document}");
    }
}

#[test]
fn groups_in_ci_and_plain_lines_elsewhere() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    project.push(BEFORE, ["prepare", "--all"]).env("ECR_REGISTRY", &registry).run().ok();
    let build = || project.hephy(["build", "--arch", "amd64"]);
    let gitlab = build().env("GITLAB_CI", "true").run().ok().stderr;
    assert!(gitlab.contains("section_start:") && gitlab.contains("section_end:"), "{gitlab}");
    let github = build().env("GITHUB_ACTIONS", "true").run().ok().stderr;
    assert!(github.contains("::group::build a") && github.contains("::endgroup::"), "{github}");
    let plain = build().run().ok().stderr;
    assert!(!plain.contains("section_") && !plain.contains("::group") && !plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn the_directory_to_work_in_may_be_any_of_the_repository() {
    let project = Project::with(&["a", "deep/b"]);
    let outcome = project.hephy(["-C", "deep/b", "plan", "--all", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a", "deep-b"]);
    project.hephy(["-C", "nowhere", "plan"]).run().fails(2, &["nowhere is no directory to work in"]);
    let outcome = project.hephy(["plan"]).dir("/").run();
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("hint: "), "{outcome}");
    assert!(outcome.stdout.is_empty());
}
