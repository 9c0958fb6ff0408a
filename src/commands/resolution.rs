//! What only the network knows: the Dockerfiles of upstream repositories, published images that planned ones are
//! built on, and the digests of external bases (specification §7 and §8).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::planning::Planning;
use super::published::{CONCURRENT, Found, block_on, client, first_of, look_up_all};
use super::session::Session;
use super::survey::preflight;
use crate::config::{Layout, Spans};
use crate::diagnostic::{Diagnostic, Severity, escape};
use crate::dockerfile::{self, Dockerfile};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{ImageName, Platform, Repository, Tag};
use crate::plan::assemble::{Candidate, Resolved};
use crate::plan::graph::{Names, Node, cycle_finding, order};
use crate::plan::there::{There, key_by_what_is_there};
use crate::plan::{DependencyVia, Mode, Plan, PlannedSource, Reason, ReasonKind};
use crate::registry::{Client, Settings};

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
    /// See [`super::manifest::check_immutable_tags`].
    pub fn check_immutable_tags(&self, plan: &Plan) -> Result<()> {
        match &self.registry {
            Some(registry) => block_on(super::manifest::check_immutable_tags(&self.client, plan, registry)),
            None => Ok(()),
        }
    }
}

/// Reads the Dockerfiles of upstream archives, now that they are here: an image of another repository may be built
/// on one of this one, and has bases too.
///
/// # Errors
/// When a Dockerfile is missing or malformed, refers to what is not there, or closes a circle.
pub fn add_upstream_dockerfiles(planning: &mut Planning, out: &Path) -> Result<()> {
    let mut found: Vec<(usize, String, Dockerfile)> = Vec::new();
    for (index, candidate) in planning.candidates.iter().enumerate() {
        let PlannedSource::Remote { archive: Some(archive), archive_digest: Some(digest), .. } = &candidate.source
        else {
            continue;
        };
        if candidate.reasons.is_empty() || !candidate.backend.reads_dockerfile() {
            continue;
        }
        let path = &candidate.config.dockerfile_path;
        let bytes = crate::source::read_file(&out.join(archive), digest, path, dockerfile::MAX_BYTES)?;
        let shown = candidate.dockerfile();
        let Some(bytes) = bytes else {
            return Err(Error::config(format!("the source of {} has no {}", candidate.name, escape(path)))
                .hint(format!("dockerfile_path of {} is relative to the upstream repository's root", candidate.dir)));
        };
        let parsed = Dockerfile::parse(&shown, &bytes).map_err(|finding| {
            Error::config(format!("the Dockerfile of {} is malformed", candidate.name)).diagnostics(vec![*finding])
        })?;
        let asked = preflight::of_dockerfile(&shown, &parsed, &candidate.config);
        let mut objections =
            crate::backend::preflight::findings(&asked, candidate.backend, planning.version_of(candidate.backend));
        objections.retain(|finding| finding.severity == Severity::Error);
        if planning.preflight && !objections.is_empty() {
            let sentence =
                format!("{} would not build the Dockerfile of {} as it is written", candidate.backend, candidate.name);
            return Err(Error::config(sentence).diagnostics(objections).hint(format!(
                "set another build_backend in {}; the Dockerfile is in another repository, so nothing is rerouted",
                candidate.dir
            )));
        }
        let foreign = parsed.foreign_frontends(&shown, &planning.sides.survey.root.syntax_frontends);
        if !foreign.is_empty() {
            let sentence = format!("the Dockerfile of {} names a frontend that is not allowed", candidate.name);
            return Err(Error::config(sentence).diagnostics(foreign));
        }
        found.push((index, shown, parsed));
    }
    if found.is_empty() {
        return Ok(());
    }
    let registry = planning.facts.registry.clone();
    let spans = Spans::default();
    let nodes: Vec<Node<'_>> = planning
        .candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| {
            let own = found.iter().find(|(at, ..)| *at == index);
            upstream_node(candidate, own.map(|(_, shown, parsed)| (shown.as_str(), parsed)), &spans)
        })
        .collect();
    let names = Names::new(&nodes, registry.as_deref(), planning.facts.layout);
    let mut additions = Vec::new();
    for (index, ..) in &found {
        let uses = names.uses_of(&nodes[*index]);
        if uses.problems.iter().any(|finding| finding.severity == Severity::Error) {
            let sentence =
                format!("the Dockerfile of {} refers to what is not there", planning.candidates[*index].name);
            return Err(Error::config(sentence).diagnostics(uses.problems));
        }
        additions.push((*index, uses));
    }
    refuse_cycle(&planning.candidates, &nodes, &additions)?;
    for (index, uses) in additions {
        for edge in uses.edges {
            let name = planning.candidates[edge.to].name.clone();
            let candidate = &mut planning.candidates[index];
            if candidate.edges.iter().all(|known| known.to != edge.to) {
                planning.warnings.push(format!(
                    "{} is built on {name} in another repository's Dockerfile: list {name} in its depends_on, so that \
                     changes travel",
                    candidate.name
                ));
            }
            if !candidate.edges.contains(&edge) {
                candidate.edges.push(edge);
            }
        }
        let known = &mut planning.candidates[index].bases;
        let new: Vec<_> = uses.bases.into_iter().filter(|base| !known.contains(base)).collect();
        known.extend(new);
    }
    Ok(())
}

