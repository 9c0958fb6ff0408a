//! `hephy prepare`: decides everything and leaves it in the output directory (specification §2).

use std::collections::BTreeSet;
use std::path::Path;

use super::out_dir::OutDir;
use super::planning::{Planning, check_offers, planning};
use super::resolution::{self, Network, Published};
use super::session::Session;
use crate::ci;
use crate::cli::PrepareArgs;
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::plan::assemble::{Candidate, Resolved, assemble};
use crate::plan::{Plan, PlannedSource, show};
use crate::source::{Access, Archived, Event, SourceRequest};
use crate::store::{Made, write_whole, write_with_mode};

/// Runs the command.
///
/// # Errors
/// Those of planning, of upstream repositories and registries, and a directory that cannot be written.
pub fn run(session: &Session, args: &PrepareArgs) -> Result<()> {
    let planning = planning(session, &args.select)?;
    let root = planning.root.clone();
    let out = session.safe_out(&root)?;
    let made = Made::new(&out)?;
    let _in_use = OutDir::alone(&out)?;
    let plan = prepare(session, planning)?;
    made.keep();
    platform_outputs(session, &plan, &out)?;
    session.report.json(&plan)?;
    session.report.text(&show::text(&plan))
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
    let Planning { facts, candidates, removed, warnings, .. } = planning;
    let plan = assemble(facts, &candidates, &resolved, removed, warnings);
    network.check_immutable_tags(&plan)?;
    write(&plan, &candidates, staging.path(), &out)?;
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

/// Fetches every upstream commit that is to be built, once, and puts the archives in place.
fn fetch_sources(session: &Session, candidates: &mut [Candidate], staging: &Path) -> Result<()> {
    let mut requests = Vec::new();
    let mut indexes = Vec::new();
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.is_built()) {
        if let PlannedSource::Remote {
            repository,
            reference,
            commit: Some(commit),
            archive: None,
            keep_git,
            submodules,
            ..
        } = &candidate.source
        {
            indexes.push(index);
            requests.push(SourceRequest {
                image: candidate.name.clone(),
                repository: repository.clone(),
                reference: reference.clone(),
                commit: commit.clone(),
                keep_git: *keep_git,
                submodules: *submodules,
            });
        }
    }
    if requests.is_empty() {
        return Ok(());
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
    let archives = crate::source::prepare(&Access::from_environment(), &requests, staging, &progress);
    for (index, archived) in indexes.into_iter().zip(archives) {
        let Archived { file, digest: found, .. } = archived?;
        if let PlannedSource::Remote { archive, archive_digest, .. } = &mut candidates[index].source {
            *archive = Some(file);
            *archive_digest = Some(found);
        }
    }
    Ok(())
}

/// Writes the plan and everything that other jobs read.
fn write(plan: &Plan, candidates: &[Candidate], staging: &Path, out: &Path) -> Result<()> {
    let failed = |path: &Path, error| Error::io(format!("{} cannot be written", path.display()), error);
    let logs = out.join("logs");
    std::fs::create_dir_all(&logs).map_err(|error| failed(&logs, error))?;
    write_binary(out)?;
    for image in &plan.images {
        if let PlannedSource::Remote { archive: Some(archive), .. } = &image.source {
            let path = out.join(archive);
            std::fs::rename(staging.join(archive), &path).map_err(|error| failed(&path, error))?;
        }
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

/// Build jobs run in images that have no hephy: they take this very binary from prepare's artifact.
fn write_binary(out: &Path) -> Result<()> {
    let failed = |error| Error::io("hephy could not copy itself for the build jobs", error);
    let own = std::env::current_exe().and_then(std::fs::read).map_err(failed)?;
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let dir = out.join("bin").join(machine);
    let path = dir.join("hephy");
    let there = crate::store::read_left(&path, own.len() as u64).ok().flatten();
    if there.is_some_and(|there| there == own) {
        return Ok(());
    }
    std::fs::create_dir_all(&dir).map_err(failed)?;
    write_with_mode(&path, &own, 0o755)
}

/// Outputs and job summary of GitHub Actions (`GITHUB_OUTPUT`, `GITHUB_STEP_SUMMARY`).
fn platform_outputs(session: &Session, plan: &Plan, out: &Path) -> Result<()> {
    if ci::platform(&session.env) != ci::Platform::Github {
        return Ok(());
    }
    let need = |arch: &str| plan.images.iter().any(|image| image.platforms.iter().any(|it| it.arch() == arch));
    let dirs: BTreeSet<&str> = plan.images.iter().map(|image| image.dir.as_str()).collect();
    let dirs = serde_json::to_string(&dirs).map_err(|error| Error::internal("no JSON").cause(error))?;
    let plan_path = out.join("plan.json").display().to_string();
    let outputs = [
        ("plan", plan_path),
        ("dirs", dirs),
        ("need_amd64", need("amd64").to_string()),
        ("need_arm64", need("arm64").to_string()),
        ("has_builds", (!plan.images.is_empty()).to_string()),
        ("matrix", super::generate::github::output(&session.env, plan)?),
    ];
    let mut text = String::new();
    for (name, value) in outputs {
        text.push_str(&ci::github_output(name, &value)?);
    }
    session.append_to("GITHUB_OUTPUT", &text)?;
    session.append_to("GITHUB_STEP_SUMMARY", &show::markdown(plan))
}
