//! SIGINT and SIGTERM, as values.
//!
//! The first signal asks: builders are told to end, results so far are kept. The second one insists.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};

/// How long a command that leaves nothing half done may take to end by itself after a signal.
const FAREWELL: Duration = Duration::from_millis(500);

/// Whether the run was asked to end. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<State>);

#[derive(Default)]
struct State {
    count: AtomicUsize,
    /// Whether something would be left half done.
    busy: AtomicBool,
    lock: Mutex<Vec<Listener>>,
    changed: Condvar,
}

/// The one that listens to signals: they come to the whole process.
static INSTALLED: OnceLock<Interrupt> = OnceLock::new();

/// Called with the number of signals so far.
type Listener = (usize, Box<dyn Fn(usize) + Send>);

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Interrupt {
    /// One that listens to SIGINT, SIGTERM and SIGHUP from now on. The process no longer ends by itself on them.
    ///
    /// Until [`Interrupt::begin`] is called nothing would be left half done: the process ends soon after the first signal,
    /// and what [`super::Command::capture`] has started before it: that runs in groups of its own, so a terminal's Ctrl-C
    /// does not reach it.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn install() -> Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let interrupt = Self::installed();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Error::internal("signals could not be caught").cause(error))?;
        let raised = interrupt.clone();
        std::thread::spawn(move || {
            signals.forever().for_each(|_| {
                raised.raise();
                if !raised.is_busy() {
                    // Whoever waits for a process or a registry hears of it, and takes its temporary files away.
                    std::thread::sleep(FAREWELL);
                }
                // Or somebody insists.
                if !raised.is_busy() || raised.count() > 2 {
                    end();
                }
            });
        });
        Ok(interrupt)
    }

    /// From now on there is something to finish or to take back: the run ends itself after a signal.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when a signal came before.
    pub fn begin(&self) -> Result<()> {
        self.check()?;
        self.0.busy.store(true, Ordering::SeqCst);
        self.check()
    }

    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::SeqCst)
    }

    /// The one that hears of signals once somebody has called [`Interrupt::install`]; for work that has nobody to
    /// hand one down, such as short questions to git.
    #[must_use]
    pub fn installed() -> Self {
        INSTALLED.get_or_init(Self::default).clone()
    }

    /// What a signal does.
    pub fn raise(&self) {
        let listeners = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.0.count.fetch_add(1, Ordering::SeqCst) + 1;
        for (_, listener) in listeners.iter() {
            listener(count);
        }
        self.0.changed.notify_all();
    }

    /// How many signals came.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// The failure of a run that was asked to end; nothing otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] after a signal.
    pub fn check(&self) -> Result<()> {
        if self.count() == 0 { Ok(()) } else { Err(cancelled()) }
    }

    /// Waits, but not beyond a signal.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] after a signal.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        let until = Instant::now() + duration;
        let mut guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while self.count() == 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            guard = self.0.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(cancelled())
    }

    /// Calls `listener` at each signal until the guard is dropped; at once if one came before.
    pub(super) fn listen(&self, listener: impl Fn(usize) + Send + 'static) -> Listening {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut listeners = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.count() > 0 {
            listener(self.count());
        }
        listeners.push((id, Box::new(listener)));
        Listening { interrupt: self.clone(), id }
    }
}

/// Ends the process where nobody returns to `main` any more.
#[expect(clippy::disallowed_methods, reason = "main is busy with something that hears no signals")]
fn end() {
    std::process::exit(ErrorKind::Cancelled.exit_code().into());
}

/// The failure of a run that a signal ended.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "cancelled by a signal")
}

/// Ends listening when it is dropped.
pub(super) struct Listening {
    interrupt: Interrupt,
    id: usize,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.interrupt.0.lock.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_waiting() {
        let interrupt = Interrupt::default();
        assert!(interrupt.check().is_ok() && interrupt.sleep(Duration::from_millis(1)).is_ok());
        let raised = interrupt.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            raised.raise();
        });
        let started = Instant::now();
        assert_eq!(interrupt.sleep(Duration::from_secs(60)).unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(interrupt.check().unwrap_err().kind().exit_code(), 130);
    }
}
