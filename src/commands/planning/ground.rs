//! The ground a plan stands on: what started the run, the repository, where images go.

use std::path::PathBuf;

use crate::backend::Version;
use crate::change::RepoPath;
use crate::ci::{self, BaseSpec, CiContext, Env, Overrides};
use crate::cli::SelectArgs;
use crate::commands::session::Session;
use crate::commands::survey::Rules;
use crate::config::{BackendName, Layout, Transports};
use crate::error::{Error, Result};
use crate::git::{Loaded, Repository, Request};
use crate::oci;
use crate::plan::tags::TagFacts;
use crate::plan::{Mode, PlanSource};

/// What is known before any tree is read.
pub(super) struct Ground {
    pub(super) context: CiContext,
    pub(super) repository: Repository,
    /// Top of the checkout.
    pub(super) root: PathBuf,
    /// Directories of the working tree that do not count.
    pub(super) exclude: Vec<RepoPath>,
    /// Address of the repository without credentials; its directory's name where it has none.
    pub(super) address: String,
    /// Name of an image in the root.
    pub(super) name: String,
    /// The registry that flags and environment name.
    pub(super) explicit_registry: Option<String>,
    /// The platform's own.
    pub(super) platform_registry: Option<String>,
    /// The builder of images for which nobody named one.
    pub(super) default_backend: BackendName,
    /// `HEPHY_PREFLIGHT`.
    pub(super) preflight: Option<super::PreflightChoice>,
    /// Builders to choose from.
    pub(super) offers: Vec<(BackendName, Option<Version>)>,
    /// `HEPHY_CACHE`.
    pub(super) cache: Option<bool>,
    /// How other repositories may be reached.
    pub(super) transports: Transports,
    /// The environment.
    env: Env,
}

impl Ground {
    pub(super) fn new(session: &Session, select: &SelectArgs) -> Result<Self> {
        let overrides =
            Overrides { base: select.base.clone(), merge_base: select.merge_base.clone(), head: select.head.clone() };
        if select.backend == Some(BackendName::Spin) {
            return Err(Error::usage("the builder `spin` builds no Dockerfiles")
                .hint("name it in `build_backend` of its applications"));
        }
        let context = session.context(&overrides)?;
        let repository = Repository::open(&session.dir)?.fetch_url(context.fetch_url.clone());
        let root = repository.root().map_or_else(|| session.dir.clone(), std::path::Path::to_path_buf);
        let address = context.repository.clone().or_else(|| repository.origin()).unwrap_or_else(|| repository.name());
        let last = address.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name = last.trim_end_matches(".git").to_owned();
        Ok(Self {
            exclude: excluded(session, &root),
            explicit_registry: explicit_registry(session, select),
            platform_registry: platform_registry(session, &context),
            default_backend: default_backend(session, &context),
            cache: cache_default(session)?,
            preflight: super::preflight::choice(session)?,
            offers: super::preflight::offers(session, is_local(session, &context))?,
            transports: Transports::of_variable(session.env.get("GIT_ALLOW_PROTOCOL").map(String::as_str)),
            env: session.env.clone(),
            name,
            address,
            root,
            context,
            repository,
        })
    }

    /// The files as they are, compared with nothing.
    pub(super) fn load_head(&self) -> Result<Loaded<'_>> {
        self.repository.load(&Request {
            head: None,
            base: &BaseSpec::Nothing(String::new()),
            commits_only: self.context.commits_only,
            exclude: &self.exclude,
        })
    }

    /// What is the same for every image.
    pub(super) fn rules(&self, select: &SelectArgs) -> Rules<'_> {
        Rules {
            registry: self.explicit_registry.as_deref(),
            platform_registry: self.platform_registry.as_deref(),
            layout: select.layout,
            backend: select.backend,
            default_backend: self.default_backend,
            cache: self.cache,
            preflight: self.preflight,
            offers: &self.offers,
            transports: &self.transports,
            repository_name: &self.name,
            env: &self.env,
        }
    }

    /// The facts that tags are made of.
    pub(super) fn tag_facts(&self, loaded: &Loaded<'_>, layout: Layout) -> TagFacts {
        let created = self.context.created_at.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let date = created.unwrap_or_else(jiff::Timestamp::now).strftime("%Y%m%d").to_string();
        let commit = loaded.commit.as_ref().map_or_else(|| "0".repeat(40), |commit| commit.id.to_string());
        let facts = TagFacts::of_pipeline(&self.context, commit, date, layout);
        match self.context.platform {
            ci::Platform::Local => {
                let beside_default = self.context.mode == Mode::Publish && self.is_beside_default();
                TagFacts { branch: self.repository.branch(), beside_default, ..facts }
            }
            _ => facts,
        }
    }

    /// Whether a developer's checkout is of a branch that is known not to be the default one.
    fn is_beside_default(&self) -> bool {
        let branch = self.repository.branch();
        branch.is_some_and(|branch| self.repository.default_branch().is_some_and(|default| default != branch))
    }

    /// What is built, for the plan.
    pub(super) fn plan_source(&self, loaded: &Loaded<'_>) -> PlanSource {
        let dirty = if loaded.dirty { "-dirty" } else { "" };
        let commit = loaded.commit.as_ref();
        let time = commit.and_then(|commit| jiff::Timestamp::from_second(commit.time).ok()).unwrap_or_default();
        let reference = self.context.reference().map(str::to_owned).or_else(|| self.repository.branch());
        PlanSource {
            repository: self.address.clone(),
            commit: format!("{}{dirty}", commit.map_or_else(|| "0".repeat(40), |commit| commit.id.to_string())),
            commit_time: time.to_string(),
            reference: reference.unwrap_or_else(|| "HEAD".to_owned()),
            tag: self.context.tag.clone(),
            base: loaded.base_commit.id().map(|id| id.to_string()),
            event: self.context.event.word().to_owned(),
        }
    }
}

