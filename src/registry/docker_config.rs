//! The `config.json` that a builder reads its registry credentials from. Pure.
//!
//! Builders know Docker's configuration only, so credentials out of variables are added to it, and an ECR host
//! with nothing configured gets the `ecr-login` helper (specification §4). What is there already stays.

use serde_json::{Map, Value, json};

use super::settings::Settings;
use crate::error::{Error, Result};
use crate::oci::is_ecr;

/// The content of a `config.json` for builders that push to `host`, or none when what is there (`existing`, the
/// text of Docker's own file) is enough as it stands.
///
/// `DOCKER_AUTH_CONFIG` is merged into it: some builders read nothing else while that variable is set, so
/// whoever writes this file hides the variable from them.
///
/// # Errors
/// When an existing configuration is no JSON object.
pub fn for_builders(settings: &Settings, host: &str, existing: Option<&str>) -> Result<Option<String>> {
    if settings.without_credentials {
        return Ok(None);
    }
    let mut config = parse(existing, "Docker's config.json")?;
    let variable = parse(settings.docker_auth_config.as_deref(), "DOCKER_AUTH_CONFIG")?;
    let mut changed = !variable.is_empty();
    for (key, value) in variable {
        match (config.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => drop(config.insert(key, value)),
        }
    }
    let known = mentions(&config, host);
    let chosen = settings.credentials.iter().find(|it| it.host == host && (it.first || !known));
    if let Some(credential) = chosen {
        let auth = base64(format!("{}:{}", credential.username, credential.password).as_bytes());
        put(&mut config, "auths", host, json!({ "auth": auth }));
        // Helpers go before `auths`; an empty name sends Docker's own code back to the file for this host.
        let helped = config.get("credHelpers").is_some_and(|it| it.get(host).is_some());
        if helped || config.contains_key("credsStore") {
            put(&mut config, "credHelpers", host, json!(""));
        }
        changed = true;
    } else if !known && (is_ecr(host) || host == "public.ecr.aws") {
        put(&mut config, "credHelpers", host, json!("ecr-login"));
        changed = true;
    }
    Ok(changed.then(|| Value::Object(config).to_string()))
}

/// The secrets of a `config.json`, as they stand there and as they are sent: a build step can print the file where the
/// builder does not isolate. Nothing for a text that is none.
#[must_use]
pub fn secrets_of(text: &str) -> Vec<String> {
    let config: Value = serde_json::from_str(text).unwrap_or_default();
    let logins = config.get("auths").and_then(Value::as_object).into_iter().flatten();
    let fields = logins.filter_map(|(_, login)| login.as_object()).flatten();
    let mut secrets = Vec::new();
    for (name, value) in fields {
        let Some(value) = value.as_str().filter(|value| value.len() >= 6) else { continue };
        match name.as_str() {
            "auth" => {
                let decoded = unbase64(value).and_then(|login| Some(login.split_once(':')?.1.to_owned()));
                secrets.extend(decoded.filter(|password| password.len() >= 6));
                secrets.push(value.to_owned());
            }
            "password" | "identitytoken" | "registrytoken" => secrets.push(value.to_owned()),
            _ => {}
        }
    }
    secrets
}

fn parse(text: Option<&str>, what: &str) -> Result<Map<String, Value>> {
    match text.map(str::trim).filter(|text| !text.is_empty()).map(serde_json::from_str::<Value>) {
        None => Ok(Map::new()),
        Some(Ok(Value::Object(map))) => Ok(map),
        // The parser's message quotes no content, so no secret can leak through it.
        Some(Err(error)) => {
            Err(Error::new(crate::ErrorKind::AuthError, format!("{what} is not valid JSON")).cause(error))
        }
        Some(Ok(_)) => Err(Error::new(crate::ErrorKind::AuthError, format!("{what} is not a JSON object"))),
    }
}

fn put(config: &mut Map<String, Value>, section: &str, host: &str, value: Value) {
    match config.get_mut(section) {
        Some(Value::Object(map)) => drop(map.insert(host.to_owned(), value)),
        _ => drop(config.insert(section.to_owned(), json!({ host: value }))),
    }
}

/// Whether a configuration says anything about this host, directly or through a store for all hosts.
fn mentions(config: &Map<String, Value>, host: &str) -> bool {
    let host_of = |key: &str| {
        let bare = key.trim_start_matches("https://").trim_start_matches("http://");
        bare.split('/').next().unwrap_or_default().to_owned()
    };
    let filled = |value: &Value| value.as_object().is_some_and(|fields| !fields.is_empty());
    let in_auths = config.get("auths").and_then(Value::as_object);
    let in_auths = in_auths.is_some_and(|map| map.iter().any(|(key, value)| host_of(key) == host && filled(value)));
    let in_helpers = config.get("credHelpers").and_then(|it| it.get(host)).is_some();
    in_auths || in_helpers || config.get("credsStore").and_then(Value::as_str).is_some_and(|it| !it.is_empty())
}

