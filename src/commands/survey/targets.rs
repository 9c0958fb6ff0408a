//! Stages that configurations name, and directories that are several images because of them (`targets`).

use std::sync::Arc;

use super::Image;
use crate::config::{ImageConfig, Target};
use crate::diagnostic::{Diagnostic, escape_cut, nearest};
use crate::dockerfile::Dockerfile;

/// A `target` that names no stage would only fail in the builder.
pub(super) fn check_target(image: &mut Image, path: &str, dockerfile: &Dockerfile) {
    let Some(target) = image.config().and_then(|config| config.target.clone()) else { return };
    if dockerfile.stage_index(&target).is_some() {
        return;
    }
    let shown = escape_cut(&target, 80);
    let mut finding =
        Diagnostic::error(&image.file, image.parsed.spans.of("target"), format!("{path} has no stage `{shown}`"));
    let stages: Vec<&str> = dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    if let Some(near) = nearest(&target, stages.iter().copied()) {
        finding = finding.suggest(format!("did you mean `{near}`?"));
    } else if !stages.is_empty() {
        finding = finding.note(format!("its stages are {}", stages.join(", ")));
    }
    image.problems.push(finding);
}

/// The images of one directory: itself, or one for each of its `targets`. What is wrong with the file is said of each;
/// what is only worth knowing, of the first.
pub(super) fn split(image: Box<Image>) -> Vec<Image> {
    let config = match image.config() {
        Some(config) if !config.targets.is_empty() => Arc::clone(config),
        _ => return vec![*image],
    };
    let mut images: Vec<Image> = Vec::with_capacity(config.targets.len());
    for (at, target) in config.targets.iter().enumerate() {
        let mut own = of_target(&image, &config, target, at);
        if at > 0 {
            own.parsed.findings.clear();
        }
        if let Some((path, dockerfile)) = own.dockerfile.clone() {
            check_target(&mut own, &path, &dockerfile);
            refuse_same_stage(&mut own, &config.targets[..at], target, &dockerfile);
        }
        images.push(own);
    }
    images
}

fn of_target(image: &Image, config: &ImageConfig, target: &Target, at: usize) -> Image {
    let mut own = image.clone();
    own.target = Some(target.name.clone());
    own.parsed.value = Some(Arc::new(config.of_target(target)));
    own.parsed.spans = config.spans_of_target(&image.parsed.spans, at);
    match image.name.of_target(&target.name) {
        Ok(name) => own.name = name,
        Err(why) => own.illegal = own.illegal.or(Some(why.to_string())),
    }
    own
}

/// A stage may be named by its place as well: the same one twice is one image twice.
fn refuse_same_stage(image: &mut Image, before: &[Target], target: &Target, dockerfile: &Dockerfile) {
    let Some(stage) = dockerfile.stage_index(&target.target) else { return };
    let same = before.iter().find(|known| dockerfile.stage_index(&known.target) == Some(stage));
    image.problems.extend(same.map(|known| {
        let message = format!("`{}` and `{}` are the same stage", known.target, target.target);
        Diagnostic::error(&image.file, image.parsed.spans.of("target"), message)
    }));
}
