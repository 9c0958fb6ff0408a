//! Rules about build arguments.

use super::rules::{SECRET_IN_ARGUMENT, UNUSED_BUILD_ARG};
use super::{Found, Subject};
use crate::config::{BuildArg, names_a_secret};
use crate::diagnostic::Span;
use crate::dockerfile::{Arg, Dockerfile, Stage};

/// Arguments that builders know without a declaration (BuildKit's "Predefined ARGs", and its own settings).
const PREDEFINED: [&str; 7] =
    ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH", "ECR_REGISTRY"];

pub(super) fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    if !subject.backend.reads_dockerfile() {
        return;
    }
    for (index, arg) in subject.config.build_args.iter().enumerate() {
        let place = place(subject, index, arg);
        if names_a_secret(&arg.name) {
            let message = format!("the value of `{}` would stand in the image's history", arg.name);
            found.push(Found::new(&SECRET_IN_ARGUMENT, subject.file, place, message));
        }
        let Some((file, dockerfile)) = subject.dockerfile else { continue };
        if !is_known(&arg.name, dockerfile) {
            let message = format!("{file} declares no ARG {}", arg.name);
            found.push(Found::new(&UNUSED_BUILD_ARG, subject.file, place, message));
        }
    }
    if let Some((file, dockerfile)) = subject.dockerfile {
        let staged = dockerfile.stages.iter().flat_map(|stage: &Stage| &stage.args);
        for arg in dockerfile.global_args.iter().chain(staged).filter(|arg| names_a_secret(&arg.name)) {
            let message = format!("a value of `{}` would stand in the image's history", arg.name);
            found.push(Found::new(&SECRET_IN_ARGUMENT, file, line_of(dockerfile, arg), message));
        }
    }
}

/// Where a build argument stands: `build_args[N]` in a list, under its name in a mapping.
fn place(subject: &Subject<'_>, index: usize, arg: &BuildArg) -> Span {
    let spans = &subject.spans.0;
    let named = spans.get(&format!("build_args.{}", arg.name));
    named.or_else(|| spans.get(&format!("build_args[{index}]"))).copied().unwrap_or(Span::START)
}

fn is_known(name: &str, dockerfile: &Dockerfile) -> bool {
    name.starts_with("BUILDKIT_")
        || PREDEFINED.contains(&name.to_uppercase().as_str())
        || dockerfile.declared_args().any(|declared| declared == name)
}

/// The instruction that declares an argument.
fn line_of(dockerfile: &Dockerfile, arg: &Arg) -> Span {
    let place = dockerfile.instructions.iter().find(|place| (place.line..=place.end_line).contains(&arg.line));
    let text = place.and_then(|place| place.text.lines().next()).unwrap_or_default();
    Span::new(arg.line, 1, text.chars().count().max(1))
}
