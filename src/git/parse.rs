//! What git prints with `-z`: exact bytes, nothing quoted.

use std::collections::HashMap;

use crate::change::{Mode, Oid, Record, RepoPath, Tree, TreeChange};
use crate::error::{Error, Result};

/// `git ls-tree -r -z --full-tree`: `<mode> <type> <oid>\t<path>\0`.
pub(super) fn ls_tree(buffer: Vec<u8>) -> Result<Tree> {
    let mut records = Vec::with_capacity(buffer.len() / 96);
    for (start, line) in lines(&buffer) {
        let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(unexpected)?;
        let (mode, _, oid) = three_words(line.get(..tab).unwrap_or_default())?;
        let mode = Mode::from_octal(mode).ok_or_else(unexpected)?;
        let oid = Oid::from_hex(oid).ok_or_else(unexpected)?;
        records.push(Record { start: start + tab + 1, end: start + line.len(), mode, oid });
    }
    Tree::new(buffer, records)
}

/// One entry of the index.
pub(super) struct Staged {
    pub(super) record: Record,
    /// One side of a conflict.
    pub(super) unmerged: bool,
}

/// `git ls-files -s -z`: `<mode> <oid> <stage>\t<path>\0`.
pub(super) fn ls_files(buffer: &[u8]) -> Result<Vec<Staged>> {
    lines(buffer)
        .map(|(start, line)| {
            let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(unexpected)?;
            let (mode, oid, stage) = three_words(line.get(..tab).unwrap_or_default())?;
            let mode = Mode::from_octal(mode).ok_or_else(unexpected)?;
            let oid = Oid::from_hex(oid).ok_or_else(unexpected)?;
            let record = Record { start: start + tab + 1, end: start + line.len(), mode, oid };
            Ok(Staged { record, unmerged: stage != b"0" })
        })
        .collect()
}

/// `git diff-tree -r -z --raw --no-renames`: `:<mode> <mode> <oid> <oid> <status>\0<path>\0`, sorted by path.
pub(super) fn raw_diff(buffer: &[u8]) -> Result<Vec<TreeChange>> {
    let mut changes = Vec::new();
    let mut fields = lines(buffer).map(|(_, field)| field);
    while let Some(head) = fields.next() {
        let path = fields.next().ok_or_else(unexpected)?;
        let mut words = head.strip_prefix(b":").ok_or_else(unexpected)?.split(|byte| *byte == b' ');
        let mut word = || words.next().ok_or_else(unexpected);
        let (old_mode, new_mode, old, new) = (word()?, word()?, word()?, word()?);
        let side = |mode: &[u8], oid: &[u8]| Some((Mode::from_octal(mode)?, Oid::from_hex(oid)?));
        let change = TreeChange { path: RepoPath::new(path), old: side(old_mode, old), new: side(new_mode, new) };
        // A change between two spellings of the same mode is none.
        if change.old != change.new {
            changes.push(change);
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// `git diff-files -z --raw`: the paths whose file differs from the index, false where it is gone.
pub(super) fn differing_files(buffer: &[u8]) -> Result<HashMap<Vec<u8>, bool>> {
    let mut paths = HashMap::new();
    let mut fields = lines(buffer).map(|(_, field)| field);
    while let Some(head) = fields.next() {
        let path = fields.next().ok_or_else(unexpected)?;
        paths.insert(path.to_vec(), !head.ends_with(b"D"));
    }
    Ok(paths)
}

/// Paths ended by NUL.
pub(super) fn paths(buffer: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(buffer).map(|(_, path)| path)
}

/// The stretches before each NUL, with the place where they start. What git cut short lacks its NUL; callers check
/// the exit status.
fn lines(buffer: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    buffer.split_inclusive(|byte| *byte == 0).map(move |line| {
        let at = start;
        start += line.len();
        (at, line.strip_suffix(b"\0").unwrap_or(line))
    })
}

fn three_words(line: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(a), Some(b), Some(c)) => Ok((a, b, c)),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> Error {
    Error::internal("git printed something that it does not print")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_but_nul_may_stand_in_a_path() {
        let oid = "a".repeat(40);
        let mut text = format!("100644 blob {oid}\t").into_bytes();
        text.extend_from_slice(b"a\tb\n\"\xff' \0");
        text.extend_from_slice(format!("120000 blob {oid}\t-x\0").as_bytes());
        let tree = ls_tree(text).unwrap();
        let paths: Vec<&[u8]> = tree.entries().map(|entry| entry.path).collect();
        assert_eq!(paths, [b"-x".as_slice(), b"a\tb\n\"\xff' "]);
    }

    #[test]
    fn raw_diffs_give_both_sides() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let text = format!(
            ":100644 100755 {a} {a} M\0z\0:000000 100644 {none} {b} A\0n\0:160000 000000 {a} {none} D\0s\0\
             :100664 100644 {a} {a} M\0same\0"
        );
        let changes = raw_diff(text.as_bytes()).unwrap();
        let sides: Vec<_> = changes
            .iter()
            .map(|change| (change.path.to_string(), change.old.is_some(), change.new.is_some()))
            .collect();
        assert_eq!(sides, [("n".into(), false, true), ("s".into(), true, false), ("z".into(), true, true)]);
        assert!(raw_diff(b":100644").is_err());
    }
}
