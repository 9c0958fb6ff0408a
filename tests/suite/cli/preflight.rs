//! What a builder would not build as written, told by check and plan before anything is built; and another builder in
//! its place (specification §8).

use super::Project;

/// What Kaniko passes over, in a stage that is built, and what it cannot do in one that is not.
const DOCKERFILE: &str = "FROM scratch AS unused\nRUN --mount=type=tmpfs,target=/t x\nFROM scratch\n\
                          COPY --exclude=*.md . /\n";

fn project() -> Project {
    let project = Project::new();
    project.dockerfile("web", "build_backend: kaniko\n", DOCKERFILE);
    project.repo.commit("images");
    project
}

#[test]
fn what_a_builder_passes_over_stops_the_plan_with_line_and_reason() {
    let project = project();
    let what = "web/Dockerfile:4:8: error: kaniko ignores `COPY --exclude`: the excluded files are copied";
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    assert!(
        checked.stdout.contains(what)
            && checked.stdout.contains("these can: buildkit from 0.25.0 on, buildah from 1.38.0 on"),
        "{checked}"
    );
    assert!(!checked.stdout.contains("tmpfs"), "an unused stage is nobody's business: {checked}");
    project.hephy(["plan", "--all"]).run().fails(3, &[what]);
    project.hephy(["plan", "--all"]).env("HEPHY_PREFLIGHT", "off").run().ok();
    project.hephy(["plan", "--all"]).env("HEPHY_PREFLIGHT", "never").run().fails(2, &["one of stop, reroute, off"]);
}

#[test]
fn the_declared_version_decides() {
    let project = Project::new();
    project.dockerfile("web", "build_backend: kaniko\n", "FROM scratch\nCOPY <<EOF /x\nhello\nEOF\n");
    project.repo.commit("images");
    project.hephy(["plan", "--all"]).run().ok();
    project.hephy(["plan", "--all"]).env("HEPHY_BACKENDS", "kaniko@1.25.4").run().ok();
    let old = project.hephy(["plan", "--all"]).env("HEPHY_BACKENDS", "kaniko@1.25.3").run();
    old.fails(
        3,
        &["web/Dockerfile:2:1: error: kaniko 1.25.3 cannot build a here-document", "kaniko can from version 1.25.4 on"],
    );
}

#[test]
fn reroute_takes_a_builder_that_can_and_the_key_is_its_own() {
    let project = project();
    project.repo.write("hephy.yaml", "preflight: reroute\n");
    project.repo.commit("reroute");
    let plan = |backends: &str| {
        let said = project.hephy(["plan", "--all", "--format", "json"]).env("HEPHY_BACKENDS", backends).run().ok();
        let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        plan["images"][0].clone()
    };
    // Buildah 1.28 knows no --exclude either.
    let image = plan("kaniko@1.28.3,buildah@1.28.2,buildkit");
    assert_eq!(image["backend"], "buildkit");
    assert_eq!(image["rerouted"]["from"], "kaniko");
    assert_eq!(
        image["rerouted"]["reason"],
        "web/Dockerfile:4: kaniko ignores `COPY --exclude`: the excluded files are copied"
    );
    assert_eq!(plan("kaniko@1.28.3,buildah@1.40.0")["backend"], "buildah");

    let said = project.hephy(["plan", "--all"]).env("HEPHY_BACKENDS", "kaniko,buildkit").run().ok();
    assert!(said.stdout.contains("buildkit (not kaniko)"), "{said}");
    assert!(said.stdout.contains("web/Dockerfile:4: kaniko ignores"), "{said}");

    // The same image by the same builder has the same key, however it came to it.
    project.repo.write(
        "web/build-config.yaml",
        "use_local_context: true\nignore: [web/build-config.yaml]\nbuild_backend: buildkit\n",
    );
    let chosen = plan("buildkit");
    project.repo.write(
        "web/build-config.yaml",
        "use_local_context: true\nignore: [web/build-config.yaml]\nbuild_backend: kaniko\n",
    );
    let rerouted = plan("kaniko,buildkit");
    assert_eq!((&chosen["input_key"], &chosen["rerouted"]), (&rerouted["input_key"], &serde_json::Value::Null));

    let none = project.hephy(["plan", "--all"]).env("HEPHY_BACKENDS", "kaniko@1.28.3,ko").run();
    none.fails(3, &["web/Dockerfile:4:8: error: kaniko ignores"]);
}

#[test]
fn secrets_need_a_builder_that_has_them_and_leave() {
    let project = Project::new();
    let secrets = "secrets: [{id: npm, env: NPM_TOKEN}]\n";
    project.image("web", &format!("build_backend: docker\n{secrets}"));
    project.repo.write("hephy.yaml", "secrets_env: [NPM_TOKEN]\n");
    project.repo.commit("images");
    let refused = project.hephy(["plan", "--all"]).run();
    refused.fails(
        3,
        &["web/build-config.yaml:3:10: error: the builder `docker` cannot take secrets", "buildah from 1.24.0 on"],
    );
    project.image("web", &format!("build_backend: buildah\n{secrets}"));
    let plan = project.hephy(["plan", "--all", "--format", "json"]).env("NPM_TOKEN", "correct-horse").run().ok();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["images"][0]["secrets"], serde_json::json!([{"id": "npm", "env": "NPM_TOKEN"}]));
    assert!(!plan.to_string().contains("correct-horse"));

    let key = |config: &str| {
        project.image("web", config);
        let plan = project.hephy(["plan", "--all", "--format", "json"]).run().ok();
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        plan["images"][0]["input_key"].as_str().unwrap().to_owned()
    };
    project.repo.write("hephy.yaml", "secrets_env: [NPM_TOKEN, OTHER]\nignore: ['**/build-config.yaml']\n");
    let of = |id: &str, name: &str| key(&format!("build_backend: buildah\nsecrets: [{{id: {id}, env: {name}}}]\n"));
    assert_eq!(of("npm", "NPM_TOKEN"), of("npm", "OTHER"), "where the value comes from builds nothing");
    assert_ne!(of("npm", "NPM_TOKEN"), of("other", "NPM_TOKEN"), "the id does");

    project.repo.write("hephy.yaml", "backend: buildah\n");
    let refused = project.hephy(["plan", "--all"]).run();
    refused.fails(3, &["hephy.yaml does not let builds see the variable NPM_TOKEN", "secrets_env: [NPM_TOKEN]"]);
}

