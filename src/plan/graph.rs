//! The graph of images (specification §7): which image is built on which other one, and because of which line.
//!
//! An edge comes from `ARG X_TAG` used as the tag of an image in the repository's own registry, from a reference
//! that names such an image outright, or from `depends_on`. A reference that pins a date, a version or a digest
//! is none: it means that very image, whatever this repository holds now.

use std::borrow::Borrow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use crate::config::{Layout, Spans};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::dockerfile::{Dockerfile, ImageUse, Part, Scope, parts};
use crate::oci::{ImageName, Platform};
use crate::plan::DependencyVia;

/// Build arguments that carry the registry.
pub const REGISTRY_VARIABLES: [&str; 2] = ["ECR_REGISTRY", "HEPHY_REGISTRY"];

/// Stands for the registry while a reference is looked at; cannot occur in a file, which has no NUL in names.
const REGISTRY_MARK: &str = "\u{0}registry";
const TAG_MARK: &str = "\u{0}tag";

/// One image as the graph sees it.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a ImageName,
    /// Its directory.
    pub dir: &'a str,
    /// Its configuration file, for findings.
    pub config_file: &'a str,
    /// Places of the configuration's fields.
    pub spans: &'a Spans,
    /// `depends_on`.
    pub depends_on: &'a [String],
    /// `additional_tags` as written: they name the image outright.
    pub additional_tags: &'a [String],
    /// Path (for findings) and content of its Dockerfile, where it has one that can be read.
    pub dockerfile: Option<(&'a str, &'a Dockerfile)>,
    /// Dockerfile stage.
    pub target: Option<&'a str>,
    /// Build arguments whose values are known without building anything.
    pub build_args: BTreeMap<String, String>,
    /// Wanted platforms: a reference may depend on them.
    pub platforms: &'a [Platform],
}

/// An image that another one is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the node that is built on.
    pub to: usize,
    /// How it is referred to.
    pub via: DependencyVia,
    /// The bytes of the reference in the Dockerfile, for an outright one.
    pub place: Option<(String, Span)>,
}

/// A base image from outside the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalBase {
    /// The reference, arguments expanded.
    pub reference: String,
    /// `FROM --platform=`, as written.
    pub platform: Option<String>,
    /// Line of the Dockerfile.
    pub line: usize,
    /// The wanted platforms that use it.
    pub wanted_for: Vec<Platform>,
    /// Whether the image itself lies on it; other bases only lend files.
    pub underlying: bool,
}

/// What one image refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Images of this repository, each once a way of referring.
    pub edges: Vec<Edge>,
    /// Images from outside.
    pub bases: Vec<ExternalBase>,
    /// References that cannot be resolved.
    pub problems: Vec<Diagnostic>,
}

/// The images by what may name them.
pub struct Names<'a> {
    registry: Option<&'a str>,
    layout: Layout,
    nodes: &'a [Node<'a>],
    by_variable: BTreeMap<String, Vec<usize>>,
    by_dir: BTreeMap<&'a str, usize>,
    /// Made when a reference names an image of the own registry outright, which few do.
    by_moving_tag: OnceCell<HashMap<String, usize>>,
}

