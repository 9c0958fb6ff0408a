//! HTTP below the distribution API: connections, redirects, bounded bodies, attempts.
//!
//! Invariants: an `Authorization` header never leaves the origin (scheme, host, port) that it was made for; a
//! redirect never goes from https to http; a body is never read beyond its limit; nothing is sent again unless
//! the answer was 429, 5xx, or the connection broke.

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backon::Retryable as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::failure::{Refusal, shown};
use super::policy::{MAX_WORDS, Policy, Retry, retry_after};
use super::tls;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::is_loopback;

/// Who wants to know about pauses.
pub(super) type OnRetry = Arc<dyn Fn(&Retry) + Send + Sync>;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Arc<[u8]>>,
    /// Longest body that is read.
    pub(super) limit: u64,
    /// Completes "the registry refused …".
    pub(super) what: String,
}

impl Request {
    pub(super) fn new(method: Method, url: Url, limit: u64, what: impl Into<String>) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, limit, what: what.into() }
    }

    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn body(mut self, body: &[u8]) -> Self {
        self.body = Some(body.into());
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Where it came from, after redirects.
    pub(super) url: Url,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn refusal(self, method: Method) -> Refusal {
        Refusal::new(method, self.url, self.status, &self.body)
    }
}

/// Why an attempt failed, and whether another one makes sense.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    again: Option<Again>,
}

#[derive(Debug)]
struct Again {
    reason: String,
    after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, again: None }
    }
}

impl Failed {
    fn again(error: Error, reason: String, after: Option<Duration>) -> Self {
        Self { error, again: Some(Again { reason, after }) }
    }
}

/// Connections to any number of registries.
pub(super) struct Transport {
    policy: Policy,
    loopback: OnceLock<reqwest::Client>,
    elsewhere: OnceLock<reqwest::Client>,
    on_retry: OnRetry,
    sent: Cell<u64>,
}

impl Transport {
    pub(super) fn new(policy: Policy, on_retry: OnRetry) -> Self {
        Self { policy, loopback: OnceLock::new(), elsewhere: OnceLock::new(), on_retry, sent: Cell::new(0) }
    }

    /// How many requests went out, repeated and redirected ones included.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Plain HTTP on this machine needs neither a proxy nor root certificates, whose loading takes time.
    fn client(&self, url: &Url) -> Result<&reqwest::Client> {
        let plain = url.scheme() == "http" && url.host_str().is_some_and(is_loopback);
        let slot = if plain { &self.loopback } else { &self.elsewhere };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("hephy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.policy.connect_timeout)
            .read_timeout(self.policy.read_timeout);
        let builder = if plain { builder.no_proxy() } else { builder };
        let client = builder
            .tls_backend_preconfigured(tls::config(!plain)?)
            .build()
            .map_err(|error| Error::internal("no HTTP client could be made").cause(error.without_url()))?;
        Ok(slot.get_or_init(|| client))
    }

    /// How long an answer may take, its body included.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.policy.answer_timeout
    }

    /// One attempt, redirects followed; 429 and 5xx are failures, other statuses are for the caller.
    pub(super) async fn attempt(&self, request: &Request, token: Option<&HeaderValue>) -> Result<Answer, Failed> {
        let limit = self.policy.answer_timeout;
        let answer = async {
            let response = self.open(request, token).await?;
            let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
            let limit = if status.is_success() { request.limit } else { MAX_WORDS };
            let body = if request.method == Method::HEAD { Vec::new() } else { read(response, request, limit).await? };
            Ok(Answer { status, headers, body, url })
        };
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => self.retryable(request, answer),
            Ok(Err(failed)) => Err(failed),
            Err(_) => Err(broken(request, format!("not done after {} s", limit.as_secs()), None)),
        }
    }

    /// Sorts an opened answer: to be streamed, to be looked at, or to be asked for again.
    pub(super) async fn opened(
        &self,
        request: &Request,
        response: reqwest::Response,
    ) -> Result<Result<reqwest::Response, Answer>, Failed> {
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let body = read(response, request, MAX_WORDS).await?;
        self.retryable(request, Answer { status, headers, body, url }).map(Err)
    }

    fn retryable(&self, request: &Request, answer: Answer) -> Result<Answer, Failed> {
        if answer.status != StatusCode::TOO_MANY_REQUESTS && !answer.status.is_server_error() {
            return Ok(answer);
        }
        let after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| retry_after(value, jiff::Timestamp::now()));
        let refusal = answer.refusal(request.method.clone());
        let reason = refusal.request();
        Err(Failed::again(refusal.into_error(&request.what, ""), reason, after))
    }

    /// Sends a request and follows redirects; the body is not read yet.
    pub(super) async fn open(
        &self,
        request: &Request,
        token: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, Failed> {
        let origin = request.url.origin();
        let mut url = request.url.clone();
        for _ in 0..=self.policy.redirects {
            let mut builder = self.client(&url)?.request(request.method.clone(), url.clone());
            builder = builder.headers(request.headers.clone());
            if let Some(token) = token.filter(|_| url.origin() == origin) {
                builder = builder.header(AUTHORIZATION, token.clone());
            }
            if let Some(body) = &request.body {
                builder = builder.body(body.to_vec());
            }
            self.sent.set(self.sent.get() + 1);
            let response = builder.send().await.map_err(|error| connection(request, &url, error))?;
            match redirect(request, &response)? {
                None => return Ok(response),
                Some(next) => url = next,
            }
        }
        let error = Error::new(ErrorKind::RegistryError, format!("the registry refused {}", request.what));
        Err(error
            .cause(anyhow::anyhow!("{} went through more than {} redirects", request.name(), self.policy.redirects))
            .into())
    }

    /// Sends a request whose body is a stream: once, without redirects, since it cannot be had again.
    pub(super) async fn send_stream(
        &self,
        request: &Request,
        token: Option<&HeaderValue>,
        body: reqwest::Body,
    ) -> Result<Answer, Failed> {
        let mut builder = self.client(&request.url)?.request(request.method.clone(), request.url.clone());
        builder = builder.headers(request.headers.clone()).body(body);
        if let Some(token) = token {
            builder = builder.header(AUTHORIZATION, token.clone());
        }
        self.sent.set(self.sent.get() + 1);
        let response = builder.send().await.map_err(|error| connection(request, &request.url, error))?;
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let body = read(response, request, MAX_WORDS).await?;
        self.retryable(request, Answer { status, headers, body, url })
    }

    /// Repeats `attempt` as the policy says.
    pub(super) async fn retrying<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        attempt: impl FnMut() -> F,
    ) -> Result<T> {
        let cap = self.policy.longest_retry_after;
        let adjusted = |failed: &Failed, wait: Option<Duration>| {
            let asked = failed.again.as_ref().and_then(|again| again.after).unwrap_or_default();
            wait.map(|wait| wait.max(asked.min(cap)))
        };
        let notify = |failed: &Failed, wait: Duration| {
            let reason = failed.again.as_ref().map(|again| again.reason.clone()).unwrap_or_default();
            (self.on_retry)(&Retry { reason, wait });
        };
        attempt
            .retry(self.policy.backoff())
            .when(|failed: &Failed| failed.again.is_some())
            .adjust(adjusted)
            .notify(notify)
            .await
            .map_err(|failed| failed.error)
    }
}

