//! Which files count for which image.

use hephy::change::{Difference, FileStatus, State};

use super::{between, changes_between, keyed};
use crate::support::repo::Repo;

/// Images `a`, `b` and `a/nested`, committed.
fn three() -> (Repo, String) {
    let repo = Repo::new();
    let base = repo.image("a").image("b").image("a/nested").write("other.txt", "1").commit("three images");
    (repo, base)
}

#[test]
fn nothing_changed_means_nothing_is_built() {
    let (repo, base) = three();
    repo.write("other.txt", "2").commit("outside of every image");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
}

#[test]
fn a_file_below_nested_directories_counts_for_each() {
    let (repo, base) = three();
    repo.write("a/nested/x", "1").commit("nested");
    assert_eq!(between(&repo, &base), ["C a", "C a/nested"]);
}

#[test]
fn a_rename_counts_at_both_ends() {
    let (repo, _) = three();
    let base = repo.write("a/file", "the same content\n".repeat(50)).commit("file");
    repo.rename("a/file", "b/file").commit("renamed");
    assert_eq!(between(&repo, &base), ["C a", "C b"]);
}

#[test]
fn a_deletion_counts() {
    let (repo, _) = three();
    let base = repo.write("b/file", "1").commit("file");
    repo.remove("b/file").commit("gone");
    assert_eq!(between(&repo, &base), ["C b"]);
}

#[test]
fn a_change_back_is_none() {
    let (repo, base) = three();
    repo.write("b/Dockerfile", "FROM other\n").commit("there");
    repo.write("b/Dockerfile", "FROM scratch\nCOPY . /\n").commit("and back");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
}

#[test]
fn a_mode_is_part_of_a_file() {
    let (repo, _) = three();
    let base = repo.write("b/run", "#!/bin/sh\n").commit("file");
    repo.executable("b/run").commit("mode");
    assert_eq!(between(&repo, &base), ["C b"]);
    let changes = changes_between(&repo, &base);
    let Some(State::Changed(differences)) =
        changes.iter().find(|change| change.id.dir == "b".into()).map(|change| &change.state)
    else {
        panic!("{changes:?}")
    };
    let Some(Difference::Files(files)) = differences.first() else { panic!("{differences:?}") };
    assert_eq!(files[0].why.as_deref(), Some("only the mode changed"));
}

#[test]
fn directories_come_and_go() {
    let (repo, base) = three();
    repo.remove("b").image("c").rename("a/nested", "d").commit("moved");
    assert_eq!(between(&repo, &base), ["C a", "R a/nested", "R b", "N c", "N d"]);
}

#[test]
fn a_directory_without_its_configuration_is_removed_although_files_stay() {
    let (repo, base) = three();
    repo.remove("b/build-config.yaml").commit("no image any more");
    assert_eq!(between(&repo, &base), ["R b"]);
}

#[test]
fn an_image_in_the_repositorys_root_has_every_file() {
    let repo = Repo::new();
    let base = repo.image("").image("sub").write("README.md", "1").commit("root");
    repo.write("anything/deep/x", "1").commit("x");
    assert_eq!(between(&repo, &base), ["C ."]);
}

#[test]
fn names_are_exact_and_never_interpreted() {
    let names: [&[u8]; 9] =
        [b"a b", b"a\nb", b"q\"uote", b"-dash", b"--upload-pack=x", b"\xff\xfe", b":(glob)**", b"tab\there", b"*"];
    for name in names {
        let repo = Repo::new();
        for dir in [name, b"plain"] {
            repo.write_bytes(&[dir, b"/build-config.yaml"].concat(), b"use_local_context: true\n");
            repo.write_bytes(&[dir, b"/Dockerfile"].concat(), b"FROM scratch\n");
        }
        let base = repo.commit("odd");
        repo.write_bytes(&[name, b"/", name].concat(), b"1").commit("one more");
        let shown = hephy::change::RepoPath::new(name).to_string();
        assert_eq!(between(&repo, &base), [format!("C {shown}")]);
    }
}

#[test]
fn readme_files_of_that_very_name_never_count() {
    let (repo, base) = three();
    repo.write("b/README.md", "1").write("b/deep/README.md", "1").commit("documentation");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
    repo.write("b/readme.md", "1").commit("another name");
    assert_eq!(between(&repo, &base), ["C b"]);
}

#[test]
fn ignored_paths_do_not_count_and_are_explained() {
    let repo = Repo::new();
    let base = repo.image("a").write("a/build-config.yaml", "ignore: a/docs/**").commit("one");
    repo.write("a/docs/deep/x", "1").commit("ignored");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
    repo.write("a/doc", "1").commit("not ignored");
    assert_eq!(between(&repo, &base), ["C a"]);
}

#[test]
fn the_dockerfile_counts_wherever_it_is() {
    let repo = Repo::new();
    let config = "context_path: context\ndockerfile_path: docker/Dockerfile";
    let base = repo
        .write("a/build-config.yaml", config)
        .write("a/docker/Dockerfile", "FROM scratch\n")
        .write("a/context/x", "1")
        .commit("one");
    repo.write("a/beside", "1").commit("outside of the context");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
    repo.write("a/docker/Dockerfile", "FROM other\n").commit("the Dockerfile");
    assert_eq!(between(&repo, &base), ["C a"]);
}

