//! Preflight (specification §8): what a builder cannot build, or would build differently from BuildKit, from which
//! version on it can, and which builders can.
//!
//! One table. A builder that has no row for a construct builds it as BuildKit does in every version that hephy drives.
//! Versions are those of the projects' changelogs; that the table is true for the builders at hand is shown by
//! `tests/suite/build/preflight.rs`, which builds each construct with each of them and compares what came out.
//! A builder whose version nobody knows is taken for a current one.

#[cfg(test)]
mod tests;

use super::Version;
use crate::config::BackendName::{self, Buildah, Buildkit, Docker, Kaniko, Ko, Spin};
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::{Feature, FeatureUse, Frontend};

/// Something that an image asks of its builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Construct {
    /// In its Dockerfile.
    Dockerfile(Feature),
    /// `annotations` of its configuration.
    Annotations,
    /// `secrets` of its configuration.
    Secrets,
}

impl Construct {
    /// How it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Dockerfile(feature) => feature.text(),
            Self::Annotations => "`annotations`",
            Self::Secrets => "`secrets`",
        }
    }
}

/// What becomes of a construct that a builder does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The build fails.
    Fails,
    /// The build succeeds with another image: how it differs.
    Differs(&'static str),
    /// The image may be right: what to know.
    Warns(&'static str),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The construct.
    pub construct: Construct,
    /// The builder.
    pub backend: BackendName,
    /// First version that builds it as BuildKit does; none when no version does.
    pub since: Option<Version>,
    /// What happens before that version.
    pub effect: Effect,
}

const fn row(feature: Feature, backend: BackendName, since: Option<Version>, effect: Effect) -> Row {
    Row { construct: Construct::Dockerfile(feature), backend, since, effect }
}

const fn config(construct: Construct, backend: BackendName, since: Option<Version>) -> Row {
    Row { construct, backend, since, effect: Effect::Fails }
}

/// The classic engine, which `docker build` used before version 23, names BuildKit in its error.
const BUILDKIT_IN_DOCKER: Option<Version> = Some(Version(23, 0, 0));
const NO_AGENT: Effect = Effect::Warns("no builder of hephy's is given an SSH agent");
const NOT_MOUNTED: Effect = Effect::Differs("nothing is mounted");

/// Versions of Docker's engine with BuildKit 0.12 and Dockerfile 1.6, with 0.23 and 1.17, with 0.25 and 1.19, and with
/// 0.26 and 1.20, by what it vendors.
const DOCKER_OF: [Version; 4] = [Version(25, 0, 0), Version(28, 3, 0), Version(28, 5, 0), Version(29, 1, 0)];
const BUILDKIT_OF: [Version; 4] = [Version(0, 12, 0), Version(0, 23, 0), Version(0, 25, 0), Version(0, 26, 0)];
const NO_REPOSITORY: Effect = Effect::Differs("what the address answers is taken for a file");

/// Constructs that came with a version of Dockerfile 1 (minor), and with one of its `labs` channel before that: a
/// `# syntax=docker/dockerfile:…` line brings them to every BuildKit.
const FRONTENDS: &[(Feature, u64, u64)] = &[
    (Feature::Checksum, 6, 6),
    (Feature::AddGit, 6, 6),
    (Feature::Unpack, 17, 17),
    (Feature::Exclude, 19, 7),
    (Feature::Parents, 20, 7),
];

/// The table.
pub const TABLE: &[Row] = &[
    row(Feature::HereDocument, Kaniko, Some(Version(1, 25, 4)), Effect::Fails),
    row(Feature::HereDocument, Buildah, Some(Version(1, 33, 0)), Effect::Fails),
    row(Feature::HereDocument, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::Link, Buildah, Some(Version(1, 41, 0)), Effect::Fails),
    row(Feature::Link, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::Chmod, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::Exclude, Kaniko, None, Effect::Differs("the excluded files are copied")),
    row(Feature::Exclude, Buildah, Some(Version(1, 38, 0)), Effect::Fails),
    row(Feature::Exclude, Buildkit, Some(BUILDKIT_OF[2]), Effect::Fails),
    row(Feature::Exclude, Docker, Some(DOCKER_OF[2]), Effect::Fails),
    row(Feature::Parents, Kaniko, None, Effect::Differs("the files are copied without their directories")),
    row(Feature::Parents, Buildah, Some(Version(1, 40, 0)), Effect::Fails),
    row(Feature::Parents, Buildkit, Some(BUILDKIT_OF[3]), Effect::Fails),
    row(Feature::Parents, Docker, Some(DOCKER_OF[3]), Effect::Fails),
    row(Feature::Checksum, Kaniko, None, Effect::Differs("a wrong checksum passes")),
    row(Feature::Checksum, Buildah, Some(Version(1, 33, 0)), Effect::Fails),
    row(Feature::Checksum, Buildkit, Some(BUILDKIT_OF[0]), Effect::Fails),
    row(Feature::Checksum, Docker, Some(DOCKER_OF[0]), Effect::Fails),
    row(Feature::AddGit, Kaniko, None, NO_REPOSITORY),
    row(Feature::AddGit, Buildah, Some(Version(1, 38, 0)), NO_REPOSITORY),
    row(Feature::AddGit, Buildkit, Some(BUILDKIT_OF[0]), NO_REPOSITORY),
    row(Feature::AddGit, Docker, Some(DOCKER_OF[0]), NO_REPOSITORY),
    row(Feature::Unpack, Kaniko, None, Effect::Differs("the archive is copied, or unpacked, by its name")),
    row(Feature::Unpack, Buildah, None, Effect::Fails),
    row(Feature::Unpack, Buildkit, Some(BUILDKIT_OF[1]), Effect::Fails),
    row(Feature::Unpack, Docker, Some(DOCKER_OF[1]), Effect::Fails),
    row(Feature::FromPlatform, Kaniko, None, Effect::Differs("the base is taken for the platform that is built for")),
    row(Feature::UserGroup, Kaniko, Some(Version(1, 28, 1)), Effect::Differs("`RUN` drops the group")),
    row(Feature::BindMount, Kaniko, Some(Version(1, 28, 0)), NOT_MOUNTED),
    row(Feature::BindMount, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::BindMountFrom, Kaniko, None, Effect::Fails),
    row(Feature::BindMountFrom, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::CacheMount, Kaniko, Some(Version(1, 26, 0)), NOT_MOUNTED),
    row(Feature::CacheMount, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::TmpfsMount, Kaniko, None, Effect::Fails),
    row(Feature::TmpfsMount, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::SecretMount, Kaniko, Some(Version(1, 27, 0)), NOT_MOUNTED),
    row(Feature::SecretMount, Docker, None, Effect::Fails),
    row(Feature::SshMount, Kaniko, None, NO_AGENT),
    row(Feature::SshMount, Buildkit, None, NO_AGENT),
    row(Feature::SshMount, Buildah, None, NO_AGENT),
    row(Feature::SshMount, Docker, None, NO_AGENT),
    row(Feature::NoNetwork, Kaniko, None, Effect::Warns("the step has the job's network")),
    row(Feature::NoNetwork, Docker, BUILDKIT_IN_DOCKER, Effect::Fails),
    row(Feature::NoNetwork, Buildah, Some(Version(1, 31, 0)), Effect::Fails),
    row(Feature::HostNetwork, Buildkit, None, Effect::Fails),
    row(Feature::HostNetwork, Buildah, Some(Version(1, 31, 0)), Effect::Fails),
    row(Feature::HostNetwork, Docker, None, Effect::Fails),
    row(Feature::Insecure, Kaniko, None, Effect::Warns("the step has the rights of the job, and no more")),
    row(Feature::Insecure, Buildkit, None, Effect::Fails),
    row(Feature::Insecure, Buildah, None, Effect::Fails),
    row(Feature::Insecure, Docker, None, Effect::Fails),
    row(Feature::Healthcheck, Buildah, None, Effect::Warns("an image in OCI format has none with Buildah")),
    row(
        Feature::Shell,
        Buildah,
        None,
        Effect::Warns("an image in OCI format has none with Buildah; steps of this build do use it"),
    ),
    row(Feature::Onbuild, Buildah, None, Effect::Differs("an image in OCI format has none with Buildah")),
    config(Construct::Annotations, Kaniko, Some(Version(1, 28, 1))),
    config(Construct::Annotations, Docker, None),
    config(Construct::Annotations, Ko, Some(Version(0, 17, 0))),
    config(Construct::Annotations, Spin, Some(Version(2, 5, 0))),
    config(Construct::Secrets, Kaniko, Some(Version(1, 27, 0))),
    config(Construct::Secrets, Buildah, Some(Version(1, 24, 0))),
    config(Construct::Secrets, Docker, None),
    config(Construct::Secrets, Ko, None),
    config(Construct::Secrets, Spin, None),
];

/// The line that says why a builder of this version does not build a construct; none when it does.
#[must_use]
pub fn objection(construct: Construct, backend: BackendName, version: Option<Version>) -> Option<&'static Row> {
    let row = TABLE.iter().find(|row| row.construct == construct && row.backend == backend)?;
    match (row.since, version) {
        (None, _) => Some(row),
        (Some(since), Some(version)) if version < since => Some(row),
        _ => None,
    }
}

