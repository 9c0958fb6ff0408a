//! `--only-stale`: what is rebuilt, and that afterwards nothing is stale.

use serde_json::json;

use super::show::stale;
use super::world::{BOTH, address, base, proxy, publish};
use crate::cli::{HEAD, Outcome, Project, image_of, layers};
use crate::support::proxy::Action;

fn run(project: &Project, words: &[&str]) -> Outcome {
    project.hephy(words.iter().copied()).env("HEPHY_REGISTRY", project.registry()).run()
}

/// The real pipeline: built on a base by Buildah, the base moved, rebuilt, and then fresh.
#[test]
fn a_moved_base_is_followed_by_what_lies_on_it_and_by_nothing_else() {
    let bases = Project::with(&["alpine"]);
    let publish_base = || drop(run(&bases, &["run", "--all", "--force"]).ok());
    publish_base();
    let repository = bases.registry();
    let from = format!("{repository}:alpine-head");
    let project = Project::new();
    project.dockerfile("curl", "", &format!("FROM {from}\nCOPY file /curl\n"));
    project.image_on("app", "curl", "").image("other", "").dockerfile("pinned", "", "FROM scratch\nCOPY file /f\n");
    project.repo.commit("images");
    run(&project, &["run", "--all"]).ok();
    let fresh = stale(&project, &[]).ok();
    assert!(fresh.stdout.starts_with("0 of 4 images are stale ("), "{fresh}");
    let nothing = run(&project, &["plan", "--all", "--only-stale", "--format", "json"]).ok();
    assert_eq!(nothing.built(), Vec::<String>::new());

    bases.change("alpine/file");
    publish_base();
    let said = stale(&project, &[]).ok();
    assert!(said.stdout.contains("stale   app    –             built on curl"), "{said}");
    assert!(said.stdout.contains("2 of 4 images are stale"), "{said}");
    let plan = run(&project, &["prepare", "--all", "--only-stale", "--format", "json"]).ok();
    assert_eq!(plan.built(), ["app", "curl"]);
    assert!(plan.reason("curl").starts_with(&format!("{from} moved (linux/amd64): sha256:")), "{plan}");
    assert_eq!(plan.reason("app"), "built on curl");
    assert_eq!(plan.json()["images"][0]["reasons"][0]["kind"], "stale");
    run(&project, &["run", "--all", "--only-stale"]).ok();
    let below = layers(&image_of(&repository, "alpine-head", "amd64"));
    let above = layers(&image_of(&project.registry(), "app-head", "amd64"));
    assert_eq!(above[..below.len()], below, "app lies on the base that moved");
    let fresh = stale(&project, &[]).ok();
    assert!(fresh.stdout.starts_with("0 of 4 images are stale ("), "{fresh}");
}

/// Curl is rebuilt on a base that breaks what is built on it: that one is tried again until it succeeds.
#[test]
fn an_image_whose_rebuild_failed_is_tried_again() {
    let bases = Project::new();
    bases.image("alpine", "").repo.commit("base");
    let publish_base = || drop(run(&bases, &["run", "--all", "--force"]).ok());
    publish_base();
    let counted = proxy(|_| Action::Forward);
    let project = Project::new();
    let of_project = format!("{}/{}", counted.address, project.registry().split_once('/').unwrap().1);
    project.dockerfile("curl", "", &format!("FROM {}:alpine-head\nCOPY file /curl\n", bases.registry()));
    let check = "COPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"test\", \"!\", \"-e\", \"/broken\"]\n";
    project.image_on("app", "curl", "");
    let dockerfile = std::fs::read_to_string(project.path("app/Dockerfile")).unwrap();
    project.repo.write("app/Dockerfile", format!("{dockerfile}{check}"));
    std::fs::copy(crate::support::builders::busybox(), project.path("app/busybox")).unwrap();
    project.repo.commit("images");
    run(&project, &["run", "--all"]).ok();
    assert!(run(&project, &["plan", "--all", "--only-stale", "--format", "json"]).ok().built().is_empty());

    bases.repo.write("alpine/broken", "");
    bases.repo.commit("break it");
    publish_base();
    let failed = run(&project, &["run", "--all", "--only-stale"]);
    assert_eq!(failed.code, 1, "{failed}");
    counted.clear();
    let words = ["plan", "--all", "--only-stale", "--format", "json"];
    let again = project.hephy(words).env("HEPHY_REGISTRY", &of_project).run().ok();
    assert_eq!(again.built(), ["app"], "{again}");
    assert!(again.reason("app").starts_with("curl was rebuilt since (linux/amd64): sha256:"), "{again}");
    assert_eq!(counted.count("GET", "/manifests/"), 2, "the two indexes: {:?}", counted.seen());
    let said = run(&project, &["stale"]).ok();
    assert!(said.stdout.contains("stale   app   –   curl was rebuilt since"), "{said}");
    assert!(said.stdout.contains("1 of 2 images is stale"), "{said}");

    bases.repo.remove("alpine/broken");
    bases.repo.commit("mend it");
    publish_base();
    run(&project, &["run", "--all", "--only-stale"]).ok();
    let fresh = run(&project, &["stale"]).ok();
    assert!(fresh.stdout.starts_with("0 of 2 images are stale"), "{fresh}");
    // An image that is rebuilt on what is published records that, and is as fresh.
    run(&project, &["run", "--dir", "app", "--force"]).ok();
    let fresh = run(&project, &["stale"]).ok();
    assert!(fresh.stdout.starts_with("0 of 2 images are stale"), "{fresh}");
}

