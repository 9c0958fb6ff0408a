//! What only the network knows: the Dockerfiles of upstream repositories, published images that planned ones are
//! built on, and the digests of external bases (specification §7 and §8).

mod bases;
mod dependencies;
mod triggers;
mod upstream;

use super::planning::Planning;
use super::published::{block_on, client};
use super::session::Session;
use crate::error::{Error, Result};
use crate::plan::assemble::Resolved;
use crate::plan::graph::order;
use crate::plan::there::{There, key_by_what_is_there};
use crate::plan::{Mode, Plan};
use crate::registry::{Client, Settings};

pub use dependencies::{Published, join_unpublished};
pub use upstream::add_upstream_dockerfiles;

/// The registry as prepare sees it.
pub struct Network {
    client: Client,
    registry: Option<String>,
}

impl Network {
    /// A client with the credentials of the environment.
    ///
    /// # Errors
    /// When `HEPHY_INSECURE_REGISTRIES` holds something that is no host.
    pub fn new(session: &Session, registry: Option<&str>) -> Result<Self> {
        let settings = Settings::from_env(&session.env, registry)?;
        Ok(Self { client: client(settings, &session.report), registry: registry.map(str::to_owned) })
    }

    /// Fails when tags that this plan writes exist where tags cannot move.
    ///
    /// # Errors
    /// See [`crate::commands::manifest::check_immutable_tags`].
    pub fn check_immutable_tags(&self, plan: &Plan) -> Result<()> {
        match &self.registry {
            Some(registry) => block_on(crate::commands::manifest::check_immutable_tags(&self.client, plan, registry)),
            None => Ok(()),
        }
    }
}

/// Looks up the digests of external bases and puts everything together.
///
/// # Errors
/// When a base does not exist for a wanted platform.
pub fn resolve(network: &Network, planning: &mut Planning, published: Published) -> Result<Resolved> {
    let edges = planning.candidates.iter().map(|it| it.edges.iter().map(|edge| edge.to).collect());
    let order = order(&edges.collect::<Vec<_>>()).map_err(|_| Error::internal("the images form a circle"))?;
    let there = published.0.iter().filter_map(|(name, found)| Some((name, &found.as_ref()?.1)));
    let there = there.map(|(name, found)| (name, There { key: found.input_key.as_ref(), digest: &found.digest }));
    // A check run publishes no key that somebody could be misled by.
    if planning.facts.mode == Mode::Publish {
        let warnings = key_by_what_is_there(&mut planning.candidates, &order, &there.collect());
        planning.warnings.extend(warnings);
    }
    let found = published.0.into_iter().filter_map(|(name, found)| Some((name, found?)));
    let dependencies = found.map(|(name, (tag, found))| (name, (tag, found.digest))).collect();
    let mut resolved = Resolved { dependencies, ..Resolved::default() };
    block_on(bases::resolve(network, planning, &mut resolved))?;
    Ok(resolved)
}
