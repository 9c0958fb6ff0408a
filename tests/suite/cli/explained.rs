//! `hephy plan`: what it tells people, and `--explain`.

use super::Project;

#[test]
fn reasons_name_what_changed_and_no_more() {
    let project = Project::new();
    project.image("greeter", "build_args: {GREETING: hello}\n").image("plain", "");
    let before = project.repo.commit("images");
    project.repo.write("greeter/build-config.yaml", "use_local_context: true\nbuild_args: {GREETING: hi}\n");
    project.repo.write("plain/build-config.yaml", "# a comment\nuse_local_context: true\n");
    project.repo.commit("configuration");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.reason("greeter"), "`build_args` changed");
    assert_eq!(outcome.reason("plain"), "plain/build-config.yaml changed");
    project.change("greeter/file");
    let outcome = project.range(&before, ["plan", "--format", "json"]).run().ok();
    assert_eq!(outcome.reason("greeter"), "greeter/file changed; `build_args` changed");
}

#[test]
fn the_text_is_short_and_has_the_reason_beside_the_fact() {
    let project = Project::with(&["a", "b", "c"]);
    let first = project.repo.head();
    project.repo.git(&["checkout", "-q", "-b", "work"]);
    project.repo.remove("c");
    let head = project.change("a/file");
    let outcome = project.hephy(["plan"]).run().ok();
    let short = |id: &str| id[..7].to_owned();
    assert_eq!(
        outcome.stdout,
        format!(
            "hephy plan · publish · work {} · compared with the merge base with `main` ({})\n\n  build     a   linux/amd64   \
             buildah   a/file changed\n  removed   c                           its build-config.yaml went away; what was \
             published stays\n  skip      b                           unchanged\n\n1 to build in 1 wave: amd64 1.\n",
            short(&head),
            short(&first)
        )
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn explain_answers_why_and_why_not() {
    let project = Project::new();
    project.image("base", "ignore: ['base/docs/**']\n").image_on("app", "base", "").image("other", "");
    let before = project.repo.commit("images");
    project.repo.write("base/README.md", "x").write("base/docs/a.md", "x").write("other/README.md", "x");
    project.change("base/file");
    let explain = |dir: &str| {
        let hephy = project.range(&before, ["plan", "--explain", dir]);
        hephy.env("ECR_REGISTRY", "127.0.0.1:1/x").run().ok().stdout
    };
    let base = explain("base");
    assert!(base.starts_with("base will be built: base/file changed\n  was  "), "{base}");
    assert!(base.contains("\n  =   base/README.md   never counts\n"), "{base}");
    assert!(base.contains("\n  M   base/file"), "{base}");
    assert!(
        base.contains("\n  =   base/docs/a.md   excluded by ignore, base/build-config.yaml:2 (base/docs/**)\n"),
        "{base}"
    );
    assert!(base.ends_with("\nbuilt on it: app (ARG BASE_TAG, app/Dockerfile:3)\n"), "{base}");

    let app = explain("app/");
    assert!(app.starts_with("app will be built: built on base\n"), "{app}");
    assert!(app.contains("\n  ^   base   its key: "), "{app}");

    let other = explain("./other");
    assert!(other.starts_with("other is left alone: its input key is the same\n  key  "), "{other}");
    assert!(other.contains("\n  =   other/README.md   never counts\n"), "{other}");

    let hephy = project.range(&before, ["plan", "--explain", "othr"]);
    hephy.run().fails(9, &["othr is not an image directory", "did you mean other?"]);
    let json = project.range(&before, ["plan", "--explain", "base", "--format", "json"]).run().ok().json();
    assert_eq!(json["files"].as_array().unwrap().len(), 3);
    assert_eq!(json["built"], true);
}

impl super::Outcome {
    /// stderr holds this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "stderr lacks {part:?}\n{self}");
        self
    }
}
