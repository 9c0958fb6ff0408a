//! The whole text of every message: `messages.txt` has each invalid value and combination of the corpus with what
//! people see. It is read like code: a change of it is a change of what hephy says.

use super::corpus;
use super::*;

const WRITE: &str = "HEPHY_BLESS=1 cargo test --test suite config::";

#[test]
fn every_invalid_file_gets_the_messages_that_are_written_down() {
    let mut text = format!("Generated from corpus.rs. To write it anew: {WRITE}\n");
    let mut case = |file: &str, findings: String| {
        assert!(!findings.is_empty(), "{file}");
        text.push_str(&format!("\n=== {file:?}\n{findings}"));
    };
    for (field, _, refused) in corpus::IMAGE {
        for value in *refused {
            let file = format!("use_local_context: true\n{field}: {value}");
            case(&file, image(&file));
        }
    }
    for file in corpus::SOURCES.1.iter().chain(corpus::WARNED).chain(corpus::BROKEN) {
        case(file, image(file));
    }
    for (field, _, refused) in corpus::ROOT {
        for value in *refused {
            let file = format!("{field}: {value}");
            case(&file, root(&file));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/config/messages.txt");
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let differs = text.lines().zip(written.lines()).find(|(now, before)| now != before);
    assert!(text == written, "messages.txt differs: {differs:?}; if that is meant: {WRITE}");
}

#[test]
fn all_problems_of_a_file_are_reported_in_order() {
    assert_eq!(
        image(
            "upstream_repo: https://github.com/acme/app\n\
             plaforms:\n  - linux/amd64\n\
             upstream_ref: --upload-pack=touch /tmp/x\n\
             build_backend: kanico\n\
             retries: many\n\
             retries: 3\n"
        ),
        "\
app/build-config.yaml:2:1: error: unknown field `plaforms`
  |
2 | plaforms:
  | ^^^^^^^^ did you mean `platforms`?
app/build-config.yaml:4:15: error: `upstream_ref` looks like an option
  |
4 | upstream_ref: --upload-pack=touch /tmp/x
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^
  = a ref has letters, digits and ._/@+- and does not begin with -
app/build-config.yaml:5:16: error: `build_backend` cannot be `kanico`
  |
5 | build_backend: kanico
  |                ^^^^^^ did you mean `kaniko`?
  = one of kaniko, buildkit, buildah, docker, ko, spin
app/build-config.yaml:6:10: error: `retries` is not a whole number that fits
  |
6 | retries: many
  |          ^^^^
  = a number from 0 to 100, in plain digits
app/build-config.yaml:7:1: error: `retries` is given twice
  |
7 | retries: 3
  | ^^^^^^^
  = first on line 6
"
    );
}

#[test]
fn what_was_read_before_a_syntax_error_is_judged_and_what_is_missing_is_not_missed() {
    assert_eq!(
        image("plaforms: [linux/amd64]\ntarget: 'x\n"),
        "\
app/build-config.yaml:1:1: error: unknown field `plaforms`
  |
1 | plaforms: [linux/amd64]
  | ^^^^^^^^ did you mean `platforms`?
app/build-config.yaml:2:9: error: a quote is not closed before the indentation ends
  |
2 | target: 'x
  |         ^
  = further lines of its value are indented more
"
    );
}

#[test]
fn passwords_are_not_shown() {
    let shown =
        image("upstream_repo: https://me:hunter2@host/x\nupstream_ref: main\nlabels: {x: 'https://a:hunter2@b', x: ~}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let meant = image("use_local_context: true\nbuild_args: [X: 'https://a:hunter2@b']");
    assert!(meant.contains("did you mean `X=https://*********@b`?") && !meant.contains("hunter2"), "{meant}");
    assert!(shown.contains("1 | upstream_repo: https://**********@host/x\n"), "{shown}");
}

#[test]
fn lists_have_at_most_a_hundred_entries() {
    let list = |field: &str, entry: &str, count: usize| {
        let entries: Vec<String> = (0..count).map(|number| entry.replace('#', &number.to_string())).collect();
        image(&format!("use_local_context: true\n{field}: [\n{}]", entries.join(",\n")))
    };
    for (field, entry) in
        [("build_args", "A#=1"), ("additional_tags", "t#"), ("depends_on", "d#"), ("watch", "w#"), ("ignore", "i#")]
    {
        assert_eq!(list(field, entry, 100), "");
        let shown = list(field, entry, 101);
        let wanted = format!("app/build-config.yaml:103:1: error: `{field}` has 101 entries\n");
        assert!(shown.starts_with(&wanted) && shown.matches("error:").count() == 1, "{shown}");
    }
    let mapping: Vec<String> = (0..101).map(|number| format!("  A{number}: x\n")).collect();
    let of = |count: usize| image(&format!("use_local_context: true\nbuild_args:\n{}", mapping[..count].concat()));
    assert_eq!(of(100), "");
    assert!(of(101).starts_with("app/build-config.yaml:103:3: error: `build_args` has 101 entries\n"), "{}", of(101));
}

#[test]
fn a_build_argument_has_at_most_64_kib() {
    let shown = image(&format!("use_local_context: true\nbuild_args: [A={}]", "x".repeat(64 * 1024 + 1)));
    assert!(
        shown.starts_with("app/build-config.yaml:2:14: error: an entry of `build_args` has a value of 65537 bytes\n"),
        "{}",
        &shown[..200]
    );
    assert!(shown.len() < 1000, "the line is not cut");
}

#[test]
fn findings_below_an_alias_are_reported_where_the_text_stands() {
    let shown = image("build_backend: ko\nplatforms: &p [linux/amd46]\nko_config: {platforms: *p}");
    assert_eq!(shown.matches("app/build-config.yaml:2:16: error: an entry of ").count(), 2, "{shown}");
}
