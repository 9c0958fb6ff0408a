//! Ignore files read as the builders' own libraries read them: random ones, by the tool `ignored` of `hack/tools`.
//! `build::ignored` has the builders themselves.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use hephy::ignorefile::{Dialect, IgnoreFile, Walk};

use crate::support::builders::tool;

/// What a builder sees of sorted files: the files, and with a `/` behind them directories that are empty for it. None
/// when the file has findings.
pub(crate) fn seen(ignore: &[u8], dialect: Dialect, files: &BTreeSet<Vec<u8>>) -> Option<BTreeSet<Vec<u8>>> {
    let (file, findings) = IgnoreFile::parse(".dockerignore", ignore, dialect);
    if !findings.is_empty() {
        return None;
    }
    let (mut found, mut empty) = (BTreeSet::new(), Vec::new());
    let mut walk = Walk::new(&[&file], b"", dialect == Dialect::Buildah);
    let mut note = |dir: &[u8]| empty.push([dir, b"/"].concat());
    for path in files {
        if walk.file(path, &mut note).is_none() {
            found.insert(path.clone());
        }
    }
    walk.end(&mut note);
    found.extend(empty);
    Some(found)
}

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn text(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        (0..=self.below(most)).flat_map(|_| pieces[self.below(pieces.len())].to_vec()).collect()
    }
}

const PATTERN: [&[u8]; 44] = [
    b"a",
    b"b",
    b"c",
    b"a",
    b"b",
    b"/",
    b"/",
    b"/",
    b"*",
    b"*",
    b"**",
    b"**/",
    b"/**",
    b"?",
    b"[ab]",
    b"[^a]",
    b"[a-c]",
    b"[",
    b"]",
    b"^",
    b"-",
    b"\\*",
    b"\\",
    b"\\d",
    b".",
    b"..",
    b"/../",
    b"./",
    b"#",
    b" ",
    b"\t",
    b"+",
    b"(",
    b")",
    b"|",
    b"{",
    b"}",
    b"$",
    b"\xc3\xa9",
    b"\xff",
    b"a*",
    b"**/a",
    b"[a*]",
    b"\r",
];
const NAME: [&[u8]; 16] = [
    b"a",
    b"b",
    b"c",
    b"ab",
    b"ba",
    b"a.b",
    b"*",
    b"[",
    b"]",
    b"^a",
    b"\xc3\xa9",
    b"\xff",
    b"a b",
    b"7",
    b"a\n",
    b"$(a)|+{b}",
];

struct Case {
    ignore: Vec<u8>,
    files: BTreeSet<Vec<u8>>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.below(2);
        let mut ignore = Vec::new();
        for _ in 0..=random.below(4) {
            if random.below(3) == 0 {
                ignore.push(b'!');
            }
            ignore.extend(random.text(&PATTERN, 5));
            ignore.push(b'\n');
        }
        let mut files: BTreeSet<Vec<u8>> = BTreeSet::new();
        for _ in 0..12 {
            let parts: Vec<&[u8]> = (0..=random.below(3)).map(|_| NAME[random.below(NAME.len())]).collect();
            let path = parts.join(&b'/');
            let below = |dir: &[u8], path: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
            if !files.iter().any(|other| below(other, &path) || below(&path, other)) {
                files.insert(path);
            }
        }
        Self { ignore, files }
    }

    /// One line of JSON, each byte a character.
    fn question(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|file| latin(file)).collect();
        serde_json::json!({"ignore": latin(&self.ignore), "files": files}).to_string()
    }
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// What the library says; none when it refuses.
fn answer(said: &serde_json::Value) -> Option<BTreeSet<Vec<u8>>> {
    let bytes =
        |name: &serde_json::Value| name.as_str().unwrap().chars().map(|one| u8::try_from(one).unwrap()).collect();
    Some(said.as_array()?.iter().map(bytes).collect())
}

/// Whether something stands in it that hephy does not claim to understand: `|`, `{7}`, `\\b`.
fn is_odd(ignore: &[u8]) -> bool {
    ignore.contains(&b'|')
        || ignore.windows(2).any(|pair| match pair[0] {
            b'{' => pair[1].is_ascii_digit() || pair[1] == b',',
            b'\\' => pair[1] == b'b',
            _ => false,
        })
}

#[test]
fn random_ignore_files_mean_what_they_mean_to_the_libraries() {
    let count: u64 = std::env::var("HEPHY_IGNORE_CASES").map_or(6_000, |text| text.parse().unwrap());
    let mut child = Command::new(tool("ignored")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let asking = std::thread::spawn(move || {
        for seed in 0..count {
            writeln!(input, "{}", Case::new(seed).question()).unwrap();
        }
    });
    let mut stricter = 0;
    for (seed, line) in (0..count).zip(BufReader::new(child.stdout.take().unwrap()).lines()) {
        let said: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let case = Case::new(seed);
        for (dialect, name) in [(Dialect::BuildKit, "buildkit"), (Dialect::Kaniko, "kaniko")] {
            let (ours, theirs) = (seen(&case.ignore, dialect, &case.files), answer(&said[name]));
            let shown = || format!("seed {seed}, {name}: {:?} on {:?}", latin(&case.ignore), case.files);
            match (ours, theirs) {
                // What is not understood leaves nothing out: too much counts, never too little.
                (Some(ours), Some(theirs)) if is_odd(&case.ignore) => {
                    let files =
                        |set: &BTreeSet<Vec<u8>>| set.iter().filter(|it| !it.ends_with(b"/")).cloned().collect();
                    let (ours, theirs): (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) = (files(&ours), files(&theirs));
                    assert!(ours.is_superset(&theirs), "{}", shown());
                }
                (Some(ours), Some(theirs)) => assert_eq!(ours, theirs, "{}", shown()),
                // The library compiles a pattern when it first needs it.
                (None, Some(_)) => stricter += 1,
                (None, None) => {}
                (Some(_), None) => panic!("{}: the library refuses it", shown()),
            }
        }
    }
    asking.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(stricter * 20 < count, "{stricter} of {count} were refused that the library takes");
}
