//! Build arguments: `${VAR}` in the configuration's values becomes text, or the tag of a dependency that only the
//! build stage knows.

use crate::config::BuildArg;
use crate::config::template::{self, Part};
use crate::oci::ImageName;
use crate::plan::tags::{PIPELINE_VARIABLES, TagFacts, Version};
use crate::plan::{ArgPart, PlannedArg};

/// What `${VAR}` may name besides the tags of dependencies.
pub trait Variables {
    /// The registry as dependencies are referred to; none while it is not known.
    fn registry(&self) -> Option<&str>;
    /// The value of an environment variable that `hephy.yaml` allows: `None` when it does not allow it, `Some(None)`
    /// when it does and the variable is not set.
    fn allowed(&self, name: &str) -> Option<Option<String>>;
    /// Whether the variable holds a secret, by its name or because `hephy.yaml` lists it as one.
    fn is_secret(&self, name: &str) -> bool;
}

/// A value that cannot be expanded, by the argument's position in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgProblem {
    /// `build_args[N]`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub note: Option<String>,
}

/// Expands all arguments of one image of this version. `dependencies` are the images it is built on.
///
/// # Errors
/// Every variable that is undefined or not allowed.
pub fn expand(
    args: &[BuildArg],
    facts: (&TagFacts, Option<&Version>),
    variables: &dyn Variables,
    dependencies: &[&ImageName],
) -> Result<Vec<PlannedArg>, Vec<ArgProblem>> {
    let mut planned = Vec::new();
    let mut problems = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        match expand_one(&arg.value, facts, variables, dependencies) {
            Ok(value) => planned.push(PlannedArg { name: arg.name.clone(), value }),
            Err((message, note)) => problems.push(ArgProblem { field: format!("build_args[{at}]"), message, note }),
        }
    }
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

/// Whether a variable always is what hephy says: the registry, and facts of the run.
#[must_use]
pub fn is_given(name: &str) -> bool {
    super::graph::REGISTRY_VARIABLES.contains(&name) || PIPELINE_VARIABLES.contains(&name)
}

type Refusal = (String, Option<String>);

fn expand_one(
    value: &str,
    facts: (&TagFacts, Option<&Version>),
    variables: &dyn Variables,
    dependencies: &[&ImageName],
) -> Result<Vec<ArgPart>, Refusal> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let written = template::parse(value);
    for part in written.map_err(|wrong| (format!("the value {}", wrong.message), Some(wrong.note.to_owned())))? {
        let name = match part {
            Part::Text(plain) => {
                text.push_str(&plain);
                continue;
            }
            Part::Var { name, .. } => name,
        };
        match dependencies.iter().find(|dependency| dependency.tag_variable() == name) {
            Some(dependency) => {
                if !text.is_empty() {
                    parts.push(ArgPart::Text(std::mem::take(&mut text)));
                }
                parts.push(ArgPart::TagOf((*dependency).clone()));
            }
            None => text.push_str(&value_of(&name, facts, variables)?),
        }
    }
    if !text.is_empty() || parts.is_empty() {
        parts.push(ArgPart::Text(text));
    }
    Ok(parts)
}

fn value_of(
    name: &str,
    (facts, version): (&TagFacts, Option<&Version>),
    variables: &dyn Variables,
) -> Result<String, Refusal> {
    if super::graph::REGISTRY_VARIABLES.contains(&name) {
        let registry = variables.registry().map(str::to_owned);
        return registry.ok_or_else(|| (format!("`${{{name}}}` has no value: no registry is set"), None));
    }
    if PIPELINE_VARIABLES.contains(&name) {
        return facts.variable(name, version).ok_or_else(|| (format!("`${{{name}}}` has no value in this run"), None));
    }
    match variables.allowed(name) {
        Some(_) if variables.is_secret(name) => Err((
            format!("`{name}` holds a secret, and build arguments stand in the plan and in the image's history"),
            Some(format!("give it to the build as `secrets: [{{id: {}, env: {name}}}]`", name.to_lowercase())),
        )),
        Some(Some(value)) => Ok(value),
        Some(None) => Err((format!("`{name}` is not set in the environment"), None)),
        None if name.ends_with("_TAG") => Err((
            format!("`${{{name}}}` is not the tag of an image that this one is built on"),
            Some("use it in a FROM, or list the image's directory in depends_on".into()),
        )),
        None => Err((
            format!("`${{{name}}}` is not a variable of build arguments"),
            Some(format!("to take it from the environment, list {name} in build_args_env of hephy.yaml")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layout;

    struct Known;

    impl Variables for Known {
        fn registry(&self) -> Option<&str> {
            Some("reg.example/acme")
        }

        fn allowed(&self, name: &str) -> Option<Option<String>> {
            match name {
                "CHANNEL" => Some(Some("beta".into())),
                "UNSET" => Some(None),
                "NPM_TOKEN" => Some(Some("hunter2".into())),
                _ => None,
            }
        }

        fn is_secret(&self, name: &str) -> bool {
            name == "NPM_TOKEN"
        }
    }

    fn expanded(value: &str) -> Result<Vec<ArgPart>, String> {
        let facts = TagFacts {
            date: "20251015".into(),
            commit: "4f2a91c0d1e2".into(),
            branch: Some("main".into()),
            tag: None,
            run: None,
            layout: Layout::Single,
            beside_default: false,
        };
        let curl = ImageName::parse("curl").unwrap();
        let args = [BuildArg { name: "A".into(), value: value.into() }];
        let planned = expand(&args, (&facts, Version::parse("v1.2.3").as_ref()), &Known, &[&curl]);
        planned.map(|args| args[0].value.clone()).map_err(|problems| problems[0].message.clone())
    }

    #[test]
    fn variables_become_text_and_tags_of_dependencies_stay_open() {
        let curl = || ArgPart::TagOf(ImageName::parse("curl").unwrap());
        let text = |text: &str| ArgPart::Text(text.into());
        assert_eq!(expanded("plain $HOME"), Ok(vec![text("plain $HOME")]));
        assert_eq!(expanded(""), Ok(vec![text("")]));
        assert_eq!(expanded("${BRANCH_NAME}-${CHANNEL}"), Ok(vec![text("main-beta")]));
        assert_eq!(expanded("v${VERSION}"), Ok(vec![text("v1.2.3")]));
        assert_eq!(expanded("${ECR_REGISTRY}:${CURL_TAG}"), Ok(vec![text("reg.example/acme:"), curl()]));
    }

    #[test]
    fn everything_else_is_refused() {
        for (value, message) in [
            ("${HOME}", "`${HOME}` is not a variable of build arguments"),
            ("${OTHER_TAG}", "`${OTHER_TAG}` is not the tag of an image that this one is built on"),
            ("${BUILD_NUMBER}", "`${BUILD_NUMBER}` has no value in this run"),
            ("${UNSET}", "`UNSET` is not set in the environment"),
            (
                "x${NPM_TOKEN}",
                "`NPM_TOKEN` holds a secret, and build arguments stand in the plan and in the image's history",
            ),
            ("${", "the value has a `${` that is never closed"),
        ] {
            assert_eq!(expanded(value), Err(message.to_owned()));
        }
    }
}
