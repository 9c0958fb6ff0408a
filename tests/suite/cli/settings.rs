//! Who decides where several may: registry, layout, builder, date (specification §3, §4 and §5).

use serde_json::Value;

use super::{BEFORE, HEAD, Hephy, Project};

fn plan(hephy: &Hephy) -> Value {
    hephy.run().ok().json()
}

#[test]
fn the_registry_is_the_flags_then_the_environments_then_hephy_yamls_then_the_platforms() {
    let project = Project::with(&["web"]);
    let words = ["plan", "--all", "--format", "json"];
    let registry = |hephy: Hephy| plan(&hephy)["registry"].as_str().map(str::to_owned);
    let some = |text: &str| Some(text.to_owned());
    let gitlab = |head: &str| project.ci("gitlab-push", &[(HEAD, head), (BEFORE, head)], words);
    let github = |head: &str| project.ci("github-push", &[(HEAD, head), (BEFORE, head)], words);
    let of_gitlab = |hephy: Hephy| hephy.env("CI_REGISTRY_IMAGE", "registry.gitlab.example/acme/images");

    let head = project.repo.head();
    assert_eq!(registry(project.hephy(words)), None);
    assert_eq!(registry(of_gitlab(gitlab(&head))), some("registry.gitlab.example/acme/images"));
    let mixed = github(&head).env("GITHUB_REPOSITORY", "Acme/Images");
    assert_eq!(registry(mixed), some("ghcr.io/acme/images"), "in lower case");

    project.repo.write("hephy.yaml", "registry: yaml.example/x\n");
    let head = project.repo.commit("hephy.yaml");
    let ci = || of_gitlab(gitlab(&head));
    assert_eq!(registry(ci()), some("yaml.example/x"));
    assert_eq!(registry(ci().env("ECR_REGISTRY", "ecr.example/x")), some("ecr.example/x"));
    let both = || ci().env("ECR_REGISTRY", "ecr.example/x").env("HEPHY_REGISTRY", "env.example/x");
    assert_eq!(registry(both()), some("env.example/x"));
    assert_eq!(registry(both().args(["--registry", "flag.example/x"])), some("flag.example/x"));
    assert_eq!(registry(both().args(["--registry", "none"])), None);
    // An empty variable is no registry: CI systems set variables that nobody gave a value.
    assert_eq!(registry(ci().env("ECR_REGISTRY", "").env("HEPHY_REGISTRY", "")), some("yaml.example/x"));
}

#[test]
fn the_builder_is_the_images_then_the_flags_then_hephy_yamls_then_kaniko_in_ci_and_else_the_first_found() {
    let project = Project::new();
    project.image("own", "build_backend: docker\n").image("web", "");
    let head = project.repo.commit("images");
    let words = ["plan", "--all", "--format", "json"];
    let builders = |hephy: Hephy| {
        let plan = plan(&hephy);
        let of = |at: usize| plan["images"][at]["backend"].as_str().unwrap().to_owned();
        (of(0), of(1))
    };
    let pair = |web: &str| ("docker".to_owned(), web.to_owned());
    assert_eq!(builders(project.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &head)], words)), pair("kaniko"));
    assert_eq!(builders(project.hephy(words).env("CI", "true")), pair("kaniko"));
    // A path with git and buildah and nothing else.
    let bin = project.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["git", "buildah"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), bin.join(tool)).unwrap();
    }
    assert_eq!(builders(project.hephy(words).env("PATH", &bin)), pair("buildah"));
    project.repo.write("hephy.yaml", "backend: buildkit\n");
    let head = project.repo.commit("hephy.yaml");
    let ci = || project.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &head)], words);
    assert_eq!(builders(ci()), pair("buildkit"));
    assert_eq!(builders(ci().env("HEPHY_BACKEND", "ko")), pair("ko"));
    assert_eq!(builders(ci().env("HEPHY_BACKEND", "ko").args(["--backend", "buildah"])), pair("buildah"));
    ci().env("HEPHY_BACKEND", "spin").run().fails(2, &["the builder `spin` builds no Dockerfiles"]);
}

