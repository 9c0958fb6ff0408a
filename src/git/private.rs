//! A git directory of our own, through which git sees another repository's objects and refs, but not a byte of its
//! configuration, attributes files, hooks or replacements.
//!
//! It holds an own `config`, links to the refs, an `alternates` file naming the object store, and copies of `HEAD`,
//! `shallow` and `info/exclude`. Git reads no other repository's configuration, so nothing that stands there can
//! name a program; it belongs to us, so it does not matter who owns the checkout; what is fetched lands here,
//! so the checkout stays as it was.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::locate::{Places, read_small};
use crate::error::{Error, Result};
use crate::process::{self, Command};

/// Limit of one local git process: a wedged file system must not hang a job for ever.
const LOCAL_LIMIT: Duration = Duration::from_secs(600);

/// Variables of the environment that may stay when something is fetched: how to reach and to trust a host. They are
/// the job's own, set by whoever configured it.
const FETCH_KEEPS: [&str; 12] = [
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_EXEC_PATH",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_HTTP_USER_AGENT",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_NO_VERIFY",
];

/// Settings that hold whatever a user's own configuration says.
const FIXED: [&str; 12] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.alternateRefsCommand=true",
    "fetch.recurseSubmodules=false",
    "fetch.prune=false",
    "fetch.pruneTags=false",
    "fetch.writeCommitGraph=false",
    "transfer.fsckObjects=true",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// What the refs of a [`Private`] are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refs {
    /// Those of the repository.
    Linked,
    /// None.
    Empty,
    /// None, and no object either: for what is fetched without regard to what is here.
    Alone,
}

/// A git directory of our own; deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Private {
    git: PathBuf,
    dir: TempDir,
    root: Option<PathBuf>,
    index: PathBuf,
    /// How other machines may be reached: git's `GIT_ALLOW_PROTOCOL`.
    protocols: OsString,
}

impl Private {
    pub(super) fn new(places: &Places, refs: Refs) -> Result<Self> {
        let git = process::find("git").ok_or_else(|| {
            Error::resource("git is not installed").hint("install git 2.30 or later from the system's packages")
        })?;
        let failed = |error| Error::io("a directory for git could not be made", error);
        let dir = tempfile::Builder::new().prefix("hephy-git-").tempdir().map_err(failed)?;
        let list = std::env::var_os("GIT_ALLOW_PROTOCOL");
        let list = list.as_deref().map(std::ffi::OsStr::to_string_lossy);
        let protocols = crate::config::Transports::of_variable(list.as_deref()).variable().into();
        let index = places.git_dir.join("index");
        let private = Self { git, dir, root: places.root.clone(), index, protocols };
        let at = private.path().to_path_buf();
        private.write("config", own_config(places)?)?;
        std::fs::create_dir_all(at.join("objects/info")).map_err(failed)?;
        std::fs::create_dir(at.join("info")).map_err(failed)?;
        if refs != Refs::Alone {
            let objects = places.common_dir.join("objects").canonicalize().map_err(failed)?;
            private.write("objects/info/alternates", quoted(objects.as_os_str().as_bytes()))?;
            if let Some(shallow) = places.common_file("shallow")? {
                private.write("shallow", shallow)?;
            }
        }
        if refs != Refs::Linked {
            private.write("HEAD", "ref: refs/heads/none\n")?;
            std::fs::create_dir_all(at.join("refs/heads")).map_err(failed)?;
            return Ok(private);
        }
        private.write("HEAD", read_small(&places.git_dir.join("HEAD"))?.unwrap_or_default())?;
        for name in ["refs", "packed-refs", "reftable"] {
            let target = places.common_dir.join(name);
            if target.exists() {
                std::os::unix::fs::symlink(target, at.join(name)).map_err(failed)?;
            }
        }
        if let Some(exclude) = places.common_file("info/exclude")? {
            private.write("info/exclude", exclude)?;
        }
        private.link_shared_indexes(&places.git_dir).map_err(failed)?;
        Ok(private)
    }

