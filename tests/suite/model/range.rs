//! The `range` comparison.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::features::{self, FEATURES};
use super::files::check_out;
use super::generate::Limits;
use super::history::{Commit, Repository, history};
use super::judge::{Counts, differences, judge};
use super::oracle::{Oracle, Seen};
use super::random::Random;
use super::runs::{MODES, Range, run};
use super::setting;
use super::shrink::{shown, shrunk};
use super::travels::Travels;

/// Cases that every run of the suite makes.
const CASES: u64 = 40;
/// Comparisons of a case.
const COMPARISONS: usize = 8;

#[test]
fn an_image_is_in_the_plan_if_and_only_if_what_it_is_built_from_changed() {
    let first = setting("HEPHY_MODEL_SEED").or(setting("HEPHY_MODEL_FIRST")).unwrap_or(1);
    let count = if setting("HEPHY_MODEL_SEED").is_some() { 1 } else { setting("HEPHY_MODEL_CASES").unwrap_or(CASES) };
    let next = AtomicU64::new(first);
    let (total, failures) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut oracle = Oracle::start();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // A handful of failures is enough to know.
                    if seed >= first + count || failures.lock().unwrap().len() > 5 {
                        break;
                    }
                    let (counts, failure) = case(seed, &mut oracle);
                    total.lock().unwrap().add(&counts);
                    failures.lock().unwrap().extend(failure);
                }
            });
        }
    });
    let (total, failures) = (total.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{total:#?}");
    assert!(failures.is_empty(), "{} failures:\n\n{}", failures.len(), failures.join("\n\n"));
    // The generator must not wither: both answers, every mode, and little that cannot be built.
    if count >= CASES {
        assert!(total.built > total.images / 10 && total.left_alone > total.images / 10, "{total:#?}");
        assert_eq!(total.modes.len(), MODES.len(), "{total:#?}");
        assert_eq!(total.features.len(), FEATURES.len(), "{total:#?}");
        assert!(total.refused * 10 < total.plans && total.broken * 10 < total.images, "{total:#?}");
        assert!(total.declared_left_out > 0, "{total:#?}");
    }
}

/// One repository; gives what was looked at, and what is wrong.
fn case(seed: u64, oracle: &mut Oracle) -> (Counts, Option<String>) {
    let mut random = Random::new(seed);
    let limits = Limits { registry: random.chance(40), bases: true, images: 1 + random.below(12), ..Limits::default() };
    let length = 3 + random.below(5);
    let commits = history(&mut random, limits, length);
    let repository = Repository::new(&commits);
    let mut checkouts = Checkouts { commits: &commits, seen: BTreeMap::new() };
    let mut counts = Counts::default();
    commits.iter().flat_map(features::of).for_each(|name| *counts.features.entry(name).or_default() += 1);
    for _ in 0..COMPARISONS {
        let (mode, name) = MODES[random.below(MODES.len())];
        let travels = Travels::random(&mut random);
        let range = Range { before: random.below(length), head: random.below(length), travels };
        let Some(planned) = run(&repository, &commits, mode, range, &mut random, limits.registry) else { continue };
        *counts.modes.entry(name).or_default() += 1;
        *counts.travels.entry(travels.word()).or_default() += 1;
        let base = planned.base.map(|base| travels.seen(checkouts.of(oracle, base)));
        let head = &travels.seen(checkouts.of(oracle, range.head));
        let told = format!("seed {seed}: {name} {range:?}, base {:?}", planned.base);
        match planned.images {
            Ok(images) => {
                let wrong = judge(base.as_ref(), head, &images, &mut counts);
                if let Some(wrong) = wrong.first() {
                    let differences = differences(base.as_ref(), head, wrong.name());
                    let steps: Vec<String> = commits
                        .iter()
                        .enumerate()
                        .map(|(at, it)| format!("  {at} on {:?}: {}", it.parents, it.what))
                        .collect();
                    let small = planned.base.and_then(|base| {
                        let sides = (&commits[base].files, &commits[range.head].files);
                        shrunk(oracle, sides, wrong, travels, limits.registry)
                    });
                    let small = small.map_or_else(
                        || format!("(not with --base alone, mode {mode:?})\n"),
                        |(base, head)| shown(&base, &head),
                    );
                    let steps = steps.join("\n");
                    return (counts, Some(format!("{told}\n{wrong:?}: {differences}\n{steps}\nsmallest:\n{small}")));
                }
            }
            Err(said) if head.images.values().any(|image| !image.broken.is_empty()) => {
                counts.refused += 1;
                drop(said);
            }
            Err(said) => return (counts, Some(format!("{told}\nhephy refused what can be built:\n{said}"))),
        }
    }
    (counts, None)
}

/// What the oracle says of each commit, asked once.
struct Checkouts<'a> {
    commits: &'a [Commit],
    seen: BTreeMap<usize, Seen>,
}

impl Checkouts<'_> {
    fn of(&mut self, oracle: &mut Oracle, commit: usize) -> &Seen {
        self.seen.entry(commit).or_insert_with(|| {
            let dir = tempfile::TempDir::with_prefix("hephy-model-").unwrap();
            check_out(&self.commits[commit].files, dir.path());
            oracle.ask(dir.path())
        })
    }
}
