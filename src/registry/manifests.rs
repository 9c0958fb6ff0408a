//! Manifests, indexes and tags.

use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciImageIndex, OciImageManifest,
};
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::policy::{MAX_ANSWER, MAX_MANIFEST};
use super::transport::{Answer, Request};
use super::{Client, pull, push};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, Repository, Tag};

/// What is asked for: without it registries convert, or answer with something older.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// Pages of a tag list: a registry that always names a next one is stopped here.
const MAX_PAGES: usize = 1_000;

/// How a manifest is named in its repository.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// By what somebody pointed at it.
    Tag(&'a Tag),
    /// By its content.
    Digest(&'a Digest),
}

impl By<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

/// A manifest or index as the registry stores it, checked against its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Media type; one of the four that are asked for.
    pub media_type: String,
    /// The bytes, never rewritten.
    pub bytes: Vec<u8>,
}

impl Manifest {
    /// A manifest of our own making.
    #[must_use]
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), media_type: media_type.to_owned(), bytes }
    }

    /// Whether it is an index (or Docker's manifest list).
    #[must_use]
    pub fn is_index(&self) -> bool {
        [OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE].contains(&self.media_type.as_str())
    }

    /// Reads it as an index.
    ///
    /// # Errors
    /// When it is none.
    pub fn index(&self) -> Result<OciImageIndex> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.malformed("an index", error))
    }

    /// Reads it as the manifest of one image.
    ///
    /// # Errors
    /// When it is none.
    pub fn image(&self) -> Result<OciImageManifest> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.malformed("an image manifest", error))
    }

    fn malformed(&self, what: &str, error: serde_json::Error) -> Error {
        Error::new(ErrorKind::RegistryError, format!("{} is not {what}", self.digest)).cause(error)
    }
}

impl Client {
    /// The digest of a manifest; none when there is none.
    ///
    /// For a tag this is the registry's word (`Docker-Content-Digest`), and where it says nothing the manifest is
    /// read.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn head_manifest(&self, repository: &Repository, by: By<'_>) -> Result<Option<Digest>> {
        let request = self.manifest_request(Method::HEAD, repository, by, format!("to show {}", by.text()))?;
        let answer = self.call(repository, &pull(repository), &request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => match named_digest(&answer) {
                Some(digest) => Ok(Some(digest)),
                None => Ok(self.manifest(repository, by).await?.map(|manifest| manifest.digest)),
            },
            _ => Err(self.refused(repository, &request, answer)),
        }
    }

    /// A manifest; none when there is none.
    ///
    /// # Errors
    /// When the registry refuses or fails, when the content does not have the digest that was asked for, or when
    /// it is none of the four kinds of manifest.
    pub async fn manifest(&self, repository: &Repository, by: By<'_>) -> Result<Option<Manifest>> {
        let request = self.manifest_request(Method::GET, repository, by, format!("to show {}", by.text()))?;
        let answer = self.call(repository, &pull(repository), &request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => read(by, answer).map(Some),
            _ => Err(self.refused(repository, &request, answer)),
        }
    }

    /// Stores a manifest under its digest or a tag.
    ///
    /// # Errors
    /// When the registry refuses (an existing tag where tags are immutable, children that it does not have) or
    /// fails; see [`is_tag_refusal`](Self::is_tag_refusal).
    pub async fn put_manifest(&self, repository: &Repository, by: By<'_>, manifest: &Manifest) -> Result<()> {
        let what = format!("the push of {}", by.text());
        let request = self.manifest_request(Method::PUT, repository, by, what)?;
        let request = request.header(CONTENT_TYPE, &manifest.media_type).body(&manifest.bytes);
        let answer = self.call(repository, &push(repository), &request).await?;
        if !answer.status.is_success() {
            return Err(self.refused(repository, &request, answer));
        }
        match named_digest(&answer) {
            Some(digest) if digest != manifest.digest => Err(mismatch(&manifest.digest, &digest)),
            _ => Ok(()),
        }
    }

    /// Whether a failed push of a tag says that the tag itself may not be written, as registries with immutable
    /// tags do: a 400, 405, 409 or 412 that is not about the manifest's own content.
    #[must_use]
    pub fn is_tag_refusal(error: &Error) -> bool {
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref::<super::failure::Refusal>() {
                return refusal.is_about_the_tag();
            }
            cause = error.source();
        }
        false
    }

    /// The tags of a repository in the registry's order; empty when the repository does not exist.
    ///
    /// # Errors
    /// When the registry refuses or fails, or the list does not end.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let first = self.repository_url(repository, "tags/list?n=1000")?;
        let (mut url, mut tags) = (first.clone(), Vec::new());
        for _ in 0..MAX_PAGES {
            let request =
                Request::new(Method::GET, url.clone(), MAX_ANSWER, format!("to list the tags of {repository}"));
            let answer = self.call(repository, &pull(repository), &request).await?;
            match answer.status {
                StatusCode::NOT_FOUND => return Ok(tags),
                status if !status.is_success() => return Err(self.refused(repository, &request, answer)),
                _ => {}
            }
            let page: Page = serde_json::from_slice(&answer.body).map_err(|error| {
                Error::new(ErrorKind::RegistryError, format!("the tag list of {repository} is malformed")).cause(error)
            })?;
            tags.extend(page.tags.unwrap_or_default());
            let next = answer.headers.get(LINK).and_then(|link| link.to_str().ok()).and_then(next_link);
            match next.and_then(|next| url.join(next).ok()).filter(|next| next.origin() == first.origin()) {
                Some(next) if next != url => url = next,
                _ => return Ok(tags),
            }
        }
        Err(Error::new(ErrorKind::RegistryError, format!("the tag list of {repository} does not end")))
    }

    fn manifest_request(&self, method: Method, repository: &Repository, by: By<'_>, what: String) -> Result<Request> {
        let url = self.repository_url(repository, &format!("manifests/{}", by.text()))?;
        Ok(Request::new(method, url, MAX_MANIFEST, what).header(ACCEPT, ACCEPTED))
    }
}

