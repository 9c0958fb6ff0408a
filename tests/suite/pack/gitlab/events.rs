//! prepare → build → manifest of the quickstart, by event.

use super::world::{Event, World, of_job};
use crate::pack::emulated::NEW;

#[test]
fn what_each_event_builds_and_publishes() {
    let world = World::quickstart();
    world.repo.write("rebuild-weekly.txt", "# every Monday\nnotes  # small\n");
    let first = world.commit("Describe five images");

    let ran = world.run(Event::Push { before: NEW }).succeeded();
    assert_eq!(world.images(), ["base", "greeter", "notes", "report", "site"], "{}", ran.said);
    let tags = world.tags();
    for tag in ["base-latest", "base-head", "greeter-head", "notes-head", "report-head", "site-head"] {
        assert!(tags.iter().any(|it| it == tag), "{tag}: {tags:?}");
    }
    // Nobody needs arm64: its job says so and ends.
    ran.says(&["Nothing to build for arm64"]);
    assert_eq!(world.artifacts("build_arm64"), [""; 0]);
    // A build job hands on its own files and nothing that prepare made.
    let own =
        |name: &&str| [format!("logs/{name}-amd64.log"), format!("{name}-amd64.json"), format!("{name}-amd64.tag")];
    let mut expected: Vec<String> = ["base", "greeter", "notes", "report", "site"].iter().flat_map(own).collect();
    expected.sort();
    assert_eq!(world.artifacts("build_amd64"), expected);
    let kept = world.artifacts("manifest");
    for file in ["summary.md", "images.json", "base.manifest.json"] {
        assert!(kept.iter().any(|it| it == file), "{file}: {kept:?}");
    }

    // One changed directory: it, and nothing else.
    world.repo.write("notes/notes.txt", "changed\n");
    let second = world.commit("Change the notes");
    world.run(Event::Push { before: &first }).succeeded();
    assert_eq!((world.dirs().as_str(), world.images()), ("notes\n", vec!["notes".to_owned()]));

    // A schedule builds its list.
    let ran = world.run(Event::Schedule).succeeded();
    assert_eq!((world.dirs().as_str(), world.images()), ("notes\n", vec!["notes".to_owned()]));
    ran.says(&["rebuild-weekly.txt"]);

    // Nothing changed: every job runs, and has nothing to do.
    let ran = world.run(Event::Push { before: &second }).succeeded();
    assert_eq!(world.dirs(), "");
    ran.says(&["Nothing to build for amd64", "Nothing to publish: the plan builds nothing"]);

    // A merge request checks what it changes and what is built on that, and publishes nothing.
    world.repo.git(&["checkout", "-q", "-b", "change"]);
    world.repo.write("greeter/greet.sh", "echo changed\n");
    world.commit("Change the greeter");
    world.repo.git(&["checkout", "-q", "main"]);
    world.repo.git(&["merge", "-q", "--no-ff", "-m", "Merge result", "change"]);
    let before = world.tags();
    let ran = world.run(Event::MergeRequest).succeeded();
    assert_eq!(world.dirs(), "greeter\nreport\n");
    ran.says(&["Nothing to publish: a check run publishes nothing"]);
    assert_eq!((world.tags(), world.images()), (before, vec![]));
}

#[test]
fn a_failed_build_publishes_nothing_of_its_image_and_says_where() {
    let world = World::new();
    world.image("good", "linux/amd64", "FROM scratch\nCOPY text /text\n");
    world.image("broken", "linux/amd64", "FROM scratch\nCOPY nothing /text\n");
    // No runner here can run it: said before anything is built.
    world.image("foreign", "linux/amd64, linux/arm64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    let ran = world.run(Event::Push { before: NEW }).failed();
    ran.says(&["broken/Dockerfile:2", "broken was not published", "linux/arm64"]);
    // Where people look first: the end of each job.
    let last = |job: &str| of_job(&ran, job).lines().rev().take(12).map(str::to_owned).collect::<Vec<_>>().join("\n");
    for job in ["build_amd64", "build_arm64"] {
        assert!(last(job).contains("broken") || last(job).contains("foreign"), "{job}: {}", of_job(&ran, job));
    }
    assert!(
        last("manifest").contains("broken") && last("manifest").contains("foreign"),
        "{}",
        of_job(&ran, "manifest")
    );
    assert_eq!(world.images(), ["good"], "{}", ran.said);
    let tags = world.tags();
    assert!(tags.iter().any(|tag| tag == "good-latest"), "{tags:?}");
    for image in ["broken", "foreign"] {
        let moved = tags.iter().any(|tag| *tag == format!("{image}-latest") || *tag == format!("{image}-head"));
        assert!(!moved, "{image}: {tags:?}");
    }
    // A failed job keeps its artifacts: manifest, and people, read them.
    let kept = world.artifacts("build_amd64");
    assert!(kept.iter().any(|file| file == "logs/broken-amd64.log"), "{kept:?}");
    let summary = std::fs::read_to_string(world.artifact("manifest", "summary.md")).unwrap();
    assert!(summary.contains("broken") && summary.contains("good"), "{summary}");
}

#[test]
fn an_architecture_without_a_runner_is_said_by_prepare() {
    let world = World::new();
    world.image("both", "linux/amd64, linux/arm64", "FROM scratch\nCOPY text /text\n");
    world.commit("first");
    let unset = ["--variable", "CICD_TAG_ARM64="];
    let ran = world.emulate(Event::Push { before: NEW }, &[&unset[..], &["prepare"]].concat()).failed();
    ran.says(&["no job can build both for arm64", "HEPHY_ARCHES offers amd64", "set CICD_TAG_ARM64"]);
}
