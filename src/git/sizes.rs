//! Sizes of blobs through one `git cat-file --batch-check`: nothing of their contents is read.

use std::io::{BufRead as _, Write as _};

use super::objects::{Objects, broken};
use crate::change::Oid;
use crate::error::Result;

impl Objects<'_> {
    /// The sizes of blobs in bytes, in the order of the question; none for what is not here (a partial clone fetches
    /// nothing for that) or is no blob. Of files of a working tree that no object holds, the file's own.
    ///
    /// # Errors
    /// When git fails.
    pub fn sizes(&self, oids: &[Oid]) -> Result<Vec<Option<u64>>> {
        let file = |oid: &Oid| Some(self.file_of(oid)?.symlink_metadata().ok()?.len());
        let mut sizes: Vec<Option<u64>> = oids.iter().map(file).collect();
        let theirs: Vec<usize> = (0..oids.len()).filter(|index| self.file_of(&oids[*index]).is_none()).collect();
        if theirs.is_empty() {
            return Ok(sizes);
        }
        let command = self.private().local(["cat-file", "--buffer", "--batch-check=%(objecttype) %(objectsize)"]);
        let crate::process::Dialogue { mut input, mut output } = command.dialogue()?;
        let text = theirs.iter().fold(String::new(), |text, index| text + &oids[*index].to_string() + "\n");
        let answers = std::thread::scope(|scope| {
            // When the listener stops early, the pipe breaks, and that is no failure.
            let asking = scope.spawn(move || input.write_all(text.as_bytes()));
            let mut line = String::new();
            for index in theirs {
                line.clear();
                if output.read_line(&mut line)? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                sizes[index] = line.strip_prefix("blob ").and_then(|size| size.trim_end().parse().ok());
            }
            asking.join().unwrap_or_else(|_| Err(std::io::Error::other("asking git failed")))
        });
        answers.map_err(broken)?;
        Ok(sizes)
    }
}
