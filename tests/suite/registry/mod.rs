//! The distribution client against real registries, with a proxy that makes trouble in front of them.

mod authentication;
mod credentials;
mod faults;
mod tls;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hephy::ErrorKind;
use hephy::oci::{Digest, Platform, Repository};
use hephy::registry::{BlobSize, By, Client, EnvCredential, MAX_MANIFEST, Manifest, Retry, Settings};

use crate::support::proxy::{Action, Proxy, Seen};
use crate::support::registry::{
    Kind, Registry, USER, block_on, client, image, image_of, push, repository, settings, tag,
};

const AMD64: &str = "linux/amd64";

/// A registry, a proxy with this rule, and the repository as seen through the proxy.
fn behind(rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> (Registry, Proxy, Repository) {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address, rule);
    let seen = repository(proxy.address, "acme");
    (registry, proxy, seen)
}

/// A rule that makes the first `times` requests of this kind go wrong.
fn first(
    times: usize,
    method: &'static str,
    part: &'static str,
    action: impl Fn() -> Action + Send + Sync,
) -> impl Fn(&Seen) -> Action + Send + Sync {
    let count = AtomicUsize::new(0);
    move |seen| match seen.is(method, part) && count.fetch_add(1, Ordering::SeqCst) < times {
        true => action(),
        false => Action::Forward,
    }
}

#[test]
fn manifests_and_blobs_travel_on_every_registry() {
    for kind in [Kind::Two, Kind::Three, Kind::Referrers] {
        let registry = Registry::of(kind);
        let to = registry.repository("acme/x");
        let client = client();
        block_on(async {
            assert!(client.manifest(&to, By::Tag(&tag("none"))).await.unwrap().is_none(), "{kind:?}");
            assert_eq!(client.head_manifest(&to, By::Tag(&tag("none"))).await.unwrap(), None);
            let pushed = push(&client, &to, AMD64, "one").await;
            for by in [By::Tag(&tag("one")), By::Digest(&pushed.digest)] {
                assert_eq!(client.manifest(&to, by).await.unwrap().as_ref(), Some(&pushed), "{kind:?}");
                assert_eq!(client.head_manifest(&to, by).await.unwrap().as_ref(), Some(&pushed.digest));
            }
            let config = Digest::parse(&pushed.image().unwrap().config.digest).unwrap();
            let bytes = client.blob(&to, &config).await.unwrap().unwrap();
            assert_eq!(Digest::of(&bytes), config);
            assert_eq!(client.head_blob(&to, &config).await.unwrap(), Some(BlobSize(Some(bytes.len() as u64))));
            let absent = Digest::of(b"absent");
            assert!(client.blob(&to, &absent).await.unwrap().is_none());
            assert!(client.head_blob(&to, &absent).await.unwrap().is_none());
            assert!(client.blob_prefix(&to, &absent, 9).await.unwrap().is_none());
            assert_eq!(client.tags(&to).await.unwrap(), ["one"]);
        });
    }
}

#[test]
fn the_registry_is_greeted_once_and_then_each_question_is_one_request() {
    let (_registry, proxy, to) = behind(|_| Action::Forward);
    let client = client();
    block_on(async {
        for _ in 0..3 {
            client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap();
        }
    });
    let paths: Vec<_> = proxy.seen().into_iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    assert_eq!(paths[0], "GET /v2/");
    assert_eq!(paths[1..], ["HEAD /v2/acme/manifests/x"; 3]);
    assert_eq!(client.requests(), 4);
}

