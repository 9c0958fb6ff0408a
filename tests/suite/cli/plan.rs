//! `hephy plan`: every trigger of both platforms (specification §6), and what the command line says instead.

use serde_json::Value;

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
fn a_deleted_image_is_removed_and_a_rename_counts_at_both_ends() {
    let project = Project::with(&["a", "b", "team/old"]);
    let before = project.repo.head();
    project.repo.remove("a").rename("team/old", "team/new");
    project.repo.commit("move");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["team-new"]);
    assert_eq!(outcome.json()["removed"], serde_json::json!(["a", "team/old"]));
    assert_eq!(outcome.reason("team-new"), "new image");

    // A file that moves from one image into another changes both.
    let before = project.repo.rename("b/file", "team/new/from-b").commit("move a file");
    let before = project.repo.git(&["rev-parse", &format!("{before}^")]);
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["b", "team-new"]);
    assert_eq!(outcome.reason("b"), "b/file deleted");
}

#[test]
fn odd_names_are_exact() {
    let project = Project::with(&["a", "with space", "b"]);
    let before = project.repo.head();
    for name in ["-rf", "a\nb", "quote\"'", "$(id)", "ünï", "*", "a;b"] {
        project.repo.write_bytes(format!("a/{name}").as_bytes(), b"x");
    }
    project.repo.write_bytes(b"b/\xff\xfe", b"x");
    project.repo.commit("odd names");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a", "b"]);

    // The directory itself: refused by name when it would be built, left alone otherwise.
    let before = project.change("with space/file");
    project.repo.write("-dash/file", "x");
    project.image("-dash", "");
    project.repo.commit("dash");
    let hephy = project.range(&before, ["plan"]);
    let outcome = hephy.run().fails(3, &[]);
    let finding = "-dash/build-config.yaml:1:1: error: this directory cannot name an image: `-dash` cannot begin a tag";
    assert!(outcome.stderr.contains(finding), "{outcome}");
    let outcome = project.range(&project.repo.head(), ["plan"]).run().ok();
    assert!(outcome.stderr.contains("warning: -dash cannot name an image and is left alone"), "{outcome}");
}

#[test]
fn a_file_below_nested_image_directories_counts_for_each() {
    let project = Project::with(&["a", "a/b", "a/b/c", "d"]);
    let before = project.repo.head();
    project.change("a/b/deep");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a", "a-b"]);
}

#[test]
fn an_invalid_configuration_fails_where_it_changed_and_warns_elsewhere() {
    let project = Project::with(&["a", "b"]);
    project.repo.write("b/build-config.yaml", "use_local_context: true\nplaforms: [linux/amd64]\n");
    let broken = project.repo.commit("break b");
    let before = project.repo.git(&["rev-parse", "HEAD^"]);
    let outcome = project.range(&before, ["prepare"]).run();
    let outcome = outcome.fails(3, &[]);
    assert_eq!(
        outcome.stderr,
        "b/build-config.yaml:2:1: error: unknown field `plaforms`\n  |\n2 | plaforms: [linux/amd64]\n  | ^^^^^^^^ did you \
         mean `platforms`?\n\nerror: one error keeps images from being built (config_error)\n\n\
         hint: begin at b/build-config.yaml:2; hephy check shows what else is wrong\n"
    );
    // A failure leaves the work directory as it was, but for the report that GitLab shows beside the code.
    let left = project.out("").read_dir().unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(left, ["codequality.json"]);

    project.change("a/file");
    let outcome = project.range(&broken, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.built(), ["a"]);
    let warning = "warning: b/build-config.yaml is invalid and left alone: unknown field `plaforms` (line 2)";
    assert!(outcome.stderr.contains(warning), "{outcome}");
}

