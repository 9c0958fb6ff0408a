//! Rules about the images that an image is made from.

use super::rules::{FIXED_PLATFORM, LATEST_BASE, UNPINNED_BASE};
use super::{Found, Subject};
use crate::config::BackendName;
use crate::diagnostic::{Span, escape_cut};
use crate::dockerfile::{Dockerfile, ImageUse, Stage};
use crate::oci::{Platform, Reference};
use crate::plan::graph::ExternalBase;

pub(super) fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    if let Some((file, dockerfile)) = subject.dockerfile {
        let mut seen: Vec<(Span, &str)> = Vec::new();
        for base in subject.bases {
            let Some(place) = place(dockerfile, base) else { continue };
            // The same line under other arguments, for another platform, say.
            if seen.contains(&(place.span, &base.reference)) {
                continue;
            }
            seen.push((place.span, &base.reference));
            found.extend(version(&base.reference, file, place.span));
            found.extend(platform(subject, base, file, place));
        }
    }
    let ko = subject.config.ko_config.as_ref().filter(|_| subject.backend == BackendName::Ko);
    if let Some(base) = ko.and_then(|ko| ko.base_image.as_deref()) {
        found.extend(version(base, subject.file, subject.spans.of("ko_config.base_image")));
    }
}

/// Where a Dockerfile names a base.
fn place<'d>(dockerfile: &'d Dockerfile, base: &ExternalBase) -> Option<&'d ImageUse> {
    let uses = || dockerfile.stages.iter().flat_map(Stage::images).filter(|used| used.span.line == base.line);
    uses().find(|used| used.text.trim_matches(['"', '\'']) == base.reference).or_else(|| uses().next())
}

fn version(text: &str, file: &str, span: Span) -> Option<Found> {
    let reference = Reference::parse(text).ok()?;
    let shown = escape_cut(text, 120);
    let found = |rule, message| Some(Found::new(rule, file, span, message));
    match (&reference.tag, &reference.digest) {
        (_, Some(_)) => None,
        (None, None) => found(&LATEST_BASE, format!("`{shown}` has no version: it is whatever is newest")),
        (Some(tag), None) if tag.as_str() == "latest" => {
            found(&LATEST_BASE, format!("`{shown}` is whatever is newest"))
        }
        (Some(_), None) => {
            let fix = format!("add the digest, {shown}@sha256:…, and let a bot keep it up to date");
            found(&UNPINNED_BASE, format!("`{shown}` has no digest")).map(|found| found.fix(fix))
        }
    }
}

/// A platform that is written out, under an image that is for another one.
fn platform(subject: &Subject<'_>, base: &ExternalBase, file: &str, place: &ImageUse) -> Option<Found> {
    let written = base.platform.as_deref().filter(|_| base.underlying)?;
    if names_the_builders(written) && subject.config.platforms.len() > 1 {
        let message = "every platform of the image lies on one for the machine that builds it".to_owned();
        return Some(Found::new(&FIXED_PLATFORM, file, place.span, message));
    }
    let fixed = Platform::parse(written).ok()?;
    let other = subject.config.platforms.iter().find(|platform| **platform != fixed)?;
    let message = format!("the image for {other} lies on one for {fixed}");
    Some(Found::new(&FIXED_PLATFORM, file, place.span, message))
}

/// Whether it is the platform of the machine that builds: `$BUILDPLATFORM`, or one put together of its parts.
fn names_the_builders(platform: &str) -> bool {
    platform.contains("BUILDPLATFORM") || platform.contains("BUILDARCH")
}
