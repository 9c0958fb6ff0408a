//! Images of another repository made known in this one, by digest: blobs are mounted where the registry is the
//! same, streamed otherwise. Nothing is rewritten, so every digest stays.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;

use super::blobs::{mount_scope, upload_request};
use super::manifests::{By, Manifest};
use super::transport::Failed;
use super::{Client, push};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, Repository};

/// Blobs of one image that are on their way at the same time.
const CONCURRENT_BLOBS: usize = 4;

impl Client {
    /// Copies the image `digest` (one platform; an index is copied child by child by whoever knows which) and
    /// gives its manifest. What is there already is left alone.
    ///
    /// # Errors
    /// When it does not exist ([`ErrorKind::NotFound`]), or a registry refuses or fails.
    pub async fn copy_image(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<Manifest> {
        let manifest = self
            .manifest(from, By::Digest(digest))
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{from}@{digest} does not exist")))?;
        if from == to || self.head_manifest(to, By::Digest(digest)).await?.is_some() {
            return Ok(manifest);
        }
        let image = manifest.image()?;
        // Layers with addresses of their own are not stored in registries (OCI image-spec, "urls").
        let layers = image.layers.iter().filter(|layer| layer.urls.as_ref().is_none_or(Vec::is_empty));
        let blobs: BTreeSet<&str> =
            layers.map(|layer| layer.digest.as_str()).chain([image.config.digest.as_str()]).collect();
        let blobs = blobs.into_iter().map(|blob| async move {
            let blob = Digest::parse(blob).map_err(|error| {
                Error::new(ErrorKind::RegistryError, format!("{digest} names a blob that hephy cannot check"))
                    .cause(error)
            })?;
            self.copy_blob(from, to, &blob).await
        });
        let copied: Vec<()> = stream::iter(blobs).buffer_unordered(CONCURRENT_BLOBS).try_collect().await?;
        drop(copied);
        self.put_manifest(to, By::Digest(digest), &manifest).await?;
        Ok(manifest)
    }

    /// Copies whatever a digest names: an index with everything below it, or one image.
    ///
    /// # Errors
    /// When a registry refuses or fails, or something is missing.
    pub async fn copy_index(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<()> {
        let missing = || Error::new(ErrorKind::NotFound, format!("{from}@{digest} does not exist"));
        let manifest = self.manifest(from, By::Digest(digest)).await?.ok_or_else(missing)?;
        if manifest.is_index() {
            for child in manifest.index()?.manifests {
                let child = Digest::parse(&child.digest).map_err(|error| missing().cause(error))?;
                self.copy_image(from, to, &child).await?;
            }
            return self.put_manifest(to, By::Digest(digest), &manifest).await;
        }
        self.copy_image(from, to, digest).await.map(drop)
    }

    /// Copies one blob, unless it is there.
    ///
    /// # Errors
    /// When it does not exist, or a registry refuses or fails.
    pub async fn copy_blob(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<()> {
        if from.host() == to.host() {
            // A mount of a blob that is there already succeeds too, so nothing is asked before.
            if self.mount_blob(from, to, digest).await? {
                return Ok(());
            }
        }
        if self.head_blob(to, digest).await?.is_some() {
            return Ok(());
        }
        self.transport.retrying(async || self.stream_blob(from, to, digest).await).await
    }

    async fn stream_blob(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<(), Failed> {
        let missing = || Error::new(ErrorKind::NotFound, format!("{from} has no blob {digest}"));
        let size = self.head_blob(from, digest).await?.ok_or_else(missing)?.0.ok_or_else(|| {
            Error::new(ErrorKind::RegistryError, format!("{from} does not say how large {digest} is"))
        })?;
        let scope = if from.host() == to.host() { mount_scope(from, to) } else { push(to) };
        let Some(location) = self.start_upload(to, &scope, None).await? else { return Ok(()) };
        let blob = self.blob_stream(from, digest, u64::MAX).await?.ok_or_else(missing)?;
        let request = upload_request(location, digest, size);
        let token = self.upload_token(to, &scope, &request).await?;
        let body = stream::try_unfold(blob, async |mut blob| {
            let chunk = blob.chunk().await.map_err(|error| std::io::Error::other(error.message().to_owned()))?;
            Ok::<_, std::io::Error>(chunk.map(|chunk| (chunk, blob)))
        });
        let answer = self.transport.send_stream(&request, token.as_ref(), reqwest::Body::wrap_stream(body)).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(answer.refusal(Method::PUT).into_error(&request.what, "").into()),
        }
    }
}
