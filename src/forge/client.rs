//! GET requests to one API: bounded, and with the token for its own origin alone.
//!
//! A redirect is followed within that origin only. What may pass by itself (a broken connection, 5xx, a short rest
//! that was asked for) is tried again, twice at most: whoever asks has a safe way on without an answer.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{StatusCode, Url};

use super::api::{Ask, Header, Trouble};
use crate::ci::Env;
use crate::diagnostic::escape;
use crate::oci::is_loopback;
use crate::registry::tls_config;

/// Longest answer that is read. A comparison carries the changed lines of up to a thousand files.
const MAX_BODY: usize = 16 << 20;
const REDIRECTS: usize = 3;
const ATTEMPTS: u32 = 3;
/// Longest pause that the platform may ask for before somebody who waits for a plan goes on without.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Limit of one attempt, unless `HEPHY_API_TIMEOUT` says another.
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_TIMEOUT: u64 = 600;

pub(super) struct Client {
    http: reqwest::Client,
    root: Url,
    headers: HeaderMap,
    platform: &'static str,
}

/// A question without an answer.
pub(super) struct Failed {
    pub(super) class: Class,
    /// One sentence.
    pub(super) what: String,
}

/// What would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Another token.
    Refused,
    /// Fewer requests.
    Limited,
    /// Time.
    Failing,
    /// The same: there was no answer at all.
    Silent,
}

/// Why one attempt failed, and after which pause another one makes sense.
struct Attempt {
    failed: Failed,
    again: Option<Duration>,
}

impl Attempt {
    fn lasting(class: Class, what: String) -> Self {
        Self { failed: Failed { class, what }, again: None }
    }
}

