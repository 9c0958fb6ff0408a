//! What every command begins with: the environment, the directories, the sink of output.

use std::path::{Path, PathBuf};

use super::out_dir;
use crate::ci::{self, CiContext, Env, Overrides};
use crate::cli::{Global, SelectArgs};
use crate::diagnostic::escape;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::report::{Groups, Report};
use crate::store::{read_left, read_named};

/// Largest plan that is read, in bytes: some ten thousand images.
const MAX_PLAN: u64 = 256 << 20;

/// One run of hephy.
#[derive(Debug)]
pub struct Session {
    /// The environment; variables that are not UTF-8 are none of ours.
    pub env: Env,
    /// The directory to work in, absolute.
    pub dir: PathBuf,
    /// `--out` as given.
    pub out: PathBuf,
    /// Where output goes.
    pub report: Report,
}

impl Session {
    /// Looks at the machine once.
    ///
    /// # Errors
    /// When the directory to work in does not exist.
    pub fn new(global: &Global, env: Env) -> Result<Self> {
        let set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
        let groups = match ci::platform(&env) {
            ci::Platform::Gitlab => Groups::Gitlab,
            ci::Platform::Github => Groups::Github,
            ci::Platform::Other | ci::Platform::Local => Groups::None,
        };
        let report = Report::new(global, set("NO_COLOR"), groups).hide(ci::output::secrets(&env));
        let dir = global.directory.clone().unwrap_or_else(|| PathBuf::from("."));
        let dir = dir.canonicalize().map_err(|error| {
            Error::usage(format!("{} is no directory to work in", dir.display()))
                .cause(error)
                .hint("-C names an existing directory")
        })?;
        Ok(Self { env, dir, out: global.out.clone(), report })
    }

    /// What started this run.
    ///
    /// # Errors
    /// When environment or event file hold something that cannot be right.
    pub fn context(&self, overrides: &Overrides) -> Result<CiContext> {
        let event = match ci::event_path(&self.env) {
            Some(path) => Some(event_file(Path::new(path))?),
            None => None,
        };
        ci::context(&self.env, event.as_deref(), overrides)
    }

    /// What the environment says to commands that have no flags for it, so that they see what `plan` sees.
    ///
    /// # Errors
    /// When a variable holds a word that its flag would not take.
    pub fn select(&self) -> Result<SelectArgs> {
        Ok(SelectArgs {
            registry: self.env.get("HEPHY_REGISTRY").cloned(),
            layout: self.word("HEPHY_LAYOUT")?,
            backend: self.word("HEPHY_BACKEND")?,
            ..SelectArgs::default()
        })
    }

    fn word<T: clap::ValueEnum>(&self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.env.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        T::from_str(value, false).map(Some).map_err(|_| {
            let words = T::value_variants().iter().filter_map(T::to_possible_value);
            let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
            Error::usage(format!("{name} cannot be `{}`", crate::diagnostic::escape_cut(value, 80)))
                .hint(format!("one of {}", words.join(", ")))
        })
    }

    /// The output directory below `root`, which may be written.
    ///
    /// # Errors
    /// When writing there would write elsewhere; see [`out_dir::check`].
    pub fn safe_out(&self, root: &Path) -> Result<PathBuf> {
        let out = self.out_below(root);
        out_dir::check(root, &out)?;
        Ok(out)
    }

    /// The output directory below `root`.
    #[must_use]
    pub fn out_below(&self, root: &Path) -> PathBuf {
        root.join(&self.out)
    }

    /// The nearest directory, from the one to work in upwards, that holds a plan; and the plan. Build jobs have no
    /// git, so the plan marks the root of the checkout.
    ///
    /// # Errors
    /// When there is no plan, it is none that this hephy can read, or its registry is not this job's.
    pub fn plan(&self) -> Result<(PathBuf, Plan)> {
        let file = |root: &Path| self.out_below(root).join("plan.json");
        let root = self.dir.ancestors().find(|root| file(root).is_file()).ok_or_else(|| {
            Error::config(format!("there is no plan in {}", self.out_below(&self.dir).display()))
                .hint("run hephy prepare first, and hand its artifacts on to this job")
        })?;
        self.safe_out(root)?;
        let bytes = read_left(&file(root), MAX_PLAN)?;
        let plan = Plan::parse(&bytes.unwrap_or_default())?;
        super::build::validate::plan(&plan)?;
        super::own_commit::confirm(self, root, &plan)?;
        super::own_registry::confirm(self, root, &plan)?;
        Ok((root.to_owned(), plan))
    }
}

/// Files that the platform gives for outputs and summaries.
impl Session {
    /// Appends to the file that an environment variable names, where it names one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_to(&self, variable: &str, text: &str) -> Result<()> {
        use std::io::Write as _;
        let Some(path) = self.env.get(variable).filter(|path| !path.is_empty()) else { return Ok(()) };
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Error::io(format!("{path}, which {variable} names, cannot be written"), error))
    }
}

fn event_file(path: &Path) -> Result<Vec<u8>> {
    let absent = || {
        Error::usage(format!("the event file {} does not exist", escape(&path.display().to_string())))
            .hint("GITHUB_EVENT_PATH must name the file that the runner wrote")
    };
    read_named(path, ci::MAX_EVENT_BYTES as u64)?.ok_or_else(absent)
}
