//! What the environment says about registries: which may be spoken to without TLS, and whose credentials lie
//! in variables (specification §4). Pure: a map in, values out; a credential is bound to one host here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::policy::Policy;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::oci::{Repository, is_loopback, without_port};

/// How to talk to registries.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `host[:port]` of the registry that images are published to.
    pub registry_host: Option<String>,
    /// Hosts that may be spoken to without TLS, beside loopback; without a port every port is meant.
    pub insecure: Vec<String>,
    /// Every host may be.
    pub insecure_all: bool,
    /// Credentials out of variables, each for one host, in the order in which they are tried.
    pub credentials: Vec<EnvCredential>,
    /// Content of `DOCKER_AUTH_CONFIG`.
    pub docker_auth_config: Option<String>,
    /// Directory of Docker's `config.json`.
    pub docker_config: Option<PathBuf>,
    /// `registry: none`: no credential is looked for.
    pub without_credentials: bool,
    /// Limits and patience.
    pub policy: Policy,
}

/// A credential out of variables. Its host is part of it: no other host ever gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvCredential {
    /// `host[:port]` that it is for.
    pub host: String,
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
    /// The variables that it came from, for people.
    pub source: &'static str,
    /// It goes before what the Docker configuration says.
    pub first: bool,
}

impl fmt::Debug for EnvCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvCredential").field("host", &self.host).field("source", &self.source).finish_non_exhaustive()
    }
}

/// Whether the environment allows plain HTTP for every host.
#[must_use]
pub fn insecure_all(env: &BTreeMap<String, String>) -> bool {
    env.get("HEPHY_INSECURE_ALL").is_some_and(|value| value == "true" || value == "1")
}

impl Settings {
    /// Reads the environment. `registry` is where images are published, `host[:port]/path`, or `none`.
    ///
    /// # Errors
    /// When `HEPHY_INSECURE_REGISTRIES` holds something that is no host.
    pub fn from_env(env: &BTreeMap<String, String>, registry: Option<&str>) -> Result<Self> {
        let get = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let registry_host = registry.filter(|it| *it != "none").and_then(host_of);
        let insecure = get("HEPHY_INSECURE_REGISTRIES").unwrap_or_default().split(',').map(str::trim);
        let insecure = insecure.filter(|it| !it.is_empty()).map(insecure_host).collect::<Result<_>>()?;
        let docker_config = get("DOCKER_CONFIG").map(PathBuf::from);
        let home_config = || get("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Ok(Self {
            credentials: credentials(&get, registry_host.as_deref()),
            insecure,
            insecure_all: insecure_all(env),
            docker_auth_config: get("DOCKER_AUTH_CONFIG").map(str::to_owned),
            docker_config: docker_config.or_else(home_config),
            without_credentials: registry == Some("none"),
            registry_host,
            policy: Policy::default(),
        })
    }

    /// Whether this host is spoken to without TLS.
    #[must_use]
    pub fn is_plain(&self, host: &str) -> bool {
        let name = without_port(host);
        self.insecure_all || is_loopback(host) || self.insecure.iter().any(|it| it == host || it == name)
    }

    /// What must be said aloud each time.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let all = "HEPHY_INSECURE_ALL: credentials and images travel unencrypted to every registry";
        if self.insecure_all { vec![all.to_owned()] } else { Vec::new() }
    }
}

/// Credentials of §4 that lie in variables. Those of a platform belong to the platform's own registry, those of
/// hephy to the registry that was configured.
fn credentials<'a>(get: &impl Fn(&str) -> Option<&'a str>, registry_host: Option<&str>) -> Vec<EnvCredential> {
    let ci_host = get("CI_REGISTRY").and_then(host_of);
    let rows = [
        (
            registry_host,
            "HEPHY_REGISTRY_USERNAME",
            "HEPHY_REGISTRY_PASSWORD",
            "HEPHY_REGISTRY_USERNAME/_PASSWORD",
            true,
        ),
        (ci_host.as_deref(), "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD", "CI_REGISTRY_USER/_PASSWORD", false),
        (Some("ghcr.io"), "GITHUB_ACTOR", "GITHUB_TOKEN", "GITHUB_ACTOR/GITHUB_TOKEN", false),
    ];
    rows.into_iter()
        .filter_map(|(host, username, password, source, first)| {
            Some(EnvCredential {
                host: host?.to_owned(),
                username: get(username)?.to_owned(),
                password: get(password)?.to_owned(),
                source,
                first,
            })
        })
        .collect()
}

