//! The table of rules: the checker, the messages of `--explain` and docs/lint.md share it.

use super::Level;

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in `lint` and in comments.
    pub name: &'static str,
    /// How bad what it finds is, unless the configuration says otherwise.
    pub level: Level,
    /// What it finds.
    pub finds: &'static str,
    /// Why that is worth a look.
    pub why: &'static str,
    /// What mends it.
    pub fix: &'static str,
}

/// Contexts over this many bytes want a `.dockerignore`.
pub(super) const BIG_CONTEXT: u64 = 10 << 20;
/// Contexts over this many bytes are too large.
pub(super) const LARGE_CONTEXT: u64 = 100 << 20;

pub(super) const LATEST_BASE: Rule = Rule {
    name: "latest-base",
    level: Level::Warning,
    finds: "A base image, or an image that files are copied from, with the tag `latest` or none, and without a digest.",
    why: "Nobody can say what was built: the next major version arrives unasked, and an old commit gives another image.",
    fix: "name a version, such as alpine:3.22",
};

pub(super) const UNPINNED_BASE: Rule = Rule {
    name: "unpinned-base",
    level: Level::Info,
    finds: "A base image, or an image that files are copied from, with a tag and without a digest.",
    why: "A tag moves. hephy records the digests that a build used; a digest in the file makes them part of the review.",
    fix: "add the digest behind the tag, @sha256:…, and let a bot keep it up to date",
};

pub(super) const FIXED_PLATFORM: Rule = Rule {
    name: "fixed-platform",
    level: Level::Warning,
    finds: "A final stage whose `FROM --platform=` names one platform, or `$BUILDPLATFORM`, in an image for others.",
    why: "Every other platform of the image gets this one's programs, which then do not start.",
    fix: "leave --platform out; in stages that only build, use --platform=$BUILDPLATFORM",
};

pub(super) const MISSING_DOCKERIGNORE: Rule = Rule {
    name: "missing-dockerignore",
    level: Level::Warning,
    finds: "A build context of more than 10 MiB without a `.dockerignore`.",
    why: "All of it is read or sent for every build, and a change of any file in it builds the image anew.",
    fix: "list in .dockerignore what the build does not need",
};

pub(super) const LARGE_CONTEXT_RULE: Rule = Rule {
    name: "large-context",
    level: Level::Warning,
    finds: "A build context of more than 100 MiB.",
    why: "Builds spend their time on copying it, and large files in git make every clone slow.",
    fix: "narrow context_path, or fetch large files in the Dockerfile",
};

pub(super) const SLOW_GO_BUILD: Rule = Rule {
    name: "slow-go-build",
    level: Level::Info,
    finds: "A Dockerfile that does nothing but compile one Go program into an empty or distroless image.",
    why: "ko does the same without a container: it cross-compiles, so that no emulation and no second runner is needed, \
          and keeps Go's own cache.",
    fix: "set build_backend: ko, and ko_config with the import_path of the program",
};

pub(super) const SLOW_SPIN_BUILD: Rule = Rule {
    name: "slow-spin-build",
    level: Level::Info,
    finds: "A Spin application (`spin.toml`) that is built by its Dockerfile.",
    why: "Spin builds and publishes the application itself, once for all platforms.",
    fix: "set build_backend: spin",
};

pub(super) const SECRET_IN_ARGUMENT: Rule = Rule {
    name: "secret-in-argument",
    level: Level::Warning,
    finds: "A build argument, an `ARG` or an `ENV` with a value, whose name ends like that of a secret: `…PASSWORD`, \
            `…_TOKEN`, `…_SECRET`, `…_API_KEY`, `…_PAT`, `…_AUTH`.",
    why: "Arguments and variables stand in the history of the image, for everybody who may pull it.",
    fix: "use `secrets` and RUN --mount=type=secret",
};

pub(super) const UNUSED_BUILD_ARG: Rule = Rule {
    name: "unused-build-arg",
    level: Level::Warning,
    finds: "An entry of `build_args` that no `ARG` of the Dockerfile declares.",
    why: "Builders ignore it with a warning at most: the value that somebody set has no effect.",
    fix: "declare it with ARG, or take it out of build_args",
};

pub(super) const UNUSED_IGNORE: Rule = Rule {
    name: "unused-ignore",
    level: Level::Warning,
    finds: "A comment that silences a rule which finds nothing there.",
    why: "It would hide the next mistake, and says something of the file that is no longer true.",
    fix: "remove the comment",
};

/// All rules.
pub const RULES: [&Rule; 10] = [
    &LATEST_BASE,
    &UNPINNED_BASE,
    &FIXED_PLATFORM,
    &MISSING_DOCKERIGNORE,
    &LARGE_CONTEXT_RULE,
    &SLOW_GO_BUILD,
    &SLOW_SPIN_BUILD,
    &SECRET_IN_ARGUMENT,
    &UNUSED_BUILD_ARG,
    &UNUSED_IGNORE,
];

/// The rule of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.into_iter().find(|rule| rule.name == name)
}
