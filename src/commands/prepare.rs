//! `hephy prepare`: decides everything and leaves it in the output directory (specification §2).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::out_dir::OutDir;
use super::planning::{Depth, Planning, check_offers, planning};
use super::resolution::{self, Network, Published};
use super::session::Session;
use crate::ci;
use crate::cli::PrepareArgs;
use crate::error::{Error, Result};
use crate::oci::{Digest, Platform};
use crate::plan::assemble::{Candidate, Resolved, assemble};
use crate::plan::{Mode, Plan, PlannedSource, show};
use crate::process::Interrupt;
use crate::source::{Access, Archived, Event, SourceRequest};
use crate::store::{Made, write_whole};

/// Runs the command.
///
/// # Errors
/// Those of planning, of upstream repositories and registries, and a directory that cannot be written.
pub fn run(session: &Session, args: &PrepareArgs) -> Result<()> {
    let planning = planning(session, &args.select, Depth::Whole)?;
    let root = planning.root.clone();
    let out = session.safe_out(&root)?;
    Interrupt::installed().begin()?;
    let made = Made::new(&out)?;
    let _in_use = OutDir::alone(&out)?;
    refuse_nowhere(session, args, &planning)?;
    let problems = planning.problems();
    let plan = prepare(session, planning)?;
    made.keep();
    super::outputs::prepared(session, &plan, &out, &problems)?;
    session.report.json(&plan)?;
    session.report.text(&show::text(&plan))
}

/// A CI run that may publish has nowhere to publish to: build jobs need not start to find out. Whoever says `none`
/// means it.
fn refuse_nowhere(session: &Session, args: &PrepareArgs, planning: &Planning) -> Result<()> {
    let builds = planning.candidates.iter().any(|candidate| candidate.is_built());
    let is_ci = ci::platform(&session.env) != ci::Platform::Local;
    if planning.facts.registry.is_some() || planning.facts.mode == Mode::Check || !builds || !is_ci {
        return Ok(());
    }
    let ecr = session.env.get("ECR_REGISTRY");
    let said = [args.select.registry.as_ref(), ecr, planning.sides.survey.root.registry.as_ref()];
    if said.into_iter().flatten().any(|text| text == "none") {
        return Ok(());
    }
    Err(Error::config("there is no registry to publish to").hint(
        "set HEPHY_REGISTRY or ECR_REGISTRY for all jobs, or `registry` in hephy.yaml; \
         on GitLab the project's own is used once its container registry is on",
    ))
}

/// Resolves what the plan leaves open and writes all files into the output directory, which the caller has to itself.
/// Nothing is written before everything is known, and a failure leaves the directory as it was.
///
/// # Errors
/// See [`run`].
pub fn prepare(session: &Session, mut planning: Planning) -> Result<Plan> {
    let network = Network::new(session, planning.facts.registry.as_deref())?;
    let out = session.safe_out(&planning.root)?;
    let made = Made::new(&out)?;
    let staging = tempfile::Builder::new().prefix(super::out_dir::STAGING).tempdir_in(&out);
    let staging = staging.map_err(|error| Error::io(format!("{} cannot be written", out.display()), error))?;
    let resolved = settle(session, &network, &mut planning, staging.path())?;
    for warning in &planning.warnings {
        session.report.warn(warning);
    }
    let Planning { facts, candidates, bystanders, warnings, .. } = planning;
    let plan = assemble(facts, &candidates, &resolved, bystanders, warnings);
    network.check_immutable_tags(&plan)?;
    write(session, &plan, &candidates, staging.path(), &out)?;
    made.keep();
    Ok(plan)
}

/// Fetches sources and asks the registry until nothing else joins the plan: an image from another repository may be
/// built on one that has to join, and that one may come from another repository too.
fn settle(session: &Session, network: &Network, planning: &mut Planning, staging: &Path) -> Result<Resolved> {
    let mut published = Published::default();
    loop {
        fetch_sources(session, &mut planning.candidates, staging)?;
        resolution::add_upstream_dockerfiles(planning, staging)?;
        if !resolution::join_unpublished(network, planning, &mut published)? {
            break;
        }
        check_offers(session, &planning.candidates)?;
    }
    resolution::resolve(network, planning, published)
}