#[test]
fn what_is_built_on_an_invalid_image_is_not_built_without_it() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "");
    project.repo.write("base/build-config.yaml", "nonsense: true\n");
    let broken = project.repo.commit("broken base");
    project.change("app/file");
    let outcome = project.range(&broken, ["plan"]).env("ECR_REGISTRY", "127.0.0.1:1/x").run();
    let outcome = outcome.fails(3, &[]);
    assert!(outcome.stderr.contains("base/build-config.yaml:1:1: error: unknown field `nonsense`"), "{outcome}");
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
fn directories_are_chosen_by_globs() {
    let project = Project::with(&["a", "team/one", "team/two", "team/deep/three", "b"]);
    let built = |args: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(args.iter().copied());
        project.hephy(all).run().ok().built().join(",")
    };
    assert_eq!(built(&["--dir", "a"]), "a");
    assert_eq!(built(&["--dir", "./team/one/"]), "team-one");
    assert_eq!(built(&["--dir", "team/*"]), "team-one,team-two");
    assert_eq!(built(&["--dir", "team/**"]), "team-deep-three,team-one,team-two");
    assert_eq!(built(&["--dir", "a", "--dir", "b"]), "a,b");
    project
        .hephy(["plan", "--dir", "team/on"])
        .run()
        .fails(9, &["--dir team/on matches no image directory", "did you mean team/one?"]);
    project.hephy(["plan", "--dir", "zzz/*"]).run().fails(9, &["--dir zzz/* matches no image directory"]);
    project.hephy(["plan", "--dir=-x"]).run().fails(9, &["--dir -x matches no image directory"]);
    let outcome = project.hephy(["plan", "--dir", "a["]).run();
    assert_eq!(outcome.code, 2, "{outcome}");
}

#[test]
fn a_change_travels_as_far_as_dependents_says() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "").image("other", "");
    let before = project.repo.commit("images");
    project.change("base/file");
    let built = |how: &[&str]| {
        let all = ["plan", "--format", "json"].into_iter().chain(how.iter().copied());
        project.range(&before, all).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().built().join(",")
    };
    assert_eq!(built(&[]), "base,mid,top");
    assert_eq!(built(&["--dependents", "all"]), "base,mid,top");
    assert_eq!(built(&["--dependents", "direct"]), "base,mid");
    assert_eq!(built(&["--dependents", "none"]), "base");
}

/// What is not built in this run is no reason.
#[test]
fn an_image_that_is_held_back_is_no_reason_for_another() {
    let project = Project::new();
    project.image("base", "").image_on("mid", "base", "").image_on("top", "mid", "");
    let before = project.repo.commit("images");
    project.repo.write("top/file", "changed\n");
    project.change("base/file");
    let plan = |dependents: &str| {
        let words = ["plan", "--format", "json", "--dependents", dependents];
        let json = project.range(&before, words).env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().json();
        let reasons = |image: &Value| -> Vec<String> {
            let reasons = image["reasons"].as_array().unwrap().iter();
            reasons.map(|reason| reason["text"].as_str().unwrap().to_owned()).collect()
        };
        let images = json["images"].as_array().unwrap();
        images.iter().find(|image| image["name"] == "top").map(reasons).unwrap()
    };
    assert_eq!(plan("all"), ["top/file changed", "built on mid"]);
    assert_eq!(plan("direct"), ["top/file changed", "built on mid"]);
    assert_eq!(plan("none"), ["top/file changed"]);
}

