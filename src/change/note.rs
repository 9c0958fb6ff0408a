//! What each file means to an image, and the rule that decided: what `--explain` shows.

use std::collections::{BTreeMap, BTreeSet};

use super::content::entries;
use super::key::{Keyed, never_counts};
use super::oid::{Mode, Oid};
use super::path::{RepoPath, stretch};
use super::reach::CopySource;
use super::tree::{Tree, TreeChange, is_own_output};
use crate::diagnostic::escape_cut;
use crate::ignorefile::Walk;

/// What happened to one file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileNote {
    /// Added, modified, deleted, or without effect.
    pub status: FileStatus,
    /// Path relative to the repository's root.
    pub path: RepoPath,
    /// What it held.
    pub old: Option<Oid>,
    /// What it holds.
    pub new: Option<Oid>,
    /// Why it has no effect, or this one.
    pub why: Option<String>,
    /// The pattern that decided, as it was written.
    pub rule: Option<String>,
    /// The file that the rule stands in.
    pub file: Option<String>,
    /// Its line there.
    pub line: Option<usize>,
    /// The list of the configuration that the rule is of: whoever has its places adds file and line.
    #[serde(skip)]
    pub list: Option<RuleKind>,
}

/// A list of globs of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// `ignore`.
    Ignore,
    /// `watch`.
    Watch,
}

/// The letter in front of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// `A`: it counts now, and did not.
    Added,
    /// `M`: it is another one.
    Modified,
    /// `D`: it counted, and does not now.
    Deleted,
    /// `=`: it differs, and does not count.
    LeftOut,
}

impl FileStatus {
    /// The letter.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
            Self::LeftOut => '=',
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "changed",
            Self::Deleted => "deleted",
            Self::LeftOut => "does not count",
        }
    }
}

/// Every file in reach of an image that differs between two trees, those without effect included, for an image that is
/// built and for one that is not. Sorted by path.
#[must_use]
pub fn file_notes(head: (&Tree, &Keyed), base: (&Tree, &Keyed), changes: &[TreeChange]) -> Vec<FileNote> {
    let mut notes: Vec<FileNote> = if same_rules(head.1, base.1) {
        candidates(head.1, base.1, changes).filter_map(|change| note(change, head.1, base.1)).collect()
    } else {
        // Another context or other rules: files may come and go without having changed.
        let (old, new) = (everything(base), everything(head));
        let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let change = |path: &&RepoPath| TreeChange {
            path: (*path).clone(),
            old: old.get(*path).copied(),
            new: new.get(*path).copied(),
        };
        paths.iter().filter_map(|path| note(&change(path), head.1, base.1)).collect()
    };
    notes.sort_by(|a, b| a.path.cmp(&b.path));
    notes.dedup();
    notes
}

/// Directories that came or went with files that do not count themselves.
pub(super) fn of_empty_directories(notes: &[FileNote]) -> Vec<FileNote> {
    let mut found: Vec<FileNote> = Vec::new();
    for note in notes.iter().filter(|note| note.status == FileStatus::LeftOut && note.line.is_some()) {
        let status = match (note.old, note.new) {
            (None, Some(_)) => FileStatus::Added,
            (Some(_), None) => FileStatus::Deleted,
            _ => continue,
        };
        let why = Some("a directory that the build sees, without what is left out of it".to_owned());
        let path = note.path.parent();
        if !found.iter().any(|known| known.path == path) {
            found.push(FileNote { status, path, why, old: None, new: None, ..note.clone() });
        }
    }
    found
}

fn same_rules(one: &Keyed, other: &Keyed) -> bool {
    let context = |keyed: &Keyed| keyed.located.as_ref().map(|located| located.context.clone());
    let ignoring = |keyed: &Keyed| {
        let files = keyed.reach.ignoring.iter();
        files.map(|ignoring| (ignoring.dialect, ignoring.oid)).collect::<Vec<_>>()
    };
    context(one) == context(other)
        && one.config.ignore == other.config.ignore
        && one.config.watch == other.config.watch
        && one.reach.sources == other.reach.sources
        && ignoring(one) == ignoring(other)
}

fn named_paths(keyed: &Keyed) -> impl Iterator<Item = &RepoPath> {
    let located = keyed.located.iter().flat_map(|located| located.named_paths());
    located.chain(&keyed.reach.links)
}

