//! What a registry wants to see before it answers (distribution's token authentication; RFC 7617 for Basic).
//!
//! Each host is asked once how it wants it (`GET /v2/`); a token is fetched once per scope however many requests
//! start together, kept until shortly before it expires, and fetched anew when a request is answered with 401. A host
//! that did not answer after all attempts is not asked again by everyone who waited: they get the same failure.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::credentials::{self, Credential, Found};
use super::docker_config::base64;
use super::policy::MAX_ANSWER;
use super::settings::Settings;
use super::silent::Silent;
use super::transport::{Answer, Failed, Request, Transport};
use crate::error::{Error, ErrorKind, Result};

/// How long a token lives that says nothing of it (distribution's documentation: 60 seconds).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// Taken off a token's life, so that it does not expire on its way.
const MARGIN: Duration = Duration::from_secs(10);

/// What is to be done in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Access {
    Pull,
    Push,
}

/// The repositories that one request touches.
#[derive(Clone, Debug)]
pub(super) struct Scope(pub(super) Vec<(String, Access)>);

impl Scope {
    fn words(&self, pushing: &HashSet<String>) -> Vec<String> {
        let words = self.0.iter().map(|(path, access)| match access {
            Access::Pull if !pushing.contains(path) => format!("repository:{path}:pull"),
            _ => format!("repository:{path}:pull,push"),
        });
        words.collect()
    }
}

/// What a host asks for.
#[derive(Clone, Debug)]
enum Challenge {
    Nothing,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// One registry host.
struct Host {
    base: Url,
    challenge: tokio::sync::Mutex<Option<Challenge>>,
    found: tokio::sync::OnceCell<Found>,
    tokens: Mutex<HashMap<String, Slot>>,
    pushing: Mutex<HashSet<String>>,
    silent: Mutex<Option<Silent>>,
}

/// All hosts of a client.
#[derive(Default)]
pub(super) struct Auth(Mutex<HashMap<String, Arc<Host>>>);

impl Auth {
    fn host(&self, base: &Url, name: &str) -> Arc<Host> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Host {
                base: base.clone(),
                challenge: tokio::sync::Mutex::default(),
                found: tokio::sync::OnceCell::new(),
                tokens: Mutex::default(),
                pushing: Mutex::default(),
                silent: Mutex::default(),
            })
        };
        Arc::clone(hosts.entry(name.to_owned()).or_insert_with(new))
    }

    /// From now on every token for this repository also allows pushes: one token request instead of two.
    pub(super) fn will_push(&self, base: &Url, name: &str, path: &str) {
        let host = self.host(base, name);
        host.pushing.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// The `Authorization` for a request in these repositories; none where the host wants none.
    pub(super) async fn header(&self, asking: &Asking<'_>, scope: &Scope) -> Result<Option<HeaderValue>> {
        let host = self.host(asking.base, asking.name);
        let challenge = host.challenge(asking).await?;
        host.answer(asking, &challenge, scope, None).await
    }

    /// A new `Authorization` after a 401; none when there is nothing else to try.
    pub(super) async fn renewed(
        &self,
        asking: &Asking<'_>,
        scope: &Scope,
        refused: Option<&HeaderValue>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>> {
        let host = self.host(asking.base, asking.name);
        let challenge = parse(headers, &host.base, asking.settings)?;
        if !matches!(challenge, Challenge::Nothing) {
            *host.challenge.lock().await = Some(challenge.clone());
        }
        let header = host.answer(asking, &challenge, scope, refused).await?;
        Ok(header.filter(|header| Some(header) != refused))
    }

    /// Where the credential of a host came from, as a clause for hints.
    pub(super) fn source(&self, base: &Url, name: &str) -> String {
        let host = self.host(base, name);
        host.found.get().map_or_else(|| "no credentials were used".to_owned(), |found| found.source.clone())
    }
}

/// Everything that is needed to ask for a token.
pub(super) struct Asking<'a> {
    pub(super) transport: &'a Transport,
    pub(super) settings: &'a Settings,
    pub(super) base: &'a Url,
    pub(super) name: &'a str,
}

impl Host {
    /// Asks once how this host wants to be asked. Whoever comes meanwhile waits.
    async fn challenge(&self, asking: &Asking<'_>) -> Result<Challenge> {
        let mut known = self.challenge.lock().await;
        if let Some(challenge) = &*known {
            return Ok(challenge.clone());
        }
        let url = self.base.join("/v2/").map_err(|error| Error::internal("no URL").cause(error))?;
        let request = Request::new(Method::GET, url, MAX_ANSWER, "the greeting (is this a registry?)");
        let answer = self.ask(asking, &request, None).await?;
        let challenge = match answer.status {
            // Another origin's question is never answered.
            StatusCode::UNAUTHORIZED if answer.url.origin() == self.base.origin() => {
                parse(&answer.headers, &self.base, asking.settings)?
            }
            StatusCode::NOT_FOUND => {
                let refusal = answer.refusal(Method::GET);
                let error = refusal.into_error(&request.what, "");
                return Err(error.hint("a registry answers below /v2/: is the registry's address right?"));
            }
            _ => Challenge::Nothing,
        };
        *known = Some(challenge.clone());
        Ok(challenge)
    }

