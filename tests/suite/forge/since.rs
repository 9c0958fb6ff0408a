//! `--since last-success`: the commit of the branch's last successful pipeline is the base, and nothing else becomes it.

use super::{BOTH, HEAD, Kind, SUCCESS, TOKEN, api, each_trouble, json, plan, project, recorded};
use crate::cli::BEFORE;
use crate::support::proxy::{Action, Seen};

const SINCE: (&str, &str) = ("HEPHY_SINCE", "last-success");

/// Three commits: one whose pipeline succeeded, one whose pipeline failed, and the one that is built.
fn history() -> (crate::cli::Project, String, String) {
    let project = project();
    let success = project.repo.head();
    let failed = project.change("a/file");
    project.change("b/file");
    (project, success, failed)
}

fn runs(kind: Kind, ids: &[(&str, &str)]) -> String {
    recorded(if kind == Kind::Gitlab { "gitlab-pipelines" } else { "github-runs" }, ids)
}

#[test]
fn what_a_failed_pipeline_left_out_is_built_by_the_next_one() {
    let (project, success, failed) = history();
    for kind in BOTH {
        let answer = runs(kind, &[(SUCCESS, &success)]);
        let api = api(move |_| json(answer.clone()));
        assert_eq!(plan(&project, kind, &failed, &api, &[]).ok().built(), ["b", "c"], "the event alone");
        assert!(api.seen().is_empty(), "nobody asked");
        let said = plan(&project, kind, &failed, &api, &[SINCE]).ok();
        assert_eq!(said.built(), ["a", "b", "c"], "{kind:?}");
        assert_eq!(said.json()["source"]["base"], success.as_str());
        let comparison = said.json()["comparison"].as_str().unwrap().to_owned();
        assert!(comparison.contains("the last successful pipeline's commit"), "{comparison}");
        assert_eq!(api.seen().len(), 1);
    }
}

#[test]
fn each_platform_is_asked_as_it_documents() {
    let (project, success, failed) = history();
    let seen = |kind, more: &[(&str, &str)]| -> Seen {
        let answer = runs(kind, &[(SUCCESS, &success)]);
        let api = api(move |_| json(answer.clone()));
        plan(&project, kind, &failed, &api, more).ok();
        api.seen().remove(0)
    };
    let gitlab = seen(Kind::Gitlab, &[SINCE]);
    assert!(gitlab.path.starts_with("/api/v4/projects/5/pipelines?ref=main&status=success&"), "{}", gitlab.path);
    assert_eq!((gitlab.header("job-token"), gitlab.header("private-token")), (Some(TOKEN), None));
    let own = seen(Kind::Gitlab, &[SINCE, ("HEPHY_API_TOKEN", "an-own-token")]);
    assert_eq!((own.header("job-token"), own.header("private-token")), (None, Some("an-own-token")));
    let github = seen(Kind::Github, &[SINCE]);
    let path = "/repos/acme/images/actions/workflows/images.yml/runs?branch=main&event=push&status=success&";
    assert!(github.path.starts_with(path), "{}", github.path);
    assert_eq!(github.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
}

#[test]
fn the_flag_says_the_same_and_a_typed_base_comes_first() {
    let (project, success, failed) = history();
    let head = project.repo.head();
    let answer = runs(Kind::Gitlab, &[(SUCCESS, &success)]);
    let api = api(move |_| json(answer.clone()));
    let run = |words: &[&'static str], since: &str| {
        let words = ["plan", "--format", "json"].iter().chain(words).copied();
        let hephy = project.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &failed)], words);
        let hephy = hephy.env("CI_API_V4_URL", format!("http://{}/api/v4", api.address)).env("HEPHY_SINCE", since);
        hephy.env("HEPHY_PUBLISH", "never").run()
    };
    assert_eq!(run(&["--since", "last-success"], "").ok().built(), ["a", "b", "c"]);
    assert_eq!(run(&["--base", "HEAD"], "last-success").ok().built(), Vec::<String>::new());
    run(&[], "yesterday").fails(2, &["HEPHY_SINCE cannot be `yesterday`"]);
    assert_eq!(run(&["--since", "yesterday"], "").code, 2);
    assert_eq!(run(&["--since", "last-success", "--base", "HEAD"], "").code, 2);
    project.hephy(["plan", "--since", "last-success"]).run().fails(2, &["needs a pipeline of GitHub or GitLab"]);
}

#[test]
fn a_merge_request_and_a_tag_keep_their_own_base() {
    let (project, success, _) = history();
    let head = project.repo.head();
    let api = api(|_| Action::status(500));
    for fixture in ["gitlab-merge-request-detached", "gitlab-tag", "gitlab-schedule"] {
        let ids =
            [(HEAD, head.as_str()), (crate::cli::DIFF_BASE, success.as_str()), (crate::cli::TARGET, success.as_str())];
        let hephy = project.ci(fixture, &ids, ["plan", "--format", "json"]).env(SINCE.0, SINCE.1);
        let hephy = hephy.env("CI_API_V4_URL", format!("http://{}/api/v4", api.address)).env("HEPHY_PUBLISH", "never");
        hephy.run().ok();
        assert!(api.seen().is_empty(), "{fixture}");
    }
}

