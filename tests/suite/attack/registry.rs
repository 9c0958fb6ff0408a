//! Threat: a registry that answers whatever it likes, asked by prepare because a Dockerfile names it as a base, or by
//! the manifest stage.

use hephy::oci::Digest;
use serde_json::json;

use super::{Hephy, Seen};
use crate::support::proxy::{Action, Proxy};
use crate::support::repo::Repo;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn answer(media_type: &str, body: impl Into<Vec<u8>>) -> Action {
    Action::Answer(200, vec![("Content-Type".into(), media_type.into())], body.into())
}

fn manifest(config: &str) -> String {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}})
    .to_string()
}

/// What prepare says of an image whose base is in this registry; how often the registry was asked.
fn prepare(rule: impl Fn(&str) -> Action + Send + Sync + 'static) -> (Seen, usize) {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let proxy = Proxy::start(nowhere, move |seen| match seen.path.as_str() {
        "/v2/" => answer("application/json", "{}"),
        path => rule(path),
    });
    let repo = Repo::new();
    repo.image("curl").write("curl/Dockerfile", format!("FROM {}/x:1\n", proxy.address)).commit("base");
    let seen = Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none"]);
    assert!(!seen.all().contains('\u{1b}'), "{}", seen.all());
    (seen, proxy.seen().len())
}

#[test]
fn manifests_that_are_none_are_said_so_and_end() {
    let deep = format!(r#"{{"schemaVersion":2,"manifests":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let child = |digest: &str| json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}});
    let zeros = format!("sha256:{}", "0".repeat(64));
    let many: Vec<_> = (0..20_000).map(|_| child(&zeros)).collect();
    for (what, media_type, body) in [
        ("deep JSON", INDEX, deep.clone()),
        ("deep JSON as an image", MANIFEST, deep),
        ("not JSON", MANIFEST, "\u{1b}[2J\n::error::".into()),
        ("nothing", INDEX, String::new()),
        ("another type", "text/html", "<html>".into()),
        ("a child that is no digest", INDEX, json!({"schemaVersion": 2, "manifests": [child("../../x")]}).to_string()),
        ("many children", INDEX, json!({"schemaVersion": 2, "manifests": many}).to_string()),
        ("numbers for words", INDEX, r#"{"schemaVersion":"2","manifests":[{"digest":5}]}"#.into()),
        ("more than a manifest may have", MANIFEST, " ".repeat(20 << 20)),
        ("a configuration that is no digest", MANIFEST, manifest("sha256:../../../etc/passwd")),
    ] {
        let (seen, asked) = prepare(move |_| answer(media_type, body.clone()));
        assert!(matches!(seen.code, 0 | 3 | 6), "{what}: {}", seen.all());
        assert!(asked < 50, "{what}: {asked} requests");
    }
}

#[test]
fn configurations_that_lie_or_are_none_end_in_a_sentence() {
    for config in [
        r#"{"os":"linux","architecture":5}"#.to_owned(),
        r#"{"os":"\u001b[2J","architecture":"\u001b[2J\n::error::x"}"#.to_owned(),
        "[".repeat(500_000),
        "{}".to_owned(),
        "\0".repeat(1000),
    ] {
        let digest = Digest::of(config.as_bytes());
        let manifest = manifest(digest.as_str());
        let (seen, _) = prepare(move |path| match path.contains("/blobs/") {
            true => answer("application/octet-stream", config.clone()),
            false => answer(MANIFEST, manifest.clone()),
        });
        assert!(matches!(seen.code, 0 | 3 | 6), "{}", seen.all());
    }
}

#[test]
fn an_index_whose_child_is_an_index_again_is_not_followed_for_ever() {
    let (seen, asked) = prepare(|path| {
        // Every digest that is asked for is an index of other digests.
        let next = Digest::of(path.as_bytes());
        answer(
            INDEX,
            json!({"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": next, "size": 1}]}).to_string(),
        )
    });
    assert!(matches!(seen.code, 0 | 3 | 6) && asked < 50, "{asked}: {}", seen.all());
}

#[test]
fn redirects_and_challenges_to_nowhere_end() {
    let header = |status: u16, name: &'static str, value: &'static str| {
        move |_: &str| Action::Answer(status, vec![(name.into(), value.into())], Vec::new())
    };
    for rule in [
        header(302, "Location", "/v2/x/manifests/1"),
        header(302, "Location", "file:///etc/passwd"),
        header(302, "Location", "http://[::1]:0/"),
        header(401, "WWW-Authenticate", "Bearer realm=\"file:///etc/passwd\""),
        header(401, "WWW-Authenticate", "Bearer realm=\"http://evil.example/token\""),
        header(401, "WWW-Authenticate", "Bearer realm="),
        header(401, "WWW-Authenticate", "\",=,\"\"\"Basic"),
        header(403, "Content-Type", "\u{202e}"),
    ] {
        let (seen, asked) = prepare(rule);
        assert!(matches!(seen.code, 0 | 3 | 5 | 6) && asked < 50, "{asked}: {}", seen.all());
    }
}
