//! Names and texts of strangers reach every file that a platform reads or shows, and change nothing there.

use std::path::Path;

use serde_json::Value;

use super::{Github, broken};
use crate::cli::{BEFORE, HEAD, Hephy, Project};

/// A branch and a tag that git takes.
const BRANCH: &str = "x/`id`$(touch${IFS}pwned)|<script>alert(1)</script>%0A#&{{7}}";
const TAG: &str = "v1|`id`<img/src=x>%0A,line=1";
/// A file and a message that it takes.
const FILE: &str =
    "a\n::error file=x::forged\n##[error]forged|<script>x</script>`$(id)`%0A::warning::\u{1b}[2J\u{202e}";
const MESSAGE: &str = "m\n::set-output name=plan::/etc/passwd\nHEPHY_HAS_BUILDS=false\n<script>";

/// No line of a log commands a runner or moves a cursor, but those of hephy's own.
#[track_caller]
fn log_is_sound(text: &str, on_github: bool) {
    for line in text.lines() {
        // Sections of GitLab are hephy's own as a whole line.
        let line = line.strip_prefix("\u{1b}[0Ksection_").map_or(line, |_| "");
        let own = ["::group::build ", "::endgroup::", "::error file=", "::error title=hephy", "::warning file="];
        let is_own = own.iter().any(|own| line.starts_with(own));
        assert!(!on_github || is_own || !line.trim_start().starts_with("::"), "{line:?}\n{text}");
        assert!(!on_github || !line.contains("##["), "{line:?}");
        assert!(!line.contains(['\u{1b}', '\r', '\u{202e}']), "{line:?}");
        assert!(!line.contains("%0A::warning") || line.contains("%250A"), "{line:?}");
    }
}

/// A summary in which nothing but hephy's own Markdown is markup.
#[track_caller]
fn markdown_is_sound(text: &str) {
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            // Code is code until its own fence, which no line of it is.
            Some(_) => {}
            None if line.ends_with("```text") => fence = line.strip_suffix("text"),
            None => {
                let plain = line.replace("\\\\", "").replace("\\|", "").replace("\\<", "").replace("\\`", "");
                assert!(!plain.contains('<') && !plain.contains('`'), "{line:?}\n{text}");
                if line.starts_with('|') {
                    let columns = plain.matches('|').count();
                    assert!(matches!(columns, 4 | 5 | 6 | 8), "{line:?} has {columns} bars\n{text}");
                }
                assert!(!line.starts_with("::"), "{line:?}");
            }
        }
    }
    assert_eq!(fence, None, "a fence is open\n{text}");
}

/// Only these files are there, and each that another job or the platform reads is sound.
#[track_caller]
fn files_are_sound(project: &Project) {
    for name in ["plan.md", "summary.md"] {
        if project.out(name).exists() {
            markdown_is_sound(&project.read(name));
        }
    }
    for (name, lines) in [("prepare.env", 3), ("manifest.env", 1)] {
        if project.out(name).exists() {
            let text = project.read(name);
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(text.lines().all(|line| line.starts_with("HEPHY_")), "{text}");
        }
    }
    for name in ["codequality.json", "images.json", "plan.json"] {
        if project.out(name).exists() {
            let text = project.read(name);
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        }
    }
    assert!(!Path::new("pwned").exists() && !project.path("pwned").exists());
}

/// A repository whose images are built, and fail, with hostile names in everything that may have one.
fn project() -> (Project, String) {
    let project = Project::new();
    project.image("ok", "").image("a b|`c`$(id)", "");
    broken(&project, "bad");
    let before = project.repo.commit("one");
    project.repo.git(&["checkout", "-q", "-b", BRANCH]);
    project.repo.write(Path::new("ok").join(FILE), "x");
    let dockerfile = "FROM scratch AS one\nCOPY busybox /bin/busybox\n\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \
                      \"echo '::error::f ```` </code><script> ##[error]%0A'; echo '```'; echo '``` | x'; exit 3\"]\n";
    project.repo.write("bad/Dockerfile", dockerfile);
    project
        .repo
        .write(Path::new("new\n::error::dir|<b>`x`").join("build-config.yaml"), "use_local_context: true\nx: 1\n");
    project.repo.commit(MESSAGE);
    project.repo.git(&["tag", TAG]);
    (project, before)
}

