//! The fields of `build-config.yaml` and `hephy.yaml`: the one table that parser, JSON Schema and reference share.
//!
//! The parser takes the known names from here, so a field that is missing here is an unknown one; a test sees to it
//! that each field here is read.

use super::builder_fields::{CACHE, SECRET, SECRET_FILE, SPIN};
use super::rules;

pub(super) use super::field::{Field, Kind, MAX_ENTRIES, MAX_RETRIES, Text, rule};

/// Empty and hidden parts, `..`, schemes and drives, control characters.
const NO_PATH: &str = r"(^|/)(\.\.|\.[gG][iI][tT])?(/|$)|^[A-Za-z][A-Za-z0-9+.-]*:|[\u0000-\u001f\u007f-\u009f]";
/// The same, and what names the root itself.
const NO_FILE: &str =
    r"(^|/)(\.\.|\.[gG][iI][tT])?(/|$)|^[A-Za-z][A-Za-z0-9+.-]*:|[\u0000-\u001f\u007f-\u009f]|^\.(/\.)*$";
/// The ends of lines and NUL.
const LINES: &str = r"[\n\r\u0000\u0085\u2028\u2029]";
/// Text with `${NAME}`, and no other `${`.
const EXPANDED: &str = r"^([^$]|\$+[^{$]|\$+\{[A-Za-z_][A-Za-z0-9_]*\})*\$*$";
const EXPANDED_ARG: &str = r"^[A-Za-z_][A-Za-z0-9_]*=([^$]|\$+[^{$]|\$+\{[A-Za-z_][A-Za-z0-9_]*\})*\$*$";

const LINE: Text = Text::new("text", Some(r"."), rule!(rules::argument)).refusing(LINES);
pub(super) const FILE: Text = Text::new("path", Some(r"^[^/\\][^\\]*$"), rule!(rules::file)).refusing(NO_FILE);
const DIRECTORY: Text = Text::new("path", Some(r"^[^/\\][^\\]*$"), rule!(rules::directory)).refusing(NO_PATH);
const GLOB: Text = Text::new("glob", Some(r"^[^/\\!][^\\{}]*$"), rule!(rules::glob)).refusing(NO_PATH);
const REF: Text = Text::new("branch, tag or commit", Some(r"^[A-Za-z0-9_@][A-Za-z0-9._/@+-]*$"), rule!(rules::git_ref))
    .refusing(r"\.\.|//|/\.|\.lock(/|$)|[./]$|^(HEAD|@)$");
