//! A repository of a registry: `host[:port]/path` (OCI distribution-spec, "Definitions").

use super::Invalid;

/// The host of short names, as people write it.
const DOCKER_HUB: &str = "docker.io";
/// The host that answers for it.
const DOCKER_HUB_ANSWERS: &str = "index.docker.io";
/// Longest name inside a registry.
const MAX_PATH: usize = 255;

// Written by hand because the pattern that `oci_client::Reference` is parsed with takes 20 ms to compile, which is more than a
// whole plan of a hundred images; the tests hold the two against each other.

/// `registry.example:5000`: labels of letters, digits and inner hyphens, and a port.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// A part of a path: small letters and digits, separated by `.`, `_`, `__` or hyphens.
fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = text.split(|c: char| c.is_ascii() && word(c as u8)).filter(|run| !run.is_empty());
    let ends = |byte: Option<u8>| byte.is_some_and(word);
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && separators.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}

/// Where manifests and blobs live. The host is the one that answers: Docker Hub's short names are resolved. It is shown
/// as people write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// Parses `host[:port]/path`, with Docker's rules for what may be left out.
    ///
    /// # Errors
    /// When it is no legal name, or carries a tag or a digest.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // What stands before an `@` may be a password that somebody put there.
        let is_password =
            |before: &str, after: &str| before.contains(':') && !before.contains('/') && !after.starts_with("sha256:");
        let bare = text.split_once('@').filter(|(before, after)| is_password(before, after));
        let bare = bare.map_or(text, |(_, host)| host);
        let shown = || crate::diagnostic::escape_cut(bare, 160);
        let last = text.rsplit('/').next().unwrap_or_default();
        if text.contains('@') || last.contains(':') {
            return Err(Invalid(format!("`{}` is not a repository: it has a tag or a digest", shown())));
        }
        let (host, path) = match text.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => (DOCKER_HUB, text),
        };
        let official = host == DOCKER_HUB || host == DOCKER_HUB_ANSWERS;
        let path = if official && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        let refused = |why: &str| Err(Invalid(format!("`{}` is not a repository: {why}", shown())));
        if !is_host(host) && !is_component(host) {
            return refused("it does not begin with a host");
        }
        if !path.split('/').all(is_component) {
            return refused("a name has small letters and digits, with ._- between them");
        }
        if path.len() > MAX_PATH {
            return refused("a name has at most 255 characters");
        }
        Ok(Self { host: if official { DOCKER_HUB_ANSWERS } else { host }.to_owned(), path })
    }

    /// `host[:port]` of the registry that answers.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name inside the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = if self.host == DOCKER_HUB_ANSWERS { DOCKER_HUB } else { &self.host };
        write!(f, "{host}/{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_a_host_and_a_path_and_neither_tag_nor_digest() {
        for (text, printed) in [
            ("127.0.0.1:5000/acme", "127.0.0.1:5000/acme"),
            ("ghcr.io/o/r", "ghcr.io/o/r"),
            ("alpine", "docker.io/library/alpine"),
        ] {
            assert_eq!(Repository::parse(text).map(|it| it.to_string()).as_deref(), Ok(printed));
        }
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for wrong in
            ["h:5000", "h:5000/a:tag", &format!("h:5000/a@{digest}"), "h:5000/A", "h:5000/../x", "", "h/a b", "h/a?x=1"]
        {
            assert!(Repository::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_not_shown_and_a_digest_is() {
        let said = |text: &str| Repository::parse(text).unwrap_err().to_string();
        assert!(!said("ci:S3cr3t@host/x").contains("S3cr3t"));
        for text in ["h:5000/a@sha256:0", "alpine:3@sha256:0"] {
            assert!(said(text).contains(text), "{}", said(text));
        }
    }

    #[test]
    fn names_are_those_that_references_have() {
        let hosts = ["", "localhost/", "a.b/", "a.B-c:80/", "a_b.c/", "-a.b/", "a.b:/", "a.b:x/", "docker.io/", "x/"];
        let paths =
            ["a", "a/b", "a.b", "a..b", "a__b", "a___b", "a---b", "a-_b", "-a", "a-", "A", "é", "a//b", "a/", "0"];
        let long = "x".repeat(256);
        for host in hosts {
            for path in paths.iter().chain([&long.as_str()]) {
                let text = format!("{host}{path}");
                let reference = oci_client::Reference::try_from(text.as_str());
                let reference = reference.map(|it| (it.resolve_registry().to_owned(), it.repository().to_owned()));
                assert_eq!(Repository::parse(&text).ok().map(|it| (it.host, it.path)), reference.ok(), "{text}");
            }
        }
    }
}
