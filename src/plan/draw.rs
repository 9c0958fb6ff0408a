//! The graph of images for people: indented text, Graphviz, Mermaid, JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::DependencyVia;
use super::graph::only_for;
use crate::diagnostic::escape;
use crate::oci::Platform;

/// One image and what it is built on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrawnImage {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: String,
    /// Its Dockerfile, where it has one in this repository.
    pub dockerfile: Option<String>,
    /// Its platforms.
    pub platforms: Vec<Platform>,
    /// Length of the longest path below it.
    pub wave: u32,
    /// What it is built on.
    pub built_on: Vec<DrawnEdge>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrawnEdge {
    /// Name of the image that is built on.
    pub name: String,
    /// Index of that image.
    #[serde(skip)]
    pub to: usize,
    /// How it is referred to.
    pub via: DependencyVia,
    /// The platforms that are built on it.
    pub platforms: Vec<Platform>,
}

impl DrawnImage {
    fn label(&self, edge: &DrawnEdge) -> String {
        let file = self.dockerfile.as_deref().unwrap_or(&self.dir);
        let only = only_for(&edge.via, &edge.platforms, &self.platforms);
        match &edge.via {
            DependencyVia::Variable { name, line } => format!("ARG {name}, {}:{line}{only}", escape(file)),
            DependencyVia::Reference { text, line } => format!("{}, {}:{line}{only}", escape(text), escape(file)),
            DependencyVia::DependsOn => "depends_on".to_owned(),
        }
    }
}

/// Every image below those that it is built on; one that is built on several stands below each, and is unfolded
/// once.
#[must_use]
pub fn text(images: &[DrawnImage]) -> String {
    let mut out = String::new();
    let mut unfolded = BTreeSet::new();
    for (index, image) in images.iter().enumerate() {
        if image.built_on.is_empty() {
            let _ = writeln!(out, "{}", image.name);
            unfold(images, index, "", &mut unfolded, &mut out);
        }
    }
    out
}

fn unfold(images: &[DrawnImage], index: usize, lead: &str, unfolded: &mut BTreeSet<usize>, out: &mut String) {
    // The stack holds what is left to draw, so that a long chain of images needs no deep recursion.
    let mut stack: Vec<(usize, String, String)> = Vec::new();
    let push = |stack: &mut Vec<(usize, String, String)>, index: usize, lead: &str| {
        let below: Vec<(usize, String)> = dependents(images, index);
        for (at, (child, label)) in below.iter().enumerate().rev() {
            let last = at + 1 == below.len();
            let line = format!("{lead}{} {}   {label}", if last { "└─" } else { "├─" }, images[*child].name);
            stack.push((*child, line, format!("{lead}{}  ", if last { " " } else { "│" })));
        }
    };
    push(&mut stack, index, lead);
    while let Some((child, line, lead)) = stack.pop() {
        let again = !unfolded.insert(child) && !dependents(images, child).is_empty();
        let _ = writeln!(out, "{line}{}", if again { "   (above)" } else { "" });
        if !again {
            push(&mut stack, child, &lead);
        }
    }
}

fn dependents(images: &[DrawnImage], index: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (child, image) in images.iter().enumerate() {
        let labels: Vec<String> =
            image.built_on.iter().filter(|edge| edge.to == index).map(|edge| image.label(edge)).collect();
        if !labels.is_empty() {
            found.push((child, labels.join("; ")));
        }
    }
    found
}

/// Graphviz.
#[must_use]
pub fn dot(images: &[DrawnImage]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = "digraph images {\n  rankdir = LR;\n  node [shape = box];\n".to_owned();
    for image in images {
        let _ = writeln!(out, "  {};", quote(&image.name));
        for edge in &image.built_on {
            let label = quote(&image.label(edge));
            let _ = writeln!(out, "  {} -> {} [label = {label}];", quote(&edge.name), quote(&image.name));
        }
    }
    out + "}\n"
}

/// Mermaid, as GitLab and GitHub draw it in Markdown.
#[must_use]
pub fn mermaid(images: &[DrawnImage]) -> String {
    let quote = |text: &str| {
        let escaped = text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
        format!("\"{escaped}\"")
    };
    let mut out = "flowchart LR\n".to_owned();
    for (index, image) in images.iter().enumerate() {
        let _ = writeln!(out, "  i{index}[{}]", quote(&image.name));
        for edge in &image.built_on {
            let _ = writeln!(out, "  i{} -->|{}| i{index}", edge.to, quote(&image.label(edge)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Vec<DrawnImage> {
        let image = |name: &str, wave, built_on: &[(usize, &str)]| DrawnImage {
            name: name.into(),
            dir: name.into(),
            dockerfile: Some(format!("{name}/Dockerfile")),
            platforms: vec![Platform::linux_amd64()],
            wave,
            built_on: built_on
                .iter()
                .map(|(to, on)| DrawnEdge {
                    name: (*on).into(),
                    to: *to,
                    via: DependencyVia::Variable { name: format!("{}_TAG", on.to_uppercase()), line: 3 },
                    platforms: vec![Platform::linux_amd64()],
                })
                .collect(),
        };
        vec![
            image("base", 0, &[]),
            image("left", 1, &[(0, "base")]),
            image("right", 1, &[(0, "base")]),
            image("top", 2, &[(1, "left"), (2, "right")]),
            image("alone", 0, &[]),
        ]
    }

    #[test]
    fn text_puts_images_below_what_they_are_built_on() {
        assert_eq!(
            text(&images()),
            "base\n\
             ├─ left   ARG BASE_TAG, left/Dockerfile:3\n\
             │  └─ top   ARG LEFT_TAG, top/Dockerfile:3\n\
             └─ right   ARG BASE_TAG, right/Dockerfile:3\n\
             \x20  └─ top   ARG RIGHT_TAG, top/Dockerfile:3\n\
             alone\n"
        );
    }

    #[test]
    fn dot_and_mermaid_have_an_edge_a_dependency() {
        assert_eq!(dot(&images()).matches(" -> ").count(), 4);
        assert!(dot(&images()).contains("\"base\" -> \"left\" [label = \"ARG BASE_TAG, left/Dockerfile:3\"];"));
        assert_eq!(mermaid(&images()).matches(" -->|").count(), 4);
    }
}
