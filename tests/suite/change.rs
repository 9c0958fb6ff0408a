//! What changed between two sides of a real repository (specification §6, "What is built").

mod base;
mod events;
mod hostile;
mod paths;
mod working_tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use hephy::change::{
    Dependency, ImageChange, ImageId, ImageInputs, Keyed, Keys, Located, RepoPath, Side, SideImage, State, Tree,
    compare,
};
use hephy::ci::BaseSpec;
use hephy::config::{BackendName, ContextFrom, ImageConfig, Source};
use hephy::git::{Base, Content, Loaded, Objects, Repository, Request};

use crate::support::repo::Repo;

/// The configuration of `use_local_context: true`; lines `ignore:`, `context_path:`, `dockerfile_path:` and
/// `context_from:` are understood. The text `invalid` is none.
fn config(text: &str) -> Option<ImageConfig> {
    let mut config = ImageConfig {
        version_from: None,
        lint: Default::default(),
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
    };
    for line in text.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("invalid", _) => return None,
            ("ignore", glob) => config.ignore.push(glob.into()),
            ("context_path", path) => config.context_path = path.into(),
            ("dockerfile_path", path) => config.dockerfile_path = path.into(),
            ("context_from", "repository") => config.source = Source::Local { from: ContextFrom::Repository },
            ("target", stage) => config.target = Some(stage.into()),
            ("depends_on", dir) => config.depends_on.push(dir.into()),
            _ => {}
        }
    }
    Some(config)
}

/// Keys of all images of a tree; `depends_on` only names directories that sort earlier.
fn side<'t>(keys: &Keys<'t>, objects: &mut Objects<'_>) -> Side<'t> {
    let tree: &'t Tree = keys.tree();
    let dirs = tree.image_dirs();
    let files: Vec<RepoPath> = dirs.iter().map(|dir| dir.join("build-config.yaml")).collect();
    let contents = objects.read_paths(tree, &files, 256 * 1024).unwrap();
    let mut images: BTreeMap<ImageId, SideImage> = BTreeMap::new();
    for (dir, content) in dirs.into_iter().zip(contents) {
        let Content::Bytes(bytes) = content else { panic!("{dir} has no configuration") };
        let image = config(&String::from_utf8_lossy(&bytes)).map_or(SideImage::Invalid, |config| {
            let located = Located::find(tree, &dir, &config, BackendName::Kaniko, &mut |oid| objects.read_link(oid));
            let dependencies: Vec<Dependency> = config
                .depends_on
                .iter()
                .filter_map(|name| match images.get(&ImageId::from(RepoPath::from(name.as_str())))? {
                    SideImage::Keyed(keyed) => Some(Dependency { name: name.clone(), key: keyed.key.clone() }),
                    SideImage::Invalid | SideImage::Same => None,
                })
                .collect();
            let inputs = ImageInputs {
                config: &Arc::new(config),
                backend: BackendName::Kaniko,
                located: located.as_ref(),
                reach: &Arc::default(),
                upstream_commit: None,
                settings: &BTreeMap::new(),
            };
            SideImage::Keyed(Arc::new(keys.own(&inputs).unwrap().built_on(dependencies)))
        });
        images.insert(ImageId::from(dir), image);
    }
    Side { tree, images }
}

fn changes_of((loaded, objects): &mut (Loaded, Objects<'_>)) -> Vec<ImageChange> {
    let head_keys = Keys::new(&loaded.head);
    let head = side(&head_keys, objects);
    let Some(base_tree) = &loaded.base else { return compare(&head, None, &loaded.changes) };
    let base_keys = Keys::of_base(base_tree, &head_keys, &loaded.changes);
    let base = side(&base_keys, objects);
    // What the sides share must not change what comes out.
    let alone = side(&Keys::new(base_tree), objects);
    for (id, image) in &base.images {
        assert_eq!(key(image), key(&alone.images[id]), "{}", id.dir);
    }
    compare(&head, Some(&base), &loaded.changes)
}

fn key(image: &SideImage) -> Option<String> {
    match image {
        SideImage::Keyed(keyed) => Some(keyed.key.to_string()),
        SideImage::Invalid | SideImage::Same => None,
    }
}

/// `letter directory` of every image that is not unchanged: New, Changed, Removed, Built without a base, Invalid
/// (`i` when nothing in its directory changed).
fn letters(changes: &[ImageChange]) -> Vec<String> {
    changes
        .iter()
        .filter_map(|change| {
            let letter = match &change.state {
                State::NoBase => 'B',
                State::New => 'N',
                State::Changed(_) => 'C',
                State::Removed => 'R',
                State::Invalid { changed: true } => 'I',
                State::Invalid { changed: false } => 'i',
                State::Unchanged => return None,
            };
            Some(format!("{letter} {}", change.id.dir))
        })
        .collect()
}

/// Compares `HEAD` with a commit.
fn between(repo: &Repo, base: &str) -> Vec<String> {
    letters(&changes_between(repo, base))
}

fn changes_between(repo: &Repo, base: &str) -> Vec<ImageChange> {
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Revision(base.to_owned());
    let request = Request { head: None, base: &spec, commits_only: true, exclude: &[], ahead: None };
    changes_of(&mut repository.load(&request).unwrap())
}

/// What a specification of a base leads to, with a remote that may be reached by path.
fn based_on(repo: &Repo, spec: &BaseSpec) -> (Base, Vec<String>) {
    let repository = Repository::open(repo.path()).unwrap().allow_protocols("file");
    let request = Request { head: None, base: spec, commits_only: true, exclude: &[], ahead: None };
    let mut loaded = repository.load(&request).unwrap();
    (loaded.0.base_commit.clone(), letters(&changes_of(&mut loaded)))
}

/// Keys of the images of `HEAD`.
fn keyed(repo: &Repo) -> BTreeMap<String, Keyed> {
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Nothing("test".into());
    let request = Request { head: None, base: &spec, commits_only: true, exclude: &[], ahead: None };
    let (loaded, mut objects) = repository.load(&request).unwrap();
    let keys = Keys::new(&loaded.head);
    let side = side(&keys, &mut objects);
    side.images
        .into_iter()
        .filter_map(|(dir, image)| match image {
            SideImage::Keyed(keyed) => Some((dir.dir.to_string(), (*keyed).clone())),
            SideImage::Invalid | SideImage::Same => None,
        })
        .collect()
}
