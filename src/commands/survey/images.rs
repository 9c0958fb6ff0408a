//! From image directories to [`Image`]s: configurations and Dockerfiles, each read with all others in one go.

use std::rc::Rc;

use super::{Image, Rules};
use crate::change::{Located, Oid, RepoPath, Resolved, Tree};
use crate::config::{self, BackendName, ImageConfig, Parsed, RootConfig, Spans};
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::{self, Dockerfile};
use crate::error::{Error, Result};
use crate::git::{Content, Objects};
use crate::oci::ImageName;

/// What images are read from, and by which rules.
pub(super) struct Reading<'a, 'r> {
    pub(super) tree: &'a Tree,
    pub(super) objects: &'a mut Objects<'r>,
    pub(super) rules: &'a Rules<'a>,
    /// The defaults of `hephy.yaml`.
    pub(super) root: &'a RootConfig,
}

/// A directory with its configuration file, before that is read.
struct Place {
    index: usize,
    dir: RepoPath,
    file: RepoPath,
    oid: Option<Oid>,
    direct: bool,
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
    pub(super) fn images(&mut self, dirs: impl Iterator<Item = (usize, RepoPath)>) -> Result<Vec<Image>> {
        let mut places = Vec::new();
        for (index, dir) in dirs {
            let file = dir.join(config::IMAGE_FILE);
            let objects = &mut *self.objects;
            let found = self.tree.resolve(&RepoPath::ROOT, file.as_bytes(), &mut |oid| objects.read_link(oid));
            let (oid, direct) = match found {
                Resolved::File { oid, links, .. } => (Some(oid), links.is_empty()),
                _ => (None, false),
            };
            places.push(Place { index, dir, file, oid, direct });
        }
        let wanted: Vec<Oid> = places.iter().filter_map(|place| place.oid).collect();
        let mut contents = self.objects.read_many(&wanted, config::MAX_BYTES as u64)?.into_iter();
        let mut images = Vec::with_capacity(places.len());
        for place in places {
            let content = place.oid.and_then(|_| contents.next());
            images.push(self.image(place, content.as_ref())?);
        }
        self.dockerfiles(&mut images)?;
        Ok(images)
    }

    fn image(&mut self, place: Place, content: Option<&Content>) -> Result<Image> {
        let Place { index, dir: path, file, direct, .. } = place;
        let file = file.to_string();
        let parsed = Rc::new(self.config(&file, content));
        let dir = if path.is_root() { ".".to_owned() } else { path.to_string() };
        let named = match path.to_utf8() {
            Some(text) => ImageName::of_directory(text, self.rules.repository_name),
            None => Err(crate::oci::Invalid(format!("`{dir}` is not UTF-8"))),
        };
        let (name, illegal) = match named {
            Ok(name) => (name, None),
            Err(why) => {
                let stand_in = ImageName::parse(&format!("illegal-directory-{index}"));
                let stand_in = stand_in.map_err(|_| Error::internal("a stand-in for an image name is illegal"))?;
                (stand_in, Some(why.to_string()))
            }
        };
        let mut image = Image {
            path,
            dir,
            name,
            illegal,
            file,
            parsed,
            direct,
            located: None,
            dockerfile: None,
            problems: Vec::new(),
        };
        let located = match image.config() {
            Some(config) if config.manual_images.is_none() => {
                let reads_dockerfile = image.backend(self.rules).reads_dockerfile();
                let read_link = &mut |oid| self.objects.read_link(oid);
                Located::find(self.tree, &image.path, config, reads_dockerfile, read_link)
            }
            _ => None,
        };
        let problems = located.iter().flat_map(|located| located.problems());
        image.problems = problems.map(|problem| located_problem(&image, problem)).collect();
        image.located = located;
        image.problems.extend(unwritable_annotations(&image, image.backend(self.rules)));
        Ok(image)
    }

    fn config(&self, file: &str, content: Option<&Content>) -> Parsed<ImageConfig> {
        match content {
            Some(Content::Bytes(bytes)) => config::parse_image(file, bytes, self.root),
            content => Parsed { value: None, findings: vec![unreadable(file, content)], spans: Spans::default() },
        }
    }

    fn dockerfiles(&mut self, images: &mut [Image]) -> Result<()> {
        let places: Vec<Option<(String, Oid)>> = images
            .iter()
            .map(|image| {
                let (path, oid) = image.located.as_ref()?.dockerfile_blob()?;
                Some((path.to_string(), oid))
            })
            .collect();
        let wanted: Vec<Oid> = places.iter().flatten().map(|(_, oid)| *oid).collect();
        let mut contents = self.objects.read_many(&wanted, dockerfile::MAX_BYTES as u64)?.into_iter();
        for (image, place) in images.iter_mut().zip(places) {
            let Some((path, _)) = place else { continue };
            match parse_dockerfile(&path, contents.next()) {
                Ok(dockerfile) => {
                    check_target(image, &path, &dockerfile);
                    image.problems.extend(dockerfile.foreign_frontends(&path, &self.root.syntax_frontends));
                    image.dockerfile = Some((path, Rc::new(dockerfile)));
                }
                Err(finding) => image.problems.push(*finding),
            }
        }
        Ok(())
    }
}

/// Docker's engine pushes manifests without annotations; told here, and not by a build job.
fn unwritable_annotations(image: &Image, backend: BackendName) -> Option<Diagnostic> {
    let config = image.config().filter(|_| backend == BackendName::Docker)?;
    let writes = !config.annotations.is_empty() && config.manual_images.is_none();
    let message = format!("the builder `{backend}` cannot write annotations into a manifest");
    writes.then(|| {
        Diagnostic::error(&image.file, image.parsed.spans.of("annotations"), message)
            .note("build it with kaniko, buildkit or buildah, or use `labels`")
    })
}

fn located_problem(image: &Image, (field, message): (&str, String)) -> Diagnostic {
    Diagnostic::error(&image.file, image.parsed.spans.of(field), message)
}

fn parse_dockerfile(path: &str, content: Option<Content>) -> std::result::Result<Dockerfile, Box<Diagnostic>> {
    let refused = |why: &str| Err(Box::new(Diagnostic::error(path, Span::START, why)));
    match content {
        Some(Content::Bytes(bytes)) => Dockerfile::parse(path, &bytes),
        Some(Content::TooLarge(_)) => refused("the Dockerfile is larger than 1 MiB"),
        Some(Content::Missing) | None => refused("the Dockerfile cannot be read"),
    }
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
