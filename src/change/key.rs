//! The input key: one SHA-256 over what can reach a build (specification §6, "The input key").
//!
//! The form that is hashed is versioned and length-prefixed, so that no two different inputs give the same bytes.
//! It is put together from parts that are kept as [`Components`], so that two keys can be told apart by reason.
//!
//! What counts of a local source: mode, path and object id of every file that reaches the build ([`Reach`]; paths as
//! the build sees them: relative to the context), and the Dockerfile with every link that leads to it, inside the
//! context or not. Left out are files named `README.md`, `ignore`d paths, and `.hephy/`. The Dockerfile counts always,
//! and so does what is `watch`ed, for sources elsewhere too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::content::{self, Content};
use super::form::{Form, hex};
use super::ignore::Globs;
use super::input_key::InputKey;
use super::inputs::{Dependency, ImageInputs, SourceInput};
use super::located::Located;
use super::memo::Memo;
use super::oid::Oid;
use super::path::{RepoPath, stretch};
use super::reach::{CopySource, Reach};
use super::tree::{Tree, TreeChange, is_own_output};
use crate::config::{BackendName, ImageConfig, Source};
use crate::error::Result;
use crate::ignorefile::Dialect;

/// Changes whenever the hashed form does; every image is then built once.
const VERSION: &[u8] = b"hephy input key 2";

impl<'a> ImageInputs<'a> {
    /// What is read of a build context.
    fn sources(&self, context: &RepoPath) -> Cow<'a, [CopySource]> {
        let whole = || vec![CopySource { path: context.clone(), filtered: true, direct: false }];
        self.reach.sources.as_deref().map_or_else(|| Cow::Owned(whole()), Cow::Borrowed)
    }

    /// What the hash over one source depends on.
    fn files(&self, context: &RepoPath, source: &CopySource) -> Files {
        let ignoring = self.reach.ignoring.iter().filter(|_| source.filtered).map(|one| (one.dialect, one.oid));
        Files {
            context: context.clone(),
            source: source.clone(),
            ignore: self.config.ignore.clone(),
            ignoring: ignoring.collect(),
        }
    }
}

/// A key with the parts that it was made from.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The key.
    pub key: InputKey,
    /// The source.
    pub source: SourceInput,
    /// The configuration.
    pub config: Arc<ImageConfig>,
    /// The builder.
    pub backend: BackendName,
    /// By name, each once.
    pub dependencies: Vec<Dependency>,
    /// Where a local source's files are.
    pub located: Option<Located>,
    /// What of them reaches the build.
    pub reach: Arc<Reach>,
    /// Hashes of the values of `build_args_env` that it is built with, by variable.
    pub settings: BTreeMap<String, String>,
    /// Hash over the files that are `watch`ed, if any are.
    pub watched: Option<String>,
    /// What does not count.
    pub(crate) ignore: Arc<Globs>,
    /// What counts besides.
    pub(crate) watch: Arc<Globs>,
}

impl Keyed {
    /// The configuration's fields that count, as JSON.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<&'static str, Value> {
        fields(&self.config, &self.settings)
    }
}

/// What of a key no other image has a say in, and the parts that it was made from.
#[derive(Debug)]
pub struct Own {
    /// Everything but the dependencies.
    form: Form,
    source: SourceInput,
    config: Arc<ImageConfig>,
    backend: BackendName,
    located: Option<Located>,
    reach: Arc<Reach>,
    settings: BTreeMap<String, String>,
    watched: Option<String>,
    ignore: Arc<Globs>,
    watch: Arc<Globs>,
}

impl Own {
    /// The key. Dependencies come first: call this in the order of the graph.
    #[must_use]
    pub fn built_on(self, mut dependencies: Vec<Dependency>) -> Keyed {
        dependencies.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
        dependencies.dedup();
        Keyed {
            key: InputKey::of(built_on(self.form, &dependencies)),
            source: self.source,
            config: self.config,
            backend: self.backend,
            dependencies,
            located: self.located,
            reach: self.reach,
            settings: self.settings,
            watched: self.watched,
            ignore: self.ignore,
            watch: self.watch,
        }
    }
}

/// Makes the keys of all images of one tree. Images that read the same by the same rules share the work; so do two
/// trees, where nothing of that changed.
#[derive(Debug)]
pub struct Keys<'t> {
    tree: &'t Tree,
    files: Memo<Files, [u8; 32]>,
    watched: Memo<Vec<String>, [u8; 32]>,
    globs: Memo<Vec<String>, Arc<Globs>>,
    other: Option<(&'t Keys<'t>, &'t [TreeChange])>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Files {
    context: RepoPath,
    source: CopySource,
    ignore: Vec<String>,
    ignoring: Vec<(Dialect, Oid)>,
}

impl<'t> Keys<'t> {
    /// For the images of `tree`.
    #[must_use]
    pub fn new(tree: &'t Tree) -> Self {
        Self { tree, files: Memo::default(), watched: Memo::default(), globs: Memo::default(), other: None }
    }

    /// For the images of `base`, from which `changes` (sorted by path) lead to the tree of `head`.
    #[must_use]
    pub fn of_base(base: &'t Tree, head: &'t Self, changes: &'t [TreeChange]) -> Self {
        Self { other: Some((head, changes)), ..Self::new(base) }
    }

