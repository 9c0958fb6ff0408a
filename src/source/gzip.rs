//! gzip on all processors, with bytes that do not depend on how many there are.
//!
//! The input is cut into blocks of a fixed size. Each is deflated by itself and ended on a byte boundary (a sync
//! flush), so that the results can be put one after the other into a single ordinary gzip member (RFC 1952), as pigz
//! does. Memory is bounded: a few blocks a thread.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use sha2::{Digest as _, Sha256};

use crate::oci::Digest;

/// Bytes of one block. Part of what the archive's bytes depend on, like the level: changing either changes digests.
const BLOCK: usize = 512 * 1024;
/// Compression level.
const LEVEL: u32 = 5;
/// Threads that compress, at most.
const MAX_THREADS: usize = 8;

/// ID, deflate, no flags, no time, no extra flags, system "unknown": nothing that could differ.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty final block with the fixed codes.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    /// SHA-256 of the compressed bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// Compresses what is written to it into a file.
pub(super) struct Writer {
    block: Vec<u8>,
    sent: usize,
    workers: Vec<SyncSender<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
    sink: Option<JoinHandle<io::Result<Sink>>>,
    crc: Crc,
}

struct Sink {
    out: Box<dyn Write + Send>,
    hasher: Sha256,
    size: u64,
}

impl Sink {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl Writer {
    /// Starts the threads: one for each processor, within reason.
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_threads(out, processors.min(MAX_THREADS))
    }

    fn with_threads(out: impl Write + Send + 'static, count: usize) -> Self {
        let (mut workers, mut threads, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (to_worker, blocks) = sync_channel(1);
            let (to_sink, compressed) = sync_channel(1);
            threads.push(std::thread::spawn(move || work(&blocks, &to_sink)));
            workers.push(to_worker);
            results.push(compressed);
        }
        let sink = Sink { out: Box::new(out), hasher: Sha256::new(), size: 0 };
        let sink = std::thread::spawn(move || collect(sink, &results));
        Self { block: Vec::with_capacity(BLOCK), sent: 0, workers, threads, sink: Some(sink), crc: Crc::new() }
    }

    fn send(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let worker = self.workers.get(self.sent % self.workers.len().max(1));
        self.sent += 1;
        match worker.map(|worker| worker.send(block)) {
            Some(Ok(())) => Ok(()),
            // The chain behind it is broken: the sink knows why.
            _ => Err(self.join().err().unwrap_or_else(|| io::Error::other("the compressor stopped"))),
        }
    }

    fn join(&mut self) -> io::Result<Sink> {
        self.workers.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        match self.sink.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(io::Error::other("the compressor stopped")),
        }
    }

    /// Compresses what is left and ends the file.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        if !self.block.is_empty() {
            self.send()?;
        }
        let mut sink = self.join()?;
        sink.put(&LAST_BLOCK)?;
        sink.put(&self.crc.sum().to_le_bytes())?;
        sink.put(&self.crc.amount().to_le_bytes())?;
        sink.out.flush()?;
        Ok(Written { digest: Digest::from_hasher(sink.hasher), size: sink.size })
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.block.extend_from_slice(part);
        self.crc.update(part);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Deflates blocks until there are no more, or until nobody wants them.
fn work(blocks: &Receiver<Vec<u8>>, to_sink: &SyncSender<io::Result<Vec<u8>>>) {
    let mut deflate = Compress::new(Compression::new(LEVEL), false);
    for block in blocks {
        if to_sink.send(compress(&mut deflate, &block)).is_err() {
            break;
        }
    }
}

fn compress(deflate: &mut Compress, block: &[u8]) -> io::Result<Vec<u8>> {
    deflate.reset();
    // More than deflate ever needs: stored blocks cost 5 bytes in 16 KiB.
    let mut out = Vec::with_capacity(block.len() + block.len() / 1024 + 4096);
    let status = deflate.compress_vec(block, &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
    let whole = deflate.total_in() == block.len() as u64 && out.len() < out.capacity();
    if status == Status::Ok && whole { Ok(out) } else { Err(io::Error::other("a block was not compressed whole")) }
}

/// Writes the blocks in the order in which they were handed out: one from each worker in turn.
fn collect(mut sink: Sink, results: &[Receiver<io::Result<Vec<u8>>>]) -> io::Result<Sink> {
    sink.put(&HEADER)?;
    for result in results.iter().cycle() {
        match result.recv() {
            Ok(block) => sink.put(&block?)?,
            // This worker had no further block, so no later one has.
            Err(_) => break,
        }
    }
    Ok(sink)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gzip(data: &[u8], threads: usize) -> (Vec<u8>, Written) {
        let out = Shared::default();
        let mut writer = Writer::with_threads(out.clone(), threads);
        writer.write_all(data).unwrap();
        let written = writer.finish().unwrap();
        let bytes = out.0.lock().unwrap().clone();
        (bytes, written)
    }

    /// Half noise, half text: blocks that compress differently.
    fn sample(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|at| if at % (2 * BLOCK) < BLOCK { noise() } else { b"the same text again "[at % 20] }).collect()
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes_and_they_unpack() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77] {
            let data = sample(len);
            let (one, written) = gzip(&data, 1);
            assert_eq!(gzip(&data, 3).0, one, "{len}");
            assert_eq!((written.size, &written.digest), (one.len() as u64, &Digest::of(&one)));
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(one.as_slice()).read_to_end(&mut back).unwrap();
            assert!(back == data, "{len}");
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_told_by_its_own_name() {
        let mut writer = Writer::with_threads(Full, 2);
        let data = sample(40 * BLOCK);
        let failed = writer.write_all(&data).and_then(|()| writer.finish().map(|_| ()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
