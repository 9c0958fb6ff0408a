//! The secrets of a build (specification §3): looked up before anything is built, told to builders by name, and hidden
//! in everything that is written.

use std::path::{Path, PathBuf};

use super::Options;
use crate::backend::{StepSecret, Value};
use crate::config::{AllowedSecrets, ROOT_FILE, Secret, SecretSource, parse_root};
use crate::error::{Error, Result};
use crate::plan::PlannedImage;
use crate::source;

/// Largest secret, in bytes: BuildKit takes no larger one.
const MAX_SECRET: u64 = 500 * 1024;

/// Looks all secrets of these images up; gives their values, for logs that must not show them.
///
/// # Errors
/// For one that `hephy.yaml` of the checkout does not allow, and one that has no value here.
pub(super) fn values(options: &Options, images: &[&PlannedImage]) -> Result<Vec<String>> {
    let mut values = Vec::new();
    let mut allowed = None;
    for image in images {
        for secret in &image.secrets {
            let allowed = allowed.get_or_insert_with(|| allowed_in(&options.checkout));
            if !allowed.allows(&secret.source) {
                // Prepare refuses it too: a plan that asks for it was changed on the way.
                let what =
                    format!("hephy.yaml of the checkout does not let {} see {}", image.name, secret.source.text());
                return Err(Error::config(what).hint(format!(
                    "if it should, add `{}` to hephy.yaml and run prepare again",
                    AllowedSecrets::line_for(&secret.source)
                )));
            }
            values.extend(value(options, image, secret)?);
        }
    }
    Ok(values)
}

/// What `hephy.yaml` of the checkout allows; nothing where it cannot be read.
fn allowed_in(checkout: &Path) -> AllowedSecrets {
    let bytes = source::confine(checkout, ROOT_FILE).ok();
    let bytes = bytes.and_then(|path| crate::store::read_left(&path, crate::config::MAX_BYTES as u64).ok().flatten());
    let root = bytes.and_then(|bytes| parse_root(ROOT_FILE, &bytes).value);
    root.map(|root| root.secrets).unwrap_or_default()
}

/// The value of a secret; none for what no log could show as text.
fn value(options: &Options, image: &PlannedImage, secret: &Secret) -> Result<Option<String>> {
    let missing = |why: &str| {
        let what = format!("the secret `{}` of {} has no value: {} {why}", secret.id, image.name, secret.source.text());
        Error::config(what)
            .hint("give it to the build jobs; pipelines of forks and of unprotected branches often have no secrets")
    };
    let bytes = match &secret.source {
        SecretSource::Env(name) => {
            let value = options.environment.get(name).filter(|value| !value.is_empty());
            return value.cloned().map(Some).ok_or_else(|| missing("is not set"));
        }
        SecretSource::File(path) => {
            let read = place(&options.checkout, path).and_then(|place| crate::store::read_named(&place, MAX_SECRET));
            match read {
                Ok(Some(found)) if !found.is_empty() => found,
                Ok(Some(_)) => return Err(missing("is empty")),
                Ok(None) => return Err(missing("does not exist")),
                Err(error) => return Err(missing("cannot be read").cause(error)),
            }
        }
    };
    Ok(String::from_utf8(bytes).ok())
}

/// The absolute path of a secret's file. One below the checkout may be a link that a commit brought along: it stays
/// inside.
fn place(checkout: &Path, path: &str) -> Result<PathBuf> {
    let absolute = Path::new(path);
    match absolute.strip_prefix(checkout) {
        Ok(inside) => source::confine(checkout, &inside.to_string_lossy()),
        Err(_) if absolute.is_absolute() => Ok(absolute.to_owned()),
        Err(_) => source::confine(checkout, path),
    }
}

/// What the builder is told.
pub(super) fn of_step(options: &Options, image: &PlannedImage) -> Result<Vec<StepSecret>> {
    let told = |secret: &Secret| {
        let value = match &secret.source {
            SecretSource::Env(name) => Value::Env(name.clone()),
            SecretSource::File(path) => Value::File(place(&options.checkout, path)?),
        };
        Ok(StepSecret { id: secret.id.clone(), value })
    };
    image.secrets.iter().map(told).collect()
}
