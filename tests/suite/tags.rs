//! `docs/tags.md`: the tables of events, refs and tags are what the code makes of the recorded events of both platforms.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use hephy::ci::{self, Env, Overrides};
use hephy::config::Layout;
use hephy::oci::{ImageName, Platform, Tag};
use hephy::plan::Mode;
use hephy::plan::tags::{GitTag, TagFacts, TagInput, Version};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Recorded events, and what people call them.
const EVENTS: [(&str, &str); 23] = [
    ("gitlab-push", "GitLab: push to the default branch"),
    ("gitlab-push-branch", "GitLab: push to another branch"),
    ("gitlab-merge-request-detached", "GitLab: merge request"),
    ("gitlab-merge-train", "GitLab: merge train"),
    ("gitlab-tag", "GitLab: git tag"),
    ("gitlab-schedule", "GitLab: schedule on the default branch"),
    ("gitlab-schedule-branch", "GitLab: schedule on another branch"),
    ("gitlab-web", "GitLab: by hand, API, trigger, on the default branch"),
    ("gitlab-web-branch", "GitLab: by hand, on another branch"),
    ("gitlab-web-tag", "GitLab: by hand, on a git tag"),
    ("github-push", "GitHub: push to the default branch"),
    ("github-push-branch", "GitHub: push to another branch"),
    ("github-pull-request", "GitHub: pull request"),
    ("github-merge-group", "GitHub: merge queue"),
    ("github-tag", "GitHub: git tag"),
    ("github-release", "GitHub: release"),
    ("github-schedule", "GitHub: schedule"),
    ("github-workflow-dispatch", "GitHub: by hand, on the default branch"),
    ("github-workflow-dispatch-branch", "GitHub: by hand, on another branch"),
    ("github-workflow-dispatch-tag", "GitHub: by hand, on a git tag"),
    ("github-repository-dispatch", "GitHub: repository dispatch"),
    ("github-workflow-run", "GitHub: after a workflow on the default branch"),
    ("github-workflow-run-fork", "GitHub: after a workflow of a fork"),
];

/// The same as one of the events above.
const LIKE_ANOTHER: [&str; 13] = [
    "gitlab-api",
    "gitlab-first-push",
    "gitlab-force-push",
    "gitlab-merge-request-child",
    "gitlab-merge-request-merged-result",
    "gitlab-new-branch",
    "gitlab-parent-pipeline",
    "gitlab-pipeline",
    "gitlab-trigger",
    "github-first-push",
    "github-force-push",
    "github-new-branch",
    "github-workflow-call",
];

/// Refused, publishing nothing whatever it is, or of no platform.
const OTHERS: [&str; 7] = [
    "github-pull-request-target",
    "github-issue-comment",
    "github-workflow-run-fork-push",
    "local",
    "other-ci",
    "other-ci-named",
    "other-ci-publish",
];

fn facts(fixture: &str, layout: Layout) -> (TagFacts, Mode) {
    let place = root().join("tests/fixtures/ci");
    let text = std::fs::read_to_string(place.join(format!("{fixture}.env"))).unwrap();
    let env: Env = text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let event = std::fs::read(place.join(format!("{fixture}.json"))).ok();
    let context = ci::context(&env, event.as_deref(), &Overrides::default()).unwrap();
    let commit = context.commit.map_or_else(|| "0".repeat(40), |commit| commit.to_string());
    let mode = context.mode;
    (TagFacts::of_pipeline(&context, commit, "20251015".into(), layout), mode)
}

fn tags(facts: &TagFacts, name: &str, upstream_ref: Option<&str>, additional: &[&str]) -> String {
    let name = ImageName::parse(name).unwrap();
    let version = match upstream_ref {
        Some(reference) => Version::of_upstream(reference, &[]),
        None => facts.tag.as_deref().and_then(GitTag::parse).map(|tag| tag.version),
    };
    let additional: Vec<String> = additional.iter().map(|tag| (*tag).to_owned()).collect();
    let found = facts.tags_of(&TagInput {
        name: &name,
        upstream_ref,
        version: version.as_ref(),
        template: None,
        additional: &additional,
        platforms: &[Platform::parse("linux/amd64").unwrap()],
    });
    found.unwrap().index.iter().map(Tag::as_str).map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(" ")
}

fn table(layout: Layout) -> String {
    let mut out = "| event | ref | `curl` | `kaniko` |\n|---|---|---|---|\n".to_owned();
    for (fixture, label) in EVENTS {
        let (facts, mode) = facts(fixture, layout);
        let reference =
            facts.tag.as_ref().or(facts.branch.as_ref()).map_or("–".to_owned(), |text| format!("`{text}`"));
        let (curl, kaniko) = match mode {
            Mode::Check => ("nothing".to_owned(), "nothing".to_owned()),
            Mode::Publish => (
                tags(&facts, "curl", None, &["latest", "semver", "${BRANCH_NAME}"]),
                tags(&facts, "kaniko", Some("v1.25.3"), &["semver"]),
            ),
        };
        let _ = writeln!(out, "| {label} | {reference} | {curl} | {kaniko} |");
    }
    out
}

#[test]
fn the_tables_of_events_refs_and_tags_are_what_the_code_does() {
    let path = root().join("docs/tags.md");
    let committed = std::fs::read_to_string(&path).unwrap();
    let mut wanted = committed.clone();
    for (layout, name) in [(Layout::Single, "single"), (Layout::PerImage, "per-image")] {
        let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
        let (before, rest) = wanted.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        wanted = format!("{before}{begin}\n{}\n{end}{after}", table(layout));
    }
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(committed == wanted, "docs/tags.md: HEPHY_BLESS=1 cargo test --test suite tags:: writes it anew");
    }
}

#[test]
fn every_recorded_event_is_in_the_tables_or_known_not_to_be() {
    let place = root().join("tests/fixtures/ci");
    let files = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let recorded: BTreeSet<String> = files.filter_map(|file| Some(file.strip_suffix(".env")?.to_owned())).collect();
    let listed = EVENTS.iter().map(|(fixture, _)| *fixture).chain(LIKE_ANOTHER).chain(OTHERS);
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert_eq!(recorded, listed);
    // What is said to be like another gives the same tags as the push or the merge request of its branch.
    for fixture in LIKE_ANOTHER {
        let (facts_of, mode) = facts(fixture, Layout::Single);
        let branch = facts_of.branch.as_deref().unwrap();
        let like = if branch == "main" { "gitlab-push" } else { "gitlab-push-branch" };
        let (other, other_mode) = facts(like, Layout::Single);
        assert_eq!(mode, other_mode, "{fixture}");
        let of = |facts: &TagFacts| tags(facts, "curl", None, &["latest", "semver", "${BRANCH_NAME}"]);
        assert_eq!(of(&facts_of), of(&other), "{fixture}");
    }
}
