//! The children of an index: which manifest of a builder's push is the image of a platform, what comes along with
//! it, and whether its configuration says the platform that was asked for.

use std::collections::BTreeMap;

use oci_client::manifest::{ImageIndexEntry, OciImageIndex, Platform as OciPlatform};

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, Platform};

/// Marks a manifest that describes another one (BuildKit, "Attestation storage").
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The one that it describes.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// The image of one platform, as it will stand in the index.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its platform.
    pub platform: Platform,
    /// Its digest.
    pub digest: Digest,
    /// Its entry.
    pub entry: ImageIndexEntry,
    /// Annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// What came along with it, taken over as it stands.
    pub attestations: Vec<ImageIndexEntry>,
}

/// The entry of an index that is the image of a platform.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its digest.
    pub digest: Digest,
    /// The entries that describe it.
    pub attestations: Vec<ImageIndexEntry>,
}

/// Picks the image of a platform out of an index that a builder pushed.
///
/// # Errors
/// When there is none, or more than one.
pub fn pick(index: &OciImageIndex, platform: &Platform) -> Result<Picked> {
    let is_attestation = |entry: &&ImageIndexEntry| annotation(entry, REFERENCE_TYPE).is_some();
    let images: Vec<_> = index.manifests.iter().filter(|entry| !is_attestation(entry)).collect();
    let fits = |entry: &&&ImageIndexEntry| entry.platform.as_ref().is_some_and(|it| same(platform, it));
    let fitting: Vec<_> = images.iter().filter(fits).collect();
    let refuse = |why: String| Error::new(ErrorKind::BuildError, format!("the pushed index has {why} for {platform}"));
    match fitting.as_slice() {
        [entry] => {
            let digest = Digest::parse(&entry.digest)
                .map_err(|error| refuse("an entry without a usable digest".into()).cause(error))?;
            Ok(Picked { attestations: attestations_of(index, &digest), digest })
        }
        [] => {
            let held: Vec<_> = images.iter().filter_map(|entry| entry.platform.as_ref()).map(shown).collect();
            let held = if held.is_empty() { "none that is named".to_owned() } else { held.join(", ") };
            Err(refuse("no image".into()).cause(anyhow::anyhow!("it has {held}")))
        }
        many => Err(refuse(format!("{} images", many.len()))),
    }
}

/// The entries of an index that describe this manifest.
#[must_use]
pub fn attestations_of(index: &OciImageIndex, digest: &Digest) -> Vec<ImageIndexEntry> {
    let describes = |entry: &&ImageIndexEntry| {
        annotation(entry, REFERENCE_TYPE).is_some() && annotation(entry, REFERENCE_DIGEST) == Some(digest.as_str())
    };
    index.manifests.iter().filter(describes).cloned().collect()
}

fn annotation<'a>(entry: &'a ImageIndexEntry, key: &str) -> Option<&'a str> {
    entry.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The entry of a manifest, with the platform in the plan's spelling.
#[must_use]
pub fn entry_for(platform: &Platform, media_type: &str, digest: &Digest, size: usize) -> ImageIndexEntry {
    ImageIndexEntry {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        platform: Some(OciPlatform {
            architecture: platform.architecture().into(),
            os: platform.os().into(),
            os_version: None,
            os_features: None,
            variant: platform.variant().map(str::to_owned),
            features: None,
        }),
        annotations: None,
        artifact_type: None,
    }
}

/// The part of an image configuration that is looked at; `oci-client`'s type knows no variant.
#[derive(Deserialize)]
struct ConfigPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Checks that an image configuration says the platform that was asked for.
///
/// A configuration without variant fits every variant of its architecture, since most builders write none.
///
/// # Errors
/// When it says another one, or is no image configuration.
pub fn check_config(config: &[u8], platform: &Platform) -> Result<()> {
    let refuse = |why: String| {
        Error::new(ErrorKind::BuildError, format!("the image for {platform} {why}"))
            .hint("the builder built for the machine that it ran on: give this architecture a runner of its own")
    };
    let config: ConfigPlatform =
        serde_json::from_slice(config).map_err(|error| refuse("has no readable configuration".into()).cause(error))?;
    let ConfigPlatform { os, architecture, variant } = config;
    let said = shown_parts(&os, &architecture, variant.as_deref());
    // Spin calls the interface by its version.
    let is_wasi = |os: &str| matches!(os, "wasi" | "wasip1" | "wasip2");
    if platform.os() == "wasi" && is_wasi(&os) && architecture == "wasm" {
        return Ok(());
    }
    let fits =
        os == platform.os() && architecture == platform.architecture() && variant_fits(platform, variant.as_deref());
    if fits { Ok(()) } else { Err(refuse(format!("says that it is for {said}"))) }
}

/// Whether an entry's platform is this one.
fn same(platform: &Platform, entry: &OciPlatform) -> bool {
    entry.os.to_string() == platform.os()
        && entry.architecture.to_string() == platform.architecture()
        && variant_fits(platform, entry.variant.as_deref())
}

fn variant_fits(platform: &Platform, variant: Option<&str>) -> bool {
    match variant.filter(|variant| !variant.is_empty()) {
        None => true,
        Some(variant) => {
            let text = format!("{}/{}/{variant}", platform.os(), platform.architecture());
            Platform::parse(&text).is_ok_and(|said| said == *platform)
        }
    }
}

fn shown(platform: &OciPlatform) -> String {
    shown_parts(&platform.os.to_string(), &platform.architecture.to_string(), platform.variant.as_deref())
}

fn shown_parts(os: &str, architecture: &str, variant: Option<&str>) -> String {
    let variant = variant.filter(|it| !it.is_empty()).map(|it| format!("/{it}")).unwrap_or_default();
    crate::diagnostic::escape_cut(&format!("{os}/{architecture}{variant}"), 80)
}
