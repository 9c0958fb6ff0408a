//! Finds the credential for one host (specification §4): hephy's own variables, Docker's configuration with its
//! stores and helpers, the platform's variables, and the ECR helper for ECR hosts with nothing else.
//!
//! Each credential knows where it came from, and none is ever given to another host than the one it was found
//! for. Helpers are run by `docker_credential`, on a thread of their own and for a limited time: the one place outside
//! `process` where a program starts. One that hangs is no longer waited for; it ends by itself, or after hephy has.

use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Value, json};

use super::settings::Settings;
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::is_ecr;

/// Largest `config.json` that is read.
const MAX_CONFIG_FILE: u64 = 1024 * 1024;
/// Time that a helper has. Those of the clouds ask a metadata service and a token service.
const HELPER_LIMIT: Duration = Duration::from_secs(60);

/// What a registry is told about us.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// Nothing.
    Anonymous,
    /// User name and password.
    Basic(String, String),
    /// A refresh token for the token service.
    Identity(String),
}

/// A credential and where it came from, as a clause for a hint.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) credential: Credential,
    pub(super) source: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(..) => "Basic(…)",
            Self::Identity(_) => "Identity(…)",
        })
    }
}

/// Looks for the credential of `host`, in the order of the specification.
pub(super) async fn find(settings: &Settings, host: &str) -> Result<Found> {
    if settings.without_credentials {
        return Ok(anonymous("registry: none skips credentials".into()));
    }
    let from_variables = |first: bool| {
        let found = settings.credentials.iter().find(|it| it.host == host && it.first == first)?;
        let credential = Credential::Basic(found.username.clone(), found.password.clone());
        Some(Found { credential, source: format!("the credentials came from {}", found.source) })
    };
    if let Some(found) = from_variables(true) {
        return Ok(found);
    }
    if let Some(text) = &settings.docker_auth_config
        && let Some(found) = from_docker(text.clone(), "DOCKER_AUTH_CONFIG".into(), host).await?
    {
        return Ok(found);
    }
    if let Some((path, text)) = read_config(settings)?
        && let Some(found) = from_docker(text, path, host).await?
    {
        return Ok(found);
    }
    if let Some(found) = from_variables(false) {
        return Ok(found);
    }
    let ecr = is_ecr(host) || host == "public.ecr.aws" && settings.registry_host.as_deref() == Some(host);
    if ecr {
        let text = json!({ "credHelpers": { host: "ecr-login" } }).to_string();
        if let Some(found) = from_docker(text, "hephy's choice for an ECR host".into(), host).await? {
            return Ok(found);
        }
    }
    Ok(anonymous(format!(
        "no credentials for {host} were found in HEPHY_REGISTRY_USERNAME/_PASSWORD (for the configured registry), \
         Docker's configuration, CI_REGISTRY_* or GITHUB_TOKEN"
    )))
}

fn anonymous(source: String) -> Found {
    Found { credential: Credential::Anonymous, source }
}

/// Docker's `config.json`, if there is one.
fn read_config(settings: &Settings) -> Result<Option<(String, String)>> {
    let Some(path) = settings.docker_config.as_ref().map(|dir| dir.join("config.json")) else { return Ok(None) };
    let shown = path.display().to_string();
    let failed = |error| Error::new(ErrorKind::AuthError, format!("{shown} cannot be read")).cause(error);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_CONFIG_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(Some((shown, text)))
}

/// The names under which Docker's configuration may know a host.
fn servers(host: &str) -> Vec<String> {
    match host {
        "index.docker.io" => ["https://index.docker.io/v1/", "index.docker.io", "docker.io"].map(str::to_owned).into(),
        host => vec![host.to_owned(), format!("https://{host}")],
    }
}

async fn from_docker(text: String, place: String, host: &str) -> Result<Option<Found>> {
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::AuthError, format!("{place} is not valid JSON")).cause(error))?;
    let value = without_empty(value);
    for server in servers(host) {
        let via = helper_name(&value, &server);
        let config = value.to_string();
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = send.send(docker_credential::get_credential_from_reader(config.as_bytes(), &server));
        });
        let answer = match tokio::time::timeout(HELPER_LIMIT, receive).await {
            Ok(Ok(answer)) => answer,
            _ => return Err(helper_error(&place, via.as_deref(), "it did not end in time".into())),
        };
        let source = match &via {
            Some(helper) => format!("the credentials came from {place} ({helper})"),
            None => format!("the credentials came from {place}"),
        };
        match answer {
            Ok(DockerCredential::UsernamePassword(username, password)) => {
                return Ok(Some(Found { credential: Credential::Basic(username, password), source }));
            }
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(Some(Found { credential: Credential::Identity(token), source }));
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            // The helper protocol's own word for "nothing stored" (docker-credential-helpers, credentials/error.go).
            Err(CredentialRetrievalError::HelperFailure { stdout, .. })
                if stdout.trim() == "credentials not found in native keychain" => {}
            Err(error) => return Err(helper_error(&place, via.as_deref(), describe(&error))),
        }
    }
    Ok(None)
}

/// Takes out empty strings: Docker writes `"auth": ""` where it means none.
fn without_empty(mut value: Value) -> Value {
    if let Some(auths) = value.get_mut("auths").and_then(Value::as_object_mut) {
        for fields in auths.values_mut().filter_map(Value::as_object_mut) {
            fields.retain(|_, value| value.as_str() != Some(""));
        }
    }
    if value.get("credsStore").and_then(Value::as_str) == Some("")
        && let Some(map) = value.as_object_mut()
    {
        map.remove("credsStore");
    }
    value
}

/// Which helper Docker's configuration names for a server, as it is written there.
fn helper_name(config: &Value, server: &str) -> Option<String> {
    let named = config.get("credHelpers").and_then(|it| it.get(server)).and_then(Value::as_str);
    let named = named.filter(|name| !name.is_empty()).map(|name| format!("credHelpers: {name}"));
    named.or_else(|| {
        let inline = config.get("auths").and_then(|it| it.get(server)).and_then(Value::as_object);
        let inline = inline.is_some_and(|fields| fields.contains_key("auth") || fields.contains_key("identitytoken"));
        let store = config.get("credsStore").and_then(Value::as_str).filter(|_| !inline)?;
        Some(format!("credsStore: {store}"))
    })
}

fn describe(error: &CredentialRetrievalError) -> String {
    match error {
        CredentialRetrievalError::HelperFailure { helper, stdout, stderr } => {
            let words = if stdout.trim().is_empty() { stderr.trim() } else { stdout.trim() };
            format!("{helper} says: {}", escape_cut(words, 200))
        }
        other => other.to_string(),
    }
}

fn helper_error(place: &str, via: Option<&str>, why: String) -> Error {
    let error = Error::new(ErrorKind::AuthError, format!("no credentials could be had from {place}"));
    let error = error.cause(anyhow::anyhow!("{why}"));
    match via {
        Some(helper) => {
            let program = helper.rsplit(' ').next().unwrap_or_default();
            error.hint(format!("{helper}: docker-credential-{program} must be on the PATH and able to sign in, or set HEPHY_REGISTRY_USERNAME and HEPHY_REGISTRY_PASSWORD"))
        }
        None => {
            error.hint("sign in again with docker login, or set HEPHY_REGISTRY_USERNAME and HEPHY_REGISTRY_PASSWORD")
        }
    }
}