/// Whether images that say nothing have a layer cache, by `HEPHY_CACHE`.
fn cache_default(session: &Session) -> Result<Option<bool>> {
    match session.env.get("HEPHY_CACHE").map_or("", |value| value.trim()) {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        other => {
            let shown = crate::diagnostic::escape_cut(other, 80);
            Err(Error::usage(format!("HEPHY_CACHE cannot be `{shown}`")).hint("one of true, false"))
        }
    }
}

/// `--out` below the root: what hephy writes never counts as a change.
fn excluded(session: &Session, root: &std::path::Path) -> Vec<RepoPath> {
    use std::os::unix::ffi::OsStrExt as _;
    let out = session.out_below(root);
    let relative = out.strip_prefix(root).ok().filter(|path| !path.as_os_str().is_empty());
    relative.map(|path| RepoPath::new(path.as_os_str().as_bytes())).into_iter().collect()
}

/// `--registry` and `HEPHY_REGISTRY` (which clap reads), then `ECR_REGISTRY`.
fn explicit_registry(session: &Session, select: &SelectArgs) -> Option<String> {
    let set = |name: &str| session.env.get(name).filter(|value| !value.is_empty()).cloned();
    select.registry.clone().filter(|value| !value.is_empty()).or_else(|| set("ECR_REGISTRY"))
}

/// `CI_REGISTRY_IMAGE` on GitLab, `ghcr.io/<owner>/<repo>` on GitHub.
fn platform_registry(session: &Session, context: &CiContext) -> Option<String> {
    let set = |name: &str| session.env.get(name).filter(|value| !value.is_empty());
    match context.platform {
        ci::Platform::Gitlab => set("CI_REGISTRY_IMAGE").cloned(),
        ci::Platform::Github => set("GITHUB_REPOSITORY").map(|name| format!("ghcr.io/{}", name.to_lowercase())),
        ci::Platform::Local => None,
    }
}

/// Whether this is no CI job.
fn is_local(session: &Session, context: &CiContext) -> bool {
    let ci = session.env.get("CI").is_some_and(|value| !value.is_empty() && value != "false");
    !ci && context.platform == ci::Platform::Local
}

/// Kaniko in CI, the first builder found on a developer's machine.
fn default_backend(session: &Session, context: &CiContext) -> BackendName {
    if !is_local(session, context) {
        return BackendName::Kaniko;
    }
    crate::commands::builders::first_found().unwrap_or(BackendName::Kaniko)
}

/// Where images go.
pub(super) struct Destination {
    pub(super) registry: Option<String>,
    pub(super) layout: Layout,
}

/// Settles the registry out of everything that may name one; `none` names none.
///
/// # Errors
/// When it is not `host[:port]/repository`, or for layout `per-image` what that begins with.
pub(super) fn destination(
    explicit: Option<&str>,
    root: &crate::config::RootConfig,
    platform: Option<&str>,
    layout: Option<Layout>,
) -> Result<Destination> {
    let layout = layout.or(root.layout).unwrap_or_default();
    let chosen = explicit.or(root.registry.as_deref()).or(platform).filter(|text| *text != "none");
    let Some(text) = chosen else { return Ok(Destination { registry: None, layout }) };
    let text = text.trim_end_matches('/');
    let incomplete = layout == Layout::Single && !text.contains('/');
    let repository = if layout == Layout::PerImage || incomplete { format!("{text}/image") } else { text.to_owned() };
    oci::Repository::parse(&repository).map_err(|error| {
        Error::usage(format!("`{}` is no registry to publish to", crate::diagnostic::escape_cut(text, 160)))
            .cause(error)
            .hint("a registry is host[:port]/repository, such as ghcr.io/acme/images")
    })?;
    if incomplete {
        // Docker Hub's short name of an official image; whoever writes a host alone does not mean that.
        return Err(Error::usage(format!("`{}` names no repository", crate::diagnostic::escape_cut(text, 160))).hint(
            format!(
                "add one, {}/images say; with `layout: per-image` each image has one of its own",
                crate::diagnostic::escape_cut(text, 160)
            ),
        ));
    }
    Ok(Destination { registry: Some(text.to_owned()), layout })
}
