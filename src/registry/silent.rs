//! Hosts that answered no attempt: everyone who would ask one again gets the same failure, for a while. Otherwise each of
//! a thousand questions would have a row of attempts of its own, one after the other.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};

/// How long a host counts as silent. All questions of a short command lie within it; a job that builds for hours asks
/// again.
const LASTS: Duration = Duration::from_secs(60);

/// The failure of a host that answered no attempt.
pub(super) struct Silent {
    until: Instant,
    kind: ErrorKind,
    message: String,
    causes: String,
    hint: Option<String>,
}

impl Silent {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            until: Instant::now() + LASTS,
            kind: error.kind(),
            message: error.message().to_owned(),
            causes: error.causes().join(": "),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    /// The failure again, while it counts.
    pub(super) fn failure(&self) -> Option<Error> {
        if self.until <= Instant::now() {
            return None;
        }
        let error = Error::new(self.kind, self.message.clone());
        let error = if self.causes.is_empty() { error } else { error.cause(anyhow::anyhow!("{}", self.causes)) };
        Some(match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        })
    }
}
