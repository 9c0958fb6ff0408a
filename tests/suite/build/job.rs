//! The command itself in its output directory: alone or beside others, after a kill, and what it leaves.

use std::fs::File;
use std::process::{Output, Stdio};

use hephy::commands::build::RegistryView as _;
use hephy::config::BackendName;

use super::{BASE, Fixture, others};
use crate::support::builders;

const SLOW: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"2\"]\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A fixture as prepare leaves it.
fn prepared(dockerfile: &str) -> Fixture {
    let mut fixture = Fixture::new(BackendName::Buildah);
    let arm = fixture.image("base", dockerfile);
    arm.platforms.push(hephy::oci::Platform::parse("linux/arm64").unwrap());
    fixture.write_plan();
    for arch in ["amd64", "arm64"] {
        std::fs::write(fixture.options.out.join(format!("need_{arch}.txt")), "true\n").unwrap();
    }
    fixture
}

#[test]
fn two_jobs_of_one_architecture_do_not_share_a_directory() {
    let fixture = prepared(SLOW);
    let mut hephy = fixture.hephy(&["build", "--arch", "amd64"]);
    let first = hephy.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = fixture.options.out.join("logs/base-amd64.log");
    while !log.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert_eq!(second.status.code(), Some(7), "{}", said(&second));
    assert!(said(&second).contains("is in use: another hephy builds for amd64 in it"), "{}", said(&second));
    assert!(said(&second).contains("--out DIR"));
    // Another architecture's job works beside it: it gets as far as the machine lets it.
    let third = fixture.hephy(&["build", "--arch", "arm64"]).output().unwrap();
    assert!(!said(&third).contains("in use"), "{}", said(&third));
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", said(&first));
    assert!(fixture.out("base-amd64.json").contains("\"completed\""));
}

#[test]
fn whoever_prepares_is_alone() {
    let fixture = prepared(BASE);
    let dir = File::open(&fixture.options.out).unwrap();
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let refused = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(said(&refused).contains("hephy prepare or hephy run works in it"), "{}", said(&refused));
    drop(dir);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
}

#[test]
fn what_a_killed_run_left_is_taken_away() {
    let fixture = prepared(BASE);
    let out = &fixture.options.out;
    for dir in ["work/build-x/source/deep", ".source-x", ".peek-x", ".credentials-x", ".unpack-x"] {
        std::fs::create_dir_all(out.join(dir)).unwrap();
        std::fs::write(out.join(dir).join("config.json"), "{}").unwrap();
    }
    std::fs::write(out.join(".hephy-half"), "x").unwrap();
    std::fs::write(out.join("another-source.tar.gz"), "x").unwrap();
    let built = fixture.hephy(&["build", "--arch", "amd64"]).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let mut left: Vec<_> = std::fs::read_dir(out).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    let expected = [
        "another-source.tar.gz",
        "base-amd64.json",
        "base-amd64.tag",
        "logs",
        "need_amd64.txt",
        "need_arm64.txt",
        "plan.json",
    ];
    assert_eq!(left, expected);
}

/// `dev.hephy.input-key` and `dev.hephy.image` of what a fixture's only image was pushed as.
pub(super) fn own_annotations(fixture: &Fixture, result: &hephy::result::BuildResult) -> [Option<String>; 2] {
    let digest = result.digest.as_ref().unwrap().as_str();
    let manifest = builders::PlainView.manifest(fixture.registry(), digest).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    [hephy::index::INPUT_KEY, hephy::index::IMAGE].map(|key| Some(manifest["annotations"][key].as_str()?.to_owned()))
}

/// So that the manifest stage sees children that do not belong together.
#[test]
fn manifests_say_what_they_are_built_from() {
    for (mut fixture, annotates) in
        [(Fixture::new(BackendName::Buildah), true), (others::buildkit(), true), (others::docker(), false)]
    {
        fixture.image("base", BASE);
        let result = fixture.build().remove(0);
        let expected = annotates.then(|| ["0".repeat(64), "base".to_owned()].map(Some)).unwrap_or_default();
        assert_eq!(own_annotations(&fixture, &result), expected);
    }
}