    /// A question that every other one waits for. Whoever waited behind one that nobody answered shares its failure: a
    /// row of attempts for each of them, one after the other, would take hours.
    async fn ask(&self, asking: &Asking<'_>, request: &Request, header: Option<&HeaderValue>) -> Result<Answer> {
        if let Some(failure) = self.silent().as_ref().and_then(Silent::failure) {
            return Err(failure);
        }
        let attempt = async || -> Result<_, Failed> { asking.transport.attempt(request, header).await };
        let answer = asking.transport.retrying(attempt).await;
        *self.silent() = answer.as_ref().err().map(Silent::of);
        answer
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, Option<Silent>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn found(&self, asking: &Asking<'_>) -> Result<&Found> {
        self.found.get_or_try_init(|| credentials::find(asking.settings, asking.name)).await
    }

    async fn answer(
        &self,
        asking: &Asking<'_>,
        challenge: &Challenge,
        scope: &Scope,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>> {
        match challenge {
            Challenge::Nothing => Ok(None),
            Challenge::Basic => {
                let found = self.found(asking).await?;
                let Credential::Basic(username, password) = &found.credential else { return Ok(None) };
                Ok(Some(basic(username, password)?))
            }
            Challenge::Bearer { realm, service } => {
                let words = scope.words(&self.pushing.lock().unwrap_or_else(PoisonError::into_inner));
                let slot = self.slot(&words);
                let mut token = slot.lock().await;
                let usable = |it: &&Token| it.until > Instant::now() && Some(&it.header) != refused;
                if let Some(token) = token.as_ref().filter(usable) {
                    return Ok(Some(token.header.clone()));
                }
                let fresh = self.fetch(asking, realm, service.as_deref(), &words).await?;
                Ok(Some(token.insert(fresh).header.clone()))
            }
        }
    }

    fn slot(&self, words: &[String]) -> Slot {
        let mut slots = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(words.join(" ")).or_default())
    }

    async fn fetch(&self, asking: &Asking<'_>, realm: &Url, service: Option<&str>, scopes: &[String]) -> Result<Token> {
        let found = self.found(asking).await?;
        let (request, authorization) = token_request(realm, service, scopes, &found.credential)?;
        let answer = self.ask(asking, &request, authorization.as_ref()).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal(request.method.clone()).into_error(&request.what, &found.source));
        }
        parse_token(&answer.body)
            .map_err(|error| Error::new(ErrorKind::AuthError, "the token service's answer holds no token").cause(error))
    }
}

/// Makes the request for a token: `GET` with Basic or nothing, `POST` for a refresh token.
fn token_request(
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    credential: &Credential,
) -> Result<(Request, Option<HeaderValue>)> {
    let mut filled = realm.clone();
    {
        let mut query = filled.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        match credential {
            Credential::Identity(_) => {
                query.append_pair("scope", &scopes.join(" "));
            }
            _ => {
                query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
            }
        }
        if let Credential::Identity(token) = credential {
            query.append_pair("grant_type", "refresh_token").append_pair("client_id", "hephy");
            query.append_pair("refresh_token", token);
        }
    }
    let what = "the request for a token";
    let get = |url: Url| Request::new(Method::GET, url, MAX_ANSWER, what);
    match credential {
        Credential::Anonymous => Ok((get(filled), None)),
        Credential::Basic(username, password) => {
            filled.query_pairs_mut().append_pair("account", username);
            Ok((get(filled), Some(basic(username, password)?)))
        }
        Credential::Identity(_) => {
            let form = filled.query().unwrap_or_default().as_bytes().to_vec();
            let request = Request::new(Method::POST, realm.clone(), MAX_ANSWER, what).body(&form);
            Ok((request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), None))
        }
    }
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::new(ErrorKind::AuthError, "a credential holds characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Basic …` (RFC 7617).
fn basic(username: &str, password: &str) -> Result<HeaderValue> {
    sensitive(&format!("Basic {}", base64(format!("{username}:{password}").as_bytes())))
}

/// Reads `WWW-Authenticate`. Bearer goes before Basic; other schemes are not for registries.
fn parse(headers: &HeaderMap, base: &Url, settings: &Settings) -> Result<Challenge> {
    let mut basic = false;
    for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        for challenge in http_auth::ChallengeParser::new(value).filter_map(std::result::Result::ok) {
            let parameter = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                let realm = realm(parameter("realm").unwrap_or_default(), base, settings)?;
                return Ok(Challenge::Bearer { realm, service: parameter("service") });
            }
            basic |= challenge.scheme.eq_ignore_ascii_case("basic");
        }
    }
    Ok(if basic { Challenge::Basic } else { Challenge::Nothing })
}

