//! What the registry really has: the digest that a builder reported, its platform, and the machine that its
//! programs are for (specification §8, "The right architecture").

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Contents, Digest, Platform, Sampled, Start};

/// What a build job itself asks of registries. `repository` is `host[:port]/path`.
pub trait RegistryView: Sync {
    /// A manifest or index by tag or digest, as its bytes stand.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none; others as the registry fails.
    fn manifest(&self, repository: &str, reference: &str) -> Result<Fetched>;

    /// A blob of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is absent or larger.
    fn blob(&self, repository: &str, digest: &Digest, limit: usize) -> Result<Vec<u8>>;

    /// The first `length` bytes of a blob, or all of it.
    ///
    /// # Errors
    /// When it is absent.
    fn blob_prefix(&self, repository: &str, digest: &Digest, length: usize) -> Result<Vec<u8>>;

    /// Makes an image, or an index with all its images, known in another repository under the same digest.
    ///
    /// # Errors
    /// When it is absent, or a registry refuses or fails.
    fn copy(&self, from: &str, to: &str, digest: &Digest) -> Result<()>;

    /// The text of a `config.json` that signs in to these hosts (`host[:port]`) without any helper of this machine; none
    /// where nobody signs in, or where this view knows of no logins.
    ///
    /// # Errors
    /// When a login that is needed cannot be had.
    fn logins(&self, hosts: &BTreeSet<String>) -> Result<Option<String>> {
        let _ = hosts;
        Ok(None)
    }
}

/// A manifest from a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Digest of the bytes, computed and not merely claimed.
    pub digest: Digest,
    /// `Content-Type`.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An image that is what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Digest of what the reference names: a manifest or an index.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Bytes of manifest, config and layers of the platform.
    pub size: u64,
    /// What could not be looked at, for people.
    pub notes: Vec<String>,
}

/// Largest image config that is read, in bytes.
const MAX_CONFIG: usize = 4 << 20;
/// How much of a layer is looked at first; most programs begin within it.
const FIRST_LOOK: usize = 4 << 20;
/// How much is looked at where that held no program.
const SECOND_LOOK: usize = 16 << 20;
/// How much of all layers of an image is looked at.
const BUDGET: usize = 64 << 20;
/// Most layers that are looked at; images have at most 127.
const MAX_LAYERS: usize = 128;

/// Confirms that `reference` (tag or digest) of `repository` is an image for `platform` whose programs run there.
///
/// # Errors
/// When it is absent, for another platform, or holds the wrong programs; the sentence names the file.
pub fn confirm(view: &dyn RegistryView, repository: &str, reference: &str, platform: &Platform) -> Result<Confirmed> {
    let top = view.manifest(repository, reference)?;
    let shown = format!("{repository}@{}", top.digest);
    let document = parse(&top.bytes, &shown)?;
    let (manifest, own_size) = match document.get("manifests") {
        None => (document, top.bytes.len()),
        Some(children) => {
            let child =
                child_for(children, platform).ok_or_else(|| wrong(format!("{shown} has nothing for {platform}")))?;
            let fetched = view.manifest(repository, child.as_str())?;
            (parse(&fetched.bytes, &shown)?, fetched.bytes.len())
        }
    };
    let config_digest = descriptor_digest(&manifest["config"], &shown)?;
    let config = parse(&view.blob(repository, &config_digest, MAX_CONFIG)?, &shown)?;
    check_platform(&config, platform, &shown)?;
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let size = layers.iter().chain([&manifest["config"]]).filter_map(|part| part["size"].as_u64()).sum::<u64>();
    let notes = check_programs(view, repository, layers, &Start::of_config(&config), platform, &shown)?;
    Ok(Confirmed { digest: top.digest, media_type: top.media_type, size: size + own_size as u64, notes })
}

/// The child of an index that is the image for a platform; attestations have the platform `unknown/unknown`.
fn child_for(children: &Value, platform: &Platform) -> Option<Digest> {
    let matches = |child: &&Value| platform_differs(&child["platform"], platform).is_none();
    let child = children.as_array()?.iter().find(matches)?;
    Digest::parse(child["digest"].as_str()?).ok()
}

fn check_platform(config: &Value, platform: &Platform, shown: &str) -> Result<()> {
    match platform_differs(config, platform) {
        None => Ok(()),
        Some(found) => Err(wrong(format!("{shown} is an image for {found}, not for {platform}"))),
    }
}

/// The platform that `os`, `architecture` and `variant` name, if it is another one. A config without a variant is
/// taken for the wanted one: many builders leave it out.
fn platform_differs(fields: &Value, platform: &Platform) -> Option<String> {
    let text = |key: &str| fields[key].as_str().unwrap_or_default();
    let (os, architecture, variant) = (text("os"), text("architecture"), text("variant"));
    let written =
        [os, architecture, variant].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
    // Spin calls the interface by its version.
    if platform.os() == "wasi" && matches!(os, "wasi" | "wasip1" | "wasip2") && architecture == "wasm" {
        return None;
    }
    let same = match Platform::parse(&written) {
        Ok(found) if variant.is_empty() => {
            (found.os(), found.architecture()) == (platform.os(), platform.architecture())
        }
        Ok(found) => found == *platform,
        Err(_) => false,
    };
    (!same).then(|| crate::diagnostic::escape_cut(&written, 80))
}

