//! Paths as git has them: bytes, relative to the repository's root, with `/`.

use std::fmt;

use crate::diagnostic::escape;

/// A path inside the repository. Empty is the root itself. Shown escaped; bytes that are no UTF-8 as `\xNN`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// The repository's root.
    pub const ROOT: Self = Self(Vec::new());

    /// Takes the bytes as they are; `.` is the root.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        if bytes == b"." { Self::ROOT } else { Self(bytes) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text, where it is some; the root is `.`.
    #[must_use]
    pub fn to_utf8(&self) -> Option<&str> {
        if self.is_root() { Some(".") } else { std::str::from_utf8(&self.0).ok() }
    }

    /// Whether this is the repository's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// A path below this one; `.` and the empty path are this one.
    #[must_use]
    pub fn join(&self, below: impl AsRef<[u8]>) -> Self {
        let below = below.as_ref();
        if below.is_empty() || below == b"." {
            return self.clone();
        }
        if self.is_root() {
            return Self(below.to_vec());
        }
        Self([&self.0, b"/".as_slice(), below].concat())
    }

    /// The directory that holds this path; the root for names at the root and for itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => Self(self.0.get(..slash).unwrap_or_default().to_vec()),
            None => Self::ROOT,
        }
    }

    /// Whether `path` is this directory or lies in it.
    #[must_use]
    pub fn holds(&self, path: &[u8]) -> bool {
        self.is_root()
            || path.strip_prefix(self.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// `path` seen from this directory; none when it lies elsewhere or is this directory.
    #[must_use]
    pub fn relative<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_root() { Some(path) } else { path.strip_prefix(self.as_bytes())?.strip_prefix(b"/") }
    }

    /// First and last possible bytes of paths in this directory, for searches in sorted lists: `dir/` and `dir0`.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        (
            [self.as_bytes(), b"/".as_slice()].concat(),
            // `0` is the byte after `/`.
            [self.as_bytes(), b"0".as_slice()].concat(),
        )
    }
}

/// The stretch of `items`, sorted by path, that lies in `directory`. `before` says whether an item's path comes
/// before some bytes.
pub(crate) fn stretch<T>(
    items: &[T],
    directory: &RepoPath,
    before: impl Fn(&T, &[u8]) -> bool,
) -> std::ops::Range<usize> {
    if directory.is_root() {
        return 0..items.len();
    }
    let (first, end) = directory.range();
    let start = items.partition_point(|item| before(item, &first));
    // Most directories are short: look near the start, twice as far each time.
    let (mut near, mut far) = (start, start + 1);
    while items.get(far).is_some_and(|item| before(item, &end)) {
        (near, far) = (far, far + 2 * (far - start));
    }
    let rest = items.get(near..far.min(items.len())).unwrap_or_default();
    start..near + rest.partition_point(|item| before(item, &end))
}

/// Bytes from git for a person: escaped, and exact where they are no UTF-8.
#[must_use]
pub fn show_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.pad(".") } else { f.pad(&show_bytes(&self.0)) }
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({self})")
    }
}

impl From<&str> for RepoPath {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl serde::Serialize for RepoPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_exact_and_shown_escaped() {
        let path = RepoPath::new(b"a\n\xff\xe2\x80\xae/b".to_vec());
        assert_eq!(path.to_string(), "a\\u{a}\\xff\\u{202e}/b");
        assert_eq!(path.parent().as_bytes(), b"a\n\xff\xe2\x80\xae");
        assert_eq!(RepoPath::from(".").to_string(), ".");
    }

    #[test]
    fn a_directory_holds_its_files_and_not_those_of_a_namesake() {
        let dir = RepoPath::from("a/b");
        assert!(dir.holds(b"a/b") && dir.holds(b"a/b/c"));
        assert!(!dir.holds(b"a/b-c") && !dir.holds(b"a/bc") && !dir.holds(b"a"));
        assert!(RepoPath::ROOT.holds(b"x"));
        let sorted: Vec<&[u8]> = vec![b"a/b", b"a/b-c/x", b"a/b/x", b"a/b/y", b"a/b0", b"a/c"];
        assert_eq!(stretch(&sorted, &dir, |path, bound| *path < bound), 2..4);
    }
}
