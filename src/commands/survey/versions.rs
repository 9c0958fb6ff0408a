//! The files of `version_from`: where they are, and what they say.

use std::sync::Arc;

use super::Image;
use crate::change::{Oid, RepoPath, Resolved, Tree};
use crate::config::template::{names, with};
use crate::config::{ContextFrom, ImageConfig, Source, VersionFrom};
use crate::diagnostic::{Diagnostic, escape_cut};
use crate::git::Content;
use crate::plan::tags::Version;

/// A file to read.
pub(super) struct File {
    /// Index of its image.
    pub(super) index: usize,
    pub(super) path: String,
    pub(super) oid: Oid,
}

/// The files of the images that have one; what leads nowhere becomes a problem of its image.
pub(super) fn files(
    tree: &Tree,
    images: &mut [Box<Image>],
    read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
) -> Vec<File> {
    let mut found = Vec::new();
    for (index, image) in images.iter_mut().enumerate() {
        let Some(config) = image.parsed.value.as_deref() else { continue };
        let (Some(from), Source::Local { from: root }) = (&config.version_from, &config.source) else { continue };
        let root = if *root == ContextFrom::Repository { &RepoPath::ROOT } else { &image.path };
        let resolved = tree.resolve(root, from.file.as_bytes(), read_link);
        if uses(config) {
            image.version_paths = match &resolved {
                Resolved::File { path, links, .. } => links.iter().chain([path]).cloned().collect(),
                _ => vec![root.join(&from.file)],
            };
        }
        let why = match resolved {
            Resolved::File { path, oid, links } => {
                image.own_version = links.is_empty() && image.path.holds(path.as_bytes());
                found.push(File { index, path: path.to_string(), oid });
                continue;
            }
            Resolved::Directory { .. } => "is a directory",
            Resolved::Missing => "does not exist",
            Resolved::Escapes => "leaves the source root",
            Resolved::Loop => "is a circle of links",
            Resolved::Submodule { .. } | Resolved::InSubmodule => "lies in a submodule, which is not fetched",
        };
        let message = format!("the version file `{}` {why}", escape_cut(&from.file, 120));
        // What is not there today may be there at the other side of a comparison.
        image.own_version = false;
        image.problems.push(Diagnostic::error(&image.file, image.parsed.spans.of("version_from.file"), message));
    }
    found
}

const VARIABLE: &str = "VERSION";

/// Whether the build arguments name the version.
fn uses(config: &ImageConfig) -> bool {
    config.build_args.iter().any(|arg| names(&arg.value).iter().any(|name| name == VARIABLE))
}

/// What a file says is a fact of the tree and no matter of the run: in build arguments it is a value like others, and
/// reaches the key.
fn set(image: &mut Image, version: Version) {
    if let Some(config) = image.parsed.value.as_mut().filter(|config| uses(config)) {
        for arg in &mut Arc::make_mut(config).build_args {
            arg.value = with(&arg.value, VARIABLE, &version.as_tag());
        }
    }
    image.version = Some(version);
}

/// Takes the version out of a file.
pub(super) fn accept(image: &mut Image, path: &str, content: &Content) {
    let Some(from) = image.config().and_then(|config| config.version_from.clone()) else { return };
    let pattern = if from.pattern.is_some() { "version_from.pattern" } else { "version_from.file" };
    let (field, message) = match content {
        Content::Bytes(bytes) if bytes.len() as u64 <= VersionFrom::MAX_BYTES => {
            match from.find(&String::from_utf8_lossy(bytes)) {
                Some(text) => match Version::of_file(text) {
                    Some(version) => return set(image, version),
                    None => (pattern, format!("`{}` in {path} is no version", escape_cut(text, 60))),
                },
                None if from.pattern.is_some() => (pattern, format!("nothing in {path} matches")),
                None => (pattern, format!("{path} holds more than one word: a `pattern` says which is the version")),
            }
        }
        Content::Bytes(_) | Content::TooLarge(_) => ("version_from.file", format!("{path} has more than 256 KiB")),
        Content::Missing => ("version_from.file", format!("{path} cannot be read")),
    };
    let finding = Diagnostic::error(&image.file, image.parsed.spans.of(field), message);
    image.problems.push(finding.note("a version has letters, digits and .+_-, one of them a digit, and no spaces"));
}
