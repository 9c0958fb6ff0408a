//! `hephy build --arch ARCH`: builds the plan's images for one platform, each after what it is built on
//! (specification §§7, 8, 10).
//!
//! The plan has decided; here each image gets its context, its arguments and its builder, and what the builder
//! claims to have pushed is confirmed in the registry before anybody hears of it. A failure stops the images that
//! are built on the failed one and nothing else.

mod attempt;
pub mod command;
mod confirm;
mod context;
mod dependencies;
mod host;
mod logins;
mod preflight;
mod results;
mod schedule;
mod secrets;
mod tools;
pub(in crate::commands) mod validate;
mod view;
mod work;
mod work_dir;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crate::config::BackendName;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{ImageName, Platform};
use crate::plan::{DependencyFrom, Mode, Plan, PlannedImage};
use crate::process::Interrupt;
use crate::result::{BuildResult, Status};

pub use confirm::{Confirmed, Fetched, RegistryView, confirm};
pub use tools::find_tool;

/// What a build job was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Absolute path of the repository's checkout.
    pub checkout: PathBuf,
    /// Absolute path of the output directory, which holds the sources that prepare left.
    pub out: PathBuf,
    /// Platform to build for.
    pub platform: Platform,
    /// Only these images; all of them where it is empty.
    pub images: Vec<ImageName>,
    /// Registry to push to instead of the plan's.
    pub registry: Option<String>,
    /// How many images may be built at the same time.
    pub jobs: usize,
    /// Hosts that speak plain HTTP, besides loopback ones.
    pub insecure_hosts: Vec<String>,
    /// Build for a platform that this machine cannot run, where no instruction runs a program of it.
    pub cross: bool,
    /// Directory with the `config.json` that holds the registry's credentials.
    pub docker_config: Option<PathBuf>,
    /// Values that no log and no line may show.
    pub secrets: Vec<String>,
    /// How often a build is tried again where the image does not say.
    pub retries: u32,
    /// Wait before the first repetition; it doubles up to [`LONGEST_WAIT`].
    pub retry_wait: Duration,
    /// The job's environment, as far as hephy looks at it: `PATH`, `HOME`, `HEPHY_KANIKO`, `BUILDKIT_HOST`, ….
    pub environment: BTreeMap<String, String>,
    /// Variables for builders on top of the job's environment.
    pub builder_env: BTreeMap<String, String>,
    /// Stop at what the builder would not build as written.
    pub preflight: bool,
}

/// Default of [`Options::retries`] (specification §16).
pub const RETRIES: u32 = 3;
/// Default of [`Options::retry_wait`].
pub const FIRST_WAIT: Duration = Duration::from_secs(30);
/// Longest wait between two attempts.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What happens while images are built, for progress and logs. Texts are not yet escaped.
#[derive(Debug)]
pub enum Event<'a> {
    /// An attempt begins.
    Started {
        /// The image.
        image: &'a ImageName,
        /// The builder.
        backend: &'a str,
        /// From 1.
        attempt: u32,
    },
    /// A line of the builder's output, secrets masked.
    Line {
        /// The image.
        image: &'a ImageName,
        /// The line without its newline.
        text: &'a str,
    },
    /// An attempt failed, and there will be another one.
    Retry {
        /// The image.
        image: &'a ImageName,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Why.
        error: &'a Error,
        /// When the next one begins.
        wait: Duration,
    },
    /// Something a person should know.
    Note {
        /// The image.
        image: &'a ImageName,
        /// One sentence.
        text: &'a str,
    },
    /// Images wait for each other although several may be built at the same time: this builder bears no other beside it.
    OneAtATime {
        /// The builder.
        backend: BackendName,
    },
    /// An image is done, in whatever way.
    Finished(&'a BuildResult),
}

/// Hears of events; called from several threads.
pub type Observer<'a> = dyn Fn(Event<'_>) + Sync + 'a;

/// What a build job did.
#[derive(Debug)]
pub struct Outcome {
    /// Whether the plan wants anything for this platform; nothing was done otherwise.
    pub needed: bool,
    /// One result an image, in the plan's order.
    pub results: Vec<BuildResult>,
    /// The failure that decides the exit status: the first one.
    pub failure: Option<Error>,
}

/// Builds what the plan wants for the platform.
///
/// # Errors
/// When the job cannot begin: the plan is invalid, the machine cannot run the platform, a builder is
/// missing, a signal came. Failures of images are in the [`Outcome`].
pub fn run(
    options: &Options,
    plan: &Plan,
    registry: &dyn RegistryView,
    interrupt: &Interrupt,
    observer: &Observer<'_>,
) -> Result<Outcome> {
    validate::plan(plan)?;
    let images = wanted(plan, &options.platform, &options.images)?;
    if images.is_empty() {
        return Ok(Outcome { needed: false, results: Vec::new(), failure: None });
    }
    let repository = options.registry.as_deref().or(plan.registry.as_deref()).ok_or_else(|| {
        Error::config("there is no registry to push to")
            .hint("give prepare one: --registry, HEPHY_REGISTRY, or `registry` in hephy.yaml")
    })?;
    if !options.cross {
        host::check(&options.platform, &options.environment, &images)?;
    }
    let mut hidden = options.secrets.clone();
    hidden.extend(secrets::values(options, &images)?);
    let job = Job {
        options,
        hidden,
        plan,
        registry: repository,
        view: registry,
        interrupt,
        observer,
        tools: find_tools(options, &images)?,
        state: Mutex::default(),
    };
    results::clear(&options.out, &images, &options.platform)?;
    job.build_all(&images)
}

