//! `hephy build`: from the job's environment to [`super::run`], and what people see of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::view::ClientView;
use super::{Event, FIRST_WAIT, Options, Outcome, RETRIES};
use crate::cli::BuildArgs;
use crate::commands::local_registry::LocalRegistry;
use crate::commands::out_dir::OutDir;
use crate::commands::planning::PreflightChoice;
use crate::commands::published::client;
use crate::commands::session::Session;
use crate::commands::summary;
use crate::diagnostic::escape;
use crate::error::{Error, Result};
use crate::oci::{Digest, ImageName, Platform, Repository};
use crate::plan::{DependencyFrom, Mode, Plan, PlannedImage};
use crate::process::Interrupt;
use crate::registry::{Client, Settings, for_builders, secrets_of};
use crate::report::Report;
use crate::result::{BuildResult, Status};

/// What lies beside Docker's `config.json` and must be found beside ours as well: plugins such as buildx, the builders
/// that it knows, and the engines.
const KEPT: [&str; 3] = ["cli-plugins", "buildx", "contexts"];

/// Published images that are copied at the same time.
const CONCURRENT_COPIES: usize = 4;

/// How one build job differs from the next.
pub struct Job<'a> {
    /// What to build.
    pub plan: &'a Plan,
    /// Top of the checkout.
    pub root: &'a Path,
    /// The output directory.
    pub out: PathBuf,
    /// Platform to build for.
    pub platform: Platform,
    /// Only these images; all of them where it is empty.
    pub images: Vec<ImageName>,
    /// Where images are pushed to.
    pub registry: Option<&'a str>,
    /// This machine need not run what it builds; see [`Options::cross`].
    pub cross: bool,
    /// How many images are built at the same time.
    pub jobs: usize,
}

/// Runs the command.
///
/// # Errors
/// When the job cannot begin, or the first failure of an image.
pub fn command(session: &Session, args: &BuildArgs, interrupt: &Interrupt) -> Result<()> {
    let (root, plan) = session.plan()?;
    let wrong = |error: crate::oci::Invalid| {
        Error::usage("--arch names no architecture")
            .cause(error)
            .hint("one of amd64, arm64, armv7, … as plan.json and the need_<arch>.txt files name them")
    };
    let platform = Platform::from_arch(&args.arch).map_err(wrong)?;
    let images = image_names(&args.images)?;
    let wanted = super::wanted(&plan, &platform, &images)?;
    if wanted.is_empty() {
        let of = if images.is_empty() { "no image of the plan needs it" } else { "none of these images needs it" };
        session.report.say(&format!("Nothing to build for {}: {of}.", platform.arch()));
        return session.report.json(&serde_json::json!({ "needed": false, "results": [] }));
    }
    crate::commands::own_commit::confirm_checkout(&root, &plan)?;
    let out = session.out_below(&root);
    let arch = platform.arch();
    // Before anything starts: a runner with the wrong tag gets no further.
    super::host::check(&platform, &session.env, &wanted)?;
    let _in_use = OutDir::of_build(&out, &arch, !images.is_empty())?;
    // What a check run pushes stays in the job; what was published before is copied in.
    let inside = match plan.mode {
        Mode::Check => Some(LocalRegistry::start_below(&out, &session.env, interrupt)?),
        Mode::Publish => None,
    };
    let address = inside.as_ref().map(LocalRegistry::address);
    if let (Some(address), Some(real)) = (&address, &plan.registry) {
        bring_dependencies(session, &plan, &wanted, real, address, std::slice::from_ref(&platform))?;
    }
    let registry = address.as_deref().or(plan.registry.as_deref());
    let job = Job { plan: &plan, root: &root, out, platform, images, registry, cross: false, jobs: args.jobs.into() };
    let (platform, out) = (job.platform.clone(), job.out.clone());
    let outcome = build(session, &job, interrupt)?;
    crate::commands::outputs::built(session, &plan, &platform, &outcome.results, &out)?;
    session.report.json(&serde_json::json!({ "needed": outcome.needed, "results": outcome.results }))?;
    session.report.text(&summary::builds(&outcome.results))?;
    outcome.failure.map_or(Ok(()), |failure| Err(summary::verdict(&outcome.results, failure)))
}