    /// A split index has its larger half in a file of its own, which git looks for beside the configuration.
    fn link_shared_indexes(&self, git_dir: &Path) -> std::io::Result<()> {
        for entry in git_dir.read_dir()?.flatten() {
            if entry.file_name().as_bytes().starts_with(b"sharedindex.") {
                std::os::unix::fs::symlink(entry.path(), self.path().join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    pub(super) fn set_protocols(&mut self, protocols: &std::ffi::OsStr) {
        self.protocols = protocols.to_owned();
    }

    pub(super) fn protocols(&self) -> &std::ffi::OsStr {
        &self.protocols
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path().join(name);
        std::fs::write(&path, content).map_err(|error| Error::io("a directory for git could not be filled", error))
    }

    /// Whether [`Private::add_config`] has named remotes already.
    pub(super) fn has_remotes(&self) -> bool {
        read_small(&self.path().join("config"))
            .ok()
            .flatten()
            .is_some_and(|text| text.windows(7).any(|window| window == b"[remote"))
    }

    /// Adds lines to the configuration.
    pub(super) fn add_config(&self, lines: &str) -> Result<()> {
        let text = read_small(&self.path().join("config"))?.unwrap_or_default();
        self.write("config", [text.as_slice(), lines.as_bytes()].concat())
    }

    /// Sees the objects of another one too. Processes that run already do not.
    pub(super) fn add_objects_of(&self, other: &Self) -> Result<()> {
        let name = "objects/info/alternates";
        let known = read_small(&self.path().join(name))?.unwrap_or_default();
        let line = quoted(other.path().join("objects").as_os_str().as_bytes());
        if known.windows(line.len()).any(|window| window == line.as_bytes()) {
            return Ok(());
        }
        self.write(name, [known.as_slice(), line.as_bytes()].concat())
    }

    /// Makes a ref of our own; only for [`Refs::Empty`].
    pub(super) fn set_ref(&self, name: &str, oid: crate::change::Oid) -> Result<()> {
        self.write(&format!("refs/heads/{name}"), format!("{oid}\n"))
    }

    /// A git process that reaches no other machine and reads no configuration but our own.
    pub(super) fn local<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, args: I) -> Command {
        self.command(&[], args)
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .timeout(LOCAL_LIMIT)
    }

    /// A git process on the working tree, as careful as [`Private::local`].
    pub(super) fn in_work_tree<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, args: I) -> Command {
        self.at_root(self.local(args))
    }

    /// The same with the user's own configuration, which names the user's list of ignored files. Only for commands
    /// that read no file's content: a filter of the user's must not run on what a stranger wrote.
    pub(super) fn listing<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, args: I) -> Command {
        let command = self.command(&["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"], args);
        self.at_root(command.env("GIT_ALLOW_PROTOCOL", "none").timeout(LOCAL_LIMIT))
    }

    fn at_root(&self, command: Command) -> Command {
        let command = command.env("GIT_INDEX_FILE", &self.index);
        match &self.root {
            Some(root) => command.env("GIT_WORK_TREE", root).cwd(root),
            None => command,
        }
    }

    /// A git process that may reach other machines by the ways that `GIT_ALLOW_PROTOCOL` lists, else https and ssh.
    pub(super) fn remote<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, args: I) -> Command {
        let command = self.command(&FETCH_KEEPS, args);
        let command = command.env("GIT_ALLOW_PROTOCOL", &self.protocols);
        match &self.root {
            // A remote may be named by a path relative to the checkout.
            Some(root) => command.cwd(root),
            None => command,
        }
    }

    /// `git` with nothing of the environment's `GIT_*` but `keeps`.
    fn command<I: IntoIterator<Item = S>, S: Into<OsString>>(&self, keeps: &[&str], args: I) -> Command {
        let mut command = Command::new(&self.git).arg("--no-pager").arg("--literal-pathspecs");
        for setting in FIXED {
            command = command.arg("-c").arg(setting);
        }
        command = scrub(command.args(args), keeps);
        command
            .env("GIT_DIR", self.path())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .cwd(self.path())
    }

    /// `git config` on the repository itself: it only prints. The one process that sees the repository's own
    /// configuration, and only before something is fetched.
    pub(super) fn print_config(&self, git_dir: &Path, args: &[&str]) -> Command {
        scrub(Command::new(&self.git).arg("--no-pager").arg("config").args(args), &[])
            .env("GIT_DIR", git_dir)
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .cwd(self.path())
            .timeout(Duration::from_secs(20))
    }
}

fn scrub(mut command: Command, keeps: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        let is_git = name.as_bytes().starts_with(b"GIT_");
        if is_git && !keeps.iter().any(|keep| name == *keep) {
            command = command.env_remove(name);
        }
    }
    command
}

fn own_config(places: &Places) -> Result<String> {
    let mut extensions = String::new();
    if places.extension("objectformat")?.is_some_and(|format| format == "sha256") {
        extensions.push_str("\tobjectFormat = sha256\n");
    }
    if places.common_dir.join("reftable").exists() {
        extensions.push_str("\trefStorage = reftable\n");
    }
    Ok(format!("[core]\n\trepositoryFormatVersion = 1\n\tbare = false\n\tautocrlf = false\n[extensions]\n{extensions}"))
}

/// A path as one line of `alternates`, quoted as C does: it may hold any byte.
fn quoted(path: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut line = String::from("\"");
    for byte in path {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(*byte));
            }
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\{byte:03o}");
            }
        }
    }
    line.push_str("\"\n");
    line
}
