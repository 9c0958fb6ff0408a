//! One recorded environment (and event file) per trigger of both platforms, and what follows from it.

use std::path::PathBuf;

use hephy::ci::{self, BaseSpec, CiContext, Env, Overrides, Target};

const TABLE: &str = "
gitlab-push                         push           publish  commit before
gitlab-push-branch                  push           check    commit before
gitlab-new-branch                   push           check    merge-base main
gitlab-first-push                   push           publish  nothing
gitlab-force-push                   push           publish  commit before
gitlab-merge-request-detached       merge_request  check    commit diff-base
gitlab-merge-request-merged-result  merge_request  check    first-parent target
gitlab-merge-train                  merge_request  check    first-parent target
gitlab-merge-request-child          merge_request  check    commit diff-base
gitlab-tag                          tag            publish  nothing
gitlab-schedule                     schedule       publish  nothing
gitlab-schedule-branch              schedule       publish  nothing
gitlab-web                          manual         publish  nothing
gitlab-web-branch                   manual         check    merge-base main
gitlab-web-tag                      tag            publish  nothing
gitlab-api                          manual         publish  nothing
gitlab-trigger                      manual         publish  nothing
gitlab-pipeline                     manual         publish  nothing
gitlab-parent-pipeline              other          publish  nothing
github-push                         push           publish  commit before
github-push-branch                  push           check    commit before
github-new-branch                   push           check    merge-base main
github-first-push                   push           publish  nothing
github-force-push                   push           publish  commit before
github-workflow-call                push           publish  commit before
github-tag                          tag            publish  nothing
github-release                      tag            publish  nothing
github-pull-request                 merge_request  check    first-parent target
github-merge-group                  merge_group    check    commit before
github-schedule                     schedule       publish  nothing
github-workflow-dispatch            manual         publish  nothing
github-workflow-dispatch-branch     manual         check    merge-base main
github-workflow-dispatch-tag        manual         publish  nothing
github-repository-dispatch          manual         publish  nothing
github-workflow-run                 workflow_run   publish  nothing
github-workflow-run-fork            workflow_run   check    nothing
github-workflow-run-fork-push       workflow_run   check    nothing
github-issue-comment                other          check    nothing
github-pull-request-target          refused
local                               local          publish  merge-base default
other-ci                            other          check    merge-base default
other-ci-named                      other          check    merge-base default
other-ci-publish                    other          publish  nothing
";

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ci")
}

fn read(name: &str) -> (Env, Option<Vec<u8>>) {
    let text = std::fs::read_to_string(fixtures().join(format!("{name}.env"))).unwrap();
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    let env = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (env, std::fs::read(fixtures().join(format!("{name}.json"))).ok())
}

fn context(name: &str) -> hephy::Result<CiContext> {
    let (env, event) = read(name);
    ci::context(&env, event.as_deref(), &Overrides::default())
}

fn describe(base: &BaseSpec) -> String {
    let known = |id: &str| match &id[..4] {
        "baad" => "before",
        "d1ff" => "diff-base",
        "7a26" => "target",
        _ => "unknown",
    };
    let target = |target: &Target| match target {
        Target::Commit(id) => known(&id.to_string()).to_owned(),
        Target::Branch(name) => name.clone(),
        Target::DefaultBranch => "default".into(),
        Target::Revision(text) => format!("revision {text}"),
    };
    match base {
        BaseSpec::Commit { id, .. } => format!("commit {}", known(&id.to_string())),
        BaseSpec::FirstParent { merge, target: into } => {
            assert!(merge.to_string().starts_with("c0ffee"));
            format!("first-parent {}", target(into))
        }
        BaseSpec::MergeBase(with) => format!("merge-base {}", target(with)),
        BaseSpec::Revision(text) => format!("revision {text}"),
        BaseSpec::Nothing(reason) => {
            assert!(!reason.is_empty());
            "nothing".into()
        }
    }
}

