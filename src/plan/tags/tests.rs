use super::*;

fn facts(layout: Layout) -> TagFacts {
    TagFacts {
        date: "20251015".into(),
        commit: "4f2a91c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60".into(),
        branch: Some("feature/x".into()),
        tag: None,
        run: Some("7".into()),
        layout,
        beside_default: false,
    }
}

fn tags(
    layout: Layout,
    reference: Option<&str>,
    template: Option<&str>,
    extra: &[&str],
) -> Result<ImageTags, Vec<TagProblem>> {
    tags_in(&facts(layout), None, reference, template, extra)
}

/// The same in a run of these facts, for an image of this version.
fn tags_in(
    facts: &TagFacts,
    version: Option<&str>,
    reference: Option<&str>,
    template: Option<&str>,
    extra: &[&str],
) -> Result<ImageTags, Vec<TagProblem>> {
    let version = version.map(|text| Version::of_file(text).unwrap());
    let name = ImageName::parse("curl").unwrap();
    let additional: Vec<String> = extra.iter().map(|tag| (*tag).to_owned()).collect();
    let platforms = [Platform::parse("linux/amd64").unwrap(), Platform::parse("linux/arm/v7").unwrap()];
    facts.tags_of(&TagInput {
        name: &name,
        version: version.as_ref(),
        upstream_ref: reference,
        template,
        additional: &additional,
        platforms: &platforms,
    })
}

fn shown(tags: &ImageTags) -> (Vec<&str>, Vec<&str>) {
    (tags.index.iter().map(Tag::as_str).collect(), tags.by_arch.values().map(Tag::as_str).collect())
}

#[test]
fn table_of_section_5_local_source() {
    let tags = tags(Layout::Single, None, None, &["latest", "latest", "1e3"]).unwrap();
    assert_eq!(
        shown(&tags),
        (
            vec!["curl-20251015", "curl-latest", "curl-1e3", "curl-head"],
            vec!["curl-20251015-amd64", "curl-20251015-armv7"]
        )
    );
}

#[test]
fn table_of_section_5_remote_source() {
    let tags = tags(Layout::Single, Some("release/1.x"), None, &[]).unwrap();
    assert_eq!(
        shown(&tags),
        (
            vec!["curl-20251015-release-1.x", "curl-head"],
            vec!["curl-20251015-release-1.x-amd64", "curl-20251015-release-1.x-armv7"]
        )
    );
}

#[test]
fn layout_per_image_has_no_prefix() {
    let tags = tags(Layout::PerImage, None, None, &["latest"]).unwrap();
    assert_eq!(shown(&tags), (vec!["20251015", "latest", "head"], vec!["20251015-amd64", "20251015-armv7"]));
}

#[test]
fn templates_and_variables_expand() {
    let tags =
        tags(Layout::Single, None, Some("{image}-{run}-{short_sha}"), &["${BRANCH_NAME}-b${BUILD_NUMBER}"]).unwrap();
    assert_eq!(
        shown(&tags),
        (
            vec!["curl-7-4f2a91c0", "curl-feature-x-b7", "curl-head"],
            vec!["curl-7-4f2a91c0-amd64", "curl-7-4f2a91c0-armv7"]
        )
    );
}

#[test]
fn the_ref_is_the_upstream_ref_or_what_the_run_is_of() {
    let name = ImageName::parse("curl").unwrap();
    let platforms = [Platform::parse("linux/amd64").unwrap()];
    let first = |branch: Option<&str>, tag: Option<&str>, upstream_ref: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let facts = TagFacts { branch: text(branch), tag: text(tag), ..facts(Layout::Single) };
        let template = Some("{image}-{ref}");
        let found = facts.tags_of(&TagInput {
            name: &name,
            version: None,
            upstream_ref,
            template,
            additional: &[],
            platforms: &platforms,
        });
        found.map(|tags| tags.index[0].to_string()).map_err(|problems| problems[0].message.clone())
    };
    assert_eq!(first(Some("feature/x"), None, None).unwrap(), "curl-feature-x");
    assert_eq!(first(None, Some("release/1.2"), None).unwrap(), "curl-release-1.2");
    assert_eq!(first(Some("main"), Some("v1"), Some("v8")).unwrap(), "curl-v8");
    assert!(first(None, None, None).unwrap_err().contains("of no branch or tag"));
}

#[test]
fn the_place_of_the_architecture_may_be_chosen() {
    let tags = tags(Layout::Single, None, Some("{arch}-{image}"), &[]).unwrap();
    assert_eq!(shown(&tags), (vec!["curl", "curl-head"], vec!["amd64-curl", "armv7-curl"]));
}

#[test]
fn an_index_tag_that_looks_like_an_architecture_tag_is_refused() {
    for (reference, template) in [(None, Some("{image}-amd64")), (Some("v1-arm64"), None), (None, Some("armv7"))] {
        let problems = tags(Layout::Single, reference, template, &[]).unwrap_err();
        assert_eq!((problems.len(), problems[0].field.as_str()), (1, "tag_template"));
        assert!(problems[0].message.contains("looks like the tag of one architecture"), "{problems:?}");
    }
    assert!(tags(Layout::Single, Some("v1-arm64"), Some("{image}-{ref}-x"), &[]).is_ok());
}

