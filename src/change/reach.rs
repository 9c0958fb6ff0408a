//! Which files of a build context reach a build: what its ignore files leave in, and what its Dockerfile copies.
//!
//! Exact where the Dockerfile says literally what it reads; otherwise everything that the ignore files leave in. A
//! file too many is a needless build, one too few a missed one: in doubt a file counts.

use std::sync::Arc;

use super::located::Located;
use super::oid::Oid;
use super::path::RepoPath;
use super::resolve::Resolved;
use super::tree::Tree;
use crate::config::BackendName;
use crate::dockerfile::{ContextRead, ReadKind};
use crate::ignorefile::{Dialect, IgnoreFile, clean};

/// An ignore file that holds for an image, compiled.
#[derive(Clone, Debug)]
pub struct Ignoring {
    /// Where it lies.
    pub path: RepoPath,
    /// What it holds.
    pub oid: Oid,
    /// How its builder reads it.
    pub dialect: Dialect,
    /// What it says.
    pub file: Arc<IgnoreFile>,
}

/// What of a build context reaches a build.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Ignore files; a file is left out when each of them leaves it out.
    pub ignoring: Vec<Ignoring>,
    /// What is read; none is the whole context, as far as the ignore files leave it in.
    pub sources: Option<Vec<CopySource>>,
    /// Links that lead to sources.
    pub links: Vec<RepoPath>,
    /// Whether a source lies outside the build context.
    pub strays: bool,
}

/// A file or directory that is read, links followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopySource {
    /// Its path in the repository.
    pub path: RepoPath,
    /// Whether ignore files hold for it.
    pub filtered: bool,
    /// Whether it is read by this very path, by a builder that then never looks into directories that are left out.
    pub direct: bool,
}

/// What instructions may read that nobody sees.
pub static UNSEEN: [ContextRead; 3] = {
    const fn anything(kind: ReadKind) -> ContextRead {
        ContextRead { kind, path: None }
    }
    [anything(ReadKind::Copy), anything(ReadKind::Add), anything(ReadKind::Mount)]
};

impl Reach {
    /// What an image with these ignore files reads by `reads`.
    pub fn find<'d>(
        tree: &Tree,
        located: &Located,
        backend: BackendName,
        ignoring: &[Ignoring],
        reads: impl IntoIterator<Item = &'d ContextRead>,
        read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
    ) -> Self {
        let mut reach = Self { ignoring: ignoring.to_vec(), ..Self::default() };
        let Some(context) = located.context_dir() else { return reach };
        let mut sources = Vec::new();
        for read in reads {
            let finder = Finder { tree, context, backend, kind: read.kind };
            let found = read.path.as_deref().is_some_and(|path| finder.add(path, &mut reach, &mut sources, read_link));
            if !found {
                let filtered = !looks_past(backend, read.kind);
                sources.push(CopySource { path: context.clone(), filtered, direct: false });
            }
        }
        for source in &mut sources {
            source.filtered |= ignoring.is_empty() && context.holds(source.path.as_bytes());
        }
        sources.sort();
        sources.dedup();
        // What holds everything else makes that needless, and lets images share the work.
        for filtered in [true, false] {
            let whole = CopySource { path: context.clone(), filtered, direct: false };
            if sources.contains(&whole) {
                let inside = |source: &CopySource| context.holds(source.path.as_bytes());
                sources.retain(|source| *source == whole || !inside(source) || filtered && !source.filtered);
            }
        }
        let is_whole = matches!(sources.as_slice(), [one] if one.path == *context && one.filtered && !one.direct);
        reach.sources = (!is_whole).then_some(sources);
        reach
    }
}

/// Whether a builder reads files this way that its ignore file leaves out: Kaniko unpacks any archive, Buildah mounts
/// the directory as it is.
const fn looks_past(backend: BackendName, kind: ReadKind) -> bool {
    matches!((backend, kind), (BackendName::Kaniko, ReadKind::Add) | (BackendName::Buildah, ReadKind::Mount))
}

struct Finder<'a> {
    tree: &'a Tree,
    context: &'a RepoPath,
    backend: BackendName,
    kind: ReadKind,
}

