//! Everything that is shipped as an example works: the configurations are valid, and the quickstart script does what
//! the README says.

use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_example_is_valid() {
    let transports = hephy::config::Transports::of_variable(Some("https:ssh:file"));
    let report = hephy::commands::check::run(&root(), &[root().join("examples")], &transports).unwrap();
    assert_eq!(report.render(), report.summary() + "\n", "{}", report.render());
    assert_eq!(report.files.len(), 10);
    assert_eq!((report.errors, report.warnings), (0, 0));
}

/// The README's first command, with the hephy that is tested and without its installation step.
#[test]
fn quickstart_builds_everything_then_nothing_then_what_a_change_reaches() {
    let dir = tempfile::Builder::new().prefix("quick start ").tempdir().unwrap();
    let output = Command::new("bash")
        .args(["-c", "exec \"$0\" \"$@\" 2>&1"]) // as a terminal shows it: data and talk in one stream
        .arg(root().join("hack/quickstart"))
        .arg(dir.path().join("here"))
        .env("HEPHY", env!("CARGO_BIN_EXE_hephy"))
        .env("HEPHY_QUICKSTART_INSTALL", "no")
        .env_remove("CI")
        .env_remove("GITHUB_ACTIONS")
        .env_remove("GITLAB_CI")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let parts: Vec<&str> = said.split("\n\u{1b}[1m# ").collect();
    let part =
        |title: &str| *parts.iter().find(|part| part.starts_with(title)).unwrap_or_else(|| panic!("{title}: {said}"));
    let everything = part("Build and publish everything");
    for image in ["base", "greeter", "report", "notes", "site"] {
        assert!(everything.contains(&format!("✓ {image} linux/amd64 ")), "{image}: {everything}");
        assert_eq!(everything.contains(&format!("✓ {image} linux/arm64 ")), image != "notes", "{image}: {everything}");
    }
    assert!(part("Nothing changed").contains("Nothing to build: 5 images unchanged."), "{said}");
    let change = part("Change one image");
    assert!(change.contains("✓ greeter linux/amd64 ") && change.contains("✓ report linux/arm64 "), "{change}");
    assert!(!change.contains("✓ base") && !change.contains("✓ notes") && !change.contains("✓ site"), "{change}");
    assert!(change.contains("2 to build in 2 waves"), "{change}");
}
