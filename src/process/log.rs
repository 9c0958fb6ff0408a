//! A builder's output: every line into its log file, the last ones kept, secrets masked. Constant memory,
//! whatever the output is.

use std::collections::VecDeque;
use std::io::Write;

use crate::config::mask_credentials;

/// How many of the last lines are kept.
pub const TAIL_LINES: usize = 30;
/// Longest line that is kept for people, in bytes; the log file has the whole line.
const TAIL_LINE_BYTES: usize = 2_000;
/// A line that does not end is passed on in pieces of this size.
const PIECE: usize = 64 * 1024;
/// How much of the end of stdout is kept: the report of a push fits in, a flood does not.
const KEPT_STDOUT: usize = 64 * 1024;

/// Called with each line, masked, without its newline.
pub type Watch<'a> = Box<dyn FnMut(&str) + Send + 'a>;

/// Where lines go.
pub struct Log<'a> {
    file: Box<dyn Write + Send + 'a>,
    watch: Watch<'a>,
    tail: VecDeque<String>,
    secrets: Vec<Vec<u8>>,
    stdout: Vec<u8>,
    failed: Option<std::io::Error>,
}

/// One of the two streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Its end is kept, for reports.
    Stdout,
    /// Only logged.
    Stderr,
}

/// The unfinished line of one stream.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    bytes: Vec<u8>,
}

impl<'a> Log<'a> {
    /// A log that writes to `file` and calls `watch`; secrets are replaced by `***` in both. Short ones (under 4
    /// bytes) are not masked: they would mask half of the text and hide nothing.
    #[must_use]
    pub fn new(file: Box<dyn Write + Send + 'a>, watch: Watch<'a>, secrets: &[String]) -> Self {
        let lines = secrets.iter().flat_map(|secret| secret.lines());
        let mut secrets: Vec<Vec<u8>> =
            lines.filter(|line| line.len() >= 4).map(|line| line.as_bytes().to_vec()).collect();
        // A secret that contains another one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { file, watch, tail: VecDeque::new(), secrets, stdout: Vec::new(), failed: None }
    }

    /// The last lines, escaped nowhere: escape them where they are shown.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// The end of what was printed on stdout, not masked.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The first failure to write the log file.
    pub fn failure(&mut self) -> Option<std::io::Error> {
        self.failed.take()
    }

    /// Writes a line of hephy's own.
    pub fn note(&mut self, text: &str) {
        self.line(Stream::Stderr, text.as_bytes());
    }

    /// Takes bytes of a stream; whole lines go on, the rest stays in `line`.
    pub(super) fn take(&mut self, line: &mut Line, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if line.bytes.is_empty() {
                self.line(line.stream, &bytes[..end]);
            } else {
                line.bytes.extend_from_slice(&bytes[..end]);
                let whole = std::mem::take(&mut line.bytes);
                self.line(line.stream, &whole);
            }
            bytes = &bytes[end + 1..];
        }
        line.bytes.extend_from_slice(bytes);
        if line.bytes.len() >= PIECE {
            // What may be the beginning of a secret waits for the rest of it.
            let keep = self.secrets.first().map_or(0, |longest| longest.len() - 1).min(line.bytes.len());
            let rest = line.bytes.split_off(self.cut(&line.bytes, line.bytes.len() - keep));
            let piece = std::mem::replace(&mut line.bytes, rest);
            self.line(line.stream, &piece);
        }
    }

    /// The last place up to `at` that lies inside no secret.
    fn cut(&self, bytes: &[u8], mut at: usize) -> usize {
        let across = |at: usize| {
            self.secrets.iter().find_map(|secret| {
                let from = (at + 1).saturating_sub(secret.len());
                let window = &bytes[from..bytes.len().min(at + secret.len() - 1)];
                find(window, secret).map(|found| from + found)
            })
        };
        while let Some(start) = across(at) {
            at = start;
        }
        at
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, line: &mut Line) {
        if !line.bytes.is_empty() {
            let rest = std::mem::take(&mut line.bytes);
            self.line(line.stream, &rest);
        }
    }

    pub(super) fn flush(&mut self) {
        if let Err(error) = self.file.flush() {
            self.failed.get_or_insert(error);
        }
    }

    fn line(&mut self, stream: Stream, line: &[u8]) {
        if stream == Stream::Stdout {
            self.stdout.extend_from_slice(line);
            self.stdout.push(b'\n');
            if self.stdout.len() > 2 * KEPT_STDOUT {
                self.stdout.drain(..self.stdout.len() - KEPT_STDOUT);
            }
        }
        let masked = self.mask(line);
        // A full disk must not stop the builder or this reader: it is reported once, at the end.
        if self.failed.is_none()
            && let Err(error) = self.file.write_all(&masked).and_then(|()| self.file.write_all(b"\n"))
        {
            self.failed = Some(error);
        }
        let shown = &masked[..masked.len().min(TAIL_LINE_BYTES)];
        let text = String::from_utf8_lossy(shown);
        let text = plain(&text);
        (self.watch)(&text);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
    }

    fn mask(&self, line: &[u8]) -> Vec<u8> {
        let mut masked = line.to_vec();
        for secret in &self.secrets {
            let mut at = 0;
            while let Some(found) = find(&masked[at..], secret) {
                masked.splice(at + found..at + found + secret.len(), *b"***");
                at += found + 3;
            }
        }
        // Addresses carry credentials that no variable of the job holds.
        if find(&masked, b"://").is_some() && masked.contains(&b'@') {
            return mask_credentials(&String::from_utf8_lossy(&masked)).into_bytes();
        }
        masked
    }
}

