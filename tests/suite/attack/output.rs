//! Threat: names and texts of strangers that command a terminal, a CI platform or a reader of Markdown; secrets that
//! come out.

use super::{Hephy, one_image};
use crate::support::repo::Repo;

/// An annotation as hephy writes it: three properties at most, whose values hold neither `:` nor `,`.
fn is_own_annotation(line: &str) -> bool {
    let rest = line.strip_prefix("::error ").or_else(|| line.strip_prefix("::warning "));
    let properties = rest.and_then(|rest| rest.split_once("::")).map_or("", |(properties, _)| properties);
    let names: Vec<&str> = properties.split(',').filter_map(|it| Some(it.split_once('=')?.0)).collect();
    matches!(names[..], ["file", "line", "title"] | ["title"]) && !properties.contains(':')
}

/// No line that GitHub's runner takes for a command, but for groups and annotations of hephy's own.
#[track_caller]
fn commands_nothing(text: &str) {
    for line in text.lines() {
        let own = line.starts_with("::group::") || line == "::endgroup::" || is_own_annotation(line);
        assert!(own || !(line.trim_start().starts_with("::") || line.contains("##[")), "{line}");
        assert!(!line.contains('\u{1b}') && !line.contains('\r') && !line.contains('\u{202e}'), "{line:?}");
    }
}

#[test]
fn names_of_directories_cannot_command_github() {
    let repo = Repo::new();
    let before = repo.image("good").commit("one");
    for dir in
        ["::set-output name=a::b", "##[error]x", "a\n::error::b", "esc\u{1b}[2J", "bidi\u{202e}x", "-dash", "a b"]
    {
        repo.image(dir);
    }
    let head = repo.commit("two");
    let scratch = tempfile::tempdir().unwrap();
    for args in [&["plan", "--registry", "none"][..], &["check"], &["check", "--format", "json"]] {
        let seen = Hephy::at(repo.path()).github(scratch.path(), &head, &before).run(args);
        commands_nothing(&seen.all());
    }
}

#[test]
fn names_of_files_cannot_command_github_or_draw_in_its_summary() {
    let repo = Repo::new();
    let before = repo.image("good").commit("one");
    repo.write("good/##[error]![x](http://evil.example)<img src=x>|`::", "").write("good/a\n::error::x", "");
    let head = repo.commit("two");
    let scratch = tempfile::tempdir().unwrap();
    let (output, summary) = (scratch.path().join("output"), scratch.path().join("summary"));
    let seen = Hephy::at(repo.path())
        .github(scratch.path(), &head, &before)
        .env("GITHUB_OUTPUT", output.display().to_string())
        .env("GITHUB_STEP_SUMMARY", summary.display().to_string())
        .run(&["prepare", "--registry", "none"]);
    commands_nothing(&seen.succeeded().all());
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("\\!\\[x\\]") || summary.contains("!\\[x\\]"), "{summary}");
    for drawn in ["](http", "<img", "\n::error", "![x]"] {
        assert!(!summary.replace("\\]", "").replace("\\<", "").contains(drawn), "`{drawn}` in {summary}");
    }
    // Each output begins and ends with a mark of its own, and nothing stands between two outputs.
    let output = std::fs::read_to_string(output).unwrap();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        let (name, mark) = line.split_once("<<").unwrap();
        assert!(["plan", "dirs", "need_amd64", "need_arm64", "has_builds", "matrix"].contains(&name), "{name}");
        assert!(lines.any(|line| line == mark));
    }
}

#[test]
fn branches_and_values_of_variables_command_nothing() {
    let (repo, head) = one_image();
    let before = "0".repeat(40);
    for value in ["a\n::error::x", "\u{1b}[2J", "a%0A::set-output name=x::y", "--help", "$(touch x)", "\u{202e}"] {
        for name in ["CI_COMMIT_BRANCH", "CI_COMMIT_BEFORE_SHA", "CI_COMMIT_SHA", "CI_DEFAULT_BRANCH", "HEPHY_REGISTRY"]
        {
            let run = Hephy::at(repo.path()).gitlab(&head, &before).env("HEPHY_REGISTRY", "none").env(name, value);
            let seen = run.run(&["plan"]);
            commands_nothing(&seen.all());
            assert!(
                seen.code == 2 || name == "CI_DEFAULT_BRANCH" || value.contains(['%', '$', '\u{202e}']),
                "{name}={value:?}"
            );
        }
        let scratch = tempfile::tempdir().unwrap();
        for (name, value) in [("HEPHY_BACKEND", value.to_owned()), ("GITHUB_REF", format!("refs/heads/{value}"))] {
            let run = Hephy::at(repo.path()).github(scratch.path(), &head, &before).env(name, value);
            commands_nothing(&run.run(&["plan", "--registry", "none"]).all());
        }
    }
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn secrets_come_out_nowhere() {
    let (repo, head) = one_image();
    repo.git(&["remote", "add", "origin", "https://user:tok-SECRET@127.0.0.1:1/x.git"]);
    let missing = "deadbeef".repeat(5);
    let run = || {
        Hephy::at(repo.path())
            .gitlab(&head, &missing)
            .env("CI_JOB_TOKEN", "job-SECRET")
            .env("CI_REPOSITORY_URL", "https://gitlab-ci-token:job-SECRET@127.0.0.1:1/x.git")
            .env("HEPHY_REGISTRY", "127.0.0.1:1/x")
            .env("HEPHY_REGISTRY_USERNAME", "u")
            .env("HEPHY_REGISTRY_PASSWORD", "registry-SECRET")
            .env("GITHUB_TOKEN", "github-SECRET")
    };
    for args in [&["plan", "-v"][..], &["plan", "-v", "--format", "json"], &["prepare", "-v"], &["check", "-v"]] {
        let seen = run().run(args);
        assert!(!seen.all().contains("SECRET"), "{args:?}: {}", seen.all());
    }
    // A secret in the wrong variable is refused, and not repeated.
    for (name, value) in [
        ("HEPHY_REGISTRY", "https://user:pw-SECRET@h/x"),
        ("CI_COMMIT_BEFORE_SHA", "https://user:pw-SECRET@h/x"),
        ("HEPHY_BACKEND", "https://user:pw-SECRET@h/x"),
        ("HEPHY_REGISTRY", "job-SECRET/ job-SECRET"),
    ] {
        let seen = run().env(name, value).run(&["plan"]);
        assert!(seen.code == 2 && !seen.all().contains("SECRET"), "{name}: {}", seen.all());
    }
    let left = Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none"]);
    left.succeeded();
    let plan = std::fs::read_to_string(repo.path().join(".hephy/plan.json")).unwrap();
    assert!(!plan.contains("SECRET") && plan.contains("127.0.0.1:1/x"), "{plan}");
}
