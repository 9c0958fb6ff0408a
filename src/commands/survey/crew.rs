//! Work that is handed out to as many threads as the machine has cores, while the caller goes on fetching more.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;

/// Pieces of work that are handed over together: passing one on costs more than some of them take.
const BATCH: usize = 32;
/// Batches that may wait, so that what was fetched and not yet worked on stays small.
const WAITING: usize = 4;
/// More threads than this are never kept busy by one git.
const MOST_THREADS: usize = 4;

/// Collects pieces of work, and hands them over in batches.
pub(super) struct Feed<T> {
    batch: Vec<T>,
    sender: SyncSender<Vec<T>>,
}

impl<T> Feed<T> {
    pub(super) fn push(&mut self, piece: T) {
        self.batch.push(piece);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // Nobody listens only after a thread has panicked, and that comes out when it is joined.
        let _ = self.sender.send(std::mem::take(&mut self.batch));
    }
}

/// Applies `work` to everything that `fetch` pushes. The results come in no particular order.
///
/// # Errors
/// Those of `fetch`.
pub(super) fn work_through<T: Send, R: Send>(
    work: impl Fn(T) -> R + Sync,
    fetch: impl FnOnce(&mut Feed<T>) -> Result<()>,
) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        let worker = || {
            let mut results = Vec::new();
            while let Some(batch) = next(&receiver) {
                results.extend(batch.into_iter().map(&work));
            }
            results
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let mut feed = Feed { batch: Vec::new(), sender };
        let fetched = fetch(&mut feed);
        feed.flush();
        drop(feed);
        let mut results = Vec::new();
        for worker in workers {
            results.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        fetched.map(|()| results)
    })
}

/// Applies `work` to every item, on all cores where there are many; the results are in the order of the items.
pub(in crate::commands) fn map<'t, T: Sync, R: Send>(items: &'t [T], work: impl Fn(&'t T) -> R + Sync) -> Vec<R> {
    let threads = threads_for(items.len());
    let (own, others) = items.split_at(items.len() / threads);
    let done = |items: &'t [T]| items.iter().map(&work).collect::<Vec<R>>();
    let done = &done;
    std::thread::scope(|scope| {
        let workers: Vec<_> = others.chunks(own.len().max(1)).map(|part| scope.spawn(move || done(part))).collect();
        let mut results = done(own);
        for worker in workers {
            results.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}

/// Works on every item where it is, on all cores where there are many.
pub(super) fn each<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync) {
    let share = items.len().div_ceil(threads_for(items.len())).max(1);
    let done = |items: &mut [T]| items.iter_mut().for_each(&work);
    let done = &done;
    std::thread::scope(|scope| {
        let mut parts = items.chunks_mut(share);
        let own = parts.next();
        for part in parts {
            scope.spawn(move || done(part));
        }
        own.into_iter().for_each(done);
    });
}

fn threads_for(items: usize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(items / BATCH + 1)
}

/// Does one thing on another thread, and another thing here meanwhile.
pub(in crate::commands) fn beside<A: Send, B>(there: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let there = scope.spawn(there);
        let here = here();
        (there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), here)
    })
}

fn next<T>(receiver: &Mutex<Receiver<Vec<T>>>) -> Option<Vec<T>> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn every_piece_is_worked_on_once_and_a_failure_to_fetch_comes_out() {
        for count in [0, 1, BATCH, 1000] {
            let fetch = |feed: &mut Feed<usize>| {
                (0..count).for_each(|number| feed.push(number));
                Ok(())
            };
            let mut results = work_through(|number| number * 2, fetch).unwrap();
            results.sort_unstable();
            assert_eq!(results, (0..count).map(|number| number * 2).collect::<Vec<_>>());
        }
        for count in [0, 1, BATCH, 1000, 1001] {
            let items: Vec<usize> = (0..count).collect();
            let doubled = map(&items, |number| number * 2);
            assert_eq!(doubled, items.iter().map(|number| number * 2).collect::<Vec<_>>());
            let mut items = items;
            each(&mut items, |number| *number *= 2);
            assert_eq!(doubled, items);
        }
        let failed = work_through(|(): ()| (), |_| Err(Error::internal("no more")));
        assert_eq!(failed.unwrap_err().to_string(), "no more");
    }
}
