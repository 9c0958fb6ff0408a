//! How git is called: hardened against the repository, silent towards the person, limited in time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::Access;
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Command};

/// Limit of one listing of refs: a server that takes longer is down.
const LIST_LIMIT: Duration = Duration::from_secs(120);
/// Limit of one fetch: a shallow one of a few gigabytes over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(45 * 60);
/// Limit of a call that only looks at what is here.
pub(super) const LOCAL_LIMIT: Duration = Duration::from_secs(300);

/// Settings that no configuration may change: nothing runs, everything that arrives is checked, packs stay packs.
const SETTINGS: [&str; 17] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=",
    // Blobs above this size are streamed, never held in memory.
    "core.bigFileThreshold=32m",
    "core.splitIndex=false",
    "core.commitGraph=false",
    "credential.interactive=false",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "index.sparse=false",
    "advice.detachedHead=false",
];

/// Variables that would point git at another repository or at other objects than those hephy means.
const REPOSITORY_VARIABLES: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
];

/// A way to call git.
#[derive(Clone, Debug)]
pub(super) struct Git {
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
    /// Limit of one listing of refs.
    pub list_limit: Duration,
    /// Limit of one fetch.
    pub fetch_limit: Duration,
}

impl Git {
    /// Finds git, and how it may reach ssh servers without asking.
    pub(super) fn find(access: &Access) -> Result<Self> {
        let program = process::find("git").ok_or_else(|| {
            Error::new(ErrorKind::CloneError, "git is not installed")
                .hint("install it: apt-get install git, apk add git")
        })?;
        let mut git = Self {
            program,
            env: Vec::new(),
            list_limit: access.limited(LIST_LIMIT),
            fetch_limit: access.limited(FETCH_LIMIT),
        };
        // The first value of a variable counts: what must be so stands before what the caller describes.
        git.env.push(("GIT_ALLOW_PROTOCOL".into(), access.transports().variable().into()));
        git.env.extend(access.variables().map(|(name, value)| (name.into(), value.clone())));
        let quiet = git.quiet_environment(access);
        git.env.splice(0..0, quiet);
        Ok(git)
    }

    /// Variables with which neither git, ssh, nor a credential helper asks anything.
    fn quiet_environment(&self, access: &Access) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = vec![
            ("GIT_TERMINAL_PROMPT".into(), "0".into()),
            ("GCM_INTERACTIVE".into(), "never".into()),
            ("SSH_ASKPASS".into(), "false".into()),
            ("SSH_ASKPASS_REQUIRE".into(), "force".into()),
            ("GIT_NO_REPLACE_OBJECTS".into(), "1".into()),
        ];
        // In a CI job nobody sits there to be asked, and the variable is a job's way to hand over a token; elsewhere
        // it opens a window.
        let in_ci = access.get("CI").is_some_and(|value| !value.is_empty());
        if !in_ci || access.get("GIT_ASKPASS").is_none() {
            // Set and empty: git asks no program at all, and SSH_ASKPASS is not its second choice.
            env.push(("GIT_ASKPASS".into(), "".into()));
        }
        let own_ssh = ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(|name| access.get(name).is_some());
        if !own_ssh && !self.has_ssh_command() {
            let ssh = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=8";
            env.push(("GIT_SSH_COMMAND".into(), ssh.into()));
        }
        env
    }

    /// Whether the user's configuration names an ssh command; it would be hidden by ours.
    fn has_ssh_command(&self) -> bool {
        let asked = self.outside().args(["config", "--get", "core.sshCommand"]).timeout(LOCAL_LIMIT).capture();
        asked.is_ok_and(|output| output.success())
    }

    /// git without a repository: the one that hephy runs in is not looked at.
    pub(super) fn outside(&self) -> Command {
        self.inside(Path::new("/dev/null"))
    }

    /// git on a bare repository.
    pub(super) fn inside(&self, git_dir: &Path) -> Command {
        let mut command = Command::new(&self.program).cwd("/");
        for name in REPOSITORY_VARIABLES {
            if name != "GIT_DIR" {
                command = command.env_remove(name);
            }
        }
        for (name, value) in &self.env {
            command = command.env(name, value);
        }
        command = command.env("GIT_DIR", git_dir);
        SETTINGS.iter().fold(command, |command, setting| command.arg("-c").arg(*setting))
    }
}
