//! Submodules, when an image asks for them.
//!
//! `.gitmodules` is hostile: names are never used, and of all its fields only `path` and `url` are read. A path counts
//! only where the tree has a submodule at exactly that path, an address only where the rule for `upstream_repo` allows
//! it. Each submodule is fetched with the same care as the repository itself, at the commit that the tree names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fetch::{self, Repository, Want};
use super::git::{Git, LOCAL_LIMIT};
use super::limits::{self, MAX_SUBMODULE_DEPTH, MAX_SUBMODULES};
use super::tree::{self, Entry, Kind};
use super::{Progress, address, archive, parallel};
use crate::error::{Error, ErrorKind, Result};

/// A commit's entries, and the commits that its submodules stand for, by path.
pub(super) struct Module {
    pub repository: Arc<Repository>,
    pub entries: Vec<Entry>,
    pub children: BTreeMap<Vec<u8>, Module>,
}

/// Fetches submodules of one archive.
pub(super) struct Collector<'a> {
    pub git: &'a Git,
    pub progress: Progress<'a>,
    /// Directory for the repositories.
    pub work: &'a Path,
    pub allowed: Vec<String>,
    pub count: AtomicUsize,
}

/// A submodule's place, commit and address.
struct Link {
    path: Vec<u8>,
    commit: String,
    address: String,
}

impl Collector<'_> {
    /// The repository's entries with all submodules, nested ones included.
    pub(super) fn collect(&self, repository: Arc<Repository>, address: &str, depth: usize) -> Result<Module> {
        let mut module = archive::plain(self.git, repository)?;
        let links = self.links(&module, address)?;
        if links.is_empty() {
            return Ok(module);
        }
        if depth >= MAX_SUBMODULE_DEPTH {
            return Err(tree::refused(format!("submodules nested deeper than {MAX_SUBMODULE_DEPTH} levels")));
        }
        if self.count.fetch_add(links.len(), Ordering::Relaxed) + links.len() > MAX_SUBMODULES {
            return Err(tree::refused(format!("more than {MAX_SUBMODULES} submodules")));
        }
        let children = parallel::map(&links, parallel::AT_ONCE / 2, |link| {
            let repository = self.fetch(link)?;
            Ok((link.path.clone(), self.collect(Arc::new(repository), &link.address, depth + 1)?))
        });
        module.children = children.into_iter().collect::<Result<_>>()?;
        Ok(module)
    }

    fn fetch(&self, link: &Link) -> Result<Repository> {
        let work = tempfile::Builder::new()
            .prefix("submodule-")
            .tempdir_in(self.work)
            .map_err(|error| Error::io(format!("{} could not be written", self.work.display()), error))?;
        // Kept: the directory around it is deleted as a whole.
        let work: PathBuf = work.keep();
        let want = Want { repository: &link.address, commit: &link.commit, references: Vec::new(), tags: false };
        fetch::fetch(self.git, &want, &work, self.progress).map_err(|error| in_submodule(error, &link.path))
    }

    fn links(&self, module: &Module, base: &str) -> Result<Vec<Link>> {
        let submodules: Vec<&Entry> = module.entries.iter().filter(|entry| entry.kind == Kind::Submodule).collect();
        if submodules.is_empty() {
            return Ok(Vec::new());
        }
        let addresses = self.addresses(module)?;
        let link = |entry: &&Entry| {
            let shown = limits::shown(&entry.path);
            let written = addresses.get(&entry.path).ok_or_else(|| {
                refused(format!("the upstream's .gitmodules names no address for submodule `{shown}`"))
            })?;
            let joined = address::join(base, written);
            let joined = joined
                .ok_or_else(|| refused(format!("the address of submodule `{shown}` leaves the upstream's host")))?;
            address::check_repository(&joined, &self.allowed)
                .map_err(|rule| refused(format!("the address of submodule `{shown}` {rule}")))?;
            Ok(Link { path: entry.path.clone(), commit: entry.id.clone(), address: joined })
        };
        submodules.iter().map(link).collect()
    }

    /// `url` by `path`, read by git from the blob itself, without includes.
    fn addresses(&self, module: &Module) -> Result<BTreeMap<Vec<u8>, String>> {
        let file = module.entries.iter().find(|entry| entry.path == b".gitmodules");
        let id = match file {
            Some(entry) if matches!(entry.kind, Kind::File | Kind::Executable) => &entry.id,
            Some(_) => return Err(refused("the upstream's .gitmodules is not a file".into())),
            None => return Ok(BTreeMap::new()),
        };
        let output = self
            .git
            .inside(&module.repository.git_dir)
            .args(["config", "--no-includes", "-z", &format!("--blob={id}"), "--list"])
            .timeout(LOCAL_LIMIT)
            .capture()?;
        if !output.success() {
            let cause = anyhow::anyhow!("git says: {}", limits::shown(output.stderr_text().as_bytes()));
            return Err(refused("the upstream's .gitmodules cannot be read".into()).cause(cause));
        }
        Ok(parse(&output.stdout))
    }
}

/// What one `[submodule]` section says.
type PathAndUrl<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// `submodule.<name>.<field>\n<value>\0`, as `git config -z --list` prints it. The last value of a field counts.
fn parse(listing: &[u8]) -> BTreeMap<Vec<u8>, String> {
    let mut fields: BTreeMap<&[u8], PathAndUrl<'_>> = BTreeMap::new();
    for record in listing.split(|byte| *byte == 0) {
        let newline = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
        let (key, value) = record.split_at(newline);
        let value = value.get(1..);
        let Some(key) = key.strip_prefix(b"submodule.") else { continue };
        if let Some(name) = key.strip_suffix(b".path") {
            fields.entry(name).or_default().0 = value;
        } else if let Some(name) = key.strip_suffix(b".url") {
            fields.entry(name).or_default().1 = value;
        }
    }
    let pair = |(path, url): PathAndUrl<'_>| {
        let path = path?.strip_suffix(b"/").or(path)?;
        Some((path.to_vec(), String::from_utf8(url?.to_vec()).ok()?))
    };
    fields.into_values().filter_map(pair).collect()
}

fn refused(sentence: String) -> Error {
    Error::new(ErrorKind::CloneError, sentence)
        .hint("the upstream has to change, or leave `submodules: true` out of build-config.yaml")
}

/// A submodule's failure, said with its place.
fn in_submodule(error: Error, path: &[u8]) -> Error {
    let sentence = format!("submodule `{}`: {}", limits::shown(path), error.message());
    let copy = super::failure::again(&error);
    let mut outer = Error::new(error.kind(), sentence);
    if let Some(hint) = error.hint_text() {
        outer = outer.hint(hint);
    }
    match std::error::Error::source(&copy) {
        Some(source) => outer.cause(anyhow::anyhow!("{source}")),
        None => outer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_gitmodules_only_path_and_url_are_read() {
        let listing = b"core.sshcommand\ntouch x\0submodule.../../x.path\nlib/\0submodule.../../x.url\n../lib\0\
            submodule.a.update\n!touch x\0submodule.a.path\nonly\0submodule.b.url\nhttps://h/b\0submodule.c.path\0\
            submodule.x.y.path\ndots\0submodule.x.y.url\nhttps://h/1\0submodule.x.y.url\nhttps://h/2\0";
        let expected: BTreeMap<Vec<u8>, String> =
            [(b"lib".to_vec(), "../lib".to_owned()), (b"dots".to_vec(), "https://h/2".to_owned())].into();
        assert_eq!(parse(listing), expected);
    }
}
