//! From a failure to the smallest repository that shows it.

use std::collections::BTreeSet;

use super::files::{File, Files, check_out};
use super::history::{Repository, of_files};
use super::judge::{Counts, Wrong, judge};
use super::oracle::{Image, Oracle};
use super::random::Random;
use super::runs::{Mode, Range, run};
use super::travels::Travels;

/// Steps that are tried at most.
const MOST: usize = 1500;

/// The two checkouts, as small as they get while hephy is wrong in the same way between them; none when it is not
/// wrong with `--base`.
pub(super) fn shrunk(
    oracle: &mut Oracle,
    (base, head): (&Files, &Files),
    wrong: &Wrong,
    travels: Travels,
    registry: bool,
) -> Option<(Files, Files)> {
    let mut steps = 0;
    let mut shows = |base: &Files, head: &Files| {
        steps += 1;
        steps <= MOST && is_wrong(oracle, (base, head), travels, registry).contains(wrong)
    };
    let (mut base, mut head) = (base.clone(), head.clone());
    if !shows(&base, &head) {
        return None;
    }
    loop {
        let size = base.len() + head.len() + length(&base) + length(&head);
        let paths: BTreeSet<Vec<u8>> = base.keys().chain(head.keys()).cloned().collect();
        for path in paths {
            // Without the path; else with the same on both sides; else without one of its lines.
            let without = |files: &Files| {
                let mut files = files.clone();
                files.remove(&path);
                files
            };
            let (less, fewer) = (without(&base), without(&head));
            if shows(&less, &fewer) {
                (base, head) = (less, fewer);
                continue;
            }
            if base.get(&path) != head.get(&path) {
                let mut same = without(&head);
                same.extend(base.get(&path).map(|file| (path.clone(), file.clone())));
                if shows(&base, &same) {
                    head = same;
                }
            }
            let lines: BTreeSet<Vec<u8>> =
                [base.get(&path), head.get(&path)].into_iter().flatten().flat_map(lines).collect();
            for line in lines {
                let (less, fewer) = (without_line(&base, &path, &line), without_line(&head, &path, &line));
                if shows(&less, &fewer) {
                    (base, head) = (less, fewer);
                }
            }
        }
        if base.len() + head.len() + length(&base) + length(&head) == size {
            return Some((base, head));
        }
    }
}

fn without_line(files: &Files, path: &[u8], line: &[u8]) -> Files {
    let mut files = files.clone();
    if let Some(File::Plain(content)) = files.get_mut(path) {
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        *content = lines.filter(|it| *it != line).flatten().copied().collect();
    }
    files
}

fn length(files: &Files) -> usize {
    files.values().map(|file| file.parts().1.len()).sum()
}

fn lines(file: &File) -> Vec<Vec<u8>> {
    match file {
        File::Plain(content) => content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        _ => vec![],
    }
}

/// What is wrong with the plan of these two commits.
pub(super) fn is_wrong(
    oracle: &mut Oracle,
    (base, head): (&Files, &Files),
    travels: Travels,
    registry: bool,
) -> Vec<Wrong> {
    let commits = of_files(vec![base.clone(), head.clone()]);
    let repository = Repository::new(&commits);
    let range = Range { before: 0, head: 1, travels };
    let planned = run(&repository, &commits, Mode::Base, range, &mut Random::new(1), registry);
    let Some(Ok(images)) = planned.map(|planned| planned.images) else { return vec![] };
    let [mut was, mut now] = [base, head].map(|files| {
        let dir = tempfile::TempDir::with_prefix("hephy-model-").unwrap();
        check_out(files, dir.path());
        travels.seen(&oracle.ask(dir.path()))
    });
    // Nobody would know what to make of an example that cannot be built.
    let broken = |image: &Image| !image.broken.is_empty();
    let both = was.images.iter().chain(&now.images).filter(|(_, image)| broken(image));
    let broken: BTreeSet<String> = both.map(|(name, _)| name.clone()).collect();
    was.images.retain(|name, _| !broken.contains(name));
    now.images.retain(|name, _| !broken.contains(name));
    let images = images.into_iter().filter(|name| now.images.contains_key(name)).collect();
    judge(Some(&was), &now, &images, &mut Counts::default())
}

/// Both checkouts, for people.
pub(super) fn shown(base: &Files, head: &Files) -> String {
    let paths: BTreeSet<&Vec<u8>> = base.keys().chain(head.keys()).collect();
    let side = |file: Option<&File>| match file {
        Some(file) => format!("{} {:?}", file.parts().0, String::from_utf8_lossy(file.parts().1)),
        None => "nothing".to_owned(),
    };
    let mut text = String::new();
    for path in paths {
        let (old, new) = (base.get(path), head.get(path));
        let name = path.escape_ascii();
        if old == new {
            text += &format!("    {name}: {}\n", side(old));
        } else {
            text += &format!("  ! {name}: {}\n      now {}\n", side(old), side(new));
        }
    }
    text
}
