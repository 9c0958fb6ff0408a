//! Threat: a repository or an environment makes hephy write elsewhere than into its own directory.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Hephy, one_image};

fn is_empty(dir: &Path) -> bool {
    dir.read_dir().unwrap().next().is_none()
}

#[test]
fn an_output_directory_that_the_repository_brings_as_a_link_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    for link in [".hephy", ".hephy/logs", ".hephy/bin", ".hephy/bin/x86_64", ".hephy/work", ".hephy/registry"] {
        let (repo, _) = one_image();
        repo.symlink(outside.path().to_str().unwrap(), link).commit("link");
        let seen = Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none"]);
        seen.refused(2, "is a symbolic link");
        assert!(is_empty(outside.path()), "{link}");
        // The stages behind it do not write through it either.
        if link != ".hephy" {
            repo.write(".hephy/plan.json", "{}");
            for args in [&["build", "--arch", "amd64"][..], &["manifest"]] {
                Hephy::at(repo.path()).run(args).refused(2, "is a symbolic link");
            }
            assert!(is_empty(outside.path()), "{link}");
        }
    }
}

#[test]
fn an_output_directory_that_holds_the_checkout_or_is_gits_is_refused() {
    let (repo, _) = one_image();
    let top = repo.path().display().to_string();
    // The places above the repository are left to a unit test: hephy cleans up where it works.
    for out in [".", "./x/..", &top, ".git", ".git/hooks", "curl/../.git/x"] {
        let seen = Hephy::at(repo.path()).env("HEPHY_OUT", out).run(&["prepare", "--all", "--registry", "none"]);
        seen.refused(2, "cannot be the output directory");
    }
    assert_eq!(repo.git(&["status", "--porcelain"]), "", "nothing was left behind");
    assert!(!repo.path().join(".git/plan.json").exists() && !repo.path().parent().unwrap().join("logs").exists());
    // A place of its own is the user's choice, inside and outside.
    let other = tempfile::tempdir().unwrap();
    for out in [other.path().join("x").to_str().unwrap(), "artifacts/hephy"] {
        Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none", "--out", out]).succeeded();
    }
    // Links on the way to it are the machine's.
    symlink(other.path(), repo.path().parent().unwrap().join("linked")).unwrap();
    Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none", "--out", "../linked/y"]).succeeded();
}

#[test]
fn files_that_are_links_are_replaced_and_not_written_through() {
    let (repo, _) = one_image();
    let victim = tempfile::NamedTempFile::new().unwrap();
    for name in ["plan.json", "plan.md", "dirs.txt", "need_amd64.txt"] {
        repo.symlink(victim.path().to_str().unwrap(), &format!(".hephy/{name}"));
    }
    Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none"]).succeeded();
    assert_eq!(std::fs::read(victim.path()).unwrap(), b"");
    assert!(repo.path().join(".hephy/plan.json").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_binary_that_never_ends_is_not_read() {
    let (repo, _) = one_image();
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    let place = format!(".hephy/bin/{machine}/hephy");
    repo.symlink("/dev/zero", &place).commit("endless");
    Hephy::at(repo.path()).run(&["prepare", "--all", "--registry", "none"]).succeeded();
    assert!(repo.path().join(place).symlink_metadata().unwrap().is_file());
}
