//! A base that git can have from nowhere: the platform lists what changed, or everything is built and the reason says
//! so. Never silently nothing.

use serde_json::{Value, json as value};

use super::{BOTH, Kind, api, each_trouble, json, make_trouble, plan, project, recorded};
use crate::cli::{BEFORE, HEAD, Outcome, Project};
use crate::support::proxy::{Action, Proxy};

const EVERYTHING: [&str; 3] = ["a", "b", "c"];

fn answer(kind: Kind) -> Value {
    let name = if kind == Kind::Gitlab { "gitlab-compare" } else { "github-compare" };
    serde_json::from_str(&recorded(name, &[])).unwrap()
}

/// An API that answers each comparison with these files (path now, path before, status).
fn listing(kind: Kind, files: &[(&str, &str, &str)]) -> Proxy {
    let mut document = answer(kind);
    let files = files.iter().map(|(now, before, status)| match kind {
        Kind::Gitlab => value!({
            "old_path": before, "new_path": now, "new_file": *status == "added", "deleted_file": *status == "removed",
            "renamed_file": *status == "renamed", "diff": "",
        }),
        Kind::Github if *status == "renamed" => {
            value!({"filename": now, "previous_filename": before, "status": status})
        }
        Kind::Github => value!({"filename": now, "status": status}),
    });
    let field = if kind == Kind::Gitlab { "diffs" } else { "files" };
    document[field] = files.collect();
    let text = document.to_string();
    api(move |_| json(text.clone()))
}

/// The plan of a push whose previous commit is nowhere.
fn lost(project: &Project, kind: Kind, api: &Proxy) -> Outcome {
    plan(project, kind, BEFORE, api, &[])
}

#[test]
fn images_in_whose_reach_a_listed_path_lies_are_built_and_what_is_built_on_them() {
    let project = project();
    for kind in BOTH {
        let text = answer(kind).to_string();
        let api = api(move |_| json(text.clone()));
        let said = lost(&project, kind, &api).ok();
        assert_eq!(said.built(), ["b", "c"], "{said}");
        assert_eq!((said.reason("b").as_str(), said.reason("c").as_str()), ("b/file changed", "built on b"));
        let plan = said.json();
        assert_eq!(plan["source"]["base"], BEFORE);
        let comparison = plan["comparison"].as_str().unwrap();
        assert!(comparison.contains("the previous commit of the push (baadf00)"), "{comparison}");
        assert!(comparison.contains("list of changed files"), "{comparison}");
        assert_eq!(api.seen().len(), 1);
        let head = project.repo.head();
        let path = match kind {
            Kind::Gitlab => format!("/api/v4/projects/5/repository/compare?from={BEFORE}&to={head}&straight=true"),
            Kind::Github => format!("/repos/acme/images/compare/{BEFORE}...{head}?per_page=1"),
        };
        assert_eq!(api.seen()[0].path, path);
    }
}

#[test]
fn what_counts_is_never_missed() {
    let project = project();
    project.repo.write("a/README.md", "x").write("a/.dockerignore", "x").write("hephy.yaml", "ignore: ['**/*.txt']\n");
    project.repo.write("a/notes.txt", "x").write("moved/x", "x");
    project.repo.commit("more");
    for kind in BOTH {
        let built = |files: &[(&str, &str, &str)]| lost(&project, kind, &listing(kind, files)).ok().built();
        assert_eq!(built(&[]), Vec::<String>::new());
        assert_eq!(
            built(&[("a/README.md", "a/README.md", "modified"), ("a/notes.txt", "a/notes.txt", "modified")]),
            Vec::<String>::new()
        );
        assert_eq!(built(&[("a/gone", "a/gone", "removed")]), ["a"]);
        assert_eq!(built(&[("moved/x", "a/was", "renamed")]), ["a"], "the old end of a rename counts");
        assert_eq!(built(&[("a/.dockerignore", "a/.dockerignore", "modified")]), ["a"]);
        assert_eq!(built(&[("hephy.yaml", "hephy.yaml", "modified")]), EVERYTHING);
        let removed =
            lost(&project, kind, &listing(kind, &[("old/build-config.yaml", "old/build-config.yaml", "removed")]));
        assert_eq!(removed.ok().json()["removed"], value!(["old"]));
    }
}