/// Fetches every upstream commit that is to be built, once, and puts the archives in place. The images of one directory
/// have one source and share its archive.
fn fetch_sources(session: &Session, candidates: &mut [Candidate], staging: &Path) -> Result<()> {
    let mut archives: BTreeMap<String, (String, Digest)> = BTreeMap::new();
    let mut requests: BTreeMap<String, SourceRequest> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_built()) {
        let PlannedSource::Remote { repository, reference, commit, archive, archive_digest, keep_git, submodules } =
            &candidate.source
        else {
            continue;
        };
        if let (Some(archive), Some(digest)) = (archive, archive_digest) {
            archives.insert(candidate.dir.clone(), (archive.clone(), digest.clone()));
        } else if let Some(commit) = commit {
            requests.entry(candidate.dir.clone()).or_insert_with(|| SourceRequest {
                image: candidate.name.clone(),
                repository: repository.clone(),
                reference: reference.clone(),
                commit: commit.clone(),
                keep_git: *keep_git,
                submodules: *submodules,
            });
        }
    }
    requests.retain(|dir, _| !archives.contains_key(dir));
    archives.extend(fetched(session, requests, staging)?);
    for candidate in candidates.iter_mut().filter(|candidate| candidate.is_built()) {
        let shared = archives.get(&candidate.dir);
        if let (PlannedSource::Remote { archive, archive_digest, .. }, Some((file, digest))) =
            (&mut candidate.source, shared)
        {
            *archive = Some(file.clone());
            *archive_digest = Some(digest.clone());
        }
    }
    Ok(())
}

/// The archives of these directories.
fn fetched(
    session: &Session,
    requests: BTreeMap<String, SourceRequest>,
    staging: &Path,
) -> Result<BTreeMap<String, (String, Digest)>> {
    if requests.is_empty() {
        return Ok(BTreeMap::new());
    }
    let report = &session.report;
    let progress = |event: Event<'_>| match event {
        Event::Fetching { repository, commit } => {
            let repository = crate::diagnostic::escape(repository);
            report.say(&format!("fetching {repository} at {}", commit.get(..7).unwrap_or(commit)));
        }
        Event::Retrying { repository, failed, delay } => report.say(&format!(
            "{} did not answer (attempt {failed}); trying again in {:.0} s",
            crate::diagnostic::escape(repository),
            delay.as_secs_f64()
        )),
        Event::Archived { image, archive } => {
            report.detail(&format!("{image}: {} ({})", archive.file, crate::table::size(archive.size)));
        }
    };
    let (dirs, requests): (Vec<String>, Vec<SourceRequest>) = requests.into_iter().unzip();
    let archives = crate::source::prepare(&Access::from_environment(), &requests, staging, &progress);
    let of_dir = |(dir, archived): (String, Result<Archived>)| archived.map(|it| (dir, (it.file, it.digest)));
    dirs.into_iter().zip(archives).map(of_dir).collect()
}

/// Writes the plan and everything that other jobs read.
fn write(session: &Session, plan: &Plan, candidates: &[Candidate], staging: &Path, out: &Path) -> Result<()> {
    let failed = |path: &Path, error| Error::io(format!("{} cannot be written", path.display()), error);
    let logs = out.join("logs");
    std::fs::create_dir_all(&logs).map_err(|error| failed(&logs, error))?;
    let missing = super::binaries::write(&session.env, plan, out)?;
    // On GitHub every job installs its own: artifacts there cannot hold programs.
    let told = ci::platform(&session.env) != ci::Platform::Github;
    for machine in missing.iter().filter(|_| told) {
        session.report.warn(&format!(
            "there is no hephy for build jobs on {machine}: HEPHY_BINARIES names a directory with {machine}/hephy"
        ));
    }
    let archives = plan.images.iter().filter_map(|image| match &image.source {
        PlannedSource::Remote { archive, .. } => archive.as_ref(),
        PlannedSource::Local { .. } => None,
    });
    for archive in archives.collect::<BTreeSet<_>>() {
        let path = out.join(archive);
        std::fs::rename(staging.join(archive), &path).map_err(|error| failed(&path, error))?;
    }
    let dirs: BTreeSet<&str> = plan.images.iter().map(|image| image.dir.as_str()).collect();
    let lines: String = dirs.iter().map(|dir| format!("{dir}\n")).collect();
    write_whole(&out.join("dirs.txt"), lines.as_bytes())?;
    let platforms = candidates.iter().flat_map(|candidate| &candidate.config.platforms);
    let mut arches: BTreeSet<String> = platforms.map(Platform::arch).collect();
    arches.extend(["amd64".to_owned(), "arm64".to_owned()]);
    // A flag that an earlier plan left must not start a job of this one.
    arches.extend(flags_in(out));
    for arch in &arches {
        let needed = plan.images.iter().any(|image| image.platforms.iter().any(|platform| platform.arch() == *arch));
        write_whole(&out.join(format!("need_{arch}.txt")), format!("{needed}\n").as_bytes())?;
    }
    write_whole(&out.join("plan.md"), show::markdown(plan).as_bytes())?;
    // Last: whoever finds a plan finds everything that belongs to it.
    write_whole(&out.join("plan.json"), &plan.to_json())
}

/// The architectures of the need-flags that are there.
fn flags_in(out: &Path) -> Vec<String> {
    let names = out.read_dir().into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_prefix("need_")?.strip_suffix(".txt")?.to_owned())).collect()
}
