//! `hephy generate`: what platforms make jobs of, out of the plan that prepare left.

pub mod github;
pub mod gitlab;

use super::session::Session;
use crate::cli::Generate;
use crate::error::Result;

/// Runs the command.
///
/// # Errors
/// Those of the document that is asked for.
pub fn run(session: &Session, what: &Generate) -> Result<()> {
    match what {
        Generate::Github(args) => github::run(session, args),
        Generate::Gitlab(args) => gitlab::run(session, args),
    }
}
