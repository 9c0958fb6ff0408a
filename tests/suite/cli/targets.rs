//! `targets`: several images out of one directory (specification §3).

use serde_json::{Value, json};

use super::{Outcome, Project, image_of, layer_files, manifest, tags};
use crate::support::repo::Repo;

const DOCKERFILE: &str = "FROM scratch AS base\nCOPY file /file\nFROM base AS app\nCOPY file /app\n\
                          FROM base AS debug\nCOPY file /debug\n";
const TARGETS: &str = "targets:\n- app\n- {target: debug, name: dbg, additional_tags: [latest]}\n\
                       additional_tags: [stable]\n";

/// `web`, which is `web-app` and `web-dbg`, and another image.
fn project() -> Project {
    let project = Project::new();
    project.dockerfile("web", TARGETS, DOCKERFILE).image("other", "");
    project.repo.commit("images");
    project
}

fn plan(project: &Project, args: &[&str]) -> Outcome {
    let all = ["plan", "--format", "json"].into_iter().chain(args.iter().copied());
    project.hephy(all).env("HEPHY_REGISTRY", "127.0.0.1:1/x").run()
}

fn image(outcome: &Outcome, name: &str) -> Value {
    let plan = outcome.json();
    plan["images"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == name)
        .unwrap_or_else(|| panic!("{outcome}"))
        .clone()
}

#[test]
fn each_target_is_an_image_with_tags_a_result_and_an_index_of_its_own() {
    let project = project();
    let registry = project.registry();
    let outcome = project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let all = tags(&registry);
    for tag in ["web-app-head", "web-app-stable", "web-dbg-head", "web-dbg-stable", "web-dbg-latest", "other-head"] {
        assert!(all.iter().any(|it| it == tag), "{tag} in {all:?}: {outcome}");
    }
    assert!(!all.iter().any(|it| it == "web-app-latest" || it.starts_with("web-debug") || it == "web-head"), "{all:?}");
    for (image, own, other) in [("web-app", "app", "debug"), ("web-dbg", "debug", "app")] {
        let files = layer_files(&registry, &image_of(&registry, &format!("{image}-head"), "amd64"));
        assert!(files.iter().any(|file| file == own) && !files.iter().any(|file| file == other), "{image}: {files:?}");
        let (_, index) = manifest(&registry, &format!("{image}-head")).unwrap();
        assert_eq!(index["annotations"]["dev.hephy.image"], image);
        for file in [format!("{image}-amd64.json"), format!("{image}.manifest.json"), format!("logs/{image}-amd64.log")]
        {
            assert!(project.out(&file).exists(), "{file}");
        }
    }
    assert_eq!(project.read("dirs.txt"), "other\nweb\n");
    let written: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    let stages: Vec<_> =
        written["images"].as_array().unwrap().iter().map(|it| (&it["target"], &it["targets"])).collect();
    let both = json!(["app", "debug"]);
    assert_eq!(stages, [(&json!(null), &json!([])), (&json!("app"), &both), (&json!("debug"), &both)]);
}

#[test]
fn a_change_reaches_the_targets_that_it_concerns() {
    let project = project();
    let built = |args: &[&str]| plan(&project, args).ok().built();
    assert_eq!(built(&["--all"]), ["other", "web-app", "web-dbg"]);
    assert_eq!(built(&["--dir", "web"]), ["web-app", "web-dbg"], "a directory is all its images");
    assert_eq!(built(&["--dir", "web-dbg"]), ["web-dbg"], "and a name is one");
    project.change("web/file");
    assert_eq!(built(&["--base", "HEAD^"]), ["web-app", "web-dbg"]);
    project.repo.write("rebuild-weekly.txt", "web\n").commit("a list");
    assert_eq!(built(&["--scheduled"]), ["web-app", "web-dbg"]);
    // Tags are no input, and neither is what the other images are.
    project.dockerfile("web", &TARGETS.replace("- app", "- app\n- base").replace("latest", "newest"), DOCKERFILE);
    project.repo.write("web/file", std::fs::read(project.path("web/file")).unwrap()).write("web/build-config.yaml", "");
    let config = format!("use_local_context: true\nignore: [web/build-config.yaml]\n{TARGETS}");
    project.repo.write("web/build-config.yaml", &config).write("web/file", "x").commit("ignored");
    project.repo.write("web/build-config.yaml", config.replace("- app", "- base\n- app")).commit("one more");
    let outcome = plan(&project, &["--base", "HEAD^"]).ok();
    assert_eq!((outcome.built(), outcome.reason("web-base")), (vec!["web-base".to_owned()], "new image".to_owned()));
    // And back: what is gone is said, and nothing is built.
    project.repo.write("web/build-config.yaml", config).commit("one less");
    let outcome = plan(&project, &["--base", "HEAD^"]).ok();
    assert_eq!((outcome.built(), outcome.json()["removed"].clone()), (Vec::<String>::new(), json!([])));
    assert!(outcome.stdout.contains("web no longer has the target base"), "{outcome}");
    project.repo.remove("web/build-config.yaml").commit("all gone");
    assert_eq!(plan(&project, &["--base", "HEAD^"]).ok().json()["removed"], json!(["web"]));
}

