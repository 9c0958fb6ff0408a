//! What valid files mean.

use super::*;

#[test]
fn the_defaults_of_every_field() {
    assert_eq!(
        serde_json::to_value(accepted("use_local_context: true")).unwrap(),
        serde_json::json!({
            "source": { "mode": "local", "from": "directory" },
            "dockerfile_path": "Dockerfile",
            "context_path": ".",
            "target": null,
            "targets": [],
            "build_args": [],
            "platforms": ["linux/amd64"],
            "additional_tags": [],
            "build_backend": null,
            "ko_config": null,
            "spin_config": null,
            "manual_images": null,
            "depends_on": [],
            "watch": [],
            "ignore": [],
            "tag_template": null,
            "version_from": null,
            "labels": {},
            "annotations": {},
            "cache": null,
            "secrets": [],
            "lint": {},
            "keep_git": false,
            "submodules": false,
            "timeout_seconds": null,
            "retries": null,
        })
    );
}

#[test]
fn null_on_an_optional_field_means_absent() {
    let mut text = "use_local_context: true\n".to_owned();
    for field in fields(&image_schema()).iter().filter(|field| *field != "use_local_context") {
        text.push_str(&format!("{}: {}\n", field, ["~", "null", "", "Null", "NULL"][text.len() % 5]));
    }
    assert_eq!(accepted(&text), accepted("use_local_context: true"));
    let root = fields(&root_schema()).iter().map(|field| format!("{field}:\n")).collect::<String>();
    assert_eq!(parse_root("f", root.as_bytes()).value, Some(RootConfig::default()));
    assert_eq!(parse_root("f", b"").value, Some(RootConfig::default()));
}

#[test]
fn scalars_are_taken_as_written() {
    for text in ["1.10", "1e3", "0x10", "012", "1_000", "2025-10-15", "true", "yes", "1.0e-2", "0o7"] {
        let config = accepted(&format!("upstream_repo: https://h/x\nupstream_ref: {text}\nbuild_args: {{A: {text}}}"));
        assert_eq!(
            config.source,
            Source::Remote { repository: "https://h/x".into(), reference: text.into() },
            "{text}"
        );
        assert_eq!(config.build_args[0].value, text);
        assert_eq!(accepted(&format!("use_local_context: true\nadditional_tags: [{text}]")).additional_tags, [text]);
    }
}

#[test]
fn quoted_null_and_booleans_are_text() {
    let config = accepted("use_local_context: true\nbuild_args: {A: '~', B: \"null\", C: 'true'}\ntarget: 'null'");
    let values: Vec<&str> = config.build_args.iter().map(|arg| arg.value.as_str()).collect();
    assert_eq!(values, ["~", "null", "true"]);
    assert_eq!(config.target.as_deref(), Some("null"));
}

#[test]
fn build_arguments_are_a_list_or_a_mapping() {
    let list = accepted("use_local_context: true\nbuild_args: ['A=1', 'B=x=y', 'C=', 'D=${X_TAG}-$Y']");
    let mapping = accepted("use_local_context: true\nbuild_args:\n  A: 1\n  B: x=y\n  C: ''\n  D: ${X_TAG}-$Y\n");
    assert_eq!(list.build_args, mapping.build_args);
    let long = "v".repeat(64 * 1024);
    assert_eq!(accepted(&format!("use_local_context: true\nbuild_args: [A={long}]")).build_args[0].value, long);
}

#[test]
fn paths_are_normalised_and_an_empty_target_is_none() {
    let config = accepted(
        "use_local_context: true\ndockerfile_path: ./a/./D\ncontext_path: ./\u{20}\ntarget: ''"
            .replace("./\u{20}", "./.")
            .as_str(),
    );
    assert_eq!((config.dockerfile_path.as_str(), config.context_path.as_str()), ("a/D", "."));
    assert_eq!(config.target, None);
}

#[test]
fn defaults_of_the_repository_apply() {
    let root = parse_root(
        "hephy.yaml",
        b"platforms: [linux/arm64]\nbackend: ko\nignore: ['docs/**']\nregistry: ghcr.io/acme/images\n",
    );
    let root = root.value.unwrap();
    let parse = |text: &str| parse_image("f", text.as_bytes(), &root).value.unwrap();
    let config = parse("ignore: ['*.md']");
    assert_eq!(config.source, Source::Local { from: ContextFrom::Directory });
    assert_eq!(config.platforms, [Platform::parse("linux/arm64").unwrap()]);
    assert_eq!(config.build_backend, Some(BackendName::Ko));
    assert_eq!(config.ignore, ["docs/**", "*.md"]);
    let config = parse("build_backend: buildah\nuse_local_context: true\nplatforms: [linux/amd64]");
    assert_eq!((config.build_backend, config.platforms), (Some(BackendName::Buildah), vec![Platform::linux_amd64()]));
}