/// The names that `--image` gives.
///
/// # Errors
/// When one is no image name.
pub(in crate::commands) fn image_names(words: &[String]) -> Result<Vec<ImageName>> {
    let parse = |word: &String| {
        ImageName::parse(word).map_err(|error| {
            let sentence = format!("--image {} is no image name", crate::diagnostic::escape_cut(word, 80));
            Error::usage(sentence).cause(error).hint("`hephy plan` lists the images that are to be built")
        })
    };
    words.iter().map(parse).collect()
}

/// Builds for one platform and says what happens.
///
/// # Errors
/// When the job cannot begin.
pub fn build(session: &Session, job: &Job<'_>, interrupt: &Interrupt) -> Result<Outcome> {
    let settings = Settings::from_env(&session.env, job.registry)?;
    let config = builder_config(&settings, job)?;
    let read = |dir: &Path| std::fs::read_to_string(dir.join("config.json")).unwrap_or_default();
    let mut secrets = crate::ci::output::secrets(&session.env);
    secrets.extend(session.env.get("DOCKER_AUTH_CONFIG").map(|text| secrets_of(text)).unwrap_or_default());
    for dir in config.iter().map(tempfile::TempDir::path).chain(settings.docker_config.as_deref()) {
        secrets.extend(secrets_of(&read(dir)));
    }
    let options = Options {
        checkout: job.root.to_owned(),
        out: job.out.clone(),
        platform: job.platform.clone(),
        images: job.images.clone(),
        registry: job.registry.map(str::to_owned),
        jobs: job.jobs,
        insecure_hosts: insecure_hosts(&settings),
        cross: job.cross,
        docker_config: config.as_ref().map(|dir| dir.path().to_owned()),
        secrets,
        retries: number(session, "HEPHY_RETRIES", 100)?.unwrap_or(RETRIES),
        retry_wait: number(session, "HEPHY_RETRY_WAIT", 3600)?
            .map_or(FIRST_WAIT, |seconds| Duration::from_secs(u64::from(seconds))),
        environment: session.env.clone(),
        builder_env: std::collections::BTreeMap::new(),
        preflight: crate::commands::planning::preflight_of(session)? != Some(PreflightChoice::Off),
    };
    let view = ClientView::new(client(settings, &session.report))?;
    let report = &session.report;
    let platform = &job.platform;
    let out = escape(&session.out.display().to_string());
    let logs = job.out.join("logs");
    let talk =
        Talk { report, out: &out, logs: &logs, platform, at_once: job.jobs > 1, turn: std::sync::Mutex::default() };
    super::run(&options, job.plan, &view, interrupt, &|event| talk.show(&event))
}

/// A whole number out of the environment.
fn number(session: &Session, name: &str, most: u32) -> Result<Option<u32>> {
    let Some(text) = session.env.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = text.parse::<u32>().ok().filter(|value| *value <= most);
    parsed.map(Some).ok_or_else(|| Error::usage(format!("{name} is not a whole number from 0 to {most}")))
}

/// Docker's own `config.json` is enough, or one is written for the builder, below the output directory: in Kaniko's
/// container nothing else survives.
fn builder_config(settings: &Settings, job: &Job<'_>) -> Result<Option<tempfile::TempDir>> {
    let Some(host) = &settings.registry_host else { return Ok(None) };
    let existing = settings.docker_config.as_ref().map(|dir| dir.join("config.json"));
    let existing = existing.and_then(|path| std::fs::read_to_string(path).ok());
    let Some(content) = for_builders(settings, host, existing.as_deref())? else { return Ok(None) };
    let failed = |error| Error::io("the builder's credentials could not be written", error);
    let dir = tempfile::Builder::new().prefix(".credentials-").tempdir_in(&job.out).map_err(failed)?;
    crate::store::write_with_mode(&dir.path().join("config.json"), content.as_bytes(), 0o600)?;
    for name in KEPT {
        let theirs = settings.docker_config.as_ref().and_then(|dir| dir.join(name).canonicalize().ok());
        if let Some(theirs) = theirs.filter(|path| path.is_dir()) {
            std::os::unix::fs::symlink(theirs, dir.path().join(name)).map_err(failed)?;
        }
    }
    Ok(Some(dir))
}

fn repository(registry: &str) -> Result<Repository> {
    Repository::parse(registry).map_err(|error| Error::usage("the registry is none").cause(error))
}

fn insecure_hosts(settings: &Settings) -> Vec<String> {
    let all = settings.registry_host.iter().filter(|_| settings.insecure_all);
    settings.insecure.iter().chain(all).cloned().collect()
}

