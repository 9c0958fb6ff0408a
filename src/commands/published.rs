//! What the registry holds under a name: the digest, and the image of each platform.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};

use crate::change::InputKey;
use crate::config::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Recorded;
use crate::oci::{Digest, ImageName, Platform, Reference, Repository, Tag};
use crate::registry::{By, Client, Manifest, Settings};

/// Look-ups at the same time.
pub(super) const CONCURRENT: usize = 16;

/// Indexes that are read at the same time: small answers, whose time is the way to the registry and back.
pub(super) const CONCURRENT_HEADS: usize = 48;

/// How often somebody who waits for a registry looks whether a signal came.
const LOOK_FOR_SIGNALS: std::time::Duration = std::time::Duration::from_millis(50);

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Digest of what the name points at: an index, or one image.
    pub digest: Digest,
    /// Digest of the image of each platform.
    pub platforms: BTreeMap<Platform, Digest>,
    /// What it was built from, where it says so.
    pub input_key: Option<InputKey>,
    /// What is run in builds on it (`ONBUILD`), where its configuration was read already.
    pub triggers: Option<Vec<String>>,
}

impl Found {
    /// What an index says of itself.
    #[must_use]
    pub fn of(index: Recorded) -> Self {
        let Recorded { digest, platforms, input_key, .. } = index;
        Self { digest, platforms, input_key, triggers: None }
    }
}

/// Runs asynchronous work of the registry room on this thread.
///
/// # Errors
/// Those of the work, when a signal came, and when the system refuses an event loop.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::resource("the system refuses an event loop").cause(error))?;
    block_on_with(&runtime, work)
}

/// The same on an event loop that is there already.
///
/// # Errors
/// Those of the work, and when a signal came.
pub(super) fn block_on_with<T>(runtime: &tokio::runtime::Runtime, work: impl Future<Output = Result<T>>) -> Result<T> {
    let interrupt = crate::process::Interrupt::installed();
    runtime.block_on(async {
        let mut look = tokio::time::interval(LOOK_FOR_SIGNALS);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = look.tick() => interrupt.check()?,
            }
        }
    })
}

/// A client that says why it waits.
#[must_use]
pub fn client(settings: Settings, report: &crate::report::Report) -> Client {
    let report = report.clone();
    Client::with_retries(settings, move |retry| report.say(&format!("  {retry}")))
}

/// What a tag or digest points at; none when there is no such thing.
///
/// # Errors
/// When the registry refuses or fails.
pub async fn look_up(client: &Client, repository: &Repository, by: By<'_>) -> Result<Option<Found>> {
    let Some(manifest) = client.manifest(repository, by).await? else { return Ok(None) };
    if manifest.is_index() {
        return Ok(Some(Found::of(Recorded::of(manifest.digest.clone(), &manifest.index()?))));
    }
    one_image(client, repository, manifest).await.map(Some)
}

/// One image, whose platform its configuration tells.
///
/// # Errors
/// When the registry refuses or fails, and when it is no image.
pub(super) async fn one_image(client: &Client, repository: &Repository, manifest: Manifest) -> Result<Found> {
    let Configured { platform, triggers } = configured(client, repository, &manifest).await?;
    let platforms = BTreeMap::from([(platform, manifest.digest.clone())]);
    Ok(Found { digest: manifest.digest, platforms, input_key: None, triggers: Some(triggers) })
}

/// What is run in builds on one image (`ONBUILD`), by the digest of its manifest.
///
/// # Errors
/// When the registry refuses or fails, and when there is no such image.
pub async fn triggers(client: &Client, repository: &Repository, digest: &Digest) -> Result<Vec<String>> {
    let manifest = client.manifest(repository, By::Digest(digest)).await?;
    let manifest =
        manifest.ok_or_else(|| Error::new(ErrorKind::RegistryError, format!("{repository} has no {digest}")))?;
    Ok(configured(client, repository, &manifest).await?.triggers)
}

/// What the configuration of one image says.
struct Configured {
    platform: Platform,
    triggers: Vec<String>,
}

async fn configured(client: &Client, repository: &Repository, manifest: &Manifest) -> Result<Configured> {
    #[derive(serde::Deserialize)]
    struct Config {
        os: String,
        architecture: String,
        variant: Option<String>,
        config: Option<Run>,
    }
    #[derive(serde::Deserialize)]
    struct Run {
        #[serde(rename = "OnBuild")]
        on_build: Option<Vec<String>>,
    }
    let unusable = |why: &str| Error::new(ErrorKind::RegistryError, format!("{} is no image: {why}", manifest.digest));
    let digest =
        Digest::parse(&manifest.image()?.config.digest).map_err(|error| unusable("its configuration").cause(error))?;
    let bytes = client.blob(repository, &digest).await?.ok_or_else(|| unusable("its configuration is not there"))?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| unusable("its configuration").cause(error))?;
    let variant = config.variant.filter(|variant| !variant.is_empty()).map(|variant| format!("/{variant}"));
    let platform = Platform::parse(&format!("{}/{}{}", config.os, config.architecture, variant.unwrap_or_default()))
        .map_err(|error| unusable("its platform").cause(error))?;
    Ok(Configured { platform, triggers: config.config.and_then(|run| run.on_build).unwrap_or_default() })
}

