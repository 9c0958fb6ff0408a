//! The oracle of `hack/tools/buildkit/oracle`: what BuildKit would see of a checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::support::builders::tool;

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Seen {
    /// By name.
    pub(super) images: BTreeMap<String, Image>,
    #[serde(default)]
    pub(super) error: String,
}

/// An image of a checkout.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Image {
    pub(super) platforms: BTreeSet<String>,
    /// Digests of the parts that a build sees.
    pub(super) truth: BTreeMap<String, String>,
    /// The same, and what counts by a declared exception.
    pub(super) rule: BTreeMap<String, String>,
    pub(super) exceptions: Option<Vec<String>>,
    /// The context as a build sees it, `README.md` and ignored files included.
    pub(super) whole: String,
    #[serde(default)]
    pub(super) broken: String,
}

pub(super) struct Oracle {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Oracle {
    pub(super) fn start() -> Self {
        let mut child =
            Command::new(tool("oracle")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle");
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    /// What the images of the checkout in `root` are built from.
    pub(super) fn ask(&mut self, root: &Path) -> Seen {
        let request = json!({ "root": root });
        writeln!(self.stdin, "{request}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let seen: Seen = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(seen.error, "", "the oracle failed");
        seen
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
