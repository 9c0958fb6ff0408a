use crate::config::{BackendName, Layout};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::oci::{ImageName, Tag};

const KEY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn image(name: &str, platforms: &[&str], on: &[&str], wave: u32) -> Value {
    let dependency = |it: &&str| json!({"name": it, "via": "depends_on", "from": "plan", "platforms": platforms});
    let dependencies: Vec<_> = on.iter().map(dependency).collect();
    json!({
        "name": name, "dir": name, "input_key": KEY, "reasons": [], "source": {"mode": "local", "root": name},
        "backend": "kaniko", "dockerfile": "Dockerfile", "context": ".", "target": null, "platforms": platforms,
        "targets": [], "tags": ["x-1", "x-latest"], "arch_tags": {}, "build_args": [], "labels": {},
        "annotations": {"a": "b", "dev.hephy.input-key": "forged", "org.opencontainers.image.revision": "forged",
                        "org.opencontainers.image.version": "1.2.3"},
        "bases": [], "dependencies": dependencies, "wave": wave, "ko": null, "manual_images": null,
        "timeout_seconds": null, "retries": null,
    })
}

fn plan(images: &[Value]) -> Plan {
    serde_json::from_value(json!({
        "version": 1, "id": "bld_x", "mode": "publish",
        "source": {"repository": "r", "commit": "c", "commit_time": "2025-10-15T08:00:00Z", "ref": "main",
                   "base": null, "event": "push"},
        "date": "20251015", "registry": null, "layout": "single", "comparison": "range", "images": images,
        "unchanged": [], "removed": [], "warnings": [],
    }))
    .unwrap()
}

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

fn child(text: &str, seed: &str) -> Child {
    let (platform, digest) = (platform(text), Digest::of(seed.as_bytes()));
    Child {
        entry: entry_for(&platform, "application/vnd.oci.image.manifest.v1+json", &digest, 7),
        platform,
        digest,
        annotations: BTreeMap::new(),
        attestations: Vec::new(),
    }
}

#[test]
fn the_same_children_in_any_order_give_the_same_bytes_in_the_plans_order() {
    let plan = plan(&[image("x", &["linux/arm64", "linux/amd64"], &[], 0)]);
    let wanted = &plan.images[0].platforms;
    let (arm, amd) = (child("linux/arm64", "a"), child("linux/amd64", "b"));
    let one = assemble(&plan, &plan.images[0], wanted, &[arm.clone(), amd.clone()], &Dependencies::new()).unwrap();
    let other = assemble(&plan, &plan.images[0], wanted, &[amd, arm], &Dependencies::new()).unwrap();
    assert_eq!(one, other);
    let index: Value = serde_json::from_slice(&one.bytes).unwrap();
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "arm64");
}