/// Copies what planned images are built on for these platforms, and what is not built in this run, into the registry of
/// a check run.
///
/// # Errors
/// When one of them cannot be read or written.
pub(in crate::commands) fn bring_dependencies(
    session: &Session,
    plan: &Plan,
    images: &[&PlannedImage],
    real: &str,
    inside: &str,
    platforms: &[Platform],
) -> Result<()> {
    let client: Client = client(Settings::from_env(&session.env, Some(real))?, &session.report);
    let edges = images.iter().flat_map(|image| &image.dependencies);
    let edges = edges.filter(|edge| platforms.iter().any(|platform| edge.is_for(platform)));
    let published = edges.filter_map(|edge| match &edge.from {
        DependencyFrom::Published { digest, .. } => Some((&edge.name, digest)),
        _ => None,
    });
    // Many images may be built on the same one.
    let published: BTreeSet<(&ImageName, &Digest)> = published.collect();
    let copies = stream::iter(published).map(async |(name, digest)| {
        let from = repository(&plan.repository_of(real, name))?;
        let to = repository(&plan.repository_of(inside, name))?;
        client.copy_index(&from, &to, digest).await
    });
    crate::commands::published::block_on(copies.buffer_unordered(CONCURRENT_COPIES).try_collect::<()>())
}

/// What people see of builds while they run.
struct Talk<'a> {
    report: &'a Report,
    /// The output directory as it was named.
    out: &'a str,
    /// Where the logs are.
    logs: &'a Path,
    platform: &'a Platform,
    /// Several images are built at the same time: their lines must not mix.
    at_once: bool,
    /// Who is speaking.
    turn: std::sync::Mutex<()>,
}

impl Talk<'_> {
    fn show(&self, event: &Event<'_>) {
        let report = self.report;
        if self.folds_later() && matches!(event, Event::Line { .. }) {
            return;
        }
        let _one_at_a_time = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Started { image, backend, attempt } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let title = format!("build {image} {} ({backend}{again})", self.platform);
                if self.folds_later() { report.say(&title) } else { report.begin(&self.stem(image), &title) }
            }
            Event::Line { image, text } => {
                let whose = if self.at_once { format!("{image} │ ") } else { String::new() };
                report.line(&self.stem(image), &whose, &escape(text));
            }
            Event::Retry { image, attempt, error, wait } => {
                let why = error.causes().first().map(|cause| format!(": {}", escape(cause))).unwrap_or_default();
                let (kind, seconds) = (error.kind(), wait.as_secs_f64());
                let whose = if self.at_once { format!("{image}: ") } else { String::new() };
                report.say(&format!(
                    "  {whose}attempt {attempt} failed ({kind}): {error}{why}; trying again in {seconds:.0} s"
                ));
            }
            Event::Note { image, text } => report.say(&format!("  {image}: {}", escape(text))),
            Event::OneAtATime { backend } => report.say(&format!(
                "{backend} works in this job's own file system, so its images are built one after the other."
            )),
            Event::Finished(result) => self.finished(result),
        }
    }

    fn stem(&self, image: &ImageName) -> String {
        BuildResult::stem(image, self.platform)
    }

    /// Groups of a CI log hold what stands between two lines: that of an image follows when the image is done.
    fn folds_later(&self) -> bool {
        self.at_once && self.report.has_groups()
    }

    fn finished(&self, result: &BuildResult) {
        let stem = self.stem(&result.image);
        if !self.folds_later() {
            self.report.end(&stem);
        } else if result.attempts > 0 {
            self.report.fold(&stem, &format!("log of {} {}", result.image, result.platform), |say| {
                self.log(&stem, say);
            });
        }
        if matches!(result.status, Status::Failed | Status::Cancelled) {
            self.report.failure(&summary::failure(result, self.out));
        } else {
            self.report.say(&summary::line(result));
        }
    }

    /// The lines of a log, in which secrets are masked already.
    fn log(&self, stem: &str, say: &dyn Fn(&str)) {
        use std::io::BufRead as _;
        let Ok(file) = std::fs::File::open(self.logs.join(format!("{stem}.log"))) else { return };
        let mut lines = std::io::BufReader::new(file);
        let mut line = Vec::new();
        // A line is cut where it has no end.
        while std::io::Read::take(&mut lines, 1 << 16).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            say(&escape(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])));
            line.clear();
        }
    }
}
