//! The pages for new users, followed word for word from an empty repository. What cannot be had here (base images and
//! Kaniko from the network, machines of another architecture, another project on the same server) is replaced, each by
//! name, and whatever is replaced must stand in the page.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::emulated::{NEW, root};
use super::{github, gitlab};
use crate::support::builders::tool;
use crate::support::repo::Repo;

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn section<'a>(text: &'a str, title: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("there is no {title}"));
    rest.split("\n## ").next().unwrap()
}

/// The blocks of a language, without the indentation of the list that they stand in.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.find(&format!("```{language}")).filter(|at| line[..*at].trim().is_empty()) else {
            continue;
        };
        let block = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```"));
        let block: Vec<&str> = block.map(|line| line.get(indent..).unwrap_or_default()).collect();
        blocks.push(block.join("\n") + "\n");
    }
    blocks
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}\n{text}");
    text.replace(from, to)
}

/// The image of both pages.
fn hello(repo: &Repo, first: &str) {
    let config = blocks(first, "yaml").swap_remove(0).replace(", linux/arm64", "");
    repo.write("hello/build-config.yaml", config);
    let dockerfile = blocks(first, "dockerfile").swap_remove(0);
    repo.write("hello/Dockerfile", replaced(&dockerfile, "FROM busybox:1.37\n", "FROM scratch\nCOPY Dockerfile /\n"));
}

#[track_caller]
fn published(tags: &[String]) {
    for tag in ["hello-latest", "hello-head"] {
        assert!(tags.iter().any(|it| it == tag), "{tag}: {tags:?}");
    }
    let date = |tag: &String| tag.strip_prefix("hello-").is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit()));
    assert!(tags.iter().any(date), "{tags:?}");
}

#[test]
fn gitlabs_page_leads_to_the_first_image() {
    use gitlab::world::{Event, World};
    let text = page("docs/gitlab.md");
    let first = section(&text, "From nothing to the first image");
    let world = World::new();
    hello(&world.repo, first);
    let ci = replaced(
        &blocks(first, "yaml")[1],
        "$CI_SERVER_FQDN/GROUP/hephy/hephy@VERSION",
        "$CI_SERVER_FQDN/$CI_PROJECT_PATH/hephy@$CI_COMMIT_SHA",
    );
    // The project's own registry is a variable there.
    let builder = "inputs:\n      backend: buildah\n      builders: buildah\n";
    world.repo.write(".gitlab-ci.yml", replaced(&ci, "inputs:\n", builder));
    world.commit_as_it_is("Add the first image");
    let registry = format!("CI_REGISTRY_IMAGE={}/acme", world.registry.address);
    let own = [&["--variable", registry.as_str()][..], &gitlab::NO_TAG].concat();
    let ran = world.emulate(Event::Push { before: NEW }, &own).succeeded();
    for job in ["prepare", "build_amd64", "manifest"] {
        assert!(!gitlab::world::of_job(&ran, job).is_empty(), "{job}: {}", ran.said);
    }
    assert!(!ran.said.contains("build_arm64"), "{}", ran.said);
    published(&world.tags());
    for file in ["summary.md", "images.json"] {
        assert!(world.artifact("manifest", file).exists(), "{file}");
    }
}

#[test]
fn githubs_page_leads_to_the_first_image_and_its_first_pull_request() {
    use github::world::{Event, World, did};
    let text = page("docs/github.md");
    let first = section(&text, "From nothing to the first image");
    let world = World::new();
    world.repo.remove("a");
    hello(&world.repo, first);
    let called = "uses: OWNER/hephy/.github/workflows/hephy.yml@v0.1.0 # better: the commit of that version\n";
    let registry = world.registry();
    let here = format!(
        "uses: acme/hephy/.github/workflows/hephy.yml@v1\n    with: {{backend: buildah, registry: \"{registry}\"}}\n"
    );
    let workflow = replaced(&blocks(first, "yaml")[1], called, &here);
    world.repo.write(".github/workflows/images.yml", workflow);
    let base = world.repo.commit("Add the first image");
    let ran = world.run(&Event::Push { before: NEW }).succeeded();
    assert!(did(&ran, "prepare") && did(&ran, "build amd64") && did(&ran, "manifest"), "{}", ran.said);
    published(&world.tags());

    let before = world.tags();
    world.repo.git(&["checkout", "-q", "-b", "change"]);
    world.repo.write("hello/README.md", "# hello\n");
    world.repo.commit("Describe it");
    let ran = world.run(&Event::PullRequest { base: &base }).succeeded();
    assert!(!did(&ran, "check"), "{}", ran.said);
    world.repo.write("hello/Dockerfile", "FROM scratch\nCOPY README.md /\n");
    world.repo.commit("Change it");
    let ran = world.run(&Event::PullRequest { base: &base }).succeeded();
    assert!(did(&ran, "check amd64") && !did(&ran, "manifest"), "{}", ran.said);
    assert_eq!(world.tags(), before);
}

/// What people copy is YAML, and whole workflows among it pass the linter.
#[test]
fn the_examples_of_the_pages_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let (mut read, mut linted) = (0, 0);
    for path in ["README.md", "docs/github.md", "docs/gitlab.md", "docs/rebuilds.md"] {
        for block in blocks(&page(path), "yaml") {
            let value: Value = serde_yaml::from_str(&block).unwrap_or_else(|error| panic!("{path}: {error}\n{block}"));
            read += 1;
            if value["jobs"].is_object() && !value["on"].is_null() {
                linted += 1;
                let file = dir.path().join(format!("{linted}.yml"));
                std::fs::write(&file, &block).unwrap();
                lints(&file, path);
            }
        }
    }
    assert!(read >= 10 && linted >= 2, "{read} {linted}");
}

fn lints(file: &Path, page: &str) {
    let linted = Command::new(tool("actionlint")).arg("-no-color").arg(file).output().unwrap();
    assert!(linted.status.success(), "{page}: {}", String::from_utf8_lossy(&linted.stdout));
}