/// The images that are to be built for this platform, by wave and then by name: those of the plan that were asked for.
/// What another job of a check run built is not there any more, so a check run builds what they are built on as well.
///
/// # Errors
/// When an image is asked for that the plan does not have.
fn wanted<'a>(plan: &'a Plan, platform: &Platform, asked: &[ImageName]) -> Result<Vec<&'a PlannedImage>> {
    if let Some(unknown) = asked.iter().find(|name| plan.image(name.as_str()).is_none()) {
        return Err(Error::new(ErrorKind::NotFound, format!("the plan has no image {unknown}"))
            .hint("`hephy plan` lists the images that are to be built"));
    }
    let mut names: BTreeSet<&ImageName> = asked.iter().collect();
    let mut open: Vec<&ImageName> = if plan.mode == Mode::Check { asked.iter().collect() } else { Vec::new() };
    while let Some(image) = open.pop().and_then(|name| plan.image(name.as_str())) {
        let below = image.dependencies.iter().filter(|it| it.from == DependencyFrom::Plan && it.is_for(platform));
        let below = below.map(|it| &it.name);
        open.extend(below.filter(|name| names.insert(name)));
    }
    let asked = |image: &&PlannedImage| names.is_empty() || names.contains(&image.name);
    let mut images: Vec<_> =
        plan.images.iter().filter(|image| image.platforms.contains(platform)).filter(asked).collect();
    images.sort_by(|a, b| (a.wave, &a.name).cmp(&(b.wave, &b.name)));
    Ok(images)
}

fn find_tools(options: &Options, images: &[&PlannedImage]) -> Result<BTreeMap<BackendName, crate::backend::Tool>> {
    let mut tools = BTreeMap::new();
    for image in images.iter().filter(|image| image.manual_images.is_none()) {
        if let std::collections::btree_map::Entry::Vacant(entry) = tools.entry(image.backend) {
            entry.insert(find_tool(image.backend, &options.environment)?);
        }
    }
    Ok(tools)
}

/// A running build job.
struct Job<'a> {
    options: &'a Options,
    /// Values that no log and no line may show.
    hidden: Vec<String>,
    plan: &'a Plan,
    /// Where images are pushed to.
    registry: &'a str,
    view: &'a dyn RegistryView,
    interrupt: &'a Interrupt,
    observer: &'a Observer<'a>,
    tools: BTreeMap<BackendName, crate::backend::Tool>,
    state: Mutex<State>,
}

/// What images of a job have left behind so far.
#[derive(Debug, Default)]
struct State {
    /// Results by image.
    done: BTreeMap<ImageName, BuildResult>,
    /// The image whose killed build left files that the next one would take in.
    soiled: Option<ImageName>,
}

impl Job<'_> {
    /// Builds one image, or says why not.
    fn build(&self, image: &PlannedImage) -> (BuildResult, Option<Error>) {
        let mut result = results::begin(self.plan, image, &self.options.platform);
        let built = match self.blocker(image) {
            Some(Blocker { image: blocker, error, told }) => {
                result.status = Status::Skipped;
                results::note_failure(&mut result, &error);
                if let Some(failure) = &mut result.error {
                    failure.because_of = Some(blocker);
                }
                result.end = results::now();
                // Skipping follows from a failure; where that is another job's, nothing else says why this one ends badly.
                return (result, (!told).then_some(error));
            }
            None => self.interrupt.check().and_then(|()| self.attempts(image, &mut result)),
        };
        result.end = results::now();
        match built {
            Ok(()) => {
                result.status = Status::Completed;
                (result, None)
            }
            Err(error) => {
                result.status = if error.kind() == ErrorKind::Cancelled { Status::Cancelled } else { Status::Failed };
                results::note_failure(&mut result, &error);
                (result, Some(error))
            }
        }
    }

    /// The image that stands in the way: one it is built on was not built, or a killed build left its
    /// files behind.
    fn blocker(&self, image: &PlannedImage) -> Option<Blocker> {
        let needed = image.dependencies.iter().filter(|dependency| dependency.is_for(&self.options.platform));
        for name in needed.filter(|it| it.from == DependencyFrom::Plan).map(|it| &it.name) {
            // One that cannot be read is told of where it is used.
            let Ok(Some(result)) = self.result_of(name) else { continue };
            if result.status == Status::Completed {
                continue;
            }
            // The root of a chain of skipped images is the one to look at.
            let root = result.error.and_then(|error| error.because_of).unwrap_or_else(|| name.clone());
            let error = Error::new(ErrorKind::BuildError, format!("not built, because {root} was not"))
                .hint(format!("solve what is said of {root}"));
            return Some(Blocker { image: root, error, told: self.state().done.contains_key(name) });
        }
        let soiled = self.state().soiled.clone()?;
        let error = Error::new(
            ErrorKind::BuildError,
            format!("not built, because the killed build of {soiled} may have left files in this container"),
        )
        .hint("run the job again; Kaniko 1.25.4 and later clean up before they build");
        Some(Blocker { image: soiled, error, told: true })
    }
}

/// Why an image is not built.
struct Blocker {
    /// The image to look at.
    image: ImageName,
    error: Error,
    /// This job has told of a failure already.
    told: bool,
}
