//! What one image's Dockerfile and configuration refer to.

use std::collections::BTreeMap;

use super::findings::Problem;
use super::names::{Names, REGISTRY_MARK, TAG_MARK};
use super::{Edge, ExternalBase, Node, REGISTRY_VARIABLES, Uses};
use crate::diagnostic::{Diagnostic, nearest};
use crate::dockerfile::{Dockerfile, ImageUse, Scope};
use crate::oci::Platform;
use crate::plan::DependencyVia;

impl Names<'_> {
    /// Everything that the node's Dockerfile and configuration refer to.
    #[must_use]
    pub fn uses_of(&self, node: &Node<'_>) -> Uses {
        let mut uses = Uses::default();
        if let Some((file, dockerfile)) = node.dockerfile {
            if names_a_platform(dockerfile) {
                for platform in node.platforms {
                    self.collect(node, (file, dockerfile), std::slice::from_ref(platform), &mut uses);
                }
            } else {
                self.collect(node, (file, dockerfile), node.platforms, &mut uses);
            }
        }
        for (at, dir) in node.depends_on.iter().enumerate() {
            match self.by_dir.get(dir.trim_end_matches('/')) {
                Some(to) => {
                    push_once(&mut uses.edges, Edge { to: *to, via: DependencyVia::DependsOn, place: None });
                }
                None => {
                    let span = node.spans.of(&format!("depends_on[{at}]"));
                    let mut finding =
                        Diagnostic::error(node.config_file, span, format!("`{dir}` is not an image directory"));
                    if let Some(near) = nearest(dir, self.by_dir.keys().copied()) {
                        finding = finding.suggest(format!("did you mean `{near}`?"));
                    }
                    uses.problems.push(finding);
                }
            }
        }
        uses
    }

    /// Adds what the Dockerfile refers to when it is built for `platforms`, to all of which it means the same.
    fn collect(
        &self,
        node: &Node<'_>,
        (file, dockerfile): (&str, &Dockerfile),
        platforms: &[Platform],
        uses: &mut Uses,
    ) {
        let Some(platform) = platforms.first() else { return };
        let (plain, marked) = if texts(dockerfile).any(|text| text.contains('$')) {
            self.scopes(node, dockerfile, Some(platform).filter(|_| names_a_platform(dockerfile)))
        } else {
            (Scope::default(), Scope::default())
        };
        let underlying = dockerfile.underlying(node.target, &plain);
        for image in dockerfile.external_uses(node.target, &plain) {
            match self.classify(dockerfile, image, &plain, &marked) {
                Ok(Found::Image(edge)) => push_once(&mut uses.edges, edge),
                Ok(Found::Base(reference)) => {
                    let base = ExternalBase {
                        reference,
                        platform: image.platform.clone(),
                        line: image.span.line,
                        wanted_for: platforms.to_vec(),
                        underlying: underlying.is_some_and(|underlying| std::ptr::eq(underlying, image)),
                    };
                    push_base(&mut uses.bases, base);
                }
                Err(problem) => {
                    let mut finding = Diagnostic::error(file, image.span, problem.message);
                    finding.suggestion = problem.suggestion;
                    finding.notes = problem.notes;
                    finding.source_line = Some(source_line(dockerfile, image));
                    if !uses.problems.contains(&finding) {
                        uses.problems.push(finding);
                    }
                }
            }
        }
    }

    /// Variables that a use may name: what the image passes, the platform (where it matters), and the registry; and
    /// the same with marks for the tags of images.
    fn scopes(&self, node: &Node<'_>, dockerfile: &Dockerfile, platform: Option<&Platform>) -> (Scope, Scope) {
        let mut passed = node.build_args.clone();
        for name in dockerfile.declared_args().filter(|name| REGISTRY_VARIABLES.contains(name)) {
            passed.insert(name.to_owned(), REGISTRY_MARK.to_owned());
        }
        if let Some(platform) = platform {
            // Native runners build: the build platform is the wanted one.
            for side in ["TARGET", "BUILD"] {
                passed.insert(format!("{side}PLATFORM"), platform.to_string());
                passed.insert(format!("{side}OS"), platform.os().to_owned());
                passed.insert(format!("{side}ARCH"), platform.architecture().to_owned());
                passed.insert(format!("{side}VARIANT"), platform.variant().unwrap_or_default().to_owned());
            }
        }
        let plain = scope(dockerfile, &passed);
        let marks = |name: &&str| self.by_variable.contains_key(*name) && !passed.contains_key(*name);
        let marks: Vec<&str> = dockerfile.declared_args().filter(marks).collect();
        if marks.is_empty() {
            return (plain.clone(), plain);
        }
        passed.extend(marks.into_iter().map(|name| (name.to_owned(), format!("{TAG_MARK}{name}\u{0}"))));
        let marked = scope(dockerfile, &passed);
        (plain, marked)
    }

    fn classify(
        &self,
        dockerfile: &Dockerfile,
        image: &ImageUse,
        plain: &Scope,
        marked: &Scope,
    ) -> Result<Found, Problem> {
        if let Some(variable) = marked.expand(&image.text).as_deref().and_then(|text| self.tag_variable_of(text)) {
            let to = self.by_variable(&variable)?;
            let via = DependencyVia::Variable { name: variable, line: image.span.line };
            return Ok(Found::Image(Edge { to, via, place: None }));
        }
        let Some(text) = plain.expand(&image.text) else { return Err(self.unexpandable(image, plain, dockerfile)) };
        if let Some(to) = self.named_outright(&text) {
            let via = DependencyVia::Reference { text: image.text.clone(), line: image.span.line };
            return Ok(Found::Image(Edge { to, via, place: Some((text, image.span)) }));
        }
        Ok(Found::Base(text.replace(REGISTRY_MARK, self.registry.unwrap_or("<registry>"))))
    }
}

