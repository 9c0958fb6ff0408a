//! The oracle against the truth: images are really built, from nothing and with every time set to the epoch. Equal
//! digests of the oracle must give equal images, and other files in the context other ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::files::check_out;
use super::generate::Limits;
use super::history::history;
use super::oracle::Oracle;
use super::random::Random;
use super::setting;
use super::world::{Image, World};
use crate::support::builders::{buildkit, tool};

/// Pairs of builds that every run of the suite makes.
const PAIRS: u64 = 5;

/// The layers and the configuration of an image, as BuildKit makes them; none where it cannot be built.
type Built = Option<(Value, Value)>;

#[test]
fn what_the_oracle_calls_the_same_is_built_the_same() {
    let mut oracle = Oracle::start();
    let wanted = setting("HEPHY_MODEL_PAIRS").unwrap_or(PAIRS);
    let (mut same, mut other, mut unbuildable, mut unclear) = (0, 0, 0, 0);
    let mut seed = setting("HEPHY_MODEL_FIRST").unwrap_or(1);
    while same + other < wanted {
        seed += 1;
        let mut random = Random::new(seed);
        let limits = Limits { buildable: true, images: 2, ..Limits::default() };
        let commits = history(&mut random, limits, 2);
        let dirs = [0, 1].map(|at: usize| {
            let dir = tempfile::TempDir::with_prefix("hephy-model-").unwrap();
            check_out(&commits[at].files, dir.path());
            dir
        });
        let seen = [0, 1].map(|at: usize| oracle.ask(dirs[at].path()).images);
        let worlds = [0, 1].map(|at: usize| commits[at].world.as_ref().unwrap());
        for (name, earlier, later) in both(worlds) {
            let (was, now) = (&seen[0][name.as_str()], &seen[1][name.as_str()]);
            let all = |image: &super::oracle::Image| (image.whole.clone(), image.truth["steps"].clone());
            let is_same = all(was) == all(now);
            // Most edits change nothing for most images; each kind gets its half.
            let enough = if is_same { same * 2 >= wanted } else { other * 2 >= wanted };
            if enough && same + other < wanted || dirs[0].path() == dirs[1].path() {
                continue;
            }
            let told = format!("seed {seed}, image {name}, {}", commits[1].what);
            let built = [build(earlier, dirs[0].path()), build(later, dirs[1].path())];
            match (&built[0], &built[1]) {
                (None, None) => unbuildable += 1,
                (one, two) if is_same => {
                    assert_eq!(one, two, "{told}: the oracle saw no difference, the build does");
                    same += 1;
                }
                (Some(one), Some(two)) => {
                    // With equal steps only files can differ; where a pattern chooses them they may hide each other.
                    let clear = was.truth["steps"] == now.truth["steps"]
                        && was.exceptions.is_none()
                        && now.exceptions.is_none();
                    if clear {
                        assert_ne!(one.0, two.0, "{told}: the oracle saw a difference, the build does not");
                        other += 1;
                    } else {
                        unclear += 1;
                    }
                }
                _ => other += 1,
            }
        }
    }
    println!("built the same {same}, built otherwise {other}, not buildable {unbuildable}, not told apart {unclear}");
}

/// An image and the stage that it is.
type Staged<'a> = (&'a Image, Option<&'a str>);

/// The images that two worlds have, by name.
fn both<'a>(worlds: [&'a World; 2]) -> Vec<(String, Staged<'a>, Staged<'a>)> {
    let [one, other] = worlds.map(|world| -> BTreeMap<String, Staged<'a>> {
        assert!(world.images.values().all(|image| image.depends_on.is_empty()), "only what needs no base is built");
        let staged = |image: &'a Image| image.built().into_iter().map(move |(name, stage)| (name, (image, stage)));
        world.images.values().flat_map(staged).collect()
    });
    one.into_iter().filter_map(|(name, staged)| Some((name.clone(), staged, *other.get(&name)?))).collect()
}

fn build((image, stage): Staged<'_>, root: &Path) -> Built {
    let source = if image.of_repository { root.to_owned() } else { root.join(&image.dir) };
    let dockerfile = source.join(&image.dockerfile);
    let mut command = Command::new(tool("buildctl"));
    command.args(["--addr", buildkit(), "build", "--no-cache", "--progress=plain", "--frontend=dockerfile.v0"]);
    let mut local = |name: &str, path: &Path| {
        command.arg("--local").arg(format!("{name}={}", path.display()));
    };
    local("context", &source.join(&image.context));
    local("dockerfile", dockerfile.parent().unwrap());
    let mut options = vec![
        format!("filename={}", dockerfile.file_name().unwrap().to_str().unwrap()),
        "platform=linux/amd64".to_owned(),
        "build-arg:SOURCE_DATE_EPOCH=0".to_owned(),
    ];
    options.extend(stage.map(|stage| format!("target={stage}")));
    options.extend(image.args.iter().map(|(name, value)| format!("build-arg:{name}={value}")));
    for option in options {
        command.arg("--opt").arg(option);
    }
    let temp = tempfile::TempDir::with_prefix("hephy-model-").unwrap();
    let archive = temp.path().join("image.tar");
    command.arg("--output").arg(format!("type=oci,rewrite-timestamp=true,dest={}", archive.display()));
    let output = command.stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("failed to calculate checksum") || said.contains("failed to solve"), "{said}");
        return None;
    }
    let mut blobs = BTreeMap::new();
    let mut index = Value::Null;
    for entry in tar::Archive::new(std::fs::File::open(&archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if path == "index.json" {
            index = serde_json::from_slice(&bytes).unwrap();
        } else if let Some(digest) = path.strip_prefix("blobs/sha256/") {
            blobs.insert(format!("sha256:{digest}"), bytes);
        }
    }
    let read = |descriptor: &Value| -> Value {
        serde_json::from_slice(&blobs[descriptor["digest"].as_str().unwrap()]).unwrap()
    };
    let mut manifest = read(&index["manifests"][0]);
    if manifest["manifests"].is_array() {
        manifest = read(&manifest["manifests"][0]);
    }
    let config = read(&manifest["config"]);
    Some((config["rootfs"]["diff_ids"].clone(), config["config"].clone()))
}