/// What an image asks for, with its file and its place there.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub construct: Construct,
    /// The Dockerfile, or the configuration.
    pub file: String,
    /// Where it stands.
    pub span: Span,
    /// The frontend that its Dockerfile has BuildKit fetch.
    pub frontend: Option<Frontend>,
}

impl Asked {
    /// Everything that reached stages of a Dockerfile ask for.
    #[must_use]
    pub fn of_dockerfile(file: &str, frontend: Option<Frontend>, features: &[&FeatureUse]) -> Vec<Self> {
        let asked = |found: &&FeatureUse| Self {
            construct: Construct::Dockerfile(found.feature),
            file: file.to_owned(),
            span: found.span,
            frontend,
        };
        features.iter().map(asked).collect()
    }

    /// Whether the frontend that the file names builds it, whatever BuildKit's own can.
    fn is_brought(&self) -> bool {
        let Some(frontend) = self.frontend else { return false };
        FRONTENDS.iter().any(|(feature, stable, labs)| {
            let since = if frontend.labs { labs } else { stable };
            self.construct == Construct::Dockerfile(*feature) && frontend.minor.is_none_or(|minor| minor >= *since)
        })
    }

    /// [`objection`], but for what a frontend brings.
    fn objection(&self, backend: BackendName, version: Option<Version>) -> Option<&'static Row> {
        let fetches = match backend {
            Buildkit => true,
            Docker => version.is_none() || version >= BUILDKIT_IN_DOCKER,
            _ => false,
        };
        objection(self.construct, backend, version).filter(|_| !(fetches && self.is_brought()))
    }

    /// The first version that builds it; the outer none is "in none".
    fn since(&self, row: &Row) -> Option<Option<Version>> {
        match (row.backend, self.is_brought()) {
            (Buildkit, true) => Some(None),
            (Docker, true) => Some(BUILDKIT_IN_DOCKER),
            _ => row.since.map(Some),
        }
    }
}