fn stages(project: &Project, on_github: bool, stage: impl Fn(&[&'static str]) -> Hephy) {
    let ok = stage(&["prepare", "--dir", "ok", "--dir", "bad"]).run().ok();
    log_is_sound(&format!("{}\n{}", ok.stdout, ok.stderr), on_github);
    files_are_sound(project);
    for (args, code) in [(&["build", "--arch", "amd64"][..], 1), (&["manifest"], 1), (&["prepare"], 3), (&["check"], 3)]
    {
        let outcome = stage(args).run();
        assert_eq!(outcome.code, code, "{args:?} {outcome}");
        log_is_sound(&format!("{}\n{}", outcome.stdout, outcome.stderr), on_github);
        files_are_sound(project);
    }
}

#[test]
fn on_github_nothing_is_forged() {
    let (project, before) = project();
    let github = Github::new();
    let stage =
        |args: &[&'static str]| github.step_of(&project, &[("main", BRANCH), (BEFORE, &before)], args.iter().copied());
    stages(&project, true, stage);
    markdown_is_sound(&github.read("summary"));
    let names: std::collections::BTreeSet<String> = github.outputs().into_iter().map(|(name, _)| name).collect();
    let known = ["dirs", "has_builds", "images", "matrix", "need_amd64", "need_arm64", "plan"];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
    assert_eq!((github.output("has_builds"), github.output("dirs")), ("true".into(), r#"["bad","ok"]"#.into()));
    assert!(github.output("plan").ends_with("/.hephy/plan.json"));
    let annotated = github.read("summary").matches("script").count();
    assert!(annotated > 0, "the names did reach the summary");
}

#[test]
fn on_gitlab_nothing_is_forged() {
    let (project, before) = project();
    let registry = project.registry();
    let stage = |args: &[&'static str]| {
        let ids = [("main", BRANCH), (HEAD, &project.repo.head()), (BEFORE, &before)];
        let job = project.ci("gitlab-push", &ids, args.iter().copied()).env("HEPHY_REGISTRY", &registry);
        let job = job.env("HEPHY_BACKEND", "buildah");
        job.env("CI_COMMIT_MESSAGE", MESSAGE).env("CI_COMMIT_TITLE", MESSAGE)
    };
    stages(&project, false, stage);
    let report: Value = serde_json::from_str(&project.read("codequality.json")).unwrap();
    let paths: Vec<&str> =
        report.as_array().unwrap().iter().map(|it| it["location"]["path"].as_str().unwrap()).collect();
    assert!(paths.iter().all(|path| !path.contains('\n')), "{paths:?}");
}

#[test]
fn a_hostile_tag_is_built_or_refused_and_forges_nothing() {
    let (project, _) = project();
    let head = project.repo.head();
    let words = ["prepare", "--dir", "ok"];
    for tag in [TAG, "v1\nHEPHY_HAS_BUILDS=false", "v1\n::error::forged"] {
        let job = project.ci("gitlab-tag", &[(HEAD, &head), (BEFORE, &head)], words).env("HEPHY_BACKEND", "buildah");
        let outcome = job.env("CI_COMMIT_TAG", tag).env("HEPHY_REGISTRY", project.registry()).run();
        assert!(matches!(outcome.code, 0 | 2 | 3), "{outcome}");
        log_is_sound(&outcome.stderr, false);
        files_are_sound(&project);
        let github = Github::new();
        let step = project.ci("github-tag", &[(HEAD, &head)], words).env("HEPHY_BACKEND", "buildah");
        let step = step.env("GITHUB_REF", format!("refs/tags/{tag}")).env("GITHUB_REF_NAME", tag);
        let files =
            ["OUTPUT", "STEP_SUMMARY"].map(|name| github.dir.path().join(name.replace("STEP_", "").to_lowercase()));
        let step = step.env("GITHUB_OUTPUT", &files[0]).env("GITHUB_STEP_SUMMARY", &files[1]);
        let outcome = step.env("HEPHY_REGISTRY", project.registry()).run();
        assert!(matches!(outcome.code, 0 | 2 | 3), "{outcome}");
        log_is_sound(&outcome.stderr, true);
        markdown_is_sound(&github.read("summary"));
        assert!(github.outputs().iter().all(|(name, value)| name != "has_builds" || value == "true"));
    }
}
