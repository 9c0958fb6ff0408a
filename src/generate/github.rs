//! Job matrices of GitHub Actions out of a plan (specification §11).
//!
//! A workflow's jobs are fixed before anything is planned, and only their matrices are computed at run time: so there
//! are four wave jobs, always. With fan-out `arch` the first of them has one leg an architecture. With `image` each
//! has one leg for each image and architecture of its wave; the last takes whatever lies above, in order, in one leg
//! an architecture. A check run's images stay in the job that builds them, so images that are built on each other
//! share a leg there.
//!
//! Beyond 256 legs of a job, and beyond the size that an output may have, images share legs; nothing fails because
//! there are many.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::generate::{Fanout, connected, in_plan};
use crate::plan::{Mode, Plan, PlannedImage};

/// Wave jobs of the workflow.
pub const WAVES: usize = 4;
/// Most legs that a job may have (docs.github.com, "Usage limits").
const MAX_LEGS: usize = 256;
/// Largest document: an output of a job has at most 1 MiB.
const MAX_BYTES: usize = 900 << 10;
/// Most labels of one runner.
const MAX_LABELS: usize = 20;

/// Runner labels by architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runners(BTreeMap<String, Value>);

impl Default for Runners {
    fn default() -> Self {
        let labels = [("amd64", "ubuntu-24.04"), ("arm64", "ubuntu-24.04-arm")];
        Self(labels.map(|(arch, label)| (arch.to_owned(), Value::from(label))).into())
    }
}

impl Runners {
    /// Parses `HEPHY_GITHUB_RUNNERS`, a JSON object from architecture to what `runs-on` takes: a label, a list of
    /// labels, or an object with `group` and `labels`. Architectures that it does not name keep their default.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self> {
        let mut runners = Self::default();
        if text.trim().is_empty() {
            return Ok(runners);
        }
        let hint = r#"write it as {"amd64": "ubuntu-24.04", "arm64": ["self-hosted", "arm64"]}"#;
        let named: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|error| {
            Error::usage("HEPHY_GITHUB_RUNNERS is no JSON object from architecture to runner").cause(error).hint(hint)
        })?;
        for (arch, runner) in named {
            let shown = escape_cut(&arch, 40);
            if !crate::oci::Platform::is_arch(&arch) {
                return Err(
                    Error::usage(format!("HEPHY_GITHUB_RUNNERS names `{shown}`, which is no architecture")).hint(hint)
                );
            }
            if !is_runner(&runner) {
                return Err(Error::usage(format!("HEPHY_GITHUB_RUNNERS has no runner for {shown}"))
                    .hint("a runner is a label, a list of labels, or an object with `group` and `labels`"));
            }
            runners.0.insert(arch, runner);
        }
        Ok(runners)
    }

    fn of(&self, arch: &str, image: &PlannedImage) -> Result<Value> {
        self.0.get(arch).cloned().ok_or_else(|| {
            Error::usage(format!("there is no runner for {arch}, which {} is to be built for", image.name)).hint(
                format!(r#"name one: HEPHY_GITHUB_RUNNERS, or the workflow's input `runners`, {{"{arch}": "LABEL"}}"#),
            )
        })
    }
}

/// What `runs-on` takes.
fn is_runner(value: &Value) -> bool {
    let label = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    let labels = |value: &Value| {
        value.as_array().is_some_and(|all| !all.is_empty() && all.len() <= MAX_LABELS && all.iter().all(label))
    };
    match value {
        Value::Object(fields) => {
            !fields.is_empty()
                && fields.iter().all(|(name, value)| match name.as_str() {
                    "group" => label(value),
                    "labels" => label(value) || labels(value),
                    _ => false,
                })
        }
        value => label(value) || labels(value),
    }
}

/// The document: what `matrix` is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matrices {
    /// Whether the run may publish: which jobs the legs are for.
    pub mode: Mode,
    /// One leg an architecture.
    pub arch: Matrix,
    /// The legs of the four wave jobs, as the fan-out has them.
    pub waves: Vec<Matrix>,
}

/// What stands behind `strategy.matrix`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Matrix {
    /// Legs; an empty list must not reach GitHub: it fails the run.
    pub include: Vec<Leg>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leg {
    /// Name of its artifact and of the job: image and architecture. Unique in the run.
    pub leg: String,
    /// Architecture.
    pub arch: String,
    /// What `runs-on` takes.
    pub runner: Value,
    /// The image, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Images to build, in order; none for all of the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// A leg before it has a runner: its images on one architecture.
type Share<'p> = (String, Vec<&'p PlannedImage>);

