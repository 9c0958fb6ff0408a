//! The `published` comparison: random sequences of pipelines on one repository and one real registry: pushes, forced ones
//! too, git tags, schedules, runs for images that are named, each with its own `--dependents`; some of them fail for an
//! image or for one platform of it, are cancelled, or run again. What the registry holds is read without hephy's client,
//! and what each image there was really built on is kept ([`lineage`](super::lineage)): the next plan holds exactly the
//! images that are not published, for every platform, with what they would be built from now, as far as changes travel
//! and images were asked for.
//!
//! Every stage is the real binary and every image is really built: by BuildKit, or by Buildah, whose ignore files are
//! another matter, so that its sequences have none. Images for other platforms than this machine's run nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::branch::Branch;
use super::files::check_out;
use super::generate::{self, Limits};
use super::judge::{Counts, Wrong, differences, judge};
use super::lies_on;
use super::lineage::{Lineage, There, now_of, published_of};
use super::oracle::{Oracle, Seen};
use super::pipeline::{Fate, Head, Pipeline, Planned, Runner, Start};
use super::random::Random;
use super::setting;
use super::travels::{Travels, others};
use super::world::World;
use crate::cli::Project;
use crate::support::repo::Repo;

/// Sequences that every run of the suite makes.
const SEQUENCES: u64 = 2;
/// Pipelines of a sequence.
const PIPELINES: u64 = 5;

#[test]
fn the_next_plan_holds_exactly_what_is_not_published_with_its_current_input() {
    let first = setting("HEPHY_MODEL_SEED").or(setting("HEPHY_MODEL_FIRST")).unwrap_or(1);
    let one = setting("HEPHY_MODEL_SEED").is_some();
    let count = if one { 1 } else { setting("HEPHY_MODEL_SEQUENCES").unwrap_or(SEQUENCES) };
    let pipelines = setting("HEPHY_MODEL_PIPELINES").unwrap_or(PIPELINES);
    let mut counts = Counts::default();
    for seed in first..first + count {
        sequence(seed, pipelines, &mut counts);
    }
    println!("{counts:#?}");
}

fn sequence(seed: u64, pipelines: u64, counts: &mut Counts) {
    let mut random = Random::new(seed);
    let buildah = seed.is_multiple_of(2);
    let limits = Limits { buildable: true, buildah, bases: true, images: 4, ..Limits::default() };
    let mut oracle = Oracle::start();
    let fit = |mut world: World| {
        world.cover_platforms();
        if buildah {
            world.images.values_mut().for_each(|image| image.excluded = None);
        }
        world
    };
    let world = fit(generate::world(&mut random, limits));
    let runner = Runner::new(Project::of(Repo::new()), buildah, world.root.per_image);
    let repo = &runner.project.repo;
    let mut branch = Branch::new(repo, world);
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut lineage = Lineage::default();
    let mut told = format!("seed {seed}, {pipelines} pipelines");
    for number in 0..pipelines {
        let push = if number == 0 { branch.created() } else { branch.next(&mut random, repo, limits, fit) };
        let commit = branch.checked_out(repo);
        let now = seen.entry(commit.id.clone()).or_insert_with(|| {
            let dir = tempfile::tempdir().unwrap();
            check_out(&commit.world.written(), dir.path());
            oracle.ask(dir.path())
        });
        let (start, travels) = (Start::random(&mut random, now), Travels::random(&mut random));
        told += &format!("\n  {} {start:?} {travels:?} ", push.what);
        let pipeline = Pipeline { runner: &runner, start: &start, before: &push.before };
        let before = runner.heads(now);
        let there = lineage.there(&before);
        let outcome = pipeline.stage(&arguments(&start, travels).iter().map(String::as_str).collect::<Vec<_>>(), None);
        assert_eq!(outcome.code, 0, "{told}\n{outcome}");
        let planned = Planned::of(&outcome);
        let wrong = wrongs(&start, travels, (&there, now), &planned.names, counts);
        assert!(wrong.is_empty(), "{told}\n{wrong:#?}\n{outcome}");

        let fate = Fate::random(&mut random, &planned);
        told += &format!("{:?} {fate:?}", planned.names);
        for word in [push.kind, start.word(), fate.word()] {
            *counts.modes.entry(word).or_default() += 1;
        }
        *counts.travels.entry(travels.word()).or_default() += 1;
        let is_complete = pipeline.finish(&fate, &planned, &told);
        let after = runner.heads(now);
        if is_complete {
            *counts.modes.entry("complete").or_default() += 1;
            let moves = |name: &String| moves(repo, &start, before.get(name));
            for name in planned.names.iter().filter(|name| moves(name)) {
                let revision = after.get(name).map(|head| head.revision.as_str());
                assert_eq!(revision, Some(repo.head().as_str()), "{told}\n{name} was built and is not published");
            }
        }
        let wrong = lies_on::wrongs(&runner, &commit.world, &planned.names, (&before, &after));
        assert!(wrong.is_empty(), "{told}\n{wrong:#?}");
        lineage.learn(now, &planned.names, &there, (&before, &after));
    }
}

