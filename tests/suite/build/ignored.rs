//! What each builder copies by an ignore file, compared with what hephy says that it sees.

use std::collections::BTreeSet;

use hephy::config::BackendName;
use hephy::ignorefile::Dialect;
use hephy::result::BuildResult;

use super::{Fixture, kaniko, others};
use crate::ignorefile::seen;

const FILES: [&str; 12] =
    ["a/b/c/d", "a/b/x.md", "a/keep", "a/x.md", "b/c/d", "b/keep", "c+", "d e", "keep", "x.md", "[y]", "z/z/z"];

const IGNORE: [&str; 22] = [
    "",
    "# nothing\n\n",
    "a",
    "/a/\n",
    "*.md",
    "**/*.md",
    "**/keep\n**/d",
    "*\n!keep",
    "*\n!**/keep",
    "*\n!a/b",
    "a\n!a/keep\n!a/b/x.md",
    "a/b\n!**/x.md",
    "**/b\n!a/b/c",
    "a\n!a/b\na",
    "b/c/d\nz/z/z",
    "a/*\n!a/*.md",
    "?+\nd e",
    "\\[y\\]\n[x-z].md",
    "[^a-c]",
    "./a/../b//c/ \n\t z/**",
    "a/**/d\nb/**",
    "! keep\r\n*\r\n!a/keep\r\n",
];

/// One image for each ignore file; every file and directory of it.
fn plan(fixture: &mut Fixture) {
    for (at, ignore) in IGNORE.iter().enumerate() {
        let name = format!("i{at}");
        fixture.image(&name, "FROM scratch\nCOPY here /here/\nCOPY ctx /ctx/\n");
        fixture.plan.images.last_mut().unwrap().context = ".".into();
        let dir = format!("{name}/ctx");
        for file in FILES {
            fixture.file(&format!("{dir}/{file}"), file);
        }
        fixture.file(&format!("{name}/here"), "so that no image is empty");
        // Patterns are those of the context: each is put below `ctx`.
        fixture.file(&format!("{name}/.dockerignore"), below(ignore));
    }
}

/// The same patterns for a directory of the context.
fn below(ignore: &str) -> String {
    let line = |line: &str| {
        let (start, rest) = line.split_at(line.len() - line.trim_start().len());
        match rest.strip_prefix('!') {
            _ if rest.is_empty() || line.starts_with('#') => line.to_owned(),
            Some(rest) => format!("{start}!ctx/{}", rest.trim_start().trim_start_matches('/')),
            None => format!("{start}ctx/{}", rest.trim_start_matches('/')),
        }
    };
    ignore.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn compare(fixture: &Fixture, results: &[BuildResult], dialect: Dialect) {
    assert_eq!(results.len(), IGNORE.len());
    let files: BTreeSet<Vec<u8>> = FILES.iter().map(|file| format!("ctx/{file}").into_bytes()).collect();
    for result in results {
        let at: usize = result.image.as_str()[1..].parse().unwrap();
        let text = below(IGNORE[at]);
        let expected = seen(text.as_bytes(), dialect, &files).unwrap();
        let (mut paths, _) = fixture.contents(result);
        paths.sort();
        let clean = |path: &String| path.trim_start_matches("./").trim_start_matches('/').to_owned();
        let paths: Vec<String> =
            paths.iter().map(clean).filter(|path| path.starts_with("ctx/") && path != "ctx/").collect();
        let is_full = |dir: &str| paths.iter().any(|path| path.len() > dir.len() && path.starts_with(dir));
        let found: BTreeSet<Vec<u8>> = paths
            .iter()
            .filter(|path| !path.ends_with('/') || !is_full(path))
            .map(|path| path.clone().into_bytes())
            .collect();
        let text = |set: &BTreeSet<Vec<u8>>| {
            set.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>()
        };
        let mut expected = text(&expected);
        expected.retain(|path| path != "ctx/");
        if dialect == Dialect::Classic {
            // Both of its builders are meant: what counts holds what this one sees.
            let kit = seen(below(IGNORE[at]).as_bytes(), Dialect::BuildKit, &files).unwrap();
            let missed: Vec<String> = text(&found.difference(&kit).cloned().collect());
            assert!(missed.iter().all(|path| expected.contains(path)), "{:?}: {missed:?}", IGNORE[at]);
        } else if dialect == Dialect::Buildah && IGNORE[at].contains('+') {
            // To Buildah `+` means more than itself: hephy leaves in what it does not understand.
            assert!(text(&found).iter().all(|path| expected.contains(path)), "{:?}", IGNORE[at]);
        } else {
            assert_eq!(text(&found), expected, "{:?}", IGNORE[at]);
        }
    }
}

#[test]
fn buildkit_copies_what_hephy_says() {
    let mut fixture = others::buildkit();
    plan(&mut fixture);
    compare(&fixture, &fixture.build(), Dialect::BuildKit);
}

#[test]
fn buildah_copies_what_hephy_says() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    plan(&mut fixture);
    compare(&fixture, &fixture.build(), Dialect::Buildah);
}

#[test]
fn docker_copies_no_more_than_hephy_says() {
    let mut fixture = others::docker();
    plan(&mut fixture);
    compare(&fixture, &fixture.build(), Dialect::Classic);
}

#[test]
fn kaniko_copies_what_hephy_says() {
    let Some(executor) = kaniko::executor("build::ignored::kaniko_copies_what_hephy_says") else { return };
    let mut fixture = Fixture::new(BackendName::Kaniko);
    plan(&mut fixture);
    compare(&fixture, &kaniko::results_inside(&fixture, &executor), Dialect::Kaniko);
}
