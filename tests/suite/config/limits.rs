//! Hostile files: refused in well under a second, never a panic, never memory beyond reason.

use std::time::{Duration, Instant};

use super::corpus;
use super::*;

/// Refused, quickly, and (so that nobody waits for the terminal either) rendered quickly.
fn refused_quickly(text: &str) -> String {
    let before = Instant::now();
    let parsed = parse_image("f", text.as_bytes(), &RootConfig::default());
    let rendered = rendered(&parsed.findings);
    let took = before.elapsed();
    assert!(parsed.value.is_none(), "{}", &text[..80]);
    // Tens of milliseconds in a released program; this one is not optimised and shares its machine with other tests.
    // Anything that is quadratic in the size of the file takes minutes.
    assert!(took < Duration::from_secs(10), "{took:?} for {}", text.chars().take(80).collect::<String>());
    rendered
}

fn fill(unit: &str) -> String {
    unit.repeat(MAX_BYTES / unit.len())
}

fn numbered(unit: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0.. {
        let next = unit(number);
        if text.len() + next.len() > MAX_BYTES {
            break;
        }
        text.push_str(&next);
    }
    text
}

#[test]
fn large_files_are_refused_unread() {
    let text = format!("use_local_context: true\n#{}", "x".repeat(MAX_BYTES));
    assert_eq!(image(&text), "app/build-config.yaml:1:1: error: the file has more than 256 KiB\n");
    let comment = format!("use_local_context: true\n#{}", "x".repeat(MAX_BYTES - 25));
    assert_eq!(comment.len(), MAX_BYTES);
    assert_eq!(image(&comment), "");
}

#[test]
fn thirty_two_levels_are_allowed_and_one_more_is_not() {
    let nested = |levels: usize| format!("x: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(!image(&nested(31)).contains("deeper"));
    assert_eq!(
        image(&nested(32)),
        "app/build-config.yaml:1:35: error: nested deeper than 32 levels\n  |\n\
         1 | x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n\
         \x20 |                                   ^\n"
    );
    for text in
        [fill("["), fill("{a: "), fill("- "), fill("? "), fill("[{"), numbered(|n| format!("{}a:\n", " ".repeat(n)))]
    {
        assert!(refused_quickly(&text).contains("error: "), "{}", &text[..40]);
    }
    let through_alias =
        format!("x: &a {}{}\ny: {}*a{}", "[".repeat(20), "]".repeat(20), "[".repeat(20), "]".repeat(20));
    assert!(image(&through_alias).contains("app/build-config.yaml:2:24: error: nested deeper than 32 levels\n"));
}

#[test]
fn aliases_cannot_grow_a_file() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(refused_quickly(&laughs).contains("error: aliases make the file too large\n"));
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(60_000), vec!["*a"; 60].join(", "));
    assert!(refused_quickly(&long).contains("error: aliases make the file too large\n"));
    let keys = numbered(|n| if n == 0 { format!("? &a {}\n: b\n", "x".repeat(1000)) } else { "*a : b\n".to_owned() });
    refused_quickly(&keys);
    refused_quickly(&numbered(|n| format!("a{n}: &a{n} x\n")));
    refused_quickly(&numbered(|n| if n == 0 { "a: &a [x]\nb: [".to_owned() } else { "*a,".to_owned() }));
    refused_quickly(&fill("&a "));
    refused_quickly(&format!("a: {}x", "&a [".repeat(30)));
    assert!(image("a: &a [*a]").contains("error: an alias inside the value that it stands for\n"));
}

#[test]
fn nasty_content_is_refused_quickly() {
    for unit in [
        "a:\n",
        "? \n",
        ": \n",
        "a: b: c\n",
        "\"",
        "'",
        "|",
        ">",
        "&",
        "*",
        "!",
        "%",
        "#",
        "@",
        "`",
        "\t",
        "\0",
        "\r",
        "\u{85}",
        "\u{2028}",
        "\u{1b}",
        "{",
        "}",
        "]",
        ",",
        "-",
        "- -",
        "---\n",
        "...\n",
        "%TAG ! x\n",
        "<<: a\n",
        "~",
        "\\",
        "ä: 1\n",
        "? a\n",
        "a",
        "a ",
        "a\n",
        " \n",
        "a: |\n x\n",
        "\"\\",
        "[a,",
        "{a,",
        "{a: b,",
        "!a ",
        "*a ",
        "# x\n",
        "a#",
        "\u{10ffff}",
    ] {
        refused_quickly(&fill(unit));
    }
    refused_quickly(&numbered(|n| format!("k{n}: 1\n")));
    refused_quickly(&numbered(|n| format!("plaforms{n}: 1\n")));
    refused_quickly(&numbered(|n| if n == 0 { "{".to_owned() } else { format!("k{n}: 1, ") }));
    refused_quickly(
        &(numbered(|n| if n == 0 { "{".to_owned() } else { format!("k{n}, ") })[..MAX_BYTES - 8].to_owned() + "}"),
    );
    refused_quickly(&format!("platforms: [{}]", vec!["x"; 100_000].join(",")));
    refused_quickly(&format!("build_args: [{}]", vec!["A"; 100_000].join(",")));
    refused_quickly(&numbered(|n| if n == 0 { "labels:\n".to_owned() } else { format!("  -k{n}: ~\n") }));
    refused_quickly(&format!("{}: 1", "k".repeat(200_000)));
    refused_quickly(&format!("build_args: ['A={}']", "${".repeat(30_000)));
    refused_quickly(&format!("build_args: ['A={}']", "${A}".repeat(15_000) + "${"));
    refused_quickly(&format!("tag_template: '{}'", "{sha}".repeat(40_000)));
}

