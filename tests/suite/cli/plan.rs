//! `hephy plan`: every trigger of both platforms (specification §6), and what the command line says instead.

use super::{BEFORE, DIFF_BASE, HEAD, Project, TARGET};

/// Images a, b, c; `main` changed b, a branch changed a, and the branch is merged.
struct History {
    project: Project,
    first: String,
    main: String,
    branch: String,
    merge: String,
}

fn history() -> History {
    let project = Project::with(&["a", "b", "c"]);
    let repo = &project.repo;
    let first = repo.head();
    repo.git(&["checkout", "-q", "-b", "feature/x"]);
    let branch = project.change("a/file");
    repo.git(&["checkout", "-q", "main"]);
    let main = project.change("b/file");
    repo.git(&["checkout", "-q", "--detach"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "feature/x"]);
    let merge = repo.head();
    History { project, first, main, branch, merge }
}

/// fixture, head, previous commit, mode, images that are built, part of the comparison
const TRIGGERS: &str = "
gitlab-push                        main   first  publish  b      the previous commit of the push
gitlab-push-branch                 branch first  check    a      the previous commit of the push
gitlab-merge-request-detached      branch -      check    a      the merge base with the target
gitlab-merge-request-merged-result merge  -      check    a      the first parent of the merge
gitlab-merge-train                 merge  -      check    a      the first parent of the merge
gitlab-merge-request-child         branch -      check    a      the merge base with the target
gitlab-new-branch                  branch -      check    a      the merge base with `main`
gitlab-first-push                  main   -      publish  a,b,c  everything: the first push
gitlab-tag                         main   -      publish  a,b,c  everything: a tag
gitlab-schedule                    main   -      publish  a,b,c  everything: a schedule
gitlab-push                        merge  main   publish  a      the previous commit of the push
github-push                        merge  main   publish  a      the previous commit of the push
gitlab-api                         main   -      publish  a,b,c  everything
gitlab-trigger                     main   -      publish  a,b,c  everything
gitlab-pipeline                    main   -      publish  a,b,c  everything
gitlab-parent-pipeline             main   -      publish  a,b,c  everything
github-repository-dispatch         main   -      publish  a,b,c  everything
github-workflow-dispatch-tag       main   -      publish  a,b,c  everything
github-workflow-run                main   -      publish  a,b,c  everything
github-workflow-run-fork           main   -      check    a,b,c  everything
github-issue-comment               main   -      check    a,b,c  everything
gitlab-web                         main   -      publish  a,b,c  everything
gitlab-web-branch                  branch -      check    a      the merge base with `main`
gitlab-web-tag                     main   -      publish  a,b,c  everything: a tag
github-push                        main   first  publish  b      the previous commit of the push
github-push-branch                 branch first  check    a      the previous commit of the push
github-pull-request                merge  -      check    a      the first parent of the merge
github-merge-group                 merge  main   check    a      the base of the merge group
github-new-branch                  branch -      check    a      the merge base with `main`
github-first-push                  main   -      publish  a,b,c  everything: the first push
github-tag                         main   -      publish  a,b,c  everything: a tag
github-release                     main   -      publish  a,b,c  everything: a tag
github-schedule                    main   -      publish  a,b,c  everything: a schedule
github-workflow-dispatch           main   -      publish  a,b,c  everything
github-workflow-dispatch-branch    branch -      check    a      the merge base with `main`
github-workflow-call               main   first  publish  b      the previous commit of the push
";

