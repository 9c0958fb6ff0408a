//! Secrets of a build (specification §3): a builder is told the name of a variable or the path of a file, so that no
//! value stands on a command line.

use std::path::{Path, PathBuf};

use super::{Invocation, Step};
use crate::config::BackendName;
use crate::error::{Error, Result};

/// A secret whose value is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSecret {
    /// The name in `RUN --mount=type=secret,id=…`.
    pub id: String,
    /// Where its value is.
    pub value: Value,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// In this variable of the builder's environment.
    Env(String),
    /// In this file, by its absolute path.
    File(PathBuf),
}

/// Builders that take secrets, and from which version.
pub(super) const BUILDERS: &str = "buildkit, buildah 1.24 or kaniko 1.27 and later";

impl Invocation {
    /// Adds `--secret=id=…,env=…` or `,src=…` for each secret; `place` says where the builder finds a file.
    pub(super) fn secrets(&mut self, step: &Step, place: impl Fn(usize, &Path) -> PathBuf) -> &mut Self {
        for (at, secret) in step.secrets.iter().enumerate() {
            let mut option = std::ffi::OsString::from(format!("id={},", secret.id));
            match &secret.value {
                Value::Env(name) => option.push(format!("env={name}")),
                Value::File(path) => {
                    option.push("src=");
                    option.push(place(at, path));
                }
            }
            self.option("--secret", option);
        }
        self
    }
}

/// Refuses secrets where the builder has no way to take them.
pub(super) fn refuse(backend: BackendName, version: &str, step: &Step) -> Result<()> {
    let Some(secret) = step.secrets.first() else { return Ok(()) };
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    Err(Error::config(format!("{backend}{version} cannot take the secret `{}`", secret.id))
        .hint(format!("build it with {BUILDERS}")))
}
