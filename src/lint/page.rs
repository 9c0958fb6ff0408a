//! The rules for people: `hephy check --explain RULE`, and docs/lint.md.

use std::fmt::Write as _;

use super::{RULES, Rule};

/// What `--explain` prints of a rule.
#[must_use]
pub fn explain(rule: &Rule) -> String {
    let Rule { name, level, finds, why, fix } = rule;
    format!(
        "{name} ({})\n\n{finds}\n{why}\n\nfix: {fix}\n\nsilence: `# hephy: ignore={name}` above the line, or in hephy.yaml \
         or build-config.yaml\n\n  lint:\n    {name}: off\n",
        level.word()
    )
}

const INTRODUCTION: &str = "\
<!-- Generated from src/lint/rules.rs. To write it anew: HEPHY_BLESS=1 cargo test --test suite lint:: -->

# Rules of hephy check

`hephy check` validates every configuration, Dockerfile and reference; what is wrong there is an error. Beside that it
has rules about what is allowed and could be better. It needs no network and changes nothing.

```sh
hephy check                        # everything; or directories and files
hephy check --strict               # warnings fail too
hephy check --explain latest-base  # what a rule is about
hephy check --format json          # every finding with rule, severity, fix, file, line and column
```

Errors end with exit code 3, with `--strict` warnings as well; infos never do. Sizes are those of the committed files,
in a developer's checkout those of the working tree.

";

const LEVELS: &str = "
## Levels

`lint` in `hephy.yaml` sets the level of a rule for all images, in a `build-config.yaml` for that image: `off`, `info`,
`warning` or `error`.

```yaml
# hephy.yaml
lint:
  unpinned-base: error
  slow-go-build: off
```

## Silence

A comment silences rules where it stands: in a Dockerfile above the instruction, in a `build-config.yaml` above the line
or behind it. Several names are separated by commas, and a reason may follow.

```dockerfile
# hephy: ignore=latest-base the scanner has to be the newest
FROM aquasec/trivy
```

A name that is no rule is an error; a comment that silences nothing is reported (`unused-ignore`).

## pre-commit

```yaml
# .pre-commit-config.yaml
repos:
  - repo: https://example.org/OWNER/hephy
    rev: vX.Y.Z
    hooks:
      - id: hephy-check          # builds hephy with Rust; hephy-check-system runs the hephy on the PATH
        args: [--strict]
```

Both run on every commit that touches a `build-config.yaml`, `hephy.yaml`, `.dockerignore` or Dockerfile.

## The rules
";

/// docs/lint.md.
#[must_use]
pub fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str("| rule | level | finds |\n|---|---|---|\n");
    for rule in RULES {
        let _ = writeln!(out, "| [`{}`](#{}) | {} | {} |", rule.name, rule.name, rule.level.word(), rule.finds);
    }
    out.push_str(LEVELS);
    for Rule { name, level, finds, why, fix } in RULES {
        let _ = write!(out, "\n### {name}\n\n*{}.* {finds}\n\n{why}\n\nFix: {fix}.\n", capital(level.word()));
    }
    out
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
