//! The images of one tree: configurations, Dockerfiles, the graph between them, and their input keys.
//!
//! Contents come through one [`Objects`]; both sides of a comparison share what they parsed, so that the base costs
//! only what differs.

pub(super) mod crew;
mod ignoring;
mod images;
pub(in crate::commands) mod preflight;
mod reaches;
pub(in crate::commands) mod settings;
mod targets;
mod twins;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::Version as BuilderVersion;
use crate::change::{
    Dependency, Ignoring, ImageId, ImageInputs, InputKey, Keyed, Keys, Located, Own, Reach, RepoPath, Side, SideImage,
    Tree,
};
use crate::ci::Env;
use crate::config::{self, BackendName, ImageConfig, Parsed, RootConfig, Spans};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::{self, Dockerfile};
use crate::error::{Error, Result};
use crate::git::{Content, Objects, ReadAhead};
use crate::oci::ImageName;
use crate::plan::graph::{self, Names, Node, Uses};
use crate::plan::tags::Version;

pub use twins::{Known, Other};

use ignoring::IgnoreFiles;
use images::Reading;

/// What most images are read from: git may begin with it.
pub const AHEAD: ReadAhead<'static> =
    ReadAhead { name: config::IMAGE_FILE, beside: &images::USUAL, limit: dockerfile::MAX_BYTES as u64 };

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
    /// Whether images that say nothing have a layer cache; `hephy.yaml` has its say where this is none.
    pub cache: Option<bool>,
    /// What `HEPHY_PREFLIGHT` says of constructs that a builder does not know; `hephy.yaml` has its say where this is none.
    pub preflight: Option<crate::commands::planning::PreflightChoice>,
    /// Builders to choose from, and their versions where they are known.
    pub offers: &'a [(BackendName, Option<BuilderVersion>)],
    /// How other repositories may be reached.
    pub transports: &'a config::Transports,
    /// Name of an image in the repository's root.
    pub repository_name: &'a str,
    /// The environment, for `build_args_env`.
    pub env: &'a Env,
}

impl Rules<'_> {
    /// The builder of an image with this configuration.
    #[must_use]
    pub fn backend_of(&self, config: &ImageConfig) -> BackendName {
        config.build_backend.unwrap_or(self.default_backend)
    }
}

/// One image: a directory, or one of its `targets`.
#[derive(Clone, Debug)]
pub struct Image {
    /// The directory.
    pub path: RepoPath,
    /// Its name among the directory's targets; none where the directory is one image.
    pub target: Option<String>,
    /// The directory as text; escaped where it is none.
    pub dir: String,
    /// Its name; a stand-in when the directory's own is illegal.
    pub name: ImageName,
    /// Why the directory's name gives no legal tag.
    pub illegal: Option<String>,
    /// The configuration file, for findings.
    pub file: String,
    /// Its configuration and the findings in it.
    pub parsed: Parsed<Arc<ImageConfig>>,
    /// Whether the configuration is a file, and no link to one.
    pub direct: bool,
    /// Where its files are, for a local source.
    pub located: Option<Located>,
    /// The ignore files that hold for it.
    pub ignoring: Vec<Ignoring>,
    /// Its Dockerfile and that one's path, where it is in this repository.
    pub dockerfile: Option<(String, Arc<Dockerfile>)>,
    /// The version that the file of `version_from` says.
    pub version: Option<Version>,
    /// Whether everything that the version is read from lies in the image's directory.
    pub own_version: bool,
    /// Where the version is read from, links included, for an image whose build arguments name it.
    pub version_paths: Vec<RepoPath>,
    /// What makes a build impossible, apart from the configuration itself.
    pub problems: Vec<Diagnostic>,
    /// The builder that it has instead of the one that was chosen for it.
    pub rerouted: Option<Rerouted>,
}

/// Another builder for an image that the chosen one would not build as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerouted {
    /// The builder that was chosen.
    pub from: BackendName,
    /// The one that builds it.
    pub to: BackendName,
    /// Why: place and sentence.
    pub reason: String,
}

impl Image {
    /// Which image it is.
    #[must_use]
    pub fn id(&self) -> ImageId {
        ImageId { dir: self.path.clone(), target: self.target.clone() }
    }

    /// The configuration, if it is valid.
    #[must_use]
    pub fn config(&self) -> Option<&Arc<ImageConfig>> {
        self.parsed.value.as_ref()
    }

    /// The builder of this image.
    #[must_use]
    pub fn backend(&self, rules: &Rules<'_>) -> BackendName {
        if let Some(rerouted) = &self.rerouted {
            return rerouted.to;
        }
        self.config().map_or(rules.default_backend, |config| rules.backend_of(config))
    }
}

