//! What git prints with `-z`: exact bytes, nothing quoted.

use std::collections::HashMap;
use std::io::Read;

use crate::change::{GrowingTree, Mode, Oid, Record, RepoPath, Tree, TreeChange};
use crate::error::{Error, Result};

/// `git ls-tree -r -z --full-tree`: `<mode> <type> <oid>\t<path>\0`, understood while git prints it.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) tree: GrowingTree,
    /// A line that has not ended yet.
    open: Vec<u8>,
}

impl Listing {
    /// How much is asked for at once, in bytes.
    const PIECE: usize = 128 << 10;

    /// Reads on; false at the end.
    pub(super) fn read(&mut self, from: &mut impl Read) -> Result<bool> {
        let length = self.open.len();
        self.open.resize(length + Self::PIECE, 0);
        let read = from.read(&mut self.open[length..]);
        self.open.truncate(length + read.as_ref().copied().unwrap_or_default());
        let read = read.map_err(|error| Error::resource("git ls-tree stopped printing").cause(error))?;
        let ended = memchr::memrchr(0, &self.open[length..]).map_or(0, |at| length + at + 1);
        for (_, line) in lines(&self.open[..ended]) {
            let tab = memchr::memchr(b'\t', line).ok_or_else(unexpected)?;
            let (mode, _, oid) = three_words(line.get(..tab).unwrap_or_default())?;
            let mode = Mode::from_octal(mode).ok_or_else(unexpected)?;
            let oid = Oid::from_hex(oid).ok_or_else(unexpected)?;
            self.tree.push(&line[tab + 1..], mode, oid)?;
        }
        self.open.drain(..ended);
        Ok(read > 0)
    }

    /// The files of all lines.
    pub(super) fn tree(self) -> Result<Tree> {
        if !self.open.is_empty() {
            return Err(unexpected());
        }
        self.tree.finish()
    }
}

/// One entry of the index.
pub(super) struct Staged {
    pub(super) record: Record,
    /// One side of a conflict.
    pub(super) unmerged: bool,
    /// A sparse checkout leaves it out: it counts all the same.
    pub(super) left_out: bool,
}

/// `git ls-files -s -t -z`: `<tag> <mode> <oid> <stage>\t<path>\0`.
pub(super) fn ls_files(buffer: &[u8]) -> Result<Vec<Staged>> {
    lines(buffer)
        .map(|(start, line)| {
            let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(unexpected)?;
            let (status, rest) = line.get(..tab).and_then(|line| line.split_at_checked(2)).ok_or_else(unexpected)?;
            let (mode, oid, stage) = three_words(rest)?;
            let mode = Mode::from_octal(mode).ok_or_else(unexpected)?;
            let oid = Oid::from_hex(oid).ok_or_else(unexpected)?;
            let record = Record { start: start + tab + 1, end: start + line.len(), mode, oid };
            Ok(Staged { record, unmerged: stage != b"0", left_out: status == b"S " })
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
    let ends =
        memchr::memchr_iter(0, buffer).chain((buffer.last().is_some_and(|last| *last != 0)).then_some(buffer.len()));
    ends.map(move |end| {
        let at = std::mem::replace(&mut start, end + 1);
        (at, buffer.get(at..end).unwrap_or_default())
    })
}

fn three_words(line: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let space = |text: &[u8]| memchr::memchr(b' ', text).ok_or_else(unexpected);
    let (first, rest) = line.split_at(space(line)?);
    let (second, third) = rest[1..].split_at(space(&rest[1..])?);
    Ok((first, second, &third[1..]))
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
        // In pieces, as a pipe gives them.
        let mut listing = Listing::default();
        for mut piece in text.chunks(7) {
            listing.read(&mut piece).unwrap();
        }
        let tree = listing.tree().unwrap();
        let paths: Vec<&[u8]> = tree.entries().map(|entry| entry.path).collect();
        assert_eq!(paths, [b"-x".as_slice(), b"a\tb\n\"\xff' "]);
        let mut cut = Listing::default();
        cut.read(&mut text[..text.len() - 1].as_ref()).unwrap();
        assert!(cut.tree().is_err());
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
