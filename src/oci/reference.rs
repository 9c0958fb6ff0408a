//! References to images: `registry/repository[:tag][@digest]`.

use super::{Digest, Invalid, Repository, Tag};

/// Names an image somewhere, with Docker's rules for what may be left out. Where it has both, the digest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where the image is.
    pub repository: Repository,
    /// Its tag, where one is written.
    pub tag: Option<Tag>,
    /// Its digest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as it is written.
    ///
    /// # Errors
    /// When the repository, the tag or the digest is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the host.
        let name_at = rest.rfind('/').map_or(0, |at| at + 1);
        let (repository, tag) = match rest[name_at..].split_once(':') {
            Some((name, tag)) => (&rest[..name_at + name.len()], Some(Tag::parse(tag)?)),
            None => (rest, None),
        };
        Ok(Self { repository: Repository::parse(repository)?, tag, digest })
    }

    /// What a registry is asked for: the digest, or else the tag, or else `latest`.
    #[must_use]
    pub fn version(&self) -> &str {
        let tag = self.tag.as_ref().map_or("latest", Tag::as_str);
        self.digest.as_ref().map_or(tag, Digest::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_those_that_the_registry_client_knows() {
        let hex = "0123456789abcdef".repeat(4);
        let names =
            ["alpine", "a/b", "h:5000/a", "localhost/a", "docker.io/a", "docker.io/a/b", "A", "", "h:5000/", "/a", "ä"];
        let tags = ["", ":1", ":", ":a_b.c-d", ":-a", ":a/b", ":a:b"];
        let digests = ["", "@", &format!("@sha256:{hex}"), &format!("@sha256:{hex}0"), "@sha256:0", "@x"];
        for name in names {
            for tag in tags {
                for digest in digests {
                    let text = format!("{name}{tag}{digest}");
                    let known = oci_client::Reference::try_from(text.as_str()).ok().map(|it| {
                        let parts = (it.resolve_registry().to_owned(), it.repository().to_owned());
                        (parts, it.tag().map(str::to_owned), it.digest().map(str::to_owned))
                    });
                    let ours = Reference::parse(&text).ok().map(|it| {
                        let parts = (it.repository.host().to_owned(), it.repository.path().to_owned());
                        let latest = it.digest.is_none().then(Tag::latest);
                        (parts, it.tag.or(latest).map(|tag| tag.to_string()), it.digest.map(|it| it.to_string()))
                    });
                    assert_eq!(ours, known, "{text}");
                }
            }
        }
    }
}
