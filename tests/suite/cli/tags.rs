//! Versions and tags in the plan of a pipeline.

use serde_json::Value;

use super::{HEAD, Hephy, Project};

/// hephy in the pipeline of a git tag.
fn tagged(project: &Project, tag: &str) -> Hephy {
    let head = project.repo.head();
    let hephy = project.ci("gitlab-tag", &[(HEAD, &head), ("v1.2.3", tag)], ["plan", "--format", "json", "--all"]);
    hephy.env("HEPHY_BACKEND", "buildah").env("CI_REGISTRY_IMAGE", project.registry())
}

fn pushed(project: &Project) -> Hephy {
    let head = project.repo.head();
    project.push(&head, ["plan", "--format", "json", "--all"])
}

fn image<'p>(plan: &'p Value, name: &str) -> &'p Value {
    plan["images"].as_array().unwrap().iter().find(|image| image["name"] == name).unwrap()
}

fn tags(plan: &Value, name: &str) -> Vec<String> {
    let tags = image(plan, name)["tags"].as_array().unwrap();
    tags.iter().skip(1).map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_git_tag_releases_every_image_or_the_one_that_it_names() {
    let project = Project::new();
    for dir in ["curl", "tools/jq"] {
        project.image(dir, "additional_tags: [semver, latest, '${BRANCH_NAME}']\n");
    }
    project.repo.commit("images");
    let plan = tagged(&project, "v1.2.3").run().ok().json();
    assert_eq!(tags(&plan, "curl"), ["curl-1.2.3", "curl-1.2", "curl-1", "curl-latest", "curl-head"]);
    assert_eq!(image(&plan, "tools-jq")["version"], "1.2.3");
    assert_eq!(plan["source"]["tag"], "v1.2.3");
    for (tag, name) in
        [("curl/v1.2.3-rc.1", "curl"), ("jq-v1.2.3-rc.1", "tools-jq"), ("tools/jq/v1.2.3-rc.1", "tools-jq")]
    {
        let plan = tagged(&project, tag).run().ok().json();
        let other = if name == "curl" { "tools-jq" } else { "curl" };
        assert_eq!(tags(&plan, name), [format!("{name}-1.2.3-rc.1"), format!("{name}-latest"), format!("{name}-head")]);
        assert_eq!(tags(&plan, other), [format!("{other}-latest"), format!("{other}-head")], "{tag}");
        assert_eq!(image(&plan, other).get("version"), None);
    }
    // Only a small `v` stands before a version.
    let plan = tagged(&project, "V1.2.3").run().ok().json();
    assert_eq!(tags(&plan, "curl"), ["curl-latest", "curl-head"]);
    assert_eq!(image(&plan, "curl").get("version"), None);
    // Outside a release `semver` gives nothing.
    let plan = pushed(&project).run().ok().json();
    assert_eq!(tags(&plan, "curl"), ["curl-latest", "curl-main", "curl-head"]);
}

#[test]
fn a_file_and_a_pattern_say_the_version() {
    let project = Project::new();
    project.image("curl", "additional_tags: [semver]\nversion_from: {file: VERSION}\nbuild_args: ['V=${VERSION}']\n");
    project.repo.write("curl/VERSION", "v8.5.0\n");
    project.dockerfile(
        "app",
        "tag_template: 'app-{major}.{minor}-{arch}'\nversion_from: {file: Dockerfile, pattern: '^ARG V=(\\S+)'}\n",
        "FROM scratch\nARG V=2.1.0-beta.2\nCOPY file /\n",
    );
    project.image(
        "whole",
        "context_from: repository\ncontext_path: whole\ndockerfile_path: whole/Dockerfile\n\
                            version_from: {file: package.json, pattern: '\"version\": \"(.*?)\"'}\n",
    );
    project.repo.write("package.json", "{\n  \"version\": \"3.0.0\"\n}\n");
    project.repo.commit("images");
    let plan = pushed(&project).run().ok().json();
    assert_eq!(tags(&plan, "curl"), ["curl-8.5.0", "curl-8.5", "curl-8", "curl-head"]);
    assert_eq!(image(&plan, "curl")["build_args"][0]["value"][0]["text"], "8.5.0");
    assert_eq!(image(&plan, "app")["tags"][0], "app-2.1");
    assert_eq!(image(&plan, "app")["arch_tags"]["amd64"], "app-2.1-amd64");
    assert_eq!(image(&plan, "whole")["version"], "3.0.0");
    // The file wins over the git tag, and is read from the commit in CI.
    project.repo.write("curl/VERSION", "9.9.9\n");
    assert_eq!(image(&tagged(&project, "v1.2.3").run().ok().json(), "curl")["version"], "8.5.0");
    let local = project.hephy(["plan", "--format", "json", "--all"]).run().ok().json();
    assert_eq!(image(&local, "curl")["version"], "9.9.9", "a developer's working tree counts");
}

#[test]
fn a_version_that_cannot_be_had_is_an_error_at_its_field() {
    let project = Project::new();
    let long = "x".repeat(256 << 10) + "y";
    project.repo.write("a/two", "1.2.3 1.2.4\n").write("a/long", &long).write("a/odd", "version: a b\n");
    project.repo.symlink("../../../etc/passwd", "a/out");
    for (field, place, message) in [
        ("version_from: {file: gone}", "2:22", "the version file `gone` does not exist"),
        ("version_from: {file: out}", "2:22", "the version file `out` leaves the source root"),
        ("version_from: {file: two}", "2:22", "a/two holds more than one word: a `pattern` says which is the version"),
        ("version_from: {file: long}", "2:22", "a/long has more than 256 KiB"),
        ("version_from: {file: odd, pattern: 'v(\\d+)'}", "2:36", "nothing in a/odd matches"),
        ("version_from: {file: odd, pattern: ': (.*)'}", "2:36", "`a b` in a/odd is no version"),
        ("additional_tags: ['${VERSION}']", "2:19", "`${VERSION}` has no value: the image has no version"),
        ("tag_template: '{image}-{version}'", "2:15", "`{version}` has no value: the image has no version"),
    ] {
        project.image("a", &format!("{field}\n"));
        project.repo.commit("image");
        let where_and_what = format!("a/build-config.yaml:{place}: error: {message}");
        pushed(&project).run().fails(3, &[&where_and_what]);
        // What a git tag gives is no mistake of the configuration.
        let checked = project.hephy(["check"]).run();
        assert_eq!(checked.stdout.contains(&where_and_what), field.starts_with("version_from"), "{field} {checked}");
    }
    project.repo.write(
        "a/build-config.yaml",
        "upstream_repo: https://h/x\nupstream_ref: main\nadditional_tags: ['${VERSION}']\n",
    );
    project.repo.commit("never");
    let checked = project.hephy(["check"]).run();
    assert!(
        checked.code == 3 && checked.stdout.contains("a/build-config.yaml:3:19: error: `${VERSION}` has no value"),
        "{checked}"
    );
}

#[test]
fn tags_that_versions_make_collide_like_others() {
    let project = Project::new();
    project.image("a", "additional_tags: [b-1.2]\n").image("a-b", "additional_tags: [semver]\n");
    project.repo.commit("images");
    let both = "`a` and `a-b` would both write the tag a-b-1.2";
    tagged(&project, "v1.2.3").run().fails(3, &[both]);
    tagged(&project, "a-b-v1.2.3").run().fails(3, &[both]);
    tagged(&project, "v2.0.0").run().ok();
    tagged(&project, "a-v1.2.3").run().ok();
    pushed(&project).run().ok();
    // Images whose versions stand in files, and layouts in which nothing can collide.
    project.image("a-b", "additional_tags: [semver]\nversion_from: {file: V}\n");
    project.repo.write("a-b/V", "1.2.9\n").commit("file");
    pushed(&project).run().fails(3, &[both]);
    let checked = project.hephy(["check"]).run();
    assert!(checked.code == 3 && checked.stdout.contains(both), "{checked}");
    pushed(&project).env("HEPHY_LAYOUT", "per-image").run().ok();
}

#[test]
fn a_version_in_build_arguments_is_part_of_what_is_built() {
    let project = Project::new();
    let config = "context_path: src\ndockerfile_path: Dockerfile\nversion_from: {file: VERSION}\n";
    project.image("arg", &format!("{config}build_args: ['V=v${{VERSION}}']\n")).image("tag", config);
    for dir in ["arg", "tag"] {
        project.repo.write(format!("{dir}/VERSION"), "1.2.3\n").write(format!("{dir}/src/file"), "x");
    }
    let before = project.repo.commit("images");
    // The files lie outside the contexts.
    project.repo.write("arg/VERSION", "1.2.4\n").write("tag/VERSION", "1.2.4\n");
    project.repo.commit("versions");
    let plan = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(plan.built(), ["arg"]);
    assert_eq!(plan.reason("arg"), "`build_args` changed");
    assert_eq!(plan.json()["images"][0]["build_args"][0]["value"][0]["text"], "v1.2.4");
}

#[test]
fn the_version_is_no_part_of_the_key() {
    let project = Project::new();
    project.image("curl", "additional_tags: [semver]\n");
    project.repo.commit("images");
    let key = |hephy: Hephy| image(&hephy.run().ok().json(), "curl")["input_key"].clone();
    let plain = key(pushed(&project));
    assert_eq!(key(tagged(&project, "v1.2.3")), plain);
    assert_eq!(key(tagged(&project, "v1.2.4")), plain);
}
