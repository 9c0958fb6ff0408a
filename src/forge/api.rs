//! What every platform can be asked, and what it answers. Pure.

use crate::change::{Oid, RepoPath};

/// A question: what follows the API's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Parts of the path, not yet encoded.
    pub(super) path: Vec<String>,
    /// The query, not yet encoded.
    pub(super) query: Vec<(&'static str, String)>,
}

impl Ask {
    pub(super) fn new(path: &[&str], query: &[(&'static str, &str)]) -> Self {
        Self {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            query: query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }
}

/// A header of every request; the value is never shown.
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) value: crate::ci::Secret,
}

impl Header {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: crate::ci::Secret::new(value) }
    }
}

/// What a platform's API is like.
pub(super) trait Api {
    /// The platform, for people.
    fn name(&self) -> &'static str;
    /// The variable that holds the root of the API.
    fn root_variable(&self) -> &'static str;
    /// What is sent with every request.
    fn headers(&self) -> Vec<Header>;
    /// What to do when the token may not ask.
    fn rights(&self, about: &str) -> String;
    /// Asks for successful pipelines of a branch, the newest first.
    fn runs(&self, branch: &str, page: u32) -> Ask;
    /// Reads the answer.
    fn read_runs(&self, body: &[u8], branch: &str) -> Result<Runs, Malformed>;
    /// Asks for what differs.
    fn comparison(&self, range: &Range) -> Ask;
    /// Reads the answer.
    fn read_comparison(&self, body: &[u8], range: &Range) -> Result<Comparison, Malformed>;
}

/// A page of a list of pipelines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// Commits of those that count and began before this one, the newest first.
    pub(super) earlier: Vec<Oid>,
    /// Whether there is no further page.
    pub(super) is_last: bool,
}

/// Two commits, or a commit and where it left something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// From one commit to another.
    Between(Oid, Oid),
    /// From where the commit left a branch or another commit.
    SinceLeaving(String, Oid),
}

impl Range {
    /// The same from the other end, where there is one.
    pub(super) fn reversed(&self) -> Option<Self> {
        match self {
            Self::Between(from, to) => Some(Self::Between(*to, *from)),
            Self::SinceLeaving(..) => None,
        }
    }
}

/// A path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the repository's root.
    pub path: RepoPath,
    /// Where it is.
    pub side: Side,
}

/// On which side of a comparison there is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It is there now.
    Now,
    /// It is there no more.
    Before,
    /// Nobody said.
    Unsaid,
}

/// What an answer says of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// The paths; both ends of a rename.
    pub(super) paths: Vec<Listed>,
    /// Whether some are missing.
    pub(super) truncated: bool,
    /// Whether the answer is about where the two sides parted, and the other way is to be asked too.
    pub(super) both_ways: bool,
}

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(crate::diagnostic::escape_cut(&error.to_string(), 160))
    }
}

/// Why something could not be learnt. There always is a safe way on, so this is no failure of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, one sentence without full stop.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// Whether nobody answered: another question would wait as long for nothing.
    pub silent: bool,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), silent: false }
    }
}

/// A full commit id of an answer.
pub(super) fn commit(text: &str) -> Result<Oid, Malformed> {
    let shown = || crate::diagnostic::escape_cut(text, 80);
    Oid::from_hex(text.as_bytes())
        .filter(|id| !id.is_null())
        .ok_or_else(|| Malformed(format!("`{}` is no commit", shown())))
}

/// The two ends of a change: where the file was, and where it is.
pub(super) fn ends(before: Option<&str>, now: Option<&str>) -> impl Iterator<Item = Listed> {
    let listed = |path: &str, side| Listed { path: RepoPath::new(path), side };
    let moved = before != now;
    let before = before.filter(|_| moved).map(|path| listed(path, Side::Before));
    before.into_iter().chain(now.map(|path| listed(path, Side::Now)))
}