#[test]
fn a_base_is_asked_for_once_for_the_decision_and_the_plan_alike() {
    let counted = proxy(|_| Action::Forward);
    let project = Project::new();
    let from = format!("{}/once:1", counted.address);
    let old = base("once", "1", &[(BOTH[0], "old")]);
    project.dockerfile("web", "", &format!("FROM {from}\nCOPY . /web\n"));
    project.repo.commit("web");
    publish(&project, "web", &json!({ from.clone(): old }));
    let new = base("once", "1", &[(BOTH[0], "new")]);
    let plan = run(&project, &["prepare", "--all", "--only-stale", "--format", "json"]).ok();
    assert_eq!(plan.json()["images"][0]["bases"][0]["digests"], new);
    assert_eq!(counted.count("GET", "/manifests/"), 1, "{:?}", counted.seen());
}

/// What a stage is built on is recorded under the platform that it names, whatever the image is built for.
#[test]
fn a_base_is_recorded_under_its_own_platform() {
    let project = Project::new();
    let from = format!("{}/own:1", address());
    let digests = base("own", "1", &[(BOTH[0], "a"), (BOTH[1], "b")]);
    let dockerfile = format!("FROM --platform=linux/amd64 {from} AS build\nFROM {from}\nCOPY --from=build /a /a\n");
    project.dockerfile("web", "platforms: [linux/arm64]\n", &dockerfile);
    project.repo.commit("web");
    let plan = run(&project, &["prepare", "--all", "--format", "json"]).ok().json();
    let bases = plan["images"][0]["bases"].as_array().unwrap();
    let recorded: Vec<_> = bases.iter().map(|base| base["digests"].clone()).collect();
    assert_eq!(recorded, [json!({ BOTH[0]: digests[BOTH[0]] }), json!({ BOTH[1]: digests[BOTH[1]] })]);
}

/// a and b lie on a base that moved, c is built on b, d on nothing.
fn listed(path: &str) -> Project {
    let project = Project::new();
    let from = format!("{}/{path}:1", address());
    let old = base(path, "1", &[(BOTH[0], "old")]);
    for dir in ["a", "b"] {
        project.dockerfile(dir, "", &format!("FROM {from}\n"));
        publish(&project, dir, &json!({ from.clone(): old.clone() }));
    }
    project.image_on("c", "b", "").image("d", "");
    for dir in ["c", "d"] {
        publish(&project, dir, &json!({}));
    }
    base(path, "1", &[(BOTH[0], "new")]);
    project
        .repo
        .write("rebuild-weekly.txt", "a\na # twice\n./a/\nd\n")
        .write("rebuild-chain.txt", "b\nc\nd\n")
        .write("rebuild-above.txt", "c\n")
        .write("rebuild-gone.txt", "a\n\ngone\n");
    project.repo.commit("images");
    project
}

#[test]
fn only_what_is_listed_and_stale_is_built() {
    let project = listed("listed-a");
    let built = |words: &[&str]| {
        let words: Vec<&str> = ["plan", "--only-stale", "--format", "json"].iter().chain(words).copied().collect();
        run(&project, &words).ok().built()
    };
    assert_eq!(built(&["--scheduled"]), ["a"]);
    assert_eq!(built(&["--scheduled", "chain"]), ["b", "c"]);
    assert_eq!(built(&["--scheduled", "above"]), Vec::<String>::new(), "b is not rebuilt, so c does not follow it");
    assert_eq!(built(&["--all"]), ["a", "b", "c"]);
    assert_eq!(built(&["--dir", "[bc]"]), ["b", "c"]);
    let text = run(&project, &["plan", "--scheduled", "--only-stale"]).ok();
    assert!(text.stdout.contains("the images listed in rebuild-weekly.txt, where bases have moved"), "{text}");
    run(&project, &["plan", "--scheduled", "gone", "--only-stale"]).fails(3, &["rebuild-gone.txt:3:1", "`gone`"]);
    run(&project, &["plan", "--only-stale"]).fails(2, &["does not say which images to look at"]);
    run(&project, &["plan", "--all", "--only-stale", "--force"]).fails(2, &["exclude each other"]);
}

#[test]
fn a_scheduled_pipeline_says_it_by_variable() {
    let project = listed("listed-b");
    let head = project.repo.head();
    let plan = |fixture: &str, pairs: &[(&str, &str)]| {
        let mut hephy = project.ci(fixture, &[(HEAD, &head)], ["plan", "--format", "json"]);
        hephy = hephy.env("HEPHY_REGISTRY", project.registry());
        pairs.iter().fold(hephy, |hephy, (name, value)| hephy.env(name, *value)).run()
    };
    let weekly = ("HEPHY_SCHEDULED", "weekly");
    assert_eq!(plan("gitlab-schedule", &[weekly]).ok().built(), ["a", "d"]);
    assert_eq!(plan("gitlab-schedule", &[weekly, ("HEPHY_ONLY_STALE", "true")]).ok().built(), ["a"]);
    assert_eq!(plan("gitlab-schedule", &[weekly, ("HEPHY_INPUT_ONLY_STALE", "true")]).ok().built(), ["a"]);
    assert_eq!(plan("gitlab-schedule", &[weekly, ("HEPHY_ONLY_STALE", "false")]).ok().built(), ["a", "d"]);
    // Without a list a schedule is about every image.
    assert_eq!(plan("gitlab-schedule", &[("HEPHY_ONLY_STALE", "1")]).ok().built(), ["a", "b", "c"]);
    plan("gitlab-schedule", &[weekly, ("HEPHY_ONLY_STALE", "maybe")]).fails(2, &["HEPHY_ONLY_STALE cannot be `maybe`"]);
    // What a push changed is built, whatever schedules do.
    let push = plan("github-push", &[("HEPHY_ONLY_STALE", "true")]).ok();
    assert_eq!(push.built(), ["a", "b", "c", "d"]);
}
