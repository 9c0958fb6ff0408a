//! Ignore files: read with everything else, and compiled once for all images that have the same.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Image, crew};
use crate::change::{Ignoring, Oid, RepoPath, Tree};
use crate::diagnostic::{Diagnostic, Span};
use crate::git::Content;
use crate::ignorefile::{Dialect, IgnoreFile};

/// Where most images have one.
pub(super) const USUAL: [&str; 4] =
    [".dockerignore", "Dockerfile.dockerignore", ".containerignore", "Dockerfile.containerignore"];

/// What was read and compiled.
#[derive(Default)]
pub(super) struct IgnoreFiles {
    wanted: HashSet<Oid>,
    contents: HashMap<Oid, Content>,
    compiled: HashMap<(Oid, Dialect), Compiled>,
}

/// A compiled file, and what is wrong with it in any place.
type Compiled = (Arc<IgnoreFile>, Vec<Diagnostic>);

impl IgnoreFiles {
    /// Ids of those that probably hold for the image of a directory and that nobody asked for yet.
    pub(super) fn usual(&mut self, tree: &Tree, dir: &RepoPath) -> Vec<Oid> {
        let entries = USUAL.iter().filter_map(|name| tree.get(dir.join(name).as_bytes()));
        entries
            .filter(|entry| entry.mode.is_file())
            .map(|entry| entry.oid)
            .filter(|oid| self.wanted.insert(*oid))
            .collect()
    }

    /// Ids of those that hold for an image and that nobody asked for yet.
    pub(super) fn missing(&mut self, image: &Image) -> Vec<Oid> {
        let places = image.located.iter().flat_map(|located| &located.ignore_places.places);
        places.map(|(_, _, oid)| *oid).filter(|oid| self.wanted.insert(*oid)).collect()
    }

    pub(super) fn take(&mut self, oid: Oid, content: Content) {
        self.contents.insert(oid, content);
    }

    /// Compiles those that hold for these images, each once.
    pub(super) fn compile(&mut self, images: &[Vec<Image>]) {
        let located = images.iter().flatten().filter_map(|image| image.located.as_ref());
        let places = located.flat_map(|located| &located.ignore_places.places);
        let wanted: HashSet<_> = places.map(|(dialect, _, oid)| (*oid, *dialect)).collect();
        let wanted: Vec<_> = wanted.into_iter().filter(|file| !self.compiled.contains_key(file)).collect();
        let compiled = crew::map(&wanted, |(oid, dialect)| compile(self.contents.get(oid), *dialect));
        self.compiled.extend(wanted.into_iter().zip(compiled));
    }

    /// Gives an image its ignore files, once they are compiled, and the findings in them.
    pub(super) fn accept(&self, image: &mut Image) {
        let Some(located) = &image.located else { return };
        for (dialect, path, oid) in &located.ignore_places.places {
            let Some((file, findings)) = self.compiled.get(&(*oid, *dialect)) else { continue };
            let file = Arc::clone(file);
            image.ignoring.push(Ignoring { path: path.clone(), oid: *oid, dialect: *dialect, file });
            for finding in findings {
                let finding = Diagnostic { file: path.to_string(), ..finding.clone() };
                // Two rules may find the same.
                if !image.problems.contains(&finding) {
                    image.problems.push(finding);
                }
            }
        }
    }
}

fn compile(content: Option<&Content>, dialect: Dialect) -> Compiled {
    let unreadable = |why: &str| {
        let (file, _) = IgnoreFile::parse("", b"", dialect);
        (Arc::new(file), vec![Diagnostic::error("", Span::START, why)])
    };
    match content {
        Some(Content::Bytes(bytes)) => {
            let (file, findings) = IgnoreFile::parse("", bytes, dialect);
            (Arc::new(file), findings)
        }
        Some(Content::TooLarge(_)) => unreadable("the ignore file is larger than 64 KiB"),
        Some(Content::Missing) | None => unreadable("the ignore file cannot be read"),
    }
}
