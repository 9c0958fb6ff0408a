//! A process that is asked and answers, again and again, until it is dropped.

use std::io::{BufReader, PipeWriter};

use duct::{IntoExecutablePath as _, ReaderHandle, cmd};

use super::{Command, Gathered};
use crate::error::Result;

/// A running process with both ends of its conversation. Dropping it ends the process.
#[derive(Debug)]
pub struct Dialogue {
    /// What the process reads.
    pub input: PipeWriter,
    /// What the process writes. Reading fails or ends when it dies. To ask for more than fits into a pipe, write
    /// and read at the same time.
    pub output: BufReader<Gathered<ReaderHandle>>,
}

impl Command {
    /// Starts the process for a conversation; what [`Command::stdin`] said is not used, stderr is dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn dialogue(&self) -> Result<Dialogue> {
        let (theirs, input) = std::io::pipe().map_err(|error| self.could_not_start(error))?;
        let expression = cmd(self.program.as_path().to_executable(), &self.args).stdin_file(theirs);
        let output =
            self.surroundings(expression).stderr_null().reader().map_err(|error| self.could_not_start(error))?;
        Ok(Dialogue { input, output: BufReader::with_capacity(64 * 1024, Gathered::new(output)) })
    }
}
