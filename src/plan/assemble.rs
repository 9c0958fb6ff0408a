//! From candidates with their keys, reasons and references to the [`Plan`].

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::graph::{Edge, ExternalBase, order, waves};
use super::standing::Reuse;
use super::tags::ImageTags;
use super::{
    DependencyFrom, Mode, Plan, PlanSource, PlannedArg, PlannedBase, PlannedDependency, PlannedImage, PlannedSource,
    Reason, Rerouted, ReusedImage, UnchangedImage, VERSION,
};
use crate::config::{BackendName, ImageConfig, KoConfig, Layout};
use crate::diagnostic::Diagnostic;
use crate::oci::{Digest, ImageName, Platform, Tag};

/// What is the same for every image of a run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether the run may publish.
    pub mode: Mode,
    /// What is built from.
    pub source: PlanSource,
    /// UTC date, `YYYYMMDD`.
    pub date: String,
    /// Where images go.
    pub registry: Option<String>,
    /// Where an image lies below the registry.
    pub layout: Layout,
    /// What the keys were compared with, for people.
    pub comparison: String,
    /// Whether what caches hold is not enough: the run was asked to execute every step again.
    pub anew: bool,
}

/// One image of the repository, decided.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: ImageName,
    /// Its directory.
    pub dir: String,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Its input key, 64 hexadecimal digits.
    pub input_key: String,
    /// Images that it is built on instead of those that the key was made of, by name; see [`PlannedImage::built_on`].
    pub built_on: BTreeMap<String, String>,
    /// Why it is built; empty when it is left alone.
    pub reasons: Vec<Reason>,
    /// What is published of it and is used instead; reasons to build it win.
    pub reused: Option<Reuse>,
    /// Its tags.
    pub tags: ImageTags,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its build arguments.
    pub args: Vec<PlannedArg>,
    /// Where its files come from.
    pub source: PlannedSource,
    /// The builder.
    pub backend: BackendName,
    /// The builder that was chosen first, and why it is not the one.
    pub rerouted: Option<Rerouted>,
    /// Images that it is built on, by index among the candidates.
    pub edges: Vec<Edge>,
    /// External images that it is built on.
    pub bases: Vec<ExternalBase>,
    /// What makes a build impossible, should this image be needed after all; none for images with reasons.
    pub problems: Vec<Diagnostic>,
}

impl Candidate {
    /// Path of its Dockerfile for people: in this repository, or after the image's name in the upstream one.
    #[must_use]
    pub fn dockerfile(&self) -> String {
        let path = &self.config.dockerfile_path;
        match &self.source {
            PlannedSource::Local { root } if root == "." => path.clone(),
            PlannedSource::Local { root } => format!("{root}/{path}"),
            PlannedSource::Remote { .. } => format!("{}:{path}", self.name),
        }
    }

    /// Whether it is built, and by a builder.
    #[must_use]
    pub fn is_built(&self) -> bool {
        !self.reasons.is_empty() && self.config.manual_images.is_none()
    }
}

/// What the registry said: filled in by prepare, empty for a look at the plan.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Published images that planned ones are built on.
    pub dependencies: BTreeMap<ImageName, (Tag, Digest)>,
    /// Digests of external bases by reference and platform.
    pub bases: BTreeMap<String, BTreeMap<Platform, Digest>>,
}

/// What a plan says of images that it has nothing to do for.
#[derive(Clone, Debug, Default)]
pub struct Bystanders {
    /// Images that are left alone and that are no candidates: nothing that is built needs them.
    pub unchanged: Vec<UnchangedImage>,
    /// Image directories that went away.
    pub removed: Vec<String>,
}

/// Makes the plan. Candidates without reasons are left alone.
#[must_use]
pub fn assemble(
    facts: Facts,
    candidates: &[Candidate],
    resolved: &Resolved,
    bystanders: Bystanders,
    warnings: Vec<String>,
) -> Plan {
    let Bystanders { mut unchanged, removed } = bystanders;
    let planned = |index: &usize| !candidates[*index].reasons.is_empty();
    let edges: Vec<Vec<usize>> = candidates
        .iter()
        .map(|candidate| candidate.edges.iter().map(|edge| edge.to).filter(planned).collect())
        .collect();
    // A cycle among the images was refused before; without one there always is an order.
    let waves = waves(&edges, &order(&edges).unwrap_or_default());
    let mut images: Vec<PlannedImage> = (0..candidates.len())
        .filter(planned)
        .map(|index| planned_image(&facts, candidates, index, waves[index], resolved))
        .collect();
    images.sort_by(|a, b| (a.wave, &a.name).cmp(&(b.wave, &b.name)));
    let left_alone = candidates.iter().filter(|candidate| candidate.reasons.is_empty() && candidate.reused.is_none());
    unchanged.extend(
        left_alone.map(|candidate| UnchangedImage { name: candidate.name.clone(), dir: candidate.dir.clone() }),
    );
    unchanged.sort_by(|a, b| a.name.cmp(&b.name));
    let mut reused: Vec<ReusedImage> = candidates.iter().filter_map(reused_image).collect();
    reused.sort_by(|a, b| a.name.cmp(&b.name));
    Plan {
        version: VERSION,
        id: plan_id(&facts.source, &images),
        mode: facts.mode,
        source: facts.source,
        date: facts.date,
        registry: facts.registry,
        layout: facts.layout,
        comparison: facts.comparison,
        anew: facts.anew,
        images,
        reused,
        unchanged,
        removed,
        warnings,
    }
}