impl<'a> Names<'a> {
    /// Collects the names of all images.
    #[must_use]
    pub fn new(nodes: &'a [Node<'a>], registry: Option<&'a str>, layout: Layout) -> Self {
        let mut names = Self {
            registry,
            layout,
            nodes,
            by_variable: BTreeMap::new(),
            by_dir: BTreeMap::new(),
            by_moving_tag: OnceCell::new(),
        };
        for (index, node) in nodes.iter().enumerate() {
            names.by_variable.entry(node.name.tag_variable()).or_default().push(index);
            names.by_dir.insert(node.dir, index);
        }
        names
    }

    fn by_moving_tag(&self) -> &HashMap<String, usize> {
        self.by_moving_tag.get_or_init(|| {
            let mut found = HashMap::new();
            for (index, node) in self.nodes.iter().enumerate() {
                let literal = node.additional_tags.iter().map(String::as_str).filter(|tag| !tag.contains('$'));
                for tag in literal.chain(["latest", "head"]) {
                    found.insert(moving(self.layout, node.name, tag), index);
                }
            }
            found
        })
    }

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

    /// The variable, when the text is the repository's own registry with a tag that is exactly one `X_TAG`.
    fn tag_variable_of(&self, text: &str) -> Option<String> {
        let own = self.strip_registry(text)?;
        let (path, tag) = own.rsplit_once(':')?;
        let variable = tag.strip_prefix(TAG_MARK)?.strip_suffix('\u{0}')?;
        let right_path = match self.layout {
            Layout::Single => path.is_empty(),
            Layout::PerImage => {
                let named = path.strip_prefix('/').unwrap_or_default();
                self.by_variable.get(variable).is_some_and(|indexes| {
                    indexes.iter().any(|index| self.nodes[*index].name.as_str().to_lowercase() == named)
                })
            }
        };
        right_path.then(|| variable.to_owned())
    }

    fn strip_registry<'t>(&self, text: &'t str) -> Option<&'t str> {
        let marked = text.strip_prefix(REGISTRY_MARK);
        let rest = marked.or_else(|| self.registry.and_then(|registry| text.strip_prefix(registry)))?;
        rest.starts_with([':', '/', '@']).then_some(rest)
    }

    fn by_variable(&self, variable: &str) -> Result<usize, Problem> {
        match self.by_variable.get(variable).map(Vec::as_slice) {
            Some([one]) => Ok(*one),
            Some([first, second, ..]) => Err(Problem::new(format!(
                "`{variable}` may mean `{}` or `{}`",
                self.nodes[*first].name, self.nodes[*second].name
            ))
            .note("image names that differ in punctuation only share this variable; rename one directory")),
            _ => Err(Problem::new(format!("`{variable}` names no image of this repository"))),
        }
    }

    fn named_outright(&self, text: &str) -> Option<usize> {
        let own = self.strip_registry(text)?;
        self.by_moving_tag().get(own).copied()
    }

    fn unexpandable(&self, image: &ImageUse, scope: &Scope, dockerfile: &Dockerfile) -> Problem {
        for part in parts(&image.text) {
            match part {
                Part::Variable { name, .. } if !scope.0.contains_key(&name) => {
                    let declared = dockerfile.declared_args().any(|arg| arg == name);
                    let problem = Problem::new(format!("`{name}` has no value here"));
                    if declared && let Some(of) = self.by_variable.get(&name).and_then(|found| found.first()) {
                        let of = self.nodes[*of].name;
                        let path = match self.layout {
                            Layout::Single => String::new(),
                            Layout::PerImage => format!("/{}", of.as_str().to_lowercase()),
                        };
                        return Problem::new(format!("`{name}` is the tag of {of}, and this is not where {of} lies"))
                            .note(format!("write ${{ECR_REGISTRY}}{path}:${{{name}}}, or give the ARG a default"));
                    }
                    return match (declared, name.strip_suffix("_TAG")) {
                        (true, Some(_)) => {
                            let mut problem = Problem::new(format!("`{name}` names no image of this repository"));
                            let near = nearest(&name, self.by_variable.keys().map(String::as_str));
                            problem.suggestion = near.map(|near| format!("did you mean `{near}`?"));
                            problem.note("or give the ARG a default")
                        }
                        (true, None) => problem.note("give the ARG a default, or set it in build_args"),
                        (false, _) => problem.note(format!("declare it above the first FROM: ARG {name}")),
                    };
                }
                Part::Unknown(form) => return Problem::new(format!("`${{{form}}}` cannot be expanded here")),
                _ => {}
            }
        }
        Problem::new("the reference cannot be expanded".to_owned())
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

struct Problem {
    message: String,
    suggestion: Option<String>,
    notes: Vec<String>,
}

impl Problem {
    fn new(message: String) -> Self {
        Self { message, suggestion: None, notes: Vec::new() }
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

fn moving(layout: Layout, name: &ImageName, tag: &str) -> String {
    match layout {
        Layout::Single => format!(":{name}-{tag}"),
        Layout::PerImage => format!("/{}:{tag}", name.as_str().to_lowercase()),
    }
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

/// The order in which images are built: an image stands after everything that it is built on; otherwise the order
/// of the nodes is kept. `edges[i]` are the nodes that `i` is built on.
///
/// # Errors
/// One cycle, as the indexes along it.
pub fn order(edges: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = vec![0; edges.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            waiting[from] += 1;
            dependents[*to].push(from);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..edges.len()).filter(|index| waiting[*index] == 0).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for dependent in &dependents[index] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                ready.insert(*dependent);
            }
        }
    }
    match (0..edges.len()).find(|index| waiting[*index] > 0) {
        None => Ok(order),
        Some(start) => Err(cycle_from(start, edges, &waiting)),
    }
}

/// Walks along unfinished dependencies until a node repeats: everything left over leads into a cycle.
fn cycle_from(start: usize, edges: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut path = vec![start];
    let mut current = start;
    while let Some(next) = edges[current].iter().copied().find(|next| waiting[*next] > 0) {
        if let Some(at) = path.iter().position(|seen| *seen == next) {
            return path.split_off(at);
        }
        path.push(next);
        current = next;
    }
    path
}

/// The length of the longest path below each node. `order` is that of [`order`].
#[must_use]
pub fn waves(edges: &[Vec<usize>], order: &[usize]) -> Vec<u32> {
    let mut waves = vec![0; edges.len()];
    for index in order {
        waves[*index] = edges[*index].iter().map(|to| waves[*to] + 1).max().unwrap_or_default();
    }
    waves
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
        let edge = uses[*index].borrow().edges.iter().find(|edge| edge.to == next);
        let place = match edge.map(|edge| &edge.via) {
            Some(DependencyVia::Variable { name, line }) => {
                format!("{}:{line} uses {name}", node.dockerfile.map_or(node.dir, |(file, _)| file))
            }
            Some(DependencyVia::Reference { text, line }) => {
                format!("{}:{line} names {text}", node.dockerfile.map_or(node.dir, |(file, _)| file))
            }
            _ => {
                let at = node.depends_on.iter().position(|dir| dir == nodes[next].dir).unwrap_or_default();
                let line = node.spans.of(&format!("depends_on[{at}]")).line;
                format!("{}:{line} depends_on {}", node.config_file, nodes[next].dir)
            }
        };
        finding = finding.note(format!("{} is built on {}: {place}", node.name, nodes[next].name));
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Image {
        name: ImageName,
        dockerfile: Dockerfile,
        depends_on: Vec<String>,
        additional: Vec<String>,
    }

    fn image(name: &str, dockerfile: &str, depends_on: &[&str]) -> Image {
        Image {
            name: ImageName::parse(name).unwrap(),
            dockerfile: Dockerfile::parse("Dockerfile", dockerfile.as_bytes()).unwrap(),
            depends_on: depends_on.iter().map(|dir| (*dir).to_owned()).collect(),
            additional: vec!["stable".into()],
        }
    }

    fn uses(images: &[Image], layout: Layout) -> Vec<Uses> {
        let spans = Spans::default();
        let platforms = [Platform::linux_amd64()];
        let nodes: Vec<Node<'_>> = images
            .iter()
            .map(|image| Node {
                name: &image.name,
                dir: image.name.as_str(),
                config_file: "build-config.yaml",
                spans: &spans,
                depends_on: &image.depends_on,
                additional_tags: &image.additional,
                dockerfile: Some(("Dockerfile", &image.dockerfile)),
                target: None,
                build_args: BTreeMap::new(),
                platforms: &platforms,
            })
            .collect();
        let names = Names::new(&nodes, Some("reg.example/acme"), layout);
        nodes.iter().map(|node| names.uses_of(node)).collect()
    }

    fn targets(uses: &Uses) -> Vec<usize> {
        uses.edges.iter().map(|edge| edge.to).collect()
    }

    #[test]
    fn arg_x_tag_in_the_own_registry_is_a_dependency() {
        let curl = || image("curl", "FROM scratch", &[]);
        for (text, layout, expected) in [
            ("ARG ECR_REGISTRY\nARG CURL_TAG\nFROM ${ECR_REGISTRY}:${CURL_TAG}", Layout::Single, 1),
            ("ARG HEPHY_REGISTRY\nARG CURL_TAG\nFROM $HEPHY_REGISTRY:$CURL_TAG", Layout::Single, 1),
            ("ARG ECR_REGISTRY\nARG CURL_TAG=x\nFROM ${ECR_REGISTRY}/curl:${CURL_TAG}", Layout::PerImage, 1),
            ("ARG CURL_TAG=x\nFROM reg.example/acme:${CURL_TAG}", Layout::Single, 1),
            (
                "ARG ECR_REGISTRY\nARG CURL_TAG\nFROM scratch\nCOPY --from=${ECR_REGISTRY}:${CURL_TAG} /a /a",
                Layout::Single,
                1,
            ),
            (
                "ARG ECR_REGISTRY\nARG CURL_TAG\nFROM scratch\nRUN --mount=type=bind,from=${ECR_REGISTRY}:${CURL_TAG} x",
                Layout::Single,
                1,
            ),
            ("ARG CURL_TAG=8\nFROM curl:${CURL_TAG}", Layout::Single, 0),
            ("ARG CURL_TAG=8\nFROM elsewhere.example/acme:${CURL_TAG}", Layout::Single, 0),
            ("ARG ECR_REGISTRY\nARG CURL_TAG=x\nFROM ${ECR_REGISTRY}/other:${CURL_TAG}", Layout::PerImage, 0),
        ] {
            let found = uses(&[curl(), image("app", text, &[])], layout);
            assert_eq!(found[1].problems, [], "{text}");
            assert_eq!(found[1].edges.len(), expected, "{text}");
            assert_eq!(found[1].bases.len(), 1 - expected, "{text}");
        }
    }

    #[test]
    fn a_moving_tag_names_an_image_outright_and_a_pinned_one_does_not() {
        let curl = || image("curl", "FROM scratch", &[]);
        for (text, expected) in [
            ("FROM reg.example/acme:curl-latest", 1),
            ("FROM reg.example/acme:curl-head", 1),
            ("FROM reg.example/acme:curl-stable", 1),
            ("ARG ECR_REGISTRY\nFROM $ECR_REGISTRY:curl-latest", 1),
            ("FROM reg.example/acme:curl-20251015", 0),
            (
                "FROM reg.example/acme:curl-latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                0,
            ),
            ("FROM reg.example/acme-more:curl-latest", 0),
        ] {
            let found = uses(&[curl(), image("app", text, &[])], Layout::Single);
            assert_eq!(found[1].edges.len(), expected, "{text}");
        }
    }

    #[test]
    fn two_images_with_the_same_variable_are_an_error_where_it_is_used() {
        let images = [
            image("a-b", "FROM scratch", &[]),
            image("a.b", "FROM scratch", &[]),
            image("app", "ARG ECR_REGISTRY\nARG A_B_TAG\nFROM $ECR_REGISTRY:$A_B_TAG", &[]),
        ];
        let found = uses(&images, Layout::Single);
        assert_eq!(found[2].problems[0].message, "`A_B_TAG` may mean `a-b` or `a.b`");
        assert_eq!(found[2].problems[0].span.line, 3);
    }

    #[test]
    fn unknown_names_are_problems_with_their_line() {
        let images = [
            image("curl", "FROM scratch", &["nowhere"]),
            image("app", "ARG ECR_REGISTRY\nARG CRUL_TAG\nFROM $ECR_REGISTRY:$CRUL_TAG", &[]),
            image("lib", "FROM $ECR_REGISTRY:$CURL_TAG", &[]),
        ];
        let found = uses(&images, Layout::Single);
        assert_eq!(found[0].problems[0].message, "`nowhere` is not an image directory");
        assert_eq!(found[1].problems[0].suggestion.as_deref(), Some("did you mean `CURL_TAG`?"));
        assert_eq!(found[2].problems[0].notes, ["declare it above the first FROM: ARG ECR_REGISTRY"]);
    }

    #[test]
    fn depends_on_is_an_edge() {
        let found = uses(&[image("a", "FROM scratch", &[]), image("b", "FROM scratch", &["a"])], Layout::Single);
        assert_eq!(targets(&found[1]), [0]);
    }

    #[test]
    fn order_and_waves_follow_the_longest_path() {
        // 3 is built on 2 and 0, 2 on 1, 1 on 0.
        let edges = vec![vec![], vec![0], vec![1], vec![2, 0]];
        let order = order(&edges).unwrap();
        assert_eq!(order, [0, 1, 2, 3]);
        assert_eq!(waves(&edges, &order), [0, 1, 2, 3]);
    }

    #[test]
    fn a_cycle_is_shown_with_the_lines_that_make_it() {
        let images = [
            image("a", "ARG ECR_REGISTRY\nARG B_TAG\nFROM $ECR_REGISTRY:$B_TAG", &[]),
            image("b", "FROM scratch", &["a"]),
        ];
        let edges: Vec<Vec<usize>> = uses(&images, Layout::Single).iter().map(targets).collect();
        assert_eq!(order(&edges), Err(vec![0, 1]));
        assert_eq!(order(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
    }
}