#[test]
fn tag_lists_have_pages_and_an_absent_repository_has_no_tags() {
    let registry = Registry::of(Kind::Three);
    let proxy = Proxy::start(registry.address, |_| Action::Forward);
    let to = repository(proxy.address, "acme");
    block_on(async {
        let client = client();
        assert!(client.tags(&to).await.unwrap().is_empty());
        let manifest = image(&client, &to, &Platform::linux_amd64(), "x").await;
        let names: Vec<String> = (0..1005).map(|number| format!("t{number:04}")).collect();
        for chunk in names.chunks(50) {
            join_all(
                chunk.iter().map(async |name| client.put_manifest(&to, By::Tag(&tag(name)), &manifest).await.unwrap()),
            )
            .await;
        }
        proxy.clear();
        assert_eq!(client.tags(&to).await.unwrap(), names);
    });
    assert_eq!(proxy.count("GET", "/tags/list"), 2);
}

#[test]
fn a_prefix_takes_no_more_than_its_budget() {
    let registry = Registry::start();
    let to = registry.repository("acme");
    let layer: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    block_on(async {
        let client = client();
        let digest = client.upload_blob(&to, &layer).await.unwrap();
        assert_eq!(client.blob_prefix(&to, &digest, 1000).await.unwrap().unwrap(), layer[..1000]);
        assert_eq!(client.blob_prefix(&to, &digest, 9_000_000).await.unwrap().unwrap(), layer);
        let mut stream = client.blob_stream(&to, &digest, 100_000).await.unwrap().unwrap();
        let mut read = 0;
        while let Some(chunk) = stream.chunk().await.unwrap() {
            read += chunk.len();
        }
        assert_eq!(read, 100_000);
    });
    // A registry that ignores Range still gives no more than the budget.
    let proxy = Proxy::start(registry.address, |seen| match seen.header("range") {
        Some(_) => Action::Answer(200, Vec::new(), vec![7; 100_000]),
        None => Action::Forward,
    });
    let read =
        block_on(async { client().blob_prefix(&repository(proxy.address, "acme"), &Digest::of(b"x"), 10).await });
    assert_eq!(read.unwrap().unwrap(), [7; 10]);
}

#[test]
fn images_are_copied_by_mount_inside_a_registry_and_by_stream_between_two() {
    let (one, other) = (Registry::start(), Registry::of(Kind::Three));
    let near = Proxy::start(one.address, |_| Action::Forward);
    let from = repository(near.address, "source");
    block_on(async {
        let client = client();
        let pushed = push(&client, &from, AMD64, "one").await;
        for to in [repository(near.address, "target"), other.repository("target")] {
            near.clear();
            client.copy_image(&from, &to, &pushed.digest).await.unwrap();
            assert_eq!(client.manifest(&to, By::Digest(&pushed.digest)).await.unwrap().as_ref(), Some(&pushed));
            let layer = Digest::parse(&pushed.image().unwrap().layers[0].digest).unwrap();
            assert!(client.blob(&to, &layer).await.unwrap().is_some());
        }
        near.clear();
        client.copy_image(&from, &repository(near.address, "third"), &pushed.digest).await.unwrap();
        assert_eq!(near.count("POST", "mount="), 2);
        assert_eq!(near.count("GET", "/blobs/"), 0, "mounted, not downloaded");
        let absent = client.copy_image(&from, &other.repository("x"), &Digest::of(b"absent")).await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_registry_that_mounts_nothing_gets_the_blobs_as_a_stream() {
    let registry = Registry::start();
    // Without `from` a registry starts an upload instead: what GHCR does where it may not mount.
    let proxy = Proxy::start(registry.address, |seen| match seen.is("POST", "mount=") {
        true => Action::Answer(202, vec![("Location".into(), "/v2/target/blobs/uploads/never".into())], Vec::new()),
        false => Action::Forward,
    });
    let (from, to) = (repository(proxy.address, "source"), repository(proxy.address, "target"));
    block_on(async {
        let client = client();
        let pushed = push(&client, &from, AMD64, "one").await;
        client.copy_image(&from, &to, &pushed.digest).await.unwrap();
        assert_eq!(client.manifest(&to, By::Digest(&pushed.digest)).await.unwrap(), Some(pushed));
    });
}

/// Runs one test of this binary in a process of its own, with an environment of its own.
fn child(test: &str, env: &[(&str, &str)]) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
