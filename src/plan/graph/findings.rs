//! What is said of a reference that cannot be resolved, and of images in a circle.

use std::borrow::Borrow;

use super::names::Names;
use super::{Edge, Node, Uses, only_for};
use crate::config::Layout;
use crate::diagnostic::{Diagnostic, Span, escape_cut, nearest};
use crate::dockerfile::{Arg, Dockerfile, Use, UseKind};
use crate::plan::DependencyVia;

/// What is wrong with one reference.
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
    pub(super) notes: Vec<String>,
}

impl Problem {
    pub(super) fn new(message: String) -> Self {
        Self { message, suggestion: None, notes: Vec::new() }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl Names<'_> {
    /// Says of a reference that is empty or illegal without `variable`'s value how to give it one.
    pub(super) fn without_value(
        &self,
        node: &Node<'_>,
        dockerfile: &Dockerfile,
        used: &Use<'_>,
        variable: &str,
    ) -> Problem {
        let name = escape_cut(variable, 80);
        let problem = Problem::new(format!("`{name}` has no value here"));
        if node.build_args.contains_key(variable) {
            return problem
                .note("its value in build_args is known when the image is built; give it one without variables");
        }
        if !declared(dockerfile, used, variable) {
            return problem.note(match used.image.kind {
                UseKind::From => format!("declare it above the first FROM: ARG {name}"),
                _ => format!("declare it in this stage, above this line: ARG {name}"),
            });
        }
        if let Some(of) = self.by_variable.get(variable).and_then(|found| found.first()) {
            let of = self.nodes[*of].name;
            let path = match self.layout {
                Layout::Single => String::new(),
                Layout::PerImage => format!("/{}", of.as_str().to_lowercase()),
            };
            return Problem::new(format!("`{name}` is the tag of {of}, and this is not where {of} lies"))
                .note(format!("write ${{ECR_REGISTRY}}{path}:${{{name}}}, or give the ARG a default"));
        }
        if !variable.ends_with("_TAG") {
            return problem.note("give the ARG a default, or set it in build_args");
        }
        let mut problem = Problem::new(format!("`{name}` names no image of this repository"));
        let near = nearest(variable, self.by_variable.keys().map(String::as_str));
        problem.suggestion = near.map(|near| format!("did you mean `{near}`?"));
        problem.note("or give the ARG a default")
    }
}

/// Whether an argument is declared where the reference sees it.
fn declared(dockerfile: &Dockerfile, used: &Use<'_>, variable: &str) -> bool {
    let declares = |args: &[Arg]| args.iter().any(|arg| arg.name == variable);
    match used.image.kind {
        UseKind::From => declares(&dockerfile.global_args),
        _ => dockerfile.stages.get(used.stage).is_some_and(|stage| declares(&stage.args)),
    }
}

/// The finding for a cycle: one line an edge.
#[must_use]
pub fn cycle_finding(nodes: &[Node<'_>], uses: &[impl Borrow<Uses>], cycle: &[usize]) -> Diagnostic {
    let first = &nodes[cycle[0]];
    let names: Vec<String> = cycle.iter().chain(cycle.first()).map(|index| nodes[*index].name.to_string()).collect();
    let mut finding = Diagnostic::error(
        first.config_file,
        Span::START,
        format!("images are built on each other in a circle: {}", names.join(" → ")),
    );
    for (at, index) in cycle.iter().enumerate() {
        let next = cycle[(at + 1) % cycle.len()];
        let node = &nodes[*index];
        for edge in uses[*index].borrow().edges.iter().filter(|edge| edge.to == next) {
            let place = place(node, &nodes[next], edge);
            finding = finding.note(format!("{} is built on {}: {place}", node.name, nodes[next].name));
        }
    }
    finding
}

/// The line that makes an edge, and the platforms for which it does where these are not all.
fn place(node: &Node<'_>, next: &Node<'_>, edge: &Edge) -> String {
    let dockerfile = node.dockerfile.map_or(node.dir, |(file, _)| file);
    let only = only_for(&edge.via, &edge.platforms, node.platforms);
    match &edge.via {
        DependencyVia::Variable { name, line } => format!("{dockerfile}:{line} uses {name}{only}"),
        DependencyVia::Reference { text, line } => format!("{dockerfile}:{line} names {text}{only}"),
        DependencyVia::DependsOn => {
            let names = |dir: &String| dir.trim_end_matches('/') == next.dir;
            let at = node.depends_on.iter().position(names).unwrap_or_default();
            let line = node.spans.of(&format!("depends_on[{at}]")).line;
            format!("{}:{line} depends_on {}", node.config_file, next.dir)
        }
    }
}
