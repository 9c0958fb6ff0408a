use super::*;
use crate::change::tree::tests::tree;
use crate::config::{BuildArg, ContextFrom};

fn config() -> ImageConfig {
    ImageConfig {
        version_from: None,
        lint: BTreeMap::new(),
        source: Source::Local { from: ContextFrom::Directory },
        dockerfile_path: "Dockerfile".into(),
        context_path: ".".into(),
        target: None,
        targets: Vec::new(),
        build_args: vec![],
        platforms: vec![],
        additional_tags: vec![],
        build_backend: None,
        ko_config: None,
        spin_config: None,
        manual_images: None,
        depends_on: vec![],
        watch: vec![],
        ignore: vec![],
        tag_template: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        cache: None,
        secrets: Vec::new(),
        keep_git: false,
        submodules: false,
        timeout: None,
        retries: None,
    }
}

fn key(files: &[(&str, &str)], config: &ImageConfig) -> InputKey {
    key_with(files, config, None, &[])
}

fn key_with(
    files: &[(&str, &str)],
    config: &ImageConfig,
    upstream_commit: Option<&str>,
    dependencies: &[Dependency],
) -> InputKey {
    let tree = tree(files);
    let located = Located::find(&tree, &RepoPath::from("a"), config, BackendName::Kaniko, &mut |_| None);
    let (config, reach) = (&Arc::new(config.clone()), &Arc::default());
    let inputs = ImageInputs {
        config,
        backend: BackendName::Kaniko,
        located: located.as_ref(),
        reach,
        upstream_commit,
        settings: &BTreeMap::new(),
    };
    Keys::new(&tree).own(&inputs).unwrap().built_on(dependencies.to_vec()).key
}

const FILES: [(&str, &str); 3] = [("a/Dockerfile", "1"), ("a/x", "1"), ("b/y", "1")];

/// The hashed form is a contract: when this fails, every image of every user is built once. Change
/// [`VERSION`] with it.
#[test]
fn the_form_is_stable() {
    let tree = tree(&FILES);
    let (dir, ignore) = (RepoPath::from("a"), Globs::default());
    let content = Content { tree: &tree, context: &dir, ignore: &ignore, ignoring: &[] };
    let context = content.digest(&CopySource { path: dir.clone(), filtered: true, direct: false });
    let source = SourceInput::Local { files: hex(&context) };
    let json = serde_json::json!({"z": [1, "x", null, true], "a": {}});
    let dependency = Dependency { name: "x".into(), key: InputKey::parse(&"0".repeat(64)).unwrap() };
    let fields = BTreeMap::from([("field", json)]);
    let form = own_form(&source, Some("1"), &fields, BackendName::Kaniko);
    let key = InputKey::of(built_on(form, &[dependency]));
    assert_eq!(key.as_str(), "50486e25b68c84f658f3fcec25b0ad42c7edb0a50b10d3c4879262e32c09ebcf");
}

#[test]
fn what_reaches_the_build_changes_the_key() {
    let one = key(&FILES, &config());
    let files: [&[(&str, &str)]; 5] = [
        &[("a/Dockerfile", "2"), ("a/x", "1")],
        &[("a/Dockerfile", "1"), ("a/x", "2")],
        &[("a/Dockerfile", "1"), ("a/x", "!1")],
        &[("a/Dockerfile", "1"), ("a/x2", "1")],
        &[("a/Dockerfile", "1")],
    ];
    for files in files {
        assert_ne!(key(files, &config()), one, "{files:?}");
    }
    let arg = |name: &str, value: &str| BuildArg { name: name.into(), value: value.into() };
    let configs = [
        ImageConfig { target: Some("x".into()), ..config() },
        ImageConfig { build_args: vec![arg("A", "BC")], ..config() },
        ImageConfig { build_args: vec![arg("AB", "C")], ..config() },
        ImageConfig { build_args: vec![arg("A", "B"), arg("C", "")], ..config() },
        ImageConfig { labels: BTreeMap::from([("a".into(), "b".into())]), ..config() },
        ImageConfig { annotations: BTreeMap::from([("a".into(), "b".into())]), ..config() },
    ];
    let mut keys: Vec<InputKey> = configs.iter().map(|config| key(&FILES, config)).collect();
    keys.push(one);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), configs.len() + 1, "no two are alike");
}