#[test]
fn every_trigger_builds_what_it_changed() {
    let it = history();
    for row in TRIGGERS.lines().filter(|row| !row.is_empty()) {
        let mut words = row.split_whitespace();
        let mut next = || words.next().unwrap();
        let (fixture, head, before, mode, built) = (next(), next(), next(), next(), next());
        let comparison = words.collect::<Vec<_>>().join(" ");
        let id = |name: &str| match name {
            "main" => it.main.clone(),
            "branch" => it.branch.clone(),
            "merge" => it.merge.clone(),
            "first" => it.first.clone(),
            _ => BEFORE.to_owned(),
        };
        let (head, before) = (id(head), id(before));
        it.project.repo.git(&["checkout", "-q", "--detach", &head]);
        let ids = [(HEAD, head.as_str()), (BEFORE, &before), (TARGET, &it.main), (DIFF_BASE, &it.first)];
        let outcome =
            it.project.ci(fixture, &ids, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", "none").run().ok();
        assert_eq!(outcome.built().join(","), built, "{fixture}");
        let plan = outcome.json();
        assert_eq!(plan["mode"], mode, "{fixture}");
        assert_eq!(plan["source"]["commit"], head.as_str(), "{fixture}");
        let said = plan["comparison"].as_str().unwrap();
        assert!(said.contains(&comparison), "{fixture}: {said}");
    }
    assert!(!it.project.path(".hephy").exists(), "plan writes nothing");
}

#[test]
fn a_force_push_compares_with_what_was_there_and_builds_everything_when_that_is_gone() {
    for platform in ["gitlab", "github"] {
        let project = Project::with(&["a", "b"]);
        let before = project.change("a/file");
        project.repo.git(&["reset", "-q", "--hard", "HEAD^"]);
        let head = project.change("b/file");
        let fixture = format!("{platform}-force-push");
        let ids = [(HEAD, head.as_str()), (BEFORE, before.as_str())];
        let outcome = project.ci(&fixture, &ids, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", "none").run().ok();
        assert_eq!(outcome.built(), ["a", "b"], "{platform}: the change to a was taken back");

        project.repo.git(&["reflog", "expire", "--expire=now", "--all"]);
        project.repo.git(&["gc", "-q", "--prune=now"]);
        let outcome = project.ci(&fixture, &ids, ["plan", "--format", "json"]).env("HEPHY_REGISTRY", "none").run().ok();
        assert_eq!(outcome.built(), ["a", "b"]);
        assert!(outcome.reason("a").contains("is gone and cannot be fetched"), "{outcome}");
    }
}

#[test]
fn a_shallow_clone_fetches_the_previous_commit() {
    let origin = Project::with(&["a", "b"]);
    let before = origin.repo.head();
    origin.change("README.md");
    let head = origin.change("b/file");
    let clone = Project::of(origin.repo.clone_with(&["--depth", "1"]));
    let hephy = clone.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &before)], ["plan", "--format", "json"]);
    let outcome = hephy.env("HEPHY_REGISTRY", "none").env("GIT_ALLOW_PROTOCOL", "file").run().ok();
    assert_eq!(outcome.built(), ["b"]);

    // Nothing may be fetched over a protocol that is not allowed: then everything is built, and the reason says so.
    let clone = Project::of(origin.repo.clone_with(&["--depth", "1"]));
    let hephy = clone.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &before)], ["plan", "--format", "json"]);
    let outcome = hephy.env("HEPHY_REGISTRY", "none").run().ok();
    assert_eq!(outcome.built(), ["a", "b"]);
    assert!(outcome.reason("a").contains("cannot be fetched"), "{outcome}");
}

#[test]
fn pull_request_target_is_refused() {
    let project = Project::with(&["a"]);
    project
        .ci("github-pull-request-target", &[], ["prepare"])
        .run()
        .fails(2, &["pull_request_target is refused", "use the event pull_request"]);
    assert!(!project.path(".hephy").exists());
}

#[test]
fn a_base_from_the_environment_is_a_full_id_or_zeros() {
    let project = Project::with(&["a"]);
    let head = project.repo.head();
    for wrong in ["main", "--output=/tmp/x", "HEAD^", "abc1234", "HEAD\n"] {
        let outcome = project.range(wrong, ["plan"]).env("CI_COMMIT_BEFORE_SHA", wrong).run();
        assert_eq!(outcome.code, 2, "{wrong}: {outcome}");
        assert!(outcome.stderr.contains("CI_COMMIT_BEFORE_SHA"), "{outcome}");
        let ids = [(HEAD, head.as_str()), (BEFORE, wrong)];
        let outcome = project.ci("github-push", &ids, ["plan"]).run();
        assert_eq!(outcome.code, 2, "{wrong}: {outcome}");
    }
}

