//! The digests of external bases, for each platform.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{Network, triggers};
use crate::commands::planning::Planning;
use crate::commands::published::{Found, look_up_all, meaning};
use crate::diagnostic::{Diagnostic, escape};
use crate::error::{Error, Result};
use crate::plan::assemble::Resolved;

/// Looks up the digests of the bases of what is built.
///
/// # Errors
/// When one does not exist for a wanted platform.
pub(super) async fn resolve(network: &Network, planning: &mut Planning, resolved: &mut Resolved) -> Result<()> {
    let planned = || planning.candidates.iter().filter(|candidate| candidate.is_built());
    let references: BTreeSet<&str> =
        planned().flat_map(|candidate| &candidate.bases).map(|base| base.reference.as_str()).collect();
    // What was looked up for the decision is not asked for again, however it is written.
    let known: BTreeMap<String, &Found> =
        planning.known_bases.iter().map(|(text, found)| (meaning(text), found)).collect();
    let (known, unknown): (Vec<_>, Vec<_>) =
        references.into_iter().map(|text| (text, known.get(&meaning(text)))).partition(|(_, known)| known.is_some());
    let mut found = look_up_all(&network.client, unknown.into_iter().map(|(text, _)| text)).await;
    found.extend(known.into_iter().filter_map(|(text, image)| Some((text, Rc::new(Ok(Some((*image?).clone())))))));
    let mut findings = Vec::new();
    let mut warnings = Vec::new();
    for candidate in planned() {
        for base in &candidate.bases {
            let place = escape(&candidate.dockerfile());
            let shown = escape(&base.reference);
            let finding = |message: String| {
                let span = crate::diagnostic::Span::new(base.line.max(1), 1, 1);
                Diagnostic::error(&place, span, message)
            };
            match found.get(base.reference.as_str()).map(|answer| &**answer) {
                Some(Ok(Some(image))) => {
                    // `FROM --platform=…` names the platform of the stage itself, which need not be a wanted one.
                    let other = base.platform.is_some();
                    for platform in base.wanted_for.iter().map(|wanted| base.platform_for(wanted)) {
                        match image.platforms.get(&platform) {
                            Some(digest) => {
                                let digests = resolved.bases.entry(base.reference.clone()).or_default();
                                digests.insert(platform.clone(), digest.clone());
                            }
                            None if other => {}
                            None => findings.push(
                                finding(format!("{shown} does not exist for {platform}")).note(exists_for(image)),
                            ),
                        }
                    }
                }
                Some(Ok(None)) => findings.push(finding(format!("{shown} does not exist"))),
                Some(Err(error)) => warnings.push(format!(
                    "{place}:{}: {shown} could not be looked up, so its platforms are not checked: {error}",
                    base.line
                )),
                None => {}
            }
        }
    }
    let warnings: BTreeSet<String> = warnings.into_iter().collect();
    if !findings.is_empty() {
        planning.warnings.extend(warnings);
        return Err(Error::config("base images are missing")
            .diagnostics(findings)
            .hint("take the platform away, or choose a base that exists for all of them"));
    }
    let unread = triggers::refuse_uncounted(&network.client, planning, &found).await?;
    planning.warnings.extend(warnings.into_iter().chain(unread));
    Ok(())
}

fn exists_for(image: &Found) -> String {
    let platforms: Vec<String> = image.platforms.keys().map(ToString::to_string).collect();
    format!("it exists for {}", platforms.join(", "))
}