#[test]
fn the_configuration_cannot_set_what_hephy_decides_by() {
    let plan = plan(&[image("x", &["linux/amd64"], &[], 0)]);
    let annotations = of_image(&plan, &plan.images[0]);
    assert_eq!(annotations[INPUT_KEY], KEY);
    assert_eq!(annotations["org.opencontainers.image.revision"], "c");
    assert_eq!(annotations["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(annotations["a"], "b");
    assert_eq!(annotations[TAGS], r#"["x-latest"]"#);
}

#[test]
fn an_index_whose_children_disagree_is_never_made() {
    let mut plan = plan(&[image("x", &["linux/amd64", "linux/arm64"], &[], 0)]);
    plan.images[0].backend = BackendName::Buildah;
    let both = plan.images[0].platforms.clone();
    let (amd, arm) = (child("linux/amd64", "a"), child("linux/arm64", "b"));
    let mut foreign = arm.clone();
    foreign.annotations.insert(IMAGE.into(), "y".into());
    let mut stale = arm.clone();
    stale.annotations.insert(INPUT_KEY.into(), "0".into());
    for (wanted, children, words) in [
        (&both[..], vec![amd.clone()], "linux/arm64 lacks"),
        (&both[..], vec![amd.clone(), amd.clone(), arm.clone()], "linux/amd64 comes twice"),
        (&both[..], vec![amd.clone(), child("linux/arm64", "a")], "are the same manifest"),
        (&both[..1], vec![amd.clone(), arm.clone()], "linux/arm64 was not asked for"),
        (&both[..], vec![amd.clone(), foreign], "dev.hephy.image=y"),
        (&both[..], vec![amd.clone(), stale], "dev.hephy.input-key=0"),
        (&both[..0], vec![], "empty"),
    ] {
        let error = assemble(&plan, &plan.images[0], wanted, &children, &Dependencies::new()).unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn what_a_base_said_is_no_disagreement() {
    let mut plan = plan(&[image("x", &["linux/amd64"], &[], 0)]);
    let wanted = plan.images[0].platforms.clone();
    let mut inherits = child("linux/amd64", "a");
    inherits.annotations = BTreeMap::from([(IMAGE.into(), "base".into()), (INPUT_KEY.into(), "0".into())]);
    // Kaniko and ko, some versions of which copy their base's annotations.
    for (backend, fits) in [
        (BackendName::Kaniko, true),
        (BackendName::Ko, true),
        (BackendName::Buildah, false),
        (BackendName::Buildkit, false),
    ] {
        plan.images[0].backend = backend;
        let made = assemble(&plan, &plan.images[0], &wanted, std::slice::from_ref(&inherits), &Dependencies::new());
        assert_eq!(made.is_ok(), fits, "{backend}");
    }
    // Of the image itself they are its own, whoever built it; of one that was built elsewhere they say nothing.
    inherits.annotations.insert(IMAGE.into(), "x".into());
    plan.images[0].backend = BackendName::Kaniko;
    assert!(assemble(&plan, &plan.images[0], &wanted, std::slice::from_ref(&inherits), &Dependencies::new()).is_err());
    plan.images[0].manual_images = Some(BTreeMap::from([("amd64".into(), "elsewhere/x:1".into())]));
    assert!(assemble(&plan, &plan.images[0], &wanted, &[inherits], &Dependencies::new()).is_ok());
}

#[test]
fn a_configuration_says_its_platform() {
    let config =
        |os: &str, arch: &str, variant: Value| json!({"os": os, "architecture": arch, "variant": variant}).to_string();
    for (wanted, os, arch, variant, fits) in [
        ("linux/amd64", "linux", "amd64", Value::Null, true),
        ("linux/amd64", "linux", "arm64", Value::Null, false),
        ("linux/amd64", "windows", "amd64", Value::Null, false),
        ("linux/amd64", "linux", "amd64", json!("v3"), false),
        ("linux/arm64", "linux", "arm64", json!("v8"), true),
        ("linux/arm64", "linux", "arm64", json!(""), true),
        ("linux/arm/v7", "linux", "arm", json!("v7"), true),
        ("linux/arm/v7", "linux", "arm", json!("v6"), false),
        ("linux/arm/v7", "linux", "arm", Value::Null, true),
        ("linux/amd64", "linux", "x86_64", Value::Null, false),
    ] {
        let checked = check_config(config(os, arch, variant.clone()).as_bytes(), &platform(wanted));
        assert_eq!(checked.is_ok(), fits, "{wanted} {os}/{arch} {variant}");
    }
    assert!(check_config(b"{}", &platform("linux/amd64")).is_err());
    let hostile = config("linux", "arm64\u{1b}[2J", Value::Null);
    assert!(!check_config(hostile.as_bytes(), &platform("linux/amd64")).unwrap_err().message().contains('\u{1b}'));
}

#[test]
fn exactly_one_child_of_a_builders_index_fits() {
    let entry = |arch: &str, variant: Value, seed: &str| {
        json!({"mediaType": "m", "size": 1, "digest": Digest::of(seed.as_bytes()),
               "platform": {"os": "linux", "architecture": arch, "variant": variant}})
    };
    let index = |entries: Value| serde_json::from_value(json!({"schemaVersion": 2, "manifests": entries})).unwrap();
    let one = index(json!([entry("amd64", Value::Null, "a"), entry("arm64", json!("v8"), "b")]));
    assert_eq!(pick(&one, &platform("linux/arm64")).unwrap().digest, Digest::of(b"b"));
    let error = pick(&one, &platform("linux/s390x")).unwrap_err();
    assert_eq!(error.causes(), ["it has linux/amd64, linux/arm64/v8"]);
    let twice = index(json!([entry("arm64", Value::Null, "a"), entry("arm64", json!("v8"), "b")]));
    assert!(pick(&twice, &platform("linux/arm64")).unwrap_err().message().contains("2 images"));
}

fn names(held: &BTreeMap<ImageName, Result<Vec<Platform>, Held>>) -> Vec<String> {
    held.iter()
        .map(|(name, verdict)| match verdict {
            Ok(platforms) => format!("{name} {}", platforms.iter().map(Platform::arch).collect::<Vec<_>>().join("+")),
            Err(Held::Own(_)) => format!("{name} own"),
            Err(Held::BuiltOn(other)) => format!("{name} on {other}"),
        })
        .collect()
}

#[test]
fn the_scope_of_a_failure_is_the_image_and_those_built_on_it() {
    let both = ["linux/amd64", "linux/arm64"];
    let plan = plan(&[
        image("a", &both, &[], 0),
        image("b", &both, &["a"], 1),
        image("c", &both, &["b"], 2),
        image("d", &["linux/amd64"], &["a"], 1),
        image("e", &both, &[], 0),
    ]);
    let have = |amd_only: &[&str]| -> BTreeMap<ImageName, BTreeSet<Platform>> {
        let of = |image: &PlannedImage| {
            let only = amd_only.contains(&image.name.as_str());
            let keep = |it: &&Platform| !only || it.architecture() == "amd64";
            (image.name.clone(), image.platforms.iter().filter(keep).cloned().collect())
        };
        plan.images.iter().map(of).collect()
    };
    let decided = publishable(&plan, &have(&["a"]), false);
    assert_eq!(names(&decided), ["a own", "b on a", "c on b", "d on a", "e amd64+arm64"]);
    let decided = publishable(&plan, &have(&["a"]), true);
    assert_eq!(names(&decided), ["a amd64", "b amd64", "c amd64", "d amd64", "e amd64+arm64"]);
    let decided = publishable(&plan, &have(&["b"]), false);
    assert_eq!(names(&decided), ["a amd64+arm64", "b own", "c on b", "d amd64", "e amd64+arm64"]);
    let mut unknown = have(&[]);
    unknown.remove("a".parse::<ImageName>().as_ref().unwrap());
    let decided = publishable(&plan, &unknown, false);
    assert_eq!(names(&decided)[1], "b amd64+arm64", "nothing is known of a");
}

fn current(revision: Option<&str>, created: &str, platforms: &[&str]) -> Recorded {
    let entries: Vec<_> = platforms.iter().map(|text| child(text, text).entry).collect();
    let mut annotations = BTreeMap::from([("org.opencontainers.image.created".to_owned(), created.to_owned())]);
    annotations.extend(revision.map(|it| ("org.opencontainers.image.revision".to_owned(), it.to_owned())));
    annotations.insert(TAGS.to_owned(), r#"["x-latest"]"#.to_owned());
    let index = OciImageIndex {
        schema_version: 2,
        media_type: None,
        artifact_type: None,
        manifests: entries,
        annotations: Some(annotations),
    };
    Recorded::of(Digest::of(b"theirs"), &index)
}

#[test]
fn a_descendant_is_newer_and_without_history_the_later_commit() {
    let (ours, theirs) = ("a".repeat(40), "b".repeat(40));
    let at = "2025-10-15T08:00:00Z";
    let (before, after) = ("2025-10-14T08:00:00Z", "2025-10-16T10:00:00+02:00");
    for (revision, created, git, newer) in [
        (Some(theirs.as_str()), before, Some(true), true),
        (Some(&theirs), after, Some(false), false),
        (Some(&theirs), after, None, true),
        (Some(&theirs), before, None, false),
        (Some(&theirs), "garbage", None, false),
        (Some(&ours), after, Some(true), false),
        (Some(&format!("{ours}-dirty")), after, Some(true), false),
        (None, after, Some(true), false),
        (Some("--upload-pack=x"), after, Some(true), false),
        (Some("main"), after, Some(true), false),
    ] {
        let said = relation(&current(revision, created, &[]), &ours, at, &|one, other| {
            assert_eq!((one, other), (ours.as_str(), theirs.as_str()), "git is asked about full ids only");
            git
        });
        assert_eq!(said == Relation::Newer, newer, "{revision:?} {created} {git:?}");
    }
}

#[test]
fn tags_move_forward_and_never_to_fewer_platforms_of_a_partial_index() {
    let ours = Digest::of(b"ours");
    let (amd, both) = ([platform("linux/amd64")], [platform("linux/amd64"), platform("linux/arm64")]);
    let theirs = current(None, "", &["linux/amd64", "linux/arm64"]);
    let (old, new) = (Relation::NotNewer, Relation::Newer);
    assert_eq!(decide(None, old, &ours, &amd, true), Decision::Write);
    assert_eq!(decide(Some(&theirs), old, &Digest::of(b"theirs"), &both, false), Decision::Unchanged);
    assert_eq!(decide(Some(&theirs), new, &ours, &both, false), Decision::Newer);
    assert_eq!(decide(Some(&theirs), old, &ours, &amd, true), Decision::FewerPlatforms);
    assert_eq!(decide(Some(&theirs), old, &ours, &amd, false), Decision::Write, "a platform was taken out on purpose");
    assert_eq!(decide(Some(&theirs), old, &ours, &both, true), Decision::Write);
}

#[test]
fn only_tags_that_the_newer_run_wanted_are_handed_to_it() {
    let newer = current(None, "", &[]);
    let (latest, stable) = (Tag::parse("x-latest").unwrap(), Tag::parse("x-stable").unwrap());
    assert_eq!(repairs(&newer, &[&latest, &stable]), [&latest]);
}

fn at_version(version: Option<&str>) -> Recorded {
    let mut theirs = current(Some(&"b".repeat(40)), "2025-10-14T08:00:00Z", &[]);
    theirs.version = version.map(str::to_owned);
    theirs
}

fn stands(theirs: Option<&str>, ours: Option<&str>, line: Line<'_>, follows: Follows, git: Answers) -> Relation {
    let commit = "a".repeat(40);
    let ours = Ours { commit: &commit, time: "2025-10-15T08:00:00Z", version: ours, line };
    let (our_below, their_below) = git;
    standing(&at_version(theirs), &ours, follows, &|one, _| if one == commit { our_below } else { their_below })
}

/// Whether our commit is an ancestor of theirs, and theirs of ours.
type Answers = (Option<bool>, Option<bool>);
const LATER: Answers = (Some(false), Some(true));
const EARLIER: Answers = (Some(true), Some(false));
const APART: Answers = (Some(false), Some(false));
const UNKNOWN: Answers = (None, None);

#[test]
fn a_tag_never_goes_to_an_older_version() {
    let versions = |theirs, ours, git| stands(Some(theirs), Some(ours), Line::GitTag, Follows::Versions, git);
    for git in [LATER, APART, UNKNOWN] {
        assert_eq!(versions("1.3.0", "1.2.9", git), Relation::NewerVersion, "{git:?}");
        assert_eq!(versions("v1.3.0", "1.3.0-rc.1", git), Relation::NewerVersion, "{git:?}");
        assert_eq!(versions("1.2.9", "1.2.10", git), Relation::NotNewer, "{git:?}");
        assert_eq!(versions("1.2.9", "1.2.9+2", git), Relation::NotNewer, "{git:?}");
    }
    assert_eq!(versions("1.2.9", "1.3.0", EARLIER), Relation::Newer, "commits count all the same");
    // Head follows commits, and the base tag is the name of the build.
    for follows in [Follows::Commits, Follows::Build] {
        assert_eq!(
            stands(Some("1.3.0"), Some("1.2.9"), Line::Default, follows, APART),
            Relation::NotNewer,
            "{follows:?}"
        );
    }
    assert_eq!(
        decide(Some(&at_version(None)), Relation::NewerVersion, &Digest::of(b"x"), &[], false),
        Decision::NewerVersion
    );
}

#[test]
fn a_git_tag_beside_the_branch_takes_nothing_from_it() {
    for follows in [Follows::Commits, Follows::Versions] {
        for theirs in [None, Some("20251016"), Some("\u{1b}[2J")] {
            let tagged = |git| stands(theirs, Some("1.2.9"), Line::GitTag, follows, git);
            assert_eq!(tagged(APART), Relation::OtherLine, "{follows:?} {theirs:?}");
            assert_eq!(tagged(LATER), Relation::NotNewer, "{follows:?} {theirs:?}");
            assert_eq!(tagged(EARLIER), Relation::Newer, "{follows:?} {theirs:?}");
            assert_eq!(tagged(UNKNOWN), Relation::OtherLine, "git does not say, and a late fix is no release");
            // A branch that was rewritten is followed.
            assert_eq!(stands(theirs, Some("1.2.9"), Line::Default, follows, APART), Relation::NotNewer);
        }
    }
    assert_eq!(stands(Some("1.2.8"), Some("1.2.9"), Line::GitTag, Follows::Versions, APART), Relation::NotNewer);
    assert_eq!(stands(Some("1.3.0"), Some("1.2.9"), Line::GitTag, Follows::Commits, APART), Relation::OtherLine);
    assert_eq!(stands(None, None, Line::GitTag, Follows::Build, APART), Relation::NotNewer);
    // What hephy did not make has no commit to be beside.
    let foreign = Recorded::of_artifact(Digest::of(b"foreign"), None);
    let commit = "a".repeat(40);
    let ours = Ours { commit: &commit, time: "", version: None, line: Line::GitTag };
    assert_eq!(standing(&foreign, &ours, Follows::Commits, &|_, _| Some(false)), Relation::NotNewer);
}

#[test]
fn another_branch_takes_nothing_from_the_default_one() {
    let line = Line::Beside { head: "x-head" };
    let beside = |tags: &[&str], versions: [Option<&str>; 2], follows, (our_below, their_below): Answers| {
        let commit = "a".repeat(40);
        let ours = Ours { commit: &commit, time: "2025-10-15T08:00:00Z", version: versions[1], line };
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let theirs = Recorded { tags, ..at_version(versions[0]) };
        standing(&theirs, &ours, follows, &|one, _| if one == commit { our_below } else { their_below })
    };
    let (main, branch) = (["x-latest", "x-head"], ["x-latest"]);
    let same = [Some("1.2.0"); 2];
    for follows in [Follows::Build, Follows::Versions] {
        for git in [APART, UNKNOWN] {
            assert_eq!(beside(&main, [None; 2], follows, git), Relation::OtherLine, "{follows:?} {git:?}");
            assert_eq!(beside(&main, same, follows, git), Relation::OtherLine, "{follows:?} {git:?}");
            assert_eq!(beside(&branch, [None; 2], follows, git), Relation::NotNewer, "{follows:?} {git:?}");
        }
        assert_eq!(beside(&main, [None; 2], follows, LATER), Relation::NotNewer, "{follows:?}");
    }
    let newer = [Some("1.2.0"), Some("1.3.0")];
    assert_eq!(beside(&main, newer, Follows::Versions, APART), Relation::NotNewer);
}

#[test]
fn what_a_tag_follows() {
    let mut plan = plan(&[image("x", &["linux/amd64"], &[], 0)]);
    let planned = &plan.images[0];
    let of = |layout, tag: &str| Follows::of(layout, &planned.name, planned.tags.first(), &Tag::parse(tag).unwrap());
    assert_eq!(of(Layout::Single, "x-head"), Follows::Commits);
    assert_eq!(of(Layout::PerImage, "head"), Follows::Commits);
    assert_eq!(of(Layout::Single, "x-1"), Follows::Build, "the first tag of the plan");
    assert_eq!(of(Layout::Single, "x-latest"), Follows::Versions);
    assert_eq!(of(Layout::PerImage, "x-head"), Follows::Versions);
    // The version of an image is its own, and what a git tag says of others is not.
    let version = |plan: &Plan| of_image(plan, &plan.images[0])["org.opencontainers.image.version"].clone();
    plan.images[0].annotations.clear();
    assert_eq!(version(&plan), "20251015");
    for (tag, said) in [("curl-v1.2.3", "20251015"), ("v1.2.3", "20251015"), ("nightly", "nightly")] {
        plan.source.tag = Some(tag.into());
        assert_eq!(version(&plan), said);
    }
    plan.images[0].version = Some("1.2.3+5".into());
    assert_eq!(version(&plan), "1.2.3+5");
}
