//! The distribution client against real registries, with a proxy that makes trouble in front of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hephy::ErrorKind;
use hephy::oci::{Digest, Platform, Repository};
use hephy::registry::{By, Client, EnvCredential, MAX_MANIFEST, Manifest, Retry, Settings};

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
            assert_eq!(client.head_blob(&to, &config).await.unwrap(), Some(bytes.len() as u64));
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
fn a_500_once_a_reset_once_and_a_cut_body_once_are_retried_and_seen() {
    for fault in ["500", "503", "reset", "truncate"] {
        let (_registry, proxy, to) = behind(first(1, "GET", "/manifests/one", move || match fault {
            "500" => Action::status(500),
            "503" => Action::status(503),
            "reset" => Action::Reset,
            _ => Action::Truncate,
        }));
        let retries: Arc<Mutex<Vec<Retry>>> = Arc::default();
        let log = Arc::clone(&retries);
        let client = Client::with_retries(settings(), move |retry| log.lock().unwrap().push(retry.clone()));
        block_on(async {
            let pushed = push(&client, &to, AMD64, "one").await;
            assert_eq!(client.manifest(&to, By::Tag(&tag("one"))).await.unwrap(), Some(pushed), "{fault}");
        });
        assert_eq!(proxy.count("GET", "/manifests/one"), 2, "{fault}");
        let retries = retries.lock().unwrap();
        assert_eq!(retries.len(), 1, "{fault}");
        assert!(retries[0].reason.contains("/v2/acme/manifests/one"), "{}", retries[0].reason);
    }
}