#[test]
fn what_does_not_reach_the_build_does_not() {
    let one = key(&FILES, &config());
    assert_eq!(key(&[("a/Dockerfile", "1"), ("a/x", "1"), ("b/y", "2"), ("a/README.md", "1")], &config()), one);
    let tags = ImageConfig { additional_tags: vec!["x".into()], tag_template: Some("y".into()), ..config() };
    assert_eq!(key(&FILES, &tags), one);
    let ignoring = ImageConfig { ignore: vec!["a/z".into()], ..config() };
    assert_eq!(key(&[("a/Dockerfile", "1"), ("a/x", "1"), ("a/z", "1")], &ignoring), one);
}

/// Fields that cannot reach a build, each in the file and in the value.
#[test]
fn tags_limits_and_triggers_leave_the_key_alone() {
    let remote = Source::Remote { repository: "https://example.org/x".into(), reference: "main".into() };
    for source in [Source::Local { from: ContextFrom::Directory }, remote] {
        let plain = ImageConfig { source, ..config() };
        let same: [fn(&mut ImageConfig); 7] = [
            |it| it.additional_tags = vec!["x".into()],
            |it| it.tag_template = Some("{image}".into()),
            |it| it.timeout = Some(std::time::Duration::from_secs(1)),
            |it| it.retries = Some(7),
            |it| it.depends_on = vec!["y".into(), "x".into()],
            |it| it.ignore = vec!["docs/**".into()],
            |it| it.build_backend = Some(BackendName::Kaniko),
        ];
        for change in same {
            let mut changed = plain.clone();
            change(&mut changed);
            assert_eq!(key(&FILES, &changed), key(&FILES, &plain), "{changed:?}");
        }
    }
    // `depends_on` in another order: the same images, the same keys.
    let on = |dirs: [&str; 2]| ImageConfig { depends_on: dirs.map(str::to_owned).to_vec(), ..config() };
    assert_eq!(key(&FILES, &on(["x", "y"])), key(&FILES, &on(["y", "x"])));
}

/// The file that holds those fields is a file like others where it lies in the build context: `COPY . /` takes it
/// along, so an edit of it may reach the build. Who does not want that leaves it out.
#[test]
fn the_configuration_file_counts_as_a_file_where_the_context_holds_it() {
    let with = |content| [("a/Dockerfile", "1"), ("a/src/x", "1"), ("a/build-config.yaml", content)];
    let key_of = |content, config: &ImageConfig| key(&with(content), config);
    assert_ne!(key_of("1", &config()), key_of("2", &config()));
    for outside in [
        ImageConfig { ignore: vec!["a/build-config.yaml".into()], ..config() },
        ImageConfig { context_path: "src".into(), ..config() },
    ] {
        assert_eq!(key_of("1", &outside), key_of("2", &outside), "{outside:?}");
    }
}

/// Every field that enters the key, for each kind of source: a new one changes every user's keys.
#[test]
fn the_fields_of_the_key_are_stable() {
    let names = |config: &ImageConfig| config.key_fields().into_keys().collect::<Vec<_>>().join(" ");
    let common = "labels platforms target";
    assert_eq!(names(&config()), format!("annotations build_args context_from context_path dockerfile_path {common}"));
    let remote = Source::Remote { repository: "https://example.org/x".into(), reference: "main".into() };
    assert_eq!(
        names(&ImageConfig { source: remote, ..config() }),
        "annotations build_args context_path dockerfile_path keep_git labels platforms submodules target"
    );
    let manual = ImageConfig { manual_images: Some(BTreeMap::new()), ..config() };
    assert_eq!(names(&manual), "annotations manual_images platforms");
    assert_eq!(key(&FILES, &config()).as_str(), "94cda5545e52d8afc1b867beede5cfea6ee27c447f2d0c14889232f5104aee8c");
}