/// What may be named anywhere in the file: global arguments, and then those of the stages.
fn scope(dockerfile: &Dockerfile, passed: &BTreeMap<String, String>) -> Scope {
    let mut scope = dockerfile.scope(passed);
    for arg in dockerfile.stages.iter().flat_map(|stage| &stage.args) {
        if let Some(value) = passed.get(&arg.name).or(arg.default.as_ref()) {
            scope.0.entry(arg.name.clone()).or_insert_with(|| value.clone());
        }
    }
    scope
}

enum Found {
    Image(Edge),
    Base(String),
}

fn push_once(edges: &mut Vec<Edge>, edge: Edge) {
    if !edges.iter().any(|known| known.to == edge.to && known.via == edge.via) {
        edges.push(edge);
    }
}

fn push_base(bases: &mut Vec<ExternalBase>, base: ExternalBase) {
    let known = bases.iter_mut().find(|known| known.reference == base.reference && known.platform == base.platform);
    let Some(known) = known else { return bases.push(base) };
    known.underlying |= base.underlying;
    for platform in base.wanted_for {
        if !known.wanted_for.contains(&platform) {
            known.wanted_for.push(platform);
        }
    }
}

/// Every text that variables of a reference may stand in.
fn texts(dockerfile: &Dockerfile) -> impl Iterator<Item = &str> {
    let stages = &dockerfile.stages;
    let named = stages.iter().flat_map(|stage| std::iter::once(&stage.from).chain(&stage.uses));
    let args = dockerfile.global_args.iter().chain(stages.iter().flat_map(|stage| &stage.args));
    named.map(|image| image.text.as_str()).chain(args.filter_map(|arg| arg.default.as_deref()))
}

/// Whether a reference may mean another image for another platform: only then one of the platform's variables,
/// `TARGETARCH` and its like, stands in a text that is expanded.
fn names_a_platform(dockerfile: &Dockerfile) -> bool {
    texts(dockerfile).any(|text| text.contains("TARGET") || text.contains("BUILD"))
}

fn source_line(dockerfile: &Dockerfile, image: &ImageUse) -> String {
    let place = dockerfile.instructions.iter().find(|place| (place.line..=place.end_line).contains(&image.span.line));
    place.and_then(|place| place.text.lines().nth(image.span.line - place.line)).unwrap_or_default().to_owned()
}