#[test]
fn a_tag_over_128_characters_is_an_error_and_a_repeated_one_counts_once() {
    // `curl-` and the tag; the longest architecture suffix counts too.
    assert!(tags(Layout::Single, None, None, &[&"x".repeat(123)]).is_ok());
    assert!(
        tags(Layout::Single, None, None, &[&"x".repeat(124)]).unwrap_err()[0]
            .message
            .contains("1 more than a registry")
    );
    let template = |length: usize| "x".repeat(length);
    assert!(tags(Layout::Single, None, Some(&template(122)), &[]).is_ok());
    assert_eq!(tags(Layout::Single, None, Some(&template(123)), &[]).unwrap_err()[0].field, "tag_template");
    let found = tags(Layout::Single, None, Some("{image}-latest"), &["latest", "head", "latest"]).unwrap();
    assert_eq!(shown(&found).0, ["curl-latest", "curl-head"]);
}

#[test]
fn what_is_no_tag_is_refused_with_its_field() {
    for (extra, message) in [
        ("a b", "letters, digits"),
        ("x-amd64", "looks like the tag of one architecture"),
        ("amd64", "looks like the tag of one architecture"),
        ("${NOPE}", "is not a variable of tags"),
        ("${BRANCH_NAME", "never closed"),
    ] {
        let problems = tags(Layout::Single, None, None, &["ok", extra]).unwrap_err();
        assert_eq!(problems[0].field, "additional_tags[1]");
        assert!(problems[0].message.contains(message), "{}", problems[0].message);
    }
    let long = "x".repeat(130);
    assert_eq!(tags(Layout::Single, None, Some(&long), &[]).unwrap_err()[0].field, "tag_template");
    assert_eq!(tags(Layout::Single, None, Some("{nope}"), &[]).unwrap_err()[0].field, "tag_template");
}

/// Tags of the index, or the first problem, of an image of this version.
fn index(version: Option<&str>, template: Option<&str>, extra: &[&str]) -> Result<Vec<String>, (String, String)> {
    let found = tags_in(&facts(Layout::PerImage), version, None, template, extra);
    found
        .map(|tags| tags.index.iter().map(ToString::to_string).collect())
        .map_err(|problems| (problems[0].field.clone(), problems[0].message.clone()))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn semver_stands_for_the_tags_of_a_release_and_for_nothing_outside_one() {
    for (version, tags) in [
        (Some("1.25.3"), "20251015 1.25.3 1.25 1 latest head"),
        (Some("1.26.0-rc.1"), "20251015 1.26.0-rc.1 latest head"),
        (Some("0.4.1"), "20251015 0.4.1 0.4 latest head"),
        (Some("1.28.3+k3s1"), "20251015 1.28.3 1.28 1 latest head"),
        (Some("24.04"), "20251015 latest head"),
        (None, "20251015 latest head"),
    ] {
        assert_eq!(index(version, None, &["semver", "latest"]), Ok(words(tags)), "{version:?}");
    }
    let single = tags_in(&facts(Layout::Single), Some("1.2.3"), Some("v1.2.3"), None, &["semver"]).unwrap();
    assert_eq!(shown(&single).0, ["curl-20251015-v1.2.3", "curl-1.2.3", "curl-1.2", "curl-1", "curl-head"]);
    // What a release gives is a tag like any other.
    let (field, message) = index(Some("1.2.3-arm64"), None, &["semver"]).unwrap_err();
    assert_eq!(field, "additional_tags[0]");
    assert!(message.contains("looks like the tag of one architecture"), "{message}");
}

#[test]
fn every_word_of_a_template_has_its_value() {
    for (word, value) in [
        ("{image}", "curl"),
        ("{date}", "20251015"),
        ("{ref}", "feature-x"),
        ("x{sha}", "x4f2a91c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60"),
        ("{short_sha}", "4f2a91c0"),
        ("{branch}", "feature-x"),
        ("{version}", "1.2.3_k3s1"),
        ("{major}", "1"),
        ("{minor}", "2"),
        ("v{major}.{minor}-{run}", "v1.2-7"),
        ("{run}-{arch}", "7"),
    ] {
        assert_eq!(index(Some("1.2.3+k3s1"), Some(word), &[]), Ok(words(&format!("{value} head"))), "{word}");
    }
}

#[test]
fn a_word_without_a_version_is_an_error_that_names_the_field() {
    for template in ["{version}", "{image}-{major}", "{minor}"] {
        let (field, message) = index(None, Some(template), &[]).unwrap_err();
        assert_eq!(field, "tag_template");
        assert!(message.contains("has no value: the image has no version"), "{message}");
    }
    assert!(index(Some("8"), Some("{minor}"), &[]).unwrap_err().1.contains("one number only"));
    let (field, message) = index(None, None, &["latest", "v${VERSION}"]).unwrap_err();
    assert_eq!(field, "additional_tags[1]");
    assert!(message.starts_with("`${VERSION}` has no value: the image has no version"), "{message}");
    assert_eq!(index(Some("1.2.3+x"), None, &["v${VERSION}"]), Ok(words("20251015 v1.2.3_x head")));
}

#[test]
fn a_branch_tag_is_left_out_where_there_is_no_branch() {
    let of_tag = TagFacts { branch: None, tag: Some("v1.2.3".into()), ..facts(Layout::PerImage) };
    let found = tags_in(&of_tag, Some("1.2.3"), None, None, &["${BRANCH_NAME}", "b-${BRANCH_NAME}", "semver"]).unwrap();
    assert_eq!(shown(&found).0, ["20251015", "1.2.3", "1.2", "1", "head"]);
    // The base tag cannot be left out.
    let problems = tags_in(&of_tag, None, None, Some("{branch}"), &[]).unwrap_err();
    assert_eq!(problems[0].field, "tag_template");
    assert!(problems[0].message.contains("the run is of no branch"), "{problems:?}");
}
