//! The images of one tree: configurations, Dockerfiles, the graph between them, and their input keys.
//!
//! Contents come through one [`Objects`]; both sides of a comparison share what they parsed, so that the base costs
//! only what differs.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::change::{
    Dependency, ImageInputs, InputKey, Keyed, Keys, Located, Oid, RepoPath, Resolved, Side, SideImage, Tree,
};
use crate::config::{self, BackendName, ImageConfig, Parsed, RootConfig, Spans};
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::{self, Dockerfile};
use crate::error::{Error, Result};
use crate::git::{Content, Objects};
use crate::oci::ImageName;
use crate::plan::graph::{self, Names, Node, Uses};

/// What is the same for every image of a survey.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// The registry that flags and environment name.
    pub registry: Option<&'a str>,
    /// The platform's own, used when `hephy.yaml` names none either.
    pub platform_registry: Option<&'a str>,
    /// Where an image lies below it; `hephy.yaml` has its say where this is none.
    pub layout: Option<config::Layout>,
    /// The builder that the command line or the environment asks for; wins over `hephy.yaml`.
    pub backend: Option<BackendName>,
    /// The builder of images for which nobody named one.
    pub default_backend: BackendName,
    /// How other repositories may be reached.
    pub transports: &'a config::Transports,
    /// Name of an image in the repository's root.
    pub repository_name: &'a str,
}

/// One image directory.
#[derive(Debug)]
pub struct Image {
    /// The directory.
    pub path: RepoPath,
    /// The directory as text; escaped where it is none.
    pub dir: String,
    /// Its name; a stand-in when the directory's own is illegal.
    pub name: ImageName,
    /// Why the directory's name gives no legal tag.
    pub illegal: Option<String>,
    /// The configuration file, for findings.
    pub file: String,
    /// Its configuration and the findings in it.
    pub parsed: Rc<Parsed<ImageConfig>>,
    /// Where its files are, for a local source.
    pub located: Option<Located>,
    /// Its Dockerfile and that one's path, where it is in this repository.
    pub dockerfile: Option<(String, Rc<Dockerfile>)>,
    /// What makes a build impossible, apart from the configuration itself.
    pub problems: Vec<Diagnostic>,
}

impl Image {
    /// The configuration, if it is valid.
    #[must_use]
    pub fn config(&self) -> Option<&ImageConfig> {
        self.parsed.value.as_ref()
    }

    /// The builder of this image.
    #[must_use]
    pub fn backend(&self, rules: &Rules<'_>) -> BackendName {
        self.config().and_then(|config| config.build_backend).unwrap_or(rules.default_backend)
    }
}

/// All images of one tree.
#[derive(Debug)]
pub struct Survey {
    /// `hephy.yaml` with what the command line adds.
    pub root: RootConfig,
    /// Findings in `hephy.yaml`.
    pub root_findings: Vec<Diagnostic>,
    /// By directory.
    pub images: Vec<Image>,
    /// What each image refers to, in the same order.
    pub uses: Vec<Uses>,
    /// What each image is built on, in the same order, each index once.
    pub edges: Vec<Vec<usize>>,
    /// The order in which images are built, or a finding for a cycle.
    pub order: std::result::Result<Vec<usize>, Box<Diagnostic>>,
}

/// What was parsed already, by object.
#[derive(Debug, Default)]
pub struct Cache {
    configs: HashMap<Blob, (RootConfig, Rc<Parsed<ImageConfig>>)>,
    dockerfiles: HashMap<Blob, ParsedDockerfile>,
}

/// An object and the path that findings in it name.
type Blob = (Oid, String);

type ParsedDockerfile = std::result::Result<Rc<Dockerfile>, Box<Diagnostic>>;

