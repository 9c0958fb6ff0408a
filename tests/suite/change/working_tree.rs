//! A developer's machine: the index, modified files and new ones.

use hephy::change::RepoPath;
use hephy::ci::BaseSpec;
use hephy::git::{Repository, Request};

use super::{changes_of, keyed, letters};
use crate::support::repo::Repo;

fn now(repo: &Repo) -> (bool, Vec<String>) {
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Revision("HEAD".into());
    let request =
        Request { head: None, base: &spec, commits_only: false, exclude: &[RepoPath::from("out")], ahead: None };
    let mut loaded = repository.load(&request).unwrap();
    (loaded.0.dirty, letters(&changes_of(&mut loaded)))
}

fn two() -> Repo {
    let repo = Repo::new();
    repo.image("a").image("b").write("a/file", "1").write(".gitignore", "*.log\n").commit("two images");
    repo
}

#[test]
fn a_clean_tree_is_the_commit() {
    let repo = two();
    assert_eq!(now(&repo), (false, vec![]));
    // Touched, not changed.
    repo.write("a/file", "1");
    assert_eq!(now(&repo), (false, vec![]));
}

/// Its files are not looked at, but a directory that is gone is no part of any build.
#[test]
fn a_submodule_counts_while_its_directory_is_there() {
    let repo = two();
    std::fs::create_dir(repo.path().join("a/sub")).unwrap();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},a/sub", "c".repeat(40))]);
    let tree = repo.git(&["write-tree"]);
    let commit = repo.git(&["commit-tree", "-m", "pointer", "-p", "HEAD", &tree]);
    repo.git(&["update-ref", "HEAD", &commit]);
    assert_eq!(now(&repo), (false, vec![]), "not checked out");
    repo.write("a/sub/file", "1");
    assert_eq!(now(&repo), (false, vec![]), "checked out");
    std::fs::remove_dir_all(repo.path().join("a/sub")).unwrap();
    assert_eq!(now(&repo), (true, vec!["C a".to_owned()]), "gone");
    std::fs::write(repo.path().join("a/sub"), "").unwrap();
    assert_eq!(now(&repo), (true, vec!["C a".to_owned()]), "a file now");
}

#[test]
fn modified_staged_new_and_deleted_files_count() {
    for change in ["modified", "staged", "new", "deleted", "mode", "link"] {
        let repo = two();
        match change {
            "modified" => drop(repo.write("a/file", "2")),
            "staged" => {
                repo.write("a/file", "2").git(&["add", "a/file"]);
            }
            "new" => drop(repo.write("a/new file\n", "2")),
            "deleted" => drop(repo.remove("a/file")),
            "mode" => drop(repo.executable("a/file")),
            _ => drop(repo.remove("a/file").symlink("/etc/passwd", "a/file")),
        }
        assert_eq!(now(&repo), (true, vec!["C a".to_owned()]), "{change}");
    }
}

#[test]
fn a_new_image_directory_needs_no_commit() {
    let repo = two();
    repo.image("c");
    assert_eq!(now(&repo).1, ["N c"]);
}

#[test]
fn the_key_of_what_is_not_yet_committed_is_the_key_of_the_commit() {
    for repo in [two(), Repo::sha256()] {
        repo.image("a").commit("base");
        repo.write("a/file", "2")
            .write("a/empty", "")
            .symlink("file", "a/link")
            .write("a/run", "x")
            .executable("a/run");
        let repository = Repository::open(repo.path()).unwrap();
        let spec = BaseSpec::Nothing("test".into());
        let request = Request { head: None, base: &spec, commits_only: false, exclude: &[], ahead: None };
        let (loaded, mut objects) = repository.load(&request).unwrap();
        let keys = hephy::change::Keys::new(&loaded.head);
        let side = super::side(&keys, &mut objects);
        let before = super::key(&side.images[&RepoPath::from("a").into()]);
        repo.commit("committed");
        assert_eq!(before, Some(keyed(&repo)["a"].key.to_string()));
    }
}

#[test]
fn ignored_files_and_hephys_output_do_not_count() {
    let repo = two();
    repo.write("a/x.log", "1").write(".hephy/plan.json", "1").write("out/a/x", "1");
    std::fs::create_dir_all(repo.path().join(".git/info")).unwrap();
    std::fs::write(repo.path().join(".git/info/exclude"), "a/private\n").unwrap();
    repo.write("a/private", "1");
    assert_eq!(now(&repo), (false, vec![]));
}

#[test]
fn configurations_are_read_from_the_working_tree() {
    let repo = two();
    repo.write("a/build-config.yaml", "ignore: a/file\n");
    repo.write("a/file", "2");
    assert_eq!(now(&repo).1, ["C a"]);
    repo.write("b/build-config.yaml", "invalid");
    assert_eq!(now(&repo).1, ["C a", "I b"]);
}

#[test]
fn a_conflict_counts_with_the_file_as_it_is() {
    let repo = two();
    repo.git(&["checkout", "-q", "-b", "other"]);
    repo.write("a/file", "2").commit("theirs");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a/file", "3").commit("ours");
    assert!(!repo.try_git(&["merge", "-q", "other"]).status.success());
    assert_eq!(now(&repo), (true, vec!["C a".to_owned()]));
}

#[test]
fn a_repository_without_a_commit_builds_everything() {
    let repo = Repo::new();
    repo.image("a");
    let repository = Repository::open(repo.path()).unwrap();
    let spec = BaseSpec::Nothing("test".into());
    let request = Request { head: None, base: &spec, commits_only: false, exclude: &[], ahead: None };
    let mut loaded = repository.load(&request).unwrap();
    assert!(loaded.0.commit.is_none() && loaded.0.dirty);
    assert_eq!(letters(&changes_of(&mut loaded)), ["B a"]);
}

#[test]
fn pipes_and_directories_in_the_place_of_files_do_not_hang() {
    let repo = two();
    repo.remove("a/file");
    let status = std::process::Command::new("mkfifo").arg(repo.path().join("a/file")).status().unwrap();
    assert!(status.success());
    assert_eq!(now(&repo).1, ["C a"]);
    repo.remove("b/Dockerfile").write("b/Dockerfile/x", "1");
    assert_eq!(now(&repo).1, ["C a", "C b"]);
}

#[test]
fn split_and_sparse_indexes_work() {
    let repo = two();
    repo.git(&["update-index", "--split-index"]);
    repo.write("a/new", "1").git(&["add", "a/new"]);
    assert_eq!(now(&repo).1, ["C a"]);
    let repo = two();
    repo.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "a"]);
    assert!(!repo.path().join("b").exists());
    assert_eq!(now(&repo), (false, vec![]), "what is not checked out is not deleted");
}

#[test]
fn a_repository_inside_is_not_looked_into() {
    let repo = two();
    let inner = repo.path().join("b/inner");
    std::fs::create_dir(&inner).unwrap();
    repo.git(&["init", "-q", inner.to_str().unwrap()]);
    repo.write("b/inner/build-config.yaml", "use_local_context: true");
    repo.git(&["-C", "b/inner", "add", "-A"]);
    repo.git(&["-C", "b/inner", "commit", "-q", "-m", "x"]);
    assert_eq!(now(&repo).1, ["C b"]);
}
