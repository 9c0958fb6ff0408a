//! Registries that are down, slow, broken or lying.

use super::*;

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
fn a_layer_that_comes_a_byte_at_a_time_runs_into_the_time_limit() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = repository(listener.local_addr().unwrap(), "acme");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
                while stream.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
    });
    let mut settings = settings();
    settings.policy.answer_timeout = Duration::from_secs(1);
    settings.policy.retries = 1;
    let started = Instant::now();
    let digest = Digest::of(b"layer");
    let error = block_on(async { Client::new(settings).blob_prefix(&to, &digest, 900).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::RegistryError);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
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
