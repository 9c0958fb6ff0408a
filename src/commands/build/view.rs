//! The registry client as the build stage uses it: blocking, one request at a time.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::{Fetched, RegistryView};
use crate::commands::published::block_on_with;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, Repository, Tag};
use crate::registry::{By, Client};

/// A client with an event loop of its own.
pub(super) struct ClientView {
    inner: Mutex<(Client, tokio::runtime::Runtime)>,
}

impl ClientView {
    pub(super) fn new(client: Client) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::resource("the system refuses an event loop").cause(error))?;
        Ok(Self { inner: Mutex::new((client, runtime)) })
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
        let inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (client, runtime) = &*inner;
        // A registry that does not answer must not keep a job from being cancelled.
        block_on_with(runtime, work(client))
    }
}

fn parsed(repository: &str) -> Result<Repository> {
    Repository::parse(repository).map_err(|error| Error::config("the plan's registry is none").cause(error))
}

fn absent(repository: &Repository, what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{repository} has no {what}"))
}

impl RegistryView for ClientView {
    fn manifest(&self, repository: &str, reference: &str) -> Result<Fetched> {
        let repository = parsed(repository)?;
        let invalid = |error: crate::oci::Invalid| Error::config("this names no image").cause(error);
        self.with(async |client| {
            let found = if reference.contains(':') {
                client.manifest(&repository, By::Digest(&Digest::parse(reference).map_err(invalid)?)).await?
            } else {
                client.manifest(&repository, By::Tag(&Tag::parse(reference).map_err(invalid)?)).await?
            };
            let manifest = found.ok_or_else(|| absent(&repository, reference))?;
            Ok(Fetched { digest: manifest.digest, media_type: manifest.media_type, bytes: manifest.bytes })
        })
    }

    fn blob(&self, repository: &str, digest: &Digest, limit: usize) -> Result<Vec<u8>> {
        let repository = parsed(repository)?;
        let bytes = self.with(async |client| client.blob(&repository, digest).await)?;
        let bytes = bytes.ok_or_else(|| absent(&repository, digest.as_str()))?;
        if bytes.len() > limit {
            return Err(Error::new(ErrorKind::RegistryError, format!("{digest} has more than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn blob_prefix(&self, repository: &str, digest: &Digest, length: usize) -> Result<Vec<u8>> {
        let repository = parsed(repository)?;
        let bytes = self.with(async |client| client.blob_prefix(&repository, digest, length as u64).await)?;
        bytes.ok_or_else(|| absent(&repository, digest.as_str()))
    }

    fn copy(&self, from: &str, to: &str, digest: &Digest) -> Result<()> {
        let (from, to) = (parsed(from)?, parsed(to)?);
        self.with(async |client| client.copy_index(&from, &to, digest).await)
    }

    fn logins(&self, hosts: &BTreeSet<String>) -> Result<Option<String>> {
        self.with(async |client| client.logins(hosts).await)
    }
}
