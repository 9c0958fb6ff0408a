//! Published images that planned ones are built on: each is looked up once, and one that nobody published joins the plan.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Network;
use crate::commands::planning::Planning;
use crate::commands::published::{CONCURRENT, Found, block_on, first_of};
use crate::config::Layout;
use crate::diagnostic::{Diagnostic, escape};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{ImageName, Platform, Repository, Tag};
use crate::plan::assemble::Candidate;
use crate::plan::{DependencyVia, PlannedSource, Reason, ReasonKind};

/// What the registry said of images that planned ones are built on, each asked for once.
#[derive(Debug, Default)]
pub struct Published(pub(super) BTreeMap<ImageName, Option<(Tag, Found)>>);

/// Looks up what planned images are built on. A dependency that is not published, or not for a platform, joins the
/// plan; then this says so, and is to be called again when the source of what joined is here.
///
/// # Errors
/// When the registry cannot be read, or what is needed can neither be had nor built.
pub fn join_unpublished(network: &Network, planning: &mut Planning, published: &mut Published) -> Result<bool> {
    refuse_lacking_platforms(&planning.candidates)?;
    let (layout, heads, needs) = (planning.facts.layout, &planning.heads, needs(&planning.candidates));
    let name = |need: &Need| planning.candidates[need.index].name.clone();
    let unknown = needs.iter().map(|need| (name(need), need)).filter(|(name, _)| !published.0.contains_key(name));
    let lookups = unknown.map(|(name, need)| async move {
        let found = look_up(network, layout, (&name, heads.get(&name)), need).await?;
        Ok((name, found))
    });
    let lookups: Vec<_> = lookups.collect();
    // In their order, so that of several failures it is always the same that is told.
    let found: Vec<_> = block_on(stream::iter(lookups).buffered(CONCURRENT).try_collect())?;
    published.0.extend(found);
    let mut joined = false;
    for need in needs {
        let found = published.0.get(&planning.candidates[need.index].name).and_then(Option::as_ref);
        let Some(why) = lacking(network, found, &need) else { continue };
        join(&mut planning.candidates[need.index], why, &need)?;
        joined = true;
    }
    Ok(joined)
}

/// Why what is published would not do.
fn lacking(network: &Network, found: Option<&(Tag, Found)>, need: &Need) -> Option<String> {
    let Some((_, found)) = found else {
        return Some(match network.registry {
            Some(_) => "it is needed and was never published".to_owned(),
            None => "it is needed, and there is no registry that could have it".to_owned(),
        });
    };
    let platform = need.platforms.iter().find(|platform| !found.platforms.contains_key(platform))?;
    Some(format!("{platform} is needed and was never published"))
}

fn join(candidate: &mut Candidate, why: String, need: &Need) -> Result<()> {
    if !candidate.problems.is_empty() {
        return Err(Error::config(format!("{} is needed ({}) and cannot be built", candidate.name, need.place))
            .diagnostics(std::mem::take(&mut candidate.problems)));
    }
    if matches!(&candidate.source, PlannedSource::Remote { commit: None, .. })
        && candidate.config.manual_images.is_none()
    {
        let sentence = format!("{} is needed ({}), and its source cannot be had", candidate.name, need.place);
        return Err(Error::new(ErrorKind::CloneError, sentence).hint("the warning above says why"));
    }
    candidate.reasons.push(Reason { kind: ReasonKind::Unpublished, text: why });
    Ok(())
}

/// An image that is built on another one for a platform needs that one for it too.
fn refuse_lacking_platforms(candidates: &[Candidate]) -> Result<()> {
    let mut findings = Vec::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_built()) {
        for edge in candidate.edges.iter().filter(|edge| !candidates[edge.to].reasons.is_empty()) {
            let on = &candidates[edge.to];
            let Some(line) = line_of(&edge.via) else { continue };
            let lacks = edge.platforms.iter().find(|it| !on.config.platforms.contains(it));
            findings.extend(lacks.map(|platform| {
                let span = crate::diagnostic::Span::new(line.max(1), 1, 1);
                let message = format!("{} is not built for {platform}, {} is", on.name, candidate.name);
                Diagnostic::error(escape(&candidate.dockerfile()), span, message).note(format!(
                    "the platforms of {} are {}",
                    on.name,
                    list(&on.config.platforms)
                ))
            }));
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::config("images are built on others that lack a platform")
        .diagnostics(findings)
        .hint("give both images the same platforms"))
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The line of the Dockerfile that pulls the other image; none for `depends_on`, which only gives the order.
const fn line_of(via: &DependencyVia) -> Option<usize> {
    match via {
        DependencyVia::Variable { line, .. } | DependencyVia::Reference { line, .. } => Some(*line),
        DependencyVia::DependsOn => None,
    }
}

/// One image that planned ones need, and the first place that needs it.
struct Need {
    index: usize,
    /// What it would be built from now.
    key: String,
    platforms: BTreeSet<Platform>,
    place: String,
}

fn needs(candidates: &[Candidate]) -> Vec<Need> {
    let mut needs: BTreeMap<usize, Need> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_built()) {
        for edge in candidate.edges.iter().filter(|edge| candidates[edge.to].reasons.is_empty()) {
            let file = || escape(&candidate.dockerfile());
            let place = match &edge.via {
                DependencyVia::Variable { name, line } => format!("{}:{line} uses {name}", file()),
                DependencyVia::Reference { text, line } => format!("{}:{line} names {}", file(), escape(text)),
                DependencyVia::DependsOn => format!("{} depends_on it", escape(&candidate.dir)),
            };
            let need = needs.entry(edge.to).or_insert(Need {
                index: edge.to,
                key: candidates[edge.to].input_key.clone(),
                platforms: BTreeSet::new(),
                place,
            });
            if line_of(&edge.via).is_some() {
                need.platforms.extend(edge.platforms.iter().cloned());
            }
        }
    }
    needs.into_values().collect()
}

/// The published image: `<dep>-latest`, else `<dep>-head`; before both the one that was built from what is here now.
/// `head` is what the comparison read of it.
async fn look_up(
    network: &Network,
    layout: Layout,
    (name, head): (&ImageName, Option<&Found>),
    need: &Need,
) -> Result<Option<(Tag, Found)>> {
    let Some(registry) = &network.registry else { return Ok(None) };
    let repository = layout.repository_of(registry, name);
    let invalid = |error: crate::oci::Invalid| Error::config(format!("{name} cannot be looked up")).cause(error);
    let repository = Repository::parse(&repository).map_err(invalid)?;
    let tags = [layout.tag_of(name, "latest"), layout.tag_of(name, "head")];
    let tags = tags.iter().map(|tag| Tag::parse(tag)).collect::<std::result::Result<Vec<_>, _>>().map_err(invalid)?;
    let known: Vec<_> = tags.last().zip(head).into_iter().collect();
    first_of(&network.client, &repository, &tags, &known, &need.key).await.map_err(|error| {
        let advice = "the images that others are built on must be readable, in check runs too";
        let hint = error.hint_text().map_or_else(|| advice.to_owned(), |hint| format!("{hint}\n{advice}"));
        Error::new(error.kind(), format!("{name} could not be looked up in {repository}; {}", need.place))
            .cause(error)
            .hint(hint)
    })
}