#[test]
fn an_ignored_dockerfile_counts_all_the_same() {
    let ignoring = ImageConfig { ignore: vec!["**".into()], ..config() };
    assert_ne!(key(&FILES, &ignoring), key(&[("a/Dockerfile", "2")], &ignoring));
    assert_eq!(key(&FILES, &ignoring), key(&[("a/Dockerfile", "1"), ("a/x", "9")], &ignoring));
}

#[test]
fn a_remote_source_is_its_commit_or_else_what_is_written() {
    let source =
        |reference: &str| Source::Remote { repository: "https://example.org/x".into(), reference: reference.into() };
    let (main, next) =
        (ImageConfig { source: source("main"), ..config() }, ImageConfig { source: source("next"), ..config() });
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    let key = |config, commit| key_with(&FILES, config, commit, &[]);
    assert_eq!(key(&main, Some(&one)), key(&next, Some(&one)));
    assert_ne!(key(&main, Some(&one)), key(&main, Some(&two)));
    assert_ne!(key(&main, None), key(&next, None));
    assert_eq!(key_with(&[("a/x", "2")], &main, None, &[]), key(&main, None), "files here are not its source");
}

#[test]
fn dependencies_count_by_name_and_key_in_any_order() {
    let dependency =
        |name: &str, of: &str| Dependency { name: name.into(), key: key(&[("a/Dockerfile", of)], &config()) };
    let with = |dependencies: &[Dependency]| key_with(&FILES, &config(), None, dependencies);
    let (x, y) = (dependency("x", "1"), dependency("y", "2"));
    assert_eq!(with(&[x.clone(), y.clone()]), with(&[y.clone(), x.clone(), x.clone()]));
    assert_ne!(with(std::slice::from_ref(&x)), with(&[]));
    assert_ne!(with(&[x]), with(&[dependency("x", "2")]));
}

#[test]
fn ten_thousand_images_of_the_whole_repository_share_one_walk() {
    let files: Vec<String> = (0..10_000).map(|number| format!("a{number}/Dockerfile")).collect();
    let pairs: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "1")).collect();
    let tree = tree(&pairs);
    let keys = Keys::new(&tree);
    let reach = Arc::default();
    let config = ImageConfig { source: Source::Local { from: ContextFrom::Repository }, ..config() };
    for file in &files {
        let config = ImageConfig { dockerfile_path: file.clone(), ..config.clone() };
        let located = Located::find(&tree, &RepoPath::from("x"), &config, BackendName::Kaniko, &mut |_| None);
        let inputs = ImageInputs {
            config: &Arc::new(config),
            backend: BackendName::Kaniko,
            located: located.as_ref(),
            reach: &reach,
            upstream_commit: None,
            settings: &BTreeMap::new(),
        };
        keys.own(&inputs).unwrap();
    }
    assert_eq!(keys.files.len(), 1);
}

#[test]
fn only_keys_are_keys() {
    assert!(InputKey::parse(&"a".repeat(64)).is_some());
    for wrong in ["", &"A".repeat(64), &"a".repeat(63), &"g".repeat(64)] {
        assert!(InputKey::parse(wrong).is_none());
    }
}

/// `watch` adds files of the whole repository, for sources elsewhere too, and wins over what does not count.
#[test]
fn watched_files_count_wherever_they_are() {
    let remote = Source::Remote { repository: "https://example.org/x".into(), reference: "main".into() };
    let with = |watch: &str, content: &str| {
        let files = [("a/Dockerfile", "1"), ("a/README.md", content), ("shared/x/y.md", content), ("z", content)];
        [Source::Local { from: ContextFrom::Directory }, remote.clone()].map(|source| {
            let watch = vec![watch.to_owned()];
            key(&files, &ImageConfig { source, watch, ignore: vec!["shared/**".into()], ..config() })
        })
    };
    for watch in ["shared/**", "shared/x/y.md", "**/*.md", "z", "a/README.md"] {
        let (one, other) = (with(watch, "1"), with(watch, "2"));
        assert!(one[0] != other[0] && one[1] != other[1], "{watch}");
    }
    assert_eq!(with("nothing/**", "1"), with("nothing/**", "2"));
    assert_ne!(with("nothing/**", "1")[1], with("z", "1")[1]);
    assert_ne!(with("z", "1")[1], with("z", "!1")[1], "its mode counts");
}
