//! From image directories to [`Image`]s: configurations and Dockerfiles, each read with all others in one go.

use std::sync::Arc;

use super::ignoring::IgnoreFiles;
use super::{Image, Rules, crew, preflight, targets, versions};
use crate::change::{Located, Oid, RepoPath, Resolved, Tree};
use crate::config::{self, ContextFrom, ImageConfig, Parsed, RootConfig, Source, Spans};
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::{self, Dockerfile};
use crate::error::Result;
use crate::git::{Content, Objects};
use crate::oci::ImageName;

/// The default of `dockerfile_path`.
const USUAL_DOCKERFILE: &str = "Dockerfile";
/// What most images have beside their configuration.
pub(super) const USUAL: [&str; 5] = {
    let [one, two, three, four] = super::ignoring::USUAL;
    [USUAL_DOCKERFILE, one, two, three, four]
};

/// What images are read from, and by which rules.
pub(super) struct Reading<'a, 'r> {
    pub(super) tree: &'a Tree,
    pub(super) objects: &'a mut Objects<'r>,
    pub(super) rules: &'a Rules<'a>,
    /// The defaults of `hephy.yaml`.
    pub(super) root: &'a RootConfig,
    pub(super) ignore_files: IgnoreFiles,
}

/// An image, and what of it is still to be read.
struct Draft {
    /// The image's place in the list.
    at: usize,
    image: Box<Image>,
    /// The Dockerfile with the usual name, as far as nobody knows yet whether it is the image's.
    usual: Option<(RepoPath, ParsedDockerfile)>,
    /// Whether links have to be followed to find its files.
    linked: bool,
    /// Whether its Dockerfile is still to be read.
    unread: bool,
}

type ParsedDockerfile = std::result::Result<Dockerfile, Box<Diagnostic>>;

/// What an object is read for, and for which draft.
#[derive(Clone, Copy)]
enum Purpose {
    Configuration(usize),
    Dockerfile(usize),
    IgnoreFile(Oid),
}

/// The contents of an image's files.
struct Contents {
    /// The image's place in the list.
    at: usize,
    /// The number of its directory.
    index: usize,
    dir: RepoPath,
    /// Whether the configuration is a file, and no link to one.
    direct: bool,
    configuration: Content,
    dockerfile: Option<Content>,
}

pub(super) fn unreadable(file: &str, content: Option<&Content>) -> Diagnostic {
    match content {
        Some(Content::TooLarge(size)) => Diagnostic::error(
            file,
            Span::START,
            format!("the file has {size} bytes, more than {} KiB", config::MAX_BYTES / 1024),
        ),
        _ => Diagnostic::error(file, Span::START, "this is no regular file inside the repository"),
    }
}

impl Reading<'_, '_> {
    /// The images of these directories, each with its index among all of them.
    pub(super) fn images(&mut self, dirs: impl Iterator<Item = (usize, RepoPath)>) -> Result<Vec<Vec<Image>>> {
        let drafts = self.drafts(dirs)?;
        let mut images = Vec::with_capacity(drafts.len());
        let mut unusual = Vec::new();
        for mut draft in drafts {
            if draft.linked {
                let objects = &mut *self.objects;
                draft.locate(self.tree, self.rules, &mut |oid| objects.read_link(oid));
                draft.settle(self.rules, self.root);
            }
            let place = draft.image.located.as_ref().and_then(|located| located.dockerfile_blob());
            let place = place.filter(|_| draft.unread).map(|(path, oid)| (images.len(), path.to_string(), oid));
            unusual.extend(place);
            images.push(draft.image);
        }
        self.unusual(&mut images, &unusual)?;
        self.whole(images.into_iter().map(targets::split).collect())
    }

    /// Reads Dockerfiles and ignore files that lie elsewhere, and the files that say a version.
    fn unusual(&mut self, images: &mut [Box<Image>], dockerfiles: &[(usize, String, Oid)]) -> Result<()> {
        let (root, ignore_files) = (self.root, &mut self.ignore_files);
        let mut oids: Vec<Oid> = dockerfiles.iter().map(|(_, _, oid)| *oid).collect();
        let objects = &mut *self.objects;
        let versions = versions::files(self.tree, images, &mut |oid| objects.read_link(oid));
        oids.extend(versions.iter().map(|file| file.oid));
        for image in images.iter() {
            oids.extend(ignore_files.missing(image));
        }
        self.objects.each(&oids, dockerfile::MAX_BYTES as u64, &mut |at, content| {
            if let Some((index, path, _)) = dockerfiles.get(at) {
                accept(&mut images[*index], path, parse_dockerfile(path, &content), root);
            } else if let Some(file) = versions.get(at - dockerfiles.len()) {
                versions::accept(&mut images[file.index], &file.path, &content);
            } else {
                ignore_files.take(oids[at], content);
            }
        })?;
        Ok(())
    }