/// Sources of `COPY` beside the context.
fn strays(keyed: &Keyed) -> impl Iterator<Item = &CopySource> {
    keyed.reach.sources.iter().flatten().filter(|_| keyed.reach.strays)
}

fn everything((tree, keyed): (&Tree, &Keyed)) -> BTreeMap<RepoPath, (Mode, Oid)> {
    let context = keyed.located.as_ref().and_then(|located| located.context_dir().cloned());
    let inside = context.iter().flat_map(|context| tree.under(context));
    let named = named_paths(keyed).filter_map(|path| tree.get(path.as_bytes()));
    let strays = strays(keyed).flat_map(|source| entries(tree, &source.path));
    let mut watched = Vec::new();
    keyed.watch.each(tree, &mut |entry| watched.push(entry));
    let all = inside.chain(named).chain(strays).chain(watched);
    all.map(|entry| (RepoPath::new(entry.path), (entry.mode, entry.oid))).collect()
}

fn candidates<'c>(head: &Keyed, base: &Keyed, changes: &'c [TreeChange]) -> impl Iterator<Item = &'c TreeChange> {
    let below = |path: &RepoPath| stretch(changes, path, |change, bound| change.path.as_bytes() < bound);
    let context = head.located.as_ref().and_then(|located| located.context_dir());
    let mut found: BTreeSet<usize> = context.map_or(0..0, below).collect();
    for keyed in [head, base] {
        for path in named_paths(keyed).chain(strays(keyed).map(|source| &source.path)) {
            found.extend(changes.binary_search_by(|change| change.path.cmp(path)).ok());
        }
        found.extend(strays(keyed).flat_map(|source| below(&source.path)));
        if !keyed.config.watch.is_empty() {
            let watched = |at: &usize| keyed.watch.matching(changes[*at].path.as_bytes()).is_some();
            found.extend((0..changes.len()).filter(watched));
        }
    }
    found.into_iter().filter_map(|at| changes.get(at))
}

/// What one path means to an image; none when it means nothing on either side.
fn note(change: &TreeChange, head: &Keyed, base: &Keyed) -> Option<FileNote> {
    let path = change.path.as_bytes();
    let (now, was) = (meaning(path, head), meaning(path, base));
    let counts = |side: &Meaning, file: Option<(Mode, Oid)>| file.filter(|_| matches!(side, Meaning::Counts(_)));
    let (old, new) = (counts(&was, change.old), counts(&now, change.new));
    let status = match (old, new) {
        (None, Some(_)) => FileStatus::Added,
        (Some(_), None) => FileStatus::Deleted,
        (Some(old), Some(new)) if old != new => FileStatus::Modified,
        (Some(_), Some(_)) => return None,
        (None, None) if change.old == change.new => return None,
        (None, None) => FileStatus::LeftOut,
    };
    let moded = old.map(|side| side.1) == new.map(|side| side.1);
    let rule = match (status, now, was) {
        (FileStatus::LeftOut, Meaning::LeftOut(rule), _) | (FileStatus::LeftOut, _, Meaning::LeftOut(rule)) => rule,
        (FileStatus::LeftOut, ..) => return None,
        (FileStatus::Deleted, Meaning::LeftOut(rule), _) if change.new.is_some() => {
            Rule { why: rule.why.map(|why| format!("now {why}")), ..rule }
        }
        (FileStatus::Modified, ..) if moded => {
            Rule { why: Some("only the mode changed".to_owned()), ..Rule::default() }
        }
        (_, Meaning::Counts(rule), _) if change.new.is_some() => rule,
        (_, _, Meaning::Counts(rule)) => rule,
        _ => Rule::default(),
    };
    Some(FileNote {
        status,
        path: change.path.clone(),
        old: change.old.map(|(_, oid)| oid),
        new: change.new.map(|(_, oid)| oid),
        why: rule.why,
        rule: rule.pattern,
        file: rule.file,
        line: rule.line,
        list: rule.list,
    })
}

/// The rule that decided on a path.
#[derive(Default)]
struct Rule {
    why: Option<String>,
    pattern: Option<String>,
    file: Option<String>,
    line: Option<usize>,
    list: Option<RuleKind>,
}