/// What a builder would not build as written, one finding a construct: errors for what fails or comes out different.
#[must_use]
pub fn findings(asked: &[Asked], backend: BackendName, version: Option<Version>) -> Vec<Diagnostic> {
    let mut told = Vec::new();
    let mut found = Vec::new();
    for it in asked {
        let Some(row) = it.objection(backend, version).filter(|_| !told.contains(&it.construct)) else {
            continue;
        };
        told.push(it.construct);
        let builder = named(backend, version.filter(|_| row.since.is_some()));
        let text = it.construct.text();
        let finding = match row.effect {
            Effect::Fails => Diagnostic::error(&it.file, it.span, cannot(it.construct, &builder)),
            Effect::Differs(how) => Diagnostic::error(&it.file, it.span, format!("{builder} ignores {text}: {how}")),
            Effect::Warns(what) => {
                Diagnostic::error(&it.file, it.span, format!("{text} with {builder}: {what}")).warning()
            }
        };
        let finding = match row.since {
            Some(since) => finding.note(format!("{backend} can from version {since} on")),
            None => finding,
        };
        found.push(match row.effect {
            Effect::Warns(_) => finding,
            _ => finding.note(advice(it.construct, asked, backend)),
        });
    }
    found
}

fn cannot(construct: Construct, builder: &str) -> String {
    match construct {
        Construct::Dockerfile(feature) => format!("{builder} cannot build {}", feature.text()),
        Construct::Annotations => format!("the builder `{builder}` cannot write annotations into a manifest"),
        Construct::Secrets => format!("the builder `{builder}` cannot take secrets"),
    }
}

