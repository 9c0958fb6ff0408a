//! Contents of objects through one `git cat-file --batch`, kept open.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::PathBuf;

use super::Repository;
use super::ahead::Contents;
use super::private::Private;
use crate::change::{Oid, RepoPath};
use crate::error::{Error, Result};
use crate::process::{Dialogue, Gathered, ReaderHandle};

/// A body that nobody wants is read away up to this size; beyond it the process is replaced.
const SKIP_LIMIT: u64 = 8 << 20;

/// Largest commit object that is read.
const COMMIT_LIMIT: u64 = 1 << 20;

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is larger than the limit; this many bytes. Nothing of it was kept.
    TooLarge(u64),
    /// It is not there, or no blob.
    Missing,
}

impl Content {
    fn within(limit: u64, bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        if size > limit { Self::TooLarge(size) } else { Self::Bytes(bytes) }
    }
}

/// A commit as far as anybody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Oid,
    /// Its parents, those beyond the history of a shallow clone included.
    pub parents: Vec<Oid>,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

/// Reads objects. One process serves all questions; answers come in the order of the questions.
#[derive(Debug)]
pub struct Objects<'r> {
    private: &'r Private,
    /// Set where missing blobs of a partial clone may be fetched.
    repo: Option<&'r Repository>,
    dialogue: Option<Dialogue>,
    /// Files of a working tree that no object holds yet.
    files: HashMap<Oid, PathBuf>,
    /// What was read ahead.
    ahead: Contents,
}

/// Hears of an answer: the question's index, and what the object is.
type Take<'t> = &'t mut dyn FnMut(usize, Option<Answer>);

/// So many questions are asked of the process that is there.
const FEW: usize = 256;

struct Answer {
    oid: Oid,
    kind: Vec<u8>,
    content: Content,
}

impl<'r> Objects<'r> {
    pub(super) fn new(private: &'r Private, repo: Option<&'r Repository>) -> Self {
        Self { private, repo, dialogue: None, files: HashMap::new(), ahead: Contents::new() }
    }