/// Samples programs from the top layer down, by the rules of [`Contents`].
fn check_programs(
    view: &dyn RegistryView,
    repository: &str,
    layers: &[Value],
    start: &Start,
    platform: &Platform,
    shown: &str,
) -> Result<Vec<String>> {
    if platform.os() != "linux" {
        return Ok(Vec::new());
    }
    let (mut contents, mut left, mut notes) = (Contents::default(), BUDGET, Vec::new());
    for layer in layers.iter().rev().take(MAX_LAYERS) {
        // Layers that live elsewhere are not in this registry (image-spec, `layer.md`, "Non-Distributable").
        if left == 0 || layer["urls"].is_array() {
            continue;
        }
        let digest = descriptor_digest(layer, shown)?;
        let size = layer["size"].as_u64().and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        let first = FIRST_LOOK.min(left);
        let mut bytes = view.blob_prefix(repository, &digest, first)?;
        left -= bytes.len().min(left);
        // What the first look hides must not hide the same layer's files from the second.
        let above = contents.clone();
        let mut sampled = contents.add_below(&bytes);
        if sampled == Sampled::Programs(0) && size > bytes.len() && left > 0 {
            bytes = view.blob_prefix(repository, &digest, SECOND_LOOK.min(left))?;
            left -= bytes.len().min(left);
            contents = above;
            sampled = contents.add_below(&bytes);
        }
        if sampled == Sampled::Unreadable && !bytes.is_empty() {
            notes.push(format!("layer {} is compressed in a way that was not looked into", digest.short()));
        }
    }
    match contents.mismatch(platform, start) {
        None => Ok(notes),
        Some(found) => {
            let (path, machine) =
                (crate::diagnostic::escape_cut(&found.program.path, 200), found.program.elf.describe());
            Err(wrong(format!("{shown} is stamped {platform}, but {path} is a program for {machine}"))
                .cause(anyhow::anyhow!("{}", found.why)))
        }
    }
}

fn parse(bytes: &[u8], shown: &str) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::RegistryError, format!("{shown} is no image that can be read")).cause(error)
    })
}

fn descriptor_digest(descriptor: &Value, shown: &str) -> Result<Digest> {
    let text = descriptor["digest"].as_str().unwrap_or_default();
    Digest::parse(text).map_err(|invalid| {
        Error::new(ErrorKind::RegistryError, format!("{shown} is no image that can be read")).cause(invalid)
    })
}

/// The failure of an image that must not get a tag.
fn wrong(message: String) -> Error {
    Error::new(ErrorKind::BuildError, message).hint(
        "the base image, or a file that is copied in, is for another architecture: take one that exists for this \
         platform, or take the platform out of `platforms`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Blobs and manifests by digest.
    struct Shelf(BTreeMap<String, Vec<u8>>);

    impl Shelf {
        fn put(&mut self, bytes: Vec<u8>) -> Digest {
            let digest = Digest::of(&bytes);
            self.0.insert(digest.to_string(), bytes);
            digest
        }
    }

    impl RegistryView for Shelf {
        fn manifest(&self, _: &str, reference: &str) -> Result<Fetched> {
            let bytes = self.0[reference].clone();
            Ok(Fetched { digest: Digest::of(&bytes), media_type: String::new(), bytes })
        }

        fn blob(&self, _: &str, digest: &Digest, _: usize) -> Result<Vec<u8>> {
            Ok(self.0[digest.as_str()].clone())
        }

        fn blob_prefix(&self, _: &str, digest: &Digest, length: usize) -> Result<Vec<u8>> {
            let bytes = &self.0[digest.as_str()];
            Ok(bytes[..length.min(bytes.len())].to_vec())
        }

        fn copy(&self, _: &str, _: &str, _: &Digest) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_first_look_at_a_layer_hides_does_not_hide_the_layers_own_programs() {
        let mut tar = tar::Builder::new(Vec::new());
        let filler = vec![0; FIRST_LOOK + 1000];
        let foreign: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0rest";
        for (path, content) in [("srv/.wh..wh..opq", &b""[..]), ("filler", &filler), ("srv/tool", foreign)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            tar.append_data(&mut header, path, content).unwrap();
        }
        let mut shelf = Shelf(BTreeMap::new());
        let layer = tar.into_inner().unwrap();
        let size = layer.len();
        let layer = shelf.put(layer);
        let config = br#"{"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/srv/tool"]}}"#;
        let config = shelf.put(config.to_vec());
        let manifest = serde_json::json!({"config": {"digest": config}, "layers": [{"digest": layer, "size": size}]});
        let manifest = shelf.put(manifest.to_string().into_bytes());
        let error = confirm(&shelf, "r", manifest.as_str(), &Platform::linux_amd64()).unwrap_err();
        assert!(error.message().contains("/srv/tool is a program for arm64"), "{error}");
    }
}