impl Client {
    pub(super) fn new(env: &Env, root: &str, headers: Vec<Header>, platform: &'static str) -> Result<Self, Trouble> {
        let root = safe_root(root, platform)?;
        let plain = root.scheme() == "http";
        let no_client = |why: String| {
            Trouble::new(format!("no connection to {platform} can be made: {why}"), "is the machine well?")
        };
        let builder = reqwest::Client::builder()
            .user_agent(concat!("hephy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout(env)?);
        let builder = if plain { builder.no_proxy() } else { builder };
        let tls = tls_config(!plain).map_err(|error| no_client(error.to_string()))?;
        let http =
            builder.tls_backend_preconfigured(tls).build().map_err(|_| no_client("its settings are odd".into()))?;
        Ok(Self { http, root, headers: header_map(headers)?, platform })
    }

    /// The body of the answer.
    pub(super) async fn get(&self, ask: &Ask) -> Result<Vec<u8>, Failed> {
        let url = self.url(ask)?;
        let mut pause = Duration::from_millis(250);
        for attempt in 1.. {
            match self.attempt(url.clone()).await {
                Ok(body) => return Ok(body),
                Err(Attempt { failed, again: Some(asked) }) if attempt < ATTEMPTS && asked <= LONGEST_PAUSE => {
                    drop(failed);
                    tokio::time::sleep(pause.max(asked)).await;
                    pause *= 2;
                }
                Err(Attempt { failed, .. }) => return Err(failed),
            }
        }
        Err(Failed { class: Class::Failing, what: format!("{} did not answer", self.platform) })
    }

    fn url(&self, ask: &Ask) -> Result<Url, Failed> {
        let mut url = self.root.clone();
        let Ok(mut path) = url.path_segments_mut() else {
            return Err(Failed { class: Class::Failing, what: format!("{} has no address", self.platform) });
        };
        path.pop_if_empty().extend(&ask.path);
        drop(path);
        url.query_pairs_mut().extend_pairs(&ask.query);
        Ok(url)
    }

    async fn attempt(&self, mut url: Url) -> Result<Vec<u8>, Attempt> {
        for _ in 0..=REDIRECTS {
            let request = self.http.get(url.clone()).headers(self.headers.clone());
            let response = request.send().await.map_err(|error| self.broken(&url, &error))?;
            if !matches!(response.status().as_u16(), 301..=303 | 307 | 308) {
                return self.read(response).await;
            }
            let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            match target {
                Some(target) if target.origin() == self.root.origin() => url = target,
                _ => {
                    let what = format!("{} was sent on to another host", shown(&url));
                    return Err(Attempt::lasting(Class::Failing, what));
                }
            }
        }
        Err(Attempt::lasting(Class::Failing, format!("{} is sent on without end", shown(&url))))
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Attempt> {
        let url = response.url().clone();
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(&url, status, response.headers()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&url, &error))? {
            if chunk.len() > MAX_BODY - body.len() {
                let what = format!("{} answered more than {} MiB", shown(&url), MAX_BODY >> 20);
                return Err(Attempt::lasting(Class::Failing, what));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn broken(&self, url: &Url, error: &reqwest::Error) -> Attempt {
        let (words, again) = match error.is_timeout() {
            // It was patient already.
            true => ("did not answer in time", None),
            false => ("broke off, or could not be connected to", Some(Duration::ZERO)),
        };
        Attempt { failed: Failed { class: Class::Silent, what: format!("{} {words}", shown(url)) }, again }
    }
}

/// What another status than success means.
fn refusal(url: &Url, status: StatusCode, headers: &HeaderMap) -> Attempt {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
    let what = format!("{} answered {}", shown(url), status.as_u16());
    let spent = ["x-ratelimit-remaining", "ratelimit-remaining"].iter().any(|name| text(name) == Some("0"));
    let asked = seconds("retry-after");
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::FORBIDDEN && (spent || asked.is_some()) {
        let reset = seconds("x-ratelimit-reset").or_else(|| seconds("ratelimit-reset"));
        let at = reset.and_then(|at| jiff::Timestamp::from_second(i64::try_from(at).ok()?).ok());
        let until = match (asked, at) {
            (Some(seconds), _) => format!(": too many requests, again in {seconds} s"),
            (None, Some(at)) => format!(": too many requests, again at {at}"),
            (None, None) => ": too many requests".to_owned(),
        };
        let failed = Failed { class: Class::Limited, what: format!("{what}{until}") };
        return Attempt { failed, again: asked.map(Duration::from_secs) };
    }
    match status.as_u16() {
        401 | 403 | 404 => Attempt::lasting(Class::Refused, what),
        500.. => Attempt { failed: Failed { class: Class::Failing, what }, again: Some(Duration::ZERO) },
        _ => Attempt::lasting(Class::Failing, what),
    }
}

/// A request for people: without the query, which is long and says nothing new.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    escape(&format!("GET {}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()))
}

/// A token crosses no network in the clear.
fn safe_root(text: &str, platform: &str) -> Result<Url, Trouble> {
    let hint = "the runner sets it to an https address";
    let unsafe_root = |why: &str| Trouble::new(format!("the address of {platform}'s API {why}"), hint);
    let url = Url::parse(text.trim()).map_err(|_| unsafe_root("is no URL"))?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => Err(unsafe_root("holds a credential")),
        _ if url.query().is_some() || url.fragment().is_some() => Err(unsafe_root("has a query")),
        "https" if !host.is_empty() => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        _ => Err(unsafe_root("is not https")),
    }
}

fn timeout(env: &Env) -> Result<Duration, Trouble> {
    let Some(text) = env.get("HEPHY_API_TIMEOUT").filter(|text| !text.is_empty()) else { return Ok(TIMEOUT) };
    match text.parse::<u64>() {
        Ok(seconds) if (1..=MAX_TIMEOUT).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(Trouble::new(
            "HEPHY_API_TIMEOUT is no number of seconds",
            format!("it is one from 1 to {MAX_TIMEOUT}; unset it for {} s", TIMEOUT.as_secs()),
        )),
    }
}

fn header_map(headers: Vec<Header>) -> Result<HeaderMap, Trouble> {
    let mut map = HeaderMap::new();
    for Header { name, value } in headers {
        let mut value = HeaderValue::from_str(value.reveal().trim())
            .map_err(|_| Trouble::new("the token of the API is none", "a token is one line of plain characters"))?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_static(name), value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_https_or_stays_here() {
        for good in
            ["https://api.github.com", "https://git.example/api/v4/", "http://127.0.0.1:8080/api", "http://[::1]/"]
        {
            assert!(safe_root(good, "x").is_ok(), "{good}");
        }
        for bad in [
            "http://git.example/api",
            "https://u:p@git.example",
            "ftp://x",
            "",
            "https://x/?y",
            "file:///etc",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(safe_root(bad, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_of_both_platforms_are_told_from_refusals() {
        let url = Url::parse("https://x/y?secret").unwrap();
        let class = |status: u16, headers: &[(&'static str, &str)]| {
            let map = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
            let attempt = refusal(&url, StatusCode::from_u16(status).unwrap(), &map.collect());
            assert!(!attempt.failed.what.contains("secret"));
            (attempt.failed.class, attempt.again)
        };
        assert_eq!(class(403, &[]), (Class::Refused, None));
        assert_eq!(class(404, &[]), (Class::Refused, None));
        assert_eq!(
            class(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1760000000")]),
            (Class::Limited, None)
        );
        assert_eq!(class(403, &[("retry-after", "7")]), (Class::Limited, Some(Duration::from_secs(7))));
        assert_eq!(class(429, &[("ratelimit-remaining", "0")]), (Class::Limited, None));
        assert_eq!(class(502, &[]), (Class::Failing, Some(Duration::ZERO)));
        assert_eq!(class(418, &[]), (Class::Failing, None));
    }
}
