//! Blobs: image configurations are read whole and checked, layers in part and as a stream, uploads in one piece.

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use super::auth::{Access, Asking, Scope};
use super::policy::MAX_CONFIG;
use super::transport::{Failed, Request, broken, connection};
use super::{Client, pull, push};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, Repository};

/// A blob that is read piece by piece.
pub struct Blob {
    response: reqwest::Response,
    request: Request,
    left: u64,
    hasher: Option<Sha256>,
    wanted: Digest,
}

impl Blob {
    /// The next piece; none at the end of the blob or of the budget. A blob that was read to its end is checked
    /// against its digest.
    ///
    /// # Errors
    /// When the connection breaks, or the content is not what was asked for.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        self.next().await.map_err(|failed| failed.error)
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        let url = self.response.url().clone();
        let chunk = self.response.chunk().await.map_err(|error| connection(&self.request, &url, error))?;
        let Some(chunk) = chunk else {
            self.left = 0;
            return match self.hasher.take().map(Digest::from_hasher) {
                Some(digest) if digest != self.wanted => Err(not_the_blob(&self.wanted).into()),
                _ => Ok(None),
            };
        };
        let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
        let piece = chunk.get(..take).unwrap_or_default().to_vec();
        self.left -= take as u64;
        match (&mut self.hasher, take == chunk.len()) {
            (Some(hasher), true) => hasher.update(&piece),
            // Cut short: what is known of the content says nothing about its digest.
            _ => self.hasher = None,
        }
        Ok(Some(piece))
    }
}

fn not_the_blob(wanted: &Digest) -> Error {
    Error::new(ErrorKind::RegistryError, format!("the registry's content does not have the digest {wanted}"))
        .hint("something between hephy and the registry changes content, or the registry's storage is damaged")
}

/// The size of a blob that is there, in bytes; none where the registry does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobSize(pub Option<u64>);

impl Client {
    /// A blob of at most [`MAX_CONFIG`] bytes, checked against its digest; none when there is none.
    ///
    /// # Errors
    /// When the registry refuses or fails, when the blob is too large or not what was asked for.
    pub async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let request = self.blob_request(Method::GET, repository, digest, MAX_CONFIG)?;
        let answer = self.call(repository, &pull(repository), &request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if !status.is_success() => Err(self.refused(repository, &request, answer)),
            _ if Digest::of(&answer.body) != *digest => Err(not_the_blob(digest)),
            _ => Ok(Some(answer.body)),
        }
    }

    /// Whether there is such a blob, and how many bytes it has where the registry tells that.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn head_blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<BlobSize>> {
        let request = self.blob_request(Method::HEAD, repository, digest, 0)?;
        let answer = self.call(repository, &pull(repository), &request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if !status.is_success() => Err(self.refused(repository, &request, answer)),
            _ => Ok(Some(BlobSize(answer.header("content-length").and_then(|it| it.parse().ok())))),
        }
    }

    /// The beginning of a blob, at most `max_bytes` of it, piece by piece: only the opening is retried. None when
    /// there is no such blob.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn blob_stream(&self, repository: &Repository, digest: &Digest, max_bytes: u64) -> Result<Option<Blob>> {
        let mut request = self.blob_request(Method::GET, repository, digest, max_bytes)?;
        if max_bytes < u64::MAX {
            request = request.header(RANGE, &format!("bytes=0-{}", max_bytes.saturating_sub(1)));
        }
        let scope = pull(repository);
        let base = self.base(repository.host())?;
        let asking =
            Asking { transport: &self.transport, settings: &self.settings, base: &base, name: repository.host() };
        let open = async || -> Result<reqwest::Response, Failed> {
            let token = self.token(&asking, &scope, &request).await?;
            let response = self.transport.open(&request, token.as_ref()).await?;
            if response.status() == StatusCode::UNAUTHORIZED
                && response.url().origin() == base.origin()
                && let Some(token) = self.auth.renewed(&asking, &scope, token.as_ref(), response.headers()).await?
            {
                return self.transport.open(&request, Some(&token)).await;
            }
            Ok(response)
        };
        let opened = async || -> Result<_, Failed> { self.transport.opened(&request, open().await?).await };
        let response = match self.transport.retrying(opened).await? {
            Ok(response) => response,
            Err(answer) if answer.status == StatusCode::NOT_FOUND => return Ok(None),
            Err(answer) => return Err(self.refused(repository, &request, answer)),
        };
        // A part never has the digest of the whole, unless the budget covers all of it.
        let hasher = Some(Sha256::new());
        let wanted = digest.clone();
        let partial = response.status() == StatusCode::PARTIAL_CONTENT && !covers_all(&response);
        let hasher = hasher.filter(|_| !partial);
        Ok(Some(Blob { response, request, left: max_bytes, hasher, wanted }))
    }

    /// The beginning of a blob, at most `max_bytes` of it, in memory; retried as a whole. None when there is no
    /// such blob.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn blob_prefix(
        &self,
        repository: &Repository,
        digest: &Digest,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>> {
        let read = async || -> Result<Option<Vec<u8>>, Failed> {
            let Some(mut blob) = self.blob_stream(repository, digest, max_bytes).await? else { return Ok(None) };
            let request = blob.request.clone();
            let mut bytes = Vec::new();
            let whole = async {
                while let Some(chunk) = blob.next().await? {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(bytes))
            };
            // Each read has its limit; a registry that gives a byte at a time keeps all of them.
            let limit = self.transport.answer_timeout();
            let late = |_| Err(broken(&request, format!("not done after {} s", limit.as_secs()), None));
            tokio::time::timeout(limit, whole).await.unwrap_or_else(late)
        };
        self.transport.retrying(read).await
    }

    /// Stores a blob, unless the repository has it.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn upload_blob(&self, repository: &Repository, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.head_blob(repository, &digest).await?.is_some() {
            return Ok(digest);
        }
        let scope = push(repository);
        // An upload session that broke is gone: both requests are repeated together.
        let upload = async || -> Result<(), Failed> {
            let location = self.start_upload(repository, &scope, None).await?;
            let Some(location) = location else { return Ok(()) };
            let request = upload_request(location, &digest, bytes.len() as u64).body(bytes);
            let answer = self.authenticated(repository, &scope, &request).await?;
            if answer.status.is_success() { Ok(()) } else { Err(self.refused(repository, &request, answer).into()) }
        };
        self.transport.retrying(upload).await?;
        Ok(digest)
    }

    /// Makes a blob of another repository of the same registry known in this one. False when the registry does
    /// not do that.
    ///
    /// # Errors
    /// When the registry refuses or fails.
    pub async fn mount_blob(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<bool> {
        let scope = mount_scope(from, to);
        let mount = async || self.start_upload(to, &scope, Some((from, digest))).await;
        match self.transport.retrying(mount).await? {
            None => Ok(true),
            Some(_) => Ok(false),
        }
    }

    /// Starts an upload, or tries a mount: none when the blob is there now, else where to send it.
    pub(super) async fn start_upload(
        &self,
        to: &Repository,
        scope: &Scope,
        mount: Option<(&Repository, &Digest)>,
    ) -> Result<Option<Url>, Failed> {
        let mut url = self.repository_url(to, "blobs/uploads/")?;
        if let Some((from, digest)) = mount {
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from.path());
        }
        let request = Request::new(Method::POST, url, super::policy::MAX_ANSWER, format!("an upload to {to}"));
        let request = request.body(&[]).header(CONTENT_LENGTH, "0");
        let answer = self.authenticated(to, scope, &request).await?;
        match answer.status {
            StatusCode::CREATED => Ok(None),
            StatusCode::ACCEPTED => {
                let target = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                let target = target.and_then(|target| answer.url.join(target).ok());
                upload_location(&answer.url, target).map(Some).map_err(Failed::from)
            }
            _ => Err(self.refused(to, &request, answer).into()),
        }
    }

    /// The token for an upload location; none when it lies on another host.
    pub(super) async fn upload_token(
        &self,
        to: &Repository,
        scope: &Scope,
        request: &Request,
    ) -> Result<Option<HeaderValue>> {
        let base = self.base(to.host())?;
        let asking = Asking { transport: &self.transport, settings: &self.settings, base: &base, name: to.host() };
        self.token(&asking, scope, request).await
    }

    pub(super) fn blob_request(
        &self,
        method: Method,
        repository: &Repository,
        digest: &Digest,
        limit: u64,
    ) -> Result<Request> {
        let url = self.repository_url(repository, &format!("blobs/{digest}"))?;
        Ok(Request::new(method, url, limit, format!("to give {digest}")))
    }
}

