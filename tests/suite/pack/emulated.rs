//! What both emulators share: what a pipeline left, and the repository that it ran on.

use std::path::PathBuf;
use std::process::Command;

use crate::support::builders::tool;
use crate::support::repo::Repo;

/// Commit that no repository has: what a platform calls the one before the first.
pub(crate) const NEW: &str = "0000000000000000000000000000000000000000";

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a pipeline left.
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) said: String,
}

impl Ran {
    /// Runs an emulator.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Self { success: output.status.success(), said: String::from_utf8_lossy(&said).into_owned() }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.success, "{}", self.said);
        self
    }

    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert!(!self.success, "{}", self.said);
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.said.contains(part), "it lacks {part:?}:\n{}", self.said);
        }
        self
    }
}

/// An image directory with one file, in a repository of images.
pub(crate) fn image(repo: &Repo, dir: &str, platforms: &str, dockerfile: &str) {
    let config = format!("use_local_context: true\nplatforms: [{platforms}]\nadditional_tags: [latest]\n");
    repo.write(format!("{dir}/build-config.yaml"), config);
    repo.write(format!("{dir}/Dockerfile"), dockerfile).write(format!("{dir}/text"), dir);
}

/// The tags of a repository on a registry without passwords, sorted; none where there is no such repository.
pub(crate) fn tags(repository: &str) -> Vec<String> {
    let output = Command::new(tool("crane")).args(["ls", "--insecure", repository]).output().unwrap();
    let mut tags: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    tags.sort();
    tags
}
