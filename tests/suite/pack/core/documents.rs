//! What the pack's documents say is so.

use std::path::{Path, PathBuf};

use hephy::ErrorKind;

use crate::cli::Project;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn troubleshooting_has_an_entry_for_each_error_code() {
    let text = read("docs/troubleshooting.md");
    for kind in ErrorKind::ALL {
        let code = kind.code();
        assert!(text.contains(&format!("\n| {} | [`{code}`](#{code}) | ", kind.exit_code())), "{code} is in no row");
        let (_, entry) = text.split_once(&format!("\n## {code}\n")).unwrap_or_else(|| panic!("{code} has no entry"));
        let entry = entry.split("\n## ").next().unwrap();
        assert!(entry.contains("**Cause.**") && entry.contains("**Fix.**"), "{code}: {entry}");
    }
    for line in text.lines().filter(|line| line.starts_with("error: ")) {
        let known = ErrorKind::ALL.iter().any(|kind| line.ends_with(&format!("({})", kind.code())));
        assert!(known || line.starts_with("error: invalid value"), "{line:?} ends with no code");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    for document in [
        "README.md",
        "docs/github.md",
        "docs/gitlab.md",
        "docs/troubleshooting.md",
        "docs/rebuilds.md",
        "docs/what-is-built.md",
    ] {
        let text = read(document);
        let dir = root().join(document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = match link.strip_prefix('#') {
                Some(anchor) => text.contains(&format!("\n## {anchor}\n")),
                None => link.contains("://") || dir.join(link).exists(),
            };
            assert!(there, "{document}: {link}");
        }
    }
}

#[test]
fn the_example_of_a_weekly_list_builds_what_it_lists() {
    let project = Project::new();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(root().join("examples/.")).arg(project.repo.path()).status();
    assert!(copied.unwrap().success());
    project.repo.commit("examples");
    let plan = project.hephy(["plan", "--scheduled", "--registry", "none", "--format", "json"]).run().ok();
    assert_eq!(plan.built(), ["curl", "manifest-tool"]);
    assert_eq!(plan.reason("curl"), "listed in rebuild-weekly.txt");
    assert!(Path::new(&project.path("rebuild-weekly.txt")).exists());
}
