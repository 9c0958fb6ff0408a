//! Finding the commit to compare with: in full, shallow and partial clones, after a force push, with merges.

use hephy::change::Oid;
use hephy::ci::{BaseSpec, Target};
use hephy::git::{Base, Repository, Request};

use super::based_on;
use crate::support::repo::Repo;

fn oid(hex: &str) -> Oid {
    Oid::from_hex(hex.as_bytes()).unwrap()
}

fn previous(hex: &str) -> BaseSpec {
    BaseSpec::Commit { id: oid(hex), what: "the previous commit of the push" }
}

fn id(base: &Base) -> Option<String> {
    base.id().map(|id| id.to_string())
}

fn reason(base: &Base) -> String {
    match base {
        Base::Nothing { reason } => reason.clone(),
        Base::Commit { id, .. } => panic!("{id} was found"),
        Base::Listed { what, .. } => panic!("git lists nothing: {what}"),
    }
}

/// `main` with images `a` and `b`; `feature` leaves it and changes `b`; `main` goes on and changes `a`.
fn forked() -> (Repo, String) {
    let repo = Repo::new();
    let fork = repo.image("a").image("b").commit("fork");
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.write("b/x", "1").commit("on the branch");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a/x", "1").commit("on main");
    repo.git(&["checkout", "-q", "feature"]);
    (repo, fork)
}

#[test]
fn a_push_of_several_commits_is_compared_with_the_previous_one() {
    let repo = Repo::new();
    let before = repo.image("a").image("b").commit("pushed before");
    repo.write("a/x", "1").commit("first of the push");
    repo.write("b/x", "1").commit("second of the push");
    let (base, letters) = based_on(&repo, &previous(&before));
    assert_eq!(id(&base), Some(before));
    assert_eq!(letters, ["C a", "C b"]);
}

#[test]
fn a_branch_is_compared_with_where_it_left_the_default_branch() {
    let (repo, fork) = forked();
    for target in [Target::Branch("main".into()), Target::DefaultBranch, Target::Revision("main".into())] {
        let (base, letters) = based_on(&repo, &BaseSpec::MergeBase(target));
        assert_eq!(id(&base).as_ref(), Some(&fork));
        assert_eq!(letters, ["C b"]);
    }
}

