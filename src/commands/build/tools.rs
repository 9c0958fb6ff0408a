//! Which builder is on this machine, and where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backend::{Flavour, Tool, Version, backend};
use crate::config::BackendName;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Reference;
use crate::process::Command;

/// Where Kaniko's image has its executor.
const KANIKO: &str = "/kaniko/executor";
/// Run through `docker run` where there is no executor, unless `HEPHY_KANIKO_IMAGE` names another one.
const KANIKO_IMAGE: &str = "ghcr.io/osscontainertools/kaniko:v1.28.3";
/// Where buildkitd listens by default.
const BUILDKIT_SOCKET: &str = "/run/buildkit/buildkitd.sock";
/// How long a builder may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// Finds a builder. `environment` is the job's: `PATH`, `HOME`, `HEPHY_KANIKO`, `HEPHY_KANIKO_IMAGE`,
/// `BUILDKIT_HOST`, `CONTAINERS_REGISTRIES_CONF`.
///
/// # Errors
/// When it is not there; the hint says how to get it.
pub fn find_tool(name: BackendName, environment: &BTreeMap<String, String>) -> Result<Tool> {
    let backend = backend(name);
    let looked = Lookup(environment);
    let tool = match name {
        BackendName::Kaniko => looked.kaniko()?,
        BackendName::Buildkit => looked.buildkit(),
        BackendName::Buildah => looked.program("buildah").map(|mut tool| {
            tool.registries_conf = looked.registries_conf();
            tool.version = version_of(&tool.program);
            tool
        }),
        BackendName::Ko => looked.program("ko").map(|tool| Tool { version: version_of(&tool.program), ..tool }),
        BackendName::Spin => looked.program("spin").map(|tool| {
            let said = Command::new(&tool.program).arg("--version").timeout(VERSION_LIMIT).capture();
            let version = said.ok().and_then(|said| Version::find(&String::from_utf8_lossy(&said.stdout)));
            Tool { version, ..tool }
        }),
        BackendName::Docker => looked.program("docker").map(|tool| {
            let version = looked.docker_builder(&tool.program);
            Tool { version, ..tool }
        }),
    };
    tool.ok_or_else(|| {
        Error::new(ErrorKind::BuildError, format!("{name} is not installed on this machine"))
            .hint(backend.install_hint())
    })
}

struct Lookup<'a>(&'a BTreeMap<String, String>);

impl Lookup<'_> {
    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn program(&self, name: &str) -> Option<Tool> {
        let found = which::which_in(name, self.variable("PATH"), "/").ok()?;
        Some(tool(found, Flavour::Direct))
    }

    fn kaniko(&self) -> Result<Option<Tool>> {
        let named = self.variable("HEPHY_KANIKO").map(PathBuf::from);
        if let Some(path) = &named
            && !path.is_file()
        {
            return Err(Error::usage(format!("HEPHY_KANIKO names {}, which is no file", path.display()))
                .hint("name the executor itself, or unset the variable"));
        }
        let executor = named.or_else(|| Some(PathBuf::from(KANIKO)).filter(|path| path.is_file()));
        let Some(executor) = executor else {
            return Ok(self.program("docker").map(|docker| {
                let image = self.variable("HEPHY_KANIKO_IMAGE").unwrap_or(KANIKO_IMAGE).to_owned();
                let tag = Reference::parse(&image).ok().and_then(|reference| reference.tag);
                let version = tag.and_then(|tag| Version::find(tag.as_str()));
                Tool { version, ..tool(docker.program, Flavour::DockerRun { image }) }
            }));
        };
        let said = Command::new(&executor).arg("version").timeout(VERSION_LIMIT).capture()?;
        let flavour = if is_private_root(&executor) { Flavour::Forced } else { Flavour::Direct };
        Ok(Some(Tool { version: Version::find(&String::from_utf8_lossy(&said.stdout)), ..tool(executor, flavour) }))
    }

    fn buildkit(&self) -> Option<Tool> {
        let buildctl = || self.program("buildctl");
        if self.variable("BUILDKIT_HOST").is_some()
            && let Some(found) = buildctl()
        {
            return Some(self.with_daemons_version(found));
        }
        if let Some(docker) = self.program("docker").filter(|docker| self.has_buildx(&docker.program)) {
            let version = self.said(&docker.program, &["buildx", "inspect"]).and_then(|said| version_of_builder(&said));
            return Some(Tool { version, ..tool(docker.program, Flavour::Buildx) });
        }
        buildctl().filter(|_| Path::new(BUILDKIT_SOCKET).exists()).map(|found| self.with_daemons_version(found))
    }

    /// With the version of the daemon: it parses Dockerfiles, whatever the client's is. One that does not answer fails
    /// the build with its own words.
    fn with_daemons_version(&self, buildctl: Tool) -> Tool {
        let said = self.said(&buildctl.program, &["debug", "info"]);
        Tool { version: said.and_then(|said| Version::find(&said)), ..buildctl }
    }

    /// What a client of a daemon answers.
    fn said(&self, program: &Path, question: &[&str]) -> Option<String> {
        let mut command = Command::new(program).args(question).timeout(VERSION_LIMIT);
        for name in ["BUILDKIT_HOST", "DOCKER_CONFIG", "DOCKER_HOST", "BUILDX_BUILDER", "HOME"] {
            if let Some(value) = self.variable(name) {
                command = command.env(name, value);
            }
        }
        let said = command.capture().ok().filter(|said| said.success())?;
        Some(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// Whether `docker` has the plugin that builds with BuildKit.
    fn has_buildx(&self, docker: &Path) -> bool {
        let mut question = Command::new(docker).args(["buildx", "version"]).timeout(VERSION_LIMIT);
        // Plugins lie beside the configuration.
        for name in ["DOCKER_CONFIG", "HOME"] {
            if let Some(value) = self.variable(name) {
                question = question.env(name, value);
            }
        }
        question.capture().is_ok_and(|said| said.success())
    }

    /// The version of what `docker build` builds with. The client decides: before 23 it has the engine's classic builder,
    /// unless `DOCKER_BUILDKIT` says otherwise; since then BuildKit, where its plugin is there. That BuildKit is the
    /// engine's, whatever the client's version is.
    fn docker_builder(&self, docker: &Path) -> Option<Version> {
        let version = |question: &[&str]| Version::find(&self.said(docker, question)?);
        let client = version(&["--version"])?;
        let uses_buildkit = match self.variable("DOCKER_BUILDKIT") {
            Some("0") => false,
            Some(_) if client < Version(23, 0, 0) => true,
            _ => client >= Version(23, 0, 0) && self.has_buildx(docker),
        };
        if !uses_buildkit {
            return Some(client.min(Version(20, 10, 0)));
        }
        // One that does not answer fails the build with its own words.
        version(&["version", "--format", "{{.Server.Version}}"]).map(|engine| engine.max(Version(23, 0, 0)))
    }

    /// The text of the `registries.conf` that Buildah would read (containers-registries.conf(5)).
    fn registries_conf(&self) -> String {
        let named = self.variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
        let own = self.variable("HOME").map(|home| Path::new(home).join(".config/containers/registries.conf"));
        let own = own.filter(|_| !rustix::process::geteuid().is_root());
        let candidates = [named, own, Some("/etc/containers/registries.conf".into())];
        candidates.into_iter().flatten().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }
}

/// What a builder answers to `version`; none when it gives no answer that can be understood.
fn version_of(program: &Path) -> Option<Version> {
    let said = Command::new(program).arg("version").timeout(VERSION_LIMIT).capture().ok()?;
    Version::find(&String::from_utf8_lossy(&said.stdout))
}

/// The version in what `docker buildx inspect` says: the oldest of its nodes. None of a builder that is not running.
fn version_of_builder(said: &str) -> Option<Version> {
    let versions = said.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_version = ["buildkit", "buildkit version"].contains(&name.trim().to_ascii_lowercase().as_str());
        Version::find(value).filter(|_| is_version)
    });
    versions.min()
}

