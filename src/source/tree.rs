//! What a commit holds: the entries of its tree, and their bytes as committed.

use std::io::{BufRead as _, BufReader, Read};

use super::fetch::Repository;
use super::git::Git;
use super::limits::{self, MAX_ENTRIES, MAX_NAMES};
use crate::error::{Error, ErrorKind, Result};

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Executable,
    Link,
    /// A commit of another repository.
    Submodule,
}

/// One entry, directories included, in git's order: a directory stands before what is in it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    /// Object id.
    pub id: String,
    /// Path relative to the root, any bytes.
    pub path: Vec<u8>,
}

/// Lists a commit's tree. Nothing about it is believed but the objects themselves.
pub(super) fn list(git: &Git, repository: &Repository) -> Result<Vec<Entry>> {
    let command =
        git.inside(&repository.git_dir).args(["ls-tree", "-r", "-t", "-z", "--full-tree", &repository.commit]);
    let mut reader = BufReader::new(command.reader()?);
    let mut entries = Vec::new();
    let mut record = Vec::new();
    let mut names = 0;
    loop {
        record.clear();
        // A hostile tree can have names of any length; the limit keeps one record in memory small.
        let limit = limits::MAX_PATH as u64 + 200;
        let read = reader.by_ref().take(limit).read_until(0, &mut record).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        entries.push(parse(&record)?);
        names += record.len();
        if names > MAX_NAMES {
            return Err(refused(format!("more than {} MiB of names", MAX_NAMES >> 20)));
        }
        if entries.len() > MAX_ENTRIES {
            return Err(refused(format!("more than {MAX_ENTRIES} files and directories")));
        }
    }
    Ok(entries)
}

/// `<mode> <type> <id>\t<path>\0`, as git-ls-tree(1) prints it.
fn parse(record: &[u8]) -> Result<Entry> {
    let Some(record) = record.strip_suffix(&[0]) else {
        return Err(refused(format!("a path of more than {} bytes", limits::MAX_PATH)));
    };
    let tab = record.iter().position(|byte| *byte == b'\t').unwrap_or(record.len());
    let (head, path) = record.split_at(tab);
    let path = path.get(1..).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let mut fields = head.split(' ');
    let (mode, _, id) = (fields.next(), fields.next(), fields.next());
    let (Some(mode), Some(id)) = (mode, id) else {
        return Err(Error::internal(format!("git ls-tree printed `{}`", limits::shown(record))));
    };
    let kind = match mode {
        "040000" => Kind::Directory,
        "100755" => Kind::Executable,
        "120000" => Kind::Link,
        "160000" => Kind::Submodule,
        mode if mode.starts_with("100") => Kind::File,
        mode => return Err(refused(format!("`{}` with the mode {mode}", limits::shown(path)))),
    };
    limits::check_path(path).map_err(|rule| refused(format!("{rule}: `{}`", limits::shown(path))))?;
    if path.split(|byte| *byte == b'/').any(|part| part.eq_ignore_ascii_case(b".git")) {
        return Err(refused(format!("`{}`, which git never commits", limits::shown(path))));
    }
    Ok(Entry { kind, id: id.to_owned(), path: path.to_vec() })
}

/// A tree that no archive is made of.
pub(super) fn refused(what: String) -> Error {
    Error::new(ErrorKind::CloneError, format!("the upstream holds {what}"))
        .hint("an archive that could not be unpacked safely is not made; the upstream has to change")
}

fn unreadable(error: std::io::Error) -> Error {
    Error::internal("git's output could not be read").cause(error)
}

/// Objects of a repository, one after the other in the order in which they were asked for.
pub(super) struct Objects<R> {
    reader: BufReader<R>,
}

/// Opens a commit and then the blobs of `entries`; directories and submodules are left out.
pub(super) fn open(git: &Git, repository: &Repository, entries: &[Entry]) -> Result<Objects<impl Read + use<>>> {
    let mut wanted = repository.commit.clone() + "\n";
    for entry in entries.iter().filter(|entry| entry.kind.has_bytes()) {
        wanted.push_str(&entry.id);
        wanted.push('\n');
    }
    let command = git.inside(&repository.git_dir).args(["cat-file", "--batch", "--buffer"]).stdin(wanted);
    Ok(Objects { reader: BufReader::with_capacity(128 * 1024, command.reader()?) })
}