fn upstream_node<'a>(
    candidate: &'a Candidate,
    dockerfile: Option<(&'a str, &'a Dockerfile)>,
    spans: &'a Spans,
) -> Node<'a> {
    let args = candidate.config.build_args.iter();
    Node {
        name: &candidate.name,
        dir: &candidate.dir,
        config_file: &candidate.dir,
        spans,
        depends_on: &[],
        additional_tags: &candidate.config.additional_tags,
        dockerfile,
        target: candidate.config.target.as_deref(),
        build_args: args.map(|arg| (arg.name.clone(), arg.value.clone())).collect(),
        expands_sources: candidate.backend.expands_sources(),
        platforms: &candidate.config.platforms,
    }
}

fn refuse_cycle(
    candidates: &[Candidate],
    nodes: &[Node<'_>],
    additions: &[(usize, crate::plan::graph::Uses)],
) -> Result<()> {
    let mut uses: Vec<crate::plan::graph::Uses> = candidates
        .iter()
        .map(|candidate| crate::plan::graph::Uses { edges: candidate.edges.clone(), ..Default::default() })
        .collect();
    for (index, more) in additions {
        uses[*index].edges.extend(more.edges.iter().cloned());
    }
    let edges: Vec<Vec<usize>> = uses.iter().map(|uses| uses.edges.iter().map(|edge| edge.to).collect()).collect();
    order(&edges).map(|_| ()).map_err(|cycle| {
        Error::config("images are built on each other in a circle")
            .diagnostics(vec![cycle_finding(nodes, &uses, &cycle)])
    })
}

/// What the registry said of images that planned ones are built on, each asked for once.
#[derive(Debug, Default)]
pub struct Published(BTreeMap<ImageName, Option<(Tag, Found)>>);

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
    block_on(resolve_bases(network, planning, &mut resolved))?;
    Ok(resolved)
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

async fn resolve_bases(network: &Network, planning: &mut Planning, resolved: &mut Resolved) -> Result<()> {
    let planned = || planning.candidates.iter().filter(|candidate| candidate.is_built());
    let references: BTreeSet<&str> =
        planned().flat_map(|candidate| &candidate.bases).map(|base| base.reference.as_str()).collect();
    let known = &planning.known_bases;
    let unknown = references.into_iter().filter(|reference| !known.contains_key(*reference));
    let mut found = look_up_all(&network.client, unknown).await;
    found.extend(known.iter().map(|(reference, image)| (reference.as_str(), Ok(Some(image.clone())))));
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
            match found.get(base.reference.as_str()) {
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
    planning.warnings.extend(warnings.into_iter().collect::<BTreeSet<_>>());
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::config("base images are missing")
        .diagnostics(findings)
        .hint("take the platform away, or choose a base that exists for all of them"))
}

fn exists_for(image: &Found) -> String {
    let platforms: Vec<String> = image.platforms.keys().map(ToString::to_string).collect();
    format!("it exists for {}", platforms.join(", "))
}
