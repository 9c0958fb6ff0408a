use std::collections::BTreeMap;

use super::*;
use crate::change::{FileNote, FileStatus, RepoPath};
use crate::index::Said;
use crate::oci::Digest;

fn key(digit: char) -> InputKey {
    InputKey::parse(&digit.to_string().repeat(64)).unwrap()
}

fn recorded() -> Recorded {
    let platform = |text: &str| (Platform::parse(text).unwrap(), Digest::of(text.as_bytes()));
    Recorded {
        digest: Digest::of(b"index"),
        image: Some("curl".into()),
        input_key: Some(key('a')),
        built_on: BTreeMap::new(),
        revision: Some("91bd203".to_owned() + &"0".repeat(33)),
        created: None,
        version: None,
        platforms: BTreeMap::from([platform("linux/amd64"), platform("linux/arm64")]),
        bases: Said::Nothing,
        dependencies: BTreeMap::new(),
        tags: vec!["curl-latest".into()],
    }
}

fn judged(key: Option<&InputKey>, platforms: &[&str], recorded: Option<&Recorded>) -> Standing {
    let platforms: Vec<Platform> = platforms.iter().map(|it| Platform::parse(it).unwrap()).collect();
    standing(&ImageName::parse("curl").unwrap(), key, &platforms, recorded)
}

#[test]
fn the_rows_of_section_6() {
    let published = recorded();
    let both = ["linux/amd64", "linux/arm64"];
    assert_eq!(judged(Some(&key('a')), &both, Some(&published)), Standing::Equal);
    assert_eq!(judged(Some(&key('a')), &both[..1], Some(&published)), Standing::Equal, "a platform more is none less");
    assert_eq!(
        judged(Some(&key('b')), &both, Some(&published)),
        Standing::Differs { was: key('a'), revision: published.revision.clone(), lacks: None }
    );
    let more = ["linux/amd64", "linux/arm/v7"];
    assert_eq!(
        judged(Some(&key('a')), &more, Some(&published)),
        Standing::Lacks(Platform::parse("linux/arm/v7").unwrap())
    );
    assert_eq!(judged(Some(&key('a')), &both, None), Standing::Nothing);
}

#[test]
fn what_is_not_this_images_does_not_count() {
    for change in [
        |it: &mut Recorded| it.image = Some("curl\u{1b}[2J".into()),
        |it: &mut Recorded| it.image = Some("other".into()),
        |it: &mut Recorded| it.image = None,
        |it: &mut Recorded| it.input_key = None,
    ] {
        let mut published = recorded();
        change(&mut published);
        let Standing::Foreign(why) = judged(Some(&key('a')), &["linux/amd64"], Some(&published)) else {
            panic!("{published:?}")
        };
        assert!(!why.contains('\u{1b}'), "{why}");
    }
}

/// As published from this key on other images than that names.
fn on_others(digit: char) -> Recorded {
    let built_on = BTreeMap::from([("base".to_owned(), "sha256:1".to_owned())]);
    Recorded { input_key: Some(InputKey::of_others(key(digit).as_str(), &built_on)), built_on, ..recorded() }
}

#[test]
fn what_lies_on_other_images_is_known_by_its_own_input() {
    let published = on_others('b');
    let names = || vec!["base".to_owned()];
    assert_eq!(judged(Some(&key('b')), &["linux/amd64"], Some(&published)), Standing::OnOthers { names: names() });
    assert!(matches!(judged(Some(&key('c')), &["linux/amd64"], Some(&published)), Standing::Differs { .. }));
    assert!(matches!(judged(Some(&key('b')), &["linux/riscv64"], Some(&published)), Standing::Lacks(_)));
    // Whoever names others has another key.
    let mut forged = published;
    forged.built_on.insert("other".into(), "x".into());
    assert!(matches!(judged(Some(&key('b')), &["linux/amd64"], Some(&forged)), Standing::Differs { .. }));

    let standing = Standing::OnOthers { names: names() };
    let left = verdict(&standing, &Evidence::default(), &State::NoBase);
    assert_eq!(left, Verdict { reasons: Vec::new(), distance: Distance::Further }, "the same would come out");
    for (below, expected) in [(Distance::Itself, Distance::Direct), (Distance::Direct, Distance::Further)] {
        let evidence = Evidence { to_be_had: vec![("base", below)], ..Evidence::default() };
        let found = verdict(&standing, &evidence, &State::Unchanged);
        assert_eq!((texts(&found).as_str(), found.distance), ("built on base", expected));
    }
}

#[test]
fn without_a_key_only_what_lacks_is_known() {
    let published = recorded();
    assert_eq!(judged(None, &["linux/amd64"], Some(&published)), Standing::Unknown);
    assert_eq!(judged(None, &["linux/riscv64"], Some(&published)).to_owned(), {
        Standing::Lacks(Platform::parse("linux/riscv64").unwrap())
    });
    assert_eq!(judged(None, &["linux/amd64"], None), Standing::Nothing);
}