#[test]
fn a_merged_result_is_compared_with_its_first_parent() {
    let (repo, fork) = forked();
    repo.git(&["checkout", "-q", "--detach", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merged result", "feature"]);
    let (main, merge) = (repo.git(&["rev-parse", "main"]), repo.head());
    let spec = BaseSpec::FirstParent { merge: oid(&merge), target: Target::Commit(oid(&main)) };
    let (base, letters) = based_on(&repo, &spec);
    assert_eq!(id(&base), Some(main));
    assert_eq!(letters, ["C b"], "what main got meanwhile is no change of the request");
    // The workflow checked out the request's own head instead of the merge.
    repo.git(&["checkout", "-q", "feature"]);
    let (base, letters) = based_on(&repo, &spec);
    assert_eq!(id(&base), Some(fork));
    assert_eq!(letters, ["C b"]);
}

#[test]
fn a_merged_result_in_a_clone_of_depth_one_fetches_its_first_parent() {
    let (repo, _) = forked();
    repo.git(&["checkout", "-q", "-b", "merge", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merged result", "feature"]);
    let (main, merge) = (repo.git(&["rev-parse", "main"]), repo.head());
    let clone = repo.clone_with(&["--depth=1", "--branch=merge"]);
    let before = listing(&clone);
    let spec = BaseSpec::FirstParent { merge: oid(&merge), target: Target::Commit(oid(&main)) };
    let (base, letters) = based_on(&clone, &spec);
    assert_eq!(id(&base), Some(main));
    assert_eq!(letters, ["C b"]);
    assert_eq!(listing(&clone), before, "the checkout stays as it was");
}

/// Every file of `.git` with its size.
fn listing(repo: &Repo) -> Vec<(std::path::PathBuf, u64)> {
    let mut todo = vec![repo.path().join(".git")];
    let mut files = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in dir.read_dir().unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { todo.push(entry.path()) } else { files.push((entry.path(), metadata.len())) }
        }
    }
    files.sort();
    files
}

#[test]
fn a_previous_commit_beyond_a_shallow_history_is_fetched() {
    let repo = Repo::new();
    let before = repo.image("a").image("b").commit("before");
    repo.write("a/x", "1").commit("one");
    repo.write("a/x", "2").commit("two");
    let clone = repo.clone_with(&["--depth=1"]);
    let (base, letters) = based_on(&clone, &previous(&before));
    assert_eq!(id(&base), Some(before));
    assert_eq!(letters, ["C a"]);
}

#[test]
fn after_a_force_push_the_commit_that_is_gone_is_fetched() {
    let repo = Repo::new();
    repo.image("a").image("b").commit("kept");
    let gone = repo.write("a/x", "1").commit("overwritten");
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repo.write("b/x", "1").commit("instead");
    let clone = repo.clone_with(&[]);
    assert!(!clone.try_git(&["cat-file", "-e", &gone]).status.success(), "the clone lacks it");
    let (base, letters) = based_on(&clone, &previous(&gone));
    assert_eq!(id(&base), Some(gone));
    assert_eq!(letters, ["C a", "C b"]);
}

#[test]
fn a_previous_commit_that_is_gone_for_good_builds_everything_and_says_so() {
    let repo = Repo::new();
    repo.image("a").image("b").commit("one");
    let clone = repo.clone_with(&[]);
    let (base, letters) = based_on(&clone, &previous(&"1".repeat(40)));
    let reason = reason(&base);
    assert!(
        reason.starts_with("the previous commit of the push (1111111) is gone and cannot be fetched: "),
        "{reason}"
    );
    assert_eq!(letters, ["B a", "B b"]);
    // The same without any remote.
    let (base, letters) = based_on(&repo, &previous(&"1".repeat(40)));
    assert!(self::reason(&base).ends_with("the checkout has no remote `origin`"), "{base:?}");
    assert_eq!(letters, ["B a", "B b"]);
}

#[test]
fn only_https_and_ssh_are_used_unless_asked_for() {
    let repo = Repo::new();
    let before = repo.image("a").commit("before");
    repo.commit("now");
    let clone = repo.clone_with(&["--depth=1"]);
    let repository = Repository::open(clone.path()).unwrap().allow_protocols("https:ssh");
    let request = Request { head: None, base: &previous(&before), commits_only: true, exclude: &[], ahead: None };
    let reason = reason(&repository.load(&request).unwrap().0.base_commit);
    assert!(reason.contains("transport 'file' not allowed"), "{reason}");
}

#[test]
fn a_merge_base_beyond_a_shallow_history_is_fetched() {
    let (repo, fork) = forked();
    for depth in ["--depth=1", "--depth=2"] {
        let clone = repo.clone_with(&[depth, "--branch=feature"]);
        let (base, letters) = based_on(&clone, &BaseSpec::MergeBase(Target::Branch("main".into())));
        assert_eq!(id(&base).as_ref(), Some(&fork), "{base:?}");
        assert_eq!(letters, ["C b"]);
    }
}

#[test]
fn a_shallow_history_never_gives_an_older_merge_base_than_there_is() {
    // Two ways lead from each side to common commits: a short one to `old`, a long one to `new`, which is nearer.
    // A clone that is deep enough for the short ways only sees `old`.
    let repo = Repo::new();
    let old = repo.image("a").image("b").commit("old");
    let mut new = String::new();
    for number in 0..6 {
        new = repo.write("a/x", number.to_string()).commit("towards new");
    }
    for side in ["feature", "target"] {
        repo.git(&["checkout", "-q", "-B", "long", &new]);
        for number in 0..4 {
            repo.write("side.txt", format!("{side} {number}")).commit("a long way");
        }
        let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
        let merge = repo.git(&["commit-tree", "-m", "both ways", "-p", &old, "-p", "HEAD", &tree]);
        repo.git(&["branch", side, &merge]);
    }
    repo.git(&["checkout", "-q", "feature"]);
    assert_eq!(repo.git(&["merge-base", "feature", "target"]), new);
    let clone = repo.clone_with(&["--depth=3", "--no-single-branch", "--branch=feature"]);
    assert_eq!(clone.git(&["merge-base", "feature", "origin/target"]), old, "git itself is fooled");
    let (base, letters) = based_on(&clone, &BaseSpec::MergeBase(Target::Branch("target".into())));
    assert_eq!(id(&base), Some(new));
    assert_eq!(letters, Vec::<String>::new());
}

#[test]
fn unrelated_histories_build_everything() {
    let repo = Repo::new();
    repo.image("a").commit("one");
    repo.git(&["checkout", "-q", "--orphan", "other"]);
    repo.commit("unrelated");
    let (base, letters) = based_on(&repo, &BaseSpec::MergeBase(Target::Branch("main".into())));
    assert_eq!(reason(&base), "there is no common history for the merge base with `main`");
    assert_eq!(letters, ["B a"]);
}

#[test]
fn a_partial_clone_fetches_what_the_base_lacks() {
    let repo = Repo::new();
    let config = "use_local_context: true\ntarget: before\n";
    let before = repo.image("a").image("b").write("a/build-config.yaml", config).commit("before");
    repo.write("a/build-config.yaml", "use_local_context: true\n").write("b/deep/x", "1").commit("now");
    for filter in ["--filter=tree:0", "--filter=blob:none"] {
        for depth in [&["--depth=2"][..], &[]] {
            let clone = repo.clone_with(&[&[filter], depth].concat());
            let (base, letters) = based_on(&clone, &previous(&before));
            assert_eq!(id(&base).as_ref(), Some(&before), "{filter} {base:?}");
            assert_eq!(letters, ["C a", "C b"]);
        }
    }
}

#[test]
fn a_revision_that_somebody_typed_must_exist() {
    let repo = Repo::new();
    repo.image("a").commit("one");
    let repository = Repository::open(repo.path()).unwrap();
    for spec in [BaseSpec::Revision("nowhere".into()), BaseSpec::MergeBase(Target::Revision("nowhere".into()))] {
        let request = Request { head: None, base: &spec, commits_only: true, exclude: &[], ahead: None };
        let error = repository.load(&request).unwrap_err();
        assert_eq!(error.message(), "`nowhere` is no commit of this repository");
        assert_eq!(error.kind().exit_code(), 9);
    }
    let nothing = BaseSpec::Nothing("x".into());
    for head in ["nowhere", "--all", "-", "HEAD\nHEAD", "HEAD:a"] {
        let request = Request { head: Some(head), base: &nothing, commits_only: true, exclude: &[], ahead: None };
        assert!(repository.load(&request).is_err(), "{head:?}");
    }
    let request = Request { head: Some("main"), base: &nothing, commits_only: false, exclude: &[], ahead: None };
    assert!(repository.load(&request).is_ok());
}

#[test]
fn tags_annotated_and_nested_mean_their_commit() {
    let repo = Repo::new();
    let base = repo.image("a").commit("one");
    repo.git(&["tag", "-a", "-m", "t", "inner"]);
    repo.git(&["tag", "-a", "-m", "t", "outer", "inner"]);
    repo.write("a/x", "1").commit("two");
    let (found, letters) = based_on(&repo, &BaseSpec::Revision("outer".into()));
    assert_eq!((id(&found), letters), (Some(base), vec!["C a".to_owned()]));
}

#[test]
fn replacements_and_grafts_of_the_checkout_are_not_heeded() {
    let repo = Repo::new();
    let base = repo.image("a").commit("one");
    let head = repo.write("a/x", "1").commit("two");
    repo.git(&["replace", &head, &base]);
    assert_eq!(based_on(&repo, &previous(&base)).1, ["C a"]);
}

#[test]
fn bare_repositories_linked_worktrees_and_odd_places_work() {
    let repo = Repo::new();
    let base = repo.image("a").commit("one");
    repo.write("a/x", "1").commit("two");
    let bare = repo.clone_with(&["--bare"]);
    assert_eq!(based_on(&bare, &previous(&base)).1, ["C a"]);
    let odd = repo.path().parent().unwrap().join("odd \"place\\\n'");
    repo.git(&["worktree", "add", "-q", "--detach", odd.to_str().unwrap()]);
    let repository = Repository::open(&odd.join("a")).unwrap();
    assert_eq!(repository.root(), Some(odd.canonicalize().unwrap().as_path()));
    let request = Request { head: None, base: &previous(&base), commits_only: true, exclude: &[], ahead: None };
    assert_eq!(repository.load(&request).unwrap().0.changes.len(), 1);
    assert!(Repository::open(std::path::Path::new("/")).is_err());
}