/// Reads and understands all images of a tree.
///
/// # Errors
/// When git fails. What is wrong in the files is in the findings.
pub fn survey(tree: &Tree, objects: &mut Objects<'_>, rules: &Rules<'_>, cache: &mut Cache) -> Result<Survey> {
    let (root, root_findings) = root_config(tree, objects, rules)?;
    let mut images = images(tree, objects, rules, &root, cache)?;
    read_dockerfiles(objects, &mut images, cache)?;
    let layout = rules.layout.or(root.layout).unwrap_or_default();
    let registry = rules.registry.or(root.registry.as_deref()).or(rules.platform_registry);
    let nodes: Vec<Node<'_>> = images.iter().map(node).collect();
    let names = Names::new(&nodes, registry, layout);
    let uses: Vec<Uses> = nodes.iter().map(|node| names.uses_of(node)).collect();
    let edges: Vec<Vec<usize>> = uses
        .iter()
        .map(|uses| {
            let mut targets: Vec<usize> = uses.edges.iter().map(|edge| edge.to).collect();
            targets.sort_unstable();
            targets.dedup();
            targets
        })
        .collect();
    let order = graph::order(&edges).map_err(|cycle| Box::new(graph::cycle_finding(&nodes, &uses, &cycle)));
    Ok(Survey { root, root_findings, images, uses, edges, order })
}

fn root_config(tree: &Tree, objects: &mut Objects<'_>, rules: &Rules<'_>) -> Result<(RootConfig, Vec<Diagnostic>)> {
    let path = RepoPath::new(config::ROOT_FILE);
    let mut findings = Vec::new();
    let mut root = RootConfig::default();
    if tree.get(path.as_bytes()).is_some() {
        let content = objects.read_paths(tree, &[path], config::MAX_BYTES as u64)?.pop();
        match content {
            Some(Content::Bytes(bytes)) => {
                let parsed = config::parse_root(config::ROOT_FILE, &bytes);
                findings = parsed.findings;
                root = parsed.value.unwrap_or_default();
            }
            content => findings.push(unreadable(config::ROOT_FILE, content.as_ref())),
        }
    }
    root.backend = rules.backend.or(root.backend);
    root.transports = rules.transports.clone();
    Ok((root, findings))
}

fn unreadable(file: &str, content: Option<&Content>) -> Diagnostic {
    match content {
        Some(Content::TooLarge(size)) => Diagnostic::error(
            file,
            Span::START,
            format!("the file has {size} bytes, more than {} KiB", config::MAX_BYTES / 1024),
        ),
        _ => Diagnostic::error(file, Span::START, "this is no regular file inside the repository"),
    }
}

fn images(
    tree: &Tree,
    objects: &mut Objects<'_>,
    rules: &Rules<'_>,
    root: &RootConfig,
    cache: &mut Cache,
) -> Result<Vec<Image>> {
    let dirs = tree.image_dirs();
    let files: Vec<RepoPath> = dirs.iter().map(|dir| dir.join(config::IMAGE_FILE)).collect();
    let mut wanted = Vec::new();
    let mut oids = Vec::new();
    for file in &files {
        let found = tree.resolve(&RepoPath::ROOT, file.as_bytes(), &mut |oid| objects.read_link(oid));
        let oid = if let Resolved::File { oid, .. } = found { Some(oid) } else { None };
        let known = oid.and_then(|oid| cache.configs.get(&(oid, file.to_string())));
        if known.is_none_or(|(defaults, _)| defaults != root) {
            wanted.extend(oid);
        }
        oids.push(oid);
    }
    let mut contents = objects.read_many(&wanted, config::MAX_BYTES as u64)?.into_iter();
    let mut images = Vec::with_capacity(dirs.len());
    for (index, ((path, file), oid)) in dirs.into_iter().zip(files).zip(oids).enumerate() {
        let file = file.to_string();
        let cached = oid.and_then(|oid| cache.configs.get(&(oid, file.clone())));
        let parsed = match (oid, cached) {
            (Some(_), Some((defaults, parsed))) if defaults == root => Rc::clone(parsed),
            (Some(oid), _) => {
                let parsed = Rc::new(parse_config(&file, contents.next().as_ref(), root));
                cache.configs.insert((oid, file.clone()), (root.clone(), Rc::clone(&parsed)));
                parsed
            }
            (None, _) => Rc::new(parse_config(&file, None, root)),
        };
        images.push(image(index, path, file, parsed, tree, objects, rules)?);
    }
    Ok(images)
}

