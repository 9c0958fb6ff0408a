//! Where a repository is: the walk that git does, without git, without reading its configuration.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::diagnostic::escape;
use crate::error::{Error, Result};

/// Places of a repository.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Top of the working tree; none for a bare repository.
    pub(super) root: Option<PathBuf>,
    /// `HEAD` and the index.
    pub(super) git_dir: PathBuf,
    /// Objects, refs and configuration: the same, but for linked worktrees.
    pub(super) common_dir: PathBuf,
}

/// Longest file of git's that is read here: `.git` files, `HEAD`, `commondir`, `shallow`, `config`.
const MAX_BYTES: u64 = 16 << 20;

impl Places {
    /// Walks up from `dir`.
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let start = dir.canonicalize().map_err(|error| {
            Error::usage(format!("{} cannot be entered", escape(&dir.display().to_string()))).cause(error)
        })?;
        for at in start.ancestors() {
            let dot_git = at.join(".git");
            if dot_git.is_file() {
                return Self::new(Some(at.to_path_buf()), pointed_at(at, &dot_git)?);
            }
            if is_git_dir(&dot_git) {
                return Self::new(Some(at.to_path_buf()), dot_git);
            }
            if at.file_name().is_some_and(|name| name == ".git") && is_git_dir(at) {
                return Self::new(at.parent().map(Path::to_path_buf), at.to_path_buf());
            }
            if is_git_dir(at) {
                return Self::new(None, at.to_path_buf());
            }
        }
        Err(Error::usage(format!("{} is not inside a git repository", escape(&start.display().to_string())))
            .hint("run hephy in a checkout, or name one with -C DIR"))
    }

    fn new(root: Option<PathBuf>, git_dir: PathBuf) -> Result<Self> {
        let common_dir = match read_small(&git_dir.join("commondir"))? {
            Some(bytes) => git_dir.join(first_line(&bytes)),
            None => git_dir.clone(),
        };
        Ok(Self { root, git_dir, common_dir })
    }

    /// A small file of the repository's; none when it does not exist.
    pub(super) fn common_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        read_small(&self.common_dir.join(name))
    }

    /// The value of an extension that says how the repository is stored. This is the one thing taken from its
    /// configuration for local work; it chooses between formats and can name no program.
    pub(super) fn extension(&self, name: &str) -> Result<Option<String>> {
        let text = self.common_file("config")?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).to_lowercase();
        Ok(text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        }))
    }
}

fn is_git_dir(path: &Path) -> bool {
    path.join("HEAD").symlink_metadata().is_ok()
        && (path.join("commondir").is_file() || (path.join("objects").is_dir() && path.join("refs").is_dir()))
}

fn pointed_at(at: &Path, file: &Path) -> Result<PathBuf> {
    let bytes = read_small(file)?.unwrap_or_default();
    let target = bytes.strip_prefix(b"gitdir:").map(<[u8]>::trim_ascii).map(|target| at.join(first_line(target)));
    target.filter(|target| is_git_dir(target)).ok_or_else(|| {
        Error::usage(format!("{} does not lead to a git repository", escape(&file.display().to_string())))
            .hint("the worktree or submodule was moved; git worktree repair mends it")
    })
}

fn first_line(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(line.trim_ascii_end()))
}

/// Reads a regular file (or a link to one); none when it does not exist.
pub(super) fn read_small(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error| Error::io(format!("{} could not be read", escape(&path.display().to_string())), error);
    match path.metadata() {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(Some(bytes))
}
