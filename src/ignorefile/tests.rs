use super::*;

/// What a builder sees of sorted files: the files, and with a `/` behind them directories that are empty for it.
fn seen(ignore: &str, dialect: Dialect, files: &[&str]) -> Vec<String> {
    let (file, findings) = IgnoreFile::parse(".dockerignore", ignore.as_bytes(), dialect);
    assert_eq!(findings, [], "{ignore:?}");
    seen_by(&[&file], "", files)
}

fn seen_by(ignore: &[&IgnoreFile], source: &str, files: &[&str]) -> Vec<String> {
    let (mut found, mut empty) = (Vec::new(), Vec::new());
    let mut walk = Walk::new(ignore, source.as_bytes(), true);
    let mut note = |dir: &[u8]| empty.push(format!("{}/", String::from_utf8_lossy(dir)));
    for file in files {
        if walk.file(file.as_bytes(), &mut note).is_none() {
            found.push((*file).to_owned());
        }
    }
    walk.end(&mut note);
    found.extend(empty);
    found
}

const FILES: [&str; 6] = ["a/b/c", "a/b/d.md", "a/x.md", "b/c", "c", "d.md"];

#[test]
fn the_language_is_that_of_patternmatcher() {
    for (ignore, expected) in [
        ("", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "c", "d.md"][..]),
        ("# c\n\n  \n#d.md", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "c", "d.md"]),
        // A comment begins with the line.
        (" #c\n/c\r\n\td.md ", &["a/b/c", "a/b/d.md", "a/x.md", "b/c"]),
        ("\u{feff}c\n./d.md\nq/../a//b/", &["a/x.md", "b/c"]),
        ("*.md", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "c"]),
        ("**/*.md", &["a/b/c", "b/c", "c"]),
        ("**/c", &["a/b/d.md", "a/x.md", "d.md", "b/"]),
        ("*/*.md", &["a/b/c", "a/b/d.md", "b/c", "c", "d.md"]),
        ("a/**", &["b/c", "c", "d.md", "a/"]),
        ("a/*", &["b/c", "c", "d.md", "a/"]),
        ("a", &["b/c", "c", "d.md"]),
        ("?", &["d.md"]),
        ("[a-b]", &["c", "d.md"]),
        ("[^a-b]", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "d.md"]),
        ("[c]\nd\\.md\n\\d", &["a/b/c", "a/b/d.md", "a/x.md", "b/c"]),
        ("*", &[]),
        ("**", &[]),
        ("*\n!c", &["c"]),
        ("*\n!a/b", &["a/b/c", "a/b/d.md"]),
        ("*\n!**/c", &["a/b/c", "b/c", "c"]),
        ("*\n!a\na/b", &["a/x.md"]),
        ("!c\nc", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "d.md"]),
        ("a/b/*\n!a/b/c\n**/c", &["a/x.md", "d.md", "a/b/", "b/"]),
        // What cannot be told is left in: `\pL` and `[:alpha:]` are nobody's.
        ("\\pL\n[[:alpha:]]", &["a/b/c", "a/b/d.md", "a/x.md", "b/c", "c", "d.md"]),
    ] {
        assert_eq!(seen(ignore, Dialect::BuildKit, &FILES), expected, "{ignore:?}");
    }
}

#[test]
fn builders_differ_where_a_pattern_is_less_deep_than_a_path() {
    let of = |dialect| seen("**/b\n!**/d.md", dialect, &FILES);
    // BuildKit: what lies in `a/b` is left out with it, but for what is taken back in.
    assert_eq!(of(Dialect::BuildKit), ["a/b/d.md", "a/x.md", "c", "d.md"]);
    // Kaniko looks at the directory that is as deep as the pattern: `b/c`'s is none.
    assert_eq!(of(Dialect::Kaniko), ["a/b/d.md", "a/x.md", "b/c", "c", "d.md"]);
    // Buildah does not go into `a/b`: no pattern with `!` begins like it.
    assert_eq!(of(Dialect::Buildah), ["a/x.md", "c", "d.md"]);
    assert_eq!(
        seen("c+\na|b", Dialect::Buildah, &["a|b", "c+", "cc"]),
        ["a|b", "c+", "cc"],
        "not understood: all count"
    );
    assert_eq!(seen("c+\na|b", Dialect::BuildKit, &["a|b", "c+", "cc"]), ["cc"]);
}

/// A path that was matched once stays left out below, even where a later pattern is skipped at the directory.
#[test]
fn buildkit_keeps_what_matched_above() {
    assert_eq!(seen("a\n!a/b\na", Dialect::BuildKit, &["a/b/c", "a/x"]), ["a/b/c"]);
    assert_eq!(seen("a\n!a/b\na", Dialect::Kaniko, &["a/b/c", "a/x"]), [""; 0]);
}

