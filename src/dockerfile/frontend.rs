//! `# syntax=` lines: images that BuildKit runs in place of its own parser (specification §8, "Preflight").

use crate::diagnostic::{Diagnostic, Span, escape_cut};
use crate::oci::Reference;

/// The frontend that every builder has or imitates.
const OWN: &str = "docker.io/docker/dockerfile";

/// What the directives above everything else name, and where. BuildKit skips a `#!` line, takes the first word and
/// allows one line of the kind; all are collected, so that none is overlooked.
pub(super) fn frontends(text: &str) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == 0 && line.starts_with("#!") {
            continue;
        }
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('=')) else { break };
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            break;
        }
        if let Some(frontend) = value.split_whitespace().next().filter(|_| name.eq_ignore_ascii_case("syntax")) {
            let before = line.len() - line[line.find('=').unwrap_or_default() + 1..].trim_start().len();
            let column = line.get(..before).map_or(0, |text| text.chars().count());
            found.push((frontend.to_owned(), Span::new(at + 1, column + 1, frontend.chars().count())));
        }
    }
    found
}

/// The frontend that a `# syntax=` line has BuildKit fetch in place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Minor version of `docker/dockerfile` 1; none for the newest, or for another frontend.
    pub minor: Option<u64>,
    /// Whether it has what is tried out.
    pub labs: bool,
}

impl Frontend {
    /// By the tag: `1`, `1.7`, `1.7.1`, `1.7-labs`, `labs`.
    pub(super) fn of(syntax: &[(String, Span)]) -> Option<Self> {
        let (text, _) = syntax.first()?;
        let Some(named) = Reference::parse(text).ok().filter(|named| named.repository.to_string() == OWN) else {
            return Some(Self { minor: None, labs: true });
        };
        let tag = named.tag.as_ref().map_or("latest", |tag| tag.as_str());
        let minor = tag.strip_prefix("1.").and_then(|rest| rest.split(['.', '-']).next()?.parse().ok());
        Some(Self { minor, labs: tag.ends_with("labs") })
    }
}

/// A finding for each frontend that is neither Docker's own nor `allowed` (`syntax_frontends` of `hephy.yaml`: a
/// reference, or a repository for all its tags).
pub(super) fn refused(file: &str, syntax: &[(String, Span)], allowed: &[String]) -> Vec<Diagnostic> {
    let refuse = |frontend: &str| {
        let Ok(named) = Reference::parse(frontend) else { return true };
        let is_allowed = allowed.iter().filter_map(|entry| Reference::parse(entry).ok()).any(|entry| {
            let all_tags = entry.tag.is_none() && entry.digest.is_none();
            entry.repository == named.repository && (all_tags || entry.version() == named.version())
        });
        named.repository.to_string() != OWN && !is_allowed
    };
    let foreign = syntax.iter().filter(|(frontend, _)| refuse(frontend));
    foreign
        .map(|(frontend, span)| {
            let shown = escape_cut(frontend, 120);
            Diagnostic::error(file, *span, format!("`# syntax=` names `{shown}`, another frontend than docker/dockerfile"))
                .note(format!("builders would run it in place of their own parser; to allow it, list {shown} in syntax_frontends of hephy.yaml"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        frontends(text)
            .into_iter()
            .map(|(frontend, span)| format!("{}:{} {frontend}", span.line, span.column))
            .collect()
    }

    #[test]
    fn directives_stand_above_everything_else() {
        assert_eq!(found("# syntax=a/b:1\nFROM x"), ["1:10 a/b:1"]);
        assert_eq!(found("#!/bin/x\n#escape=`\n  #  SYNTAX =  a/b  more\nFROM x"), ["3:16 a/b"]);
        assert_eq!(found("#syntax=a\n#syntax=b\n"), ["1:9 a", "2:9 b"]);
        for none in [
            "",
            "FROM x\n# syntax=a/b",
            "\n# syntax=a/b",
            "# a comment\n# syntax=a/b",
            "# syntax=",
            "# x y=z\n# syntax=a",
        ] {
            assert!(found(none).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn a_tag_says_which_version_is_fetched() {
        let of = |tag: &str| {
            let found = Frontend::of(&[(format!("docker/dockerfile{tag}"), Span::START)]).unwrap();
            (found.minor, found.labs)
        };
        assert_eq!([of(""), of(":1"), of(":latest")], [(None, false); 3]);
        assert_eq!([of(":1.7"), of(":1.7.1"), of(":1.20")], [(Some(7), false), (Some(7), false), (Some(20), false)]);
        assert_eq!([of(":labs"), of(":1-labs"), of(":1.7-labs")], [(None, true), (None, true), (Some(7), true)]);
        assert_eq!(Frontend::of(&[]), None);
    }

    #[test]
    fn other_frontends_are_refused_unless_they_are_allowed() {
        let count = |frontend: &str, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|text| (*text).to_owned()).collect();
            refused("Dockerfile", &[(frontend.to_owned(), Span::START)], &allowed).len()
        };
        for own in ["docker/dockerfile", "docker/dockerfile:1.7-labs", "docker.io/docker/dockerfile:1@sha256:0"] {
            assert_eq!(count(own, &[]), usize::from(own.contains('@')), "{own}");
        }
        for other in
            ["evil/dockerfile", "ghcr.io/docker/dockerfile:1", "docker/dockerfile-upstream", "dockerfile", "A B"]
        {
            assert_eq!(count(other, &[]), 1, "{other}");
        }
        assert_eq!(count("ghcr.io/acme/f:1", &["ghcr.io/acme/f:1"]), 0);
        assert_eq!(count("ghcr.io/acme/f:2", &["ghcr.io/acme/f:1"]), 1);
        assert_eq!(count("ghcr.io/acme/f:2", &["ghcr.io/acme/f"]), 0);
    }
}
