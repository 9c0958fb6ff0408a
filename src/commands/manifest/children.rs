//! One child of an index: from a build result to a manifest that is in the registry and of the right platform.

use super::Run;
use super::results::Left;
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{self, Child};
use crate::oci::{Digest, Platform, Reference, Repository, Tag};
use crate::plan::PlannedImage;
use crate::registry::{By, Manifest};
use crate::result::{BuildResult, Status};

/// What names the manifest.
enum Name {
    Digest(Digest),
    Tag(Tag),
}

impl Name {
    fn by(&self) -> By<'_> {
        match self {
            Self::Digest(digest) => By::Digest(digest),
            Self::Tag(tag) => By::Tag(tag),
        }
    }
}

/// Finds the child, and copies it when it lies in another repository.
pub(super) async fn find(
    run: &Run<'_>,
    image: &PlannedImage,
    platform: &Platform,
    left: Result<Left>,
) -> Result<Child> {
    let to = run.repository(&image.name)?;
    let (from, name) = source(image, platform, left?, &to)?;
    let pushed = run.client.manifest(&from, name.by()).await?.ok_or_else(|| absent(image, platform, &from, &name))?;
    let (digest, attestations, manifest) = if pushed.is_index() {
        let picked = index::pick(&pushed.index()?, platform)?;
        let child = run.client.manifest(&from, By::Digest(&picked.digest)).await?;
        let child = child.ok_or_else(|| absent(image, platform, &from, &Name::Digest(picked.digest.clone())))?;
        (picked.digest, picked.attestations, child)
    } else {
        (pushed.digest.clone(), Vec::new(), pushed)
    };
    let parsed = manifest.image()?;
    check_platform(run, image, platform, &from, &manifest, &parsed.config.digest).await?;
    if from != to {
        run.client.copy_image(&from, &to, &digest).await?;
        for entry in &attestations {
            let digest = Digest::parse(&entry.digest).map_err(|error| {
                Error::new(ErrorKind::RegistryError, format!("{from} has a malformed attestation")).cause(error)
            })?;
            run.client.copy_image(&from, &to, &digest).await?;
        }
    }
    Ok(Child {
        platform: platform.clone(),
        entry: index::entry_for(platform, &manifest.media_type, &digest, manifest.bytes.len()),
        digest,
        annotations: parsed.annotations.unwrap_or_default(),
        attestations,
    })
}

async fn check_platform(
    run: &Run<'_>,
    image: &PlannedImage,
    platform: &Platform,
    from: &Repository,
    manifest: &Manifest,
    config: &str,
) -> Result<()> {
    let malformed = |why: String| Error::new(ErrorKind::RegistryError, format!("{from}@{}: {why}", manifest.digest));
    let digest =
        Digest::parse(config).map_err(|error| malformed("its configuration has no digest".into()).cause(error))?;
    let bytes = run.client.blob(from, &digest).await?;
    let bytes = bytes.ok_or_else(|| malformed(format!("its configuration {digest} is not there")))?;
    index::check_config(&bytes, platform).map_err(|error| {
        let sentence = format!("{}: {}", image.name, error.message());
        let hint = error.hint_text().unwrap_or_default().to_owned();
        Error::new(error.kind(), sentence).hint(hint)
    })
}

/// Where the image of a platform is, as its build job (or, for images built elsewhere, the plan) says.
fn source(image: &PlannedImage, platform: &Platform, left: Left, to: &Repository) -> Result<(Repository, Name)> {
    let manual = image.manual_images.as_ref().and_then(|images| images.get(&platform.arch()));
    let manual = manual.map(|text| reference(image, text)).transpose()?;
    match (left, manual) {
        (Left::Result(result), manual) => {
            let digest = built(image, platform, *result)?;
            Ok((manual.map_or_else(|| to.clone(), |(repository, _)| repository), Name::Digest(digest)))
        }
        (Left::Tag(_) | Left::Missing, Some(manual)) => Ok(manual),
        (Left::Tag(tag), None) => Ok((to.clone(), Name::Tag(tag))),
        (Left::Missing, None) => Err(missing(image, platform)),
    }
}

fn reference(image: &PlannedImage, text: &str) -> Result<(Repository, Name)> {
    let shown = escape_cut(text, 160);
    let wrong = || Error::config(format!("manual_images of {} names `{shown}`, which is no reference", image.name));
    let reference = Reference::parse(text).map_err(|error| wrong().cause(error))?;
    let tag = || Name::Tag(reference.tag.unwrap_or_else(Tag::latest));
    let name = reference.digest.map_or_else(tag, Name::Digest);
    Ok((reference.repository, name))
}

fn built(image: &PlannedImage, platform: &Platform, result: BuildResult) -> Result<Digest> {
    let name = &image.name;
    if let Some(digest) = result.digest {
        return Ok(digest);
    }
    let words = result.error.as_ref().map(|error| escape_cut(&error.message, 300));
    let hint = result.error.as_ref().and_then(|error| error.hint.as_deref()).map(|hint| escape_cut(hint, 300));
    let (kind, verb) = match result.status {
        Status::Skipped => (ErrorKind::BuildError, "was skipped"),
        Status::Cancelled => (ErrorKind::Cancelled, "was cancelled"),
        _ => (ErrorKind::BuildError, "failed"),
    };
    let kind = result.error.as_ref().map_or(kind, |error| error.code);
    let error = Error::new(kind, format!("the build of {name} for {platform} {verb}"));
    let error = match words {
        Some(words) => error.cause(anyhow::anyhow!("{words}")),
        None => error,
    };
    Err(error
        .hint(hint.unwrap_or_else(|| format!("its log is {name}-{}.log in the output directory", platform.arch()))))
}

fn missing(image: &PlannedImage, platform: &Platform) -> Error {
    let (json, tag) =
        (BuildResult::file_name(&image.name, platform), BuildResult::tag_file_name(&image.name, platform));
    Error::new(ErrorKind::NotFound, format!("there is no build result of {} for {platform}", image.name))
        .cause(anyhow::anyhow!("neither {json} nor {tag} is in the output directory"))
        .hint(format!(
            "the build job for {} did not run, or its artifacts did not arrive; --allow-partial publishes the others",
            platform.arch()
        ))
}

fn absent(image: &PlannedImage, platform: &Platform, from: &Repository, name: &Name) -> Error {
    let what = match name {
        Name::Digest(digest) => format!("{from}@{digest}"),
        Name::Tag(tag) => format!("{from}:{tag}"),
    };
    Error::new(ErrorKind::NotFound, format!("the image of {} for {platform} is not in the registry", image.name))
        .cause(anyhow::anyhow!("{what} does not exist"))
        .hint("it was deleted, or the build pushed to another registry: run the build job again")
}
