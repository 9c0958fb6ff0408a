//! The release script: what it tags is an action that installs exactly the released files.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;

use super::world::copy;
use crate::pack::emulated::root;
use crate::support::repo::Repo;

#[test]
fn a_release_tags_a_commit_whose_action_installs_it() {
    let dir = TempDir::with_prefix("hephy release ").unwrap();
    let repo = Repo::new();
    copy(&root().join("action"), &repo.path().join("action"));
    for file in ["hack/release", "Cargo.toml"] {
        std::fs::create_dir_all(repo.path().join("hack")).unwrap();
        std::fs::copy(root().join(file), repo.path().join(file)).unwrap();
    }
    let head = repo.commit("first");
    let origin = dir.path().join("origin.git");
    repo.git(&["init", "-q", "--bare", origin.to_str().unwrap()]);
    repo.git(&["remote", "add", "origin", origin.to_str().unwrap()]);
    let dist = dir.path().join("dist");
    std::fs::create_dir(&dist).unwrap();
    // GitHub's own client is not here; this one says what it was asked for.
    let gh = dir.path().join("gh");
    std::fs::write(&gh, "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$0.asked\"\n").unwrap();
    std::fs::set_permissions(&gh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let release = |step: &str| {
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(repo.path().join("hack/release"));
        command.arg(step).arg(&dist).env("PATH", path).env("GITHUB_REPOSITORY", "acme/hephy");
        let output = command.env("GITHUB_SERVER_URL", "https://github.com").output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::copy(env!("CARGO_BIN_EXE_hephy"), dist.join("hephy-x86_64")).unwrap();
    let (done, said) = release("checksums");
    assert!(!done && said.contains("lacks the programs of x86_64"), "{said}");
    for name in ["registry-x86_64", "hephy-aarch64", "registry-aarch64"] {
        std::fs::write(dist.join(name), name).unwrap();
    }
    let (done, said) = release("checksums");
    assert!(done, "{said}");
    let (done, said) = release("publish");
    assert!(done, "{said}");
    let version = env!("CARGO_PKG_VERSION");
    let tag = format!("refs/tags/v{version}");
    let shipped = repo.git(&["--git-dir", origin.to_str().unwrap(), "show", &format!("{tag}:action/release.txt")]);
    let sum = hephy::oci::Digest::of(&std::fs::read(env!("CARGO_BIN_EXE_hephy")).unwrap()).hex().to_owned();
    assert!(shipped.contains(&format!("sha256 {sum} hephy-x86_64\n")), "{shipped}");
    assert!(shipped.contains(&format!("version {version}\nurl https://github.com/acme/hephy/releases/download\n")));
    assert_eq!(shipped.lines().filter(|line| line.starts_with("sha256 ")).count(), 4);
    assert_eq!(repo.git(&["rev-parse", &format!("{tag}^")]), head, "nothing else is in that commit");
    let refs = repo.git(&["--git-dir", origin.to_str().unwrap(), "for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, tag, "no branch moves");
    let asked = std::fs::read_to_string(dir.path().join("gh.asked")).unwrap();
    assert!(asked.starts_with(&format!("release\ncreate\nv{version}\n--verify-tag\n")) && asked.contains("SHA256SUMS"));
    let (done, said) = release("publish");
    assert!(!done && said.contains("is released already"), "{said}");
}

#[test]
fn hephys_own_image_is_one_and_has_the_version_as_tag() {
    let transports = hephy::config::Transports::of_variable(None);
    let report = hephy::commands::check::run(&root(), &[root().join("images")], &transports).unwrap();
    assert_eq!((report.files.len(), report.errors, report.warnings), (1, 0, 0), "{}", report.render());
    let config = std::fs::read_to_string(root().join("images/hephy/build-config.yaml")).unwrap();
    assert!(config.contains(&format!("v{}]", env!("CARGO_PKG_VERSION"))), "{config}");
}

/// Who may write in the workflows of this repository, and what for.
#[test]
fn only_the_publishing_job_of_a_release_may_write() {
    for file in ["ci.yml", "release.yml"] {
        let text = std::fs::read_to_string(root().join(".github/workflows").join(file)).unwrap();
        let workflow: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{file}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let permissions = job["permissions"].as_object().unwrap_or_else(|| panic!("{file}: {name}"));
            let writes: Vec<&String> =
                permissions.iter().filter(|(_, access)| *access == "write").map(|(name, _)| name).collect();
            match name.as_str() {
                "publish" => assert_eq!(writes, ["attestations", "contents", "id-token"]),
                "image" => assert_eq!(writes, ["packages"]),
                _ => assert!(writes.is_empty(), "{file}: {name}"),
            }
        }
        assert_ne!(workflow["concurrency"]["cancel-in-progress"], true, "{file}");
    }
}
