//! The graph of images (specification §7): which image is built on which other one, and because of which line.
//!
//! An edge comes from `ARG X_TAG` used as the tag of an image in the repository's own registry, from a reference
//! that names such an image outright, or from `depends_on`. A reference that pins a date, a version or a digest
//! is none: it means that very image, whatever this repository holds now.

mod findings;
mod names;
mod order;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Spans;
use crate::diagnostic::{Diagnostic, Span};
use crate::dockerfile::Dockerfile;
use crate::oci::{ImageName, Platform};
use crate::plan::DependencyVia;

pub use findings::cycle_finding;
pub use names::Names;
pub use order::{order, waves};

/// Build arguments that carry the registry.
pub const REGISTRY_VARIABLES: [&str; 2] = ["ECR_REGISTRY", "HEPHY_REGISTRY"];

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
    /// Build arguments as written; values with `${` are known when it is built.
    pub build_args: BTreeMap<String, String>,
    /// Whether its builder expands variables in `COPY --from` and `RUN --mount=from`.
    pub expands_sources: bool,
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
    /// Stages of the Dockerfile that are built, for any wanted platform.
    pub stages: BTreeSet<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layout;

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
        uses_by(images, layout, true, &[])
    }

    fn uses_by(images: &[Image], layout: Layout, expands_sources: bool, build_args: &[(&str, &str)]) -> Vec<Uses> {
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
                build_args: build_args.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
                expands_sources,
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
                "FROM scratch\nARG ECR_REGISTRY\nARG CURL_TAG\nCOPY --from=${ECR_REGISTRY}:${CURL_TAG} /a /a",
                Layout::Single,
                1,
            ),
            (
                "FROM scratch\nARG ECR_REGISTRY\nARG CURL_TAG\nRUN --mount=type=bind,from=${ECR_REGISTRY}:${CURL_TAG} x",
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

    /// The bases of an image, or what is said of it.
    fn bases(text: &str, expands_sources: bool, build_args: &[(&str, &str)]) -> Vec<String> {
        let images = [image("curl", "FROM scratch", &[]), image("app", text, &[])];
        let found = uses_by(&images, Layout::Single, expands_sources, build_args);
        let problems = found[1]
            .problems
            .iter()
            .map(|finding| format!("{}: {}; {}", finding.span.line, finding.message, finding.notes.join("; ")));
        found[1].bases.iter().map(|base| base.reference.clone()).chain(problems).collect()
    }

    #[test]
    fn arguments_without_a_value_are_empty_where_a_reference_is_left() {
        for (text, expected) in [
            ("ARG X\nFROM a${X}", "a"),
            ("FROM a\nARG V=1\nFROM b:${V:-2}", "b:2"),
            ("ARG ECR_REGISTRY\nFROM ${ECR_REGISTRY%/*}/more", "reg.example/more"),
            ("ARG X\nFROM ${X}", "2: `X` has no value here; give the ARG a default, or set it in build_args"),
            ("ARG X=${Y}\nFROM a:$X", "2: `Y` has no value here; declare it above the first FROM: ARG Y"),
            ("FROM scratch\nARG X\nFROM a:$X", "3: `X` has no value here; declare it above the first FROM: ARG X"),
            ("FROM \"\"", "1: the reference is empty; "),
            ("ARG X=\nFROM $X", "2: the reference is empty; "),
            ("FROM ${X:?is-needed}", "1: X: is-needed; "),
            ("ARG X=${Y:?none}\nFROM a", "1: Y: none; "),
            (
                "ARG ECR_REGISTRY\nARG CURL_TAG\nFROM ${ECR_REGISTRY}:slim-${CURL_TAG}",
                "3: `CURL_TAG` is the tag of curl, and this is not where curl lies; write ${ECR_REGISTRY}:${CURL_TAG}, \
                 or give the ARG a default",
            ),
        ] {
            assert_eq!(bases(text, true, &[]), [expected], "{text}");
        }
        let later =
            ["2: `X` has no value here; its value in build_args is known when the image is built; give it one \
                      without variables"];
        assert_eq!(bases("ARG X\nFROM $X", true, &[("X", "${CHANNEL}")]), later);
        assert_eq!(bases("ARG X\nFROM $X", true, &[("X", "b")]), ["b"]);
        assert_eq!(
            bases("ARG ECR_REGISTRY\nFROM $ECR_REGISTRY/x", true, &[("ECR_REGISTRY", "c.example")]),
            ["c.example/x"]
        );
    }

    #[test]
    fn a_default_may_insist_on_a_tag_that_is_supplied() {
        let text = "ARG ECR_REGISTRY\nARG CURL_TAG\nARG BASE=${ECR_REGISTRY:?}:${CURL_TAG:?}\nFROM ${BASE}";
        let found = uses(&[image("curl", "FROM scratch", &[]), image("app", text, &[])], Layout::Single);
        assert_eq!((targets(&found[1]), found[1].problems.len()), (vec![0], 0));
    }

    #[test]
    fn variables_in_from_of_a_stage_need_a_builder_that_takes_them_or_mean_an_own_image() {
        let text = "FROM scratch\nARG V=1\nCOPY --from=b:$V a b";
        assert_eq!(bases(text, true, &[]), ["b:1"]);
        let refusal = "3: the builder takes no variables in `from=`; name it in a stage of its own, `FROM b:$V AS source`, \
                       or build with buildah";
        assert_eq!(bases(text, false, &[]), [refusal]);
        assert_eq!(bases("FROM scratch\nRUN --mount=from=b:1,target=/t x", false, &[]), ["b:1"]);
        let stage = "FROM a AS s1\nFROM scratch\nARG V=1\nCOPY --from=s$V a b";
        assert_eq!(bases(stage, true, &[]), ["a"]);
        assert_eq!(bases(stage, false, &[])[1..], [refusal.replace("3:", "4:").replace("b:$V", "s$V")]);
        // The build stage replaces what names an own image.
        let own = "FROM scratch\nARG ECR_REGISTRY CURL_TAG\nCOPY --from=${ECR_REGISTRY}:${CURL_TAG} a b";
        let found = uses_by(&[image("curl", "FROM scratch", &[]), image("app", own, &[])], Layout::Single, false, &[]);
        let via = DependencyVia::Reference { text: "${ECR_REGISTRY}:${CURL_TAG}".into(), line: 3 };
        assert_eq!((found[1].edges[0].via.clone(), found[1].problems.len()), (via, 0));
        let undeclared = "ARG ECR_REGISTRY CURL_TAG\nFROM scratch\nCOPY --from=${ECR_REGISTRY}:${CURL_TAG} a b";
        let note = "declare it in this stage, above this line: ARG ECR_REGISTRY";
        assert_eq!(bases(undeclared, true, &[]), [format!("3: `ECR_REGISTRY` has no value here; {note}")]);
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
