//! A plan is checked again where it is used: it came as an artifact, and artifacts can be replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::oci::ImageName;
use crate::plan::{Plan, PlannedImage, PlannedSource};

/// Longest value of a build argument, in bytes (specification §3).
const MAX_ARGUMENT: usize = 64 * 1024;

/// Checks every value that becomes a path, an argument or a name. What is typed (names, tags, digests, platforms)
/// was checked when the plan was parsed.
pub(in crate::commands) fn plan(plan: &Plan) -> Result<()> {
    let mut names = BTreeSet::new();
    for image in &plan.images {
        if !names.insert(&image.name) {
            return Err(invalid(&image.name, format!("{} appears twice", image.name)));
        }
        source(image)?;
        arguments(image)?;
        cache(image)?;
        secrets(image)?;
        for platform in &image.platforms {
            if !image.arch_tags.contains_key(&platform.arch()) {
                return Err(invalid(&image.name, format!("it has no tag for {platform}")));
            }
        }
    }
    if let Some(twice) = plan.reused.iter().find(|image| !names.insert(&image.name)) {
        return Err(invalid(&twice.name, format!("{} appears twice", twice.name)));
    }
    tags(plan)?;
    order(plan)?;
    if let Some(registry) = &plan.registry {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "._-/:[]".contains(c));
        if registry.is_empty() || registry.starts_with(['-', '/']) || registry.contains(odd) {
            return Err(Error::config(format!("the plan's registry `{}` is none", escape_cut(registry, 100))));
        }
    }
    Ok(())
}

/// Each tag of a repository is written by one image, and what build jobs push is moved by nobody.
fn tags(plan: &Plan) -> Result<()> {
    let mut writers = BTreeMap::new();
    for image in &plan.images {
        let repository = plan.repository_of("", &image.name);
        let index = image.tags.iter().map(|tag| (tag, None));
        let arches = image.arch_tags.iter().map(|(arch, tag)| (tag, Some(arch.as_str())));
        for (tag, arch) in index.chain(arches) {
            let writer = (&image.name, arch);
            let first = *writers.entry((repository.clone(), tag)).or_insert(writer);
            if first != writer {
                let both = if first.0 == writer.0 { "twice".to_owned() } else { format!("by {} too", first.0) };
                return Err(invalid(&image.name, format!("its tag {tag} is written {both}")));
            }
        }
    }
    for image in &plan.reused {
        let repository = plan.repository_of("", &image.name);
        for tag in &image.tags {
            let first = *writers.entry((repository.clone(), tag)).or_insert((&image.name, None));
            if first != (&image.name, None) {
                return Err(invalid(&image.name, format!("its tag {tag} is written by {} too", first.0)));
            }
        }
    }
    Ok(())
}

/// No image waits for itself: none of those that do would ever begin.
fn order(plan: &Plan) -> Result<()> {
    let mut waiting: BTreeMap<&ImageName, BTreeSet<&ImageName>> = BTreeMap::new();
    let mut dependents: BTreeMap<&ImageName, Vec<&ImageName>> = BTreeMap::new();
    let names: BTreeSet<&ImageName> = plan.images.iter().map(|image| &image.name).collect();
    for image in &plan.images {
        let below = image.dependencies.iter().map(|edge| &edge.name).filter(|name| names.contains(name));
        let below: BTreeSet<&ImageName> = below.collect();
        below.iter().for_each(|name| dependents.entry(name).or_default().push(&image.name));
        waiting.insert(&image.name, below);
    }
    let mut ready: Vec<&ImageName> =
        waiting.iter().filter(|(_, below)| below.is_empty()).map(|(name, _)| *name).collect();
    while let Some(name) = ready.pop() {
        waiting.remove(name);
        for dependent in dependents.remove(name).unwrap_or_default() {
            let below = waiting.entry(dependent).or_default();
            below.remove(name);
            if below.is_empty() {
                ready.push(dependent);
            }
        }
    }
    match waiting.keys().next() {
        Some(image) => Err(invalid(image, "it waits for itself, or for images that do")),
        None => Ok(()),
    }
}

fn source(image: &PlannedImage) -> Result<()> {
    let mut paths = vec![&image.dir, &image.dockerfile, &image.context];
    match &image.source {
        PlannedSource::Local { root } => paths.push(root),
        PlannedSource::Remote { archive, .. } => paths.extend(archive),
    }
    paths.extend(image.ko.iter().filter_map(|ko| ko.working_dir.as_ref()));
    paths.extend(image.spin.iter().map(|spin| &spin.manifest_path));
    match paths.into_iter().find(|path| !is_confined(path)) {
        Some(path) => Err(invalid(&image.name, format!("its path `{}` leaves its root", escape_cut(path, 100)))),
        None => Ok(()),
    }
}

