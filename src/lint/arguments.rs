//! Rules about build arguments.

use super::rules::{SECRET_IN_ARGUMENT, UNUSED_BUILD_ARG};
use super::{Found, Subject};
use crate::config::{BuildArg, names_a_secret};
use crate::diagnostic::Span;
use crate::dockerfile::{Arg, Dockerfile, Place, Stage};

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
        for place in &dockerfile.instructions {
            let variables = variables(dockerfile.text_of(place)).into_iter();
            for (name, _) in variables.filter(|(name, value)| names_a_secret(name) && tells(value)) {
                let message = format!("the value of `{name}` would stand in the image's history");
                found.push(Found::new(&SECRET_IN_ARGUMENT, file, first_line(dockerfile, place), message));
            }
        }
    }
}

/// What an `ENV` sets: names and values as written.
fn variables(instruction: &str) -> Vec<(String, String)> {
    let (keyword, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    if !keyword.eq_ignore_ascii_case("ENV") {
        return Vec::new();
    }
    let lines = rest.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.map(|line| line.trim_end().trim_end_matches(['\\', '`'])).collect::<Vec<_>>().join(" ");
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    if !first.contains('=') {
        // `ENV NAME the rest`
        return vec![(first.to_owned(), words.collect::<Vec<_>>().join(" "))];
    }
    let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    std::iter::once(first).chain(words).filter_map(pair).collect()
}

/// Whether a value says something: an empty one is a place to fill, and a switch is none to hide.
fn tells(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']).to_ascii_lowercase();
    !matches!(value.as_str(), "" | "true" | "false" | "yes" | "no" | "on" | "off" | "none" | "0" | "1")
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
    place.map_or_else(|| Span::new(arg.line, 1, 1), |place| Span { line: arg.line, ..first_line(dockerfile, place) })
}

fn first_line(dockerfile: &Dockerfile, place: &Place) -> Span {
    Span::new(place.line, 1, dockerfile.text_of(place).lines().next().unwrap_or_default().chars().count().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_env_sets() {
        let names = |text: &str| -> Vec<String> {
            let told = variables(text).into_iter().filter(|(_, value)| tells(value));
            told.map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(names("ENV A=1 B=\"x\" C= D=\"\" E=true"), ["B=\"x\""]);
        assert_eq!(names("env A x y"), ["A=x y"]);
        assert_eq!(names("ENV A=x \\\n  # a comment\n  B=y"), ["A=x", "B=y"]);
        assert_eq!(names("RUN A=x"), Vec::<String>::new());
    }
}
