//! The ground a plan stands on: what started the run, the repository, where images go.

use std::path::PathBuf;

use crate::backend::Version;
use crate::change::RepoPath;
use crate::ci::{self, BaseSpec, CiContext, Env, Overrides};
use crate::cli::SelectArgs;
use crate::commands::session::Session;
use crate::commands::survey::{self, Rules};
use crate::config::{BackendName, Layout, Transports};
use crate::error::{Error, Result};
use crate::git::{Loaded, Objects, Repository, Request};
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
            default_backend: default_backend(&context),
            cache: cache_default(session)?,
            preflight: super::preflight::choice(session)?,
            offers: super::preflight::offers(session, context.platform == ci::Platform::Local)?,
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
    pub(super) fn load_head(&self) -> Result<(Loaded, Objects<'_>)> {
        self.load(None, &BaseSpec::Nothing(String::new()))
    }

    /// Both sides of a comparison.
    pub(super) fn load(&self, head: Option<&str>, base: &BaseSpec) -> Result<(Loaded, Objects<'_>)> {
        let (commits_only, exclude) = (self.context.commits_only, self.exclude.as_slice());
        self.repository.load(&Request { head, base, commits_only, exclude, ahead: Some(survey::AHEAD) })
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
    pub(super) fn tag_facts(&self, loaded: &Loaded, layout: Layout) -> TagFacts {
        let created = self.context.created_at.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let date = created.unwrap_or_else(jiff::Timestamp::now).strftime("%Y%m%d").to_string();
        let commit = loaded.commit.as_ref().map_or_else(|| "0".repeat(40), |commit| commit.id.to_string());
        let facts = TagFacts::of_pipeline(&self.context, commit, date, layout);
        if self.context.platform.is_known() {
            return facts;
        }
        let beside_default = self.context.mode == Mode::Publish && self.is_beside_default(&facts.commit);
        TagFacts { branch: self.repository.branch(), beside_default, ..facts }
    }

    /// Whether a checkout of which no platform tells anything is known not to be of the default branch: by the name of
    /// its branch, else by its commit.
    fn is_beside_default(&self, commit: &str) -> bool {
        let Some(default) = self.repository.default_branch() else { return false };
        match self.repository.branch() {
            Some(branch) => branch != default,
            None => self.repository.is_on_remote(commit, &default) == Some(false),
        }
    }

    /// What to say of a check run whose commit the default branch has already: compared with itself, nothing changed.
    pub(super) fn compared_with_itself(&self, loaded: &Loaded) -> Option<String> {
        let itself = loaded.commit.as_ref().is_some_and(|commit| loaded.base_commit.id() == Some(commit.id));
        let by_default = self.context.base == BaseSpec::MergeBase(ci::Target::DefaultBranch);
        let in_ci = self.context.platform != ci::Platform::Local;
        (itself && by_default && in_ci).then(|| {
            "the commit is on the default branch already, and compared with itself nothing has changed; \
             --base REV compares with another one, HEPHY_PUBLISH=always with what is published"
                .to_owned()
        })
    }

    /// What is built, for the plan.
    pub(super) fn plan_source(&self, loaded: &Loaded, facts: &TagFacts) -> PlanSource {
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
            beside_default: facts.beside_default,
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
        ci::Platform::Other | ci::Platform::Local => None,
    }
}

/// Kaniko in CI, the first builder found on a developer's machine.
fn default_backend(context: &CiContext) -> BackendName {
    if context.platform != ci::Platform::Local {
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
