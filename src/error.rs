//! Kinds of failure, their exit codes, and what a person needs to act on one: a sentence, the chain of
//! causes, and a hint with the next step.
//!
//! The kinds are the table "Exit codes and error codes" of the specification (§10); nothing else decides
//! an exit status. This room renders nothing: `report` does.

use std::fmt;

use crate::diagnostic::Diagnostic;

/// What every fallible function of hephy returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of a failure. It decides the exit status and the stable code that programs match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A Dockerfile step or a builder failed.
    BuildError,
    /// Wrong flags or arguments.
    UsageError,
    /// An invalid `build-config.yaml`, `hephy.yaml`, plan or spec.
    ConfigError,
    /// A source could not be fetched.
    CloneError,
    /// Registry, git or API credentials.
    AuthError,
    /// The registry refused or failed.
    RegistryError,
    /// Disk, memory, or killed by the system.
    ResourceError,
    /// A time limit.
    TimeoutError,
    /// A build, release, tag or digest that was named does not exist.
    NotFound,
    /// A bug in hephy.
    InternalError,
    /// SIGINT or SIGTERM.
    Cancelled,
}

impl ErrorKind {
    /// Every kind, in the order of the specification's table.
    pub const ALL: [Self; 11] = [
        Self::BuildError,
        Self::UsageError,
        Self::ConfigError,
        Self::CloneError,
        Self::AuthError,
        Self::RegistryError,
        Self::ResourceError,
        Self::TimeoutError,
        Self::NotFound,
        Self::InternalError,
        Self::Cancelled,
    ];

    /// The stable code, such as `build_error`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BuildError => "build_error",
            Self::UsageError => "usage_error",
            Self::ConfigError => "config_error",
            Self::CloneError => "clone_error",
            Self::AuthError => "auth_error",
            Self::RegistryError => "registry_error",
            Self::ResourceError => "resource_error",
            Self::TimeoutError => "timeout_error",
            Self::NotFound => "not_found",
            Self::InternalError => "internal_error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The next step where nothing more exact is known: no failure is without one.
    #[must_use]
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::BuildError => "the builder's whole output is in the logs directory below --out",
            Self::UsageError => "hephy --help, and --help behind a command, show what can be typed",
            Self::ConfigError => "hephy check shows everything that is wrong; docs/configuration.md has the rules",
            Self::CloneError => "try `git ls-remote` with the same address in the same environment",
            Self::AuthError => "see which credentials this job has: docs/configuration.md lists where hephy looks",
            Self::RegistryError => "the registry's own log says more; running the same command again is safe",
            Self::ResourceError => "free some disk or memory; running the same command again is safe",
            Self::TimeoutError => "run the same command again, or raise the time limit",
            Self::NotFound => "check how the name is spelt",
            Self::InternalError => "please report it with these lines and the command",
            Self::Cancelled => "results so far are kept; the same command goes on from there",
        }
    }

    /// The exit status of a process that ends with this failure.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::BuildError => 1,
            Self::UsageError => 2,
            Self::ConfigError => 3,
            Self::CloneError => 4,
            Self::AuthError => 5,
            Self::RegistryError => 6,
            Self::ResourceError => 7,
            Self::TimeoutError => 8,
            Self::NotFound => 9,
            Self::InternalError => 10,
            Self::Cancelled => 130,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One failure. Build it with [`Error::new`] or one of the constructors named after a kind, then add
/// [`cause`](Error::cause) and [`hint`](Error::hint).
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<anyhow::Error>,
    hint: Option<String>,
    diagnostics: Vec<Diagnostic>,
}

impl Error {
    /// A failure of `kind`, said in one sentence without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None, hint: None, diagnostics: Vec::new() }))
    }

    /// A [`ErrorKind::UsageError`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UsageError, message)
    }

    /// A [`ErrorKind::ConfigError`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ConfigError, message)
    }

    /// A [`ErrorKind::ResourceError`].
    pub fn resource(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ResourceError, message)
    }

    /// A [`ErrorKind::InternalError`]: something that cannot happen, happened.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InternalError, message)
    }

    /// A file-system failure: no space, quota or memory is a [`ErrorKind::ResourceError`], and so is every
    /// other refusal of the operating system to read or write what hephy itself owns.
    pub fn io(message: impl Into<String>, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let hint = match error.kind() {
            Io::StorageFull | Io::QuotaExceeded => Some("free some space, or point --out at a larger disk"),
            Io::PermissionDenied => Some("the user that runs hephy must own this path"),
            Io::ReadOnlyFilesystem => Some("point --out at a writable directory"),
            _ => None,
        };
        let failure = Self::new(ErrorKind::ResourceError, message).cause(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// The reason below this failure; its own chain of sources follows it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// The next step for the person who reads this.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The findings in configuration files that make up this failure; they are shown before the sentence.
    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        if let (None, Some(first)) = (&self.0.hint, diagnostics.first()) {
            let file = crate::diagnostic::escape(&first.file);
            self.0.hint = Some(format!("begin at {file}:{}; hephy check shows what else is wrong", first.span.line));
        }
        self.0.diagnostics = diagnostics;
        self
    }

    /// The same findings, to add what was not at hand where they were made.
    pub fn findings_mut(&mut self) -> &mut [Diagnostic] {
        &mut self.0.diagnostics
    }

    /// The class of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence, without causes and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The next step, if one is known.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The next step: the one that is known, else that of the kind.
    #[must_use]
    pub fn next_step(&self) -> &str {
        self.hint_text().filter(|hint| !hint.is_empty()).unwrap_or_else(|| self.kind().next_step())
    }

    /// Findings with their places, in the order they are to be shown.
    #[must_use]
    pub fn findings(&self) -> &[Diagnostic] {
        &self.0.diagnostics
    }

    /// The causes from the nearest to the deepest, each as one line of text.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        self.0.source.iter().flat_map(|source| source.chain().map(ToString::to_string)).collect()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}

/// The fields that programs read: the same as people see.
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Error", 6)?;
        fields.serialize_field("code", self.kind().code())?;
        fields.serialize_field("exit_code", &self.kind().exit_code())?;
        fields.serialize_field("message", self.message())?;
        fields.serialize_field("causes", &self.causes())?;
        fields.serialize_field("hint", self.next_step())?;
        fields.serialize_field("findings", self.findings())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_specification() {
        let table: Vec<_> = ErrorKind::ALL.iter().map(|kind| (kind.exit_code(), kind.code())).collect();
        assert_eq!(
            table,
            [
                (1, "build_error"),
                (2, "usage_error"),
                (3, "config_error"),
                (4, "clone_error"),
                (5, "auth_error"),
                (6, "registry_error"),
                (7, "resource_error"),
                (8, "timeout_error"),
                (9, "not_found"),
                (10, "internal_error"),
                (130, "cancelled"),
            ]
        );
    }

    #[test]
    fn every_failure_has_a_next_step() {
        for kind in ErrorKind::ALL {
            assert!(!Error::new(kind, "x").next_step().is_empty());
            assert_eq!(Error::new(kind, "x").hint("y").next_step(), "y");
            let json = serde_json::to_value(Error::new(kind, "x").hint("")).unwrap();
            assert_eq!(json["hint"], kind.next_step());
        }
    }

    #[test]
    fn causes_are_listed_from_the_nearest_to_the_deepest() {
        let deepest = std::io::Error::other("connection reset");
        let error = Error::new(ErrorKind::RegistryError, "the registry did not answer")
            .cause(anyhow::Error::new(deepest).context("GET /v2/"));
        assert_eq!(error.causes(), ["GET /v2/", "connection reset"]);
    }
}