#[test]
fn the_command_line_names_the_comparison() {
    let it = history();
    it.project.repo.git(&["checkout", "-q", "main"]);
    let built = |args: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(args.iter().copied());
        it.project.hephy(all).run().ok().built().join(",")
    };
    assert_eq!(built(&[]), "", "on the default branch nothing is newer than it");
    assert_eq!(built(&["--base", "HEAD^"]), "b");
    assert_eq!(built(&["--base", &it.first]), "b");
    assert_eq!(built(&["--base", "feature/x"]), "a,b");
    assert_eq!(built(&["--merge-base", "feature/x"]), "b");
    assert_eq!(built(&["--head=feature/x"]), "a");
    assert_eq!(built(&["--all"]), "a,b,c");

    // The working tree counts, untracked files too; with --head only commits do.
    it.project.repo.write("c/new", "x");
    assert_eq!(built(&[]), "c");
    assert_eq!(built(&["--head"]), "");
    // ... and neither CI nor --head changes the builder of a developer's machine, which is part of the key.
    let key = |args: &[&str]| {
        let all = ["plan", "--format", "json", "--all"].into_iter().chain(args.iter().copied());
        it.project.hephy(all).run().ok().json()["images"][0]["input_key"].clone()
    };
    assert_eq!(key(&[]), key(&["--head"]));
}

#[test]
fn revisions_that_are_none() {
    let project = Project::with(&["a"]);
    for flag in ["--base", "--merge-base"] {
        project.hephy(["plan", flag, "nowhere"]).run().fails(9, &["`nowhere` is no commit of this repository"]);
        for option in ["--output=x", "-x", ""] {
            let outcome = project.hephy(["plan", flag, option]).run();
            assert_eq!(outcome.code, 2, "{flag} {option}: {outcome}");
        }
    }
    project.hephy(["plan", "--head=nowhere"]).run().fails(9, &["`nowhere` is no commit"]);
    for (args, part) in [
        (&["plan", "--base", "HEAD", "--all"][..], "cannot be used with"),
        (&["plan", "--base", "HEAD", "--merge-base", "HEAD"], "cannot be used with"),
        (&["plan", "--all", "--dir", "a"], "cannot be used with"),
        (&["plan", "--dependents", "some"], "invalid value"),
    ] {
        let outcome = project.hephy(args.iter().copied()).run();
        assert_eq!(outcome.code, 2, "{outcome}");
        assert!(outcome.stderr.contains(part), "{outcome}");
    }
}

#[test]
fn head_belongs_to_the_default_branch() {
    let project = Project::with(&["a"]);
    let head = project.repo.head();
    let tags = |branch: &str| {
        let hephy = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--format", "json"]);
        let plan = hephy.env("CI_COMMIT_BRANCH", branch).env("CI_COMMIT_REF_NAME", branch).run().ok().json();
        assert_eq!(plan["mode"], "publish");
        plan["images"][0]["tags"].as_array().unwrap().iter().any(|tag| tag == "a-head")
    };
    assert!(tags("main"));
    assert!(!tags("side"));
}

#[test]
fn head_takes_a_revision_or_none() {
    let project = Project::with(&["a", "b"]);
    let first = project.repo.head();
    project.change("a/file");
    project.change("b/file");
    let built = |words: &[&'static str]| {
        let words = ["plan", "--format", "json", "--base", &first].into_iter().chain(words.iter().copied());
        project.hephy(words.collect::<Vec<_>>()).run().ok().built()
    };
    assert_eq!(built(&["--head", "HEAD~1"]), ["a"]);
    assert_eq!(built(&["--head=HEAD~1"]), ["a"]);
    project.repo.write("a/untracked", "");
    assert_eq!(built(&["--head"]), ["a", "b"]);
    assert_eq!(built(&[]), ["a", "b"]);
}
