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
/// Most paths that are remembered.
const MAX_PATHS: usize = 200_000;
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
        let mut archive = tar::Archive::new(stream.take(MAX_INFLATED));
        let Ok(entries) = archive.entries() else { return Sampled::Unreadable };
        let (mut found, mut whole) = (0, false);
        let mut layer = Self::default();
        for entry in entries {
            let Ok(mut entry) = entry else { break };
            whole = true;
            let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
            if self.hides(&path) || layer.programs.len() + layer.hidden.len() > MAX_PATHS {
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
                    if let Some(target) = entry.link_name_bytes() {
                        let target = String::from_utf8_lossy(&target).into_owned();
                        layer.links.insert(path, if hard { format!("/{target}") } else { target });
                    }
                }
                _ => {}
            }
        }
        self.merge_below(layer);
        if whole { Sampled::Programs(found) } else { Sampled::Unreadable }
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
mod tests {
    use super::*;

    const AMD64: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0rest";
    const ARM64: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0rest";
    const ARM64_OBJECT: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xb7\0rest";

    fn tar(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, target) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target).unwrap();
        }
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            tar.append_data(&mut header, path, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The mismatch of an amd64 image with these layers, top first.
    fn mismatch(layers: &[Vec<u8>], words: &[&str]) -> Option<String> {
        let mut contents = Contents::default();
        for layer in layers {
            assert!(matches!(contents.add_below(&gzip(layer)), Sampled::Programs(_)));
        }
        let start = Start { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Start::default() };
        contents.mismatch(&Platform::linux_amd64(), &start).map(|mismatch| mismatch.program.path)
    }

    #[test]
    fn a_program_that_the_image_starts_decides_wherever_it_lies() {
        let layer = tar(&[("usr/bin/tool", AMD64), ("srv/x/run", ARM64)], &[("entry", "srv/x/run")]);
        for words in
            [&["/srv/x/run"][..], &["/entry"], &["/usr/bin/tool", "--", "/srv/x/run"], &["sh", "-c", "exec /entry 1"]]
        {
            assert_eq!(mismatch(std::slice::from_ref(&layer), words), Some("/srv/x/run".into()), "{words:?}");
        }
        assert_eq!(mismatch(&[layer], &["/usr/bin/tool"]), None);
    }

    #[test]
    fn directories_that_programs_are_started_from_hold_no_foreign_ones() {
        for path in ["bin/a", "usr/sbin/a", "usr/local/bin/a", "a", "app/server"] {
            assert_eq!(mismatch(&[tar(&[("bin/x", AMD64), (path, ARM64)], &[])], &[]), Some(format!("/{path}")));
        }
        let merged = tar(&[("usr/bin/x", AMD64), ("usr/bin/a", ARM64)], &[("bin", "usr/bin")]);
        assert_eq!(mismatch(&[merged], &["a"]), Some("/usr/bin/a".into()));
    }

    #[test]
    fn foreign_files_that_are_there_on_purpose_are_legal() {
        for path in
            ["usr/bin/qemu-aarch64-static", "bin/tool-linux-arm64", "usr/aarch64-linux-gnu/bin/ld", "lib/firmware/x"]
        {
            assert_eq!(mismatch(&[tar(&[("bin/x", AMD64), (path, ARM64)], &[])], &["/bin/x"]), None, "{path}");
        }
        assert_eq!(mismatch(&[tar(&[("bin/x.o", ARM64_OBJECT)], &[])], &[]), None, "an object file");
        assert_eq!(mismatch(&[tar(&[("lib/firmware/x", ARM64)], &[])], &[]), None, "firmware alone");
        assert_eq!(mismatch(&[tar(&[("etc/passwd", b"root")], &[])], &["/bin/sh"]), None, "no program");
    }

    #[test]
    fn an_image_with_foreign_programs_only_is_wrong() {
        assert_eq!(mismatch(&[tar(&[("srv/a/b/tool-arm64", ARM64)], &[])], &[]), Some("/srv/a/b/tool-arm64".into()));
    }

    #[test]
    fn upper_layers_hide_what_they_replace_and_remove() {
        let base = || tar(&[("bin/a", ARM64), ("bin/x", AMD64)], &[]);
        assert_eq!(mismatch(&[base()], &["/bin/a"]), Some("/bin/a".into()));
        for (case, top) in [
            ("replaced by a program", tar(&[("bin/a", AMD64)], &[])),
            ("replaced by a script", tar(&[("./bin/a", b"#!/bin/sh")], &[])),
            ("replaced by a link", tar(&[], &[("bin/a", "x")])),
            ("removed", tar(&[("bin/.wh.a", b"")], &[])),
            ("its directory removed", tar(&[(".wh.bin", b"")], &[])),
            ("its directory emptied", tar(&[("bin/.wh..wh..opq", b""), ("bin/a", AMD64)], &[])),
        ] {
            assert_eq!(mismatch(&[top, base()], &["/bin/a"]), None, "{case}");
        }
        assert_eq!(
            mismatch(&[tar(&[("bin/a", ARM64)], &[]), tar(&[("bin/a", AMD64)], &[])], &[]),
            Some("/bin/a".into())
        );
    }

    #[test]
    fn the_beginning_of_a_layer_is_enough_and_rubbish_is_harmless() {
        let layer = gzip(&tar(&[("bin/a", ARM64), ("z", &[7; 100_000])], &[]));
        let mut contents = Contents::default();
        assert_eq!(contents.add_below(&layer[..layer.len() - 20]), Sampled::Programs(1));
        for rubbish in [&b""[..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd, 1], &[0x41; 2000]] {
            assert_eq!(Contents::default().add_below(rubbish), Sampled::Unreadable);
        }
        let loops = tar(&[("x", AMD64)], &[("a", "b"), ("b", "a"), ("c", "c/c")]);
        assert_eq!(mismatch(&[loops], &["/a", "/c/d", "../../x"]), None);
    }
}
