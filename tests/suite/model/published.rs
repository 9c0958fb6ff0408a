//! The `published` comparison: random sequences of pipelines on one repository and one real registry, some of which
//! fail for an image, are cancelled between two stages, or run again. What the registry holds is read without
//! hephy's client: the next plan holds exactly the images that are not published with what they would be built from
//! now.
//!
//! Every stage is the real binary and every image is really built, by Buildah. Its ignore files are another matter
//! than BuildKit's, so there are none here; `range` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::edits::edit;
use super::files::{Files, check_out, clear};
use super::generate::{self, Limits};
use super::judge::{Counts, Wrong, differences, judge};
use super::oracle::{Oracle, Seen};
use super::random::Random;
use super::setting;
use super::world::World;
use crate::cli::{Outcome, Project, manifest};
use crate::support::builders::tool;
use crate::support::repo::Repo;

/// Sequences that every run of the suite makes.
const SEQUENCES: u64 = 1;
/// Pipelines of a sequence.
const PIPELINES: usize = 5;

/// How a pipeline goes.
#[derive(Clone, Debug)]
enum Fate {
    Good,
    /// It ends before anything is built.
    CancelledBeforeBuild,
    /// Everything is built and nothing published.
    CancelledBeforeManifest,
    /// The builder fails for one image.
    Fails(String),
}

#[test]
fn the_next_plan_holds_exactly_what_is_not_published_with_its_current_input() {
    let first = setting("HEPHY_MODEL_SEED").or(setting("HEPHY_MODEL_FIRST")).unwrap_or(1);
    let one = setting("HEPHY_MODEL_SEED").is_some();
    let count = if one { 1 } else { setting("HEPHY_MODEL_SEQUENCES").unwrap_or(SEQUENCES) };
    let mut counts = Counts::default();
    for seed in first..first + count {
        sequence(seed, &mut counts);
    }
    println!("{counts:#?}");
}

fn sequence(seed: u64, counts: &mut Counts) {
    let mut random = Random::new(seed);
    let limits = Limits { registry: false, buildable: true, bases: true, images: 4 };
    let mut oracle = Oracle::start();
    let mut world = simple(generate::world(&mut random, limits));
    let per_image = world.root.per_image;
    let run = Run { project: Project::of(Repo::new()), builders: tempfile::tempdir().unwrap(), per_image };
    run.write_builder();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut worlds: Vec<World> = Vec::new();
    let mut told = format!("seed {seed}");
    for number in 0..PIPELINES {
        let again = number > 0 && random.chance(25);
        if again {
            told += "\n  again: ";
        } else {
            let mut what = String::new();
            match worlds.len() {
                // Back to what was, by a new commit.
                2.. if random.chance(20) => world = worlds[random.below(worlds.len())].clone(),
                0 => {}
                _ => (0..1 + random.below(2))
                    .for_each(|_| what = format!("{what}{}, ", edit(&mut random, &mut world, limits))),
            }
            world = simple(world);
            run.commit(&world.written(), number);
            worlds.push(world.clone());
            told += &format!("\n  {}: {what}", run.project.repo.head());
        }
        let head = run.project.repo.head();
        let now = seen
            .entry(head.clone())
            .or_insert_with(|| {
                let dir = tempfile::tempdir().unwrap();
                check_out(&world.written(), dir.path());
                oracle.ask(dir.path())
            })
            .clone();
        let published = run.published(&now, &seen);
        let outcome = run.stage("prepare", &[], None).ok();
        let planned = planned(&outcome);
        let wrong: Vec<Wrong> = judge(Some(&published), &now, &planned, counts);
        let whys: Vec<String> = wrong
            .iter()
            .map(|wrong| format!("{wrong:?}: {}", differences(Some(&published), &now, wrong.dir())))
            .collect();
        assert!(wrong.is_empty(), "{told}\n{whys:#?}\n{outcome}");

        let fate = match random.below(6) {
            0 => Fate::CancelledBeforeBuild,
            1 => Fate::CancelledBeforeManifest,
            2 | 3 => random.one_of(planned.iter().cloned()).map_or(Fate::Good, Fate::Fails),
            _ => Fate::Good,
        };
        told += &format!("{planned:?} {fate:?}");
        *counts.modes.entry(fate.word()).or_default() += 1;
        run.finish(&fate, &planned, &now);
    }
}

