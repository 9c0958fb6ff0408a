//! From surveyed images to the plan's candidates: tags, build arguments, upstream commits, offers of the runners.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::{declared_arches, declared_backends};
use crate::change::Keyed;
use crate::commands::session::Session;
use crate::commands::survey::settings::is_secret;
use crate::commands::survey::{Image, Rules, Survey, UpstreamCommits, crew};
use crate::config::{BackendName, ContextFrom, ImageConfig, Source};
use crate::diagnostic::{Diagnostic, Severity, Span, escape};
use crate::error::{Error, Result};
use crate::oci::ImageName;
use crate::plan::args::{ArgProblem, Variables, expand};
use crate::plan::assemble::Candidate;
use crate::plan::graph::{Edge, ExternalBase};
use crate::plan::standing::Reuse;
use crate::plan::tags::{GitTag, ImageTags, TagFacts, TagInput, Version};
use crate::plan::{PlannedSource, Reason, Rerouted, UnchangedImage};

/// What `${VAR}` in build arguments may name.
struct Known<'a> {
    session: &'a Session,
    survey: &'a Survey,
    registry: Option<&'a str>,
}

impl Variables for Known<'_> {
    fn registry(&self) -> Option<&str> {
        self.registry
    }

    fn allowed(&self, name: &str) -> Option<Option<String>> {
        let allowed = self.survey.root.build_args_env.iter().any(|allowed| allowed == name);
        allowed.then(|| self.session.env.get(name).cloned())
    }

    fn is_secret(&self, name: &str) -> bool {
        is_secret(&self.survey.root, name)
    }
}

/// The version of every image, by index (specification §5): what the file of `version_from` says, else the upstream ref,
/// else the git tag where it is about the image.
pub(super) fn versions(survey: &Survey, facts: &TagFacts) -> Vec<Option<Version>> {
    let images: Vec<(&str, &str)> =
        survey.images.iter().map(|image| (image.name.as_str(), image.dir.as_str())).collect();
    let tag = facts.tag.as_deref().and_then(GitTag::parse);
    let about = tag.as_ref().map(|tag| tag.about(&images)).unwrap_or_default();
    let version = |(index, image): (usize, &Arc<Image>)| match &image.config()?.source {
        Source::Remote { repository, reference } => {
            let name = repository.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
            Version::of_upstream(reference, &[name.trim_end_matches(".git"), image.name.as_str(), &image.dir])
        }
        Source::Local { .. } if image.config()?.version_from.is_some() => image.version.clone(),
        Source::Local { .. } => tag.as_ref().filter(|_| about.contains(&index)).map(|tag| tag.version.clone()),
    };
    survey.images.iter().enumerate().map(version).collect()
}

/// The tags of every image with a valid configuration, by index.
///
/// # Errors
/// For every tag of a `wanted` image that is illegal, and for two images that would write the same tag.
pub(super) fn all_tags(
    survey: &Survey,
    wanted: impl Fn(usize) -> bool,
    facts: &TagFacts,
    versions: &[Option<Version>],
) -> Result<BTreeMap<usize, ImageTags>> {
    let (tags, findings) = tags_and_findings(survey, facts, versions, wanted);
    if findings.is_empty() {
        return Ok(tags);
    }
    Err(Error::config("these tags cannot be written").diagnostics(findings))
}

/// The tags of the images that have legal ones, and what is wrong with those of the `wanted` images.
pub(super) fn tags_and_findings(
    survey: &Survey,
    facts: &TagFacts,
    versions: &[Option<Version>],
    wanted: impl Fn(usize) -> bool,
) -> (BTreeMap<usize, ImageTags>, Vec<Diagnostic>) {
    let images = survey.images.iter().enumerate().filter(|(_, image)| image.illegal.is_none());
    let images: Vec<_> = images.filter_map(|(index, image)| Some((index, image, image.config()?))).collect();
    let all = crew::map(&images, |(index, image, config)| {
        tags_of(image, config, facts, versions.get(*index).and_then(Option::as_ref))
    });
    let mut tags = BTreeMap::new();
    let mut findings = Vec::new();
    for ((index, ..), found) in images.into_iter().zip(all) {
        match found {
            Ok(found) => drop(tags.insert(index, found)),
            Err(problems) if wanted(index) => findings.extend(problems),
            Err(_) => {}
        }
    }
    findings.extend(collisions(survey, facts, &tags));
    (tags, findings)
}

/// The tags of one image.
///
/// # Errors
/// For every tag that is illegal or has no value in this run.
fn tags_of(
    image: &Image,
    config: &ImageConfig,
    facts: &TagFacts,
    version: Option<&Version>,
) -> std::result::Result<ImageTags, Vec<Diagnostic>> {
    let input = TagInput {
        name: &image.name,
        upstream_ref: match &config.source {
            Source::Remote { reference, .. } => Some(reference),
            Source::Local { .. } => None,
        },
        version,
        template: config.tag_template.as_deref(),
        additional: &config.additional_tags,
        platforms: &config.platforms,
    };
    facts.tags_of(&input).map_err(|problems| {
        let finding = |field: &str, message| Diagnostic::error(&image.file, image.parsed.spans.of(field), message);
        problems.into_iter().map(|problem| finding(&problem.field, problem.message)).collect()
    })
}

