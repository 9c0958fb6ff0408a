//! The `.git` of an archive with `keep_git: true`: objects, the commit as `HEAD`, the tags that point at it, and an index
//! that shows a clean tree. No configuration (but for the one line without which a SHA-256 repository cannot be read), no
//! hooks, no logs, and nothing that says where it came from.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::archive::Tar;
use super::fetch::Repository;
use super::git::{Git, LOCAL_LIMIT};
use crate::error::{Error, Result};
use crate::process::Command;

/// What git needs to know about object ids that are not SHA-1.
const SHA256_CONFIG: &[u8] =
    b"[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectformat = sha256\n";

/// Writes `.git` below the archive's root.
pub(super) fn write<W: Write>(tar: &mut Tar<W>, git: &Git, repository: &Repository, work: &Path) -> Result<()> {
    let index = index(git, repository, work)?;
    let tags = tags(git, repository)?;
    tar.directory(b".git")?;
    text(tar, ".git/HEAD", format!("{}\n", repository.commit).as_bytes())?;
    if repository.commit.len() == 64 {
        text(tar, ".git/config", SHA256_CONFIG)?;
    }
    file(tar, ".git/index", &index)?;
    for directory in [".git/objects", ".git/objects/info", ".git/objects/pack"] {
        tar.directory(directory.as_bytes())?;
    }
    for pack in packs(&repository.git_dir.join("objects/pack"))? {
        let name = pack.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file(tar, &format!(".git/objects/pack/{name}"), &pack)?;
    }
    text(tar, ".git/packed-refs", &tags)?;
    for directory in [".git/refs", ".git/refs/heads", ".git/refs/tags"] {
        tar.directory(directory.as_bytes())?;
    }
    let shallow = repository.git_dir.join("shallow");
    if shallow.exists() {
        file(tar, ".git/shallow", &shallow)?;
    }
    Ok(())
}

fn text<W: Write>(tar: &mut Tar<W>, path: &str, bytes: &[u8]) -> Result<()> {
    tar.file(path.as_bytes(), 0o644, bytes.len() as u64, bytes)
}

fn file<W: Write>(tar: &mut Tar<W>, path: &str, from: &Path) -> Result<()> {
    let unreadable = |error| Error::io(format!("{} could not be read", from.display()), error);
    let content = File::open(from).map_err(unreadable)?;
    let size = content.metadata().map_err(unreadable)?.len();
    tar.file(path.as_bytes(), 0o644, size, content)
}

/// Packs with their indexes, sorted by name.
fn packs(directory: &Path) -> Result<Vec<std::path::PathBuf>> {
    let unreadable = |error| Error::io(format!("{} could not be read", directory.display()), error);
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "pack" || extension == "idx") {
            packs.push(path);
        }
    }
    packs.sort();
    Ok(packs)
}

/// An index of the commit's tree.
fn index(git: &Git, repository: &Repository, work: &Path) -> Result<std::path::PathBuf> {
    let index = work.join("index");
    let command = git.inside(&repository.git_dir).env("GIT_INDEX_FILE", &index).args(["read-tree", &repository.commit]);
    run(command, "the index of an archive could not be made")?;
    Ok(index)
}

/// The tags that came with the commit, as lines of `packed-refs`.
fn tags(git: &Git, repository: &Repository) -> Result<Vec<u8>> {
    let command =
        git.inside(&repository.git_dir).args(["for-each-ref", "--format=%(objectname) %(refname)", "refs/tags/"]);
    run(command, "the tags of an archive could not be listed")
}

fn run(command: Command, what: &str) -> Result<Vec<u8>> {
    let output = command.timeout(LOCAL_LIMIT).capture()?;
    if output.success() {
        Ok(output.stdout)
    } else {
        Err(Error::resource(what).cause(anyhow::anyhow!("git says: {}", output.stderr_text())))
    }
}
