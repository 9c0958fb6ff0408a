//! Which builders there are to choose from, and what becomes of images that theirs would not build as written
//! (specification §8, "Preflight").

use crate::backend::{Version, declared_backends};
use crate::commands::session::Session;
use crate::config::BackendName;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};

/// `HEPHY_PREFLIGHT`; wins over `hephy.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Stop with line and reason.
    Stop,
    /// Take another builder.
    Reroute,
    /// Build whatever comes of it.
    Off,
}

/// What the environment says.
///
/// # Errors
/// When it is another word.
pub fn choice(session: &Session) -> Result<Option<Choice>> {
    match session.env.get("HEPHY_PREFLIGHT").map_or("", |word| word.trim()) {
        "" => Ok(None),
        "stop" => Ok(Some(Choice::Stop)),
        "reroute" => Ok(Some(Choice::Reroute)),
        "off" => Ok(Some(Choice::Off)),
        other => Err(Error::usage(format!("HEPHY_PREFLIGHT cannot be `{}`", escape_cut(other, 80)))
            .hint("one of stop, reroute, off")),
    }
}

/// Builders that images may be built with instead, and their versions where they are known: those that jobs declare
/// (`HEPHY_BACKENDS`), else those of this machine when builds run on it.
///
/// # Errors
/// When `HEPHY_BACKENDS` names no builder.
pub(super) fn offers(session: &Session, on_this_machine: bool) -> Result<Vec<(BackendName, Option<Version>)>> {
    let declared = session.env.get("HEPHY_BACKENDS").filter(|text| !text.trim().is_empty());
    if let Some(text) = declared {
        return Ok(declared_backends(text)?.into_iter().collect());
    }
    let found = if on_this_machine { crate::commands::builders::found() } else { Vec::new() };
    Ok(found.into_iter().map(|backend| (backend, None)).collect())
}