impl Fate {
    const fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::CancelledBeforeBuild => "cancelled before the build",
            Self::CancelledBeforeManifest => "cancelled before the manifest",
            Self::Fails(_) => "failed for an image",
        }
    }
}

/// One platform, and no ignore files.
fn simple(mut world: World) -> World {
    world.root.platforms.clear();
    for image in world.images.values_mut() {
        image.platforms.clear();
        image.excluded = None;
    }
    world
}

/// Names of the images of a plan.
fn planned(outcome: &Outcome) -> BTreeSet<String> {
    outcome.built().into_iter().collect()
}

struct Run {
    project: Project,
    builders: tempfile::TempDir,
    per_image: bool,
}

impl Run {
    /// Buildah, which fails for the image that a variable names.
    fn write_builder(&self) {
        let path = self.builders.path().join("buildah");
        let text = format!(
            "#!/bin/sh\nif [ \"${{FAIL_FOR-}}\" ]; then for word; do case $word in *:\"$FAIL_FOR\"-* | */\"$FAIL_FOR\":*) exit 1 ;; esac; done; fi\n\
             exec {} \"$@\"\n",
            tool("buildah").display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn commit(&self, files: &Files, number: usize) {
        let repo = &self.project.repo;
        clear(repo.path());
        check_out(files, repo.path());
        repo.commit(&format!("push {number}"));
    }

    /// One stage of a pipeline of the default branch.
    fn stage(&self, name: &str, args: &[&str], fails_for: Option<&str>) -> Outcome {
        let before = self.project.repo.try_git(&["rev-parse", "--verify", "-q", "HEAD~1"]).stdout;
        let before = String::from_utf8(before).unwrap().trim().to_owned();
        let before = if before.is_empty() { "0".repeat(40) } else { before };
        let mut hephy = self.project.push(&before, [&["--format=json", name], args].concat());
        let path = format!("{}:{}", self.builders.path().display(), std::env::var("PATH").unwrap());
        hephy = hephy.env("PATH", path).env("HEPHY_REGISTRY", self.project.registry()).env("HEPHY_RETRIES", "0");
        let name = fails_for.unwrap_or_default();
        let name = if self.per_image { name.to_lowercase() } else { name.to_owned() };
        hephy.env("FAIL_FOR", name).run()
    }

    fn finish(&self, fate: &Fate, planned: &BTreeSet<String>, now: &Seen) {
        if matches!(fate, Fate::CancelledBeforeBuild) {
            return;
        }
        let fails_for = match fate {
            Fate::Fails(name) => Some(name.as_str()),
            _ => None,
        };
        let built = self.stage("build", &["--arch=amd64"], fails_for);
        // Some edits really break a build: a file that is copied is gone.
        let fails = built.code != 0;
        assert!(fails || fails_for.is_none(), "{built}");
        if matches!(fate, Fate::CancelledBeforeManifest) {
            return;
        }
        let made = self.stage("manifest", &[], None);
        assert_eq!(made.code != 0, fails, "{made}");
        // Nothing planned stays unpublished but what failed and what is built on it.
        if !fails {
            let head = self.project.repo.head();
            for image in now.images.values().filter(|image| planned.contains(&image.name)) {
                assert_eq!(self.revision(&image.name).as_deref(), Some(head.as_str()), "{}: {made}", image.name);
            }
        }
    }

    /// The commit that the newest published index of an image was built from.
    fn revision(&self, name: &str) -> Option<String> {
        let registry = self.project.registry();
        let (_, index) = if self.per_image {
            manifest(&format!("{registry}/{}", name.to_lowercase()), "head")?
        } else {
            manifest(&registry, &format!("{name}-head"))?
        };
        let revision: &Value = &index["annotations"]["org.opencontainers.image.revision"];
        Some(revision.as_str().expect("an index without a revision").to_owned())
    }

    /// For each image what it was built from when it was published.
    fn published(&self, now: &Seen, seen: &BTreeMap<String, Seen>) -> Seen {
        let mut published = Seen::default();
        for (dir, image) in &now.images {
            let Some(revision) = self.revision(&image.name) else { continue };
            let was = seen[&revision].images.get(dir).cloned();
            published.images.extend(was.map(|was| (dir.clone(), was)));
        }
        published
    }
}
