//! What only the platform knows: the last successful pipeline of a branch, and what changed since a commit that git
//! cannot fetch any more (specification §6).
//!
//! [`github`] and [`gitlab`] are pure: values become questions, bytes become answers. [`client`] asks, and knows no
//! platform. Nothing here decides what is built.
//!
//! Invariants: the token goes to the API's own origin and nowhere else, over https or to this machine, and is never
//! shown; bodies and times are bounded; an answer that is truncated, malformed or about something else is no answer.

mod api;
mod client;
mod github;
mod gitlab;

use std::collections::BTreeSet;

pub use api::{Listed, Range, Side, Trouble};

use api::{Api, Malformed};
use client::Client;

use crate::change::Oid;
use crate::ci::{Env, Platform, platform};

/// Pages of a list of pipelines that are read: what lies behind them is as if there were none.
const MAX_PAGES: u32 = 3;

/// The API of the platform that a job runs on.
pub struct Forge {
    api: Box<dyn Api>,
    client: Client,
}

impl Forge {
    /// What the environment of a job says; none outside of a platform.
    ///
    /// # Errors
    /// When it says it wrongly, or the API cannot be spoken to safely.
    pub fn of_job(env: &Env) -> Result<Option<Self>, Trouble> {
        let (api, root): (Box<dyn Api>, String) = match platform(env) {
            Platform::Github => (Box::new(github::Github::of_job(env)?), github::root(env)),
            Platform::Gitlab => (Box::new(gitlab::Gitlab::of_job(env)?), gitlab::root(env)?),
            Platform::Other | Platform::Local => return Ok(None),
        };
        let client = Client::new(env, &root, api.headers(), api.name())?;
        Ok(Some(Self { api, client }))
    }

    /// The platform's name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.api.name()
    }

    /// The commit of the last successful pipeline of a branch before this one.
    ///
    /// # Errors
    /// When the API refuses, fails, or answers something else.
    pub async fn last_success(&self, branch: &str) -> Result<Option<Oid>, Trouble> {
        for page in 1..=MAX_PAGES {
            let ask = self.api.runs(branch, page);
            let body = self.client.get(&ask).await.map_err(|failed| self.explained(failed, "pipelines"))?;
            let runs = self.api.read_runs(&body, branch).map_err(|why| self.odd(&why))?;
            if let Some(commit) = runs.earlier.first() {
                return Ok(Some(*commit));
            }
            if runs.is_last {
                break;
            }
        }
        Ok(None)
    }

    /// The paths that differ, or more than those, never less.
    ///
    /// # Errors
    /// When the API refuses, fails, answers something else, or does not tell all of them.
    pub async fn changed_paths(&self, range: &Range) -> Result<Vec<Listed>, Trouble> {
        let (mut paths, both_ways) = self.compared(range).await?;
        if both_ways && let Some(back) = range.reversed() {
            // Seen from where the two sides parted: what this side changed, and what the other one did.
            let (other, _) = self.compared(&back).await?;
            paths.extend(other.into_iter().map(|listed| Listed { side: Side::Unsaid, ..listed }));
        }
        let mut seen = BTreeSet::new();
        paths.retain(|listed| seen.insert((listed.path.clone(), listed.side)));
        Ok(paths)
    }

    async fn compared(&self, range: &Range) -> Result<(Vec<Listed>, bool), Trouble> {
        let ask = self.api.comparison(range);
        let body = self.client.get(&ask).await.map_err(|failed| self.explained(failed, "comparison"))?;
        let found = self.api.read_comparison(&body, range).map_err(|why| self.odd(&why))?;
        if found.truncated {
            return Err(Trouble::new(
                format!("{} does not list all that changed: there is too much", self.name()),
                "fetch the whole history in this job (GIT_DEPTH: 0, fetch-depth: 0)",
            ));
        }
        // A name that is not UTF-8 is not what the platform shows.
        if found.paths.iter().any(|listed| listed.path.to_string().contains('\u{fffd}')) {
            return Err(self.odd(&Malformed("a file name is not UTF-8".to_owned())));
        }
        Ok((found.paths, found.both_ways))
    }

    fn odd(&self, why: &Malformed) -> Trouble {
        Trouble::new(
            format!("{} answered something that is no answer: {}", self.name(), why.0),
            format!("does {} name the API of this {}?", self.api.root_variable(), self.name()),
        )
    }

    fn explained(&self, failed: client::Failed, about: &str) -> Trouble {
        let silent = failed.class == client::Class::Silent;
        Trouble { hint: self.hint(&failed, about), what: failed.what, silent }
    }

    fn hint(&self, failed: &client::Failed, about: &str) -> String {
        match failed.class {
            client::Class::Refused => self.api.rights(about),
            client::Class::Limited => {
                format!("{} limits requests: HEPHY_API_TOKEN may have a higher limit", self.name())
            }
            client::Class::Failing | client::Class::Silent => {
                format!("is {} well, and {} right?", self.name(), self.api.root_variable())
            }
        }
    }
}