#[test]
fn what_counts_lies_elsewhere_too() {
    let project = project();
    let versioned = "context_path: src\ndockerfile_path: Dockerfile\nversion_from: {file: VERSION}\n";
    project.image("v", &format!("{versioned}build_args: ['V=${{VERSION}}']\n")).image("tag", versioned);
    for dir in ["v", "tag"] {
        project.repo.write(format!("{dir}/VERSION"), "1.2.3\n").write(format!("{dir}/src/file"), "x");
    }
    // An ignore file behind a link.
    project.dockerfile(
        "a",
        "context_from: repository\ndockerfile_path: a/Dockerfile\n",
        "FROM scratch\nCOPY a/src /\n",
    );
    project.repo.write("a/src/file", "x").write("rules/ignored", "x").symlink("rules/ignored", ".dockerignore");
    // An image that is gone, and a tag that one has given up.
    let gone = "ARG ECR_REGISTRY\nARG GONE_TAG=1\nFROM ${ECR_REGISTRY}:${GONE_TAG}\nCOPY file /\n";
    project.dockerfile("on-gone", "", gone);
    project.dockerfile("on-tag", "", "ARG ECR_REGISTRY\nFROM ${ECR_REGISTRY}:b-stable\nCOPY file /\n");
    project.image_on("above", "on-gone", "");
    project.repo.commit("more");
    for kind in BOTH {
        let built = |files: &[(&str, &str, &str)]| lost(&project, kind, &listing(kind, files)).ok().built();
        let modified = |path| built(&[(path, path, "modified")]);
        assert_eq!(modified("v/VERSION"), ["v"]);
        assert_eq!(modified("tag/VERSION"), Vec::<String>::new(), "tags build nothing");
        assert_eq!(modified("rules/ignored"), ["a"]);
        let gone = built(&[("gone/build-config.yaml", "gone/build-config.yaml", "removed")]);
        assert_eq!(gone, ["above", "on-gone", "on-tag"]);
        let given_up = modified("b/build-config.yaml");
        assert_eq!(given_up, ["above", "b", "c", "on-gone", "on-tag"]);
    }
    project.repo.write("rules/all.yaml", "{}\n").symlink("rules/all.yaml", "hephy.yaml").commit("a link");
    let listed = listing(Kind::Github, &[("rules/all.yaml", "rules/all.yaml", "modified")]);
    let all = lost(&project, Kind::Github, &listed).ok().built();
    assert_eq!(all, ["a", "above", "b", "c", "on-gone", "on-tag", "tag", "v"]);
}

/// GitHub compares with where two commits parted: what the other side did since counts too.
#[test]
fn a_force_push_is_seen_from_both_sides() {
    let project = project();
    let head = project.repo.head();
    let mut forward = answer(Kind::Github);
    forward["status"] = value!("diverged");
    forward["files"] = value!([]);
    let mut back = forward.clone();
    back["files"] = value!([{"filename": "a/only-before", "status": "added"}]);
    let (forward, back) = (forward.to_string(), back.to_string());
    let api =
        api(move |seen| json(if seen.path.contains(&format!("{head}...")) { back.clone() } else { forward.clone() }));
    assert_eq!(lost(&project, Kind::Github, &api).ok().built(), ["a"]);
    assert_eq!(api.seen().len(), 2);
}

