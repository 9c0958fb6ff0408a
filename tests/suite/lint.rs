//! What is said of the rules of `hephy check`: docs/lint.md, the hooks for pre-commit.

use std::path::PathBuf;

use hephy::lint;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_page_of_rules_is_what_the_table_says() {
    let path = root().join("docs/lint.md");
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::write(&path, lint::page()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == lint::page(), "docs/lint.md: HEPHY_BLESS=1 cargo test --test suite lint:: writes it anew");
}

#[test]
fn rules_have_one_name_each_and_say_what_to_do() {
    for rule in lint::RULES {
        assert_eq!(lint::find(rule.name), Some(rule));
        assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.name);
        assert!(rule.finds.ends_with('.') && rule.why.ends_with('.') && !rule.fix.ends_with('.'), "{}", rule.name);
        assert!(rule.level != lint::Level::Error, "{}: what fails a build is no rule", rule.name);
    }
}

/// The hooks start with every file that `hephy check` reads, and with no other.
#[test]
fn hooks_of_pre_commit_are_its_format() {
    let text = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).unwrap();
    let hooks: Value = serde_yaml::from_str(&text).unwrap();
    let hooks = hooks.as_array().unwrap();
    let of = |field: &str| -> Vec<&str> { hooks.iter().map(|hook| hook[field].as_str().unwrap()).collect() };
    assert_eq!(of("id"), ["hephy-check", "hephy-check-system"]);
    assert_eq!(of("language"), ["rust", "system"]);
    assert_eq!(of("entry"), ["hephy check"; 2]);
    for hook in hooks {
        assert_eq!(hook["pass_filenames"], false, "a Dockerfile alone is no image");
        let files = regex_lite::Regex::new(hook["files"].as_str().unwrap()).unwrap();
        for read in [
            "hephy.yaml",
            "build-config.yaml",
            "a/build-config.yaml",
            "a/Dockerfile",
            "a/Dockerfile.arm64",
            "a/b.Dockerfile",
            "a/.dockerignore",
            "a/Dockerfile.dockerignore",
        ] {
            assert!(files.is_match(read), "{read}");
        }
        for other in ["a/hephy.yaml", "README.md", "a/mybuild-config.yaml", "a/Dockerfiles/x", "build-config.yaml.bak"]
        {
            assert!(!files.is_match(other), "{other}");
        }
    }
    assert!(lint::page().contains("id: hephy-check ") && lint::page().contains("hephy-check-system"));
}