/// The host of `host[:port][/path]` as the client names it.
pub(crate) fn host_of(registry: &str) -> Option<String> {
    let text = registry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let text = if text.contains('/') { text.to_owned() } else { format!("{text}/any") };
    Repository::parse(&text).ok().map(|repository| repository.host().to_owned())
}

fn insecure_host(text: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if text.chars().all(allowed) && !text.starts_with('-') {
        return Ok(text.to_ascii_lowercase());
    }
    let shown = escape_cut(text, 80);
    Err(Error::usage(format!("HEPHY_INSECURE_REGISTRIES names `{shown}`, which is no host"))
        .hint("write hosts separated by commas, without https:// and without a path: registry.local:5000"))
}

/// `host[:port]` of a URL, as the other functions here want it.
pub(super) fn host_and_port(url: &reqwest::Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rows: &[(&str, &str)], registry: Option<&str>) -> Settings {
        let env = rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_env(&env, registry).unwrap()
    }

    #[test]
    fn loopback_is_plain_by_default_and_nothing_that_only_looks_like_it() {
        let settings = settings(&[], None);
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "LOCALHOST:5000"] {
            assert!(settings.is_plain(host), "{host}");
        }
        for host in ["localhost.evil.com", "127.0.0.1.nip.io", "128.0.0.1", "registry.local:5000", "10.0.0.1", "[::2]"]
        {
            assert!(!settings.is_plain(host), "{host}");
        }
    }

    #[test]
    fn insecure_registries_are_those_named_and_all_is_said_aloud() {
        let named = settings(&[("HEPHY_INSECURE_REGISTRIES", "reg.local:5000, other.local")], None);
        assert!(named.is_plain("reg.local:5000") && named.is_plain("other.local:81") && named.is_plain("other.local"));
        assert!(!named.is_plain("reg.local") && !named.is_plain("reg.local:5001"));
        assert!(named.warnings().is_empty());
        let all = settings(&[("HEPHY_INSECURE_ALL", "true")], None);
        assert!(all.is_plain("ghcr.io"));
        assert_eq!(all.warnings().len(), 1);
        assert!(!settings(&[("HEPHY_INSECURE_ALL", "false")], None).is_plain("ghcr.io"));
        let env = BTreeMap::from([("HEPHY_INSECURE_REGISTRIES".to_owned(), "https://x/y".to_owned())]);
        assert!(Settings::from_env(&env, None).is_err());
    }

    #[test]
    fn a_credential_out_of_variables_belongs_to_one_host() {
        let rows = [
            ("HEPHY_REGISTRY_USERNAME", "h"),
            ("HEPHY_REGISTRY_PASSWORD", "hp"),
            ("CI_REGISTRY", "registry.gitlab.example:5050"),
            ("CI_REGISTRY_USER", "c"),
            ("CI_REGISTRY_PASSWORD", "cp"),
            ("GITHUB_ACTOR", "g"),
            ("GITHUB_TOKEN", "gp"),
        ];
        let found = settings(&rows, Some("harbor.example/acme")).credentials;
        let hosts: Vec<_> = found.iter().map(|it| (it.host.as_str(), it.username.as_str(), it.first)).collect();
        assert_eq!(
            hosts,
            [("harbor.example", "h", true), ("registry.gitlab.example:5050", "c", false), ("ghcr.io", "g", false)]
        );
        let without_registry = settings(&rows, None).credentials;
        assert!(without_registry.iter().all(|it| it.username != "h"), "no registry: nobody gets HEPHY_REGISTRY_*");
        assert!(!format!("{found:?}").contains("hp"));
    }

    #[test]
    fn the_docker_configuration_lies_where_docker_looks() {
        let both = settings(&[("DOCKER_CONFIG", "/kaniko/.docker/"), ("HOME", "/root")], None);
        assert_eq!(both.docker_config, Some("/kaniko/.docker/".into()));
        assert_eq!(settings(&[("HOME", "/root")], None).docker_config, Some("/root/.docker".into()));
        assert!(settings(&[], Some("none")).without_credentials);
    }
}