#[test]
fn no_successful_pipeline_yet_leaves_the_events_base() {
    let (project, _, failed) = history();
    for (kind, none) in [(Kind::Gitlab, "[]"), (Kind::Github, r#"{"total_count": 0, "workflow_runs": []}"#)] {
        let api = api(move |_| json(none));
        let said = plan(&project, kind, &failed, &api, &[SINCE]).ok();
        assert_eq!(said.built(), ["b", "c"]);
        assert!(said.stderr.contains("no pipeline of `main` was successful yet"), "{said}");
    }
}

#[test]
fn a_list_without_end_is_left_after_some_pages() {
    let (project, _, failed) = history();
    let pipeline = r#"{"id": 3, "sha": "x", "ref": "main", "status": "success", "source": "schedule"}"#;
    let page = format!("[{}]", vec![pipeline; 50].join(","));
    let api = api(move |_| json(page.clone()));
    let said = plan(&project, Kind::Gitlab, &failed, &api, &[SINCE]).ok();
    assert_eq!((said.built(), api.seen().len()), (vec!["b".to_owned(), "c".to_owned()], 3), "{said}");
}

/// As for a force push: the commit is gone everywhere, so everything is built, and the reason says so.
#[test]
fn a_commit_that_is_no_longer_in_the_history_builds_everything() {
    let (project, _, failed) = history();
    for kind in BOTH {
        let answer = runs(kind, &[]);
        let api = api(move |seen| match seen.path.contains("compare") {
            true => Action::status(404),
            false => json(answer.clone()),
        });
        let said = plan(&project, kind, &failed, &api, &[SINCE]).ok();
        assert_eq!(said.built(), ["a", "b", "c"]);
        assert!(said.reason("a").contains("is gone and cannot be fetched"), "{said}");
    }
}

#[test]
fn every_trouble_is_said_with_a_hint_and_leaves_the_events_base() {
    let (project, _, failed) = history();
    each_trouble(&project, &failed, &[SINCE], false, |said, name| {
        assert_eq!(said.built(), ["b", "c"], "{name}: {said}");
        assert!(said.stderr.contains("so the base of the event counts"), "{name}: {said}");
    });
}

#[test]
fn the_hint_of_a_refusal_names_the_token_that_would_do() {
    let (project, _, failed) = history();
    let api = api(|_| Action::status(403));
    let said =
        |kind, more: &[(&str, &str)]| plan(&project, kind, &failed, &api, &[&[SINCE], more].concat()).ok().stderr;
    assert!(said(Kind::Gitlab, &[]).contains("set HEPHY_API_TOKEN to a token with the scope read_api"));
    assert!(
        said(Kind::Gitlab, &[("HEPHY_API_TOKEN", "an-own-token")]).contains("HEPHY_API_TOKEN needs the scope read_api")
    );
    assert!(said(Kind::Github, &[]).contains("`actions: read`"));
}

/// A token crosses no network in the clear, and follows no redirect elsewhere.
#[test]
fn the_token_goes_to_the_apis_own_origin_only() {
    let (project, success, failed) = history();
    let elsewhere = api(|_| Action::status(500));
    let other = elsewhere.address;
    let sent_on = api(move |_| Action::Answer(307, vec![("Location".into(), format!("http://{other}/x"))], Vec::new()));
    let said = plan(&project, Kind::Github, &failed, &sent_on, &[SINCE]).ok();
    assert!(said.stderr.contains("sent on to another host"), "{said}");
    assert!(elsewhere.seen().is_empty());
    // Within the origin, as for a repository that was renamed.
    let answer = runs(Kind::Github, &[(SUCCESS, &success)]);
    let renamed = api(move |seen| match seen.path.starts_with("/repositories/5") {
        true => json(answer.clone()),
        false => Action::Answer(301, vec![("Location".into(), "/repositories/5".into())], Vec::new()),
    });
    assert_eq!(plan(&project, Kind::Github, &failed, &renamed, &[SINCE]).ok().built(), ["a", "b", "c"]);
    for (root, why) in [
        ("http://api.example.invalid", "is not https"),
        ("https://user:secret-password@api.example.invalid", "holds a credential"),
        ("nonsense", "is no URL"),
    ] {
        let said = plan(&project, Kind::Github, &failed, &elsewhere, &[SINCE, ("GITHUB_API_URL", root)]).ok();
        assert!(said.stderr.contains(why) && !said.stderr.contains("secret-password"), "{root}: {said}");
        assert_eq!(said.built(), ["b", "c"]);
    }
}

/// What is published decides, so nobody has to know what succeeded; unless the registry cannot be read.
#[test]
fn a_run_that_publishes_asks_only_where_the_registry_did_not_answer() {
    let (project, success, failed) = history();
    let registry = project.registry();
    let publishes = |registry: &'static str| [SINCE, ("HEPHY_PUBLISH", ""), ("HEPHY_REGISTRY", registry)];
    let refusing = api(|_| Action::status(401));
    let said = plan(&project, Kind::Github, &failed, &refusing, &publishes(registry.leak())).ok();
    assert!(refusing.seen().is_empty() && !said.stderr.contains("last successful"), "{said}");
    assert_eq!(said.json()["comparison"], "compared with what is published");
    for kind in BOTH {
        let answer = runs(kind, &[(SUCCESS, &success)]);
        let api = api(move |_| json(answer.clone()));
        let said = plan(&project, kind, &failed, &api, &publishes("127.0.0.1:1/none")).ok();
        assert_eq!((said.built(), api.seen().len()), (["a", "b", "c"].map(String::from).to_vec(), 1), "{said}");
        assert!(said.stderr.contains("so the comparison is with the last successful pipeline's commit"), "{said}");
    }
    let bad = [("HEPHY_SINCE", "yesterday"), ("HEPHY_PUBLISH", "")];
    plan(&project, Kind::Github, &failed, &refusing, &bad).fails(2, &["HEPHY_SINCE cannot be `yesterday`"]);
}