/// All images of one tree.
#[derive(Debug)]
pub struct Survey {
    /// `hephy.yaml` with what the command line adds.
    pub root: RootConfig,
    /// Findings in `hephy.yaml`.
    pub root_findings: Vec<Diagnostic>,
    /// Places of its fields.
    pub root_spans: Spans,
    /// By directory, those of one in the order of its `targets`.
    pub images: Vec<Arc<Image>>,
    /// What each image refers to, in the same order.
    pub uses: Vec<Arc<Uses>>,
    /// What of its build context reaches each image, in the same order.
    pub reaches: Vec<Arc<Reach>>,
    /// What each image is built on, in the same order, each index once.
    pub edges: Vec<Vec<usize>>,
    /// Hashes of the values of the environment that reach each image, by variable, in the same order.
    pub settings: Vec<BTreeMap<String, String>>,
    /// The order in which images are built, or a finding for a cycle.
    pub order: std::result::Result<Vec<usize>, Box<Diagnostic>>,
    /// For each image the one of the other side that it is the same as, in every respect ([`twins`]).
    twins: Vec<Option<usize>>,
}

/// Reads and understands all images of a tree. Where another tree was surveyed before, what is the same is taken
/// from there.
///
/// # Errors
/// When git fails. What is wrong in the files is in the findings.
pub fn survey(tree: &Tree, objects: &mut Objects<'_>, rules: &Rules<'_>, other: Option<&Other<'_>>) -> Result<Survey> {
    let (root, root_findings, root_spans) = root_config(tree, objects, rules)?;
    let dirs = tree.image_dirs();
    let known_dirs = twins::find(other, &root, &dirs);
    let mut reading = Reading { tree, objects, rules, root: &root, ignore_files: IgnoreFiles::default() };
    let fresh = dirs.into_iter().enumerate().filter(|(index, _)| known_dirs[*index].is_none());
    let mut fresh = reading.images(fresh)?.into_iter();
    let other_images = other.map(|other| other.survey.images.as_slice()).unwrap_or_default();
    let mut images: Vec<Arc<Image>> = Vec::with_capacity(known_dirs.len());
    let mut twins = Vec::with_capacity(known_dirs.len());
    for known in known_dirs {
        match known {
            Some(known) => {
                images.extend(other_images[known.clone()].iter().map(Arc::clone));
                twins.extend(known.map(Some));
            }
            None => images.extend(fresh.next().into_iter().flatten().map(Arc::new)),
        }
        twins.resize(images.len(), None);
    }

    let layout = rules.layout.or(root.layout).unwrap_or_default();
    let registry = rules.registry.or(root.registry.as_deref()).or(rules.platform_registry);
    let nodes: Vec<Node<'_>> = crew::map(&images, |image| node(image, rules));
    let names = Names::new(&nodes, registry, layout);
    let known_uses =
        other.filter(|other| twins::same_names(&other.survey.images, &images)).map(|other| &other.survey.uses);
    let known = |index: usize| twins[index].and_then(|at| known_uses?.get(at));
    let unknown: Vec<&Node<'_>> =
        (0..nodes.len()).filter(|index| known(*index).is_none()).map(|at| &nodes[at]).collect();
    let mut found = crew::map(&unknown, |node| names.uses_of(node)).into_iter();
    let uses: Vec<Arc<Uses>> =
        (0..nodes.len()).filter_map(|index| known(index).cloned().or_else(|| found.next().map(Arc::new))).collect();
    let same = |index: usize| known(index).and(twins[index]);
    let reaches = reaches::Found { tree, rules, images: &images, uses: &uses }.reaches(objects, other, &same);
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
    let settings = images.iter().zip(&edges).map(|(image, edges)| {
        let on: Vec<&ImageName> = edges.iter().map(|to| &images[*to].name).collect();
        settings::of(image, &on, &root, rules)
    });
    let settings = settings.collect();
    Ok(Survey { root, root_findings, root_spans, images, uses, reaches, edges, settings, order, twins })
}

fn root_config(
    tree: &Tree,
    objects: &mut Objects<'_>,
    rules: &Rules<'_>,
) -> Result<(RootConfig, Vec<Diagnostic>, Spans)> {
    let path = RepoPath::new(config::ROOT_FILE);
    let mut findings = Vec::new();
    let mut root = RootConfig::default();
    let mut spans = Spans::default();
    if tree.get(path.as_bytes()).is_some() {
        let content = objects.read_paths(tree, &[path], config::MAX_BYTES as u64)?.pop();
        match content {
            Some(Content::Bytes(bytes)) => {
                let parsed = config::parse_root(config::ROOT_FILE, &bytes);
                findings = parsed.findings;
                spans = parsed.spans;
                root = parsed.value.unwrap_or_default();
            }
            content => findings.push(images::unreadable(config::ROOT_FILE, content.as_ref())),
        }
    }
    root.backend = rules.backend.or(root.backend);
    root.cache.enabled = rules.cache.or(root.cache.enabled);
    root.transports = rules.transports.clone();
    Ok((root, findings, spans))
}

fn node<'a>(image: &'a Image, rules: &Rules<'_>) -> Node<'a> {
    let config = image.config();
    let args = config.into_iter().flat_map(|config| &config.build_args);
    Node {
        name: &image.name,
        dir: &image.dir,
        config_file: &image.file,
        spans: &image.parsed.spans,
        depends_on: config.map_or(&[], |config| &config.depends_on),
        additional_tags: config.map_or(&[], |config| &config.additional_tags),
        dockerfile: image.dockerfile.as_ref().map(|(path, dockerfile)| (path.as_str(), dockerfile.as_ref())),
        target: config.and_then(|config| config.target.as_deref()),
        build_args: args.map(|arg| (arg.name.clone(), arg.value.clone())).collect(),
        expands_sources: image.backend(rules).expands_sources(),
        platforms: config.map_or(&[], |config| &config.platforms),
    }
}