#[test]
fn the_plan_carries_the_cache_and_the_key_does_not_know_it() {
    let project = Project::new();
    project.image(
        "web",
        "build_backend: buildkit\nplatforms: [linux/amd64, linux/arm64]\nignore: [web/build-config.yaml]\n",
    );
    project
        .image("api", "build_backend: docker\n")
        .image("own", "build_backend: kaniko\ncache: {repo: r.io/layers, ttl: 2h}\n");
    project.repo.commit("images");
    let plan = |variables: &[(&str, &str)]| {
        let mut hephy = project.hephy(["plan", "--all", "--format", "json", "--registry", "reg.example/acme"]);
        for (name, value) in variables {
            hephy = hephy.env(name, value);
        }
        let plan: serde_json::Value = serde_json::from_str(&hephy.run().ok().stdout).unwrap();
        let image =
            |name: &str| plan["images"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
        ["web", "api", "own"].map(image)
    };
    let [without, ..] = plan(&[]);
    assert!(without["cache"].is_null());
    let [web, api, own] = plan(&[("HEPHY_CACHE", "true")]);
    assert_eq!(web["cache"]["repository"], "reg.example/acme");
    let tags: Vec<&str> = ["amd64", "arm64"].map(|arch| web["cache"]["tags"][arch].as_str().unwrap()).to_vec();
    assert!(tags[0].starts_with("_cache.web.amd64.") && tags[1].starts_with("_cache.web.arm64."), "{tags:?}");
    assert_eq!(web["input_key"], without["input_key"]);
    assert!(api["cache"].is_null(), "docker has none");
    assert_eq!((&own["cache"]["repository"], &own["cache"]["ttl_seconds"]), (&"r.io/layers".into(), &7200.into()));
    let [web, ..] = plan(&[("HEPHY_CACHE", "true"), ("HEPHY_LAYOUT", "per-image")]);
    assert_eq!(web["cache"]["repository"], "reg.example/acme/web");
    // The template's input, turned on and left alone.
    assert!(!plan(&[("HEPHY_INPUT_CACHE", "true")])[0]["cache"].is_null());
    assert!(plan(&[("HEPHY_INPUT_CACHE", "false")])[0]["cache"].is_null());
    project.hephy(["plan", "--all"]).env("HEPHY_CACHE", "yes").run().fails(2, &["HEPHY_CACHE cannot be `yes`"]);

    project.image("api", "build_backend: docker\ncache: true\n");
    let checked = project.hephy(["check"]).run().ok();
    assert!(
        checked.stdout.contains("api/build-config.yaml:3:8: warning: `cache` does nothing with the builder `docker`"),
        "{checked}"
    );
}

/// What was asked for anew takes nothing from any cache; what lies on a base that moved has another input already.
#[test]
fn the_plan_says_whether_every_step_is_executed() {
    let project = Project::new();
    project.image("web", "build_backend: buildkit\n");
    project.repo.write("rebuild-weekly.txt", "web\n").commit("images");
    let run =
        |words: &[&str]| project.hephy(words.iter().copied()).env("HEPHY_REGISTRY", project.registry()).run().ok();
    let anew = |words: &[&str]| {
        let words: Vec<&str> = ["plan", "--format", "json"].iter().chain(words).copied().collect();
        run(&words).json()["anew"].clone()
    };
    assert_eq!(anew(&["--all"]), false);
    assert_eq!(anew(&["--all", "--force"]), true);
    assert_eq!(anew(&["--scheduled"]), true);
    let from = format!("{}/anew:1", crate::stale::world::address());
    let old = crate::stale::world::base("anew", "1", &[("linux/amd64", "old")]);
    project.dockerfile("web", "build_backend: buildkit\n", &format!("FROM {from}\n"));
    project.repo.commit("a base");
    crate::stale::world::publish(&project, "web", &serde_json::json!({ from: old }));
    crate::stale::world::base("anew", "1", &[("linux/amd64", "new")]);
    assert_eq!(anew(&["--scheduled", "--only-stale"]), false);
}

#[test]
fn no_image_can_have_a_tag_of_a_cache() {
    let project = Project::new();
    project
        .image("web", &format!("additional_tags: ['{}']\n", "0a".repeat(32)))
        .image("api", "tag_template: '_cache.{image}.{date}'\n");
    project.repo.write("hephy.yaml", "layout: per-image\n");
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    for part in [
        "web/build-config.yaml:2:19: error: ",
        "api/build-config.yaml:2:15: error: ",
        "looks like the tag of a layer cache",
    ] {
        assert!(checked.stdout.contains(part), "{part}: {checked}");
    }
}
