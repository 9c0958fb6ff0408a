//! A hostile or foreign-owned `.git` runs nothing (specification §16).
//!
//! Every trap writes a file when it is sprung. That the traps work is shown by letting git itself spring some.

use std::path::{Path, PathBuf};

use hephy::change::Oid;
use hephy::ci::{BaseSpec, Target};
use hephy::git::{Repository, Request};

use super::{changes_of, letters};
use crate::support::repo::Repo;

/// A script that leaves a mark, and all places of `.git` and of the tree that could start it.
fn trapped() -> (Repo, PathBuf, String) {
    let repo = Repo::new();
    let base = repo.image("a").image("b").write("a/data.bin", "1").commit("base");
    let marks = repo.path().parent().unwrap().join("marks");
    std::fs::create_dir(&marks).unwrap();
    let script = repo.path().join(".git/trap");
    let text = format!("#!/bin/sh\ntouch '{}'/\"$(basename \"$0\")-$$\"\ncat\n", marks.display());
    std::fs::write(&script, text).unwrap();
    repo.executable(".git/trap");
    std::fs::create_dir_all(repo.path().join(".git/hooks")).unwrap();
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman", "pre-auto-gc"] {
        std::fs::copy(&script, repo.path().join(".git/hooks").join(hook)).unwrap();
    }
    let attributes = "* filter=trap diff=trap merge=trap ident text eol=lf\n";
    repo.write(".gitattributes", attributes).write("a/data.bin", "2").git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "attributes"]);
    std::fs::create_dir_all(repo.path().join(".git/info")).unwrap();
    std::fs::write(repo.path().join(".git/info/attributes"), attributes).unwrap();
    let trap = "./.git/trap";
    std::fs::write(
        repo.path().join(".git/included"),
        format!("[core]\n\tfsmonitor = {trap}\n[core]\n\tsshCommand = {trap}\n"),
    )
    .unwrap();
    repo.config(&format!(
        "[include]\n\tpath = included\n\
         [core]\n\tfsmonitor = {trap}\n\tsshCommand = {trap}\n\tpager = {trap}\n\teditor = {trap}\n\taskPass = {trap}\n\
         \tgitProxy = {trap}\n\talternateRefsCommand = {trap}\n\tuntrackedCache = true\n\
         [filter \"trap\"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired = true\n\
         [diff \"trap\"]\n\ttextconv = {trap}\n\tcommand = {trap}\n[diff]\n\texternal = {trap}\n\
         [merge \"trap\"]\n\tdriver = {trap}\n[pager]\n\tconfig = {trap}\n\tls-tree = {trap}\n\
         [credential]\n\thelper = !{trap}\n[gpg]\n\tprogram = {trap}\n\
         [alias]\n\tls-tree = !{trap}\n\tdiff-tree = !{trap}\n\tcat-file = !{trap}\n\tconfig = !{trap}\n\tfetch = !{trap}\n\
         [uploadpack]\n\tpackObjectsHook = {trap}\n[gc]\n\tauto = 1\n[protocol]\n\tallow = always\n\
         [protocol \"ext\"]\n\tallow = always\n[protocol \"file\"]\n\tallow = always\n\
         [extensions]\n\tpartialClone = origin\n\
         [remote \"origin\"]\n\tpromisor = true\n\tpartialCloneFilter = blob:none\n\tvcs = trap\n\
         \tuploadpack = {trap}\n\tproxy = {trap}\n\turl = ext::{trap} %S\n"
    ));
    // The commits above sprang some of the hooks.
    marks.read_dir().unwrap().for_each(|entry| std::fs::remove_file(entry.unwrap().path()).unwrap());
    (repo, marks, base)
}

fn sprung(marks: &Path) -> usize {
    marks.read_dir().unwrap().count()
}

#[test]
fn the_traps_work() {
    let (repo, marks, _) = trapped();
    std::fs::write(repo.path().join("a/data.bin"), "3").unwrap();
    repo.try_git(&["diff", "--raw"]);
    repo.try_git(&["status"]);
    assert!(sprung(&marks) > 0);
}

#[test]
fn commits_are_compared_without_springing_one() {
    let (repo, marks, base) = trapped();
    let repository = Repository::open(repo.path()).unwrap();
    for spec in [BaseSpec::Revision(base), BaseSpec::MergeBase(Target::DefaultBranch)] {
        let request = Request { head: None, base: &spec, commits_only: true, exclude: &[], ahead: None };
        changes_of(&mut repository.load(&request).unwrap());
    }
    assert_eq!(repository.origin(), None);
    assert_eq!(sprung(&marks), 0);
}