#[test]
fn a_hundred_entries_are_allowed_and_one_more_is_not() {
    let entries = |count: usize| (0..count).map(|at| format!("  k{at}: v\n")).collect::<String>();
    for field in ["labels", "annotations", "build_args"] {
        accepted(&format!("use_local_context: true\n{field}:\n{}", entries(100)));
        let refused = image(&format!("use_local_context: true\n{field}:\n{}", entries(101)));
        assert!(refused.contains(&format!(":103:3: error: `{field}` has 101 entries")), "{refused}");
        assert!(refused.contains("a mapping has at most 100; this is the first too many"), "{refused}");
    }
    let list = |count: usize| format!("use_local_context: true\nwatch: [{}]", vec!["a"; count].join(","));
    accepted(&list(100));
    assert!(image(&list(101)).contains("a list has at most 100; this is the first too many"));
}

#[test]
fn what_is_not_utf8_is_refused_where_it_stops_being_it() {
    let of = |bytes: &[u8]| rendered(&parse_image("f", bytes, &RootConfig::default()).findings);
    assert_eq!(of(b"a: 1\n\xc3\xa4\xff"), "f:2:2: error: the file is not UTF-8\n  = save it as UTF-8\n");
    assert_eq!(of(b"\xff\xfea\0"), "f:1:1: error: the file is not UTF-8\n  = it looks like UTF-16; save it as UTF-8\n");
    assert_eq!(of(b"\xed\xa0\x80"), "f:1:1: error: the file is not UTF-8\n  = save it as UTF-8\n");
}

/// A small generator (Numerical Recipes' constants): the same inputs on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }
}

#[test]
fn mutated_files_neither_panic_nor_point_outside() {
    let mut documents: Vec<String> =
        corpus::SOURCES.0.iter().chain(corpus::SOURCES.1).map(|text| (*text).to_owned()).collect();
    for (field, accepted, refused) in corpus::IMAGE {
        documents.extend(
            accepted.iter().chain(*refused).map(|value| format!("use_local_context: true\n{field}: {value}\n")),
        );
    }
    let pieces: &[&[u8]] = &[
        b"\n",
        b" ",
        b": ",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"&a ",
        b"*a",
        b"!",
        b"\"",
        b"'",
        b"\\",
        b"#",
        b"\t",
        b"\0",
        b"\xff",
        b"\xc3\xa4",
        b"\xef\xbb\xbf",
        b"\r",
        b"|\n",
        b">",
        b"?",
        b"%",
        b"<<: ",
        b"---\n",
        b"...",
        b"~",
        b"${",
        b"\xe2\x80\xa8",
    ];
    let mut dice = Dice(20_251_016);
    for round in 0..3_000 {
        let mut bytes = documents[dice.roll(documents.len())].clone().into_bytes();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(bytes.len() + 1);
            match dice.roll(4) {
                0 => drop(bytes.splice(at..at, pieces[dice.roll(pieces.len())].iter().copied())),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + dice.roll(4)).min(bytes.len()))),
                _ => {
                    let other = documents[dice.roll(documents.len())].as_bytes();
                    drop(bytes.splice(at..at, other[dice.roll(other.len() + 1)..].iter().copied()));
                }
            }
        }
        let parsed = parse_image("f", &bytes, &RootConfig::default());
        assert!(parsed.value.is_some() || !parsed.findings.is_empty(), "round {round}");
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.split('\n').collect();
        for finding in &parsed.findings {
            let line = lines.get(finding.span.line - 1).unwrap_or_else(|| panic!("round {round}: {finding:?}"));
            assert!(finding.span.column <= line.chars().count() + 1, "round {round}: {finding:?}");
            assert!(!finding.render().is_empty());
        }
        drop(parse_root("f", &bytes));
    }
}