#[test]
fn an_explanation_is_of_every_image_of_the_directory_or_of_one_by_name() {
    let project = project();
    project.change("web/file");
    let explain = |args: &[&str]| {
        project.hephy(["plan", "--base", "HEAD^", "--explain"].into_iter().chain(args.iter().copied())).run().ok()
    };
    let both = explain(&["web"]).stdout;
    assert!(both.contains("web-app will be built") && both.contains("web-dbg will be built"), "{both}");
    let one = explain(&["web-dbg"]).stdout;
    assert!(one.contains("web-dbg will be built") && !one.contains("web-app"), "{one}");
    let json = explain(&["web", "--format", "json"]).json();
    let images: Vec<_> = json.as_array().unwrap().iter().map(|it| (&it["dir"], &it["target"], &it["image"])).collect();
    let (web, app, dbg) = (json!("web"), json!("app"), json!("dbg"));
    assert_eq!(images, [(&web, &app, &json!("web-app")), (&web, &dbg, &json!("web-dbg"))]);
}

#[test]
fn other_images_name_targets_by_their_variables_and_directories_mean_all_of_them() {
    let project = project();
    project.image_on("on", "web-dbg", "").image("after", "depends_on: [web]\n");
    project.repo.commit("more");
    let outcome = plan(&project, &["--all"]).ok();
    let names = |of: &str| -> Vec<Value> {
        image(&outcome, of)["dependencies"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
    };
    assert_eq!((names("on"), names("after")), (vec![json!("web-dbg")], vec![json!("web-app"), json!("web-dbg")]));
    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let files = layer_files(&registry, &image_of(&registry, "on-head", "amd64"));
    assert!(["file", "debug", "on"].iter().all(|file| files.iter().any(|it| it == file)), "{files:?}");
    let graph = project.hephy(["graph", "--format", "json"]).env("HEPHY_REGISTRY", &registry).run().ok().json();
    let drawn: Vec<_> = graph["images"].as_array().unwrap().iter().map(|it| (&it["name"], &it["dir"])).collect();
    assert!(drawn.contains(&(&json!("web-dbg"), &json!("web"))), "{drawn:?}");
}

#[test]
fn a_target_may_be_built_on_the_image_of_another_one_of_its_directory() {
    let project = Project::new();
    let dockerfile = "ARG ECR_REGISTRY WEB_BASE_TAG\nFROM scratch AS base\nCOPY file /base\n\
                      FROM $ECR_REGISTRY:$WEB_BASE_TAG AS app\nCOPY file /app\n";
    project.dockerfile("web", "targets: [app, base]\n", dockerfile);
    project.repo.commit("images");
    let outcome = plan(&project, &["--all"]).ok();
    assert_eq!(
        (image(&outcome, "web-base")["wave"].clone(), image(&outcome, "web-app")["wave"].clone()),
        (0.into(), 1.into())
    );
    let registry = project.registry();
    project.hephy(["run", "--all", "--registry", &registry]).run().ok();
    let files = layer_files(&registry, &image_of(&registry, "web-app-head", "amd64"));
    assert_eq!(files, ["base", "app"]);
    // In a circle it is one, as between directories.
    project.repo.write("web/Dockerfile", dockerfile.replace("FROM scratch AS", "FROM $ECR_REGISTRY:web-app-head AS"));
    project.repo.commit("a circle");
    let parts =
        ["in a circle: web-app → web-base → web-app", "web/Dockerfile:4 uses WEB_BASE_TAG", "web/Dockerfile:2 names"];
    plan(&project, &["--all"]).fails(3, &parts);
}

#[test]
fn a_remote_source_is_fetched_once_for_all_targets() {
    let upstream = Repo::new();
    upstream.write("Dockerfile", DOCKERFILE).write("file", "upstream").commit("a source");
    let project = Project::new();
    let url = upstream.url().replace(' ', "%20");
    let config = format!("upstream_repo: {url}\nupstream_ref: main\ntargets: [debug, app]\n");
    project.repo.write("site/build-config.yaml", config).commit("images");
    let registry = project.registry();
    let run = |args: &[&str]| {
        let hephy = project.hephy(args.iter().copied()).env("GIT_ALLOW_PROTOCOL", "file");
        hephy.env("HEPHY_REGISTRY", &registry).run().ok()
    };
    let outcome = run(&["prepare", "--all"]);
    assert_eq!(outcome.stderr.matches("fetching ").count(), 1, "{outcome}");
    let archives: Vec<String> = std::fs::read_dir(project.out(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-source.tar.gz"))
        .collect();
    assert_eq!(archives, ["site-app-source.tar.gz"].map(|_| archives[0].clone()), "one archive");
    let plan: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    for image in plan["images"].as_array().unwrap() {
        assert_eq!(image["source"]["archive"], archives[0].as_str());
    }
    run(&["build", "--arch", "amd64"]);
    run(&["manifest"]);
    assert!(manifest(&registry, "site-app-head").is_some() && manifest(&registry, "site-debug-head").is_some());
}

#[test]
fn what_names_no_stage_or_the_same_twice_is_found_at_its_place() {
    let project = Project::new();
    let targets = "targets:\n- app\n- {target: debugg, name: x}\n- 1\n";
    project.dockerfile("web", targets, DOCKERFILE);
    project.repo.commit("images");
    let parts = [
        "web/build-config.yaml:4:12: error: web/Dockerfile has no stage `debugg`",
        "did you mean `debug`?",
        "web/build-config.yaml:5:3: error: `app` and `1` are the same stage",
    ];
    plan(&project, &["--all"]).fails(3, &parts);
    let checked = project.hephy(["check"]).run();
    assert!(checked.code == 3 && parts.iter().all(|part| checked.stdout.contains(part)), "{checked}");
    // What is wrong with the file is said once, not for each of its images.
    project.dockerfile("web", "targets: [app, debug]\n", "FROM scratch AS app\nFROM a:$NOPE AS debug\nFROM app\n");
    project.repo.commit("broken");
    let outcome = plan(&project, &["--all"]).fails(3, &["web/Dockerfile:2"]);
    assert_eq!(outcome.stderr.matches("error: `NOPE` has no value here").count(), 1, "{outcome}");
    project.repo.write("web/Dockerfile", "FROM\n").commit("no Dockerfile");
    for outcome in [plan(&project, &["--all"]), project.hephy(["check"]).run()] {
        assert_eq!((outcome.code, outcome.to_string().matches("web/Dockerfile:1:").count()), (3, 1), "{outcome}");
    }
}

#[test]
fn names_and_tags_collide_between_targets_and_directories() {
    let project = project();
    project.image("web-app", "");
    project.repo.commit("a namesake");
    plan(&project, &["--all"]).fails(3, &["`web-app` and `web` are both named web-app"]);
    project.repo.remove("web-app/build-config.yaml");
    // `web` itself is no image here, and a sibling's tag may read like a target's.
    project.image("we", "additional_tags: [b-app-stable]\n").repo.commit("no collision yet");
    plan(&project, &["--all"]).ok();
    project.image("w", "additional_tags: [eb-app-stable]\n");
    project.image("web/app", "").repo.commit("the same with a slash");
    plan(&project, &["--all"]).fails(3, &["both named web-app"]);
    project.repo.remove("web/app/build-config.yaml");
    let tags = TARGETS.replace(
        "- app",
        "- {target: app, additional_tags: [x-latest]}\n- {target: base, name: app-x, additional_tags: [latest]}",
    );
    project.dockerfile("web", &tags, DOCKERFILE).repo.commit("a tag of two targets");
    plan(&project, &["--all"]).fails(3, &["would both write the tag web-app-x-latest"]);
}

#[test]
fn jobs_of_a_platform_are_made_for_each_target() {
    let project = project();
    let registry = project.registry();
    project.hephy(["prepare", "--all", "--registry", &registry]).run().ok();
    let github = project.hephy(["generate", "github"]).env("HEPHY_FANOUT", "image").run().ok().json();
    let legs: Vec<_> = github["waves"][0]["include"].as_array().unwrap().iter().map(|leg| &leg["leg"]).collect();
    assert_eq!(legs, [&json!("other-amd64"), &json!("web-app-amd64"), &json!("web-dbg-amd64")]);
    let gitlab = project.hephy(["generate", "gitlab"]).run();
    if gitlab.code == 0 {
        assert!(gitlab.stdout.contains("build web-dbg amd64"), "{gitlab}");
    }
    project.hephy(["build", "--arch", "amd64", "--image", "web-dbg"]).run().ok();
    assert!(project.out("web-dbg-amd64.tag").exists() && !project.out("web-app-amd64.tag").exists());
}
