//! Bases and published indexes in a real registry, as tests of staleness need them.

use std::net::SocketAddr;

use hephy::oci::{Digest, Platform};
use hephy::registry::{By, Manifest};
use serde_json::{Value, json};

use crate::cli::Project;
use crate::support::builders;
use crate::support::proxy::{Action, Proxy, Seen};
use crate::support::registry::{block_on, client, image, repository, tag};

/// Platforms of most tests.
pub(crate) const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

pub(crate) fn address() -> SocketAddr {
    builders::registry().parse().unwrap()
}

/// A proxy in front of the registry of all tests, for bases alone.
pub(crate) fn proxy(rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Proxy {
    Proxy::start(address(), rule)
}

/// Points `path:name` at an index of these platforms (each with what makes its image differ), and gives the digests
/// as an index records them.
pub(crate) fn base(path: &str, name: &str, platforms: &[(&str, &str)]) -> Value {
    let to = repository(address(), path);
    block_on(async {
        let client = client();
        let (mut entries, mut digests) = (Vec::new(), json!({}));
        for (platform, seed) in platforms {
            let parsed = Platform::parse(platform).unwrap();
            let child = image(&client, &to, &parsed, seed).await;
            client.put_manifest(&to, By::Digest(&child.digest), &child).await.unwrap();
            digests[platform] = json!(child.digest);
            entries.push(entry(&child, &parsed));
        }
        let index = index(&entries, &json!({}));
        client.put_manifest(&to, By::Tag(&tag(name)), &index).await.unwrap();
        digests
    })
}

/// Points `path:name` at one image, no index.
pub(crate) fn single(path: &str, name: &str, seed: &str) -> Digest {
    single_of(path, name, seed, BOTH[0])
}

/// The same for a platform.
pub(crate) fn single_of(path: &str, name: &str, seed: &str, platform: &str) -> Digest {
    let to = repository(address(), path);
    block_on(async {
        let client = client();
        let made = image(&client, &to, &Platform::parse(platform).unwrap(), seed).await;
        client.put_manifest(&to, By::Tag(&tag(name)), &made).await.unwrap();
        made.digest
    })
}

/// Publishes an index of an image as hephy does it, with these recorded bases.
pub(crate) fn publish(project: &Project, image: &str, bases: &Value) {
    let annotations = json!({
        "dev.hephy.image": image, "dev.hephy.input-key": "0".repeat(64), "dev.hephy.bases": bases.to_string(),
    });
    publish_with(project, image, &annotations);
}

/// The same with any annotations.
pub(crate) fn publish_with(project: &Project, name: &str, annotations: &Value) {
    let path = project.registry();
    let to = repository(address(), path.split_once('/').unwrap().1);
    block_on(async {
        let client = client();
        let platform = Platform::linux_amd64();
        let child = image(&client, &to, &platform, name).await;
        client.put_manifest(&to, By::Digest(&child.digest), &child).await.unwrap();
        let index = index(&[entry(&child, &platform)], annotations);
        client.put_manifest(&to, By::Tag(&tag(&format!("{name}-head"))), &index).await.unwrap();
    });
}

fn entry(child: &Manifest, platform: &Platform) -> Value {
    let mut platform_of = json!({"os": platform.os(), "architecture": platform.architecture()});
    if let Some(variant) = platform.variant() {
        platform_of["variant"] = json!(variant);
    }
    json!({"mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(), "platform": platform_of})
}

fn index(entries: &[Value], annotations: &Value) -> Manifest {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let document =
        json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries, "annotations": annotations});
    Manifest::new(media_type, document.to_string().into_bytes())
}