/// `bld_` and 24 digits of a hash of repository, commit and input keys (specification §6).
fn plan_id(source: &PlanSource, images: &[PlannedImage]) -> String {
    let mut hasher = Sha256::new_with_prefix("hephy plan 1\0");
    let mut field = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    field(&source.repository);
    field(&source.commit);
    for image in images {
        field(image.name.as_str());
        field(&image.input_key);
    }
    let digest = Digest::from_hasher(hasher);
    format!("bld_{}", digest.hex().get(..24).unwrap_or_default())
}

fn planned_image(
    facts: &Facts,
    candidates: &[Candidate],
    index: usize,
    wave: u32,
    resolved: &Resolved,
) -> PlannedImage {
    let candidate = &candidates[index];
    let config = &candidate.config;
    PlannedImage {
        name: candidate.name.clone(),
        dir: candidate.dir.clone(),
        input_key: candidate.input_key.clone(),
        built_on: candidate.built_on.clone(),
        reasons: candidate.reasons.clone(),
        source: candidate.source.clone(),
        backend: candidate.backend,
        rerouted: candidate.rerouted.clone(),
        dockerfile: config.dockerfile_path.clone(),
        context: config.context_path.clone(),
        target: config.target.clone(),
        platforms: config.platforms.clone(),
        targets: config.targets.iter().map(|target| target.target.clone()).collect(),
        tags: candidate.tags.index.clone(),
        arch_tags: candidate.tags.by_arch.clone(),
        version: candidate.version.clone(),
        build_args: candidate.args.clone(),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        bases: candidate.bases.iter().map(|base| planned_base(base, resolved)).collect(),
        dependencies: planned_dependencies(candidates, candidate, resolved),
        wave,
        ko: (candidate.backend == BackendName::Ko).then(|| config.ko_config.clone().unwrap_or_else(KoConfig::here)),
        spin: (candidate.backend == BackendName::Spin).then(|| config.spin_config.clone().unwrap_or_default()),
        cache: super::cache::planned(facts, candidate),
        secrets: config.secrets.clone(),
        manual_images: config.manual_images.clone(),
        timeout_seconds: config.timeout.map(|timeout| timeout.as_secs()),
        retries: config.retries,
    }
}

fn reused_image(candidate: &Candidate) -> Option<ReusedImage> {
    let reuse = candidate.reused.as_ref().filter(|_| candidate.reasons.is_empty())?;
    Some(ReusedImage {
        name: candidate.name.clone(),
        dir: candidate.dir.clone(),
        input_key: candidate.input_key.clone(),
        digest: reuse.digest.clone(),
        platforms: candidate.config.platforms.clone(),
        version: candidate.version.clone(),
        tags: reuse.tags.clone(),
        reason: reuse.reason.clone(),
    })
}

fn planned_base(base: &ExternalBase, resolved: &Resolved) -> PlannedBase {
    let digests = resolved.bases.get(&base.reference).cloned().unwrap_or_default();
    let own: Vec<Platform> = base.wanted_for.iter().map(|wanted| base.platform_for(wanted)).collect();
    let digests = digests.into_iter().filter(|(platform, _)| own.contains(platform)).collect();
    PlannedBase { reference: base.reference.clone(), line: base.line, digests, underlying: base.underlying }
}

fn planned_dependencies(
    candidates: &[Candidate],
    candidate: &Candidate,
    resolved: &Resolved,
) -> Vec<PlannedDependency> {
    let mut dependencies: Vec<PlannedDependency> = candidate
        .edges
        .iter()
        .map(|edge| {
            let target = &candidates[edge.to];
            let published = resolved.dependencies.get(&target.name);
            let from = match published {
                _ if !target.reasons.is_empty() => DependencyFrom::Plan,
                Some((tag, digest)) => DependencyFrom::Published { tag: tag.clone(), digest: digest.clone() },
                None => DependencyFrom::Unresolved,
            };
            let platforms = edge.platforms.clone();
            PlannedDependency { name: target.name.clone(), via: edge.via.clone(), from, platforms }
        })
        .collect();
    dependencies.sort_by(|a, b| (&a.name, &a.via).cmp(&(&b.name, &b.via)));
    dependencies
}