/// The address of the token service. It gets the credential, so it is never less protected than the registry.
fn realm(text: String, base: &Url, settings: &Settings) -> Result<Url> {
    let refuse = |why: &str| {
        let shown = crate::diagnostic::escape_cut(&text, 200);
        let error = Error::new(ErrorKind::AuthError, format!("the registry names a token service that {why}"));
        error.cause(anyhow::anyhow!("WWW-Authenticate: Bearer realm=\"{shown}\""))
    };
    let url = Url::parse(&text).map_err(|_| refuse("is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() || url.host_str().is_none() {
        return Err(refuse("is no plain URL"));
    }
    let host = super::settings::host_and_port(&url);
    match url.scheme() {
        "https" => Ok(url),
        "http" if base.scheme() == "http" && (url.origin() == base.origin() || settings.is_plain(&host)) => Ok(url),
        _ => Err(refuse("is not reached over https")),
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

fn parse_token(body: &[u8]) -> Result<Token, anyhow::Error> {
    // The answer may be a secret: nothing of it is quoted.
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|_| anyhow::anyhow!("it is not the expected JSON"))?;
    let token = answer.token.filter(|it| !it.is_empty()).or(answer.access_token).filter(|it| !it.is_empty());
    let token = token.ok_or_else(|| anyhow::anyhow!("neither token nor access_token"))?;
    // A day at most: a larger figure could not be added to a clock.
    let life = answer.expires_in.map_or(DEFAULT_LIFE, |seconds| Duration::from_secs(seconds.min(86_400)));
    let header = sensitive(&format!("Bearer {token}")).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Token { header, until: Instant::now() + life.saturating_sub(MARGIN).max(life / 2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&str], base: &str) -> Result<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        parse(&headers, &Url::parse(base).unwrap(), &Settings::default())
    }

    #[test]
    fn bearer_goes_before_basic_and_other_schemes_are_ignored() {
        let bearer = r#"Bearer realm="https://auth.example/token",service="reg \"x\"",scope="repository:a:pull""#;
        match challenge(&["Negotiate", r#"Basic realm="r""#, bearer], "https://h").unwrap() {
            Challenge::Bearer { realm, service } => {
                assert_eq!(realm.as_str(), "https://auth.example/token");
                assert_eq!(service.as_deref(), Some("reg \"x\""));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(challenge(&[r#"basic realm="r""#], "https://h"), Ok(Challenge::Basic)));
        assert!(matches!(challenge(&["Negotiate"], "https://h"), Ok(Challenge::Nothing)));
        assert!(matches!(challenge(&[], "https://h"), Ok(Challenge::Nothing)));
    }

    #[test]
    fn a_token_service_is_never_less_protected_than_the_registry() {
        let bearer = |realm: &str, base: &str| challenge(&[&format!(r#"Bearer realm="{realm}""#)], base).is_ok();
        assert!(bearer("https://auth.example/t", "https://h"));
        assert!(bearer("http://127.0.0.1:5001/t", "http://127.0.0.1:5000"));
        assert!(!bearer("http://auth.example/t", "https://h"));
        assert!(!bearer("http://auth.example/t", "http://127.0.0.1:5000"));
        assert!(!bearer("https://user:pw@auth.example/t", "https://h"));
        assert!(!bearer("file:///etc/passwd", "https://h"));
        assert!(!bearer("", "https://h"));
    }

    #[test]
    fn tokens_have_either_name_and_a_bounded_life() {
        assert!(parse_token(br#"{"token":"a"}"#).is_ok());
        assert!(parse_token(br#"{"token":"","access_token":"a","expires_in":18446744073709551615}"#).is_ok());
        let error = parse_token(br#"{"toke":"SECRET"}"#).err().unwrap().to_string();
        assert!(!error.contains("SECRET"));
        assert!(parse_token(b"SECRET").is_err());
        assert!(parse_token(br#"{"token":"a\nb"}"#).is_err());
    }

    #[test]
    fn a_scope_asks_for_no_more_than_is_needed() {
        let scope = Scope(vec![("a".into(), Access::Pull), ("b".into(), Access::Push)]);
        assert_eq!(scope.words(&HashSet::new()), ["repository:a:pull", "repository:b:pull,push"]);
        assert_eq!(scope.words(&HashSet::from(["a".to_owned()]))[0], "repository:a:pull,push");
    }
}
