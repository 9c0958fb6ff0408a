//! Walking the files of a build context in their order, and telling which of them a builder sees.

use super::pattern::Subject;
use super::{Dialect, IgnoreFile};

/// A walk over files by one or more ignore files; a file is left out when each of them leaves it out. Paths are
/// relative to the build context and come sorted, so that those of a directory follow each other.
pub struct Walk<'i> {
    files: Vec<Ground<'i>>,
    /// The directory that the last file lies in.
    dir: Vec<u8>,
    levels: Vec<Level>,
    subject: Subject,
    other: Subject,
    /// Only directories of at least this length are told of when they are empty.
    floor: usize,
    /// Whether builders leave a directory out with all that is below where they cannot tell better.
    prunes: bool,
}

/// What is known of one ignore file on the way down.
struct Ground<'i> {
    file: &'i IgnoreFile,
    /// For each level of the directory, and each pattern, whether it matched there.
    matched: Vec<bool>,
}

/// A directory on the way down.
struct Level {
    /// Length of its path.
    end: usize,
    /// For each ignore file the pattern that leaves it out.
    out: Vec<Option<usize>>,
    /// Whether everything below is left out for that pattern, by each ignore file.
    closed: Vec<Option<usize>>,
    /// Whether something in it counts.
    counts: bool,
    /// Whether something in it is left out.
    hides: bool,
}

/// The pattern that leaves a file out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut<'i> {
    /// The ignore file.
    pub file: &'i IgnoreFile,
    /// Line of it, from 1.
    pub line: usize,
}

impl<'i> Walk<'i> {
    /// A walk below `source`, a path that is copied as it is written (empty for the whole context). Where `prunes` is
    /// not set, the builder may look into directories that are left out.
    #[must_use]
    pub fn new(files: &[&'i IgnoreFile], source: &[u8], prunes: bool) -> Self {
        Self {
            files: files.iter().map(|file| Ground { file, matched: Vec::new() }).collect(),
            dir: Vec::new(),
            levels: Vec::new(),
            subject: Subject::default(),
            other: Subject::default(),
            floor: source.len(),
            prunes,
        }
    }

    /// What leaves a file out; none when the builder sees it. `empty` is told of directories that the builder sees and
    /// that hold nothing for it, once the walk has left them.
    pub fn file(&mut self, path: &[u8], empty: &mut dyn FnMut(&[u8])) -> Option<LeftOut<'i>> {
        self.go_to(path, empty);
        self.subject.renew();
        let mut found = None;
        for at in 0..self.files.len() {
            match self.judge(at, path, None) {
                Some(pattern) => found = found.or(Some((at, pattern))),
                None => {
                    found = None;
                    break;
                }
            }
        }
        if let Some(level) = self.levels.last_mut() {
            level.hides |= found.is_some();
            level.counts |= found.is_none();
        }
        let (at, pattern) = found?;
        let file = self.files[at].file;
        Some(LeftOut { file, line: file.patterns[pattern].line })
    }

    /// Ends the walk.
    pub fn end(mut self, empty: &mut dyn FnMut(&[u8])) {
        while self.leave(empty) {}
    }

    /// Leaves directories that the path does not lie in, and enters those that it does.
    fn go_to(&mut self, path: &[u8], empty: &mut dyn FnMut(&[u8])) {
        while let Some(level) = self.levels.last() {
            let inside =
                path.len() > level.end && path[level.end] == b'/' && path[..level.end] == self.dir[..level.end];
            if inside {
                break;
            }
            self.leave(empty);
        }
        let from = self.levels.last().map_or(0, |level| level.end + 1);
        let below = path.get(from..).unwrap_or_default();
        for slash in memchr::memchr_iter(b'/', below) {
            self.enter(&path[..from + slash]);
        }
    }

    fn leave(&mut self, empty: &mut dyn FnMut(&[u8])) -> bool {
        let Some(level) = self.levels.pop() else { return false };
        let is_seen = self.files.is_empty() || level.out.iter().any(Option::is_none);
        let is_empty = is_seen && level.hides && !level.counts;
        if is_empty && level.end >= self.floor {
            empty(&self.dir[..level.end]);
        }
        if let Some(parent) = self.levels.last_mut() {
            parent.counts |= level.counts || is_empty;
            parent.hides |= level.hides;
        }
        for ground in &mut self.files {
            ground.matched.truncate(self.levels.len() * ground.file.patterns.len());
        }
        true
    }

    fn enter(&mut self, dir: &[u8]) {
        self.dir.clear();
        self.dir.extend_from_slice(dir);
        self.subject.renew();
        let depth = self.levels.len();
        let (mut out, mut closed) = (Vec::with_capacity(self.files.len()), Vec::with_capacity(self.files.len()));
        for at in 0..self.files.len() {
            let pattern = self.judge(at, dir, Some(depth));
            closed.push(pattern.filter(|_| self.closes(at, dir)));
            out.push(pattern);
        }
        self.levels.push(Level { end: dir.len(), out, closed, counts: false, hides: false });
    }

    /// Whether nothing below a directory that is left out is ever taken back in.
    fn closes(&self, at: usize, dir: &[u8]) -> bool {
        let file = self.files[at].file;
        match file.dialect {
            // Each path is looked at by itself.
            Dialect::Kaniko | Dialect::Classic => false,
            Dialect::BuildKit => !file.takes_back,
            Dialect::Buildah => {
                self.prunes
                    && dir.len() >= self.floor
                    && !file.patterns.iter().any(|pattern| pattern.takes_back && pattern.text.starts_with(dir))
            }
        }
    }

    /// The pattern that leaves a path out. `depth` is that of a directory, whose matches are kept.
    fn judge(&mut self, at: usize, path: &[u8], depth: Option<usize>) -> Option<usize> {
        let ground = &mut self.files[at];
        let known = self.levels.last().and_then(|level| level.closed.get(at).copied().flatten());
        if ground.file.dialect != Dialect::BuildKit {
            return known.or_else(|| alone(ground.file, path, &mut self.subject, &mut self.other));
        }
        let patterns = &ground.file.patterns;
        if let Some(pattern) = known {
            if depth.is_some() {
                ground.matched.resize(ground.matched.len() + patterns.len(), false);
            }
            return Some(pattern);
        }
        let parent = self.levels.len().checked_sub(1).map(|level| level * patterns.len());
        let mut out = None;
        for (index, pattern) in patterns.iter().enumerate() {
            let mut matches = parent.is_some_and(|start| ground.matched[start + index]);
            if !matches && pattern.takes_back == out.is_some() {
                matches = pattern.matches(path, &mut self.subject);
            }
            if matches {
                out = if pattern.takes_back { None } else { out.or(Some(index)) };
            }
            if depth.is_some() {
                ground.matched.push(matches);
            }
        }
        out
    }
}

/// The pattern that leaves a path out where builders look at each path by itself: the last one that matches decides.
fn alone(file: &IgnoreFile, path: &[u8], subject: &mut Subject, other: &mut Subject) -> Option<usize> {
    let mut out = None;
    for (index, pattern) in file.patterns.iter().enumerate() {
        if pattern.takes_back != out.is_some() {
            continue;
        }
        let mut matches = pattern.matches(path, subject);
        if !matches && file.dialect != Dialect::Buildah {
            // A directory above counts where it is as deep as the pattern, and no other one.
            let end = memchr::memchr_iter(b'/', path).nth(pattern.depth - 1);
            matches = end.is_some_and(|end| pattern.matches_other(&path[..end], other));
        }
        if matches {
            out = if pattern.takes_back { None } else { Some(index) };
        }
    }
    out
}
