//! What the inputs of a CI template say, and how it becomes what the variables say (specification §11).
//!
//! A template cannot leave a variable unset when its input is left alone, and a job's variable hides those of the
//! project and of hephy.yaml. So it hands inputs on as `HEPHY_INPUT_X`: where one says something it stands for
//! `HEPHY_X`, and where it is empty (or `false`, a switch that nobody turned) it says nothing.

use super::Env;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::plan::Mode;

const INPUT: &str = "HEPHY_INPUT_";
const ARCHES: &str = "HEPHY_ARCHES";
/// The runner tag of an architecture's jobs, as the template's input has it: a text, or one variable.
const TAG: &str = "HEPHY_GITLAB_TAG_";
/// What stands in `HEPHY_ARCHES` when there is no job for any architecture.
pub(crate) const NO_ARCH: &str = "none";

/// The environment with the inputs applied.
#[must_use]
pub fn with_inputs(mut env: Env) -> Env {
    let said = |(name, value): (&String, &String)| {
        let name = name.strip_prefix(INPUT).filter(|name| !name.is_empty())?;
        (!matches!(value.trim(), "" | "false")).then(|| (format!("HEPHY_{name}"), value.clone()))
    };
    let inputs: Vec<_> = env.iter().filter_map(said).collect();
    env.extend(inputs);
    if let Some(arches) = env.get(ARCHES).filter(|text| !text.trim().is_empty()) {
        let has_runner = |arch: &&str| runner_tag(&env, &format!("{TAG}{}", arch.to_uppercase())).is_ok();
        let left: Vec<&str> = arches.split(',').map(str::trim).filter(has_runner).collect();
        let left = if left.is_empty() { NO_ARCH.to_owned() } else { left.join(",") };
        env.insert(ARCHES.to_owned(), left);
    }
    env
}

/// The variable in which a template hands on the input that stands for `HEPHY_X`.
#[must_use]
pub fn input_of(variable: &str) -> String {
    variable.replacen("HEPHY_", INPUT, 1)
}

