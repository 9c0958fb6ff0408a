//! References that name an image of this repository outright: each is pinned to what that image is in this run.
//!
//! `FROM registry.example/acme:base-latest` would otherwise mean what was published before, or nothing at all. The
//! builder gets a copy of the Dockerfile in which the reference on its line is `<repository>:<tag>@<digest>`; lines
//! keep their numbers, and the Dockerfile itself is not touched.

use std::path::Path;

use super::Job;
use super::context::{Files, make_dir};
use crate::error::{Error, Result};
use crate::plan::{DependencyVia, PlannedImage};

impl Job<'_> {
    /// The same files with a pinned Dockerfile below `work`, where anything is to be pinned.
    pub(super) fn pin_references(&self, image: &PlannedImage, mut files: Files, work: &Path) -> Result<Files> {
        let mut text = files.text.clone();
        for dependency in &image.dependencies {
            let DependencyVia::Reference { text: reference, line } = &dependency.via else { continue };
            let repository = self.plan.repository_of(self.registry, &dependency.name);
            let pinned = format!("{repository}:{}", self.tag_of(dependency)?);
            text = replaced(&text, *line, reference, &pinned);
        }
        if text == files.text {
            return Ok(files);
        }
        let dir = work.join("pinned");
        make_dir(&dir)?;
        let path = dir.join("Dockerfile");
        let failed = |error| Error::io(format!("{} could not be written", path.display()), error);
        std::fs::write(&path, &text).map_err(failed)?;
        // Builders look for it beside the Dockerfile.
        let mut ignore = files.dockerfile.clone().into_os_string();
        ignore.push(".dockerignore");
        if Path::new(&ignore).is_file() {
            std::fs::copy(&ignore, dir.join("Dockerfile.dockerignore")).map_err(failed)?;
        }
        files.dockerfile = path;
        files.text = text;
        Ok(files)
    }
}

/// The text with every whole `from` on one line replaced; lines count from 1.
fn replaced(text: &str, line: usize, from: &str, to: &str) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines.map(|(at, content)| if at + 1 == line { on_line(content, from, to) } else { content.to_owned() }).collect()
}

fn on_line(line: &str, from: &str, to: &str) -> String {
    let ends = |rest: &str| rest.chars().next().is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '"'));
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(from).filter(|_| !from.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let begins = before.chars().next_back().is_none_or(|last| last.is_whitespace() || matches!(last, '=' | '"'));
        out.push_str(before);
        out.push_str(if begins && ends(after) { to } else { from });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_reference_on_its_line_is_replaced() {
        let text = "FROM r/x:a\nFROM r/x:a AS r/x:ab\nCOPY --from=r/x:a /r/x:a /b\nRUN --mount=from=r/x:a,target=/x y\n";
        assert_eq!(replaced(text, 1, "r/x:a", "P"), text.replacen("FROM r/x:a\n", "FROM P\n", 1));
        assert_eq!(replaced(text, 2, "r/x:a", "P"), text.replacen("FROM r/x:a AS", "FROM P AS", 1));
        assert_eq!(replaced(text, 3, "r/x:a", "P"), text.replacen("--from=r/x:a", "--from=P", 1));
        assert_eq!(replaced(text, 4, "r/x:a", "P"), text.replacen("from=r/x:a,", "from=P,", 1));
        assert_eq!(replaced(text, 9, "r/x:a", "P"), text);
    }
}
