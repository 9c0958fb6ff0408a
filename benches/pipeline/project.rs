//! Small repositories of image directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::gitlab;
use crate::measure::{command, hephy, run};

/// A repository with one commit, removed when it is dropped.
pub(crate) struct Project {
    temp: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self { temp: tempfile::tempdir().unwrap() };
        std::fs::create_dir(project.root()).unwrap();
        git(&project.root(), &["init", "-q", "-b", "main"]);
        project
    }

    /// The repository; beside it is room for other files.
    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("images")
    }

    /// A place beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.root().join(".hephy").join(name)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A copy of a program, which steps can run.
    pub(crate) fn program(&self, path: &str, from: &Path) {
        self.write(path, std::fs::read(from).unwrap());
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.root().join(path), executable).unwrap();
    }

    pub(crate) fn commit(&self) {
        git(&self.root(), &["add", "."]);
        git(&self.root(), &["-c", "user.name=B", "-c", "user.email=b@localhost", "commit", "-q", "-m", "Images"]);
    }

    /// `hephy` with these arguments, in a pipeline for the one commit.
    pub(crate) fn hephy(&self, args: &[&str]) -> Command {
        let head = git(&self.root(), &["rev-parse", "HEAD"]);
        let mut command = command(hephy(), &self.root());
        gitlab::push_pipeline(command.args(args), &"0".repeat(40), &head);
        command
    }

    pub(crate) fn prepare(&self, registry: &str, backend: &str) {
        run(&mut self.hephy(&["prepare", "--all", "--registry", registry, "--backend", backend]));
    }
}

/// What git prints, without the last line's end.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = command("git", dir).args(args).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
