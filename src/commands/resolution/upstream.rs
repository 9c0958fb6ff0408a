//! Dockerfiles of other repositories: they are known when the archives are here, and what they refer to joins the graph.

use std::path::Path;

use crate::commands::planning::Planning;
use crate::commands::survey::preflight;
use crate::config::Spans;
use crate::diagnostic::{Severity, escape};
use crate::dockerfile::{self, Dockerfile};
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::plan::PlannedSource;
use crate::plan::assemble::Candidate;
use crate::plan::graph::{Names, Node, Uses, cycle_finding, order};

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
        let (shown, parsed) = read(planning, candidate, &out.join(archive), digest)?;
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
        add(planning, index, uses);
    }
    Ok(())
}

/// Adds what a Dockerfile refers to to the candidate that it belongs to.
fn add(planning: &mut Planning, index: usize, uses: Uses) {
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

/// The Dockerfile of an upstream archive, under the name that messages give it.
fn read(planning: &Planning, candidate: &Candidate, archive: &Path, digest: &Digest) -> Result<(String, Dockerfile)> {
    let path = &candidate.config.dockerfile_path;
    let bytes = crate::source::read_file(archive, digest, path, dockerfile::MAX_BYTES)?;
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
    Ok((shown, parsed))
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

fn refuse_cycle(candidates: &[Candidate], nodes: &[Node<'_>], additions: &[(usize, Uses)]) -> Result<()> {
    let mut uses: Vec<Uses> =
        candidates.iter().map(|candidate| Uses { edges: candidate.edges.clone(), ..Default::default() }).collect();
    for (index, more) in additions {
        uses[*index].edges.extend(more.edges.iter().cloned());
    }
    let edges: Vec<Vec<usize>> = uses.iter().map(|uses| uses.edges.iter().map(|edge| edge.to).collect()).collect();
    order(&edges).map(|_| ()).map_err(|cycle| {
        Error::config("images are built on each other in a circle")
            .diagnostics(vec![cycle_finding(nodes, &uses, &cycle)])
    })
}