/// The inputs that say something, as the template handed them on.
#[must_use]
pub fn inputs(env: &Env) -> Env {
    let said = |name: &str, value: &str| name.starts_with(INPUT) && !matches!(value.trim(), "" | "false");
    env.iter().filter(|(name, value)| said(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The runner tag that a variable holds, other variables in it expanded; none where jobs need no tag.
///
/// # Errors
/// The name of the variable that it consists of, when that one is not set: there is no such runner.
pub fn runner_tag(env: &Env, variable: &str) -> std::result::Result<Option<String>, String> {
    let text = env.get(variable).map(String::as_str).unwrap_or_default();
    let set = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if let Some(name) = whole_variable(text) {
        return set(name).map(|value| Some(value.to_owned())).ok_or_else(|| name.to_owned());
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// The variable that a text consists of: `$NAME` or `${NAME}`.
fn whole_variable(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    let sound = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (!name.is_empty() && sound).then_some(name)
}

/// `HEPHY_PUBLISH` where no platform says what started the run: the mode, else `usual`, and whether somebody chose it.
///
/// # Errors
/// When it is another word.
pub(super) fn said(env: &Env, usual: Mode) -> Result<(Mode, bool)> {
    match env.get("HEPHY_PUBLISH").map_or("", |word| word.trim()) {
        "" | "auto" => Ok((usual, false)),
        "always" => Ok((Mode::Publish, true)),
        // No run here is known to be of a git tag.
        "tags" | "never" => Ok((Mode::Check, true)),
        other => Err(Error::usage(format!("HEPHY_PUBLISH cannot be `{}`", escape_cut(other, 80))).hint(
            "one of always, never; without it a developer's machine publishes, and an unknown CI system does not",
        )),
    }
}

/// `HEPHY_PUBLISH` can forbid what the event of a platform allows, and never the other way round.
///
/// # Errors
/// When it is another word.
pub(super) fn allowed(env: &Env, mode: Mode, lasting: bool) -> Result<Mode> {
    match env.get("HEPHY_PUBLISH").map_or("", |word| word.trim()) {
        "" | "auto" => Ok(mode),
        "tags" if lasting => Ok(mode),
        "tags" | "never" => Ok(Mode::Check),
        other => Err(Error::usage(format!("HEPHY_PUBLISH cannot be `{}`", escape_cut(other, 80)))
            .hint("one of auto, tags (git tags and schedules), never")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_input_wins_where_it_says_something() {
        let env = with_inputs(env(&[
            ("HEPHY_INPUT_REGISTRY", "r/input"),
            ("HEPHY_REGISTRY", "r/variable"),
            ("HEPHY_INPUT_LAYOUT", ""),
            ("HEPHY_LAYOUT", "per-image"),
            ("HEPHY_INPUT_ALLOW_PARTIAL", "false"),
            ("HEPHY_ALLOW_PARTIAL", "true"),
            ("HEPHY_INPUT_CACHE", "true"),
            ("HEPHY_INPUT_", "x"),
        ]));
        assert_eq!(env["HEPHY_REGISTRY"], "r/input");
        assert_eq!(env["HEPHY_LAYOUT"], "per-image");
        assert_eq!(env["HEPHY_ALLOW_PARTIAL"], "true");
        assert_eq!(env["HEPHY_CACHE"], "true");
        assert!(!env.contains_key("HEPHY_"));
        let said: Vec<String> = inputs(&env).into_keys().collect();
        assert_eq!(said, ["HEPHY_INPUT_", "HEPHY_INPUT_CACHE", "HEPHY_INPUT_REGISTRY"]);
    }

    #[test]
    fn an_architecture_whose_runner_tag_is_unset_is_not_offered() {
        let offered = |pairs: &[(&str, &str)]| {
            let mut pairs = pairs.to_vec();
            pairs.push((ARCHES, "amd64,arm64"));
            with_inputs(env(&pairs))[ARCHES].clone()
        };
        let tags = [("HEPHY_GITLAB_TAG_AMD64", "$CICD_TAG_AMD64"), ("HEPHY_GITLAB_TAG_ARM64", "${CICD_TAG_ARM64}")];
        assert_eq!(offered(&tags), NO_ARCH);
        assert_eq!(offered(&[tags[0], tags[1], ("CICD_TAG_ARM64", "arm")]), "arm64");
        assert_eq!(offered(&[tags[0], ("CICD_TAG_AMD64", "")]), "arm64");
        // Nothing, and a text, are jobs that exist.
        assert_eq!(offered(&[("HEPHY_GITLAB_TAG_AMD64", ""), ("HEPHY_GITLAB_TAG_ARM64", "arm")]), "amd64,arm64");
        assert_eq!(offered(&[]), "amd64,arm64");
    }

    #[test]
    fn runner_tags_are_expanded_once() {
        let env = env(&[("A", "$B"), ("B", "runner"), ("T", "$A"), ("U", "x-$B"), ("V", "$B-x")]);
        assert_eq!(runner_tag(&env, "T"), Ok(Some("$B".to_owned())));
        assert_eq!(runner_tag(&env, "U"), Ok(Some("x-$B".to_owned())));
        assert_eq!(runner_tag(&env, "V"), Ok(Some("$B-x".to_owned())));
        assert_eq!(runner_tag(&env, "NONE"), Ok(None));
    }

    #[test]
    fn publishing_can_be_forbidden_and_never_allowed() {
        let allowed = |word: &str, mode, lasting| allowed(&env(&[("HEPHY_PUBLISH", word)]), mode, lasting);
        assert_eq!(allowed("auto", Mode::Publish, false).unwrap(), Mode::Publish);
        assert_eq!(allowed("tags", Mode::Publish, false).unwrap(), Mode::Check);
        assert_eq!(allowed("tags", Mode::Publish, true).unwrap(), Mode::Publish);
        assert_eq!(allowed("never", Mode::Publish, true).unwrap(), Mode::Check);
        for word in ["", "auto", "tags", "never"] {
            assert_eq!(allowed(word, Mode::Check, true).unwrap(), Mode::Check, "{word}");
        }
        assert!(allowed("always", Mode::Check, true).is_err());
    }
}
