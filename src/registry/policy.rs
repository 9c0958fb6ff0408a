//! Limits of one conversation with a registry: times, sizes, how often something is tried again. Pure.

use std::time::Duration;

/// Largest manifest or index that is read: the size that the distribution specification asks registries to
/// accept at least, and more than any of them takes.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Largest image configuration that is read. Real ones have a few kilobytes; the longest histories some hundred.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;
/// Largest answer of a token service or tag list page.
pub(super) const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// As much of an error's body as is looked at.
pub(super) const MAX_WORDS: u64 = 64 * 1024;

/// How patient the client is (specification §16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a request is sent again after 429, 5xx or a broken connection.
    pub retries: usize,
    /// First pause; each further one is twice as long.
    pub first_wait: Duration,
    /// Longest pause that hephy chooses itself.
    pub longest_wait: Duration,
    /// Longest pause that a registry can ask for with `Retry-After`.
    pub longest_retry_after: Duration,
    /// Limit for a connection to be made.
    pub connect_timeout: Duration,
    /// Limit for the next byte of an answer.
    pub read_timeout: Duration,
    /// Limit for a whole answer that is read into memory (not for blobs that are streamed).
    pub answer_timeout: Duration,
    /// How many redirects one request follows.
    pub redirects: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retries: 4,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
            longest_retry_after: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(300),
            redirects: 5,
        }
    }
}

impl Policy {
    /// The pauses between attempts: exponential, with jitter so that many jobs do not come back together.
    pub(super) fn backoff(&self) -> backon::ExponentialBuilder {
        backon::ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.retries)
            .with_jitter()
    }
}

/// One pause before a request is sent again, for whoever shows progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// What happened, such as `GET https://host/v2/… answered 503`.
    pub reason: String,
    /// How long the pause is.
    pub wait: Duration,
}

impl std::fmt::Display for Retry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; trying again in {:.1} s", self.reason, self.wait.as_secs_f64())
    }
}

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, of which `now` is taken away.
pub(super) fn retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "2025-10-15T08:00:00Z".parse().unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 15 Oct 2025 08:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 15 Oct 2025 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
