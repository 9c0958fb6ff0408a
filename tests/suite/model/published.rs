//! The `published` comparison: random sequences of pipelines on one repository and one real registry: pushes, git tags,
//! schedules, runs for images that are named, each with its own `--dependents`; some of them fail for an image, are
//! cancelled between two stages, or run again. What the registry holds is read without hephy's client, and what each image
//! there was really built on is kept ([`lineage`](super::lineage)): the next plan holds exactly the images that are not
//! published with what they would be built from now, as far as changes travel and images were asked for.
//!
//! Every stage is the real binary and every image is really built, by Buildah. Its ignore files are another matter
//! than BuildKit's, so there are none here; `range` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use hephy::oci::Digest;
use serde_json::Value;

use super::edits::edit;
use super::files::{Files, check_out, clear};
use super::generate::{self, Limits};
use super::judge::{Counts, Wrong, differences, judge};
use super::lineage::{Built, Lineage, now_of, published_of};
use super::oracle::{Image, Oracle, Seen};
use super::random::Random;
use super::setting;
use super::world::World;
use crate::cli::{HEAD, Outcome, Project, manifest};
use crate::support::builders::tool;
use crate::support::repo::Repo;

/// Sequences that every run of the suite makes.
const SEQUENCES: u64 = 2;
/// Pipelines of a sequence.
const PIPELINES: usize = 5;

/// What started a pipeline, and what it was asked for.
#[derive(Clone, Debug)]
enum Start {
    Push,
    GitTag,
    Schedule,
    /// `--dir`, for each of these.
    Named(BTreeSet<String>),
}

/// How far changes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Travels {
    All,
    Direct,
    None,
}

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
    let mut lineage = Lineage::default();
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
        let (start, travels) = (Start::random(&mut random, &now), Travels::random(&mut random));
        told += &format!(" {start:?} {travels:?} ");
        *counts.modes.entry(start.word()).or_default() += 1;
        let before = run.heads(&now);
        let there: BTreeMap<String, Built> = before
            .iter()
            .filter_map(|(dir, digest)| Some((dir.clone(), lineage.of(digest.as_ref()?)?.clone())))
            .collect();
        let mut args: Vec<String> = vec![format!("--dependents={}", travels.word())];
        if let Start::Named(dirs) = &start {
            args.extend(dirs.iter().map(|dir| format!("--dir={dir}")));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let outcome = run.stage(&start, "prepare", &args, None);
        assert_eq!(outcome.code, 0, "{told}\n{outcome}");
        let planned = planned(&outcome);
        let whys = wrongs(&start, travels, (&there, &now), &planned, counts);
        assert!(whys.is_empty(), "{told}\n{whys:#?}\n{outcome}");

        let fate = match random.below(6) {
            0 => Fate::CancelledBeforeBuild,
            1 => Fate::CancelledBeforeManifest,
            2 | 3 => random.one_of(planned.iter().cloned()).map_or(Fate::Good, Fate::Fails),
            _ => Fate::Good,
        };
        told += &format!("{planned:?} {fate:?}");
        *counts.modes.entry(fate.word()).or_default() += 1;
        run.finish(&start, &fate, &planned, &now, &told);
        lineage.learn(&now, &planned, &there, &before, &run.heads(&now));
    }
}

/// What is wrong with a plan.
fn wrongs(
    start: &Start,
    travels: Travels,
    (there, now): (&BTreeMap<String, Built>, &Seen),
    planned: &BTreeSet<String>,
    counts: &mut Counts,
) -> Vec<String> {
    let told = |wrong: &[Wrong], was: &Seen, now: &Seen| -> Vec<String> {
        wrong.iter().map(|wrong| format!("{wrong:?}: {}", differences(Some(was), now, wrong.dir()))).collect()
    };
    let own_only = travels == Travels::None && !matches!(start, Start::Named(_));
    let (was, is) = (published_of(there, own_only), now_of(now, own_only));
    match start {
        Start::Schedule => {
            let names: BTreeSet<String> = now.images.values().map(|image| image.name.clone()).collect();
            if *planned == names { Vec::new() } else { vec![format!("a schedule builds {names:?}, not {planned:?}")] }
        }
        Start::Named(dirs) => {
            // What is needed and was never published joins.
            let asked = |seen: &Seen| -> Seen {
                let joined = |dir: &String| planned.contains(&now.images[dir].name) && !there.contains_key(dir);
                let images = seen.images.iter().filter(|(dir, _)| now.images.contains_key(*dir));
                let images = images.filter(|(dir, _)| dirs.contains(*dir) || joined(dir));
                Seen { images: images.map(|(dir, image)| (dir.clone(), image.clone())).collect(), ..seen.clone() }
            };
            let (was, is) = (asked(&was), asked(&is));
            told(&judge(Some(&was), &is, planned, counts), &was, &is)
        }
        Start::Push | Start::GitTag if travels == Travels::Direct => {
            // Not less than what changed by itself, and not more than what changed at all.
            let (own_was, own_is) = (published_of(there, true), now_of(now, true));
            let missed = judge(Some(&own_was), &own_is, planned, &mut Counts::default());
            let missed: Vec<Wrong> = missed.into_iter().filter(|it| matches!(it, Wrong::Missed(_))).collect();
            let needless = judge(Some(&was), &is, planned, counts);
            let needless: Vec<Wrong> = needless.into_iter().filter(|it| !matches!(it, Wrong::Missed(_))).collect();
            [told(&missed, &own_was, &own_is), told(&needless, &was, &is)].concat()
        }
        Start::Push | Start::GitTag => told(&judge(Some(&was), &is, planned, counts), &was, &is),
    }
}

