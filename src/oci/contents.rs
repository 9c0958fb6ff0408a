//! What the layers of an image hold, as far as it decides whether the image runs on its platform.
//!
//! The platform of an image's config is only what somebody stamped; the programs tell the truth. Layers are
//! added from the top down, each as the beginning of its (gzipped) tar stream, so that a file of an upper layer
//! hides its namesakes below. The rules, in [`Contents::mismatch`]:
//!
//! 1. a foreign program that entrypoint or command name is a mismatch, wherever it lies;
//! 2. so is one in a directory that programs are started from (`PROGRAM_DIRECTORIES` and the image's `PATH`),
//!    unless its own name says that it is foreign on purpose (`qemu-aarch64-static`, `tool-linux-arm64`);
//! 3. so is an image that holds foreign programs and none of its own.
//!
//! Foreign files elsewhere (cross toolchains, sysroots, firmware) are legal, objects and kernel modules are no
//! programs, and an image without any program fits every platform. Nothing here reads more than it is given.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use super::elf::HEADER;
use super::{Elf, Platform};

/// Directories that programs are started from.
const PROGRAM_DIRECTORIES: [&str; 8] =
    ["", "app", "bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];

/// Most bytes that one layer may grow to while it is read.
const MAX_INFLATED: u64 = 128 << 20;
/// Most bytes that all layers together may grow to.
const MAX_INFLATED_ALTOGETHER: u64 = 1 << 30;
/// Most paths of one layer that are remembered.
const MAX_PATHS: usize = 200_000;
/// Longer paths, in bytes, and deeper ones are those of no program; what a path costs grows with both.
const MAX_PATH: usize = 1024;
const MAX_DEPTH: usize = 64;
/// Words in file names that name an architecture.
const ARCHITECTURE_WORDS: [&str; 18] = [
    "amd64", "x86_64", "x86-64", "x64", "386", "i386", "i686", "arm", "armv6", "armv7", "armhf", "armel", "arm64",
    "aarch64", "ppc64le", "s390x", "riscv64", "loong64",
];

/// A program found in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its path, with `/` in front.
    pub path: String,
    /// Its header.
    pub elf: Elf,
}

/// A program that does not run on the image's platform, and why it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The program.
    pub program: Program,
    /// The rule, for people: `the image starts it`.
    pub why: &'static str,
}

/// What was read of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// It is a tar stream with this many programs in the part that was given.
    Programs(usize),
    /// It is compressed in a way that is not read here (zstd), or is no tar stream.
    Unreadable,
}

/// Programs of an image, the visible ones.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    programs: BTreeMap<String, Elf>,
    links: BTreeMap<String, String>,
    hidden: HashSet<String>,
    opaque: HashSet<String>,
    inflated: u64,
}

/// How an image is started: the part of its config that matters here.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// `Entrypoint` and `Cmd`, one after the other.
    pub words: Vec<String>,
    /// `PATH` of `Env`.
    pub path: Option<String>,
    /// `WorkingDir`.
    pub directory: String,
}

