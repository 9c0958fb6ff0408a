//! Where credentials come from: the environment, Docker's configuration, helper programs.

use super::authentication::with_credential;
use super::*;

pub(super) fn docker_config(content: &str) -> (tempfile::TempDir, Settings) {
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
    child("registry::credentials::helpers_in_a_process_of_its_own", &[("PATH", &path), ("TEST_REGISTRY", &host)]);
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