/// Spreads a plan over jobs.
///
/// # Errors
/// When an architecture of the plan has no runner.
pub fn matrices(plan: &Plan, runners: &Runners, fanout: Fanout) -> Result<Matrices> {
    let mut by_arch: BTreeMap<String, Vec<&PlannedImage>> = BTreeMap::new();
    for image in &plan.images {
        for platform in &image.platforms {
            by_arch.entry(platform.arch()).or_default().push(image);
        }
    }
    let mut arch = Matrix::default();
    for (name, images) in &by_arch {
        let runner = runners.of(name, images[0])?;
        arch.include.push(Leg { leg: name.clone(), arch: name.clone(), runner, image: None, images: Vec::new() });
    }
    let one_job_each = |arch: &Matrix| {
        let mut waves = vec![Matrix::default(); WAVES];
        waves[0] = arch.clone();
        waves
    };
    if fanout == Fanout::Arch {
        return Ok(Matrices { mode: plan.mode, waves: one_job_each(&arch), arch });
    }
    let shares = match plan.mode {
        Mode::Publish => by_wave(&by_arch),
        Mode::Check => [vec![by_component(plan, &by_arch)], vec![Vec::new(); WAVES - 1]].concat(),
    };
    let waves = shares.into_iter().map(|shares| legs(grouped(shares), runners)).collect::<Result<Vec<_>>>()?;
    let matrices = Matrices { mode: plan.mode, arch, waves };
    let fits = serde_json::to_vec(&matrices).is_ok_and(|bytes| bytes.len() <= MAX_BYTES);
    let waves = if fits { matrices.waves } else { one_job_each(&matrices.arch) };
    Ok(Matrices { waves, ..matrices })
}

/// Each image by itself in the job of its wave. What does not fit into the four is one leg an architecture, in the
/// plan's order, which is one that builds.
fn by_wave<'p>(by_arch: &BTreeMap<String, Vec<&'p PlannedImage>>) -> Vec<Vec<Share<'p>>> {
    let mut waves = vec![Vec::new(); WAVES];
    for (arch, images) in by_arch {
        let mut last = Vec::new();
        // What an image is built on for another architecture only is nothing to wait for.
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        let mut highest = 0;
        for image in images {
            let below = in_plan(image, Some(arch)).filter_map(|name| known.get(name));
            let wave = below.map(|wave| wave + 1).max().unwrap_or_default();
            known.insert(image.name.as_str(), wave);
            highest = highest.max(wave);
            if wave < WAVES - 1 {
                waves[wave].push((arch.clone(), vec![*image]));
            } else {
                last.push(*image);
            }
        }
        if highest < WAVES {
            waves[WAVES - 1].extend(last.into_iter().map(|image| (arch.clone(), vec![image])));
        } else {
            waves[WAVES - 1].push((arch.clone(), last));
        }
    }
    waves
}

/// Images that are built on each other, however indirectly, share a leg.
fn by_component<'p>(plan: &'p Plan, by_arch: &BTreeMap<String, Vec<&'p PlannedImage>>) -> Vec<Share<'p>> {
    let mut shares = Vec::new();
    for arch in by_arch.keys() {
        let wants = |image: &&PlannedImage| image.platforms.iter().any(|it| it.arch() == *arch);
        let components = connected(plan, Some(arch));
        let of_arch = components.iter().map(|images| images.iter().copied().filter(wants).collect::<Vec<_>>());
        shares.extend(of_arch.filter(|images| !images.is_empty()).map(|images| (arch.clone(), images)));
    }
    shares
}

/// Puts neighbours of one architecture together until no more legs are left than a job may have.
fn grouped(shares: Vec<Share<'_>>) -> Vec<Share<'_>> {
    let mut by_arch: BTreeMap<String, Vec<Vec<&PlannedImage>>> = BTreeMap::new();
    for (arch, images) in shares {
        by_arch.entry(arch).or_default().push(images);
    }
    let mut size = 1;
    while by_arch.values().map(|shares| shares.len().div_ceil(size)).sum::<usize>() > MAX_LEGS.max(by_arch.len()) {
        size += 1;
    }
    let mut grouped = Vec::new();
    for (arch, shares) in by_arch {
        grouped.extend(shares.chunks(size).map(|chunk| (arch.clone(), chunk.concat())));
    }
    grouped
}

fn legs(shares: Vec<Share<'_>>, runners: &Runners) -> Result<Matrix> {
    let mut matrix = Matrix::default();
    for (arch, images) in shares {
        let Some((first, others)) = images.split_first() else { continue };
        let runner = runners.of(&arch, first)?;
        // No image's name has a plus sign.
        let more = if others.is_empty() { String::new() } else { format!("+{}", others.len()) };
        matrix.include.push(Leg {
            leg: format!("{}{more}-{arch}", first.name),
            arch,
            runner,
            image: others.is_empty().then(|| first.name.to_string()),
            images: images.iter().map(|image| image.name.to_string()).collect(),
        });
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests;