#[test]
fn a_schedules_list_that_is_a_link_or_empty_is_told_as_that() {
    let project = Project::with(&["a"]);
    project.repo.symlink("/etc/hostname", "rebuild-out.txt").symlink("gone.txt", "rebuild-gone.txt");
    project.repo.symlink("lists/real.txt", "rebuild-in.txt").write("lists/real.txt", "a\n");
    project.repo.write("rebuild-empty.txt", "# nothing yet\n\n");
    project.repo.commit("lists");
    let plan = |name: &str| project.hephy(["plan", "--scheduled", name, "--format", "json"]).run();
    for name in ["out", "gone"] {
        plan(name).fails(3, &[&format!("rebuild-{name}.txt is a symbolic link that leads to no file")]);
    }
    plan("nowhere").fails(3, &["there is no rebuild-nowhere.txt"]);
    assert_eq!(plan("in").ok().built(), ["a"]);
    let empty = plan("empty").ok();
    assert!(empty.built().is_empty(), "{empty}");
    assert!(empty.stderr.contains("rebuild-empty.txt names no image directory, so nothing is built"), "{empty}");
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
fn a_schedule_list() {
    let project = Project::with(&["a", "team/b", "c"]);
    project.repo.write("rebuild-weekly.txt", "# weekly\n\na\n  team/b/  # the big one\n");
    project.repo.write("rebuild-night.txt", "c\r\n");
    let head = project.repo.commit("lists");
    let built = |flag: &str| {
        let hephy = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--format", "json", flag]);
        hephy.run().ok()
    };
    assert_eq!(built("--scheduled").built(), ["a", "team-b"]);
    assert_eq!(built("--scheduled").reason("a"), "listed in rebuild-weekly.txt");
    assert_eq!(built("--scheduled=night").built(), ["c"]);
    // A name behind a space, as the specification writes it, and a list as other systems save it.
    let night = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--scheduled", "night", "--format", "json"]);
    assert_eq!(night.run().ok().built(), ["c"]);
    project.repo.write("rebuild-odd.txt", "\u{feff}# odd\r\n./a/\t# tab\r\n  team/b  #\r\n#c\r\n");
    let head = project.repo.commit("odd list");
    let odd = project.ci("gitlab-schedule", &[(HEAD, &head)], ["plan", "--format", "json", "--scheduled", "odd"]);
    assert_eq!(odd.run().ok().built(), ["a", "team-b"]);

    project.repo.write("rebuild-weekly.txt", "# weekly\na\n\nteam/d\n");
    let head = project.repo.commit("wrong list");
    let hephy = project.ci("gitlab-schedule", &[(HEAD, &head)], ["prepare", "--scheduled"]);
    let outcome = hephy.run().fails(3, &[]);
    assert!(
        outcome.stderr.contains("rebuild-weekly.txt:4:1: error: `team/d` is not an image directory")
            && outcome.stderr.contains("did you mean `team/b`?"),
        "{outcome}"
    );
    project.hephy(["plan", "--scheduled=none"]).run().fails(3, &["there is no rebuild-none.txt"]);
    project.hephy(["plan", "--scheduled=../x"]).run().fails(2, &[]);
}

#[test]
fn reasons_name_what_changed_and_no_more() {
    let project = Project::new();
    project.image("greeter", "build_args: {GREETING: hello}\n").image("plain", "");
    let before = project.repo.commit("images");
    project.repo.write("greeter/build-config.yaml", "use_local_context: true\nbuild_args: {GREETING: hi}\n");
    project.repo.write("plain/build-config.yaml", "# a comment\nuse_local_context: true\n");
    project.repo.commit("configuration");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.reason("greeter"), "`build_args` changed");
    assert_eq!(outcome.reason("plain"), "plain/build-config.yaml changed");
    project.change("greeter/file");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.reason("greeter"), "greeter/file changed; `build_args` changed");
}