#[test]
fn a_file_is_left_out_when_every_ignore_file_leaves_it_out() {
    let parse = |text: &str, dialect| IgnoreFile::parse("f", text.as_bytes(), dialect).0;
    let (one, other) = (parse("a\nb", Dialect::BuildKit), parse("b\nc", Dialect::Classic));
    assert_eq!(seen_by(&[&one, &other], "", &["a/x", "b/x", "c/x"]), ["a/x", "c/x"]);
    assert_eq!(seen_by(&[&one], "a/b", &["a/b/x"]), [""; 0]);
}

#[test]
fn only_directories_below_the_source_are_told_of() {
    let (file, _) = IgnoreFile::parse("f", b"**/x", Dialect::BuildKit);
    assert_eq!(seen_by(&[&file], "a/b", &["a/b/c/x", "a/b/x"]), ["a/b/c/"]);
    assert_eq!(seen_by(&[&file], "a/b/x", &["a/b/x"]), [""; 0]);
}

#[test]
fn the_line_that_decided_is_told() {
    let (file, _) = IgnoreFile::parse("f", b"# c\n*.md\n!x.md\n  testdata/ \r\n", Dialect::BuildKit);
    let line = |path: &str| Walk::new(&[&file], b"", true).file(path.as_bytes(), &mut |_| {}).map(|out| out.line);
    assert_eq!((line("a.md"), line("x.md"), line("testdata/a/b")), (Some(2), None, Some(4)));
    assert_eq!((&*file.line(4), &*file.line(9)), ("testdata/", ""));
}

#[test]
fn what_builders_refuse_is_a_finding_with_its_line() {
    for pattern in ["!", "! ", "!/", "[", "a[", "[]a]", "a\\", "[z-a]", "[a-]x", "[-a]", "\\e*"] {
        let text = format!("ok\n{pattern}\n");
        let (file, findings) = IgnoreFile::parse("x/.dockerignore", text.as_bytes(), Dialect::BuildKit);
        assert_eq!(findings.len(), 1, "{pattern}");
        assert_eq!((findings[0].span.line, findings[0].file.as_str()), (2, "x/.dockerignore"));
        assert!(file.patterns.is_empty(), "nothing is left out");
    }
    let many = "x\n".repeat(MAX_PATTERNS + 1);
    let costly = format!("{}\n", "*a".repeat(20_000));
    let apart: String = ('\u{4e00}'..'\u{9fff}').step_by(2).collect();
    let classes = format!("*[{apart}]*\n");
    for text in ["x".repeat(MAX_BYTES + 1), many, costly, classes] {
        assert_eq!(IgnoreFile::parse("f", text.as_bytes(), Dialect::BuildKit).1.len(), 1);
    }
}

#[test]
fn no_pattern_takes_long() {
    let start = std::time::Instant::now();
    let path = format!("{}/x", "a".repeat(600));
    let classes = format!("*[{}]*", "~".repeat(60_000));
    let names = format!("[{}]", "[:a".repeat(20_000));
    for pattern in [
        classes,
        names,
        "*a".repeat(500),
        "**/a".repeat(500),
        "(.*)*".repeat(300),
        "[^b]*".repeat(300),
        "?*".repeat(700),
    ] {
        for dialect in [Dialect::BuildKit, Dialect::Kaniko, Dialect::Buildah] {
            let (file, findings) = IgnoreFile::parse("f", format!("{pattern}b").as_bytes(), dialect);
            assert_eq!(findings, []);
            assert!(Walk::new(&[&file], b"", true).file(path.as_bytes(), &mut |_| {}).is_none());
        }
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn any_bytes_can_be_matched() {
    let (file, findings) = IgnoreFile::parse("f", b"a\xff*\n\xfe\n**/\n\xc3\xa9?", Dialect::BuildKit);
    assert_eq!(findings, []);
    let (only, _) = IgnoreFile::parse("f", b"a\xff*\n\xfe\n\xc3\xa9?", Dialect::BuildKit);
    let out = |file: &IgnoreFile, path: &[u8]| Walk::new(&[file], b"", true).file(path, &mut |_| {}).is_some();
    assert!(out(&file, b"anything"));
    assert!(out(&only, b"a\xffb") && out(&only, b"\xfe") && out(&only, "éx".as_bytes()));
    assert!(!out(&only, b"\xfd") && !out(&only, "éxx".as_bytes()));
}