enum Meaning {
    Counts(Rule),
    LeftOut(Rule),
    Elsewhere,
}

fn meaning(path: &[u8], keyed: &Keyed) -> Meaning {
    if named_paths(keyed).any(|named| named.as_bytes() == path) {
        return Meaning::Counts(Rule::default());
    }
    if let Some(pattern) = keyed.watch.matching(path).filter(|_| !is_own_output(path)) {
        return Meaning::Counts(Rule {
            why: Some(format!("watched ({})", escape_cut(pattern, 80))),
            pattern: Some(pattern.to_owned()),
            list: Some(RuleKind::Watch),
            ..Rule::default()
        });
    }
    let context = keyed.located.as_ref().and_then(|located| located.context_dir());
    let stray = strays(keyed).any(|source| source.path.holds(path));
    let Some(context) = context.filter(|context| stray || context.holds(path)) else { return Meaning::Elsewhere };
    if never_counts(path) {
        return Meaning::LeftOut(Rule { why: Some("never counts".to_owned()), ..Rule::default() });
    }
    if let Some(pattern) = keyed.ignore.matching(path) {
        return Meaning::LeftOut(Rule {
            why: Some(format!("excluded by ignore ({})", escape_cut(pattern, 80))),
            pattern: Some(pattern.to_owned()),
            list: Some(RuleKind::Ignore),
            ..Rule::default()
        });
    }
    let whole = [CopySource { path: context.clone(), filtered: true, direct: false }];
    let sources = keyed.reach.sources.as_deref().unwrap_or(&whole);
    let mut holding = sources.iter().filter(|source| source.path.holds(path)).peekable();
    let read = holding.peek().is_some();
    let mut out = None;
    for source in holding {
        out = excluded(path, context, source, keyed);
        if out.is_none() {
            return Meaning::Counts(Rule::default());
        }
    }
    if let Some(rule) = out.or_else(|| excluded(path, context, &whole[0], keyed)) {
        return Meaning::LeftOut(rule);
    }
    let dockerfile = keyed.located.as_ref().and_then(|located| located.dockerfile_blob());
    match dockerfile {
        Some((dockerfile, _)) if !read => {
            let file = dockerfile.to_string();
            Meaning::LeftOut(Rule { why: Some(format!("not copied by {file}")), file: Some(file), ..Rule::default() })
        }
        _ => Meaning::Counts(Rule::default()),
    }
}

/// Whether a path may reach the build of an image, by what is known of one side alone. A file that an ignore file leaves
/// out may have been the only trace of its directory.
pub(super) fn may_reach(path: &[u8], keyed: &Keyed, tree: &Tree) -> bool {
    let counts = |path: &[u8]| matches!(meaning(path, keyed), Meaning::Counts(_));
    match meaning(path, keyed) {
        Meaning::Counts(_) => true,
        Meaning::LeftOut(rule) if rule.line.is_some() && rule.list.is_none() => {
            !tree.under(&RepoPath::new(path).parent()).any(|entry| counts(entry.path))
        }
        Meaning::LeftOut(_) | Meaning::Elsewhere => false,
    }
}

/// The line of an ignore file that leaves a path of a source out.
fn excluded(path: &[u8], context: &RepoPath, source: &CopySource, keyed: &Keyed) -> Option<Rule> {
    let ignoring = &keyed.reach.ignoring;
    let files: Vec<_> = ignoring.iter().filter(|_| source.filtered).map(|ignoring| ignoring.file.as_ref()).collect();
    if files.is_empty() {
        return None;
    }
    let below = if source.path == *context { b"" } else { context.relative(source.path.as_bytes())? };
    let mut walk = Walk::new(&files, below, source.direct);
    let out = walk.file(context.relative(path)?, &mut |_| {})?;
    let holder = ignoring.iter().find(|ignoring| std::ptr::eq(ignoring.file.as_ref(), out.file))?;
    let (file, text) = (holder.path.to_string(), out.file.line(out.line));
    Some(Rule {
        why: Some(format!("excluded by {file}:{} ({})", out.line, escape_cut(&text, 80))),
        pattern: Some(text.into_owned()),
        file: Some(file),
        line: Some(out.line),
        list: None,
    })
}