fn differs() -> Standing {
    Standing::Differs { was: key('a'), revision: recorded().revision, lacks: None }
}

fn texts(verdict: &Verdict) -> String {
    verdict.reasons.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_difference_is_told_as_exactly_as_it_is_known() {
    let file = FileNote {
        status: FileStatus::Modified,
        path: RepoPath::new("curl/Dockerfile"),
        old: None,
        new: None,
        why: None,
        rule: None,
        file: None,
        line: None,
        list: None,
    };
    let of_files = State::Changed(vec![Difference::Files(vec![file])]);
    let found = verdict(&differs(), &Evidence { state: Some(&of_files), ..Evidence::default() }, &State::Unchanged);
    assert_eq!((texts(&found).as_str(), found.distance), ("curl/Dockerfile changed", Distance::Itself));

    let dependency = Difference::Dependency { name: "base".into(), old: Some(key('1')), new: Some(key('2')) };
    let of_base = State::Changed(vec![dependency]);
    for (direct, distance) in [(true, Distance::Direct), (false, Distance::Further)] {
        let evidence = Evidence { state: Some(&of_base), direct, ..Evidence::default() };
        let found = verdict(&differs(), &evidence, &State::Unchanged);
        assert_eq!((texts(&found).as_str(), found.distance), ("built on base", distance));
        // What was published in part only waits for no change to travel so far.
        let lacks = Platform::parse("linux/arm64").ok();
        let in_part = Standing::Differs { was: key('a'), revision: recorded().revision, lacks };
        let found = verdict(&in_part, &evidence, &State::Unchanged);
        let both = "linux/arm64 was never published; built on base";
        assert_eq!((texts(&found).as_str(), found.distance), (both, Distance::Itself));
    }

    // The commit is here, the files are the same, and what it is built on moved in another repository.
    let same = State::Unchanged;
    let moved = Evidence { state: Some(&same), upstream: Some("main is at 4f2a91c".into()), ..Evidence::default() };
    let found = verdict(&differs(), &moved, &same);
    assert_eq!((found.reasons[0].kind, found.distance), (ReasonKind::Upstream, Distance::Itself));
    let on = Evidence { state: Some(&same), built_on: vec![("base", Distance::Itself)], ..Evidence::default() };
    let found = verdict(&differs(), &on, &same);
    assert_eq!((texts(&found).as_str(), found.distance), ("built on base", Distance::Direct));

    // Nobody knows: then it may be the image itself.
    let unknown = Evidence { built_on: vec![("base", Distance::Itself)], ..Evidence::default() };
    let found = verdict(&differs(), &unknown, &same);
    assert_eq!(texts(&found), "its input key differs from the one published from 91bd203");
    assert_eq!(found.distance, Distance::Itself);
}

#[test]
fn what_was_never_published_is_built() {
    let none = Evidence::default();
    let arm64 = Standing::Lacks(Platform::parse("linux/arm64").unwrap());
    for (standing, text) in [
        (Standing::Nothing, "it was never published"),
        (arm64, "linux/arm64 was never published"),
        (
            Standing::Foreign("what is published was not made by hephy".into()),
            "what is published was not made by hephy",
        ),
    ] {
        assert_eq!(texts(&verdict(&standing, &none, &State::Unchanged)), text);
    }
    assert_eq!(texts(&verdict(&Standing::Nothing, &none, &State::New)), "new image");
    assert!(verdict(&Standing::Equal, &none, &State::New).reasons.is_empty(), "somebody published it already");
}

fn tags(names: &[&str]) -> ImageTags {
    ImageTags { index: names.iter().map(|it| Tag::parse(it).unwrap()).collect(), by_arch: BTreeMap::new() }
}

fn reused(wish: Wish, here: &[&str], elsewhere: &[&str]) -> Vec<String> {
    let found = reused_tags(wish, &tags(here), &tags(elsewhere), "curl-head", &recorded());
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_base_tag_that_names_a_build_is_left_to_builds() {
    let date = ["curl-20251016", "curl-latest", "curl-v1.2.3", "curl-head"];
    let other = ["curl-19700101", "curl-latest", "curl-v1.2.3", "curl-head"];
    assert_eq!(reused(Wish::OfTheRun, &date, &other), ["curl-latest", "curl-v1.2.3"]);
    let version = ["curl-v1.2.3", "curl-latest", "curl-b7"];
    assert_eq!(reused(Wish::OfTheRun, &version, &["curl-v1.2.3", "curl-latest", "curl-b0"]), version);
}

#[test]
fn what_the_index_was_published_without_is_put_on_it_and_what_names_a_run_is_not() {
    let here = ["curl-20251016", "curl-latest", "curl-stable", "curl-4f2a91c0", "curl-head"];
    let elsewhere = ["curl-19700101", "curl-latest", "curl-stable", "curl-ffffffff", "curl-head"];
    assert_eq!(reused(Wish::Lacking, &here, &elsewhere), ["curl-stable"]);
}