    pub(super) const fn private(&self) -> &'r Private {
        self.private
    }

    /// The file of a working tree that holds this, where no object does.
    pub(super) fn file_of(&self, oid: &Oid) -> Option<&PathBuf> {
        self.files.get(oid)
    }

    /// Lets the process go: the next one sees what was fetched meanwhile.
    pub(super) fn restart(&mut self) {
        self.dialogue = None;
    }

    pub(super) fn add_files(&mut self, files: impl IntoIterator<Item = (Oid, PathBuf)>) {
        self.files.extend(files);
    }

    pub(super) fn add_ahead(&mut self, contents: Contents) {
        self.ahead = contents;
    }

    /// The contents of blobs, those over `limit` bytes left out.
    ///
    /// # Errors
    /// When git fails.
    pub fn read_many(&mut self, oids: &[Oid], limit: u64) -> Result<Vec<Content>> {
        let mut contents: Vec<Content> = oids.iter().map(|_| Content::Missing).collect();
        self.each(oids, limit, &mut |index, content| contents[index] = content)?;
        Ok(contents)
    }

    /// Gives the contents of blobs one by one, by their index, those over `limit` bytes left out: git reads on while
    /// one is looked at, and none has to be kept. They come in order, but for what a partial clone lacked.
    ///
    /// # Errors
    /// When git fails.
    pub fn each(&mut self, oids: &[Oid], limit: u64, take: &mut dyn FnMut(usize, Content)) -> Result<()> {
        let files = std::mem::take(&mut self.files);
        let mut ahead: Vec<Option<Vec<u8>>> = oids.iter().map(|oid| self.ahead.get_mut(oid)?.pop()).collect();
        let is_theirs = |index: &usize| ahead[*index].is_none() && !files.contains_key(&oids[*index]);
        let theirs: Vec<usize> = (0..oids.len()).filter(is_theirs).collect();
        let mut next = 0;
        let mut missing = Vec::new();
        let mut take_known = |to: usize, take: &mut dyn FnMut(usize, Content)| {
            for index in std::mem::replace(&mut next, to)..to {
                if let Some(path) = files.get(&oids[index]) {
                    take(index, super::worktree::read_file(path, limit));
                } else if let Some(bytes) = ahead[index].take() {
                    take(index, Content::within(limit, bytes));
                }
            }
        };
        let asked = self.ask(&questions(oids, &theirs), limit, &mut |at, answer| {
            take_known(theirs[at], take);
            match answer {
                Some(answer) if answer.kind == b"blob" => take(theirs[at], answer.content),
                Some(_) => take(theirs[at], Content::Missing),
                None => missing.push(theirs[at]),
            }
        });
        take_known(oids.len(), take);
        self.files = files;
        asked?;
        self.each_missing(oids, &missing, limit, take)
    }

    /// What a partial clone lacks is fetched; what cannot be had stays missing, and is told so by whoever asked.
    fn each_missing(
        &mut self,
        oids: &[Oid],
        missing: &[usize],
        limit: u64,
        take: &mut dyn FnMut(usize, Content),
    ) -> Result<()> {
        let wanted: Vec<Oid> = missing.iter().map(|index| oids[*index]).collect();
        let repo = self.repo.filter(|repo| !missing.is_empty() && repo.is_partial());
        if repo.is_none_or(|repo| super::fetch::blobs(repo, &wanted).is_err()) {
            missing.iter().for_each(|index| take(*index, Content::Missing));
            return Ok(());
        }
        self.restart();
        self.ask(&questions(oids, missing), limit, &mut |at, answer| match answer {
            Some(answer) if answer.kind == b"blob" => take(missing[at], answer.content),
            _ => take(missing[at], Content::Missing),
        })
    }

    /// Where a link leads, for [`crate::change::Located::find`]; none when it cannot be read.
    pub fn read_link(&mut self, oid: Oid) -> Option<Vec<u8>> {
        match self.read_many(&[oid], 4096).ok()?.pop()? {
            Content::Bytes(target) => Some(target),
            _ => None,
        }
    }

    /// The commits that revisions mean; none for those that mean none.
    ///
    /// # Errors
    /// When git fails.
    pub fn commits(&mut self, revisions: &[&str]) -> Result<Vec<Option<Commit>>> {
        // Whatever could be read as several questions, or as an option, is no revision.
        let sound = |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control);
        let questions: Vec<String> =
            revisions.iter().filter(|text| sound(text)).map(|revision| format!("{revision}^{{commit}}")).collect();
        let mut answers = Vec::with_capacity(questions.len());
        self.ask(&questions, COMMIT_LIMIT, &mut |_, answer| answers.push(answer))?;
        let mut answers = answers.into_iter();
        let commit = |revision: &&str| {
            let answer = if sound(revision) { answers.next().flatten()? } else { return None };
            match answer.content {
                Content::Bytes(bytes) if answer.kind == b"commit" => Some(parse_commit(answer.oid, &bytes)),
                _ => None,
            }
        };
        Ok(revisions.iter().map(commit).collect())
    }

    /// Files whose paths are known: their contents by path, in the same order.
    ///
    /// # Errors
    /// When git fails.
    pub fn read_paths(&mut self, tree: &crate::change::Tree, paths: &[RepoPath], limit: u64) -> Result<Vec<Content>> {
        let oids: Vec<Option<Oid>> = paths
            .iter()
            .map(|path| match tree.resolve(&RepoPath::ROOT, path.as_bytes(), &mut |oid| self.read_link(oid)) {
                crate::change::Resolved::File { oid, .. } => Some(oid),
                _ => None,
            })
            .collect();
        let known: Vec<Oid> = oids.iter().flatten().copied().collect();
        let mut contents = self.read_many(&known, limit)?.into_iter();
        Ok(oids.iter().map(|oid| oid.and_then(|_| contents.next()).unwrap_or(Content::Missing)).collect())
    }

    /// Asks all questions and gives each answer with the question's index, in order; none where there is no object.
    fn ask(&mut self, questions: &[String], limit: u64, take: Take<'_>) -> Result<()> {
        let mut answered = 0;
        while let Some(rest) = questions.get(answered..).filter(|rest| !rest.is_empty()) {
            if rest.len() > FEW {
                // A process of its own, which need not hand over each answer by itself.
                let bulk = self.private.local(["cat-file", "--batch", "--buffer"]).dialogue()?;
                let Dialogue { input, mut output } = bulk;
                output.get_mut().expect_much();
                converse(input, &mut output, rest, limit, &mut answered, take).map_err(broken)?;
                continue;
            }
            let mut dialogue = match self.dialogue.take() {
                Some(dialogue) => dialogue,
                None => self.private.local(["cat-file", "--batch"]).dialogue()?,
            };
            let Dialogue { input, output } = &mut dialogue;
            if converse(input, output, rest, limit, &mut answered, take).map_err(broken)? {
                self.dialogue = Some(dialogue);
            }
        }
        Ok(())
    }
}