#[test]
fn every_trigger_has_its_mode_and_its_base() {
    for row in TABLE.lines().filter(|row| !row.is_empty()) {
        let mut words = row.split_whitespace();
        let name = words.next().unwrap();
        let expected = words.collect::<Vec<_>>().join(" ");
        let found = match context(name) {
            Ok(context) => {
                assert_eq!(context.commits_only, name != "local", "{name}");
                format!("{} {} {}", context.event.word(), context.mode.word(), describe(&context.base))
            }
            Err(error) => {
                assert_eq!(error.kind().exit_code(), 2);
                "refused".to_owned()
            }
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn every_fixture_is_in_the_table() {
    for entry in fixtures().read_dir().unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(TABLE.lines().any(|row| row.split(' ').next() == Some(&name)), "{name}");
    }
}

#[test]
fn what_else_is_known_is_told_and_credentials_are_not() {
    let gitlab = context("gitlab-push").unwrap();
    assert_eq!(gitlab.repository.as_deref(), Some("https://gitlab.example.com/acme/images"));
    assert_eq!(gitlab.created_at.as_deref(), Some("2025-10-15T23:59:30Z"));
    assert_eq!((gitlab.run_number, gitlab.reference()), (Some(42), Some("main")));
    assert!(!format!("{gitlab:?}").contains("glcbt-64_secret"));
    let github = context("github-pull-request").unwrap();
    assert_eq!(github.repository.as_deref(), Some("https://github.com/acme/images"));
    assert_eq!(github.run_url.as_deref(), Some("https://github.com/acme/images/actions/runs/7"));
    assert_eq!((github.branch.as_deref(), github.tag), (Some("feature/x"), None));
    assert_eq!(context("github-tag").unwrap().reference(), Some("v1.2.3"));
}

#[test]
fn a_base_that_is_no_commit_id_is_refused() {
    for wrong in ["main", "--upload-pack=touch /tmp/x", "HEAD^", "abc123", "$(id)"] {
        for (name, variable) in [
            ("gitlab-push", "CI_COMMIT_BEFORE_SHA"),
            ("gitlab-merge-request-detached", "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
            ("gitlab-merge-train", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA"),
        ] {
            let (mut env, _) = read(name);
            env.insert(variable.into(), wrong.into());
            let error = ci::context(&env, None, &Overrides::default()).unwrap_err();
            assert!(error.message().starts_with(&format!("{variable} is no commit id: ")), "{error}");
        }
        for (name, old) in
            [("github-push", "baadf00d"), ("github-merge-group", "baadf00d"), ("github-pull-request", "7a26e7")]
        {
            let (env, event) = read(name);
            let mut event: serde_json::Value = serde_json::from_slice(&event.unwrap()).unwrap();
            replace(&mut event, old, wrong);
            let event = serde_json::to_vec(&event).unwrap();
            assert!(ci::context(&env, Some(&event), &Overrides::default()).is_err(), "{name} {wrong}");
        }
    }
}

fn replace(value: &mut serde_json::Value, begins: &str, with: &str) {
    match value {
        serde_json::Value::String(text) if text.starts_with(begins) => *text = with.into(),
        serde_json::Value::Array(values) => values.iter_mut().for_each(|value| replace(value, begins, with)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, begins, with)),
        _ => {}
    }
}

#[test]
fn hostile_names_are_refused() {
    for (name, variable, value) in [
        ("gitlab-new-branch", "CI_DEFAULT_BRANCH", "main\nHEAD"),
        ("gitlab-push", "CI_COMMIT_BRANCH", "--all"),
        ("gitlab-tag", "CI_COMMIT_TAG", "a..b"),
        ("github-push", "GITHUB_REF", "refs/heads/a b"),
        ("github-pull-request", "GITHUB_HEAD_REF", "-x"),
        ("gitlab-push", "CI_PIPELINE_CREATED_AT", "yesterday"),
        ("gitlab-push", "CI_PIPELINE_IID", "-1"),
        ("github-push", "GITHUB_RUN_NUMBER", "1e9"),
    ] {
        let (mut env, event) = read(name);
        env.insert(variable.into(), value.into());
        assert!(ci::context(&env, event.as_deref(), &Overrides::default()).is_err(), "{variable}={value}");
    }
}

#[test]
fn the_command_line_wins_and_its_values_never_become_options() {
    let (env, event) = read("github-push");
    let with = |base: Option<&str>, merge_base: Option<&str>, head: Option<&str>| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let overrides = Overrides { base: text(base), merge_base: text(merge_base), head: text(head) };
        ci::context(&env, event.as_deref(), &overrides).map(|context| describe(&context.base))
    };
    assert_eq!(with(Some("v1"), None, None).unwrap(), "revision v1");
    assert_eq!(with(None, Some("main"), None).unwrap(), "merge-base revision main");
    assert!(with(Some("a"), Some("b"), None).is_err());
    assert!(with(Some("--output=x"), None, None).is_err());
    assert!(with(None, Some("-x"), None).is_err());
    assert!(with(None, None, Some("--all")).is_err());
    let head = Overrides { head: Some("HEAD".into()), ..Overrides::default() };
    assert!(ci::context(&Env::new(), None, &head).unwrap().commits_only);
    assert!(!ci::context(&Env::new(), None, &Overrides::default()).unwrap().commits_only);
}