/// Where a redirect leads, if the answer is one that may be followed.
fn redirect(request: &Request, response: &reqwest::Response) -> Result<Option<Url>, Failed> {
    let status = response.status().as_u16();
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    if !(matches!(status, 307 | 308) || reads && matches!(status, 301..=303)) {
        return Ok(None);
    }
    let from = response.url();
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(target) = target.and_then(|target| from.join(target).ok()) else { return Ok(None) };
    let refuse = |why: String| -> Failed {
        let error = Error::new(ErrorKind::RegistryError, format!("the registry refused {}", request.what));
        error.cause(anyhow::anyhow!("{} {why}", request.name())).into()
    };
    let shown_target = shown(&target);
    match target.scheme() {
        "https" | "http" if !reads && target.origin() != request.url.origin() => {
            Err(refuse(format!("was sent on to another host, {shown_target}")))
        }
        "https" => Ok(Some(target)),
        "http" if from.scheme() == "http" => Ok(Some(target)),
        _ => Err(refuse(format!("was sent on to {shown_target}, away from https"))),
    }
}

/// Reads a body of at most `limit` bytes.
async fn read(mut response: reqwest::Response, request: &Request, limit: u64) -> Result<Vec<u8>, Failed> {
    let url = response.url().clone();
    let success = response.status().is_success();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| connection(request, &url, error))? {
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(body.len());
        if chunk.len() > room {
            if !success {
                body.extend_from_slice(chunk.get(..room).unwrap_or_default());
                break;
            }
            let error =
                Error::new(ErrorKind::RegistryError, format!("the registry sent too much for {}", request.what));
            return Err(error.cause(anyhow::anyhow!("{} is larger than {limit} bytes", request.name())).into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A connection that broke, or never came to be. Certificates do not get better by asking again.
pub(super) fn connection(request: &Request, url: &Url, error: reqwest::Error) -> Failed {
    let host = crate::diagnostic::escape(url.host_str().unwrap_or_default());
    if let Some(tls) = tls::refusal(&error) {
        let hint = match tls {
            tls::Refused::Certificate => "SSL_CERT_FILE or SSL_CERT_DIR name further root certificates".to_owned(),
            tls::Refused::NotTls => format!("if it speaks plain HTTP, name it: HEPHY_INSECURE_REGISTRIES={host}"),
        };
        let failure =
            Error::new(ErrorKind::RegistryError, format!("no secure connection to {host} for {}", request.what));
        return failure.cause(error.without_url()).hint(hint).into();
    }
    let words = if error.is_timeout() { "did not answer in time" } else { "broke off, or could not be connected to" };
    broken(request, words.to_owned(), Some(error.without_url()))
}

pub(super) fn broken(request: &Request, words: String, error: Option<reqwest::Error>) -> Failed {
    let reason = format!("{} {words}", request.name());
    let failure = Error::new(ErrorKind::RegistryError, format!("the registry did not answer {}", request.what));
    let cause = match error {
        Some(error) => anyhow::Error::new(error).context(reason.clone()),
        None => anyhow::anyhow!("{reason}"),
    };
    let failure = failure.cause(cause).hint("is the registry up, and its address right?");
    Failed::again(failure, reason, None)
}
