//! `hephy manifest --collect`, and the stages for several images by name.

use std::net::ToSocketAddrs as _;

use super::Github;
use crate::cli::{BEFORE, Hephy, Project, manifest, tags};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};

fn stage<'a>(project: &Project, registry: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    project.push(BEFORE, args).env("HEPHY_REGISTRY", registry)
}

#[test]
fn what_other_jobs_published_is_read_back_and_nothing_is_written() {
    let project = Project::with(&["a", "b", "c"]);
    let upstream = builders::registry().to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::start(upstream, |_| Action::Forward);
    let registry = format!("{}/{}", proxy.address, project.registry().split_once('/').unwrap().1);
    stage(&project, &registry, ["prepare", "--all"]).run().ok();
    stage(&project, &registry, ["build", "--arch", "amd64", "--image", "a", "--image", "b"]).run().ok();
    assert!(project.out("a-amd64.json").exists() && !project.out("c-amd64.json").exists());
    stage(&project, &registry, ["build", "--arch", "amd64", "--image", "c"]).run().ok();
    // Nothing is published yet: each image is named, and nothing is.
    let early = stage(&project, &registry, ["manifest", "--collect"]).run();
    early.fails(9, &["a was not published by this pipeline", "c was not published", "`manifest a` of the child"]);
    assert_eq!(project.read("images.json"), "{}\n");
    stage(&project, &registry, ["manifest", "--image", "a", "--image", "b"]).run().ok();
    stage(&project, &registry, ["manifest", "--collect"]).run().fails(9, &["c was not published by this pipeline"]);
    let some: serde_json::Value = serde_json::from_str(&project.read("images.json")).unwrap();
    assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"], "what is there is handed on");
    stage(&project, &registry, ["manifest", "--image", "c"]).run().ok();
    let own = ["a", "b", "c"].map(|image| project.read(&format!("{image}.manifest.json")));

    // The pipeline above has the plan, and none of the children's files.
    for image in ["a", "b", "c"] {
        for file in [format!("{image}-amd64.json"), format!("{image}-amd64.tag"), format!("{image}.manifest.json")] {
            std::fs::remove_file(project.out(&file)).unwrap();
        }
    }
    proxy.clear();
    let before = tags(&project.registry());
    let github = Github::new();
    let collect = github.step(&project, BEFORE, ["manifest", "--collect"]).env("HEPHY_REGISTRY", &registry).run().ok();
    assert!(collect.stdout.contains("a-head"), "{collect}");
    assert!(proxy.seen().iter().all(|seen| seen.method == "GET" || seen.method == "HEAD"), "{:?}", proxy.seen());
    assert_eq!(tags(&project.registry()), before);
    let mut expected = serde_json::Map::new();
    for (image, own) in ["a", "b", "c"].into_iter().zip(own) {
        let mut own: serde_json::Value = serde_json::from_str(&own).unwrap();
        for tag in own["tags"].as_array_mut().unwrap() {
            tag["state"] = "unchanged".into();
        }
        let read: serde_json::Value = serde_json::from_str(&project.read(&format!("{image}.manifest.json"))).unwrap();
        assert_eq!(read, own);
        let (digest, _) = manifest(&project.registry(), &format!("{image}-head")).unwrap();
        expected.insert(image.into(), format!("{registry}@{digest}").into());
    }
    let images: serde_json::Value = serde_json::from_str(&github.output("images")).unwrap();
    assert_eq!(images, serde_json::Value::Object(expected));
    assert_eq!(project.read("images.json").trim_end(), github.output("images"));
}

/// The tags of an earlier run are there, of the same day too; they are not this run's.
#[test]
fn an_image_of_an_earlier_run_is_not_taken_for_this_ones() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    for args in [&["prepare", "--all"][..], &["build", "--arch", "amd64"], &["manifest"], &["manifest", "--collect"]] {
        stage(&project, &registry, args.iter().copied()).run().ok();
    }
    // Another input; and the same input from another commit, built again because somebody asked for it.
    for change in ["a/file", "unrelated"] {
        project.change(change);
        stage(&project, &registry, ["prepare", "--all", "--force"]).run().ok();
        let outcome = stage(&project, &registry, ["manifest", "--collect"]).run();
        outcome.fails(9, &["a was not published by this pipeline", &format!("{registry} holds sha256:")]);
        assert_eq!(project.read("images.json"), "{}\n");
        stage(&project, &registry, ["build", "--arch", "amd64"]).run().ok();
        stage(&project, &registry, ["manifest"]).run().ok();
        stage(&project, &registry, ["manifest", "--collect"]).run().ok();
    }
}

#[test]
fn a_name_that_is_none_of_the_plans_stops_every_stage_before_it_begins() {
    let project = Project::with(&["a"]);
    let registry = project.registry();
    stage(&project, &registry, ["prepare", "--all"]).run().ok();
    for args in [
        &["build", "--arch", "amd64", "--image", "a", "--image", "zzz"][..],
        &["manifest", "--image", "a", "--image", "zzz"],
        &["manifest", "--collect", "--image", "zzz"],
    ] {
        stage(&project, &registry, args.iter().copied()).run().fails(9, &["zzz", "plan"]);
    }
    stage(&project, &registry, ["build", "--arch", "amd64", "--image", "a b"])
        .run()
        .fails(2, &["--image a b is no image name"]);
    assert_eq!(tags(&registry), Vec::<String>::new());
}