/// What an index, or an artifact that stands alone, says of itself.
///
/// # Errors
/// When it is not what its media type says.
pub fn recorded(manifest: &Manifest) -> Result<Recorded> {
    let digest = manifest.digest.clone();
    Ok(match manifest.is_index() {
        true => Recorded::of(digest, &manifest.index()?),
        false => Recorded::of_artifact(digest, manifest.image()?.annotations.as_ref()),
    })
}

/// A failure in one line, causes included.
pub(super) fn told(error: &Error) -> String {
    let causes = error.causes().into_iter().map(|cause| format!(": {}", crate::diagnostic::escape_cut(&cause, 300)));
    format!("{}{}", error.message(), causes.collect::<String>())
}

/// What the index of an image says of itself: the newest of the default branch, `{image}-head`, in one request. None where
/// nothing is published.
///
/// # Errors
/// When the registry refuses or fails.
pub async fn head(client: &Client, registry: &str, layout: Layout, name: &ImageName) -> Result<Option<Recorded>> {
    let invalid = |error| Error::config(format!("{name} cannot be looked up")).cause(error);
    let repository = Repository::parse(&layout.repository_of(registry, name)).map_err(invalid)?;
    let tag = Tag::parse(&layout.tag_of(name, "head")).map_err(invalid)?;
    let Some(manifest) = client.manifest(&repository, By::Tag(&tag)).await? else { return Ok(None) };
    recorded(&manifest).map(Some)
}

/// The first of `tags` that was built from `wanted`, or else the first that exists. `known` are tags that were looked up
/// before.
///
/// # Errors
/// When the registry refuses or fails.
pub async fn first_of(
    client: &Client,
    repository: &Repository,
    tags: &[Tag],
    known: &[(&Tag, &Found)],
    wanted: &str,
) -> Result<Option<(Tag, Found)>> {
    let is_wanted = |found: &Found| found.input_key.as_ref().is_some_and(|key| key.as_str() == wanted);
    if let Some((tag, found)) = known.iter().find(|(_, found)| is_wanted(found)) {
        return Ok(Some(((*tag).clone(), (*found).clone())));
    }
    let mut first = None;
    for tag in tags {
        let found = match known.iter().find(|(known, _)| *known == tag) {
            Some((_, found)) => Some((*found).clone()),
            None => look_up(client, repository, By::Tag(tag)).await?,
        };
        let Some(found) = found else { continue };
        if is_wanted(&found) {
            return Ok(Some((tag.clone(), found)));
        }
        first = first.or_else(|| Some((tag.clone(), found)));
    }
    Ok(first)
}

/// Asks for references of any registry, several at a time: those that mean the same (`alpine`, and
/// `docker.io/library/alpine:latest`) once. The result has every reference.
pub async fn each_once<'a, T>(
    references: impl IntoIterator<Item = &'a str>,
    ask: impl AsyncFn(&str) -> T,
) -> BTreeMap<&'a str, Rc<T>> {
    let mut same: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for text in references {
        same.entry(meaning(text)).or_default().insert(text);
    }
    let ask = &ask;
    let answers = same.into_values().map(async |texts| {
        let answer = match texts.first() {
            Some(text) => Some(Rc::new(ask(text).await)),
            None => None,
        };
        texts.into_iter().filter_map(|text| Some((text, answer.clone()?))).collect::<Vec<_>>()
    });
    stream::iter(answers).buffer_unordered(CONCURRENT).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// What a reference means, however it is written; its text where it is none.
pub(super) fn meaning(text: &str) -> String {
    Reference::parse(text).map_or_else(|_| text.to_owned(), |it| format!("{}:{}", it.repository, it.version()))
}

/// Looks up references of any registry. The result has every reference.
pub async fn look_up_all<'a>(
    client: &Client,
    references: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<&'a str, Rc<Result<Option<Found>>>> {
    each_once(references, async |text| look_up_reference(client, text).await).await
}

async fn look_up_reference(client: &Client, text: &str) -> Result<Option<Found>> {
    let shown = || crate::diagnostic::escape_cut(text, 160);
    let Reference { repository, tag, digest } = Reference::parse(text)
        .map_err(|error| Error::config(format!("`{}` is not a reference", shown())).cause(error))?;
    match digest {
        Some(digest) => look_up(client, &repository, By::Digest(&digest)).await,
        None => look_up(client, &repository, By::Tag(&tag.unwrap_or_else(Tag::latest))).await,
    }
}