fn arguments(image: &PlannedImage) -> Result<()> {
    let mut names = BTreeSet::new();
    for argument in &image.build_args {
        let name = argument.name.as_str();
        if !is_variable(name) || !names.insert(name) || name == "BUILDKIT_SYNTAX" {
            return Err(invalid(&image.name, format!("its build argument `{}` is not allowed", escape_cut(name, 100))));
        }
        let texts = argument.value.iter().filter_map(|part| match part {
            crate::plan::ArgPart::Text(text) => Some(text),
            crate::plan::ArgPart::TagOf(_) => None,
        });
        if texts.clone().any(|text| text.contains(['\n', '\r', '\0']))
            || texts.map(String::len).sum::<usize>() > MAX_ARGUMENT
        {
            return Err(invalid(
                &image.name,
                format!("the value of its build argument {name} is not one line of 64 KiB"),
            ));
        }
    }
    let mappings = image.labels.iter().chain(&image.annotations);
    for (key, value) in mappings {
        if key.is_empty()
            || key.contains(|c: char| c == '=' || c.is_control() || c.is_whitespace())
            || value.contains('\0')
        {
            return Err(invalid(
                &image.name,
                format!("its label or annotation `{}` is not allowed", escape_cut(key, 100)),
            ));
        }
    }
    let no_arguments = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(['\0', '\n']));
    if no_arguments(&image.target) || image.ko.as_ref().is_some_and(|ko| ko.import_path.contains(['\0', '\n'])) {
        return Err(invalid(&image.name, "its target or import path has a control character"));
    }
    Ok(())
}

/// What stands in options of builders, and where they push layers to.
fn cache(image: &PlannedImage) -> Result<()> {
    let Some(cache) = &image.cache else { return Ok(()) };
    if crate::oci::Repository::parse(&cache.repository).is_err() {
        return Err(invalid(
            &image.name,
            format!("its cache `{}` is no repository", escape_cut(&cache.repository, 100)),
        ));
    }
    match cache.tags.values().find(|tag| !tag.as_str().starts_with(crate::plan::cache::PREFIX)) {
        Some(tag) => Err(invalid(&image.name, format!("the tag {tag} of its cache could be an image's"))),
        None => Ok(()),
    }
}

/// Ids, variables and paths of secrets stand in comma-separated options.
fn secrets(image: &PlannedImage) -> Result<()> {
    let odd = |text: &str| {
        text.is_empty()
            || text.starts_with('-')
            || text.contains(|c: char| c.is_control() || matches!(c, ',' | '"' | '\'' | '\\' | '='))
    };
    for secret in &image.secrets {
        let place = match &secret.source {
            crate::config::SecretSource::Env(name) => is_variable(name),
            crate::config::SecretSource::File(path) => {
                !odd(path) && path.strip_prefix('/').unwrap_or(path).split('/').all(|part| !matches!(part, "" | ".."))
            }
        };
        let named = !odd(&secret.id) && !secret.id.contains('/') && !secret.id.starts_with('.');
        if !named || !place {
            return Err(invalid(&image.name, format!("its secret `{}` is not allowed", escape_cut(&secret.id, 100))));
        }
    }
    Ok(())
}

fn invalid(image: &ImageName, what: impl std::fmt::Display) -> Error {
    Error::config(format!("the plan's image {image} is not valid: {what}"))
        .hint("the plan must come from prepare of the same pipeline, unchanged")
}

/// A path of the specification's §3: relative, with `/`, no empty, `.git` or `..` part, no backslash, no control
/// character; `.` alone is the root.
fn is_confined(path: &str) -> bool {
    path == "."
        || (path.split('/').all(|part| !matches!(part, "" | ".." | ".") && !part.eq_ignore_ascii_case(".git"))
            && !path.contains(|c: char| c == '\\' || c.is_control()))
}

fn is_variable(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in [".", "a", "a/b.c", "-a", "a b", ".hephy-x", "..a"] {
            assert!(is_confined(good), "{good}");
        }
        for wrong in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.git/x", "a\\b", "a\nb", ".GIT"] {
            assert!(!is_confined(wrong), "{wrong:?}");
        }
    }
}