#[test]
fn a_working_tree_is_read_without_springing_one() {
    let (repo, marks, base) = trapped();
    // Same size, so that only the content tells: git would have to filter it.
    repo.write("a/data.bin", "3").write("b/new", "1");
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Revision(base);
    let request = Request { head: None, base: &spec, commits_only: false, exclude: &[], ahead: None };
    let mut loaded = repository.load(&request).unwrap();
    assert_eq!(letters(&changes_of(&mut loaded)), ["C a", "C b"]);
    assert_eq!(sprung(&marks), 0);
}

#[test]
fn a_missing_object_starts_no_transport() {
    let (repo, marks, base) = trapped();
    let blob = repo.git(&["rev-parse", &format!("{base}:a/data.bin")]);
    std::fs::remove_file(repo.path().join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let repository = Repository::open(repo.path()).unwrap();
    let oid = Oid::from_hex(blob.as_bytes()).unwrap();
    let contents = repository.objects().read_many(&[oid], 100).unwrap();
    assert_eq!(contents, [hephy::git::Content::Missing]);
    assert_eq!(sprung(&marks), 0);
}

#[test]
fn fetching_runs_nothing_that_the_checkout_names() {
    let (repo, marks, _) = trapped();
    let repository = Repository::open(repo.path()).unwrap();
    let gone = BaseSpec::Commit { id: Oid::from_hex("1".repeat(40).as_bytes()).unwrap(), what: "it" };
    let request = Request { head: None, base: &gone, commits_only: true, exclude: &[], ahead: None };
    let (loaded, _) = repository.load(&request).unwrap();
    assert!(loaded.base_commit.text().contains("transport 'ext' not allowed"), "{:?}", loaded.base_commit);
    // The same with an address that would use ssh, and one by path that would use `uploadpack`.
    let other = Repo::new();
    other.commit("x");
    for url in ["ssh://host.invalid/x", &other.url()] {
        let (repo, marks, _) = trapped();
        repo.git(&["config", "--replace-all", "remote.origin.url", url]);
        let repository = Repository::open(repo.path()).unwrap().allow_protocols("file:ssh");
        let (loaded, _) = repository.load(&request).unwrap();
        assert_eq!(loaded.base_commit.id(), None);
        assert_eq!(sprung(&marks), 0, "{url}");
    }
    assert_eq!(sprung(&marks), 0);
}

#[test]
fn a_foreign_owned_checkout_works() {
    let repo = Repo::new();
    let base = repo.image("a").commit("one");
    repo.write("a/x", "1").commit("two");
    // Only root can give files away; CI containers run as root, and so do these tests there.
    let chown = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(repo.path()).status().unwrap();
    if !chown.success() {
        eprintln!("skipped: only root can give a checkout to somebody else");
        return;
    }
    assert!(!repo.try_git(&["status"]).status.success(), "git itself refuses it");
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Revision(base);
    for commits_only in [true, false] {
        let request = Request { head: None, base: &spec, commits_only, exclude: &[], ahead: None };
        assert_eq!(letters(&changes_of(&mut repository.load(&request).unwrap())), ["C a"]);
    }
}

/// Runs in a process of its own, whose environment points git elsewhere.
#[test]
fn gits_environment_variables_are_not_passed_on() {
    let variable = "HEPHY_TEST_HOSTILE_ENVIRONMENT";
    if let Some(path) = std::env::var_os(variable) {
        let repository = Repository::open(Path::new(&path)).unwrap();
        let spec = BaseSpec::Revision("HEAD~1".into());
        for commits_only in [true, false] {
            let request = Request { head: None, base: &spec, commits_only, exclude: &[], ahead: None };
            assert_eq!(letters(&changes_of(&mut repository.load(&request).unwrap())), ["C a"]);
        }
        return;
    }
    let (repo, marks, _) = trapped();
    let other = Repo::new();
    other.commit("other");
    let trap = repo.path().join(".git/trap");
    let repo = Repo::new();
    repo.image("a").commit("one");
    repo.write("a/x", "1").commit("two");
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "change::hostile::gits_environment_variables_are_not_passed_on", "--nocapture"])
        .env(variable, repo.path())
        .env("GIT_DIR", other.path().join(".git"))
        .env("GIT_WORK_TREE", other.path())
        .env("GIT_INDEX_FILE", "/dev/null")
        .env("GIT_OBJECT_DIRECTORY", "/nonexistent")
        .env("GIT_EXTERNAL_DIFF", &trap)
        .env("GIT_SSH_COMMAND", &trap)
        .env("GIT_ASKPASS", &trap)
        .env("GIT_PAGER", &trap)
        .env("GIT_EXEC_PATH", "/nonexistent")
        .env("GIT_TRACE", marks.join("trace"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.fsmonitor")
        .env("GIT_CONFIG_VALUE_0", &trap)
        .env("GIT_CONFIG_PARAMETERS", "'diff.external=x'")
        .env("GIT_NAMESPACE", "x")
        .env("GIT_CEILING_DIRECTORIES", "/")
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(sprung(&marks), 0);
}