    /// The tree whose images get keys.
    #[must_use]
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// What of a key no other image has a say in: the costly part, independent of all others. Threads may ask at the same
    /// time; what images share is hashed once, or once by each of them.
    ///
    /// # Errors
    /// When a pattern of `ignore` or `watch` is no glob.
    pub fn own(&self, inputs: &ImageInputs<'_>) -> Result<Own> {
        let ignore = self.globs(&inputs.config.ignore)?;
        let watch = self.globs(&inputs.config.watch)?;
        let watched =
            (!inputs.config.watch.is_empty()).then(|| hex(&self.watched_digest(&inputs.config.watch, &watch)));
        let source = match (&inputs.config.source, inputs.upstream_commit) {
            (Source::Local { .. }, _) => SourceInput::Local { files: self.files_of(inputs, &ignore) },
            (Source::Remote { .. }, Some(commit)) => SourceInput::Commit { commit: commit.to_owned() },
            (Source::Remote { repository, reference }, None) => {
                SourceInput::Reference { repository: repository.clone(), reference: reference.clone() }
            }
        };
        let fields = fields(inputs.config, inputs.settings);
        let form = own_form(&source, watched.as_deref(), &fields, inputs.backend);
        Ok(Own {
            form,
            source,
            config: Arc::clone(inputs.config),
            backend: inputs.backend,
            located: inputs.located.cloned(),
            reach: Arc::clone(inputs.reach),
            settings: inputs.settings.clone(),
            watched,
            ignore,
            watch,
        })
    }

    fn globs(&self, patterns: &[String]) -> Result<Arc<Globs>> {
        if let Some(globs) = self.globs.get(patterns) {
            return Ok(globs);
        }
        let globs = Arc::new(Globs::new(patterns)?);
        self.globs.insert(patterns.to_vec(), Arc::clone(&globs));
        Ok(globs)
    }

    fn files_of(&self, inputs: &ImageInputs<'_>, ignore: &Globs) -> String {
        let mut form = Form::new(b"files");
        if let Some(located) = inputs.located {
            match located.context_dir() {
                Some(context) => self.add_sources(&mut form, context, inputs, ignore),
                None => form.bytes(b"no context"),
            }
            for path in located.named_paths().into_iter().chain(&inputs.reach.links) {
                // Relative to the source root: a directory that moves is the same build.
                form.bytes(located.root.relative(path.as_bytes()).unwrap_or(path.as_bytes()));
                if let Some(entry) = self.tree.get(path.as_bytes()) {
                    form.content(&entry);
                }
            }
        }
        hex(&form.finish())
    }

    fn add_sources(&self, form: &mut Form, context: &RepoPath, inputs: &ImageInputs<'_>, ignore: &Globs) {
        let sources = inputs.sources(context);
        let content = Content { tree: self.tree, context, ignore, ignoring: &inputs.reach.ignoring };
        form.count(sources.len());
        for source in sources.iter() {
            form.bytes(&self.source_digest(inputs.files(context, source), &content));
        }
    }

    fn source_digest(&self, files: Files, content: &Content<'_>) -> [u8; 32] {
        self.known_digest(&files).unwrap_or_else(|| {
            let digest = content.digest(&files.source);
            self.files.insert(files, digest);
            digest
        })
    }

    fn known_digest(&self, files: &Files) -> Option<[u8; 32]> {
        self.files.get(files).or_else(|| self.unchanged_digest(files))
    }

    fn unchanged_digest(&self, files: &Files) -> Option<[u8; 32]> {
        let (other, changes) = self.other?;
        let digest = other.files.get(files)?;
        let path = &files.source.path;
        let itself = changes.binary_search_by(|change| change.path.cmp(path)).is_ok();
        let below = stretch(changes, path, |change, bound| change.path.as_bytes() < bound);
        (!itself && below.is_empty()).then_some(digest)
    }

    fn watched_digest(&self, patterns: &[String], watch: &Globs) -> [u8; 32] {
        self.watched.get(patterns).unwrap_or_else(|| {
            let digest = content::watched(self.tree, watch);
            self.watched.insert(patterns.to_vec(), digest);
            digest
        })
    }
}

fn fields(config: &ImageConfig, settings: &BTreeMap<String, String>) -> BTreeMap<&'static str, Value> {
    let mut fields = config.key_fields();
    // Images without them keep their keys.
    if !settings.is_empty() && config.manual_images.is_none() {
        fields.insert("build_args_env", serde_json::json!(settings));
    }
    fields
}

/// Whether a file never counts, or is `ignore`d.
pub(super) fn is_left_out(path: &[u8], ignore: &Globs) -> bool {
    never_counts(path) || ignore.matching(path).is_some()
}

/// Whether a file counts for no image.
pub(super) fn never_counts(path: &[u8]) -> bool {
    path.ends_with(b"README.md") && matches!(path.len().checked_sub(10).map(|at| path[at]), None | Some(b'/'))
        || is_own_output(path)
}

fn own_form(
    source: &SourceInput,
    watched: Option<&str>,
    fields: &BTreeMap<&'static str, Value>,
    backend: BackendName,
) -> Form {
    let mut form = Form::new(VERSION);
    match source {
        SourceInput::Local { files } => {
            form.bytes(b"local");
            form.bytes(files.as_bytes());
        }
        SourceInput::Commit { commit } => {
            form.bytes(b"commit");
            form.bytes(commit.as_bytes());
        }
        SourceInput::Reference { repository, reference } => {
            form.bytes(b"reference");
            form.bytes(repository.as_bytes());
            form.bytes(reference.as_bytes());
        }
    }
    form.bytes(watched.unwrap_or_default().as_bytes());
    form.count(fields.len());
    for (name, value) in fields {
        form.bytes(name.as_bytes());
        form.value(value);
    }
    form.bytes(backend.word().as_bytes());
    form
}

fn built_on(mut form: Form, dependencies: &[Dependency]) -> Form {
    form.count(dependencies.len());
    for dependency in dependencies {
        form.bytes(dependency.name.as_bytes());
        form.bytes(dependency.key.as_str().as_bytes());
    }
    form
}

#[cfg(test)]
mod tests;