fn named(backend: BackendName, version: Option<Version>) -> String {
    version.map_or_else(|| backend.to_string(), |version| format!("{backend} {version}"))
}

/// Builders that build everything that is asked for, for people.
fn advice(construct: Construct, asked: &[Asked], backend: BackendName) -> String {
    let can: Vec<String> = [Buildkit, Buildah, Kaniko, Docker]
        .into_iter()
        .filter(|it| *it != backend)
        .filter_map(|it| able(it, asked))
        .collect();
    let labels = if construct == Construct::Annotations { "; or use `labels`" } else { "" };
    match can.as_slice() {
        [] if asked.len() > 1 => "no builder of hephy's can build all that is asked for here".to_owned(),
        [] => "no builder of hephy's can".to_owned(),
        can => format!("these can: {}{labels}", can.join(", ")),
    }
}

/// The builder, and from which version on it builds everything; none when no version does.
fn able(backend: BackendName, asked: &[Asked]) -> Option<String> {
    let mut since = None;
    for row in TABLE.iter().filter(|row| row.backend == backend && !matches!(row.effect, Effect::Warns(_))) {
        for it in asked.iter().filter(|it| it.construct == row.construct) {
            since = since.max(it.since(row)?);
        }
    }
    Some(since.map_or_else(|| backend.to_string(), |since| format!("{backend} from {since} on")))
}

/// The first of these builders that builds everything that is asked for as BuildKit would.
#[must_use]
pub fn reroute(asked: &[Asked], offers: &[(BackendName, Option<Version>)]) -> Option<BackendName> {
    let objects = |backend, version| {
        asked.iter().any(|it| it.objection(backend, version).is_some_and(|row| !matches!(row.effect, Effect::Warns(_))))
    };
    let able = |(backend, version): &&(BackendName, Option<Version>)| {
        backend.reads_dockerfile() && !objects(*backend, *version)
    };
    offers.iter().find(able).map(|(backend, _)| *backend)
}

/// The table for the documentation, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| construct | kaniko | buildkit | buildah | docker |\n|---|---|---|---|---|\n");
    let dockerfile = Feature::ALL.into_iter().map(Construct::Dockerfile);
    for construct in dockerfile.chain([Construct::Annotations, Construct::Secrets]) {
        text.push_str(&format!("| {} |", construct.text()));
        for backend in [Kaniko, Buildkit, Buildah, Docker] {
            let row = TABLE.iter().find(|row| row.construct == construct && row.backend == backend);
            text.push_str(&format!(" {} |", row.map_or_else(|| "yes".to_owned(), cell)));
        }
        text.push('\n');
    }
    text
}

fn cell(row: &Row) -> String {
    let before = match row.effect {
        Effect::Fails => "fails".to_owned(),
        Effect::Differs(how) => format!("ignored: {how}"),
        Effect::Warns(what) => format!("warned of: {what}"),
    };
    match row.since {
        Some(since) => format!("from {since} on; before: {before}"),
        None => before,
    }
}
