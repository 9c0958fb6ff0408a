//! CI systems that hephy does not know: nothing there says which runs may publish, and what came before.

use super::{behind, reused};
use crate::cli::{Hephy, Outcome, Project, manifest};
use crate::support::proxy::Action;

fn job<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    let hephy = project.hephy(args).env("CI", "true").env("HEPHY_BACKEND", "buildah");
    hephy.env("HEPHY_REGISTRY", project.registry())
}

fn publishing<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    job(project, args).env("HEPHY_PUBLISH", "always")
}

fn pipeline(job: impl Fn(&[&'static str]) -> Hephy) -> Outcome {
    let prepared = job(&["prepare", "--format", "json"]).run().ok();
    for args in [&["build", "--arch", "amd64"][..], &["manifest"]] {
        job(args).run().ok();
    }
    prepared
}

#[test]
fn a_run_of_which_nobody_said_so_publishes_nothing() {
    let project = Project::with(&["a"]);
    project.repo.git(&["checkout", "-q", "-b", "feature"]);
    project.change("a/file");
    let prepared = pipeline(|args| job(&project, args.iter().copied()));
    assert_eq!(prepared.json()["mode"], "check");
    assert_eq!(prepared.built(), ["a"]);
    assert!(prepared.stderr.contains("HEPHY_PUBLISH=always in the jobs of the default branch publishes"), "{prepared}");
    assert!(manifest(&project.registry(), "a-latest").is_none());
    assert!(manifest(&project.registry(), "a-head").is_none());
    // On the default branch there is nothing between it and itself, which is said.
    project.repo.git(&["checkout", "-q", "main"]);
    let prepared = job(&project, ["prepare", "--format", "json"]).env("HEPHY_PUBLISH", "never").run().ok();
    assert_eq!(prepared.built(), Vec::<String>::new());
    assert!(prepared.stderr.contains("the commit is on the default branch already"), "{prepared}");
    assert!(!prepared.stderr.contains("does not know this CI system"), "{prepared}");
    let wrong = job(&project, ["prepare"]).env("HEPHY_PUBLISH", "yes").run();
    wrong.fails(2, &["HEPHY_PUBLISH cannot be `yes`", "one of always, never"]);
}

#[test]
fn a_run_that_may_publish_compares_with_what_is_published() {
    let project = Project::with(&["a", "b"]);
    let first = pipeline(|args| publishing(&project, args.iter().copied()));
    assert_eq!(first.json()["mode"], "publish");
    assert_eq!(first.built(), ["a", "b"], "{first}");
    assert_eq!(first.reason("a"), "it was never published");
    assert!(manifest(&project.registry(), "a-head").is_some());
    let plan = || publishing(&project, ["plan", "--format", "json"]).run().ok();
    let again = plan();
    assert_eq!((again.built(), reused(&again)), (Vec::new(), Vec::new()), "{again}");
    project.change("a/file");
    assert_eq!(plan().reason("a"), "a/file changed");
    // A registry that cannot be read does not make the default branch its own base.
    let (_proxy, registry) = behind(&project, |_| Action::error(403, "DENIED", "no"));
    let blind = publishing(&project, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", registry).run().ok();
    assert_eq!(blind.built(), ["a", "b"], "{blind}");
    assert!(blind.stderr.contains("what is published could not be read"), "{blind}");
}

#[test]
fn a_detached_commit_that_the_default_branch_lacks_is_not_its_newest() {
    let origin = Project::with(&["a"]);
    let clone = origin.home.path().join("clone");
    let url = origin.repo.path().display().to_string();
    origin.repo.git(&["checkout", "-q", "-b", "release-1"]);
    origin.change("a/file");
    let branch = origin.repo.head();
    origin.repo.git(&["checkout", "-q", "main"]);
    origin.repo.git(&["clone", "-q", &url, &clone.display().to_string()]);
    let tags = |commit: &str| {
        origin.repo.git(&["-C", &clone.display().to_string(), "checkout", "-q", "--detach", commit]);
        let plan = publishing(&origin, ["plan", "--format", "json"]).dir(&clone).run().ok();
        plan.json()["images"][0]["tags"].to_string()
    };
    assert!(!tags(&branch).contains("a-head"), "{}", tags(&branch));
    assert!(tags(&origin.repo.head()).contains("a-head"));
}

#[test]
fn a_developers_machine_publishes_unless_somebody_says_otherwise() {
    let project = Project::with(&["a"]);
    let mode = |hephy: Hephy| hephy.env("HEPHY_BACKEND", "buildah").run().ok().json()["mode"].clone();
    let plan = || project.hephy(["plan", "--all", "--format", "json"]).env("HEPHY_REGISTRY", project.registry());
    assert_eq!(mode(plan()), "publish");
    assert_eq!(mode(plan().env("CI", "false")), "publish");
    assert_eq!(mode(plan().env("HEPHY_PUBLISH", "never")), "check");
    assert_eq!(mode(plan().env("CI", "woodpecker")), "check");
}