impl Kind {
    /// Whether the entry is a blob.
    pub(super) fn has_bytes(self) -> bool {
        matches!(self, Self::File | Self::Executable | Self::Link)
    }
}

impl<R: Read> Objects<R> {
    /// Goes to the next object, which must be `id`, and gives its size. Its bytes follow in [`bytes`](Self::bytes).
    pub(super) fn next(&mut self, id: &str, wanted: &str) -> Result<u64> {
        let mut line = Vec::new();
        self.reader.by_ref().take(200).read_until(b'\n', &mut line).map_err(unreadable)?;
        let line = String::from_utf8_lossy(&line);
        let mut fields = line.trim_end().split(' ');
        let found = (fields.next(), fields.next(), fields.next().and_then(|size| size.parse().ok()));
        match found {
            (Some(name), Some(kind), Some(size)) if name == id && kind == wanted => Ok(size),
            _ => Err(Error::new(ErrorKind::CloneError, format!("object {id} of the upstream cannot be read"))
                .cause(anyhow::anyhow!("git cat-file printed `{}`", limits::shown(line.as_bytes())))
                .hint("the server sent an incomplete repository; try again, and look at it with git fsck")),
        }
    }

    /// The bytes of the object that [`next`](Self::next) went to.
    pub(super) fn bytes(&mut self, size: u64) -> impl Read {
        self.reader.by_ref().take(size)
    }

    /// The whole object in memory; for those whose size was looked at.
    pub(super) fn read(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.bytes(size).read_to_end(&mut bytes).map_err(unreadable)?;
        self.end()?;
        Ok(bytes)
    }

    /// After the last byte of an object.
    pub(super) fn end(&mut self) -> Result<()> {
        let mut newline = [0; 1];
        self.reader.read_exact(&mut newline).map_err(unreadable)
    }
}

/// The committer's time in seconds since 1970 (git-commit-tree(1): `committer NAME <MAIL> SECONDS ZONE`), within what a
/// tar header can hold; 0 for a commit without a readable one.
pub(super) fn commit_time(commit: &[u8]) -> u64 {
    let header = commit.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let committer = header.into_iter().find_map(|line| line.strip_prefix(b"committer "));
    let text = String::from_utf8_lossy(committer.unwrap_or_default());
    let seconds = text.rsplit(' ').nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    // Eleven octal digits.
    u64::min(seconds, (1 << 33) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_and_hostile_ones_refused() {
        let id = "1".repeat(40);
        let record = |mode: &str, path: &[u8]| [format!("{mode} blob {id}\t").as_bytes(), path, b"\0"].concat();
        for (mode, kind) in [
            ("100644", Kind::File),
            ("100664", Kind::File),
            ("100755", Kind::Executable),
            ("120000", Kind::Link),
            ("040000", Kind::Directory),
            ("160000", Kind::Submodule),
        ] {
            let entry = parse(&record(mode, b"a\tb\n\xff")).unwrap();
            assert_eq!((entry.kind, entry.path.as_slice()), (kind, b"a\tb\n\xff".as_slice()));
        }
        for path in [b"../x".as_slice(), b"/x", b"a/.git/config", b".GIT/hooks/x", b"a//b", b""] {
            assert!(parse(&record("100644", path)).is_err(), "{}", limits::shown(path));
        }
        assert!(parse(&record("140000", b"socket")).is_err());
        assert!(parse(b"100644 blob 1\tno end").is_err());
    }

    #[test]
    fn the_time_is_the_committers() {
        let commit = b"tree 1\nauthor A <a> 5 +0000\ncommitter C <c@d> 1700000000 +0200\n\ncommitter X <x> 7 +0000\n";
        assert_eq!(commit_time(commit), 1_700_000_000);
        assert_eq!(commit_time(b"tree 1\ncommitter C <c> 99999999999999 +0000\n\n"), (1 << 33) - 1);
        assert_eq!(commit_time(b"tree 1\ncommitter C <c> -5 +0000\n\n"), 0);
        assert_eq!(commit_time(b""), 0);
    }
}
