//! `hephy run`: all stages on this machine, with a registry of its own when none is given.

use super::build::command::{Job, bring_dependencies, build};
use super::local_registry::LocalRegistry;
use super::manifest::command::{manifest, tell};
use super::out_dir::OutDir;
use super::planning::{Depth, Planning, planning};
use super::prepare::prepare;
use super::session::Session;
use super::summary;
use crate::cli::RunArgs;
use crate::error::{Error, Result};
use crate::oci::{ImageName, Platform};
use crate::plan::assemble::{Resolved, assemble};
use crate::plan::{Mode, Plan, show};
use crate::process::Interrupt;
use crate::result::{BuildResult, Status};
use crate::store::Made;

/// Which platforms are built.
enum Platforms {
    /// Every one that an image wants.
    All,
    /// These.
    Some(Vec<Platform>),
}

impl Platforms {
    fn of(args: &RunArgs) -> Result<Self> {
        if args.platforms.iter().any(|word| word == "all") {
            return Ok(Self::All);
        }
        if args.platforms.is_empty() {
            let host = Platform::host().ok_or_else(|| {
                Error::usage("hephy does not know this machine's platform").hint("name one with --platform")
            })?;
            // What runs on every machine is built on this one.
            return Ok(Self::Some([Some(host), Platform::parse("wasi/wasm").ok()].into_iter().flatten().collect()));
        }
        let parsed: std::result::Result<Vec<Platform>, _> =
            args.platforms.iter().map(|text| Platform::parse(text).or_else(|_| Platform::from_arch(text))).collect();
        parsed.map(Self::Some).map_err(|error| {
            Error::usage("--platform names no platform").cause(error).hint("a platform is linux/amd64, arm64, or all")
        })
    }

    /// Refuses a platform that was asked for and that no image has, built now or not.
    fn known(&self, planned: &Planning, args: &RunArgs) -> Result<()> {
        let (Self::Some(asked), false) = (self, args.platforms.is_empty()) else { return Ok(()) };
        let all: std::collections::BTreeSet<&Platform> =
            planned.candidates.iter().flat_map(|candidate| &candidate.config.platforms).collect();
        match asked.iter().find(|platform| !all.contains(platform)) {
            Some(unknown) if !all.is_empty() => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                Err(Error::usage(format!("no image here is built for {unknown}")).hint(format!(
                    "images are built for {}; `platforms` in a build-config.yaml says so",
                    all.join(", ")
                )))
            }
            _ => Ok(()),
        }
    }

    /// Those of them that the plan wants, in a fixed order.
    fn wanted(&self, plan: &Plan) -> Vec<Platform> {
        let all: std::collections::BTreeSet<&Platform> =
            plan.images.iter().flat_map(|image| &image.platforms).collect();
        let chosen = |platform: &&Platform| match self {
            Self::All => true,
            Self::Some(platforms) => platforms.contains(platform),
        };
        all.into_iter().filter(chosen).cloned().collect()
    }
}

/// Runs the command.
///
/// # Errors
/// Those of every stage; a build that failed decides over what could not be published because of it.
pub fn run(session: &Session, args: &RunArgs, interrupt: &Interrupt) -> Result<()> {
    let platforms = Platforms::of(args)?;
    let mut select = args.select.clone();
    let mut planned = planning(session, &select, Depth::Whole)?;
    platforms.known(&planned, args)?;
    if is_empty(&planned) {
        return nothing(session, planned);
    }
    // Dropped after the registry: a failure before anything is built leaves no data behind.
    let out = session.safe_out(&planned.root)?;
    interrupt.begin()?;
    let made = Made::new(&out)?;
    let _in_use = OutDir::alone(&out)?;
    let mut own = None;
    let check = planned.facts.mode == Mode::Check;
    // What a check run builds stays on this machine; the registry that it names is only read.
    let given = planned.facts.registry.clone().filter(|_| check);
    if planned.facts.registry.is_none() || check {
        let data = session.out_below(&planned.root).join("registry");
        let registry = LocalRegistry::start(&data, &session.env, interrupt)?;
        session.report.say(&format!("registry {} (data in {})", registry.address(), data.display()));
        if given.is_none() {
            select.registry = Some(registry.address());
            planned = planning(session, &select, Depth::Whole)?;
        }
        own = Some(registry);
    }
    if is_empty(&planned) {
        return nothing(session, planned);
    }
    let root = planned.root.clone();
    let plan = prepare(session, planned)?;
    made.keep();
    session.report.say(&show::text(&plan));
    let address = own.as_ref().map(LocalRegistry::address);
    if let (Some(inside), Some(real)) = (&address, &given) {
        let images: Vec<_> = plan.images.iter().collect();
        bring_dependencies(session, &plan, &images, real, inside, &platforms.wanted(&plan))?;
    }
    let registry = address.as_deref().or(plan.registry.as_deref());
    let result = stages(
        session,
        &root,
        &plan,
        &Stages { platforms: &platforms, registry, check, jobs: args.jobs.into() },
        interrupt,
    );
    // Otherwise dropping it here stops it.
    if let Some(registry) = own.filter(|_| args.keep_registry) {
        let address = registry.address();
        let stop = registry.keep().map(|id| format!("; stop it with: kill {id}")).unwrap_or_default();
        session.report.say(&format!("The registry {address} goes on{stop}"));
    }
    result
}