const STAGE: Text = Text::new("stage", Some(r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$"), rule!(rules::stage));
const ONE_STAGE: Text = Text::new("stage", Some(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"), rule!(rules::one_stage));
const TARGET_NAME: Text = Text::new("name", Some(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"), rule!(rules::target_name));
const PLATFORM: Text =
    Text::new("platform", Some(r"^(linux/[a-z0-9]+(/v[0-9]+)?|wasi/wasm)$"), rule!(rules::platform)).only_text();
const ARCH: Text = Text::new("architecture", Some(r"^[a-z0-9]+$"), rule!(rules::arch));
const TAG: Text =
    Text::new("tag", Some(r"^([A-Za-z0-9._-]|\$\{[A-Za-z_][A-Za-z0-9_]*\})+$"), rule!(rules::additional_tag));
const TEMPLATE: Text = Text::new(
    "template",
    Some(r"^([A-Za-z0-9._-]|\{(image|date|ref|arch|sha|short_sha|branch|version|major|minor|run)\})+$"),
    rule!(rules::tag_template),
);
const REFERENCE: Text =
    Text::new("image reference", Some(r"^[A-Za-z0-9\[][A-Za-z0-9:._/@\[\]-]*$"), rule!(rules::image_reference));
const REGISTRY: Text =
    Text::new("registry", Some(r"^(none|[A-Za-z0-9\[][A-Za-z0-9:._\[\]-]*(/[a-z0-9._/-]+)?)$"), rule!(rules::registry))
        .refusing(r"//|/$")
        .only_text();
const ARG: Text = Text::new("`KEY=VALUE`", Some(EXPANDED_ARG), rule!(rules::build_arg))
    .refusing(r"^BUILDKIT_SYNTAX=|[\n\r\u0000\u0085\u2028\u2029]")
    .only_text();
const ARG_NAME: Text =
    Text::new("variable", Some(r"^[A-Za-z_][A-Za-z0-9_]*$"), rule!(rules::arg_name)).refusing(r"^BUILDKIT_SYNTAX$");
const ARG_VALUE: Text = Text::new("text", Some(EXPANDED), rule!(rules::arg_value)).refusing(LINES);
pub(super) const NAME: Text = Text::new("variable", Some(r"^[A-Za-z_][A-Za-z0-9_]*$"), rule!(rules::variable_name));
const ENVIRONMENT: Text =
    Text::new("`KEY=VALUE`", Some(r"^[A-Za-z_][A-Za-z0-9_]*="), rule!(rules::environment)).refusing(LINES).only_text();
const PATTERN: Text = Text::new("regular expression", Some(r"\("), rule!(rules::version_pattern)).refusing(LINES);
const IMPORT_PATH: Text =
    Text::new("import path", Some(r"^[A-Za-z0-9._~@+][A-Za-z0-9._/@+~-]*$"), rule!(rules::import_path))
        .refusing(r"//[^/]|(^|/)\.\.(/|$)");
const RULE: Text = Text::new("rule", Some(r"^[a-z]+(-[a-z]+)*$"), rule!(rules::lint_rule));
pub(super) const DURATION: Text =
    Text::new("duration", Some(r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"), rule!(rules::duration))
        .refusing(r"^$")
        .only_text();
const LABEL: Text = Text::new("key", Some(r#"^[^-=\s"',][^=\s"',]*$"#), rule!(rules::label_key))
    .refusing(r"^dev\.hephy\.|[\u0000-\u001f\u007f-\u009f]");
const LABEL_VALUE: Text =
    Text::new("text", None, rule!(rules::label_value)).refusing(r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f]");
const REPOSITORY: Text = Text::new("repository", Some(r"^[^-\s][^\s\\]*$"), |text, transports| {
    rules::repository(text, transports).map(drop)
})
.only_text();

/// The words of `build_backend`.
pub(super) const BACKENDS: &[&str] = &["kaniko", "buildkit", "buildah", "docker", "ko", "spin"];
/// The words of `context_from`.
pub(super) const CONTEXTS: &[&str] = &["directory", "repository"];
/// The words of `layout`.
pub(super) const LAYOUTS: &[&str] = &["single", "per-image"];
/// The words of `dependents`.
pub(super) const DEPENDENTS: &[&str] = &["none", "direct", "all"];
/// The words of `lint`.
pub(super) const LEVELS: &[&str] = &["off", "info", "warning", "error"];
/// The words of `preflight`.
pub(super) const PREFLIGHTS: &[&str] = &["stop", "reroute"];

pub(super) const fn field(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Field {
    Field { name, kind, default, meaning, later: false }
}

const fn later(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Field {
    Field { name, kind, default, meaning, later: true }
}

const LINT: Kind = Kind::Mapping(&RULE, &Kind::Choice(LEVELS));
/// The fields of `ko_config`.
pub(super) const KO: &[Field] = &[
    field("import_path", Kind::Text(&IMPORT_PATH), "`.`", "The main package: a Go import path, or `./directory`."),
    field("base_image", Kind::Text(&REFERENCE), "ko's own", "The base image."),
    field("platforms", Kind::List(&Kind::Text(&PLATFORM)), "", "Used when the top-level `platforms` is absent."),
    field("env", Kind::List(&Kind::Text(&ENVIRONMENT)), "`[]`", "Environment of the Go build, `KEY=VALUE`."),
    field("flags", Kind::List(&Kind::Text(&LINE)), "`[]`", "Flags of `go build`."),
    field("ldflags", Kind::List(&Kind::Text(&LINE)), "`[]`", "Flags of the linker."),
    field("working_dir", Kind::Text(&DIRECTORY), "`.`", "Directory to build in, relative to the source root."),
];

/// The fields of `version_from`.
pub(super) const VERSION: &[Field] = &[
    field("file", Kind::Text(&FILE), "", "The file, relative to the source root."),
    field(
        "pattern",
        Kind::Text(&PATTERN),
        "the only word of the file",
        "A regular expression with one group, the version. `^` and `$` stand at the ends of lines; the first match counts.",
    ),
];

const TARGET: &[Field] = &[
    field("target", Kind::Text(&ONE_STAGE), "", "Dockerfile stage. Every mapping has it."),
    field("name", Kind::Text(&TARGET_NAME), "the stage", "Stands behind the directory's: `<dir>-<name>`."),
    field("additional_tags", Kind::List(&Kind::Text(&TAG)), "`[]`", "Extra tags of this image, besides those of all."),
];

/// `build-config.yaml`.
pub(super) const IMAGE: &[Field] = &[
    field("use_local_context", Kind::Flag, "`false`", "The source is this directory."),
    field(
        "upstream_repo",
        Kind::Text(&REPOSITORY),
        "",
        "The source is this other repository, at `upstream_ref`. Both or neither; excludes `use_local_context: true`.",
    ),
    field("upstream_ref", Kind::Text(&REF), "", "Branch, tag or full commit id of `upstream_repo`."),
    field(
        "dockerfile_path",
        Kind::Text(&FILE),
        "`Dockerfile`",
        "Relative to the source root: this directory in local mode, the clone's root in remote mode.",
    ),
    field(
        "context_path",
        Kind::Text(&DIRECTORY),
        "`.`",
        "Build context, relative to the source root; may not leave it.",
    ),
    field(
        "context_from",
        Kind::Choice(CONTEXTS),
        "`directory`",
        "Local mode: the source root is this directory, or the whole repository.",
    ),
    field("target", Kind::Text(&STAGE), "the last stage", "Dockerfile stage; empty is none."),
    field(
        "targets",
        Kind::List(&Kind::Either(&[Kind::Text(&ONE_STAGE), Kind::Fields(TARGET)])),
        "`[]`",
        "Several images from one source, fetched once: one a stage, named `<dir>-<name>`, each with its own tags, \
         results and index. Everything else is the same for all of them. Excludes `target`.",
    ),
    field(
        "build_args",
        Kind::Either(&[Kind::List(&Kind::Text(&ARG)), Kind::Mapping(&ARG_NAME, &Kind::Text(&ARG_VALUE))]),
        "`[]`",
        "Build arguments as `KEY=VALUE` or as a mapping. `${VAR}` is expanded from dependency variables, \
         `${BRANCH_NAME}`, `${BUILD_NUMBER}`, `${SHORT_SHA}`, `${VERSION}` and the names that `hephy.yaml` allows in \
         `build_args_env`; any other is an error. A `$` without `{` stands for itself.",
    ),
    field(
        "platforms",
        Kind::List(&Kind::Text(&PLATFORM)),
        "`hephy.yaml`'s, else `[linux/amd64]`",
        "What to build for: `linux/amd64`, `linux/arm64`, `linux/arm/v7`, …",
    ),
    field(
        "additional_tags",
        Kind::List(&Kind::Text(&TAG)),
        "`[]`",
        "Extra tags; may use `${BRANCH_NAME}`, `${BUILD_NUMBER}`, `${SHORT_SHA}` and `${VERSION}`. `semver` stands for \
         `X.Y.Z`, `X.Y` and `X` of a release ([tags](tags.md)).",
    ),
    field(
        "build_backend",
        Kind::Choice(BACKENDS),
        "`--backend`, `HEPHY_BACKEND`, `hephy.yaml`, else the first builder found",
        "The builder.",
    ),
    field("ko_config", Kind::Fields(KO), "", "For the builder `ko`."),
    field("spin_config", Kind::Fields(SPIN), "", "For the builder `spin`."),
    field("manual_build", Kind::Flag, "`false`", "Build nothing: use the images of `manual_images`."),
    field(
        "manual_images",
        Kind::Mapping(&ARCH, &Kind::Text(&REFERENCE)),
        "",
        "Images built elsewhere, by architecture (`amd64`, `arm64`, `armv7`); each must exist in the registry. Without \
         `platforms` they say which platforms the image has.",
    ),
    field("depends_on", Kind::List(&Kind::Text(&DIRECTORY)), "`[]`", "Image directories that this image is built on."),
    field(
        "watch",
        Kind::List(&Kind::Text(&GLOB)),
        "`[]`",
        "Further paths that trigger this image, as globs relative to the repository's root, whatever its source. They \
         win over `ignore`.",
    ),
    field("ignore", Kind::List(&Kind::Text(&GLOB)), "`[]`", "Paths that do not, in addition to `hephy.yaml`'s."),
    field(
        "tag_template",
        Kind::Text(&TEMPLATE),
        "`{image}-{date}`, remote `{image}-{date}-{ref}`",
        "Overrides the base tag. Knows `{image}`, `{date}`, `{ref}`, `{sha}`, `{short_sha}`, `{branch}`, `{version}`, \
         `{major}`, `{minor}`, `{arch}` and `{run}` ([tags](tags.md)).",
    ),
    field(
        "version_from",
        Kind::Fields(VERSION),
        "the upstream ref, or the git tag",
        "A file of the source that says which version this image has ([tags](tags.md)); for sources in this repository.",
    ),
    field("labels", Kind::Mapping(&LABEL, &Kind::Text(&LABEL_VALUE)), "`{}`", "Labels of the image."),
    field(
        "annotations",
        Kind::Mapping(&LABEL, &Kind::Text(&LABEL_VALUE)),
        "`{}`",
        "Annotations of manifest and index.",
    ),
    field(
        "cache",
        CACHE,
        "`HEPHY_CACHE`, `hephy.yaml`'s, else `false`",
        "Layer cache in the registry, with Kaniko, BuildKit and Buildah. Publishing runs write it, check runs only read it, \
         runs that build anew (`--force`, schedules) do not read it; one that is missing or broken fails no build.",
    ),
    field(
        "secrets",
        Kind::List(&Kind::Fields(SECRET)),
        "`[]`",
        "Build secrets, from a variable or a file that `hephy.yaml` lists; never in layers, arguments, logs or records. \
         With BuildKit, Buildah and Kaniko.",
    ),
    field(
        "lint",
        LINT,
        "`hephy.yaml`'s",
        "How bad what a rule of `hephy check` finds in this image is ([rules](lint.md)).",
    ),
    field("keep_git", Kind::Flag, "`false`", "Remote mode: the archive keeps `.git`."),
    field("submodules", Kind::Flag, "`false`", "Remote mode: the archive holds submodules."),
    field("timeout", Kind::Text(&DURATION), "none", "Limit of one build: `90s`, `10m`, `1h30m`, at most `720h`."),
    field("retries", Kind::Number(MAX_RETRIES), "`3`", "How often one build is tried again when the cause may pass."),
];

/// `hephy.yaml`.
pub(super) const ROOT: &[Field] = &[
    field(
        "registry",
        Kind::Text(&REGISTRY),
        "`CI_REGISTRY_IMAGE`, or `ghcr.io/<owner>/<repo>`",
        "Where images go: `host[:port]/path`. `none` skips credential handling. `--registry`, `HEPHY_REGISTRY` and \
         `ECR_REGISTRY` come first.",
    ),
    field(
        "layout",
        Kind::Choice(LAYOUTS),
        "`single`",
        "`single`: every image in that one repository, with the image name as tag prefix. `per-image`: \
         `<registry>/<image>:<tag>`.",
    ),
    field("platforms", Kind::List(&Kind::Text(&PLATFORM)), "`[linux/amd64]`", "Default of the images' `platforms`."),
    field("backend", Kind::Choice(BACKENDS), "", "Default of the images' `build_backend`."),
    field(
        "cache",
        CACHE,
        "`false`",
        "Default of the images' `cache`. `HEPHY_CACHE` (`true` or `false`) comes first; `repo` and `ttl` hold for every \
         image that names none.",
    ),
    field(
        "secrets_env",
        Kind::List(&Kind::Text(&NAME)),
        "`[]`",
        "Variables of build jobs that `secrets` of images may name.",
    ),
    field(
        "secrets_files",
        Kind::List(&Kind::Text(&SECRET_FILE)),
        "`[]`",
        "Files that `secrets` of images may name, written the same way.",
    ),
    field("ignore", Kind::List(&Kind::Text(&GLOB)), "`[]`", "Globs of paths that trigger no image."),
    field(
        "dependents",
        Kind::Choice(DEPENDENTS),
        "`all`",
        "How far a change travels to images built on the changed one.",
    ),
    field(
        "build_args_env",
        Kind::List(&Kind::Text(&NAME)),
        "`[]`",
        "Variables of the environment that `${VAR}` in `build_args` may name; no secrets, for which there is `secrets`. \
         Their values are part of the input key, as hashes.",
    ),
    field(
        "lint",
        LINT,
        "`{}`",
        "How bad what a rule of `hephy check` finds is: `off`, `info`, `warning` or `error` ([rules](lint.md)).",
    ),
    field(
        "preflight",
        Kind::Choice(PREFLIGHTS),
        "`stop`",
        "What prepare does when a builder cannot build a Dockerfile as written: `stop` with the line and the reason, or \
         `reroute` it to the first one of `HEPHY_BACKENDS`, or else of those on this machine, that can.",
    ),
    field(
        "syntax_frontends",
        Kind::List(&Kind::Text(&REFERENCE)),
        "`[]`",
        "Frontends that a `# syntax=` line may name besides `docker/dockerfile`.",
    ),
    later(
        "schedules",
        Kind::Either(&[Kind::Mapping(&LABEL, &Kind::Text(&LINE)), Kind::List(&Kind::Text(&LINE))]),
        "",
        "Scheduled rebuilds.",
    ),
    later(
        "notify",
        Kind::Either(&[Kind::Mapping(&LABEL, &Kind::Text(&LINE)), Kind::List(&Kind::Text(&LINE))]),
        "",
        "Who is told.",
    ),
];

/// The table's entry for a name.
pub(super) fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name)
}
