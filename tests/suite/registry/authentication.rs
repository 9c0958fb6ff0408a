//! Basic and token authentication, and where credentials must not go.

use super::credentials::docker_config;
use super::*;

pub(super) fn with_credential(host: &str, user: (&str, &str)) -> Settings {
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
