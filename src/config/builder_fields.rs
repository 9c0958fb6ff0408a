//! Fields of mappings that tell builders more: `cache`, `secrets`, `spin_config`. Part of the table in [`super::fields`].

use super::fields::{DURATION, FILE, Field, Kind, NAME, Text, field, rule};
use super::rules;

const CACHE_REPOSITORY: Text = Text::new(
    "repository",
    Some(r"^[A-Za-z0-9\[][A-Za-z0-9:._\[\]-]*(/[a-z0-9._/-]+)$"),
    rule!(rules::cache_repository),
)
.refusing(r"//|/$")
.only_text();
const SECRET_ID: Text = Text::new("id", Some(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"), rule!(rules::secret_id));
/// A path as `secrets_files` has it.
pub(super) const SECRET_FILE: Text = Text::new("path", Some(r#"^[^-,"'\\=][^,"'\\=]*$"#), rule!(rules::secret_file))
    .refusing(r"(^|/)(\.\.?|\.[gG][iI][tT])(/|$)|//|/$|[\u0000-\u001f\u007f-\u009f]");

/// `cache` of both files.
pub(super) const CACHE: Kind = Kind::Either(&[Kind::Flag, Kind::Fields(CACHE_FIELDS)]);
const CACHE_FIELDS: &[Field] = &[
    field(
        "repo",
        Kind::Text(&CACHE_REPOSITORY),
        "the image's own repository",
        "Repository of the cache, `host[:port]/path`.",
    ),
    field(
        "ttl",
        Kind::Text(&DURATION),
        "the builder's own",
        "How long a cached layer is used, by Kaniko (two weeks unless said) and Buildah; BuildKit knows no such limit.",
    ),
];

/// The fields of `spin_config`.
pub(super) const SPIN: &[Field] = &[
    field("manifest_path", Kind::Text(&FILE), "`spin.toml`", "The application's manifest."),
    field("build", Kind::Flag, "`true`", "Whether to run `spin build` first."),
];

/// The fields of an entry of `secrets`.
pub(super) const SECRET: &[Field] = &[
    field("id", Kind::Text(&SECRET_ID), "", "The name in `RUN --mount=type=secret,id=…`."),
    field(
        "env",
        Kind::Text(&NAME),
        "",
        "The variable of the build job that holds it; `secrets_env` of `hephy.yaml` lists it.",
    ),
    field(
        "file",
        Kind::Text(&SECRET_FILE),
        "",
        "The file that holds it, absolute or relative to the repository's root; `secrets_files` of `hephy.yaml` lists it.",
    ),
];
