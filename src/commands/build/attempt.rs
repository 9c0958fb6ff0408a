//! One image through its builder: context, arguments, commands, report, confirmation; and again where that may
//! help (specification §16: network, temporary resource and rate-limit errors only).

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::context::{self, Files};
use super::preflight::target_of;
use super::work_dir::WorkDir;
use super::{Event, Job, LONGEST_WAIT, confirm, secrets};
use crate::backend::{
    Backend, Invocation, Said, Step, Tool, backend, classify, instructions, locate, manual_reference,
};
use crate::diagnostic::{escape, escape_cut_middle};
use crate::error::{Error, ErrorKind, Result};
use crate::index;
use crate::oci::Digest;
use crate::plan::{DependencyFrom, PlannedImage};
use crate::process::{Command, Log};
use crate::result::{BuildResult, FailedInstruction, ResultError};
use crate::source;

/// Largest report of a builder that is read, in bytes.
const MAX_REPORT: u64 = 16 << 20;

impl Job<'_> {
    /// Builds an image, as often as it takes and may take.
    pub(super) fn attempts(&self, image: &PlannedImage, result: &mut BuildResult) -> Result<()> {
        let retries = image.retries.unwrap_or(self.options.retries);
        let mut wait = self.options.retry_wait;
        loop {
            result.attempts += 1;
            result.error = None;
            let last = (result.attempts > retries).then_some(wait);
            let failure = match self.attempt(image, result, last) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.temporary || last.is_some() {
                return Err(failure.error);
            }
            let attempt = result.attempts;
            (self.observer)(Event::Retry { image: &image.name, attempt, error: &failure.error, wait });
            self.interrupt.sleep(wait)?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One attempt; the `last` one has the wait that another one would come after.
    fn attempt(&self, image: &PlannedImage, result: &mut BuildResult, last: Option<Duration>) -> Result<(), Failed> {
        let started = |backend| Event::Started { image: &image.name, backend, attempt: result.attempts };
        if let Some(images) = &image.manual_images {
            (self.observer)(started("manual"));
            let reference = manual_reference(images, &self.options.platform)?;
            self.accept(image, result, &reference.repository.to_string(), reference.version())?;
            return Ok(self.bring(image, result, &reference.repository.to_string())?);
        }
        (self.observer)(started(image.backend.word()));
        let builder = backend(image.backend);
        let tool =
            self.tools.get(&image.backend).cloned().ok_or_else(|| Error::internal("a builder was not looked for"))?;
        let work = WorkDir::new(&self.options.out)?;
        let (mut step, files) = self.step(image, &tool, result, work.path())?;
        if builder.annotates(&tool) {
            // The manifest stage compares them with its plan: children of another input or image make no index.
            step.annotations.insert(index::INPUT_KEY.to_owned(), image.input_key.clone());
            step.annotations.insert(index::IMAGE.to_owned(), image.name.to_string());
            if index::stands_alone(&self.options.platform) {
                // No index will say any of it.
                step.annotations.extend(index::of_image(self.plan, image));
            }
        }
        let stem = BuildResult::stem(&image.name, &self.options.platform);
        let log = open_log(&self.options.out, &stem, result.attempts)?;
        let until = deadline(image, Instant::now());
        let mut running = Running { image, builder, tool, files, stem, log, until, without_cache: false };
        let digest = match self.run_builder(&running, &step, result) {
            Err(failed) if failed.may_be_the_caches && step.cache.is_some() => {
                // What passes by itself gets its wait, and only the end of all waits is answered without the cache.
                let wait = if failed.temporary { last } else { Some(Duration::ZERO) };
                let Some(wait) = wait else { return Err(failed) };
                // A cache that is broken fails no build.
                let text = format!("failed with its layer cache, and is built once more without: {}", failed.error);
                (self.observer)(Event::Note { image: &image.name, text: &text });
                self.interrupt.sleep(wait)?;
                // Waiting is no part of the build's time.
                running.until = running.until.and_then(|until| until.checked_add(wait));
                (step.cache, result.error, running.without_cache) = (None, None, true);
                self.run_builder(&running, &step, result)?
            }
            built => built?,
        };
        // The tag first: one request that confirms both. Another run may have moved it in between.
        let by_tag = self.view.manifest(&step.repository, step.tag.as_str()).ok();
        let reference = match by_tag {
            Some(found) if found.digest == digest => step.tag.as_str().to_owned(),
            _ => digest.to_string(),
        };
        self.accept(image, result, &step.repository, &reference)
    }

    /// Confirms what was pushed, or named, and writes it into the result.
    fn accept(
        &self,
        image: &PlannedImage,
        result: &mut BuildResult,
        repository: &str,
        reference: &str,
    ) -> Result<(), Failed> {
        let confirmed =
            confirm(self.view, repository, reference, &self.options.platform).map_err(|error| match error.kind() {
                ErrorKind::NotFound if image.manual_images.is_none() => {
                    let message =
                        format!("the registry has no {repository}@{reference}, which the builder says it pushed");
                    Error::new(ErrorKind::RegistryError, message)
                        .cause(error)
                        .hint("look into its log, and at the registry's")
                }
                _ => error,
            })?;
        for note in &confirmed.notes {
            (self.observer)(Event::Note { image: &image.name, text: note });
        }
        result.reference = Some(format!("{repository}@{}", confirmed.digest));
        result.digest = Some(confirmed.digest);
        result.media_type = Some(confirmed.media_type);
        result.size = Some(confirmed.size);
        Ok(())
    }

    /// Copies an image that was built elsewhere to where those that are built on it look for it: the manifest stage,
    /// which publishes it, comes after them, and a check run has none.
    fn bring(&self, image: &PlannedImage, result: &BuildResult, from: &str) -> Result<()> {
        let to = self.plan.repository_of(self.registry, &image.name);
        let edges = self.plan.images.iter().flat_map(|other| &other.dependencies);
        let mut edges = edges.filter(|edge| edge.name == image.name && edge.from == DependencyFrom::Plan);
        match &result.digest {
            Some(digest) if from != to && edges.any(|edge| edge.is_for(&self.options.platform)) => {
                self.view.copy(from, &to, digest)
            }
            _ => Ok(()),
        }
    }

    fn step(&self, image: &PlannedImage, tool: &Tool, result: &BuildResult, work: &Path) -> Result<(Step, Files)> {
        let mut files = context::prepare(self.options, image, work, self.interrupt)?;
        let tags = self.tags_of(image)?;
        let build_args = self.arguments(image, &tags, files.parsed.as_ref())?;
        self.preflight(image, tool, &files, &build_args)?;
        if image.backend.reads_dockerfile() {
            files.pin(&self.pins(image, &tags), work)?;
        }
        let repository = self.plan.repository_of(self.registry, &image.name);
        let cache = self.cache(image, &files, &build_args);
        let hosts = self.hosts(image, &files, &build_args, cache.as_ref());
        let mut ko = image.ko.clone();
        if let Some(dir) = ko.as_mut().and_then(|ko| ko.working_dir.as_mut()) {
            *dir = source::confine(&files.context, dir)?.display().to_string();
        }
        let mut spin = image.spin.clone();
        if let Some(spin) = &mut spin {
            spin.manifest_path = source::confine(&files.context, &spin.manifest_path)?.display().to_string();
        }
        let docker_config = self.docker_config(tool, &hosts, work)?;
        let report = work.join("report");
        context::make_dir(&report)?;
        let step = Step {
            platform: self.options.platform.clone(),
            tag: result.tag.clone(),
            insecure_hosts: self.insecure_hosts(&hosts),
            context: files.context.clone(),
            dockerfile: files.dockerfile.clone(),
            target: target_of(image).map(str::to_owned),
            ignore_file: files
                .ignore_files
                .iter()
                .find(|path| path.extension() == Some("dockerignore".as_ref()))
                .cloned(),
            build_args,
            labels: image.labels.clone(),
            annotations: image.annotations.clone(),
            ko,
            spin,
            cache,
            anew: self.plan.anew,
            secrets: secrets::of_step(self.options, image)?,
            work: report,
            protected: vec![self.options.checkout.clone(), self.options.out.clone()],
            docker_config,
            repository,
        };
        Ok((step, files))
    }

    /// Runs the commands of a step; the digest is what the builder says.
    fn run_builder(&self, running: &Running<'_>, step: &Step, result: &mut BuildResult) -> Result<Digest, Failed> {
        let Running { image, builder, tool, stem, .. } = running;
        let (mut said, mut cached) = (None, false);
        let (observer, name) = (self.observer, &image.name);
        let watch = Box::new(|line: &str| {
            said = builder.said(line).or(said.take());
            cached |= builder.uses_cache(line);
            observer(Event::Line { image: name, text: line });
        });
        // What is written follows what another run of this attempt wrote: both have one place in the file.
        let file = running.log.try_clone().map_err(|error| unwritten(stem, error))?;
        let hidden = self.hidden_with(step);
        let mut log = Log::new(Box::new(std::io::BufWriter::new(file)), watch, &hidden);
        if running.without_cache {
            log.note("hephy: once more, without the layer cache");
        } else if result.attempts > 1 {
            log.note(&format!("hephy: attempt {}", result.attempts));
        }
        let mut ended = Ok(());
        let mut pushing = false;
        for (index, invocation) in builder.invocations(tool, step)?.into_iter().enumerate() {
            pushing = index > 0;
            ended = self.run_one(&invocation, &mut log, running.until);
            if let Some(error) = log.failure() {
                // A disk that takes no log takes no result either: nothing more is pushed.
                return Err(unwritten(stem, error).into());
            }
            if ended.is_err() {
                break;
            }
        }
        let (tail, stdout) = (log.tail(), log.stdout());
        drop(log);
        if let Err(mut failed) = ended {
            failed.may_be_the_caches &= cached && !pushing;
            if matches!(failed.error.kind(), ErrorKind::TimeoutError | ErrorKind::Cancelled | ErrorKind::ResourceError)
                && builder.soiled_by_kill(tool)
            {
                self.state().soiled = Some(image.name.clone());
            }
            // No instruction is to blame for what comes after the build.
            let said = said.as_ref().filter(|_| !pushing);
            return Err(self.explain(failed, &tail, said, running, result));
        }
        let read = |name: &str| crate::store::read_left(&step.work.join(name), MAX_REPORT).ok().flatten();
        Ok(builder.digest(step, &read, &stdout)?)
    }

    fn run_one(&self, invocation: &Invocation, log: &mut Log<'_>, deadline: Option<Instant>) -> Result<(), Failed> {
        for (path, content) in &invocation.files {
            crate::store::write_whole(path, content)?;
        }
        let mut command = Command::new(&invocation.program).args(invocation.args.iter().cloned());
        for (name, value) in &invocation.env_default {
            if !self.options.environment.contains_key(name) {
                command = command.env(name, value);
            }
        }
        for (name, value) in &invocation.env {
            command = command.env(name, value);
        }
        for (name, value) in &self.options.builder_env {
            command = command.env(name, value);
        }
        for name in &invocation.env_remove {
            command = command.env_remove(name);
        }
        if let Some(cwd) = &invocation.cwd {
            command = command.cwd(cwd);
        }
        if let Some(deadline) = deadline {
            command = command.timeout(deadline.saturating_duration_since(Instant::now()));
        }
        let ended = command.stream(log, self.interrupt).inspect_err(|error| {
            if let (Some(stop), ErrorKind::TimeoutError | ErrorKind::Cancelled) = (&invocation.stop, error.kind()) {
                // Best effort: usually the client has passed the signal on and the container is gone.
                let stop = Command::new(&invocation.program).args(stop.iter().cloned());
                let _ = stop.timeout(Duration::from_secs(10)).even_after_a_signal().capture();
            }
        })?;
        if ended.code == Some(0) {
            return Ok(());
        }
        let failure = classify(ended.status(), &log.tail());
        let name = invocation.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let message = match (ended.signal, failure.kind) {
            (Some(_), ErrorKind::ResourceError) => format!("{name} was killed by the system"),
            (Some(signal), _) => format!("{name} was ended by signal {signal}"),
            (None, ErrorKind::ResourceError) => {
                format!("{name} ran out of memory or disk (exit status {})", ended.status())
            }
            (None, _) => format!("{name} failed with exit status {}", ended.status()),
        };
        let hint = match failure.kind {
            ErrorKind::ResourceError => "give the job more memory or disk, or build less at a time",
            ErrorKind::AuthError => "check the registry's credentials and that they may push to this repository",
            ErrorKind::RegistryError => "the registry or the network failed; the last lines of the log say which",
            _ => "the last lines of the log say why",
        };
        let error = Error::new(failure.kind, message).hint(hint);
        Err(Failed { error, temporary: failure.temporary, may_be_the_caches: !failure.not_the_builders })
    }

    /// Adds what a person needs to a builder's failure: the instruction, and the last lines of the log.
    fn explain(
        &self,
        failed: Failed,
        tail: &[String],
        said: Option<&Said>,
        running: &Running<'_>,
        result: &mut BuildResult,
    ) -> Failed {
        let Running { files, stem, .. } = running;
        let known = instructions(&files.text);
        let built = files.pinned.as_deref().map(instructions);
        let found = said.and_then(|said| locate(said, built.as_ref().unwrap_or(&known)));
        // The builder's lines are the original's; its words need not be.
        let found = found.and_then(|found| known.iter().find(|written| written.line == found.line));
        let instruction = found.map(|found| FailedInstruction {
            file: files.shown.clone(),
            line: found.line,
            stage: found.stage.clone(),
            text: found.text.clone(),
        });
        let mut kept = ResultError::of(&failed.error);
        kept.last_lines = tail.to_vec();
        let out = self.options.out.strip_prefix(&self.options.checkout).unwrap_or(&self.options.out);
        let log = format!("{}/logs/{stem}.log", escape(&out.to_string_lossy()));
        let place = instruction.as_ref().map(|found| format!("{}:{}", found.file, found.line));
        kept.instruction = instruction;
        result.error = Some(kept);
        let hint = failed.error.hint_text().unwrap_or("look into its log").to_owned();
        let message = match place {
            Some(place) => format!("{}: {}", place, failed.error.message()),
            None => failed.error.message().to_owned(),
        };
        let mut error = Error::new(failed.error.kind(), message).hint(format!("{hint} ({log})"));
        if error.kind() != ErrorKind::Cancelled
            && let Some(last) = tail.iter().rev().find(|line| !line.trim().is_empty())
        {
            error = error.cause(anyhow::anyhow!(escape_cut_middle(last.trim(), 400)));
        }
        Failed { error, ..failed }
    }
}

/// A build in an attempt, with its layer cache or without.
struct Running<'a> {
    image: &'a PlannedImage,
    builder: &'a dyn Backend,
    tool: Tool,
    files: Files,
    /// `<image>-<arch>`.
    stem: String,
    /// The builder's whole output.
    log: File,
    /// The end of the image's time.
    until: Option<Instant>,
    /// Whether this is the second run, without the layer cache.
    without_cache: bool,
}

/// When the time of a build that begins now is over. A limit beyond what a clock can hold is none.
fn deadline(image: &PlannedImage, now: Instant) -> Option<Instant> {
    now.checked_add(Duration::from_secs(image.timeout_seconds?))
}

fn unwritten(stem: &str, error: std::io::Error) -> Error {
    Error::io(format!("the log of {stem} could not be written"), error)
}

/// A failed attempt.
pub(super) struct Failed {
    error: Error,
    temporary: bool,
    /// It may be gone when the layer cache is left alone.
    may_be_the_caches: bool,
}

impl From<Error> for Failed {
    /// What fails outside a builder stays: registry requests have been repeated by the client already.
    fn from(error: Error) -> Self {
        Self { temporary: false, may_be_the_caches: false, error }
    }
}

fn open_log(out: &Path, stem: &str, attempt: u32) -> Result<File> {
    let dir = out.join("logs");
    context::make_dir(&dir)?;
    let path = dir.join(format!("{stem}.log"));
    let mut open = std::fs::OpenOptions::new();
    open.create(true).write(true);
    if attempt == 1 {
        open.truncate(true)
    } else {
        open.append(true)
    };
    open.open(&path).map_err(|error| Error::io(format!("{} could not be written", path.display()), error))
}