impl Start {
    fn random(random: &mut Random, now: &Seen) -> Self {
        match random.below(10) {
            0..=4 => Self::Push,
            5 => Self::GitTag,
            6 => Self::Schedule,
            _ => {
                let mut dirs: BTreeSet<String> = now.images.keys().filter(|_| random.chance(50)).cloned().collect();
                dirs.extend(random.one_of(now.images.keys().cloned()));
                Self::Named(dirs)
            }
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::GitTag => "git tag",
            Self::Schedule => "schedule",
            Self::Named(_) => "--dir",
        }
    }
}

impl Travels {
    fn random(random: &mut Random) -> Self {
        [Self::All, Self::All, Self::Direct, Self::None][random.below(4)]
    }

    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Direct => "direct",
            Self::None => "none",
        }
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
    fn stage(&self, start: &Start, name: &str, args: &[&str], fails_for: Option<&str>) -> Outcome {
        let before = self.project.repo.try_git(&["rev-parse", "--verify", "-q", "HEAD~1"]).stdout;
        let before = String::from_utf8(before).unwrap().trim().to_owned();
        let before = if before.is_empty() { "0".repeat(40) } else { before };
        let args = [&["--format=json", name], args].concat();
        let head = self.project.repo.head();
        let mut hephy = match start {
            Start::Push | Start::Named(_) => self.project.push(&before, args),
            Start::GitTag => self.project.ci("gitlab-tag", &[(HEAD, &head)], args),
            Start::Schedule => self.project.ci("gitlab-schedule", &[(HEAD, &head)], args),
        };
        hephy = hephy.env("HEPHY_BACKEND", "buildah");
        let path = format!("{}:{}", self.builders.path().display(), std::env::var("PATH").unwrap());
        hephy = hephy.env("PATH", path).env("HEPHY_REGISTRY", self.project.registry()).env("HEPHY_RETRIES", "0");
        let name = fails_for.unwrap_or_default();
        let name = if self.per_image { name.to_lowercase() } else { name.to_owned() };
        hephy.env("FAIL_FOR", name).run()
    }

    fn finish(&self, start: &Start, fate: &Fate, planned: &BTreeSet<String>, now: &Seen, told: &str) {
        if matches!(fate, Fate::CancelledBeforeBuild) {
            return;
        }
        let fails_for = match fate {
            Fate::Fails(name) => Some(name.as_str()),
            _ => None,
        };
        let built = self.stage(start, "build", &["--arch=amd64"], fails_for);
        // Some edits really break a build: a file that is copied is gone.
        let fails = built.code != 0;
        assert!(fails || fails_for.is_none(), "{told}\n{built}");
        if matches!(fate, Fate::CancelledBeforeManifest) {
            return;
        }
        let made = self.stage(start, "manifest", &[], None);
        assert_eq!(made.code != 0, fails, "{told}\n{made}");
        // Nothing planned stays unpublished but what failed and what is built on it.
        if !fails {
            let head = self.project.repo.head();
            for image in now.images.values().filter(|image| planned.contains(&image.name)) {
                let revision = self.head(&image.name).map(|(_, revision)| revision);
                assert_eq!(revision.as_deref(), Some(head.as_str()), "{told}\n{}: {made}", image.name);
            }
        }
    }

    /// The newest published index of an image, and the commit that it was built from.
    fn head(&self, name: &str) -> Option<(Digest, String)> {
        let registry = self.project.registry();
        let (digest, index) = if self.per_image {
            manifest(&format!("{registry}/{}", name.to_lowercase()), "head")?
        } else {
            manifest(&registry, &format!("{name}-head"))?
        };
        let revision: &Value = &index["annotations"]["org.opencontainers.image.revision"];
        Some((digest, revision.as_str().expect("an index without a revision").to_owned()))
    }

    /// What is published of each image, by directory.
    fn heads(&self, now: &Seen) -> BTreeMap<String, Option<Digest>> {
        let head = |image: &Image| self.head(&image.name).map(|(digest, _)| digest);
        now.images.iter().map(|(dir, image)| (dir.clone(), head(image))).collect()
    }
}