#[test]
fn layout_platforms_and_dependents_of_hephy_yaml_are_defaults() {
    let project = Project::new();
    project.image("base", "").image_on("app", "base", "platforms: [linux/amd64]\n").image("lone", "");
    project.repo.write("hephy.yaml", "platforms: [linux/amd64, linux/arm64]\ndependents: none\nignore: ['lone/**']\n");
    let before = project.repo.commit("images");
    project.change("base/file");
    project.change("lone/file");
    let plan_of = |words: &[&'static str]| {
        let words = ["plan", "--format", "json"].into_iter().chain(words.iter().copied());
        project.range(&before, words.collect::<Vec<_>>()).run().ok()
    };
    let found = plan_of(&[]);
    assert_eq!(found.built(), ["base"]);
    let image = &found.json()["images"][0];
    assert_eq!(image["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(plan_of(&["--dependents", "all"]).built(), ["app", "base"]);
    assert_eq!(found.json()["layout"], "single");
    project.repo.write("hephy.yaml", "layout: per-image\nregistry: reg.example\n");
    project.repo.commit("layout");
    let words = ["plan", "--dir", "lone", "--format", "json"];
    let lone = plan(&project.hephy(words));
    assert_eq!((lone["layout"].as_str(), lone["registry"].as_str()), (Some("per-image"), Some("reg.example")));
    assert_eq!(
        plan(&project.hephy(words).env("HEPHY_LAYOUT", "single").env("HEPHY_REGISTRY", "r/x"))["layout"],
        "single"
    );
}

#[test]
fn the_date_is_utc_and_the_pipelines() {
    let project = Project::with(&["web"]);
    let head = project.repo.head();
    let date = |created: &str| {
        let words = ["plan", "--all", "--format", "json"];
        let hephy = project.ci("gitlab-push", &[(HEAD, &head), (BEFORE, &head)], words);
        plan(&hephy.env("CI_PIPELINE_CREATED_AT", created).env("TZ", "Asia/Tokyo"))["date"].clone()
    };
    assert_eq!(date("2025-10-15T23:59:59Z"), "20251015");
    assert_eq!(date("2025-10-16T01:30:00+02:00"), "20251015");
    assert_eq!(date("2025-10-15T23:30:00-01:00"), "20251016");
}

#[test]
fn insecure_all_is_warned_of_each_time_and_insecure_registries_is_a_list_of_hosts() {
    let project = Project::with(&["web"]);
    let registry = project.registry();
    let words: [&[&str]; 4] = [
        &["prepare", "--all", "--registry", &registry],
        &["build", "--arch", "amd64"],
        &["manifest"],
        &["run", "--all", "--registry", &registry],
    ];
    for words in words {
        for value in ["true", "false"] {
            let outcome = project.hephy(words.iter().copied()).env("HEPHY_INSECURE_ALL", value).run().ok();
            let warned = outcome.stderr.matches("warning: HEPHY_INSECURE_ALL: every registry may be").count();
            assert_eq!(warned, usize::from(value == "true"), "{outcome}");
        }
    }
    for wrong in ["a b", "https://a", "a/b", "-x"] {
        let prepare = project.hephy(["prepare", "--all", "--registry", &registry]);
        prepare.env("HEPHY_INSECURE_REGISTRIES", wrong).run().fails(2, &["HEPHY_INSECURE_REGISTRIES names"]);
    }
}

/// Neither an array, which says nothing of any field, nor an object that does not name the default branch is a guess.
#[test]
fn an_event_file_that_does_not_say_what_it_should() {
    let project = Project::with(&["a"]);
    let head = project.repo.head();
    let event = project.home.path().join("own-event.json");
    let plan = |text: &str| {
        std::fs::write(&event, text).unwrap();
        let hephy = project.ci("github-push", &[(HEAD, &head), (BEFORE, &head)], ["plan", "--format", "json"]);
        hephy.env("GITHUB_EVENT_PATH", event.display().to_string()).run()
    };
    for text in ["[]", r#"{"repository": []}"#] {
        plan(text).fails(2, &["the event file is malformed"]);
    }
    let said = plan("{}").ok();
    assert!(
        said.stderr.contains("which branch is the default one (repository.default_branch), so nothing is published"),
        "{said}"
    );
    assert_eq!(said.json()["mode"], "check");
}