/// Two images that would write the same tag (specification §3): `a` with `b-latest`, and `a-b` with `latest`.
fn collisions(survey: &Survey, facts: &TagFacts, tags: &BTreeMap<usize, ImageTags>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    // In layout `per-image` a repository is the image's own; names that differ in case only are refused elsewhere.
    if facts.layout == crate::config::Layout::PerImage {
        return findings;
    }
    let mut owners: HashMap<&str, usize> = HashMap::with_capacity(8 * tags.len());
    for (index, found) in tags {
        let image = &survey.images[*index];
        for tag in found.index.iter().chain(found.by_arch.values()) {
            let owner = *owners.entry(tag.as_str()).or_insert(*index);
            if owner != *index {
                let other = &survey.images[owner];
                findings.push(Diagnostic::error(
                    &image.file,
                    image.parsed.spans.of("additional_tags"),
                    format!("`{}` and `{}` would both write the tag {tag}", other.dir, image.dir),
                ));
                break;
            }
        }
    }
    findings
}

/// Everything that was decided, to be put together.
pub(super) struct Parts<'a> {
    pub(super) survey: &'a Survey,
    pub(super) rules: &'a Rules<'a>,
    pub(super) facts: &'a TagFacts,
    pub(super) registry: Option<&'a str>,
    pub(super) keyed: &'a [Option<Arc<Keyed>>],
    pub(super) decided: Vec<Vec<Reason>>,
    pub(super) reused: BTreeMap<usize, Reuse>,
    pub(super) tags: BTreeMap<usize, ImageTags>,
    pub(super) versions: &'a [Option<Version>],
    pub(super) commits: &'a UpstreamCommits,
}

/// The candidates, and the warnings on the way. Images that have no key (their configuration is invalid) are left
/// out; nothing that is to be built is among them.
///
/// # Errors
/// For every build argument that cannot be expanded.
pub(super) fn candidates(session: &Session, mut parts: Parts<'_>) -> Result<Vec<Candidate>> {
    let known = Known { session, survey: parts.survey, registry: parts.registry };
    let position = positions(&parts);
    let mut candidates = Vec::with_capacity(position.len());
    let mut findings = Vec::new();
    for (index, image) in parts.survey.images.iter().enumerate() {
        let (Some(config), Some(keyed)) = (image.config(), &parts.keyed[index]) else { continue };
        if !position.contains_key(&index) {
            continue;
        }
        let uses = &parts.survey.uses[index];
        let planned = !parts.decided[index].is_empty();
        let dependencies: Vec<&ImageName> =
            parts.survey.edges[index].iter().map(|to| &parts.survey.images[*to].name).collect();
        let mut problems: Vec<Diagnostic> = errors(image.problems.iter().chain(&uses.problems));
        let version = parts.versions[index].as_ref();
        // Tags that have no value in this run matter to nobody until the image must be built.
        let tags = parts.tags.remove(&index).map_or_else(|| tags_of(image, config, parts.facts, version), Ok);
        let tags = tags.unwrap_or_else(|findings| {
            problems.extend(findings);
            ImageTags::default()
        });
        let args = expand(&config.build_args, (parts.facts, version), &known, &dependencies);
        let args = args.unwrap_or_else(|unexpanded| {
            let concerned = if planned { &mut findings } else { &mut problems };
            concerned.extend(argument_findings(image, unexpanded));
            Vec::new()
        });
        let edges = uses.edges.iter().filter_map(|edge| Some(Edge { to: *position.get(&edge.to)?, ..edge.clone() }));
        candidates.push(Candidate {
            name: image.name.clone(),
            dir: image.dir.clone(),
            config: Arc::clone(config),
            input_key: keyed.key.to_string(),
            built_on: BTreeMap::new(),
            reasons: std::mem::take(&mut parts.decided[index]),
            reused: parts.reused.remove(&index),
            tags,
            version: version.map(|version| version.as_str().to_owned()),
            args,
            source: planned_source(image, config, parts.commits.get(&index)),
            backend: image.backend(parts.rules),
            rerouted: image
                .rerouted
                .as_ref()
                .map(|rerouted| Rerouted { from: rerouted.from, reason: rerouted.reason.clone() }),
            edges: edges.collect(),
            bases: bases(config, image.backend(parts.rules), &uses.bases),
            problems,
        });
    }
    if findings.is_empty() {
        Ok(candidates)
    } else {
        Err(Error::config("these build arguments have no value").diagnostics(findings))
    }
}

/// Images that nobody made a key for.
pub(super) fn left_alone(survey: &Survey, keyed: &[Option<Arc<Keyed>>]) -> Vec<UnchangedImage> {
    let images = survey.images.iter().zip(keyed);
    let left = images.filter(|(image, keyed)| keyed.is_none() && image.config().is_some() && image.illegal.is_none());
    left.map(|(image, _)| UnchangedImage { name: image.name.clone(), dir: image.dir.clone() }).collect()
}