#[test]
fn the_text_is_short_and_has_the_reason_beside_the_fact() {
    let project = Project::with(&["a", "b", "c"]);
    let first = project.repo.head();
    project.repo.git(&["checkout", "-q", "-b", "work"]);
    project.repo.remove("c");
    let head = project.change("a/file");
    let outcome = project.hephy(["plan"]).run().ok();
    let short = |id: &str| id[..7].to_owned();
    assert_eq!(
        outcome.stdout,
        format!(
            "hephy plan · publish · work {} · compared with the merge base with `main` ({})\n\n  build     a   linux/amd64   \
             buildah   a/file changed\n  removed   c                           its build-config.yaml went away; what was \
             published stays\n  skip      b                           unchanged\n\n1 to build in 1 wave: amd64 1.\n",
            short(&head),
            short(&first)
        )
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn explain_answers_why_and_why_not() {
    let project = Project::new();
    project.image("base", "ignore: ['base/docs/**']\n").image_on("app", "base", "").image("other", "");
    let before = project.repo.commit("images");
    project.repo.write("base/README.md", "x").write("base/docs/a.md", "x").write("other/README.md", "x");
    project.change("base/file");
    let explain = |dir: &str| {
        let hephy = project.range(&before, ["plan", "--explain", dir]);
        hephy.env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().stdout
    };
    let base = explain("base");
    assert!(base.starts_with("base will be built: base/file changed\n  was  "), "{base}");
    assert!(base.contains("\n  =   base/README.md   never counts\n"), "{base}");
    assert!(base.contains("\n  M   base/file"), "{base}");
    assert!(
        base.contains("\n  =   base/docs/a.md   excluded by ignore, base/build-config.yaml:2 (base/docs/**)\n"),
        "{base}"
    );
    assert!(base.ends_with("\nbuilt on it: app (ARG BASE_TAG, app/Dockerfile:3)\n"), "{base}");

    let app = explain("app/");
    assert!(app.starts_with("app will be built: built on base\n"), "{app}");
    assert!(app.contains("\n  ^   base   its key: "), "{app}");

    let other = explain("./other");
    assert!(other.starts_with("other is left alone: its input key is the same\n  key  "), "{other}");
    assert!(other.contains("\n  =   other/README.md   never counts\n"), "{other}");

    let hephy = project.range(&before, ["plan", "--explain", "othr"]);
    hephy.run().fails(9, &["othr is not an image directory", "did you mean other?"]);
    let json = project.range(&before, ["plan", "--explain", "base", "--format", "json"]).run().ok().json();
    assert_eq!(json["files"].as_array().unwrap().len(), 3);
    assert_eq!(json["built"], true);
}

impl super::Outcome {
    /// stderr holds this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "stderr lacks {part:?}\n{self}");
        self
    }
}

#[test]
fn ko_without_ko_config_builds_the_source_root() {
    let project = Project::new();
    project.repo.write("app/build-config.yaml", "build_backend: ko\n").write("app/main.go", "package main\n");
    project.image("web", "build_backend: buildah\nko_config: {import_path: ./x}\n");
    project.repo.commit("images");
    let plan = project.hephy(["plan", "--all", "--format", "json"]).run().ok().json();
    let ko = |at: usize| plan["images"][at]["ko"].clone();
    assert_eq!((ko(0)["import_path"].as_str(), ko(1).is_null()), (Some("."), true), "{plan}");
}

#[test]
fn two_directories_with_the_same_image_name_are_an_error_that_names_both() {
    let project = Project::with(&["a", "b"]);
    let same = |first: &str, second: &str, name: &str| format!("`{first}` and `{second}` are both named {name}");
    let before = project.repo.head();
    for dir in ["x/y", "x-y"] {
        project.image(dir, "");
    }
    project.repo.commit("a name twice");
    for command in ["plan", "prepare"] {
        project.range(&before, [command]).run().fails(3, &[&same("x/y", "x-y", "x-y")]);
    }
    std::fs::remove_dir_all(project.path("x-y")).unwrap();
    project.image("B", "");
    let before = project.repo.commit("names that differ in case only");
    // Tags differ in case; repositories cannot.
    let plan = project.range(&before, ["plan", "--all", "--format", "json"]).run().ok();
    assert_eq!(plan.built(), ["B", "a", "b", "x-y"]);
    let per_image = ["plan", "--all", "--layout", "per-image"];
    project.range(&before, per_image).run().fails(3, &[&same("b", "B", "b")]);
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

#[test]
fn the_base_of_an_image_is_that_of_the_stage_that_is_built() {
    let project = Project::new();
    let dockerfile = "FROM golang:1 AS build\nFROM alpine:3 AS run\nCOPY --from=build /a /a\nCOPY --from=busybox /b /b\n\
                      FROM scratch AS bare\nCOPY --from=build /a /a\n";
    project.dockerfile("run", "target: run\nko_config: {base_image: debian}\n", dockerfile);
    project.dockerfile("bare", "", dockerfile);
    project.dockerfile("arch", "platforms: [linux/amd64, linux/arm64]\n", "FROM alpine-${TARGETARCH}\n");
    project.repo.commit("images");
    let plan = project.hephy(["plan", "--all", "--format", "json"]).run().ok().json();
    let bases = |at: usize| {
        let all = plan["images"][at]["bases"].as_array().unwrap();
        let part = |underlying: bool| {
            let found = all.iter().filter(|base| base["underlying"] == underlying);
            found.map(|base| base["reference"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        (part(true), part(false))
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(bases(0), pair("alpine-amd64 alpine-arm64", ""));
    assert_eq!(bases(1), pair("", "golang:1"));
    assert_eq!(bases(2), pair("alpine:3", "golang:1 busybox"), "ko's base is none of another builder's");
}
