//! What the builders of this tree's images would not build as written, and who builds those images instead
//! (specification §8, "Preflight"). Before keys are made: the builder is part of them.

use super::{Image, Rerouted, Rules};
use crate::backend::Version;
use crate::backend::preflight::{Asked, Construct, findings, reroute};
use crate::config::{BackendName, ImageConfig, Preflight, RootConfig};
use crate::diagnostic::{Diagnostic, Severity};
use crate::dockerfile::{Arguments, Dockerfile};

/// What hephy does about it; none is nothing at all.
fn choice(rules: &Rules<'_>, root: &RootConfig) -> Option<Preflight> {
    use crate::commands::planning::PreflightChoice::{Off, Reroute, Stop};
    match rules.preflight {
        Some(Off) => None,
        Some(Stop) => Some(Preflight::Stop),
        Some(Reroute) => Some(Preflight::Reroute),
        None => Some(root.preflight),
    }
}

/// The declared version of a builder.
fn version(rules: &Rules<'_>, backend: BackendName) -> Option<Version> {
    rules.offers.iter().find(|(name, _)| *name == backend).and_then(|(_, version)| *version)
}

/// What the configuration asks of the builder.
fn of_config(image: &Image, config: &ImageConfig) -> Vec<Asked> {
    let fields = [
        ("annotations", Construct::Annotations, config.annotations.is_empty()),
        ("secrets", Construct::Secrets, config.secrets.is_empty()),
    ];
    let asked = |(field, construct, _): &(&str, Construct, bool)| Asked {
        construct: *construct,
        file: image.file.clone(),
        span: image.parsed.spans.of(field),
        frontend: None,
    };
    fields.iter().filter(|(_, _, empty)| !empty).map(asked).collect()
}

/// What a Dockerfile asks of its builder when it is built with this configuration, for any of its platforms.
pub(in crate::commands) fn of_dockerfile(file: &str, dockerfile: &Dockerfile, config: &ImageConfig) -> Vec<Asked> {
    if dockerfile.stages.iter().all(|stage| stage.features.is_empty()) {
        return Vec::new();
    }
    let literal = config.build_args.iter().filter(|arg| !arg.value.contains("${"));
    let passed: std::collections::BTreeMap<String, String> =
        literal.map(|arg| (arg.name.clone(), arg.value.clone())).collect();
    let mut asked: Vec<Asked> = Vec::new();
    for platform in &config.platforms {
        let mut arguments = Arguments { passed: passed.clone(), ..Arguments::default() };
        arguments.predefine(platform);
        // What cannot be expanded is a finding of its own.
        let Ok(references) = dockerfile.references(&arguments) else { continue };
        let found = dockerfile.features(config.target.as_deref(), &references);
        let found = Asked::of_dockerfile(file, dockerfile.frontend(), &found);
        for one in found {
            if !asked.iter().any(|known| (known.construct, known.span) == (one.construct, one.span)) {
                asked.push(one);
            }
        }
    }
    asked.sort_by_key(|asked| (asked.span.line, asked.span.column));
    asked
}

/// Findings about an image whose Dockerfile, if it has one, is elsewhere.
pub(super) fn without_dockerfile(image: &Image, rules: &Rules<'_>, root: &RootConfig) -> Vec<Diagnostic> {
    let Some(config) = image.config().filter(|config| config.manual_images.is_none()) else { return Vec::new() };
    let backend = rules.backend_of(config);
    let mut found = uncached(image, config, backend);
    if choice(rules, root).is_some() {
        found.extend(findings(&of_config(image, config), backend, version(rules, backend)));
    }
    found
}

/// Looks at an image with its Dockerfile; it may get another builder.
pub(super) fn with_dockerfile(image: &mut Image, rules: &Rules<'_>, root: &RootConfig) {
    let Some(config) = image.config().filter(|config| config.manual_images.is_none()).cloned() else { return };
    let Some((path, dockerfile)) = image.dockerfile.clone() else { return };
    let Some(choice) = choice(rules, root) else { return };
    let backend = rules.backend_of(&config);
    let asked: Vec<Asked> =
        of_config(image, &config).into_iter().chain(of_dockerfile(&path, &dockerfile, &config)).collect();
    let found = findings(&asked, backend, version(rules, backend));
    let stops = found.iter().find(|finding| finding.severity == Severity::Error);
    let other = stops.filter(|_| choice == Preflight::Reroute).and_then(|_| reroute(&asked, rules.offers));
    match (stops, other) {
        (Some(stops), Some(other)) => {
            let reason = format!("{}:{}: {}", stops.file, stops.span.line, stops.message);
            image.rerouted = Some(Rerouted { from: backend, to: other, reason });
            // What was said of the first builder's version or of the configuration holds no more.
            image.problems.retain(|problem| !found.contains(problem));
            image.problems.extend(findings(&asked, other, version(rules, other)));
        }
        _ => {
            let known = image.problems.clone();
            image.problems.extend(found.into_iter().filter(|finding| !known.contains(finding)));
        }
    }
}

/// A cache that was asked for by name, with a builder that has none.
fn uncached(image: &Image, config: &ImageConfig, backend: BackendName) -> Vec<Diagnostic> {
    let asked = config.cache.is_some() && image.parsed.spans.0.contains_key("cache");
    if !asked || crate::plan::cache::has_cache(backend) {
        return Vec::new();
    }
    let message = format!("`cache` does nothing with the builder `{backend}`");
    let finding = Diagnostic::error(&image.file, image.parsed.spans.of("cache"), message).warning();
    vec![finding.note("kaniko, buildkit and buildah keep layers in a registry")]
}