/// What is wrong with build arguments, at their places.
pub(super) fn argument_findings(
    image: &crate::commands::survey::Image,
    problems: Vec<ArgProblem>,
) -> impl Iterator<Item = Diagnostic> {
    problems.into_iter().map(|problem| {
        let mut finding = Diagnostic::error(&image.file, argument_span(image, &problem.field), problem.message);
        finding.notes.extend(problem.note);
        finding
    })
}

/// Where a build argument stands: `build_args[N]` in a list, under its name in a mapping.
fn argument_span(image: &crate::commands::survey::Image, field: &str) -> Span {
    let spans = &image.parsed.spans;
    let at = field.strip_prefix("build_args[").and_then(|rest| rest.strip_suffix(']')?.parse::<usize>().ok());
    let argument = at.and_then(|at| image.config()?.build_args.get(at));
    let named = argument.map_or(Span::START, |argument| spans.of(&format!("build_args.{}", argument.name)));
    if named == Span::START { spans.of(field) } else { named }
}

fn errors<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> Vec<Diagnostic> {
    findings.filter(|finding| finding.severity == Severity::Error).cloned().collect()
}

/// Index among the candidates by index among the images.
fn positions(parts: &Parts<'_>) -> BTreeMap<usize, usize> {
    let usable = |index: &usize| parts.keyed[*index].is_some() && parts.survey.images[*index].illegal.is_none();
    (0..parts.survey.images.len()).filter(usable).enumerate().map(|(to, from)| (from, to)).collect()
}

fn planned_source(
    image: &crate::commands::survey::Image,
    config: &ImageConfig,
    commit: Option<&String>,
) -> PlannedSource {
    match &config.source {
        Source::Local { from: ContextFrom::Directory } => PlannedSource::Local { root: image.dir.clone() },
        Source::Local { from: ContextFrom::Repository } => PlannedSource::Local { root: ".".into() },
        Source::Remote { repository, reference } => PlannedSource::Remote {
            repository: repository.clone(),
            reference: reference.clone(),
            commit: commit.cloned(),
            archive: None,
            archive_digest: None,
            keep_git: config.keep_git,
            submodules: config.submodules,
        },
    }
}

/// The bases of the Dockerfile, and that of ko, which stands in no line of it.
pub(in crate::commands) fn bases(
    config: &ImageConfig,
    backend: BackendName,
    found: &[ExternalBase],
) -> Vec<ExternalBase> {
    let ko = config.ko_config.as_ref().filter(|_| backend == BackendName::Ko);
    let ko = ko.and_then(|ko| ko.base_image.clone()).map(|reference| ExternalBase {
        reference,
        platform: None,
        line: 0,
        from_line: None,
        wanted_for: config.platforms.clone(),
        underlying: true,
    });
    found.iter().cloned().chain(ko).collect()
}

/// What to do where no job builds for an architecture.
fn no_runner(session: &Session, arch: &str) -> String {
    let unset = crate::ci::runner_tag(&session.env, &format!("HEPHY_GITLAB_TAG_{}", arch.to_uppercase())).err();
    let add = unset.map_or_else(
        || "add a runner of this architecture".to_owned(),
        |name| format!("set {name} to the tag of a runner of this architecture"),
    );
    format!("take the platform away, or {add}")
}

/// Jobs declare what they offer (specification §8): `HEPHY_BACKENDS` (`kaniko@1.28.3,ko`), `HEPHY_ARCHES`.
///
/// # Errors
/// For an image that none of them can build.
pub(in crate::commands) fn check_offers(session: &Session, candidates: &[Candidate]) -> Result<()> {
    let said = |name: &str| session.env.get(name).filter(|value| !value.trim().is_empty());
    let backends = said("HEPHY_BACKENDS").map(|text| Ok((text, declared_backends(text)?))).transpose()?;
    let arches = said("HEPHY_ARCHES").map(|text| Ok((text, declared_arches(text)?))).transpose()?;
    for candidate in candidates.iter().filter(|it| it.is_built()) {
        let backend = candidate.backend;
        if let Some((text, _)) = backends.as_ref().filter(|(_, offered)| !offered.contains_key(&backend)) {
            return Err(Error::config(format!("no job can build {}: it wants {}", candidate.name, backend.word()))
                .cause(anyhow::anyhow!("HEPHY_BACKENDS offers {}", escape(text)))
                .hint("set another build_backend, or add a job that has this builder"));
        }
        for platform in &candidate.config.platforms {
            if let Some((text, _)) = arches.as_ref().filter(|(_, offered)| !offered.contains(platform)) {
                return Err(Error::config(format!("no job can build {} for {}", candidate.name, platform.arch()))
                    .cause(anyhow::anyhow!("HEPHY_ARCHES offers {}", escape(text)))
                    .hint(no_runner(session, &platform.arch())));
            }
        }
    }
    Ok(())
}