#[test]
fn platforms_come_from_the_list_then_from_ko_then_from_the_images_built_elsewhere() {
    let platforms = |text: &str| accepted(text).platforms.iter().map(Platform::arch).collect::<Vec<_>>();
    assert_eq!(platforms("build_backend: ko\nko_config: {platforms: [linux/arm64]}"), ["arm64"]);
    assert_eq!(platforms("build_backend: ko\nplatforms: [linux/386]\nko_config: {platforms: [linux/arm64]}"), ["386"]);
    let manual = "manual_build: true\nmanual_images: {amd64: 'a:1', armv7: 'b:1'}";
    assert_eq!(platforms(manual), ["amd64", "armv7"]);
    assert_eq!(accepted(manual).manual_images.unwrap()["armv7"], "b:1");
    let off = accepted("use_local_context: true\nmanual_build: false\nmanual_images: {arm64: 'a:1'}");
    assert_eq!((off.manual_images, off.platforms), (None, vec![Platform::linux_amd64()]));
}

#[test]
fn other_transports_need_git_allow_protocol() {
    let text = b"upstream_repo: file:///srv/app.git\nupstream_ref: main";
    assert!(parse_image("f", text, &RootConfig::default()).value.is_none());
    let with = |list| RootConfig { transports: Transports::of_variable(Some(list)), ..RootConfig::default() };
    assert!(parse_image("f", text, &with("https:file")).value.is_some());
    // The list is the whole list, for https as well.
    let https = b"upstream_repo: https://example.com/app.git\nupstream_ref: main";
    assert!(parse_image("f", https, &RootConfig::default()).value.is_some());
    let refused = parse_image("f", https, &with("file"));
    assert!(refused.findings[0].message.contains("GIT_ALLOW_PROTOCOL does not list"), "{:?}", refused.findings);
}

#[test]
fn a_repeated_entry_counts_once_and_places_stay_right() {
    let text = b"use_local_context: true\nadditional_tags: [a, a, b]\ndepends_on: [x, ./x, y]\n";
    let parsed = parse_image("f", text, &RootConfig::default());
    let config = parsed.value.unwrap();
    assert_eq!(
        (config.additional_tags, config.depends_on),
        (vec!["a".into(), "b".into()], vec!["x".into(), "y".into()])
    );
    assert_eq!(parsed.spans.of("additional_tags[1]"), Span::new(2, 25, 1));
    assert_eq!(parsed.spans.of("depends_on[1]"), Span::new(3, 22, 1));
    assert_eq!(parsed.spans.of("target"), Span::START);
}

#[test]
fn the_configuration_of_the_input_key_is_what_can_reach_the_build() {
    // With warnings: ko reads no Dockerfile.
    let config = parse_image(
        "app/build-config.yaml",
        b"upstream_repo: https://h/x\nupstream_ref: main\nplatforms: [linux/arm64, linux/amd64]\n\
         build_args: [B=2, A=1]\ntarget: run\nlabels: {l: 1}\nannotations: {a: 2}\nkeep_git: true\n\
         ko_config: {import_path: ./cmd}\nadditional_tags: [latest]\ntag_template: '{image}'\ntimeout: 1m\nretries: 1\n\
         watch: [a]\nignore: [b]\ndepends_on: [c]\nbuild_backend: ko\n",
        &RootConfig::default(),
    );
    let config = config.value.unwrap();
    assert_eq!(
        serde_json::to_string(&config.key_fields()).unwrap(),
        r#"{"annotations":{"a":"2"},"build_args":{"A":"1","B":"2"},"context_path":".","dockerfile_path":"Dockerfile","#
            .to_owned()
            + r#""keep_git":true,"ko_config":{"base_image":null,"env":[],"flags":[],"import_path":"./cmd","ldflags":[],"#
            + r#""working_dir":null},"labels":{"l":"1"},"platforms":["linux/amd64","linux/arm64"],"submodules":false,"#
            + r#""target":"run"}"#
    );
}

#[test]
fn what_cannot_reach_the_build_leaves_the_key_alone() {
    let plain = accepted("use_local_context: true").key_fields();
    for same in [
        "additional_tags: [a]",
        "tag_template: x",
        "version_from: {file: VERSION}",
        "lint: {latest-base: off}",
        "timeout: 1m",
        "retries: 1",
        "watch: [a]",
        "ignore: [a]",
        "depends_on: [a]",
        "build_backend: kaniko",
        "platforms: [linux/amd64]",
        "target: ''",
        "dockerfile_path: ./Dockerfile",
        "build_args: {}",
        "context_from: directory",
        "manual_build: false",
    ] {
        assert_eq!(accepted(&format!("use_local_context: true\n{same}")).key_fields(), plain, "{same}");
    }
    for different in [
        "platforms: [linux/arm64]",
        "target: a",
        "dockerfile_path: a",
        "context_path: a",
        "context_from: repository",
        "build_args: [A=1]",
        "labels: {a: b}",
        "annotations: {a: b}",
        "ko_config: {}",
        "manual_build: true\nmanual_images: {amd64: a}",
    ] {
        assert_ne!(accepted(&format!("use_local_context: true\n{different}")).key_fields(), plain, "{different}");
    }
}