fn parse_config(file: &str, content: Option<&Content>, root: &RootConfig) -> Parsed<ImageConfig> {
    match content {
        Some(Content::Bytes(bytes)) => config::parse_image(file, bytes, root),
        content => Parsed { value: None, findings: vec![unreadable(file, content)], spans: Spans::default() },
    }
}

fn image(
    index: usize,
    path: RepoPath,
    file: String,
    parsed: Rc<Parsed<ImageConfig>>,
    tree: &Tree,
    objects: &mut Objects<'_>,
    rules: &Rules<'_>,
) -> Result<Image> {
    let dir = if path.is_root() { ".".to_owned() } else { path.to_string() };
    let named = match path.to_utf8() {
        Some(text) => ImageName::of_directory(text, rules.repository_name),
        None => Err(crate::oci::Invalid(format!("`{dir}` is not UTF-8"))),
    };
    let (name, illegal) = match named {
        Ok(name) => (name, None),
        Err(why) => {
            let stand_in = ImageName::parse(&format!("illegal-directory-{index}"));
            (stand_in.map_err(|_| Error::internal("a stand-in for an image name is illegal"))?, Some(why.to_string()))
        }
    };
    let mut image =
        Image { path, dir, name, illegal, file, parsed, located: None, dockerfile: None, problems: Vec::new() };
    let located = match image.config() {
        Some(config) if config.manual_images.is_none() => {
            let backend = image.backend(rules);
            Located::find(tree, &image.path, config, backend.reads_dockerfile(), &mut |oid| objects.read_link(oid))
        }
        _ => None,
    };
    image.problems =
        located.iter().flat_map(|located| located.problems()).map(|problem| located_problem(&image, problem)).collect();
    image.located = located;
    Ok(image)
}

fn located_problem(image: &Image, (field, message): (&str, String)) -> Diagnostic {
    Diagnostic::error(&image.file, image.parsed.spans.of(field), message)
}

fn read_dockerfiles(objects: &mut Objects<'_>, images: &mut [Image], cache: &mut Cache) -> Result<()> {
    let places: Vec<Option<(String, Oid)>> = images
        .iter()
        .map(|image| {
            let (path, oid) = image.located.as_ref()?.dockerfile_blob()?;
            Some((path.to_string(), oid))
        })
        .collect();
    let wanted: Vec<(String, Oid)> = places
        .iter()
        .flatten()
        .filter(|(path, oid)| !cache.dockerfiles.contains_key(&(*oid, path.clone())))
        .cloned()
        .collect();
    let oids: Vec<Oid> = wanted.iter().map(|(_, oid)| *oid).collect();
    let contents = objects.read_many(&oids, dockerfile::MAX_BYTES as u64)?;
    for ((path, oid), content) in wanted.into_iter().zip(contents) {
        let parsed = match content {
            Content::Bytes(bytes) => Dockerfile::parse(&path, &bytes).map(Rc::new),
            Content::TooLarge(_) => {
                Err(Box::new(Diagnostic::error(&path, Span::START, "the Dockerfile is larger than 1 MiB")))
            }
            Content::Missing => Err(Box::new(Diagnostic::error(&path, Span::START, "the Dockerfile cannot be read"))),
        };
        cache.dockerfiles.insert((oid, path), parsed);
    }
    for (image, place) in images.iter_mut().zip(places) {
        let Some((path, oid)) = place else { continue };
        match cache.dockerfiles.get(&(oid, path.clone())) {
            Some(Ok(dockerfile)) => {
                check_target(image, &path, dockerfile);
                image.dockerfile = Some((path, Rc::clone(dockerfile)));
            }
            Some(Err(finding)) => image.problems.push((**finding).clone()),
            None => {}
        }
    }
    Ok(())
}