impl Contents {
    /// Adds the next layer below: `bytes` is the beginning of it, compressed or not.
    pub fn add_below(&mut self, bytes: &[u8]) -> Sampled {
        match bytes {
            [0x1f, 0x8b, ..] => self.read(flate2::read::MultiGzDecoder::new(bytes)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Sampled::Unreadable,
            _ => self.read(bytes),
        }
    }

    /// Reads entries until the stream breaks off, which is how the beginning of a layer ends.
    fn read(&mut self, stream: impl Read) -> Sampled {
        let limit = MAX_INFLATED.min(MAX_INFLATED_ALTOGETHER - self.inflated);
        let mut stream = stream.take(limit);
        let mut layer = Self::default();
        let sampled = self.entries(&mut stream, &mut layer);
        self.inflated += limit - stream.limit();
        self.merge_below(layer);
        sampled
    }

    fn entries(&self, stream: impl Read, layer: &mut Self) -> Sampled {
        let mut archive = tar::Archive::new(stream);
        let Ok(entries) = archive.entries() else { return Sampled::Unreadable };
        let (mut found, mut whole) = (0, false);
        for entry in entries {
            let Ok(mut entry) = entry else { break };
            whole = true;
            let path = entry.path_bytes();
            if path.len() > MAX_PATH || path.split(|byte| *byte == b'/').count() > MAX_DEPTH {
                continue;
            }
            let path = normal(&String::from_utf8_lossy(&path));
            if self.hides(&path) || layer.remembered() > MAX_PATHS {
                continue;
            }
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    if let Some(hidden) = whiteout(&path) {
                        match hidden {
                            Whiteout::Path(path) => layer.hidden.insert(path),
                            Whiteout::Below(path) => layer.opaque.insert(path),
                        };
                        continue;
                    }
                    let mut header = [0; HEADER];
                    let program = entry.read_exact(&mut header).ok().and_then(|()| Elf::parse(&header));
                    match program.filter(Elf::is_program) {
                        Some(elf) => {
                            found += 1;
                            layer.programs.insert(path, elf);
                        }
                        None => {
                            layer.hidden.insert(path);
                        }
                    }
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let hard = entry.header().entry_type() == tar::EntryType::Link;
                    if let Some(target) = entry.link_name_bytes().filter(|target| target.len() <= MAX_PATH) {
                        let target = String::from_utf8_lossy(&target).into_owned();
                        layer.links.insert(path, if hard { format!("/{target}") } else { target });
                    }
                }
                _ => {}
            }
        }
        if whole { Sampled::Programs(found) } else { Sampled::Unreadable }
    }

    fn remembered(&self) -> usize {
        self.programs.len() + self.links.len() + self.hidden.len() + self.opaque.len()
    }

    fn merge_below(&mut self, layer: Self) {
        for (path, elf) in layer.programs {
            self.programs.entry(path).or_insert(elf);
        }
        for (path, target) in layer.links {
            self.links.entry(path).or_insert(target);
        }
        self.hidden.extend(layer.hidden);
        self.opaque.extend(layer.opaque);
    }

    /// Whether an upper layer replaced, removed or covered this path.
    fn hides(&self, path: &str) -> bool {
        let covered = |dir: &str| self.hidden.contains(dir) || self.opaque.contains(dir);
        self.programs.contains_key(path)
            || self.links.contains_key(path)
            || self.hidden.contains(path)
            || ancestors(path).any(covered)
    }

    /// Follows links to what a path means, within the image.
    fn resolve(&self, path: &str) -> String {
        let mut path = normal(path);
        for _ in 0..16 {
            let followed = std::iter::once(path.as_str())
                .chain(ancestors(&path))
                .find_map(|part| self.links.get(part).map(|target| (part.len(), target)));
            let Some((length, target)) = followed else { break };
            let parent = path[..length].rsplit_once('/').map_or("", |(parent, _)| parent);
            let rest = &path[length..];
            path = if target.starts_with('/') {
                normal(&format!("{target}{rest}"))
            } else {
                normal(&format!("{parent}/{target}{rest}"))
            };
        }
        path
    }

    /// The first program that makes the image unfit for `platform`, by the rules at the top of this file.
    #[must_use]
    pub fn mismatch(&self, platform: &Platform, start: &Start) -> Option<Mismatch> {
        let foreign = |path: &str| self.programs.get(path).filter(|elf| !elf.runs_on(platform)).copied();
        let mismatch = |path: &str, elf, why| Mismatch { program: Program { path: format!("/{path}"), elf }, why };

        for word in start.words.iter().flat_map(|word| word.split_whitespace()) {
            for candidate in start.candidates(word) {
                let path = self.resolve(&candidate);
                if let Some(elf) = foreign(&path) {
                    return Some(mismatch(&path, elf, "the image starts it"));
                }
                if self.programs.contains_key(&path) {
                    break;
                }
            }
        }
        let directories: HashSet<String> = start
            .directories()
            .chain(PROGRAM_DIRECTORIES.into_iter().map(str::to_owned))
            .map(|directory| self.resolve(&directory))
            .collect();
        let started_from = |path: &str| directories.contains(path.rsplit_once('/').map_or("", |(parent, _)| parent));
        for path in self.programs.keys().filter(|path| started_from(path) && !is_foreign_on_purpose(path)) {
            if let Some(elf) = foreign(path) {
                return Some(mismatch(path, elf, "programs are started from its directory"));
            }
        }
        if self.programs.values().any(|elf| elf.runs_on(platform)) {
            return None;
        }
        let first = self.programs.keys().find(|path| !path.contains("lib/firmware/"))?;
        foreign(first).map(|elf| mismatch(first, elf, "no program in the image is for its platform"))
    }
}

impl Start {
    /// Reads the parts of an image config (OCI image-spec, `config.md`); what is absent or odd is left out.
    #[must_use]
    pub fn of_config(config: &serde_json::Value) -> Self {
        let config = &config["config"];
        let strings = |key: &str| -> Vec<String> {
            let list = config[key].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        Self {
            words: [strings("Entrypoint"), strings("Cmd")].concat(),
            path: strings("Env").iter().find_map(|line| line.strip_prefix("PATH=").map(str::to_owned)),
            directory: config["WorkingDir"].as_str().unwrap_or_default().to_owned(),
        }
    }

    fn directories(&self) -> impl Iterator<Item = String> {
        let path = self.path.as_deref().unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        path.split(':').filter(|directory| directory.starts_with('/')).map(normal)
    }

    /// The paths that a word of the command may mean.
    fn candidates(&self, word: &str) -> Vec<String> {
        if word.starts_with('/') {
            vec![normal(word)]
        } else if word.contains('/') {
            vec![normal(&format!("{}/{word}", self.directory))]
        } else {
            self.directories().map(|directory| format!("{directory}/{word}")).collect()
        }
    }
}

enum Whiteout {
    Path(String),
    Below(String),
}

/// OCI image-spec, `layer.md`, "Whiteouts".
fn whiteout(path: &str) -> Option<Whiteout> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = name.strip_prefix(".wh.")?;
    if name == ".wh..opq" {
        return Some(Whiteout::Below(parent.to_owned()));
    }
    Some(Whiteout::Path(normal(&format!("{parent}/{name}"))))
}

/// A path without `/` at its ends, empty and dot parts; `..` stays inside the root.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `a/b` and `a` of `a/b/c`, and the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(|(at, _)| &path[..at]).chain((!path.is_empty()).then_some(""))
}

fn is_foreign_on_purpose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut words = name.split(['-', '.', '_']);
    name.starts_with("qemu-") || name.contains("x86_64") || words.any(|word| ARCHITECTURE_WORDS.contains(&word))
}

#[cfg(test)]
mod tests;
