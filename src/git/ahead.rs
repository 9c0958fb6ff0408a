//! Contents that everybody asks for, read while git still lists the tree: the two processes share the machine, and the
//! second one has answered when the listing is complete.
//!
//! Only a saving: what is not read here, for whatever reason, is asked for later.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use super::objects::parse_header;
use crate::change::{Mode, Oid};

/// Most bytes of contents that are kept.
const MAX_BYTES: u64 = 64 << 20;
/// For fewer questions the process that answers others will do.
const MANY: usize = 256;

/// Which files are read ahead.
#[derive(Clone, Copy, Debug)]
pub struct ReadAhead<'a> {
    /// A file of this name is.
    pub name: &'a str,
    /// And those of these names in the same directory.
    pub beside: &'a [&'a str],
    /// Files with more bytes are not.
    pub limit: u64,
}

/// What was read, once for each time that it was listed.
pub(super) type Contents = HashMap<Oid, Vec<Vec<u8>>>;

/// What a listing names, as questions for `git cat-file --batch`.
pub(super) struct Asking<'a, W> {
    wanted: ReadAhead<'a>,
    listener: Listener<W>,
    /// Files of directories in which the one that makes them count was not listed yet.
    waiting: HashMap<Vec<u8>, Vec<Oid>>,
    questions: Vec<Oid>,
}

enum Listener<W> {
    NotStarted,
    Listens(W),
    Gone,
}

impl<'a, W: Write> Asking<'a, W> {
    pub(super) fn new(wanted: ReadAhead<'a>) -> Self {
        Self { wanted, listener: Listener::NotStarted, waiting: HashMap::new(), questions: Vec::new() }
    }

    /// Hears of a file. Names that sort behind the first one of its directory are left to be asked for later.
    pub(super) fn listed(&mut self, path: &[u8], mode: Mode, oid: Oid) {
        let at = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        let (dir, name) = path.split_at(at);
        let is = |wanted: &str| wanted.as_bytes() == name;
        if !mode.is_file() {
        } else if is(self.wanted.name) {
            let beside = self.waiting.remove(dir).unwrap_or_default();
            self.questions.extend(beside.into_iter().chain([oid]));
        } else if self.wanted.beside.iter().any(|wanted| is(wanted)) {
            self.waiting.entry(dir.to_vec()).or_default().push(oid);
        }
    }

    /// Passes on what has gathered; `start` gives who listens, once there is much to ask.
    pub(super) fn flush(&mut self, start: impl FnOnce() -> Option<W>) {
        if matches!(self.listener, Listener::NotStarted) && self.questions.len() >= MANY {
            self.listener = start().map_or(Listener::Gone, Listener::Listens);
        }
        if let Listener::Listens(input) = &mut self.listener {
            let text = self.questions.iter().fold(String::new(), |text, oid| text + &oid.to_string() + "\n");
            if input.write_all(text.as_bytes()).is_err() {
                self.listener = Listener::Gone;
            }
        }
        if !matches!(self.listener, Listener::NotStarted) {
            self.questions.clear();
        }
    }
}

/// Reads the answers to the end, as far as they can be understood and are not too much.
pub(super) fn answers(mut output: impl BufRead, limit: u64) -> Contents {
    let mut contents = Contents::new();
    let mut kept = 0;
    let mut header = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut header) {
        let line = std::mem::take(&mut header);
        if line.ends_with(b" missing\n") {
            continue;
        }
        let Ok(Some((oid, kind, size))) = parse_header(&line, "") else { break };
        kept += size;
        if size > limit || kept > MAX_BYTES {
            break;
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        if output.read_exact(&mut bytes).and_then(|()| output.read_exact(&mut [0])).is_err() {
            break;
        }
        if kind == b"blob" {
            contents.entry(oid).or_default().push(bytes);
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: ReadAhead<'static> = ReadAhead { name: "it", beside: &["a", "z"], limit: 5 };

    fn oid(digit: char) -> Oid {
        Oid::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn what_lies_beside_the_file_that_counts_is_asked_for() {
        let mut asked = Vec::new();
        let mut asking = Asking::new(WANTED);
        for (path, mode, digit) in [
            ("a", Mode::Regular, '1'),
            ("d/a", Mode::Regular, '2'),
            ("d/e/a", Mode::Regular, '3'),
            ("d/e/it", Mode::Link, '4'),
            ("d/it", Mode::Regular, '5'),
            ("f/b", Mode::Regular, '6'),
            ("f/it", Mode::Executable, '7'),
            ("f/z", Mode::Regular, '8'),
        ] {
            asking.listed(path.as_bytes(), mode, oid(digit));
        }
        asking.flush(|| panic!("three questions are not many"));
        assert_eq!(asking.questions, ['2', '5', '7'].map(oid));
        for number in 3..MANY {
            asking.listed(format!("{number}/it").as_bytes(), Mode::Regular, oid('9'));
        }
        asking.flush(|| Some(&mut asked));
        asking.listed(b"last/it", Mode::Regular, oid('a'));
        asking.flush(|| panic!("somebody listens"));
        let asked: Vec<&[u8]> = asked.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!((asked.len(), asked[MANY]), (MANY + 1, format!("{}\n", oid('a')).as_bytes()));
    }

    #[test]
    fn answers_count_up_to_the_first_that_is_too_large_or_no_answer() {
        let read = |text: &str| {
            let mut all: Vec<(Oid, Vec<Vec<u8>>)> = answers(text.as_bytes(), WANTED.limit).into_iter().collect();
            all.sort();
            all
        };
        let (one, two, three) = (oid('1'), oid('2'), oid('3'));
        let good = format!("{one} blob 2\nab\n{two} missing\n{one} blob 2\nab\n{two} tree 1\nx\n");
        let both = vec![(one, vec![b"ab".to_vec(), b"ab".to_vec()])];
        assert_eq!(read(&good), both);
        for bad in [format!("{two} blob 6\nabcdef\n{three} blob 1\nx\n"), format!("{two} blob 4\nab"), "?".to_owned()] {
            assert_eq!(read(&(good.clone() + &bad)), both, "{bad}");
        }
    }
}