fn questions(oids: &[Oid], indexes: &[usize]) -> Vec<String> {
    indexes.iter().map(|index| oids[*index].to_string()).collect()
}

/// Asks and listens at the same time, so that neither side waits for the other. False when the process is of no
/// more use, because a body was too large to be read away; what was answered so far counts.
fn converse(
    mut input: impl Write + Send,
    output: &mut BufReader<Gathered<ReaderHandle>>,
    questions: &[String],
    limit: u64,
    answered: &mut usize,
    take: Take<'_>,
) -> std::io::Result<bool> {
    let text = questions.iter().fold(String::new(), |text, question| text + question + "\n");
    std::thread::scope(|scope| {
        // When the listener stops early, the pipe breaks, and that is no failure.
        let asking = scope.spawn(move || input.write_all(text.as_bytes()));
        let mut header = Vec::new();
        for question in questions {
            header.clear();
            output.read_until(b'\n', &mut header)?;
            let Some((oid, kind, size)) = parse_header(&header, question)? else {
                take(*answered, None);
                *answered += 1;
                continue;
            };
            if size > limit {
                take(*answered, Some(Answer { oid, kind, content: Content::TooLarge(size) }));
                *answered += 1;
                if size > SKIP_LIMIT {
                    output.get_ref().get_ref().kill()?;
                    return Ok(false);
                }
                std::io::copy(&mut output.take(size + 1), &mut std::io::sink())?;
                continue;
            }
            let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
            output.read_exact(&mut bytes)?;
            output.read_exact(&mut [0])?;
            take(*answered, Some(Answer { oid, kind, content: Content::Bytes(bytes) }));
            *answered += 1;
        }
        match asking.join() {
            Ok(written) => written.map(|()| true),
            Err(_) => Err(std::io::Error::other("asking git failed")),
        }
    })
}

/// `<oid> <type> <size>`, or none for `<question> missing` and its like.
pub(super) fn parse_header(line: &[u8], question: &str) -> std::io::Result<Option<(Oid, Vec<u8>, u64)>> {
    let line = line.strip_suffix(b"\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    if line.strip_prefix(question.as_bytes()).is_some_and(|rest| matches!(rest, b" missing" | b" ambiguous")) {
        return Ok(None);
    }
    let mut words = line.split(|byte| *byte == b' ');
    let oid = words.next().and_then(Oid::from_hex);
    let kind = words.next().map(<[u8]>::to_vec);
    let size = words.next().and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
    match (oid, kind, size) {
        (Some(oid), Some(kind), Some(size)) => Ok(Some((oid, kind, size))),
        _ => Err(std::io::Error::other("git cat-file answered something else")),
    }
}

fn parse_commit(id: Oid, bytes: &[u8]) -> Commit {
    let mut commit = Commit { id, parents: Vec::new(), time: 0 };
    for line in bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
        if let Some(parent) = line.strip_prefix(b"parent ").and_then(Oid::from_hex) {
            commit.parents.push(parent);
        } else if let Some(who) = line.strip_prefix(b"committer ") {
            let seconds = who.rsplit(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
            commit.time = seconds.and_then(|word| word.parse().ok()).unwrap_or_default();
        }
    }
    commit
}

pub(super) fn broken(error: std::io::Error) -> Error {
    Error::resource("git cat-file stopped answering")
        .cause(error)
        .hint("git fsck says whether the repository is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_cat_file_are_told_apart() {
        let id = "a".repeat(40);
        let header = parse_header(format!("{id} blob 12\n").as_bytes(), &id).unwrap();
        assert_eq!(header.map(|(oid, kind, size)| (oid.to_string(), kind, size)), Some((id, b"blob".to_vec(), 12)));
        assert!(parse_header(b"main^{commit} missing\n", "main^{commit}").unwrap().is_none());
        assert!(parse_header(b"", "x").is_err());
        assert!(parse_header(b"nonsense\n", "x").is_err());
    }

    #[test]
    fn a_commits_parents_and_time_are_read_from_its_header_only() {
        let id = Oid::from_hex("b".repeat(40).as_bytes()).unwrap();
        let text =
            format!("tree {id}\nparent {id}\nauthor A <a> 1 +0000\ncommitter A <a> 1700000000 +0200\n\nparent {id}\n");
        assert_eq!(parse_commit(id, text.as_bytes()), Commit { id, parents: vec![id], time: 1_700_000_000 });
    }
}