impl Line {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, bytes: Vec::new() }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// A line without colours (ECMA-48 sequences), as the last carriage return left it on a terminal.
fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            out.push(character);
        } else if characters.next() == Some('[') {
            let _ = characters.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Feeds pieces as one stream; gives file, tail and stdout.
    fn log(secrets: &[&str], pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>, String) {
        struct Sink(mpsc::Sender<Vec<u8>>);
        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (sender, receiver) = mpsc::channel();
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let mut log = Log::new(Box::new(Sink(sender)), Box::new(|_| {}), &secrets);
        let mut line = Line::new(Stream::Stdout);
        for piece in pieces {
            log.take(&mut line, piece);
        }
        log.end(&mut line);
        let (tail, stdout) = (log.tail(), log.stdout());
        drop(log);
        (receiver.iter().flatten().collect(), tail, stdout)
    }

    #[test]
    fn the_whole_output_is_logged_and_the_last_thirty_lines_are_kept() {
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(7).collect();
        let (file, tail, stdout) = log(&[], &pieces);
        assert_eq!(file, text.as_bytes());
        assert_eq!((tail.len(), tail[0].as_str(), tail[29].as_str()), (30, "line 70", "line 99"));
        assert_eq!(stdout, text);
    }

    #[test]
    fn secrets_are_masked_even_across_pieces_and_in_endless_lines() {
        let (file, tail, _) = log(&["hunter22", "two\nlines"], &[b"a hun", b"ter22 b\nlines\n"]);
        assert_eq!((file.as_slice(), tail[0].as_str()), (&b"a *** b\n***\n"[..], "a *** b"));
        let flood = vec![b'x'; PIECE - 4];
        let (file, _, _) = log(&["hunter22"], &[&flood, b"hunt", b"er22", &flood]);
        assert!(find(&file, b"hunter22").is_none() && find(&file, b"***").is_some());
        // Wherever it stands, and beside a longer one that moves the cut.
        for at in (PIECE - 40)..(PIECE + 10) {
            let flood = [vec![b'x'; at], b"hunter22hunter22".to_vec(), vec![b'x'; 50]].concat();
            let (file, ..) = log(&["hunter22", "a-much-longer-secret"], &[&flood]);
            let text = String::from_utf8(file).unwrap().replace('\n', "");
            assert_eq!(text.trim_matches('x'), "******", "{at}");
        }
    }

    #[test]
    fn credentials_of_addresses_are_masked() {
        let (file, tail, _) = log(&[], &[b"from https://me:hunter22@host/x and ssh://git@host/y\n"]);
        assert_eq!(String::from_utf8(file).unwrap(), "from https://***********@host/x and ssh://git@host/y\n");
        assert_eq!(tail, ["from https://***********@host/x and ssh://git@host/y"]);
    }

    #[test]
    fn memory_does_not_grow_with_the_output() {
        let megabyte = vec![b'y'; 1 << 20];
        let pieces: Vec<&[u8]> = std::iter::repeat_n(megabyte.as_slice(), 40).collect();
        let (file, tail, stdout) = log(&[], &pieces);
        assert!(file.len() >= 40 << 20);
        assert!(tail.iter().map(String::len).sum::<usize>() <= TAIL_LINES * TAIL_LINE_BYTES);
        assert!(stdout.len() <= 2 * KEPT_STDOUT + (2 << 20));
    }

    #[test]
    fn colours_and_overwritten_text_are_not_kept_for_people() {
        let (_, tail, _) = log(&[], &[b"\x1b[36mINFO\x1b[0m[0001] RUN x \r\n10%\r20%\n"]);
        assert_eq!(tail, ["INFO[0001] RUN x ", "20%"]);
    }
}