impl Finder<'_> {
    /// Adds what a literal path leads to; false when that is not in sight.
    fn add(
        &self,
        path: &str,
        reach: &mut Reach,
        sources: &mut Vec<CopySource>,
        read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
    ) -> bool {
        // Builders take the context for the root: `/a`, `a/`, `./a` and `../a` are all `a`.
        let cleaned = clean(format!("/{path}").as_bytes());
        let cleaned = cleaned.strip_prefix(b"/").unwrap_or(&cleaned);
        let outside = clean(path.trim_start_matches('/').as_bytes());
        let leaves = |path: &[u8]| path == b".." || path.starts_with(b"../");
        if leaves(&outside) && self.backend == BackendName::Kaniko {
            // But Kaniko leaves it.
            let place = clean(self.context.join(&outside).as_bytes());
            reach.strays = true;
            if !leaves(&place) {
                sources.push(CopySource { path: RepoPath::new(place), filtered: false, direct: false });
            }
        }
        let (path, links) = match self.tree.resolve(self.context, cleaned, read_link) {
            // A submodule is an entry like others: its commit says all that it can bring.
            Resolved::File { path, links, .. }
            | Resolved::Directory { path, links }
            | Resolved::Submodule { path, links } => (path, links),
            // The build fails, until something is there.
            Resolved::Missing if !self.has_link(cleaned) => (self.context.join(cleaned), Vec::new()),
            _ => return false,
        };
        let is_file = self.tree.get(path.as_bytes()).is_some_and(|entry| entry.mode.is_file());
        let past = match self.kind {
            // Directories are copied file by file.
            ReadKind::Add => looks_past(self.backend, self.kind) && is_file,
            kind => looks_past(self.backend, kind),
        };
        let direct = links.is_empty() && self.backend == BackendName::Buildah;
        sources.push(CopySource { path, filtered: !past, direct });
        reach.links.extend(links);
        true
    }

    /// Whether a link stands on the way.
    fn has_link(&self, path: &[u8]) -> bool {
        let whole = self.context.join(path);
        let bytes = whole.as_bytes();
        let ends = memchr::memchr_iter(b'/', bytes).chain([bytes.len()]);
        ends.into_iter().any(|end| self.tree.get(&bytes[..end]).is_some())
    }
}

/// Where the ignore files of an image lie, by the rule of its builder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnorePlaces {
    /// Those that hold; none when some reading of the rule knows none, and everything counts.
    pub places: Vec<(Dialect, RepoPath, Oid)>,
    /// Whether a link stands where one is looked for: then more than the image's directory decides.
    pub linked: bool,
    /// Links on the way and what they lead to; none where that is nowhere.
    pub through: Vec<RepoPath>,
}

impl IgnorePlaces {
    /// Looks for them beside the Dockerfile and at the top of the context.
    pub(super) fn find(
        tree: &Tree,
        located: &Located,
        backend: BackendName,
        read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>,
    ) -> Self {
        let (Some(context), Some((dockerfile, _))) = (located.context_dir(), located.dockerfile_blob()) else {
            return Self::default();
        };
        let mut found = Self::default();
        let mut file = |root: &RepoPath, path: RepoPath, dialect: Dialect| {
            let entry = tree.get(path.as_bytes())?;
            if entry.mode.is_file() {
                return Some((dialect, path, entry.oid));
            }
            found.linked = true;
            match tree.resolve(root, root.relative(path.as_bytes())?, read_link) {
                Resolved::File { path, oid, links } => {
                    found.through.extend(links.into_iter().chain([path.clone()]));
                    Some((dialect, path, oid))
                }
                _ => None,
            }
        };
        let beside = |ending: &str| RepoPath::new([dockerfile.as_bytes(), ending.as_bytes()].concat());
        let root = &located.root;
        let places: Vec<Option<(Dialect, RepoPath, Oid)>> = match backend {
            BackendName::Buildkit | BackendName::Kaniko | BackendName::Docker => {
                let dialect = if backend == BackendName::Kaniko { Dialect::Kaniko } else { Dialect::BuildKit };
                let own = file(root, beside(".dockerignore"), dialect);
                let place = own.or_else(|| file(context, context.join(".dockerignore"), dialect));
                // An engine of its own reads the context's, whatever lies beside the Dockerfile.
                let classic = (backend == BackendName::Docker)
                    .then(|| file(context, context.join(".dockerignore"), Dialect::Classic));
                [Some(place), classic].into_iter().flatten().collect()
            }
            BackendName::Buildah => {
                // The build stage names the first to it; the others it finds itself.
                let beside = [".dockerignore", ".containerignore"].map(beside);
                let mut known = beside.into_iter().map(|path| file(root, path, Dialect::Buildah));
                let own = known.find(Option::is_some).flatten();
                let names = [".containerignore", ".dockerignore"].into_iter();
                let mut common = names.map(|name| file(context, context.join(name), Dialect::Buildah));
                vec![own.or_else(|| common.find(Option::is_some).flatten())]
            }
            BackendName::Ko | BackendName::Spin => Vec::new(),
        };
        found.places = places.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default();
        found
    }
}