fn named_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest").and_then(|text| Digest::parse(text).ok())
}

fn mismatch(wanted: &Digest, got: &Digest) -> Error {
    Error::new(ErrorKind::RegistryError, format!("the registry's content does not have the digest {wanted}"))
        .cause(anyhow::anyhow!("it has {got}"))
        .hint("something between hephy and the registry changes content, or the registry's storage is damaged")
}

fn read(by: By<'_>, answer: Answer) -> Result<Manifest> {
    let digest = Digest::of(&answer.body);
    let wanted = match by {
        By::Digest(wanted) => Some(wanted.clone()),
        By::Tag(_) => named_digest(&answer),
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
        return Err(mismatch(&wanted, &digest));
    }
    let header = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let media_type = media_type(header, &answer.body).map_err(|why| {
        Error::new(ErrorKind::RegistryError, format!("{} is not the manifest of an image", by.text())).cause(why)
    })?;
    Ok(Manifest { digest, media_type, bytes: answer.body })
}

/// The media type: the header's, which must not contradict the content (OCI image-spec, "mediaType"; a document
/// that is read as two kinds is refused).
fn media_type(header: &str, body: &[u8]) -> Result<String, anyhow::Error> {
    #[derive(Deserialize)]
    struct Shape {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let shape: Shape = serde_json::from_slice(body).map_err(|error| anyhow::anyhow!("it is no JSON: {error}"))?;
    let is_index = shape.manifests.is_some();
    if is_index && (shape.config.is_some() || shape.layers.is_some()) {
        anyhow::bail!("it is an index and an image at once");
    }
    let known = |text: &str| match text {
        OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => Some(true),
        OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => Some(false),
        _ => None,
    };
    let inside = shape.media_type.as_deref();
    let default = if is_index { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE };
    let said = if known(header).is_some() { header } else { inside.unwrap_or(default) };
    let shown = || crate::diagnostic::escape_cut(said, 120);
    match known(said) {
        None => anyhow::bail!("its media type is {}", shown()),
        Some(index) if index != is_index => anyhow::bail!("its media type is {}, which it is not", shown()),
        Some(_) if inside.is_some_and(|inside| inside != said) => {
            anyhow::bail!("its media type is {} outside and another one inside", shown())
        }
        Some(_) => Ok(said.to_owned()),
    }
}

/// The target of `Link: <…>; rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').map(str::trim).any(|it| it == "rel=\"next\"" || it == "rel=next");
        next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_must_not_contradict_the_content() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        let image = br#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        assert_eq!(media_type(OCI_IMAGE_INDEX_MEDIA_TYPE, index).unwrap(), OCI_IMAGE_INDEX_MEDIA_TYPE);
        assert_eq!(media_type("application/json", index).unwrap(), OCI_IMAGE_INDEX_MEDIA_TYPE);
        assert_eq!(media_type("", image).unwrap(), OCI_IMAGE_MEDIA_TYPE);
        assert_eq!(media_type(IMAGE_MANIFEST_MEDIA_TYPE, image).unwrap(), IMAGE_MANIFEST_MEDIA_TYPE);
        let inside = format!(r#"{{"mediaType":"{IMAGE_MANIFEST_MEDIA_TYPE}","config":{{}},"layers":[]}}"#);
        assert_eq!(media_type("text/plain", inside.as_bytes()).unwrap(), IMAGE_MANIFEST_MEDIA_TYPE);
        assert!(media_type(OCI_IMAGE_MEDIA_TYPE, inside.as_bytes()).is_err());
        assert!(media_type(OCI_IMAGE_MEDIA_TYPE, index).is_err());
        assert!(media_type(OCI_IMAGE_INDEX_MEDIA_TYPE, image).is_err());
        assert!(media_type("", br#"{"manifests":[],"config":{},"layers":[]}"#).is_err());
        assert!(media_type("", br#"{"mediaType":"application/vnd.docker.distribution.manifest.v1+json"}"#).is_err());
        assert!(media_type("", b"<html>").is_err());
    }

    #[test]
    fn the_next_page_is_the_link_with_that_relation() {
        assert_eq!(next_link(r#"</v2/a/tags/list?last=x&n=1>; rel="next""#), Some("/v2/a/tags/list?last=x&n=1"));
        assert_eq!(next_link(r#"</a>; rel="prev", </b>; rel=next"#), Some("/b"));
        assert_eq!(next_link(r#"</a>; rel="prev""#), None);
        assert_eq!(next_link("garbage"), None);
    }
}
