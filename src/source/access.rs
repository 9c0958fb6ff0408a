//! The environment in which upstreams are reached: the job's, or one that a caller describes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::config::Transports;

/// The environment variables that git and hephy's rules about upstreams see.
#[derive(Clone, Debug, Default)]
pub struct Access {
    variables: BTreeMap<String, OsString>,
    limit: Option<Duration>,
}

impl Access {
    /// The process's environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::default()
    }

    /// Puts a variable on top.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Limits every conversation with a server to less than the room's own limits.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// `usual`, or the caller's limit where that is shorter.
    pub(super) fn limited(&self, usual: Duration) -> Duration {
        self.limit.map_or(usual, |limit| limit.min(usual))
    }

    /// The transports that git may use: those of `GIT_ALLOW_PROTOCOL`, git's own variable, else https and ssh.
    #[must_use]
    pub fn transports(&self) -> Transports {
        let list = self.get("GIT_ALLOW_PROTOCOL");
        Transports::of_variable(list.as_deref().map(std::ffi::OsStr::to_string_lossy).as_deref())
    }

    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned().or_else(|| std::env::var_os(name))
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&String, &OsString)> {
        self.variables.iter()
    }
}