/// Rights for a mount: to read there and to write here.
pub(super) fn mount_scope(from: &Repository, to: &Repository) -> Scope {
    Scope(vec![(to.path().to_owned(), Access::Push), (from.path().to_owned(), Access::Pull)])
}

/// The second request of a monolithic upload (distribution-spec, "POST then PUT").
pub(super) fn upload_request(location: Url, digest: &Digest, size: u64) -> Request {
    let mut url = location;
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    let request = Request::new(Method::PUT, url, super::policy::MAX_ANSWER, format!("the upload of {digest}"));
    request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, &size.to_string())
}

/// Checks where an upload is to go: anywhere over https, but never from https to http.
fn upload_location(from: &Url, target: Option<Url>) -> Result<Url> {
    let refuse = |why: &str| Error::new(ErrorKind::RegistryError, format!("the registry names {why} for an upload"));
    match target {
        None => Err(refuse("no location")),
        Some(url) if url.scheme() == "https" || (url.scheme() == "http" && from.scheme() == "http") => Ok(url),
        Some(_) => Err(refuse("a location without https").hint(
            "a proxy in front of the registry hides that it is reached over https: let it set X-Forwarded-Proto",
        )),
    }
}

/// Whether a partial answer holds the whole blob after all: `bytes 0-9/10`.
fn covers_all(response: &reqwest::Response) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let parts = range.and_then(|range| range.strip_prefix("bytes 0-")?.split_once('/'));
    let number = |text: &str| text.parse::<u64>().ok();
    parts.is_some_and(|(last, size)| {
        number(last).is_some() && number(last).map(|last| last.saturating_add(1)) == number(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_never_leaves_https() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(upload_location(&url("https://h/v2/"), Some(url("https://storage.example/x"))).is_ok());
        assert!(upload_location(&url("http://127.0.0.1:5000/v2/"), Some(url("http://127.0.0.1:5000/x"))).is_ok());
        for target in [Some(url("http://h/x")), Some(url("file:///x")), None] {
            assert!(upload_location(&url("https://h/v2/"), target).is_err());
        }
    }
}
