//! Reading from a process that writes many small pieces.

use std::io::Read;
use std::time::Duration;

/// A read that gives less than this was woken too early.
const ENOUGH: usize = 16 << 10;
/// In this time a busy writer writes much, and a pipe is not yet full.
const PAUSE: Duration = Duration::from_micros(200);

/// Lets a busy writer go ahead when told to, so that many of its pieces are read at once. Without it each piece wakes the
/// reader, and two processes take turns on every few hundred bytes; that costs more than the pieces themselves.
#[derive(Debug)]
pub struct Gathered<R> {
    inner: R,
    busy: bool,
    early: bool,
}

impl<R> Gathered<R> {
    /// Reads from `inner`, each piece when it is there.
    pub const fn new(inner: R) -> Self {
        Self { inner, busy: false, early: false }
    }

    /// From now on the writer goes on without pause. In a conversation each answer would come 0.2 ms later.
    pub const fn expect_much(&mut self) {
        self.busy = true;
    }

    /// What is read from.
    pub const fn get_ref(&self) -> &R {
        &self.inner
    }
}

impl<R: Read> Read for Gathered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.busy && self.early {
            std::thread::sleep(PAUSE);
        }
        let length = self.inner.read(buffer)?;
        self.early = length < ENOUGH.min(buffer.len());
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn everything_comes_and_in_few_pieces() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let writing = std::thread::spawn(move || {
            for number in 0..2_000_u32 {
                writer.write_all(&number.to_be_bytes()).unwrap();
            }
        });
        let (mut gathered, mut all, mut reads) = (Gathered::new(reader), Vec::new(), 0);
        gathered.expect_much();
        let mut buffer = [0; 64 << 10];
        loop {
            let length = gathered.read(&mut buffer).unwrap();
            all.extend_from_slice(&buffer[..length]);
            reads += 1;
            if length == 0 {
                break;
            }
        }
        writing.join().unwrap();
        let wanted: Vec<u8> = (0..2_000_u32).flat_map(u32::to_be_bytes).collect();
        assert_eq!(all, wanted);
        assert!(reads < 1_000, "{reads}");
    }
}