    /// Settles the builder of each image, and then what that one leaves out of the build context.
    fn whole(&mut self, mut images: Vec<Vec<Image>>) -> Result<Vec<Vec<Image>>> {
        let (tree, rules, root) = (self.tree, self.rules, self.root);
        let mut oids = Vec::new();
        crew::each(&mut images, |images| {
            images.iter_mut().for_each(|image| preflight::with_dockerfile(image, rules, root));
        });
        for image in images.iter_mut().flatten() {
            if let (Some(rerouted), Some(located)) = (&image.rerouted, &mut image.located) {
                let objects = &mut *self.objects;
                located.look_for_ignore_files(tree, rerouted.to, &mut |oid| objects.read_link(oid));
                oids.extend(self.ignore_files.missing(image));
            }
        }
        let ignore_files = &mut self.ignore_files;
        self.objects
            .each(&oids, dockerfile::MAX_BYTES as u64, &mut |at, content| ignore_files.take(oids[at], content))?;
        ignore_files.compile(&images);
        let ignore_files = &self.ignore_files;
        crew::each(&mut images, |images| images.iter_mut().for_each(|image| ignore_files.accept(image)));
        Ok(images)
    }

    /// Reads the configurations, and in the same go the Dockerfiles and ignore files that most images have beside them.
    /// They are understood while git reads the next ones.
    fn drafts(&mut self, dirs: impl Iterator<Item = (usize, RepoPath)>) -> Result<Vec<Draft>> {
        let mut contents = Vec::new();
        let (mut oids, mut purposes) = (Vec::new(), Vec::new());
        for (at, (index, dir)) in dirs.enumerate() {
            let path = dir.join(config::IMAGE_FILE);
            let objects = &mut *self.objects;
            let found = self.tree.resolve(&RepoPath::ROOT, path.as_bytes(), &mut |oid| objects.read_link(oid));
            let mut direct = false;
            if let Resolved::File { oid, links, .. } = found {
                direct = links.is_empty();
                oids.push(oid);
                purposes.push(Purpose::Configuration(at));
                let usual = self.tree.get(dir.join(USUAL_DOCKERFILE).as_bytes());
                if let Some(entry) = usual.filter(|entry| entry.mode.is_file()) {
                    oids.push(entry.oid);
                    purposes.push(Purpose::Dockerfile(at));
                }
                for oid in self.ignore_files.usual(self.tree, &dir) {
                    oids.push(oid);
                    purposes.push(Purpose::IgnoreFile(oid));
                }
            }
            contents.push(Some(Contents { at, index, dir, direct, configuration: Content::Missing, dockerfile: None }));
        }
        let (tree, rules, root, objects) = (self.tree, self.rules, self.root, &mut *self.objects);
        let ignore_files = &mut self.ignore_files;
        let mut drafts = crew::work_through(
            |contents: Contents| Draft::of(contents, tree, rules, root),
            |feed| {
                let mut waiting: Option<Contents> = None;
                objects.each(&oids, dockerfile::MAX_BYTES as u64, &mut |number, content| match purposes[number] {
                    Purpose::Configuration(at) => {
                        let own = contents[at].take().map(|own| Contents { configuration: content, ..own });
                        std::mem::replace(&mut waiting, own).into_iter().for_each(|contents| feed.push(contents));
                    }
                    Purpose::IgnoreFile(oid) => ignore_files.take(oid, content),
                    // One that comes out of turn, after a fetch, is read again with the unusual ones.
                    Purpose::Dockerfile(at) => {
                        if let Some(contents) = waiting.as_mut().filter(|contents| contents.at == at) {
                            contents.dockerfile = Some(content);
                        }
                    }
                })?;
                // What is left has no configuration that could be read.
                waiting.into_iter().chain(contents.into_iter().flatten()).for_each(|contents| feed.push(contents));
                Ok(())
            },
        )?;
        drafts.sort_unstable_by_key(|draft| draft.at);
        Ok(drafts)
    }
}

impl Draft {
    fn of(contents: Contents, tree: &Tree, rules: &Rules<'_>, root: &RootConfig) -> Self {
        let Contents { at, index, dir, direct, configuration, dockerfile } = contents;
        let file = dir.join(config::IMAGE_FILE).to_string();
        let parsed = parse_configuration(&file, &configuration, root);
        let wanted = parsed.value.as_ref().is_some_and(|config| asks_for_usual(config));
        let usual = dockerfile.filter(|_| wanted).map(|content| {
            let path = dir.join(USUAL_DOCKERFILE);
            let parsed = parse_dockerfile(&path.to_string(), &content);
            (path, parsed)
        });
        let image = Box::new(new_image(index, dir, (file, parsed), direct, rules.repository_name));
        let mut draft = Self { at, image, usual, linked: false, unread: false };
        let mut linked = false;
        draft.locate(tree, rules, &mut |_| {
            linked = true;
            None
        });
        draft.linked = linked;
        if !linked {
            draft.settle(rules, root);
        }
        draft
    }