#[test]
fn a_list_that_is_cut_or_about_something_else_is_not_believed() {
    let project = project();
    let check = |kind, document: Value, words: &str| {
        let text = document.to_string();
        let api = api(move |_| json(text.clone()));
        let said = lost(&project, kind, &api).ok();
        assert_eq!(said.built(), EVERYTHING, "{words}: {said}");
        assert_eq!(said.stderr.matches(words).count(), 1, "{words}: {said}");
        assert!(said.reason("a").ends_with("and the platform did not say what changed"), "{words}: {said}");
        assert!(said.stderr.contains("everything is built"), "{said}");
    };
    let mut cut = answer(Kind::Github);
    cut["files"] = vec![cut["files"][0].clone(); 300].into();
    check(Kind::Github, cut, "does not list all that changed");
    let mut cut = answer(Kind::Gitlab);
    cut["compare_timeout"] = value!(true);
    check(Kind::Gitlab, cut, "does not list all that changed");
    for kind in BOTH {
        let odd = |name: &str| {
            let text = answer(kind).to_string().replace("b/file", name);
            serde_json::from_str::<Value>(&text).unwrap()
        };
        check(kind, odd("b/not-there"), "does not fit this commit");
        check(kind, odd("b/\u{fffd}"), "not UTF-8");
    }
}

#[test]
fn every_trouble_builds_everything_and_the_reason_says_so() {
    let project = project();
    each_trouble(&project, BEFORE, &[], true, |said, name| {
        assert_eq!(said.built(), EVERYTHING, "{name}: {said}");
        assert!(said.reason("a").contains("is gone and cannot be fetched"), "{name}: {said}");
        assert!(said.stderr.contains("everything is built, since git has no base"), "{name}: {said}");
    });
}

/// A shallow clone of a branch whose remote cannot be reached: the merge base is the platform's to find.
#[test]
fn a_merge_base_beyond_a_shallow_clone_is_asked_for_too() {
    let origin = project();
    origin.repo.git(&["checkout", "-q", "-b", "feature/x"]);
    origin.change("b/file");
    let shallow = Project::of(origin.repo.clone_with(&["--depth=1", "--branch=feature/x"]));
    shallow.repo.git(&["remote", "set-url", "origin", "file:///nowhere"]);
    let head = shallow.repo.head();
    for kind in BOTH {
        let text = answer(kind).to_string();
        let api = api(move |_| json(text.clone()));
        let (fixture, address) = match kind {
            Kind::Gitlab => ("gitlab-new-branch", ("CI_API_V4_URL", format!("http://{}/api/v4", api.address))),
            Kind::Github => ("github-new-branch", ("GITHUB_API_URL", format!("http://{}", api.address))),
        };
        let hephy = shallow.ci(fixture, &[(HEAD, &head)], ["plan", "--format", "json"]);
        let said = hephy.env(address.0, address.1).env("CI_PROJECT_ID", "5").run().ok();
        assert_eq!(said.built(), ["b", "c"], "{kind:?}: {said}");
        let path = match kind {
            Kind::Gitlab => format!("/api/v4/projects/5/repository/compare?from=main&to={head}&straight=false"),
            Kind::Github => format!("/repos/acme/images/compare/main...{head}?per_page=1"),
        };
        assert_eq!(api.seen()[0].path, path);
    }
}

#[test]
fn an_api_that_does_not_answer_is_asked_once_and_named_once() {
    let project = project();
    let silent = api(|_| make_trouble("slow"));
    let more = [("HEPHY_API_TIMEOUT", "1"), ("HEPHY_SINCE", "last-success")];
    let said = plan(&project, Kind::Gitlab, BEFORE, &silent, &more).ok();
    assert_eq!(said.built(), EVERYTHING, "{said}");
    assert_eq!(silent.seen().len(), 1, "{:?}", silent.seen());
    assert_eq!(said.stderr.matches("did not answer in time").count(), 1, "{said}");
    assert!(said.stderr.contains("which does not answer, was not asked again"), "{said}");
}

#[test]
fn a_developers_machine_asks_nobody() {
    let project = project();
    let api = api(|_| Action::status(500));
    let gone = BEFORE.to_owned();
    let hephy = project.hephy(["plan", "--base", &gone, "--format", "json"]);
    let said = hephy.env("GITHUB_API_URL", format!("http://{}", api.address)).run().ok();
    assert_eq!(said.built(), EVERYTHING);
    assert!(api.seen().is_empty());
}