fn arguments(start: &Start, travels: Travels) -> Vec<String> {
    let mut args = vec!["prepare".to_owned(), format!("--dependents={}", travels.word())];
    if let Start::Named { names, force } = start {
        args.extend(names.iter().map(|name| format!("--dir={name}")));
        args.extend(force.then(|| "--force".to_owned()));
    }
    args
}

/// Whether a complete run of the commit that is checked out moves an image's `head`: not back from what was built later,
/// and with a git tag only from what it follows.
fn moves(repo: &Repo, start: &Start, there: Option<&Head>) -> bool {
    let Some(there) = there.map(|head| head.revision.as_str()) else { return true };
    let is_ancestor =
        |one: &str, other: &str| repo.try_git(&["merge-base", "--is-ancestor", one, other]).status.success();
    let head = repo.head();
    match start {
        _ if there == head => true,
        Start::GitTag => is_ancestor(there, &head),
        _ => !is_ancestor(&head, there),
    }
}

/// What is wrong with a plan.
fn wrongs(
    start: &Start,
    travels: Travels,
    (there, now): (&BTreeMap<String, There>, &Seen),
    planned: &BTreeSet<String>,
    counts: &mut Counts,
) -> Vec<String> {
    let told = |wrong: &[Wrong], was: &Seen, now: &Seen| -> Vec<String> {
        wrong.iter().map(|wrong| format!("{wrong:?}: {}", differences(Some(was), now, wrong.name()))).collect()
    };
    let own_only = travels == Travels::None && !matches!(start, Start::Named { .. });
    let (was, is) = (published_of(there, own_only), now_of(now, own_only));
    let joined = |name: &String| planned.contains(name) && is_needed(name, planned, (there, now));
    let mut wrong = match start {
        Start::Schedule => {
            let names: BTreeSet<String> = now.images.keys().cloned().collect();
            if *planned == names { Vec::new() } else { vec![format!("a schedule builds {names:?}, not {planned:?}")] }
        }
        Start::Named { names, force: true } => {
            let more = planned.difference(names).filter(|name| !joined(name)).map(|name| format!("{name} is needless"));
            names.difference(planned).map(|name| format!("{name} is missed")).chain(more).collect()
        }
        Start::Named { names, force: false } => {
            let asked = |seen: &Seen| -> Seen {
                let images = seen.images.iter().filter(|(name, _)| now.images.contains_key(*name));
                let images = images.filter(|(name, _)| names.contains(*name) || joined(name));
                Seen { images: images.map(|(name, image)| (name.clone(), image.clone())).collect(), ..seen.clone() }
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
    };
    let lacking = now.images.keys().filter(|name| !planned.contains(*name) && is_needed(name, planned, (there, now)));
    wrong.extend(lacking.map(|name| format!("{name} is not planned and not published, but what is built on it is")));
    wrong
}

/// Whether something that is planned is built on an image that is not published for each of its platforms.
fn is_needed(name: &str, planned: &BTreeSet<String>, (there, now): (&BTreeMap<String, There>, &Seen)) -> bool {
    let nowhere = BTreeSet::new();
    let platforms = there.get(name).map_or(&nowhere, |there| &there.platforms);
    let above = now.images.iter().filter(|(above, _)| planned.contains(*above));
    above
        .filter(|(_, image)| others(&image.truth).any(|on| on == name))
        .any(|(_, image)| !image.platforms.is_subset(platforms))
}