fn tool(program: PathBuf, flavour: Flavour) -> Tool {
    Tool { program, flavour, version: None, registries_conf: String::new() }
}

/// Whether Kaniko, which clears the file system that it runs in, may be told to go on where it does not recognise
/// a container: below a root that is not the machine's (chroot), and in its own image. Never on a host, not even on
/// one where somebody put an executor into `/kaniko`: a machine has something to boot from, or homes.
fn is_private_root(executor: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |path: &str| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let own_root = match (identity("/"), identity("/proc/1/root/")) {
        (Some(own), Some(machine)) => own != machine,
        _ => false,
    };
    let machine = || ["/sbin/init", "/boot", "/home"].iter().any(|path| Path::new(path).exists());
    own_root || (executor.starts_with("/kaniko") && !machine())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_builder_says_how_to_get_it() {
        let empty = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("PATH".to_owned(), empty.path().display().to_string())]);
        for (name, hint) in [
            (BackendName::Buildah, "apt-get install buildah"),
            (BackendName::Docker, "docker.io"),
            (BackendName::Ko, "go install"),
            (BackendName::Buildkit, "BUILDKIT_HOST"),
            (BackendName::Kaniko, "HEPHY_KANIKO"),
            (BackendName::Spin, "spinframework.dev"),
        ] {
            let error = find_tool(name, &environment).unwrap_err();
            assert_eq!(error.kind().code(), "build_error");
            assert!(error.hint_text().unwrap().contains(hint), "{name}");
        }
    }

    #[test]
    fn the_oldest_node_of_a_builder_decides() {
        let said = "Name:          b\nDriver:        docker-container\nLast Activity: 2026-11-20 10:00:00 +0000 UTC\n\n\
                    Nodes:\nName:             b0\nStatus:           running\nBuildKit version: v0.26.1\n\n\
                    Name:      b1\nBuildkit:  v0.11.6+0a15675913b7\n";
        assert_eq!(version_of_builder(said), Some(Version(0, 11, 6)));
        assert_eq!(version_of_builder("Name: b0\nStatus: inactive\n"), None);
    }

    #[test]
    fn a_kaniko_that_is_named_must_be_there() {
        let environment = BTreeMap::from([("HEPHY_KANIKO".to_owned(), "/nowhere/executor".to_owned())]);
        assert_eq!(find_tool(BackendName::Kaniko, &environment).unwrap_err().kind().code(), "usage_error");
    }
}