#[test]
fn a_dockerfile_behind_links_counts() {
    let repo = Repo::new();
    let base = repo
        .write("a/build-config.yaml", "context_path: context\ndockerfile_path: docker/Dockerfile")
        .symlink("real", "a/docker")
        .symlink("file", "a/real/Dockerfile")
        .write("a/real/file", "FROM scratch\n")
        .write("a/context/x", "1")
        .commit("one");
    repo.write("a/real/file", "FROM other\n").commit("behind the links");
    assert_eq!(between(&repo, &base), ["C a"]);
}

#[test]
fn links_hash_as_links() {
    let (repo, _) = three();
    let base = repo.symlink("../other.txt", "b/link").commit("link");
    repo.write("other.txt", "2").commit("where it leads");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
    repo.remove("b/link").symlink("../a", "b/link").commit("elsewhere");
    assert_eq!(between(&repo, &base), ["C b"]);
}

#[test]
fn the_whole_repository_can_be_the_context() {
    let repo = Repo::new();
    let config = "context_from: repository\ndockerfile_path: a/Dockerfile\ncontext_path: lib";
    let base = repo.image("a").write("a/build-config.yaml", config).write("lib/x", "1").commit("one");
    repo.write("a/unrelated", "1").write("elsewhere", "1").commit("outside of the context");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
    repo.write("lib/x", "2").commit("inside");
    assert_eq!(between(&repo, &base), ["C a"]);
}

#[test]
fn a_submodule_pointer_is_an_entry_like_others() {
    let (repo, _) = three();
    let pointer = |id: char| {
        let entry = format!("160000,{},b/sub", id.to_string().repeat(40));
        repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
        let tree = repo.git(&["write-tree"]);
        let commit = repo.git(&["commit-tree", "-m", "pointer", "-p", "HEAD", &tree]);
        repo.git(&["update-ref", "HEAD", &commit]);
        repo.head()
    };
    // A committed .gitmodules may ask for submodules to be ignored; it is not heeded.
    repo.write(".gitmodules", "[submodule \"s\"]\n\tpath = b/sub\n\turl = ext::touch /tmp/x\n\tignore = all\n");
    repo.git(&["add", ".gitmodules"]);
    let base = pointer('1');
    pointer('2');
    repo.config("[submodule \"s\"]\n\tignore = all\n[diff]\n\tignoreSubmodules = all\n");
    assert_eq!(between(&repo, &base), ["C b"]);
}

#[test]
fn hephys_own_output_never_counts() {
    let repo = Repo::new();
    let base = repo.image("").commit("root");
    repo.write(".hephy/plan.json", "1").write(".hephy/x/build-config.yaml", "1").commit("output");
    assert_eq!(between(&repo, &base), Vec::<String>::new());
}

#[test]
fn a_change_travels_to_what_is_built_on_it() {
    let repo = Repo::new();
    let base = repo
        .image("a")
        .image("b")
        .image("c")
        .write("b/build-config.yaml", "depends_on: a")
        .write("c/build-config.yaml", "depends_on: b")
        .commit("a chain");
    repo.write("a/x", "1").commit("at its end");
    assert_eq!(between(&repo, &base), ["C a", "C b", "C c"]);
    let changes = changes_between(&repo, &base);
    let State::Changed(differences) = &changes[2].state else { panic!() };
    let texts: Vec<String> = differences.iter().map(Difference::text).collect();
    assert_eq!(texts, ["built on b"]);
}

#[test]
fn an_invalid_configuration_fails_where_the_directory_changed_and_warns_elsewhere() {
    let repo = Repo::new();
    let base = repo.image("a").image("b").write("b/build-config.yaml", "invalid").commit("b is broken");
    repo.write("a/x", "1").commit("a changed");
    assert_eq!(between(&repo, &base), ["C a", "i b"]);
    repo.write("b/x", "1").commit("b changed");
    assert_eq!(between(&repo, &base), ["C a", "I b"]);
    repo.write("b/build-config.yaml", "use_local_context: true").commit("mended");
    assert_eq!(between(&repo, &base), ["C a", "C b"]);
}

#[test]
fn the_reason_names_the_dockerfile_first_and_the_fields() {
    let repo = Repo::new();
    let base = repo.image("a").write("a/A", "1").commit("one");
    repo.write("a/Dockerfile", "FROM x\n").write("a/A", "2").write("a/build-config.yaml", "target: x").commit("more");
    let changes = changes_between(&repo, &base);
    let State::Changed(differences) = &changes[0].state else { panic!() };
    let texts: Vec<String> = differences.iter().map(Difference::text).collect();
    assert_eq!(texts, ["a/Dockerfile and 1 other file changed", "`target` changed"]);
    let Difference::Files(files) = &differences[0] else { panic!() };
    assert!(files.iter().all(|file| file.status == FileStatus::Modified && file.old.is_some() && file.new.is_some()));
}

#[test]
fn the_key_does_not_depend_on_where_the_directory_is_and_on_nothing_but_the_input() {
    let repo = Repo::new();
    repo.image("a").image("deep/b").commit("twice the same");
    let keys = keyed(&repo);
    assert_eq!(keys["a"].key, keys["deep/b"].key);
    repo.commit("another commit of the same files");
    assert_eq!(keyed(&repo)["a"].key, keys["a"].key);
    repo.rename("a/Dockerfile", "a/Dockerfil").write("a/e", "").commit("other names");
    assert_ne!(keyed(&repo)["a"].key, keys["a"].key);
}

#[test]
fn sha256_repositories_work() {
    let repo = Repo::sha256();
    let base = repo.image("a").image("b").commit("two");
    assert_eq!(base.len(), 64);
    repo.write("b/x", "1").commit("one changed");
    assert_eq!(between(&repo, &base), ["C b"]);
}
