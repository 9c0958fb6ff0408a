//! What one image's Dockerfile and configuration refer to.

use super::findings::Problem;
use super::names::{Names, REGISTRY_MARK, TAG_MARK};
use super::{Edge, ExternalBase, Node, REGISTRY_VARIABLES, Uses};
use crate::diagnostic::{Diagnostic, Span, escape_cut, nearest};
use crate::dockerfile::{Arguments, Dockerfile, Expanded, ImageUse, Meaning, Refusal, Stage, Use, UseKind};
use crate::oci::{Platform, Reference};
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
                Some(images) => images.iter().for_each(|to| {
                    let there = self.nodes[*to].platforms;
                    let platforms =
                        node.platforms.iter().filter(|platform| there.contains(platform)).cloned().collect();
                    push_once(&mut uses.edges, Edge { to: *to, via: DependencyVia::DependsOn, place: None, platforms });
                }),
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
        let (plain, marked) = self.arguments(node, dockerfile, Some(platform).filter(|_| names_a_platform(dockerfile)));
        let marked = match marked.map(|marked| dockerfile.references(&marked)).transpose() {
            Ok(marked) => marked,
            Err((line, refusal)) => {
                return push_problem(&mut uses.problems, of_argument(file, dockerfile, line, refusal));
            }
        };
        // Only the tag of an image may be what a default asks for.
        let plain = match (dockerfile.references(&plain), &marked) {
            (Ok(plain), _) => plain,
            (Err(_), Some(marked)) => marked.clone(),
            (Err((line, refusal)), None) => {
                return push_problem(&mut uses.problems, of_argument(file, dockerfile, line, refusal));
            }
        };
        let underlying = dockerfile.underlying(node.target, &plain);
        for used in dockerfile.uses(node.target, &plain) {
            uses.stages.insert(used.stage);
            let image = used.image;
            let said = marked.as_ref().and_then(|marked| marked.of(&used));
            match self.classify(node, dockerfile, &used, plain.of(&used), said) {
                Ok(Found::Image(edge)) => push_once(&mut uses.edges, Edge { platforms: platforms.to_vec(), ..edge }),
                Ok(Found::Base { reference, is_own }) => {
                    uses.leans |= is_own;
                    let base = ExternalBase {
                        reference,
                        platform: image.platform.clone(),
                        line: image.span.line,
                        from_line: (image.kind == UseKind::From).then_some(image.span.line),
                        wanted_for: platforms.to_vec(),
                        underlying: underlying.is_some_and(|underlying| std::ptr::eq(underlying, image)),
                    };
                    push_base(&mut uses.bases, base);
                }
                Ok(Found::Nothing) => {}
                Err(problem) => push_problem(&mut uses.problems, of_reference(file, dockerfile, image, problem)),
            }
        }
    }

    /// Arguments that the image is built with as far as they are known: what it passes, the platform (where it
    /// matters), and the registry; and, where one could be used, the same with marks for the tags of images.
    fn arguments(
        &self,
        node: &Node<'_>,
        dockerfile: &Dockerfile,
        platform: Option<&Platform>,
    ) -> (Arguments, Option<Arguments>) {
        let mut plain = Arguments::default();
        if let Some(platform) = platform {
            plain.predefine(platform);
        }
        let literal = node.build_args.iter().filter(|(_, value)| !value.contains("${"));
        plain.passed = literal.map(|(name, value)| (name.clone(), value.clone())).collect();
        for name in REGISTRY_VARIABLES {
            plain.passed.entry(name.to_owned()).or_insert_with(|| self.registry.unwrap_or(REGISTRY_MARK).to_owned());
        }
        let marks = |name: &&str| self.by_variable.contains_key(*name) && !plain.passed.contains_key(*name);
        let marks: Vec<&str> = dockerfile.declared_args().filter(marks).collect();
        if marks.is_empty() {
            return (plain, None);
        }
        let mut marked = plain.clone();
        marked.passed.extend(marks.into_iter().map(|name| (name.to_owned(), format!("{TAG_MARK}{name}\u{0}"))));
        (plain, Some(marked))
    }

    /// `plain` and `marked` are what the reference says without and with marks for tags.
    fn classify(
        &self,
        node: &Node<'_>,
        dockerfile: &Dockerfile,
        used: &Use<'_>,
        plain: Option<&Expanded>,
        marked: Option<&Expanded>,
    ) -> Result<Found, Problem> {
        let image = used.image;
        let reference = || DependencyVia::Reference { text: image.text.clone(), line: image.span.line };
        if let Some(variable) = marked.and_then(|said| self.tag_variable_of(&said.text)) {
            let to = self.by_variable(&variable)?;
            // Most builders take no variables but in FROM: the build stage replaces the reference.
            let via = match image.kind {
                UseKind::From => DependencyVia::Variable { name: variable, line: image.span.line },
                _ => reference(),
            };
            return Ok(Found::Image(Edge { to, via, place: None, platforms: Vec::new() }));
        }
        let meaning = used.meaning.as_ref().map_err(|refusal| Problem::new(refusal.0.clone()))?;
        if let Meaning::Image(text) = meaning {
            let missed = plain.into_iter().flat_map(|said| &said.unset);
            let senseless = !is_reference(text);
            if let Some(missed) = missed.into_iter().find(|name| senseless || self.by_variable.contains_key(*name)) {
                return Err(self.without_value(node, dockerfile, used, missed));
            }
            if text.is_empty() {
                return Err(Problem::new("the reference is empty".to_owned()));
            }
            if let Some(to) = self.named_outright(text) {
                let place = Some((text.clone(), image.span));
                return Ok(Found::Image(Edge { to, via: reference(), place, platforms: Vec::new() }));
            }
        }
        let is_literal = plain.is_some_and(|said| said.text == image.text);
        if image.kind != UseKind::From && !is_literal && !node.expands_sources {
            return Err(Problem::new("the builder takes no variables in `from=`".to_owned()).note(format!(
                "name it in a stage of its own, `FROM {} AS source`, or build with buildah",
                escape_cut(&image.text, 120)
            )));
        }
        Ok(match meaning {
            Meaning::Image(text) => Found::Base {
                reference: text.replace(REGISTRY_MARK, self.registry.unwrap_or("<registry>")),
                is_own: self.strip_registry(text).is_some(),
            },
            _ => Found::Nothing,
        })
    }
}