    fn locate(&mut self, tree: &Tree, rules: &Rules<'_>, read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>) {
        let image = &self.image;
        self.image.located = image.config().and_then(|config| locate(tree, &image.path, config, rules, read_link));
    }

    /// Now that its files are found: what is wrong with their places, and the Dockerfile if that has been read.
    fn settle(&mut self, rules: &Rules<'_>, root: &RootConfig) {
        let image = &mut self.image;
        let problems = image.located.iter().flat_map(|located| located.problems());
        image.problems = problems.map(|problem| located_problem(image, problem)).collect();
        image.problems.extend(super::preflight::without_dockerfile(image, rules, root));
        let place = image.located.as_ref().and_then(|located| Some(located.dockerfile_blob()?.0.clone()));
        match (place, self.usual.take()) {
            (Some(path), Some((usual, parsed))) if usual == path => accept(image, &path.to_string(), parsed, root),
            (place, _) => self.unread = place.is_some(),
        }
    }
}

/// An image of which nothing but its place and configuration is known.
fn new_image(
    index: usize,
    path: RepoPath,
    (file, parsed): (String, Parsed<Arc<ImageConfig>>),
    direct: bool,
    repository_name: &str,
) -> Image {
    let dir = if path.is_root() { ".".to_owned() } else { path.to_string() };
    let named = match path.to_utf8() {
        Some(text) => ImageName::of_directory(text, repository_name),
        None => Err(crate::oci::Invalid(format!("`{dir}` is not UTF-8"))),
    };
    let (name, illegal) = match named {
        Ok(name) => (name, None),
        Err(why) => (ImageName::stand_in(index), Some(why.to_string())),
    };
    Image {
        file,
        path,
        target: None,
        dir,
        name,
        illegal,
        parsed,
        direct,
        located: None,
        ignoring: Vec::new(),
        dockerfile: None,
        version: None,
        own_version: true,
        version_paths: Vec::new(),
        problems: Vec::new(),
        rerouted: None,
    }
}

/// Where the files of an image are, if they are in this repository.
fn locate(
    tree: &Tree,
    dir: &RepoPath,
    config: &ImageConfig,
    rules: &Rules<'_>,
    read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
) -> Option<Located> {
    if config.manual_images.is_some() {
        return None;
    }
    Located::find(tree, dir, config, rules.backend_of(config), read_link)
}

fn parse_configuration(file: &str, content: &Content, root: &RootConfig) -> Parsed<Arc<ImageConfig>> {
    match content {
        Content::Bytes(bytes) if bytes.len() <= config::MAX_BYTES => {
            config::parse_image(file, bytes, root).map(Arc::new)
        }
        Content::Bytes(bytes) => refused(vec![unreadable(file, Some(&Content::TooLarge(bytes.len() as u64)))]),
        content => refused(vec![unreadable(file, Some(content))]),
    }
}

fn refused(findings: Vec<Diagnostic>) -> Parsed<Arc<ImageConfig>> {
    Parsed { value: None, findings, spans: Spans::default() }
}

/// Whether the Dockerfile is probably the one with the usual name in the image's directory.
fn asks_for_usual(config: &ImageConfig) -> bool {
    config.dockerfile_path == USUAL_DOCKERFILE
        && matches!(config.source, Source::Local { from: ContextFrom::Directory })
}

/// Gives an image its Dockerfile.
fn accept(image: &mut Image, path: &str, parsed: ParsedDockerfile, root: &RootConfig) {
    match parsed {
        Ok(dockerfile) => {
            targets::check_target(image, path, &dockerfile);
            image.problems.extend(dockerfile.foreign_frontends(path, &root.syntax_frontends));
            image.dockerfile = Some((path.to_owned(), Arc::new(dockerfile)));
        }
        Err(finding) => image.problems.push(*finding),
    }
}

fn located_problem(image: &Image, (field, message): (&str, String)) -> Diagnostic {
    Diagnostic::error(&image.file, image.parsed.spans.of(field), message)
}

fn parse_dockerfile(path: &str, content: &Content) -> ParsedDockerfile {
    let refused = |why: &str| Err(Box::new(Diagnostic::error(path, Span::START, why)));
    match content {
        Content::Bytes(bytes) => Dockerfile::parse(path, bytes),
        Content::TooLarge(_) => refused("the Dockerfile is larger than 1 MiB"),
        Content::Missing => refused("the Dockerfile cannot be read"),
    }
}