#[test]
fn a_500_always_is_a_registry_error_after_the_retries() {
    let (_registry, proxy, to) = behind(|seen| match seen.is("GET", "/manifests/") {
        true => Action::error(500, "UNKNOWN", "disk\\u001b[31m on fire"),
        false => Action::Forward,
    });
    let error = block_on(async { client().manifest(&to, By::Tag(&tag("one"))).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::RegistryError);
    assert_eq!(proxy.count("GET", "/manifests/"), 1 + 3);
    let causes = error.causes();
    assert!(
        causes[0].starts_with("GET http://127.0.0.1") && causes[0].ends_with("/v2/acme/manifests/one answered 500")
    );
    assert_eq!(causes[1], "the registry says: UNKNOWN: disk\\u{1b}[31m on fire");
    assert!(error.hint_text().is_some());
}

#[test]
fn other_4xx_are_never_retried() {
    for status in [400, 403, 404, 405, 408, 409, 412, 418] {
        let (_registry, proxy, to) = behind(move |seen| match seen.is("GET", "/manifests/") {
            true => Action::status(status),
            false => Action::Forward,
        });
        let result = block_on(async { client().manifest(&to, By::Tag(&tag("one"))).await });
        assert_eq!(proxy.count("GET", "/manifests/"), 1, "{status}");
        match status {
            404 => assert!(result.unwrap().is_none()),
            403 => assert_eq!(result.unwrap_err().kind(), ErrorKind::AuthError),
            _ => assert_eq!(result.unwrap_err().kind(), ErrorKind::RegistryError, "{status}"),
        }
    }
}

#[test]
fn retry_after_is_honoured_and_capped() {
    let too_many = |seconds: &'static str| {
        first(1, "HEAD", "/manifests/", move || {
            Action::Answer(429, vec![("Retry-After".into(), seconds.into())], Vec::new())
        })
    };
    let (_registry, _proxy, to) = behind(too_many("1"));
    let started = Instant::now();
    block_on(async { client().head_manifest(&to, By::Tag(&tag("x"))).await.unwrap() });
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    let (_registry, _proxy, to) = behind(too_many("86400"));
    let mut settings = settings();
    settings.policy.longest_retry_after = Duration::from_millis(200);
    let started = Instant::now();
    block_on(async { Client::new(settings).head_manifest(&to, By::Tag(&tag("x"))).await.unwrap() });
    assert!(started.elapsed() >= Duration::from_millis(200) && started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_registry_that_is_down_is_a_registry_error_with_a_hint() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = block_on(async { client().ping(&repository(address, "acme")).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::RegistryError);
    assert!(error.hint_text().unwrap().contains("is the registry up"));
    assert!(error.causes()[0].contains(&address.to_string()), "{:?}", error.causes());
}

#[test]
fn a_registry_that_never_answers_runs_into_the_time_limit() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings();
    settings.policy.read_timeout = Duration::from_millis(100);
    settings.policy.retries = 1;
    let started = Instant::now();
    let to = repository(listener.local_addr().unwrap(), "acme");
    let error = block_on(async { Client::new(settings).ping(&to).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::RegistryError);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn something_that_is_no_registry_is_said_so() {
    let (_registry, _proxy, to) = behind(|_| Action::status(404));
    let error = block_on(async { client().head_manifest(&to, By::Tag(&tag("x"))).await.unwrap_err() });
    assert!(error.hint_text().unwrap().contains("is the registry's address right"), "{error:?}");
}

#[test]
fn content_with_another_digest_is_refused_and_not_asked_for_again() {
    let (_registry, proxy, to) = behind(|seen| match seen.method == "GET" && seen.path != "/v2/" {
        true => Action::Corrupt,
        false => Action::Forward,
    });
    block_on(async {
        let client = client();
        let pushed = push(&client, &to, AMD64, "one").await;
        let config = Digest::parse(&pushed.image().unwrap().config.digest).unwrap();
        for by in [By::Digest(&pushed.digest), By::Tag(&tag("one"))] {
            let error = client.manifest(&to, by).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RegistryError);
            assert!(error.message().contains("does not have the digest"), "{error}");
        }
        assert!(client.blob(&to, &config).await.unwrap_err().message().contains("does not have the digest"));
        assert!(client.blob_prefix(&to, &config, u64::MAX).await.is_err());
    });
    assert_eq!(proxy.count("GET", "/manifests/"), 2);
}

#[test]
fn a_manifest_over_the_limit_is_not_read() {
    let (_registry, _proxy, to) = behind(|seen| match seen.is("GET", "/manifests/") {
        true => Action::Answer(200, Vec::new(), vec![b' '; MAX_MANIFEST as usize + 1]),
        false => Action::Forward,
    });
    let error = block_on(async { client().manifest(&to, By::Tag(&tag("one"))).await.unwrap_err() });
    assert!(error.causes()[0].contains("larger than 4194304 bytes"), "{:?}", error.causes());
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
fn a_prefix_whose_connection_breaks_is_read_again() {
    let (_registry, proxy, to) = behind(first(1, "GET", "/blobs/", || Action::Truncate));
    block_on(async {
        let client = client();
        let digest = client.upload_blob(&to, b"a layer of some length").await.unwrap();
        assert_eq!(client.blob_prefix(&to, &digest, 7).await.unwrap().unwrap(), b"a layer");
    });
    // The prefix of seven bytes is cut to three, so the budget was not reached.
    assert_eq!(proxy.count("GET", "/blobs/"), 2);
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

fn with_credential(host: &str, user: (&str, &str)) -> Settings {
    let credential = EnvCredential {
        host: host.into(),
        username: user.0.into(),
        password: user.1.into(),
        source: "HEPHY_REGISTRY_USERNAME/_PASSWORD",
        first: true,
    };
    Settings { credentials: vec![credential], ..settings() }
}

#[test]
fn basic_authentication_with_the_right_a_wrong_and_no_credential() {
    let registry = Registry::of(Kind::Password);
    let host = registry.address.to_string();
    let to = registry.repository("acme");
    block_on(async {
        push(&Client::new(with_credential(&host, USER)), &to, AMD64, "one").await;
        let wrong = Client::new(with_credential(&host, (USER.0, "wrong")));
        let error = wrong.manifest(&to, By::Tag(&tag("one"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthError);
        assert!(error.hint_text().unwrap().starts_with("the credentials came from HEPHY_REGISTRY_USERNAME/_PASSWORD"));
        assert!(
            error.causes().iter().any(|cause| cause.contains("the registry says: UNAUTHORIZED")),
            "{:?}",
            error.causes()
        );
        let error = client().ping(&to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthError);
        assert!(error.hint_text().unwrap().starts_with("no credentials for 127.0.0.1"), "{:?}", error.hint_text());
    });
}

#[test]
fn a_credential_is_not_sent_to_another_host_than_its_own() {
    let registry = Registry::of(Kind::Password);
    let proxy = Proxy::start(registry.address, |_| Action::Forward);
    let settings = with_credential("ghcr.io", USER);
    let error = block_on(async { Client::new(settings).ping(&repository(proxy.address, "acme")).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::AuthError);
    assert!(proxy.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

/// A rule that wants a token per scope, in front of a registry that wants none. Tokens are numbered.
fn tokens(lifetime: u64) -> impl Fn(&Seen) -> Action + Send + Sync {
    let issued = Mutex::new(Vec::<String>::new());
    let basic = "Basic dGVzdGVyOmNvcnJlY3QtaG9yc2U=";
    move |seen: &Seen| {
        if seen.path.starts_with("/token") {
            if seen.header("authorization") != Some(basic) {
                return Action::error(401, "UNAUTHORIZED", "wrong user or password");
            }
            let mut issued = issued.lock().unwrap();
            let token = format!("token-{}", issued.len());
            issued.push(token.clone());
            let body = format!(r#"{{"token":"{token}","expires_in":{lifetime}}}"#);
            return Action::Answer(200, Vec::new(), body.into_bytes());
        }
        let newest = issued.lock().unwrap().last().map(|token| format!("Bearer {token}"));
        if newest.is_some() && seen.header("authorization") == newest.as_deref() {
            return Action::Forward;
        }
        let host = seen.header("host").unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="acme"#) + "\"";
        Action::Answer(401, vec![("WWW-Authenticate".into(), challenge)], Vec::new())
    }
}

#[test]
fn fifty_requests_that_start_together_ask_for_one_token() {
    let (_registry, proxy, to) = behind(tokens(300));
    let client = Client::new(with_credential(&proxy.address.to_string(), USER));
    block_on(async {
        let name = tag("x");
        let asked = join_all((0..50).map(|_| client.head_manifest(&to, By::Tag(&name)))).await;
        assert!(asked.into_iter().all(|answer| answer.unwrap().is_none()));
    });
    assert_eq!(proxy.count("GET", "/token"), 1);
    assert_eq!(proxy.seen().iter().filter(|seen| seen.path == "/v2/").count(), 1);
    assert_eq!(proxy.seen().len(), 52);
    let token = proxy.seen().into_iter().find(|seen| seen.path.starts_with("/token")).unwrap();
    assert!(
        token.path.contains("service=acme") && token.path.contains("scope=repository%3Aacme%3Apull&"),
        "{}",
        token.path
    );
}

#[test]
fn a_repository_that_will_be_pushed_to_needs_one_token_for_reading_and_writing() {
    let (_registry, proxy, to) = behind(tokens(300));
    let client = Client::new(with_credential(&proxy.address.to_string(), USER));
    client.will_push(&to);
    block_on(async {
        let pushed = push(&client, &to, AMD64, "one").await;
        assert_eq!(client.manifest(&to, By::Tag(&tag("one"))).await.unwrap(), Some(pushed));
    });
    assert_eq!(proxy.count("GET", "/token"), 1);
}

#[test]
fn a_token_that_expired_early_is_renewed_once_and_one_that_is_never_taken_is_an_auth_error() {
    let inner = tokens(300);
    let revoked = AtomicUsize::new(0);
    let (_registry, proxy, to) = behind(move |seen| match inner(seen) {
        // The second read with a good token is told that it is none: it was revoked.
        Action::Forward if seen.is("HEAD", "/manifests/") && revoked.fetch_add(1, Ordering::SeqCst) == 1 => {
            let challenge = format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap());
            Action::Answer(401, vec![("WWW-Authenticate".into(), challenge)], Vec::new())
        }
        action => action,
    });
    let client = Client::new(with_credential(&proxy.address.to_string(), USER));
    block_on(async {
        for _ in 0..3 {
            client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap();
        }
    });
    assert_eq!(proxy.count("GET", "/token"), 2);
    assert_eq!(proxy.count("HEAD", "/manifests/"), 4);

    let never = Registry::start();
    let proxy = Proxy::start(never.address, |seen| match seen.path.starts_with("/token") {
        true => Action::Answer(200, Vec::new(), br#"{"token":"x"}"#.to_vec()),
        false => {
            let challenge = format!(r#"Bearer realm="http://{}/token""#, seen.header("host").unwrap());
            Action::Answer(401, vec![("WWW-Authenticate".into(), challenge)], Vec::new())
        }
    });
    let to = repository(proxy.address, "acme");
    let error = block_on(async { self::client().head_manifest(&to, By::Tag(&tag("x"))).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::AuthError);
    assert_eq!(proxy.count("HEAD", "/manifests/"), 1, "the same token again is not tried again");
    assert_eq!(proxy.count("GET", "/token"), 2);
}

#[test]
fn a_refused_token_names_where_the_credential_came_from() {
    let (_registry, proxy, to) = behind(tokens(300));
    let client = Client::new(with_credential(&proxy.address.to_string(), ("tester", "nope")));
    let error = block_on(async { client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::AuthError);
    assert!(error.hint_text().unwrap().contains("HEPHY_REGISTRY_USERNAME/_PASSWORD"));
    assert!(!error.causes().concat().contains("scope="), "queries are not shown: {:?}", error.causes());
    assert_eq!(proxy.count("GET", "/token"), 1, "401 is not retried");
}

#[test]
fn credentials_follow_neither_a_redirect_nor_an_upload_location_to_another_host() {
    let elsewhere = Proxy::start(Registry::start().address, |seen| match seen.method.as_str() {
        "GET" => Action::Answer(200, Vec::new(), b"hello".to_vec()),
        "PUT" => Action::status(201),
        // Somebody fishing for credentials.
        _ => Action::Answer(401, vec![("WWW-Authenticate".into(), "Basic realm=\"x\"".into())], Vec::new()),
    });
    let target = elsewhere.address;
    let inner = tokens(300);
    let (_registry, proxy, to) = behind(move |seen| match inner(seen) {
        Action::Forward if seen.is("GET", "/blobs/") || seen.is("HEAD", "/manifests/") => {
            Action::Answer(307, vec![("Location".into(), format!("http://{target}/file?sig=1"))], Vec::new())
        }
        Action::Forward if seen.method == "POST" => {
            Action::Answer(202, vec![("Location".into(), format!("http://{target}/upload?state=1"))], Vec::new())
        }
        action => action,
    });
    let client = Client::new(with_credential(&proxy.address.to_string(), USER));
    block_on(async {
        let hello = Digest::of(b"hello");
        assert_eq!(client.blob(&to, &hello).await.unwrap().unwrap(), b"hello");
        assert_eq!(client.blob_prefix(&to, &hello, 2).await.unwrap().unwrap(), b"he");
        client.upload_blob(&to, b"data").await.unwrap();
        let error = client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthError);
    });
    let seen = elsewhere.seen();
    assert_eq!(seen.iter().map(|it| it.method.as_str()).collect::<Vec<_>>(), ["GET", "GET", "PUT", "HEAD"]);
    for request in &seen {
        assert!(request.header("authorization").is_none(), "{request:?}");
        assert!(request.header("cookie").is_none());
    }
    assert!(seen[2].path.starts_with("/upload?state=1&digest=sha256"), "{}", seen[2].path);
}

#[test]
fn redirects_end_and_a_write_is_not_sent_on_to_another_host() {
    let (_registry, proxy, to) = behind(|seen| match seen.method.as_str() {
        "GET" if seen.path.contains("/manifests/") => {
            Action::Answer(302, vec![("Location".into(), seen.path.clone())], Vec::new())
        }
        "PUT" => Action::Answer(307, vec![("Location".into(), "http://localhost:1/steal".into())], Vec::new()),
        _ => Action::Forward,
    });
    block_on(async {
        let client = client();
        let error = client.manifest(&to, By::Tag(&tag("x"))).await.unwrap_err();
        assert!(error.causes()[0].contains("more than 5 redirects"), "{:?}", error.causes());
        let manifest = Manifest::new("application/vnd.oci.image.manifest.v1+json", b"{}".to_vec());
        let error = client.put_manifest(&to, By::Tag(&tag("x")), &manifest).await.unwrap_err();
        assert!(error.causes()[0].contains("sent on to another host"), "{:?}", error.causes());
    });
    assert_eq!(proxy.count("GET", "/manifests/"), 6);
}

/// A registry at an address that is this machine but not loopback.
fn not_loopback(registry: &Registry) -> Repository {
    Repository::parse(&format!("0.0.0.0:{}/acme", registry.address.port())).unwrap()
}

#[test]
fn a_host_that_is_not_loopback_is_spoken_to_without_tls_only_when_it_is_named() {
    let registry = Registry::start();
    let to = not_loopback(&registry);
    block_on(async {
        let error = client().ping(&to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RegistryError);
        assert_eq!(error.message(), "no secure connection to 0.0.0.0 for the greeting (is this a registry?)");
        assert!(error.hint_text().unwrap().contains("HEPHY_INSECURE_REGISTRIES=0.0.0.0"), "{:?}", error.hint_text());
        let named = Settings { insecure: vec!["0.0.0.0".into()], ..settings() };
        Client::new(named).ping(&to).await.unwrap();
        Client::new(Settings { insecure_all: true, ..settings() }).ping(&to).await.unwrap();
    });
}

#[test]
fn tls_trusts_what_ssl_cert_file_names_and_nothing_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let done = std::process::Command::new("openssl").args(args.split(' ')).current_dir(dir.path()).output();
        let done = done.unwrap_or_else(|error| panic!("openssl: {error}; apt-get install openssl"));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req {key} -keyout tls.key -out tls.csr -subj /CN=registry"));
    std::fs::write(dir.path().join("ext"), "subjectAltName=IP:0.0.0.0\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl("x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tls.pem -days 1 -extfile ext");
    let registry = Registry::with_tls(&dir.path().join("tls.pem"), &dir.path().join("tls.key"));
    let to = not_loopback(&registry).to_string();
    let ca = dir.path().join("ca.pem");
    let run = |trusted: &str, file: &str| {
        let env = [("TEST_REGISTRY", to.as_str()), ("TEST_TRUSTED", trusted), ("SSL_CERT_FILE", file)];
        child("registry::tls_in_a_process_of_its_own", &env);
    };
    run("yes", ca.to_str().unwrap());
    // No roots at all: the list in the binary takes their place, and does not know this authority.
    run("no", "/nonexistent");
}

#[test]
#[ignore = "run by tls_trusts_what_ssl_cert_file_names_and_nothing_unknown"]
fn tls_in_a_process_of_its_own() {
    let Ok(to) = std::env::var("TEST_REGISTRY") else { return };
    let to = Repository::parse(&to).unwrap();
    let retries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&retries);
    let client = Client::with_retries(settings(), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let answer = block_on(async { client.head_manifest(&to, By::Tag(&tag("x"))).await });
    if std::env::var("TEST_TRUSTED").unwrap() == "yes" {
        assert_eq!(answer.unwrap(), None);
    } else {
        let error = answer.unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("SSL_CERT_FILE"), "{error:?}");
        assert_eq!(retries.load(Ordering::SeqCst), 0, "a certificate does not get better by asking again");
    }
}

fn docker_config(content: &str) -> (tempfile::TempDir, Settings) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), content).unwrap();
    let settings = Settings { docker_config: Some(dir.path().to_owned()), ..settings() };
    (dir, settings)
}

#[test]
fn dockers_configuration_is_read_and_named() {
    let registry = Registry::of(Kind::Password);
    let (host, to) = (registry.address.to_string(), registry.repository("acme"));
    let right = r#"{"auth":"dGVzdGVyOmNvcnJlY3QtaG9yc2U="}"#;
    block_on(async {
        for key in [host.clone(), format!("http://{host}"), format!("https://{host}/v2/")] {
            let (_dir, settings) = docker_config(&format!(r#"{{"auths":{{"{key}":{right}}}}}"#));
            Client::new(settings).ping(&to).await.unwrap();
        }
        let plain =
            format!(r#"{{"auths":{{"{host}":{{"auth":"","username":"{}","password":"{}"}}}}}}"#, USER.0, USER.1);
        let (_dir, settings) = docker_config(&plain);
        Client::new(settings).ping(&to).await.unwrap();

        let (_dir, mut settings) = docker_config(&format!(r#"{{"auths":{{"{host}":{{"auth":"eDp5"}}}}}}"#));
        let error = Client::new(settings.clone()).ping(&to).await.unwrap_err();
        assert!(error.hint_text().unwrap().contains("config.json"), "{:?}", error.hint_text());
        // DOCKER_AUTH_CONFIG goes before the file, hephy's own variables before both.
        settings.docker_auth_config = Some(format!(r#"{{"auths":{{"{host}":{right}}}}}"#));
        Client::new(settings.clone()).ping(&to).await.unwrap();
        settings.docker_auth_config = None;
        settings.credentials = with_credential(&host, USER).credentials;
        Client::new(settings.clone()).ping(&to).await.unwrap();
        settings.without_credentials = true;
        assert!(Client::new(settings).ping(&to).await.unwrap_err().hint_text().unwrap().starts_with("registry: none"));

        let (_dir, settings) = docker_config("{");
        let error = Client::new(settings).ping(&to).await.unwrap_err();
        assert!(error.kind() == ErrorKind::AuthError && error.message().contains("not valid JSON"), "{error}");
    });
}

#[test]
fn a_token_is_renewed_when_its_time_is_over_before_anybody_refuses_it() {
    let (_registry, proxy, to) = behind(tokens(1));
    let client = Client::new(with_credential(&proxy.address.to_string(), USER));
    block_on(async {
        client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap();
        assert_eq!(proxy.count("GET", "/token"), 1);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap();
    });
    assert_eq!(proxy.count("GET", "/token"), 2);
    assert_eq!(proxy.count("HEAD", "/manifests/"), 2, "neither request went out with a token that was over");
}

/// What `docker login` keeps for registries with OAuth: a refresh token instead of a password.
#[test]
fn an_identity_token_is_exchanged_and_goes_nowhere_else() {
    let (_registry, proxy, to) = behind(|seen| {
        if seen.path.starts_with("/token") {
            let form = String::from_utf8_lossy(&seen.body).into_owned();
            let fits = seen.method == "POST"
                && form.contains("grant_type=refresh_token")
                && form.contains("refresh_token=remember%2Bme")
                && form.contains("scope=repository%3Aacme%3Apull");
            return match fits {
                true => Action::Answer(200, Vec::new(), br#"{"access_token":"short","expires_in":300}"#.to_vec()),
                false => Action::error(401, "UNAUTHORIZED", "not the refresh token"),
            };
        }
        if seen.header("authorization") == Some("Bearer short") {
            return Action::Forward;
        }
        let challenge = format!(r#"Bearer realm="http://{}/token",service="acme""#, seen.header("host").unwrap());
        Action::Answer(401, vec![("WWW-Authenticate".into(), challenge)], Vec::new())
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"remember+me"}}}}}}"#, proxy.address);
    let (_dir, settings) = docker_config(&config);
    block_on(async {
        let client = Client::new(settings);
        assert!(client.head_manifest(&to, By::Tag(&tag("x"))).await.unwrap().is_none());
    });
    for seen in proxy.seen() {
        let text = format!("{} {:?} {}", seen.path, seen.headers, String::from_utf8_lossy(&seen.body));
        assert_eq!(text.contains("remember"), seen.path.starts_with("/token"), "{text}");
    }
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

#[test]
fn helpers_are_real_programs() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = Registry::of(Kind::Password);
    let host = registry.address.to_string();
    let bin = tempfile::tempdir().unwrap();
    let helper = |name: &str, script: &str| {
        let path = bin.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let answer = format!(r#"echo '{{"ServerURL":"x","Username":"{}","Secret":"{}"}}'"#, USER.0, USER.1);
    helper("good", &format!(r#"read server; test "$1" = get && test "$server" = {host} && {answer}"#));
    helper("empty", "read server; echo credentials not found in native keychain; exit 1");
    helper("bad", "read server; echo 'no role\u{1b}[2J'; exit 1");
    helper("ecr-login", &format!("read server; {answer}"));
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    child("registry::helpers_in_a_process_of_its_own", &[("PATH", &path), ("TEST_REGISTRY", &host)]);
}

#[test]
#[ignore = "run by helpers_are_real_programs"]
fn helpers_in_a_process_of_its_own() {
    let Ok(host) = std::env::var("TEST_REGISTRY") else { return };
    let to = Repository::parse(&format!("{host}/acme")).unwrap();
    let ping = |config: &str| {
        let (_dir, settings) = docker_config(config);
        block_on(async { Client::new(settings).ping(&to).await })
    };
    ping(&format!(r#"{{"credHelpers":{{"{host}":"good"}}}}"#)).unwrap();
    ping(r#"{"credsStore":"good"}"#).unwrap();
    let error = ping(r#"{"credsStore":"empty"}"#).unwrap_err();
    assert!(error.hint_text().unwrap().starts_with("no credentials for"), "{:?}", error.hint_text());
    for (helper, words) in
        [("bad", "docker-credential-bad says: no role\\u{1b}[2J"), ("absent", "Unable to communicate")]
    {
        let error = ping(&format!(r#"{{"credHelpers":{{"{host}":"{helper}"}}}}"#)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthError);
        assert!(error.causes()[0].starts_with(words), "{:?}", error.causes());
        assert!(error.hint_text().unwrap().contains(&format!("docker-credential-{helper} must be on the PATH")));
    }
}

#[test]
fn the_environment_decides_for_which_host_a_credential_is() {
    let registry = Registry::of(Kind::Password);
    let host = registry.address.to_string();
    let env = |rows: &[(&str, &str)]| -> BTreeMap<String, String> {
        rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let ping = |env: BTreeMap<String, String>, registry_name: &str| {
        let mut settings = Settings::from_env(&env, Some(registry_name)).unwrap();
        settings.policy = settings_policy();
        block_on(async { Client::new(settings).ping(&registry.repository("acme")).await })
    };
    let hephy = env(&[("HEPHY_REGISTRY_USERNAME", USER.0), ("HEPHY_REGISTRY_PASSWORD", USER.1)]);
    ping(hephy.clone(), &format!("{host}/acme")).unwrap();
    ping(hephy, "ghcr.io/acme").unwrap_err();
    let gitlab =
        |name: &str| env(&[("CI_REGISTRY", name), ("CI_REGISTRY_USER", USER.0), ("CI_REGISTRY_PASSWORD", USER.1)]);
    ping(gitlab(&host), "ghcr.io/acme").unwrap();
    ping(gitlab("registry.gitlab.example"), &format!("{host}/acme")).unwrap_err();
    ping(env(&[("GITHUB_ACTOR", USER.0), ("GITHUB_TOKEN", USER.1)]), &format!("{host}/acme")).unwrap_err();
}

fn settings_policy() -> hephy::registry::Policy {
    settings().policy
}

#[test]
fn a_refused_child_is_no_refused_tag() {
    let registry = Registry::start();
    let to = registry.repository("acme");
    block_on(async {
        let client = client();
        let config = r#"{"os":"linux","architecture":"amd64"}"#;
        let manifest = image_of(&client, &to, config, b"layer", serde_json::json!({})).await;
        // The blobs are in another repository: the registry does not know them here.
        let elsewhere = registry.repository("elsewhere");
        let error = client.put_manifest(&elsewhere, By::Digest(&manifest.digest), &manifest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RegistryError);
        assert!(error.message().starts_with("the registry refused the push of sha256:"), "{error}");
    });
}
