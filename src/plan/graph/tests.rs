//! What is an edge, for whom, and what is said of what is none.

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

fn node<'a>(image: &'a Image, spans: &'a Spans, expands_sources: bool) -> Node<'a> {
    Node {
        name: &image.name,
        dir: image.name.as_str(),
        config_file: "build-config.yaml",
        spans,
        depends_on: &image.depends_on,
        additional_tags: &image.additional,
        dockerfile: Some(("Dockerfile", &image.dockerfile)),
        target: None,
        build_args: BTreeMap::new(),
        expands_sources,
        platforms: &[],
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
            build_args: build_args.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            platforms: &platforms,
            ..node(image, &spans, expands_sources)
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
    let later = ["2: `X` has no value here; its value in build_args is known when the image is built; give it one \
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
    let images =
        [image("a", "ARG ECR_REGISTRY\nARG B_TAG\nFROM $ECR_REGISTRY:$B_TAG", &[]), image("b", "FROM scratch", &["a"])];
    let edges: Vec<Vec<usize>> = uses(&images, Layout::Single).iter().map(targets).collect();
    assert_eq!(order(&edges), Err(vec![0, 1]));
    assert_eq!(order(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
}

fn platforms(names: &[&str]) -> Vec<Platform> {
    names.iter().map(|name| Platform::from_arch(name).unwrap()).collect()
}

/// The edges of the last image, each as the image that is built on and the architectures; the images are all for amd64
/// and arm64, unless they are named otherwise.
fn per_platform(images: &[Image], only_amd64: &[&str], target: Option<&str>) -> Vec<(String, Vec<String>)> {
    let spans = Spans::default();
    let (both, amd64) = (platforms(&["amd64", "arm64"]), platforms(&["amd64"]));
    let nodes: Vec<Node<'_>> = images
        .iter()
        .map(|image| Node {
            platforms: if only_amd64.contains(&image.name.as_str()) { &amd64 } else { &both },
            target,
            ..node(image, &spans, true)
        })
        .collect();
    let found = Names::new(&nodes, Some("reg.example/acme"), Layout::Single).uses_of(&nodes[nodes.len() - 1]);
    assert_eq!(found.problems, []);
    let arches = |edge: &Edge| edge.platforms.iter().map(Platform::arch).collect();
    found.edges.iter().map(|edge| (images[edge.to].name.to_string(), arches(edge))).collect()
}

fn expect_edges(text: &str, target: Option<&str>, expected: &[(&str, &[&str])]) {
    let images = [image("one", "FROM scratch", &[]), image("two", "FROM scratch", &[]), image("app", text, &[])];
    let found = per_platform(&images, &[], target);
    let found: Vec<(&str, Vec<&str>)> =
        found.iter().map(|(name, arches)| (name.as_str(), arches.iter().map(String::as_str).collect())).collect();
    let expected: Vec<(&str, Vec<&str>)> = expected.iter().map(|(name, arches)| (*name, arches.to_vec())).collect();
    assert_eq!(found, expected, "{text}");
}

const BOTH: &[&str] = &["amd64", "arm64"];

#[test]
fn an_image_may_be_built_on_another_one_for_one_platform_only() {
    let own = "ARG ECR_REGISTRY ONE_TAG TWO_TAG\n";
    let chosen = format!(
        "{own}FROM $ECR_REGISTRY:$ONE_TAG AS base-amd64\nFROM $ECR_REGISTRY:$TWO_TAG AS base-arm64\n\
         FROM base-${{TARGETARCH}}\n"
    );
    expect_edges(&chosen, None, &[("one", &["amd64"]), ("two", &["arm64"])]);
    // A stage that another target reaches, and one that nobody does.
    expect_edges(&chosen, Some("base-arm64"), &[("two", BOTH)]);
    expect_edges(
        &format!("{own}FROM $ECR_REGISTRY:$ONE_TAG AS idle\nFROM $ECR_REGISTRY:$TWO_TAG\n"),
        None,
        &[("two", BOTH)],
    );
    // The same image for both, by two lines of which each counts for one.
    let twice = chosen.replace("TWO_TAG AS", "ONE_TAG AS");
    expect_edges(&twice, None, &[("one", &["amd64"]), ("one", &["arm64"])]);
}

#[test]
fn variables_of_the_platform_choose_whatever_kind_of_reference_they_stand_in() {
    let by_default = "ARG PICK=reg.example/acme:one-latest\nARG BASE=${TARGETARCH:+$PICK}\nFROM ${BASE:-alpine}\n";
    expect_edges(by_default, None, &[("one", BOTH)]);
    let copied = "FROM scratch AS files-amd64\nFROM reg.example/acme:two-head AS files-arm64\nFROM scratch\n\
                  ARG TARGETARCH\nCOPY --from=files-$TARGETARCH a b\n";
    expect_edges(copied, None, &[("two", &["arm64"])]);
    let mounted = copied.replace("COPY --from=files-$TARGETARCH a b", "RUN --mount=from=files-$TARGETARCH,target=/t x");
    expect_edges(&mounted, None, &[("two", &["arm64"])]);
    let numbered = "FROM reg.example/acme:one-head\nFROM scratch\nCOPY --from=0 a b\n";
    expect_edges(numbered, None, &[("one", BOTH)]);
    // Above the first FROM it is declared for FROM alone: a stage sees its own arguments.
    let elsewhere = "ARG WHICH=two\nFROM scratch\nCOPY --from=reg.example/acme:${WHICH:-one}-head a b\n";
    expect_edges(elsewhere, None, &[("one", BOTH)]);
    expect_edges(&elsewhere.replace("FROM scratch\n", "FROM scratch\nARG WHICH\n"), None, &[("two", BOTH)]);
}

#[test]
fn depends_on_counts_for_the_platforms_that_both_images_have() {
    let images = [image("one", "FROM scratch", &[]), image("app", "FROM scratch", &["one/"])];
    assert_eq!(per_platform(&images, &["one"], None), [("one".to_owned(), vec!["amd64".to_owned()])]);
}

#[test]
fn a_cycle_names_every_line_that_makes_it_and_for_which_platform() {
    let of = |name: &str| {
        format!("FROM scratch AS s-amd64\nFROM reg.example/acme:{name}-head AS s-arm64\nFROM s-$TARGETARCH\n")
    };
    let twice = "ARG ECR_REGISTRY B_TAG\nFROM $ECR_REGISTRY:$B_TAG\nCOPY --from=reg.example/acme:b-latest /x /x\n";
    let images = [image("a", twice, &[]), image("b", &of("a"), &[])];
    let spans = Spans::default();
    let both = platforms(BOTH);
    let nodes: Vec<Node<'_>> =
        images.iter().map(|image| Node { platforms: &both, ..node(image, &spans, true) }).collect();
    let names = Names::new(&nodes, Some("reg.example/acme"), Layout::Single);
    let uses: Vec<Uses> = nodes.iter().map(|node| names.uses_of(node)).collect();
    let finding = cycle_finding(&nodes, &uses, &[0, 1]);
    assert_eq!(finding.message, "images are built on each other in a circle: a → b → a");
    assert_eq!(
        finding.notes,
        [
            "a is built on b: Dockerfile:2 uses B_TAG",
            "a is built on b: Dockerfile:3 names reg.example/acme:b-latest",
            "b is built on a: Dockerfile:2 names reg.example/acme:a-head, linux/arm64 only",
        ]
    );
}
