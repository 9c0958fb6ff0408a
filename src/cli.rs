//! What can be typed. Types only: nothing here looks at the machine beyond clap's own `env`.
//!
//! Completions, the man page and the help texts all come from these definitions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::config::{BackendName, Dependents, Layout};

/// Builds the container images of a repository, exactly those that changed.
#[derive(Debug, Parser)]
#[command(
    name = "hephy",
    version,
    about,
    long_about = "hephy builds the container images of a repository, exactly those that changed.\n\n\
                  Every directory with a build-config.yaml is one image. `hephy plan` shows what would be built and \
                  why; `hephy run` builds and publishes it on this machine; in CI the stages prepare, build and \
                  manifest run as separate jobs.",
    after_help = "Exit codes: 0 success, 1 build_error, 2 usage_error, 3 config_error, 4 clone_error, 5 auth_error,\n\
                  6 registry_error, 7 resource_error, 8 timeout_error, 9 not_found, 10 internal_error, 130 cancelled.",
    subcommand_required = true,
    arg_required_else_help = true,
    propagate_version = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Work in this directory instead of the current one.
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// What stdout is: text for people, or one JSON document.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// Say more on stderr.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour (`NO_COLOR` is honoured).
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, global = true, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Directory of the files between stages, relative to the repository's root.
    #[arg(long, env = "HEPHY_OUT", default_value = ".hephy", global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
}

/// Forms of stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One document for programs.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would be built and why; writes nothing.
    Plan(PlanArgs),
    /// Decide everything: plan, need-flags, source archives.
    Prepare(PrepareArgs),
    /// Build the plan's images for one architecture.
    Build(BuildArgs),
    /// Publish multi-architecture indexes and tags.
    Manifest(ManifestArgs),
    /// All stages on this machine.
    Run(RunArgs),
    /// Validate every configuration and what it refers to, without the network.
    Check(CheckArgs),
    /// Show which image is built on which.
    Graph(GraphArgs),
    /// Show which images lie on base images that have moved since they were published.
    Stale(StaleArgs),
    /// Print documents that a platform makes jobs of, out of the plan.
    #[command(subcommand)]
    Generate(Generate),
    /// Print a JSON Schema, for editors and for other tools.
    Schema(SchemaArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What to compare with, and which images to build.
#[derive(Clone, Debug, Default, Args)]
pub struct SelectArgs {
    /// Compare with this commit.
    #[arg(long, value_name = "REV", help_heading = "Comparison", conflicts_with_all = ["merge_base", "all"], allow_hyphen_values = true)]
    pub base: Option<String>,
    /// Compare with the commit where this one's history and ours part.
    #[arg(long, value_name = "REV", help_heading = "Comparison", conflicts_with = "all", allow_hyphen_values = true)]
    pub merge_base: Option<String>,
    /// In CI: compare with the commit of the branch's last successful pipeline, from the platform's API.
    #[arg(long, value_enum, value_name = "WHEN", help_heading = "Comparison", conflicts_with_all = ["base", "merge_base", "all"])]
    pub since: Option<Since>,
    /// Count commits only, not the working tree (always so in CI); a revision builds that one instead of HEAD.
    #[arg(long, value_name = "REV", num_args = 0..=1, default_missing_value = "HEAD", help_heading = "Comparison")]
    pub head: Option<String>,
    /// Build every image.
    #[arg(long, help_heading = "Images")]
    pub all: bool,
    /// Build the images in directories that match (repeatable; globs), or the image of this name.
    #[arg(long = "dir", value_name = "DIR", help_heading = "Images", conflicts_with = "all")]
    pub dirs: Vec<String>,
    /// Build the images that `rebuild-NAME.txt` lists.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "weekly", help_heading = "Images", conflicts_with_all = ["all", "dirs"])]
    pub scheduled: Option<String>,
    /// Of those images, build only the ones whose base images have moved since they were published.
    #[arg(long, help_heading = "Images")]
    pub only_stale: bool,
    /// Build even what is published already.
    #[arg(long, help_heading = "Images")]
    pub force: bool,
    /// How far a change travels along the graph.
    #[arg(long, value_enum, env = "HEPHY_DEPENDENTS", help_heading = "Images", value_name = "HOW")]
    pub dependents: Option<Dependents>,
    /// Where images go: `host[:port]/repository`, or `none` to skip credentials.
    #[arg(long, env = "HEPHY_REGISTRY", help_heading = "Registry", value_name = "REGISTRY")]
    pub registry: Option<String>,
    /// One repository for all images, or one an image.
    #[arg(long, value_enum, env = "HEPHY_LAYOUT", help_heading = "Registry")]
    pub layout: Option<Layout>,
    /// Builder of images whose configuration names none.
    #[arg(long, value_enum, env = "HEPHY_BACKEND", help_heading = "Builders")]
    pub backend: Option<BackendName>,
}

/// A moment of a branch's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Since {
    /// When a pipeline was last successful.
    LastSuccess,
}