/// A `target` that names no stage would only fail in the builder.
fn check_target(image: &mut Image, path: &str, dockerfile: &Dockerfile) {
    let Some(target) = image.config().and_then(|config| config.target.clone()) else { return };
    if dockerfile.stage_index(&target).is_some() {
        return;
    }
    let mut finding = Diagnostic::error(
        &image.file,
        image.parsed.spans.of("target"),
        format!("{path} has no stage `{}`", crate::diagnostic::escape_cut(&target, 80)),
    );
    let stages: Vec<&str> = dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    if let Some(near) = crate::diagnostic::nearest(&target, stages.iter().copied()) {
        finding = finding.suggest(format!("did you mean `{near}`?"));
    } else if !stages.is_empty() {
        finding = finding.note(format!("its stages are {}", stages.join(", ")));
    }
    image.problems.push(finding);
}

fn node(image: &Image) -> Node<'_> {
    let config = image.config();
    Node {
        name: &image.name,
        dir: &image.dir,
        config_file: &image.file,
        spans: &image.parsed.spans,
        depends_on: config.map_or(&[], |config| &config.depends_on),
        additional_tags: config.map_or(&[], |config| &config.additional_tags),
        dockerfile: image.dockerfile.as_ref().map(|(path, dockerfile)| (path.as_str(), dockerfile.as_ref())),
        target: config.and_then(|config| config.target.as_deref()),
        build_args: literal_args(config),
        platforms: config.map_or(&[], |config| &config.platforms),
    }
}

/// Build arguments without variables: the only ones whose values a reference may need before anything is built.
fn literal_args(config: Option<&ImageConfig>) -> BTreeMap<String, String> {
    let args = config.into_iter().flat_map(|config| &config.build_args);
    args.filter(|arg| !arg.value.contains("${")).map(|arg| (arg.name.clone(), arg.value.clone())).collect()
}

/// What a remote image's ref means: the commit, by image index.
pub type UpstreamCommits = BTreeMap<usize, String>;

impl Survey {
    /// The keys of all images with a valid configuration, dependencies first. An image that is built on an invalid
    /// one counts that as an input without content.
    ///
    /// # Errors
    /// When an `ignore` pattern is no glob.
    pub fn keys(&self, keys: &Keys<'_>, rules: &Rules<'_>, commits: &UpstreamCommits) -> Result<Vec<Option<Keyed>>> {
        let mut found: Vec<Option<Keyed>> = self.images.iter().map(|_| None).collect();
        let nothing = InputKey::parse(&"0".repeat(64)).ok_or_else(|| Error::internal("zeros are no input key"))?;
        for index in self.order.as_ref().map(Vec::as_slice).unwrap_or_default() {
            let image = &self.images[*index];
            let Some(config) = image.config() else { continue };
            let mut dependencies: Vec<Dependency> = self.edges[*index]
                .iter()
                .map(|to| Dependency {
                    name: self.images[*to].name.to_string(),
                    key: found[*to].as_ref().map_or_else(|| nothing.clone(), |keyed| keyed.key.clone()),
                })
                .collect();
            dependencies.sort_by(|a, b| a.name.cmp(&b.name));
            let inputs = ImageInputs {
                config,
                backend: image.backend(rules),
                located: image.located.as_ref(),
                upstream_commit: commits.get(index).map(String::as_str),
            };
            found[*index] = Some(keys.key_of(&inputs, &dependencies)?);
        }
        Ok(found)
    }

    /// This side of the comparison.
    #[must_use]
    pub fn side<'t>(&self, tree: &'t Tree, keyed: &[Option<Keyed>]) -> Side<'t> {
        let images = self.images.iter().zip(keyed).map(|(image, keyed)| {
            let side = keyed.clone().map_or(SideImage::Invalid, |keyed| SideImage::Keyed(Box::new(keyed)));
            (image.path.clone(), side)
        });
        Side { tree, images: images.collect() }
    }
}