/// RFC 4648 §4, the form of `auth` in `config.json` and of Basic authentication.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The text behind [`base64`].
fn unbase64(text: &str) -> Option<String> {
    let (mut bytes, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (group, bits) = (group << 6 | u32::from(value), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
            group &= (1 << bits) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::settings::EnvCredential;

    #[test]
    fn the_secrets_of_a_configuration_are_known_in_both_forms() {
        let auth = base64(b"me:hunter2:x");
        let text =
            json!({"auths": {"h": {"auth": auth, "email": "me@host.example"}, "i": {"identitytoken": "0123456"}}});
        assert_eq!(secrets_of(&text.to_string()), ["hunter2:x".to_owned(), auth, "0123456".to_owned()]);
        assert_eq!([secrets_of("no json"), secrets_of("[]")].concat(), [""; 0]);
        for text in ["", "a", "ab", "abc", "abcd", "ä:ö"] {
            assert_eq!(unbase64(&base64(text.as_bytes())).as_deref(), Some(text));
        }
        assert_eq!(unbase64("a b"), None);
    }

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    fn with(host: &str, first: bool) -> Settings {
        let credential = EnvCredential {
            host: host.into(),
            username: "u".into(),
            password: "p".into(),
            source: "HEPHY_REGISTRY_USERNAME/_PASSWORD",
            first,
        };
        Settings { credentials: vec![credential], ..Settings::default() }
    }

    fn config(settings: &Settings, host: &str, existing: Option<&str>) -> Option<Value> {
        for_builders(settings, host, existing).unwrap().map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn base64_pads_as_rfc_4648_shows() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }

    #[test]
    fn ecr_hosts_are_exact() {
        for host in [ECR, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "123456789012.dkr-ecr.eu-west-1.on.aws"] {
            assert!(is_ecr(host), "{host}");
        }
        for host in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "public.ecr.aws",
        ] {
            assert!(!is_ecr(host), "{host}");
        }
    }

    #[test]
    fn an_ecr_host_with_nothing_else_gets_the_helper() {
        let none = Settings::default();
        assert_eq!(config(&none, ECR, None), Some(json!({"credHelpers": {ECR: "ecr-login"}})));
        assert_eq!(config(&none, "ghcr.io", None), None);
        assert_eq!(config(&none, ECR, Some(r#"{"credsStore":"desktop"}"#)), None);
        let existing = format!(r#"{{"auths":{{"https://{ECR}/v2/":{{"auth":"eA=="}}}}}}"#);
        assert_eq!(config(&none, ECR, Some(&existing)), None);
        let other = r#"{"auths":{"ghcr.io":{"auth":"eA=="}}}"#;
        assert_eq!(
            config(&none, ECR, Some(other)),
            Some(json!({"auths": {"ghcr.io": {"auth": "eA=="}}, "credHelpers": {ECR: "ecr-login"}}))
        );
    }

    #[test]
    fn hephys_own_credentials_go_before_the_file_and_a_platforms_behind_it() {
        let existing = r#"{"auths":{"h:1":{"auth":"b2xk"}},"credsStore":"pass"}"#;
        assert_eq!(
            config(&with("h:1", true), "h:1", Some(existing)),
            Some(json!({"auths": {"h:1": {"auth": "dTpw"}}, "credsStore": "pass", "credHelpers": {"h:1": ""}}))
        );
        assert_eq!(config(&with("h:1", false), "h:1", Some(existing)), None);
        assert_eq!(config(&with("h:1", false), "h:1", None), Some(json!({"auths": {"h:1": {"auth": "dTpw"}}})));
    }

    #[test]
    fn a_credential_of_another_host_is_not_written() {
        assert_eq!(config(&with("h:1", true), "h:2", None), None);
    }

    #[test]
    fn docker_auth_config_is_merged_and_registry_none_writes_nothing() {
        let variable = Some(r#"{"auths":{"a":{"auth":"eA=="}}}"#.to_owned());
        let settings = Settings { docker_auth_config: variable, ..Settings::default() };
        assert_eq!(
            config(&settings, "a", Some(r#"{"auths":{"b":{"auth":"eQ=="}}}"#)),
            Some(json!({"auths": {"a": {"auth": "eA=="}, "b": {"auth": "eQ=="}}}))
        );
        assert_eq!(config(&Settings { without_credentials: true, ..with("a", true) }, "a", None), None);
        assert!(for_builders(&Settings::default(), "a", Some("[]")).is_err());
        assert!(for_builders(&Settings::default(), "a", Some("{")).is_err());
    }
}
