use std::sync::Arc;

use super::*;
use crate::config::{BackendName, RootConfig, parse_image};
use crate::plan::graph::Edge;
use crate::plan::tags::ImageTags;
use crate::plan::{DependencyVia, PlannedSource, Reason, ReasonKind};

fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// An image that is built, with a key of this digit, on the images at these indexes.
fn candidate(name: &str, digit: char, on: &[usize]) -> Candidate {
    let config = parse_image("build-config.yaml", b"use_local_context: true\n", &RootConfig::default()).value.unwrap();
    let edge = |to: &usize| Edge { to: *to, via: DependencyVia::DependsOn, place: None, platforms: Vec::new() };
    Candidate {
        name: ImageName::parse(name).unwrap(),
        dir: name.into(),
        config: Arc::new(config),
        input_key: key(digit),
        built_on: BTreeMap::new(),
        reasons: vec![Reason { kind: ReasonKind::Requested, text: "why".into() }],
        reused: None,
        tags: ImageTags::default(),
        version: None,
        args: Vec::new(),
        source: PlannedSource::Local { root: name.into() },
        backend: BackendName::Buildah,
        rerouted: None,
        edges: on.iter().map(edge).collect(),
        bases: Vec::new(),
        problems: Vec::new(),
    }
}

/// base ← mid ← top ← roof, and an image beside them. What stands in `left` is not built.
fn chain(left: &[usize]) -> Vec<Candidate> {
    let mut all = vec![
        candidate("base", '0', &[]),
        candidate("mid", '1', &[0]),
        candidate("top", '2', &[1]),
        candidate("roof", '3', &[2]),
        candidate("beside", '4', &[]),
    ];
    left.iter().for_each(|index| all[*index].reasons.clear());
    all
}

/// With what is published of the base: what was built from the key of this digit, or from nobody knows what.
fn keyed(candidates: &mut [Candidate], base: Option<char>) -> Vec<String> {
    let (name, digest) = (ImageName::parse("base").unwrap(), Digest::of(b"base"));
    let was = base.map(|digit| InputKey::parse(&key(digit)).unwrap());
    let there = BTreeMap::from([(&name, There { key: was.as_ref(), digest: &digest })]);
    key_by_what_is_there(candidates, &[4, 0, 1, 2, 3], &there)
}

fn on(what: &str, is: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(what.to_owned(), is.to_owned())])
}

#[test]
fn what_is_built_on_another_input_and_all_above_it_get_keys_of_their_own() {
    for was in [Some('9'), None] {
        let mut images = chain(&[0]);
        let warnings = keyed(&mut images, was);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("mid is built on base as it is published"), "{warnings:?}");
        let mut below = on("base", Digest::of(b"base").as_ref());
        for (index, digit) in [(1, '1'), (2, '2'), (3, '3')] {
            let image = &images[index];
            assert_eq!(image.built_on, below);
            assert_eq!(image.input_key, InputKey::of_others(&key(digit), &below).to_string());
            below = on(image.name.as_str(), &image.input_key);
        }
        assert_eq!((&images[0].input_key, &images[4].input_key), (&key('0'), &key('4')));
    }
}

#[test]
fn what_is_there_as_it_should_be_keeps_every_key() {
    let mut images = chain(&[0]);
    assert_eq!(keyed(&mut images, Some('0')), Vec::<String>::new());
    assert!(images.iter().zip('0'..).all(|(image, digit)| image.input_key == key(digit) && image.built_on.is_empty()));
}

#[test]
fn what_is_built_in_the_same_run_is_not_what_is_there() {
    let mut images = chain(&[]);
    assert_eq!(keyed(&mut images, Some('9')), Vec::<String>::new());
    // An image that was built elsewhere takes the place of what is published, once it is in the plan.
    let config = b"use_local_context: true\nmanual_build: true\nmanual_images: {amd64: 'reg.example/x:1'}\n";
    let config = parse_image("build-config.yaml", config, &RootConfig::default()).value.unwrap();
    images[0].config = Arc::new(config);
    assert!(!images[0].is_built());
    assert_eq!(keyed(&mut images, Some('9')), Vec::<String>::new());
    images[0].reasons.clear();
    assert_eq!(keyed(&mut images, Some('9')).len(), 1);
}

#[test]
fn what_is_left_alone_keeps_its_key() {
    let mut images = chain(&[0, 1, 2]);
    assert_eq!(keyed(&mut images, Some('9')), Vec::<String>::new());
    assert!(images.iter().all(|image| image.built_on.is_empty()), "mid is not built, and roof lies on top as it is");
}

#[test]
fn several_references_to_an_image_are_told_once() {
    let mut images = chain(&[0]);
    let again = images[1].edges[0].clone();
    images[1].edges.push(again);
    assert_eq!(keyed(&mut images, Some('9')).len(), 1);
}