/// `hephy plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What to compare and build.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Answer why the image in this directory is built, or is not.
    #[arg(long, value_name = "DIR")]
    pub explain: Option<String>,
}

/// `hephy prepare`.
#[derive(Debug, Args)]
pub struct PrepareArgs {
    /// What to compare and build.
    #[command(flatten)]
    pub select: SelectArgs,
}

/// `hephy build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Architecture to build for: `amd64`, `arm64`, `armv7`, …
    #[arg(long, value_name = "ARCH")]
    pub arch: String,
    /// Build this image only (repeatable); in a check run also those that it is built on.
    #[arg(long = "image", env = "HEPHY_IMAGES", value_delimiter = ',', value_name = "NAME")]
    pub images: Vec<String>,
    /// How many images to build at the same time, where the builder bears it.
    #[arg(long, env = "HEPHY_JOBS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
}

/// `hephy manifest`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// Publish this image only (repeatable).
    #[arg(long = "image", env = "HEPHY_IMAGES", value_delimiter = ',', value_name = "NAME")]
    pub images: Vec<String>,
    /// Read from the registry what other jobs published for this plan; write only tags of images that are reused.
    #[arg(long)]
    pub collect: bool,
    /// Publish what exists where a platform failed; never takes a platform away from a tag.
    #[arg(long, env = "HEPHY_ALLOW_PARTIAL")]
    pub allow_partial: bool,
}

/// `hephy run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to compare and build.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Build for these platforms instead of the host's (repeatable); `all` for every wanted one.
    #[arg(long = "platform", value_name = "PLATFORM", help_heading = "Builders")]
    pub platforms: Vec<String>,
    /// How many images to build at the same time, where the builder bears it.
    #[arg(long, env = "HEPHY_JOBS", value_name = "N", default_value_t = 1, help_heading = "Builders", value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Leave the registry that hephy started running.
    #[arg(long, help_heading = "Registry")]
    pub keep_registry: bool,
}

/// `hephy check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directories or files; the whole repository by default.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Fail on warnings too.
    #[arg(long)]
    pub strict: bool,
    /// Say what a rule is about, and how to silence it.
    #[arg(long, value_name = "RULE", conflicts_with_all = ["paths", "strict"])]
    pub explain: Option<String>,
}

/// `hephy graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// How to draw it.
    #[arg(long = "as", value_enum, default_value_t = GraphForm::Text, value_name = "FORM")]
    pub form: GraphForm,
}

/// Forms of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphForm {
    /// Indented text.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// JSON.
    Json,
}

/// `hephy stale`.
#[derive(Debug, Args)]
pub struct StaleArgs {
    /// Image directories (globs), each shown with all its bases; every image by default.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dirs: Vec<String>,
    /// Where images are published: `host[:port]/repository`.
    #[arg(long, env = "HEPHY_REGISTRY", value_name = "REGISTRY")]
    pub registry: Option<String>,
    /// One repository for all images, or one an image.
    #[arg(long, value_enum, env = "HEPHY_LAYOUT")]
    pub layout: Option<Layout>,
    /// Builder of images whose configuration names none.
    #[arg(long, value_enum, env = "HEPHY_BACKEND")]
    pub backend: Option<BackendName>,
}

impl StaleArgs {
    /// The same as a selection of images.
    #[must_use]
    pub fn select(&self) -> SelectArgs {
        let (registry, layout, backend) = (self.registry.clone(), self.layout, self.backend);
        SelectArgs { registry, layout, backend, ..SelectArgs::default() }
    }
}

/// `hephy generate`.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Job matrices of GitHub Actions (`HEPHY_FANOUT`, `HEPHY_GITHUB_RUNNERS`).
    Github(GenerateArgs),
    /// Child pipeline of GitLab: one job for each image and architecture (`HEPHY_GITLAB_…`, as the template sets them).
    Gitlab(GenerateArgs),
}

/// Where a generated document goes.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Write the document to this file instead of stdout.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// `hephy schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which document.
    #[arg(value_enum)]
    pub document: SchemaDocument,
}

/// Documents with a JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaDocument {
    /// `build-config.yaml`.
    Config,
    /// `hephy.yaml`.
    Root,
    /// `plan.json`.
    Plan,
    /// `<image>-<arch>.json`.
    Result,
    /// `<image>.manifest.json`.
    Manifest,
}
