//! A server that runs beside hephy and is stopped with it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Command;
use super::run::own_group;
use crate::error::{Error, Result};

/// How long a server may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Daemon {
    handle: Option<duct::Handle>,
}

impl Daemon {
    /// Starts a server in a process group of its own, so that Ctrl-C in a terminal reaches hephy alone. Everything
    /// it says goes to `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let file = std::fs::File::create(log)
            .map_err(|error| Error::io(format!("{} cannot be written", log.display()), error))?;
        let handle = command.expression().stderr_to_stdout().stdout_file(file);
        let handle = own_group(handle).start().map_err(|error| command.could_not_start(error))?;
        Ok(Self { handle: Some(handle) })
    }

    /// Process id of the server.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.handle.as_ref().and_then(|handle| handle.pids().first().copied())
    }

    /// Whether it is still running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| matches!(handle.try_wait(), Ok(None)))
    }

    /// Leaves it running after hephy has ended.
    pub fn detach(mut self) {
        // A duct handle neither kills nor waits when it is dropped.
        self.handle = None;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let group = handle.pids().first().and_then(|id| i32::try_from(*id).ok()).and_then(Pid::from_raw);
        let signal = |signal| group.map(|group| kill_process_group(group, signal));
        let _ = signal(Signal::TERM);
        let started = Instant::now();
        while started.elapsed() < GRACE {
            if !matches!(handle.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = signal(Signal::KILL);
        let _ = handle.wait();
    }
}
