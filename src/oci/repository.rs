//! A repository of a registry: `host[:port]/path` (OCI distribution-spec, "Definitions").

use oci_client::Reference;

use super::Invalid;

/// Where manifests and blobs live. The host is the one that answers: Docker Hub's short names are resolved.
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
        let shown = || crate::diagnostic::escape_cut(text, 160);
        let last = text.rsplit('/').next().unwrap_or_default();
        if text.contains('@') || (text.contains('/') && last.contains(':')) {
            return Err(Invalid(format!("`{}` is not a repository: it has a tag or a digest", shown())));
        }
        let reference = Reference::try_from(text)
            .map_err(|error| Invalid(format!("`{}` is not a repository: {error}", shown())))?;
        Ok(Self::of(&reference))
    }

    /// The repository of a reference.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        Self { host: reference.resolve_registry().to_owned(), path: reference.repository().to_owned() }
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
        write!(f, "{}/{}", self.host, self.path)
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
            ("alpine", "index.docker.io/library/alpine"),
        ] {
            assert_eq!(Repository::parse(text).map(|it| it.to_string()).as_deref(), Ok(printed));
        }
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for wrong in ["h:5000/a:tag", &format!("h:5000/a@{digest}"), "h:5000/A", "h:5000/../x", "", "h/a b", "h/a?x=1"]
        {
            assert!(Repository::parse(wrong).is_err(), "{wrong}");
        }
    }
}