fn is_reference(text: &str) -> bool {
    Reference::parse(&text.replace(REGISTRY_MARK, "registry.invalid/repository")).is_ok()
}

enum Found {
    Image(Edge),
    Base {
        reference: String,
        /// Whether it lies in the own registry, where images of this repository may be.
        is_own: bool,
    },
    /// A stage, or `scratch`.
    Nothing,
}

fn push_once(edges: &mut Vec<Edge>, edge: Edge) {
    let known = edges.iter_mut().find(|known| known.to == edge.to && known.via == edge.via);
    let Some(known) = known else { return edges.push(edge) };
    for platform in edge.platforms {
        if !known.platforms.contains(&platform) {
            known.platforms.push(platform);
        }
    }
}

fn push_base(bases: &mut Vec<ExternalBase>, base: ExternalBase) {
    let known = bases.iter_mut().find(|known| known.reference == base.reference && known.platform == base.platform);
    let Some(known) = known else { return bases.push(base) };
    known.underlying |= base.underlying;
    known.from_line = known.from_line.or(base.from_line);
    for platform in base.wanted_for {
        if !known.wanted_for.contains(&platform) {
            known.wanted_for.push(platform);
        }
    }
}

/// Every text that variables of a reference may stand in.
fn texts(dockerfile: &Dockerfile) -> impl Iterator<Item = &str> {
    let stages = &dockerfile.stages;
    let named = stages.iter().flat_map(Stage::images);
    let args = dockerfile.global_args.iter().chain(stages.iter().flat_map(|stage| &stage.args));
    named.map(|image| image.text.as_str()).chain(args.filter_map(|arg| arg.default.as_deref()))
}

/// Whether a reference may mean another image for another platform: only then one of the platform's variables,
/// `TARGETARCH` and its like, stands in a text that is expanded.
fn names_a_platform(dockerfile: &Dockerfile) -> bool {
    texts(dockerfile).any(|text| text.contains("TARGET") || text.contains("BUILD"))
}

fn push_problem(problems: &mut Vec<Diagnostic>, finding: Diagnostic) {
    if !problems.contains(&finding) {
        problems.push(finding);
    }
}

fn of_reference(file: &str, dockerfile: &Dockerfile, image: &ImageUse, problem: Problem) -> Diagnostic {
    let mut finding = Diagnostic::error(file, image.span, problem.message);
    finding.suggestion = problem.suggestion;
    finding.notes = problem.notes;
    finding.source_line = Some(source_line(dockerfile, image.span.line));
    finding
}

fn of_argument(file: &str, dockerfile: &Dockerfile, line: usize, refusal: Refusal) -> Diagnostic {
    let mut finding = Diagnostic::error(file, Span::new(line, 1, 1), refusal.0);
    finding.source_line = Some(source_line(dockerfile, line));
    finding
}

fn source_line(dockerfile: &Dockerfile, line: usize) -> String {
    let place = dockerfile.instructions.iter().find(|place| (place.line..=place.end_line).contains(&line));
    place.and_then(|place| dockerfile.text_of(place).lines().nth(line - place.line)).unwrap_or_default().to_owned()
}