/// Whether there is neither something to build nor something published to use.
fn is_empty(planned: &Planning) -> bool {
    planned.candidates.iter().all(|candidate| candidate.reasons.is_empty() && candidate.reused.is_none())
}

/// What is printed when nothing is to be built: no registry starts, no file is written.
fn nothing(session: &Session, planned: Planning) -> Result<()> {
    for warning in &planned.warnings {
        session.report.warn(warning);
    }
    let Planning { facts, candidates, bystanders, warnings, .. } = planned;
    let plan = assemble(facts, &candidates, &Resolved::default(), bystanders, warnings);
    session.report.text(&show::text(&plan))?;
    session.report.json(&serde_json::json!({ "results": [], "published": [] }))
}

/// What is done with a plan.
struct Stages<'a> {
    platforms: &'a Platforms,
    /// Where build jobs push to.
    registry: Option<&'a str>,
    /// Whether nothing is published.
    check: bool,
    /// How many images are built at the same time.
    jobs: usize,
}

fn stages(
    session: &Session,
    root: &std::path::Path,
    plan: &Plan,
    Stages { platforms, registry, check, jobs }: &Stages<'_>,
    interrupt: &Interrupt,
) -> Result<()> {
    let wanted = platforms.wanted(plan);
    let job = |platform: &Platform| Job {
        plan,
        root,
        out: session.out_below(root),
        platform: platform.clone(),
        images: Vec::new(),
        registry: *registry,
        cross: true,
        jobs: *jobs,
    };
    let (results, failure) = built(session, wanted.iter().map(job), interrupt)?;
    if let Err(cancelled) = interrupt.check() {
        session.report.text(&format!("\n{}", summary::builds(&results)))?;
        return finish(session, &results, Vec::new(), Some(cancelled));
    }
    let left_out = left_out(plan, &wanted);
    if !left_out.is_empty() {
        session
            .report
            .say(&format!("Not built on this machine: {} (--platform all builds them).", left_out.join(", ")));
    }
    if !results.is_empty() {
        session.report.text(&format!("\n{}", summary::builds(&results)))?;
    }
    if *check || (results.is_empty() && plan.reused.is_empty()) {
        return finish(session, &results, Vec::new(), failure);
    }
    // Platforms that nobody built here lack: what is published is said, and no tag loses a platform because of it.
    // An image with a platform that failed is held back all the same.
    let whole = |name: &ImageName| {
        let mut own = results.iter().filter(|result| result.image == *name).peekable();
        own.peek().is_some() && own.all(|result| result.status == Status::Completed)
    };
    let names = plan.images.iter().map(|image| image.name.clone()).filter(whole);
    let names = names.chain(plan.reused.iter().map(|image| image.name.clone()));
    let images: Vec<ImageName> = names.filter(|_| !left_out.is_empty()).collect();
    if images.is_empty() && !left_out.is_empty() {
        return finish(session, &results, Vec::new(), failure);
    }
    let outcome = manifest(session, root, plan, &images, !left_out.is_empty())?;
    let failed_builds = results.iter().any(|result| result.status != Status::Completed);
    session.report.text("\n")?;
    if failed_builds && failure.is_some() {
        session.report.text(&summary::published(&outcome.published))?;
        for (image, error) in &outcome.failures {
            session.report.say(&format!("{image} was not published: {error}"));
        }
        return finish(session, &results, outcome.published, failure);
    }
    if session.report.is_json() {
        let failure = outcome.failures.into_iter().next().map(|(_, error)| error);
        return finish(session, &results, outcome.published, failure);
    }
    tell(session, outcome)
}

/// Builds one platform after the other, until a signal comes; with the first failure.
fn built<'j>(
    session: &Session,
    jobs: impl Iterator<Item = Job<'j>>,
    interrupt: &Interrupt,
) -> Result<(Vec<BuildResult>, Option<Error>)> {
    let (mut results, mut failure) = (Vec::new(), None);
    for job in jobs {
        let outcome = build(session, &job, interrupt)?;
        results.extend(outcome.results);
        failure = failure.or(outcome.failure);
        if interrupt.check().is_err() {
            break;
        }
    }
    Ok((results, failure))
}

/// Platforms of the plan that are not built here, for people.
fn left_out(plan: &Plan, wanted: &[Platform]) -> Vec<String> {
    let all: std::collections::BTreeSet<&Platform> = plan.images.iter().flat_map(|image| &image.platforms).collect();
    all.into_iter().filter(|platform| !wanted.contains(platform)).map(ToString::to_string).collect()
}

fn finish(
    session: &Session,
    results: &[BuildResult],
    published: Vec<super::manifest::Published>,
    failure: Option<Error>,
) -> Result<()> {
    let failure = failure.map(|failure| summary::verdict(results, failure));
    session.report.json(&serde_json::json!({ "results": results, "published": published, "error": failure }))?;
    failure.map_or(Ok(()), Err)
}
