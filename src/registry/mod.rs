//! The distribution API: manifests, blobs and tags of any number of registries (OCI distribution-spec 1.1).
//!
//! Types are `oci-client`'s (references, manifests, error codes); the transport is our own thin one, because the
//! rules of this room cannot be kept over that crate's client: `ARCHITECTURE.md`, "Choices".
//!
//! Invariants: what was asked for by digest has that digest, or it is an error; bodies are bounded; credentials
//! reach only the host they were found for. This room decides nothing about images.

mod auth;
mod blobs;
mod copy;
mod credentials;
mod docker_config;
mod failure;
mod logins;
mod manifests;
mod policy;
mod settings;
mod silent;
mod tls;
mod transport;

use std::sync::Arc;

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};

use auth::{Access, Asking, Auth, Scope};
use transport::{Answer, Failed, OnRetry, Request, Transport};

pub use blobs::{Blob, BlobSize};
pub use docker_config::{for_builders, secrets_of};
pub use manifests::{By, Manifest};
pub use policy::{MAX_CONFIG, MAX_MANIFEST, Policy, Retry};
pub(crate) use settings::host_of;
pub use settings::{EnvCredential, Settings, insecure_all};
pub(crate) use tls::config as tls_config;

use crate::error::{Error, Result};
use crate::oci::Repository;

/// A client for any number of registries. It belongs to one thread (tokio's `current_thread` runtime).
pub struct Client {
    settings: Settings,
    transport: Transport,
    auth: Auth,
}

impl Client {
    /// A client that has not spoken to anybody yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_retries(settings, |_| {})
    }

    /// The same, telling `on_retry` of every pause before it begins.
    #[must_use]
    pub fn with_retries(settings: Settings, on_retry: impl Fn(&Retry) + Send + Sync + 'static) -> Self {
        let on_retry: OnRetry = Arc::new(on_retry);
        Self { transport: Transport::new(settings.policy.clone(), on_retry), settings, auth: Auth::default() }
    }

    /// How many requests went out so far, repeated and redirected ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.transport.sent()
    }

    /// Makes sure that the registry is there and takes our credential, with one or two requests.
    ///
    /// # Errors
    /// When it does not answer, or wants another credential.
    pub async fn ping(&self, repository: &Repository) -> Result<()> {
        let url = self.url(repository, "/v2/")?;
        let request = Request::new(Method::GET, url, policy::MAX_ANSWER, "the sign-in");
        let answer = self.call(repository, &Scope(Vec::new()), &request).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(repository, &request, answer)) }
    }

    /// Says that this repository will be pushed to, so that its first token allows that already.
    pub fn will_push(&self, repository: &Repository) {
        if let Ok(base) = self.base(repository.host()) {
            self.auth.will_push(&base, repository.host(), repository.path());
        }
    }

    fn base(&self, host: &str) -> Result<Url> {
        // Docker Hub's API has a name of its own.
        let host = if host == "index.docker.io" { "registry-1.docker.io" } else { host };
        let scheme = if self.settings.is_plain(host) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|error| Error::usage(format!("`{host}` is no host")).cause(error))
    }

    /// A URL below the registry; the path holds only what was validated.
    fn url(&self, repository: &Repository, path: &str) -> Result<Url> {
        let base = self.base(repository.host())?;
        base.join(path).map_err(|error| Error::internal(format!("no URL can be made for {repository}")).cause(error))
    }

    fn repository_url(&self, repository: &Repository, rest: &str) -> Result<Url> {
        self.url(repository, &format!("/v2/{}/{rest}", repository.path()))
    }

    /// One request with authentication and retries.
    async fn call(&self, repository: &Repository, scope: &Scope, request: &Request) -> Result<Answer> {
        self.transport.retrying(async || self.authenticated(repository, scope, request).await).await
    }

    /// One attempt; a 401 of the registry itself is answered once with a new token.
    async fn authenticated(&self, repository: &Repository, scope: &Scope, request: &Request) -> Result<Answer, Failed> {
        let base = self.base(repository.host())?;
        let asking =
            Asking { transport: &self.transport, settings: &self.settings, base: &base, name: repository.host() };
        let token = self.token(&asking, scope, request).await?;
        let answer = self.transport.attempt(request, token.as_ref()).await?;
        if answer.status != StatusCode::UNAUTHORIZED || answer.url.origin() != base.origin() {
            return Ok(answer);
        }
        match self.auth.renewed(&asking, scope, token.as_ref(), &answer.headers).await? {
            Some(token) => self.transport.attempt(request, Some(&token)).await,
            None => Ok(answer),
        }
    }

    /// The token for a request; none for one that goes to another origin than the registry's.
    async fn token(&self, asking: &Asking<'_>, scope: &Scope, request: &Request) -> Result<Option<HeaderValue>> {
        match request.url.origin() == asking.base.origin() {
            true => self.auth.header(asking, scope).await,
            false => Ok(None),
        }
    }

    fn refused(&self, repository: &Repository, request: &Request, answer: Answer) -> Error {
        let source = match self.base(repository.host()) {
            Ok(base) => self.auth.source(&base, repository.host()),
            Err(error) => return error,
        };
        answer.refusal(request.method.clone()).into_error(&request.what, &source)
    }
}

fn pull(repository: &Repository) -> Scope {
    Scope(vec![(repository.path().to_owned(), Access::Pull)])
}

fn push(repository: &Repository) -> Scope {
    Scope(vec![(repository.path().to_owned(), Access::Push)])
}
