//! Rules about build arguments.

use super::rules::{SECRET_IN_ARGUMENT, UNUSED_BUILD_ARG};
use super::{Found, Subject};
use crate::config::BuildArg;
use crate::diagnostic::Span;
use crate::dockerfile::{Arg, Dockerfile, Stage};

/// Arguments that builders know without a declaration (BuildKit's "Predefined ARGs", and its own settings).
const PREDEFINED: [&str; 7] =
    ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH", "ECR_REGISTRY"];

/// How the names of secrets end.
const SECRETS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "private_key",
    "secret_key",
    "access_key",
    "credential",
    "credentials",
];

pub(super) fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    if !subject.backend.reads_dockerfile() {
        return;
    }
    for (index, arg) in subject.config.build_args.iter().enumerate() {
        let place = place(subject, index, arg);
        if is_secret(&arg.name) {
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
        for arg in dockerfile.global_args.iter().chain(staged).filter(|arg| is_secret(&arg.name)) {
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

/// Whether a name ends like a secret's, as whole words: `NPM_TOKEN`, and neither `TOKENIZER` nor `TOKEN_URL`.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRETS.iter().any(|word| name.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
}

/// The instruction that declares an argument.
fn line_of(dockerfile: &Dockerfile, arg: &Arg) -> Span {
    let place = dockerfile.instructions.iter().find(|place| (place.line..=place.end_line).contains(&arg.line));
    let text = place.and_then(|place| place.text.lines().next()).unwrap_or_default();
    Span::new(arg.line, 1, text.chars().count().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_end_like_one() {
        for name in ["PASSWORD", "DB_PASSWORD", "npm_token", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "STRIPE_API_KEY"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["TOKENIZER", "TOKEN_URL", "PASSWORD_FILE", "SECRETARY", "KEY", "PUBLIC_KEY", "CURL_TAG", "XTOKEN"]
        {
            assert!(!is_secret(name), "{name}");
        }
    }
}
