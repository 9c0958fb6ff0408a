//! The map in ARCHITECTURE.md stays true: pure rooms stay pure, processes start in one room only, files stay short.

use std::fs;
use std::path::{Path, PathBuf};

const PURE: &[&str] = &[
    "error.rs",
    "diagnostic.rs",
    "table.rs",
    "cli.rs",
    "result.rs",
    "oci",
    "config",
    "ci",
    "dockerfile",
    "ignorefile",
    "change",
    "lint",
    "plan",
    "generate",
    "backend",
    "index",
];

/// What a pure room must not name: files, processes, environment, clocks, network, and the rooms with effects.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::process",
    "std::env::var",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "reqwest::",
    "duct::",
    "rustix::",
    "jiff::Timestamp::now",
    "Zoned::now",
    "println!",
    "crate::process",
    "crate::git",
    "crate::registry",
    "crate::forge",
    "crate::source",
    "crate::commands",
    "crate::report",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    if directory.is_file() {
        found.push(directory.to_owned());
        return;
    }
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src").join(below), &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The code before the unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let production = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    production
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn pure_rooms_name_no_effects() {
    let mut broken = Vec::new();
    for room in PURE {
        for (path, text) in sources(room) {
            if path.ends_with("tests.rs") {
                continue;
            }
            for (line, content) in code(&text) {
                if let Some(effect) = EFFECTS.iter().find(|effect| content.contains(*effect)) {
                    broken.push(format!("{}:{line}: {effect}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "pure rooms with effects:\n{}", broken.join("\n"));
}

#[test]
fn only_process_starts_processes() {
    let mut broken = Vec::new();
    for (path, text) in sources("") {
        if path.starts_with(root().join("src/process")) {
            continue;
        }
        for (line, content) in code(&text) {
            if content.contains("std::process::Command") || content.contains("duct::") {
                broken.push(format!("{}:{line}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "processes are started outside `process`:\n{}", broken.join("\n"));
}

#[test]
fn files_named_in_the_documents_exist() {
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") && !link.starts_with('#') && !root().join(link).exists() {
                missing.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