/// Keys by image index; none where the configuration is invalid or nobody wanted one.
pub type ImageKeys = Vec<Option<Arc<Keyed>>>;

/// What a remote image's ref means: the commit, by image index.
pub type UpstreamCommits = BTreeMap<usize, String>;

impl Survey {
    /// The keys of the `wanted` images that have a valid configuration, and of what these are built on. An image that
    /// is built on an invalid one counts that as an input without content. `known` are keys made before; they are used
    /// where nothing that they are made from differs.
    ///
    /// # Errors
    /// When a pattern of `ignore` or `watch` is no glob.
    pub fn keys(
        &self,
        keys: &Keys<'_>,
        rules: &Rules<'_>,
        commits: &UpstreamCommits,
        known: &Known<'_>,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<ImageKeys> {
        let order = self.order.as_ref().map(Vec::as_slice).unwrap_or_default();
        let wanted = self.with_dependencies(order, wanted);
        let mut found: ImageKeys = self.images.iter().map(|_| None).collect();
        let nothing = InputKey::parse(&"0".repeat(64)).ok_or_else(|| Error::internal("zeros are no input key"))?;
        let inputs = |index: usize| {
            Some(ImageInputs {
                config: self.images[index].config()?,
                backend: self.images[index].backend(rules),
                located: self.images[index].located.as_ref(),
                reach: &self.reaches[index],
                upstream_commit: commits.get(&index).map(String::as_str),
                settings: &self.settings[index],
            })
        };
        let kept = |index: usize| known.key(self, index).filter(|_| !commits.contains_key(&index));
        let fresh = (0..self.images.len()).filter(|index| wanted[*index] && kept(*index).is_none());
        let fresh: Vec<(usize, ImageInputs<'_>)> = fresh.filter_map(|index| Some((index, inputs(index)?))).collect();
        let owns = crew::map(&fresh, |(_, inputs)| keys.own(inputs));
        let mut owns: HashMap<usize, Result<Own>> = fresh.iter().map(|(index, _)| *index).zip(owns).collect();
        for index in order.iter().filter(|index| wanted[**index]) {
            let Some(inputs) = inputs(*index) else { continue };
            let mut dependencies: Vec<Dependency> = self.edges[*index]
                .iter()
                .map(|to| Dependency {
                    name: self.images[*to].name.to_string(),
                    key: found[*to].as_ref().map_or_else(|| nothing.clone(), |keyed| keyed.key.clone()),
                })
                .collect();
            dependencies.sort_by(|a, b| a.name.cmp(&b.name));
            if let Some(same) = kept(*index).filter(|it| it.dependencies == dependencies) {
                found[*index] = Some(Arc::clone(same));
                continue;
            }
            let own = owns.remove(index).unwrap_or_else(|| keys.own(&inputs))?;
            found[*index] = Some(Arc::new(own.built_on(dependencies)));
        }
        Ok(found)
    }

    /// By index, whether it is one of those, or one of them is built on it. `order` has dependencies first.
    fn with_dependencies(&self, order: &[usize], those: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut found: Vec<bool> = (0..self.images.len()).map(those).collect();
        for index in order.iter().rev() {
            if found[*index] {
                self.edges[*index].iter().for_each(|to| found[*to] = true);
            }
        }
        found
    }

    /// For each image the one of the `other` side that has the same key, as far as that is known without making the
    /// keys: nothing differs that it is made from, and the same is true of everything that it is built on.
    #[must_use]
    pub fn untouched(&self, other: &Self) -> Vec<Option<usize>> {
        let mut found: Vec<Option<usize>> = vec![None; self.images.len()];
        for index in self.order.as_ref().map(Vec::as_slice).unwrap_or_default() {
            let Some(twin) = self.twins[*index].filter(|_| self.images[*index].config().is_some()) else { continue };
            let built_on = self.edges[*index].iter().map(|to| found[*to]);
            let same = built_on.eq(other.edges[twin].iter().map(|to| Some(*to)))
                && self.settings[*index] == other.settings[twin];
            found[*index] = same.then_some(twin);
        }
        found
    }

    /// This side of the comparison; `same` says which images have the same key on the other side.
    #[must_use]
    pub fn side<'t>(&self, tree: &'t Tree, keyed: &[Option<Arc<Keyed>>], same: impl Fn(usize) -> bool) -> Side<'t> {
        let images = self.images.iter().zip(keyed).enumerate().map(|(index, (image, keyed))| {
            let side = match keyed {
                _ if same(index) => SideImage::Same,
                Some(keyed) => SideImage::Keyed(Arc::clone(keyed)),
                None => SideImage::Invalid,
            };
            (image.id(), side)
        });
        Side { tree, images: images.collect() }
    }
}
