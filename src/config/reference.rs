//! `docs/configuration.md`, made from the table of fields.

use std::fmt::Write as _;

use super::fields::{self, Field, Kind};

const INTRODUCTION: &str = "\
<!-- Generated from src/config/fields.rs. To write it anew: HEPHY_BLESS=1 cargo test --test suite config:: -->

# Configuration

Every directory with a `build-config.yaml` is one image. A `hephy.yaml` at the repository's root holds defaults for all
of them, and is optional. `hephy check` reports every problem of every file; `hephy schema config` prints a JSON Schema
for editors.

The language is YAML 1.2: one document, UTF-8, no custom tags, no merge keys, no key twice. Values are taken as written:
`upstream_ref: 1.10` is the ref `1.10`. Only `true` and `false` are booleans. `null` (or nothing) behind an optional
field means that it is absent; unknown fields are errors. A file has at most 256 KiB and 32 levels, a list or a
mapping of yours at most 100 entries.
";

const VALUES: &str = "
## Values

| value | rule |
|---|---|
| path | relative, with `/`; no empty, `.git` or `..` part, no scheme, drive, backslash or control character |
| glob | a path with `*`, `**`, `?` and `[abc]`; `**` stands alone between slashes |
| repository | `https://`, `ssh://` or `user@host:path`, without password, query or fragment; other transports only when `GIT_ALLOW_PROTOCOL` lists them |
| branch, tag or commit | letters, digits and `._/@+-`, as git allows them; never a leading `-`, a revision expression or a refspec; a commit id in full, 40 or 64 digits |
| tag | letters, digits and `._-`, at most 128 characters with its prefix, and `${BRANCH_NAME}`, `${BUILD_NUMBER}`, `${SHORT_SHA}`, `${VERSION}` |
| platform | `linux/<arch>` or `linux/<arch>/<variant>` in the standard's spelling, each once |
| build argument | a name of letters, digits and `_`, each once, and a value of a single line up to 64 KiB; `BUILDKIT_SYNTAX` is refused |
| duration | hours, minutes and seconds in this order: `90s`, `10m`, `1h30m` |

`${NAME}` is the only special form in values that expand variables: a `$` without `{` stands for itself, and there is no
escape.

## Combinations

- One of `use_local_context: true` and `upstream_repo` is required; with the builders `ko` and `spin`, and with
  `manual_build: true`, neither means this directory.
- `upstream_repo` and `upstream_ref` come together, and exclude `use_local_context: true` and `context_from: repository`.
- `manual_build: true` needs `manual_images`, with one image for each platform.
- `target` excludes `targets`.
- `targets` needs a builder that reads a Dockerfile, and excludes `manual_build: true`.
- `version_from` excludes `upstream_repo`: the version of another repository is its `upstream_ref`.
";

/// The reference of both files in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str("\n## build-config.yaml\n\n");
    table(&mut out, fields::IMAGE);
    nested(&mut out, fields::IMAGE);
    out.push_str(VALUES);
    out.push_str("\n## hephy.yaml\n\n");
    table(&mut out, fields::ROOT);
    out
}

fn table(out: &mut String, table: &[Field]) {
    out.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
    for field in table {
        let later = if field.later { " *Not supported yet.*" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {}{later} |",
            field.name,
            kind(&field.kind),
            field.default,
            field.meaning.replace('|', "\\|")
        );
    }
}

fn nested(out: &mut String, fields: &'static [Field]) {
    for field in fields {
        if let Some(inner) = inner(&field.kind) {
            let _ = write!(out, "\n### {}\n\n", field.name);
            table(out, inner);
        }
    }
}

fn inner(kind: &'static Kind) -> Option<&'static [Field]> {
    match kind {
        Kind::Fields(table) => Some(table),
        Kind::List(kind) => inner(kind),
        Kind::Either(kinds) => kinds.iter().find_map(inner),
        _ => None,
    }
}

fn kind(of: &Kind) -> String {
    match of {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Text(sort) => sort.word.to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Number(most) => format!("number up to {most}"),
        Kind::List(kind_of) => format!("list: {}", kind(kind_of)),
        Kind::Mapping(key, value) => format!("mapping: {} → {}", key.word, kind(value)),
        Kind::Fields(_) => "mapping, see below".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(kind).collect::<Vec<_>>().join(" or "),
    }
}
