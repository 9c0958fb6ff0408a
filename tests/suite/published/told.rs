//! Why: in terms of files and fields where a commit here has the published key, and in as much as is known elsewhere.

use super::*;

#[test]
fn the_published_commit_tells_what_the_range_does_not() {
    let project = Project::with(&["a", "b"]);
    pipeline(&project, BEFORE);
    let published = project.repo.head();
    project.repo.write("a/build-config.yaml", "use_local_context: true\nlabels: {x: y}\n").commit("a label");
    let before = project.change("b/file");
    project.change("unrelated");
    // The range has neither.
    let outcome = plan(&project, &before);
    assert_eq!(outcome.built(), ["a", "b"]);
    assert_eq!((outcome.reason("a"), outcome.reason("b")), ("`labels` changed".into(), "b/file changed".into()));

    let explain = stage(&project, &before, ["plan", "--explain", "b"]).run().ok();
    let at = format!("at {}, published as {}:b-head", &published[..7], project.registry());
    assert!(explain.stdout.contains("b will be built: b/file changed\n"), "{explain}");
    assert!(explain.stdout.contains(&at), "{explain}");
    assert!(explain.stdout.contains("  M   b/file"), "{explain}");
    let json = stage(&project, &before, ["plan", "--explain", "b", "--format", "json"]).run().ok().json();
    assert_eq!(json["published"], format!("{}:b-head", project.registry()));
    assert_eq!((&json["published_from"], &json["base"]), (&published.clone().into(), &published.into()));
    assert_ne!(json["key_was"], json["key_now"]);

    // A clone that does not have that commit says so much.
    let shallow = Project::of(project.repo.clone_with(&["--depth", "1"]));
    let outcome = stage(&shallow, BEFORE, ["plan", "--format", "json"]).env("CI_REGISTRY_IMAGE", project.registry());
    let outcome = outcome.run().ok();
    assert_eq!(outcome.built(), ["a", "b"]);
    let text =
        format!("its input key differs from the one published from {}", &json["published_from"].as_str().unwrap()[..7]);
    assert_eq!(outcome.reason("a"), text);
}

#[test]
fn what_is_left_alone_is_explained_too() {
    let project = Project::with(&["a"]);
    let before = project.repo.head();
    project.change("a/file");
    pipeline(&project, &before);
    // The range says that it changed; it is published already.
    let explain = stage(&project, &before, ["plan", "--explain", "a"]).run().ok();
    assert!(explain.stdout.starts_with("a is left alone: its input key is the same\n"), "{explain}");
    assert!(explain.stdout.contains(&format!("published as {}:a-head", project.registry())), "{explain}");
    let named = stage(&project, &before, ["plan", "--dir", "a", "--explain", "a"]).run().ok();
    assert!(named.stdout.starts_with("a is not built: what is published is used\n"), "{named}");
}

/// Each image was published from another commit, more of them than are read.
#[test]
fn many_commits_cost_a_few_comparisons() {
    let names: Vec<String> = (0..6).map(|at| format!("i{at}")).collect();
    let project = Project::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    pipeline(&project, BEFORE);
    for name in &names[1..] {
        let before = project.repo.head();
        project.change(&format!("{name}/file"));
        pipeline(&project, &before);
    }
    for name in &names {
        project.repo.write(format!("{name}/more"), "");
    }
    let before = project.repo.commit("more of everything");
    project.change("unrelated");
    let outcome = plan(&project, &before);
    assert_eq!(outcome.built(), names);
    let exact = names.iter().filter(|name| outcome.reason(name) == format!("{name}/more added")).count();
    let vague = "its input key differs from the one published from ";
    let vague = names.iter().filter(|name| outcome.reason(name).starts_with(vague)).count();
    // A commit tells the reasons of all images that were published from it or before.
    assert!(vague <= 2 && exact + vague == names.len(), "{outcome}");
}
