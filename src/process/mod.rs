//! The only place that starts processes.
//!
//! Arguments are passed as arguments, never through a shell; output is bytes; `LC_ALL=C` is set so that what a
//! program says does not depend on the machine. A child gets the environment that [`Command`] describes.
//!
//! [`Command::capture`] is for short questions, [`Command::stream`] for builders, whose output may be endless. Both end
//! with everything they started when a time limit or a signal says so.

mod interrupt;
mod log;
mod run;

mod capture;
pub mod daemon;
mod dialogue;
mod family;
mod gathered;

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use duct::ReaderHandle;
use duct::{Expression, IntoExecutablePath as _, cmd};

use crate::error::{Error, ErrorKind, Result};

pub use dialogue::Dialogue;
pub use gathered::Gathered;
pub use interrupt::Interrupt;
pub use log::{Log, TAIL_LINES, Watch};
pub use run::{Ended, GRACE};

/// A process to start.
#[derive(Clone, Debug)]
pub struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    env_remove: Vec<OsString>,
    cwd: Option<PathBuf>,
    stdin: Vec<u8>,
    timeout: Option<Duration>,
    regardless: bool,
}

/// What a finished process left.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote on stdout.
    pub stdout: Vec<u8>,
    /// Everything it wrote on stderr.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// stderr as text, without the newline at its end.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}

impl Command {
    /// A process that inherits the environment, reads nothing, and has no time limit.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: vec![("LC_ALL".into(), "C".into())],
            env_remove: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            timeout: None,
            regardless: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Hides an environment variable from the child.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env_remove.push(name.into());
        self
    }

    /// Sets the directory to run in.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Sets what the child reads on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Limits the run time; the child is killed when it is over.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Lets a short question be asked when a signal came, and to its end: for what stops something.
    #[must_use]
    pub fn even_after_a_signal(mut self) -> Self {
        self.regardless = true;
        self
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn expression(&self) -> Expression {
        let expression = cmd(self.program.as_path().to_executable(), &self.args);
        self.surroundings(match self.stdin.as_slice() {
            [] => expression.stdin_null(),
            bytes => expression.stdin_bytes(bytes),
        })
    }

    fn surroundings(&self, expression: Expression) -> Expression {
        let mut expression = expression.unchecked();
        for (name, value) in &self.env {
            expression = expression.env(name, value);
        }
        for name in &self.env_remove {
            expression = expression.env_remove(name);
        }
        match &self.cwd {
            Some(cwd) => expression.dir(cwd),
            None => expression,
        }
    }

    fn could_not_start(&self, error: std::io::Error) -> Error {
        let kind = match error.kind() {
            std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::WouldBlock => ErrorKind::ResourceError,
            // As where a builder is not installed.
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotFound => ErrorKind::BuildError,
            _ => ErrorKind::InternalError,
        };
        let is_absent = error.kind() == std::io::ErrorKind::NotFound;
        let error = Error::new(kind, format!("{} could not be started", self.program.display())).cause(error);
        // The system names no other file where a program's own interpreter is what it does not find.
        let is_here = self.program.components().count() > 1 && self.program.is_file();
        match kind {
            ErrorKind::BuildError if is_absent && is_here => error.hint(
                "it is there, but not what loads it: it is linked dynamically, against libraries that are not here (or is a \
                 script whose interpreter is not)",
            ),
            ErrorKind::BuildError => error.hint("it must be a program for this machine that this user may run"),
            _ => error,
        }
    }

    /// Starts the process and gives its stdout as a stream, which ends with an error when the process ends with an exit
    /// status other than 0. stderr is dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn reader(&self) -> Result<impl Read + Send + use<>> {
        let expression = self.expression().stderr_null();
        expression.reader().map(Whole).map_err(|error| self.could_not_start(error))
    }
}

/// What a process prints, and not what is left of it when the process dies.
struct Whole(ReaderHandle);

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(buffer)?;
        if length > 0 || buffer.is_empty() {
            return Ok(length);
        }
        match self.0.try_wait()? {
            Some(ended) if !ended.status.success() => {
                Err(std::io::Error::other(format!("it ended with {}", ended.status)))
            }
            _ => Ok(0),
        }
    }
}

/// Finds a program on the `PATH`.
#[must_use]
pub fn find(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    which::which(name).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::{Duration, Instant};

    use super::Command;
    use crate::error::ErrorKind;

    #[test]
    fn what_a_process_printed_before_it_failed_is_not_taken_for_all() {
        let mut text = String::new();
        let said = |script| Command::new("/bin/sh").args(["-c", script]).reader().unwrap();
        said("echo whole").read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole\n");
        assert!(said("echo half; exit 128").read_to_string(&mut text).is_err());
        assert!(said("echo half; kill -9 $$").read_to_string(&mut text).is_err());
    }

    #[test]
    fn a_program_that_may_not_be_run_is_no_bug_of_hephy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Command::new(file.path()).capture().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BuildError);
        assert!(error.hint_text().unwrap().contains("may run"), "{error}");
    }

    /// Whether a process is still there after a moment: the kernel may take one to end what was killed.
    pub(super) fn alive(pid: &str) -> bool {
        // A zombie that nobody reaps is dead as well.
        let there = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        let until = Instant::now() + Duration::from_secs(5);
        while there() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        there()
    }
}
