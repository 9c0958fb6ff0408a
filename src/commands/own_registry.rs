//! A plan arrives as an artifact, and an artifact can be replaced; the registry that it names gets this job's
//! credential. So the job must have named that registry itself.
//!
//! `HEPHY_REGISTRY` or `ECR_REGISTRY`, where one is set, must be the plan's. Without them `HEPHY_REGISTRY_PASSWORD` is
//! for the hosts that `hephy.yaml` and the platform name, and for no other. All other credentials know their host.

use std::path::Path;

use super::session::Session;
use crate::config::{self, ROOT_FILE};
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::registry::host_of;

/// Refuses a plan whose registry is not this job's.
///
/// # Errors
/// When the job names another registry, or holds a credential that nothing here allots to the plan's.
pub(super) fn confirm(session: &Session, root: &Path, plan: &Plan) -> Result<()> {
    let set = |name: &str| session.env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let Some(planned) = plan.registry.as_deref() else { return Ok(()) };
    let shown = escape_cut(planned, 160);
    let explicit = ["HEPHY_REGISTRY", "ECR_REGISTRY"].into_iter().find_map(|name| Some((name, set(name)?)));
    if let Some((name, own)) = explicit.filter(|(_, own)| *own != "none") {
        if own.trim_end_matches('/') == planned {
            return Ok(());
        }
        let own = escape_cut(own, 160);
        return Err(Error::config(format!("the plan is for the registry {shown}, and {name} names {own}")).hint(
            format!("give {name} the same value in all jobs; a --registry of prepare is not seen by the others"),
        ));
    }
    if set("HEPHY_REGISTRY_PASSWORD").is_none() {
        return Ok(());
    }
    let of_root = of_root_file(root)?;
    let github = set("GITHUB_REPOSITORY").map(|_| "ghcr.io");
    let own = [of_root.as_deref(), set("CI_REGISTRY_IMAGE"), github];
    if own.into_iter().flatten().filter_map(host_of).any(|host| Some(host) == host_of(planned)) {
        return Ok(());
    }
    Err(Error::config(format!("HEPHY_REGISTRY_PASSWORD is set, and nothing here says that it is for {shown}"))
        .hint(format!("set HEPHY_REGISTRY={shown} in this job too, if the plan is right about it")))
}

/// `registry` of `hephy.yaml`, where the checkout has one that can be used.
fn of_root_file(root: &Path) -> Result<Option<String>> {
    if root.join(ROOT_FILE).symlink_metadata().is_err() {
        return Ok(None);
    }
    let file = crate::source::confine(root, ROOT_FILE)?;
    let bytes = crate::store::read_left(&file, config::MAX_BYTES as u64)?;
    Ok(bytes.and_then(|bytes| config::parse_root(ROOT_FILE, &bytes).value).and_then(|root| root.registry))
}
