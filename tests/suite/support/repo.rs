//! Real git repositories in temporary directories: fixed authors and dates, nothing of the user's configuration.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A repository with a working tree. Methods return `&Self` so that they can be chained.
pub(crate) struct Repo {
    _temp: Option<TempDir>,
    path: PathBuf,
}

impl Repo {
    /// An empty repository on branch `main`.
    pub(crate) fn new() -> Self {
        Self::init(&[])
    }

    /// The same with SHA-256 ids.
    pub(crate) fn sha256() -> Self {
        Self::init(&["--object-format=sha256"])
    }

    fn init(args: &[&str]) -> Self {
        let temp = TempDir::with_prefix("hephy test ").unwrap();
        let path = temp.path().join("repo");
        std::fs::create_dir(&path).unwrap();
        let repo = Self { _temp: Some(temp), path };
        repo.git(&[&["init", "-q", "-b", "main"], args].concat());
        // Others may fetch any commit, and leave out what they do not need.
        repo.git(&["config", "uploadpack.allowFilter", "true"]);
        repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        repo
    }

    /// A clone of this repository, through git's own transport (not by hard links).
    pub(crate) fn clone_with(&self, args: &[&str]) -> Self {
        let temp = TempDir::with_prefix("hephy test ").unwrap();
        let path = temp.path().join("repo");
        let url = self.url();
        let clone = [&["clone", "-q"], args, &[&url, path.to_str().unwrap()]].concat();
        let output = git_in(temp.path(), &clone);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { _temp: Some(temp), path }
    }

    /// `file://` address of this repository.
    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, directories included.
    pub(crate) fn write(&self, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Writes a file whose name is any bytes.
    pub(crate) fn write_bytes(&self, path: &[u8], content: &[u8]) -> &Self {
        self.write(OsStr::from_bytes(path), content)
    }

    /// An image directory with a local source: configuration and Dockerfile, which copies everything.
    pub(crate) fn image(&self, dir: &str) -> &Self {
        let config = Path::new(dir).join("build-config.yaml");
        self.write(config, "use_local_context: true\n")
            .write(Path::new(dir).join("Dockerfile"), "FROM scratch\nCOPY . /\n")
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        let path = self.path.join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap()
        } else {
            std::fs::remove_file(path).unwrap()
        }
        self
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> &Self {
        let to = self.path.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(self.path.join(from), to).unwrap();
        self
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) -> &Self {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    pub(crate) fn executable(&self, path: &str) -> &Self {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(self.path.join(path), std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Commits everything and gives the commit's id. An empty commit is one too.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git, which must succeed, and gives what it printed, without the newline at its end.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn try_git(&self, args: &[&str]) -> Output {
        git_in(&self.path, args)
    }

    /// Appends to `.git/config`.
    pub(crate) fn config(&self, lines: &str) -> &Self {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path.join(".git/config")).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        self
    }
}

/// A program in a directory. `current_dir` would copy the whole of this process for each command: where it is linked
/// statically, the standard library can start nothing in another directory without a fork.
pub(crate) fn program_in(dir: &Path, program: &str) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("-C").arg(dir).arg(program);
    command
}

/// git with fixed names and dates, and without the configuration of whoever runs the tests.
fn git_in(dir: &Path, args: &[&str]) -> Output {
    let mut command = program_in(dir, "git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_AUTHOR_DATE", "2025-10-15T12:00:00Z")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_DATE", "2025-10-15T12:00:00Z")
        .env("LC_ALL", "C")
        .output()
        .expect("git is installed")
}
