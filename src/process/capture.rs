//! Short questions: a process runs to its end, and all that it says is collected.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::run::{group_of, own_group, seconds, send};
use super::{Command, Interrupt, Output};
use crate::error::{Error, ErrorKind, Result};

/// How long a process may take to end after SIGTERM. It holds nothing that needs longer: a lock file at most.
const GRACE: Duration = Duration::from_secs(2);

impl Command {
    /// Runs the process to its end and collects its output. An exit status other than 0 is no error here.
    ///
    /// The process leads a group of its own, which ends with it when it must: git leaves the network to a helper.
    ///
    /// # Errors
    /// When it cannot be started, when its time is over ([`ErrorKind::TimeoutError`]), or when a signal came
    /// ([`ErrorKind::Cancelled`]; see [`Interrupt::installed`]).
    pub fn capture(&self) -> Result<Output> {
        let interrupt = if self.regardless { Interrupt::default() } else { Interrupt::installed() };
        interrupt.check()?;
        let started = Instant::now();
        let handle = own_group(self.expression().stdout_capture().stderr_capture())
            .start()
            .map_err(|error| self.could_not_start(error))?;
        let group = group_of(&handle);
        let listening = interrupt.listen(move |count| {
            if let Some(group) = group {
                send(group, if count > 1 { Signal::KILL } else { Signal::TERM });
            }
        });
        let finished = match self.timeout {
            None => handle.wait().map(|_| true),
            Some(limit) => handle.wait_timeout(limit.saturating_sub(started.elapsed())).map(|it| it.is_some()),
        };
        drop(listening);
        let lost = |error| Error::internal(format!("{} could not be waited for", self.program.display())).cause(error);
        let finished = finished.map_err(lost)?;
        if !finished {
            if let Some(group) = group {
                send(group, Signal::TERM);
                let _ = handle.wait_timeout(GRACE);
                send(group, Signal::KILL);
            }
            // One that left the group may hold the output open: its end is not waited for.
            let _ = handle.kill();
        }
        interrupt.check()?;
        if !finished {
            let limit = seconds(self.timeout.unwrap_or_default());
            let message = format!("{} did not end within {limit} s", self.program.display());
            return Err(Error::new(ErrorKind::TimeoutError, message));
        }
        let output = handle.into_output().map_err(lost)?;
        Ok(Output { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::alive;

    #[test]
    fn a_time_limit_ends_everything_that_was_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        // As git does it: a helper of its own speaks with the network, and git waits for it.
        let script = format!("sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", pid.display());
        let command = Command::new("/bin/sh").args(["-c", &script]).timeout(Duration::from_millis(500));
        let started = Instant::now();
        assert_eq!(command.capture().unwrap_err().kind(), ErrorKind::TimeoutError);
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(!alive(std::fs::read_to_string(&pid).unwrap().trim()));
    }

    #[test]
    fn one_that_ignores_sigterm_is_killed() {
        let command = Command::new("/bin/sh").args(["-c", "trap '' TERM; while :; do sleep 1; done"]);
        let started = Instant::now();
        assert!(command.timeout(Duration::from_millis(200)).capture().is_err());
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
