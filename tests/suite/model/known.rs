//! What the model found, each as small as it got: all of it is mended.

use super::files::{File, Files};
use super::oracle::Oracle;
use super::shrink::is_wrong;
use super::travels::Travels;

/// Files of a checkout by path and content.
fn files(all: &[(&str, &str)]) -> Files {
    let file = |(path, content): &(&str, &str)| {
        let content = content.as_bytes().to_vec();
        (path.as_bytes().to_vec(), File::Plain(content))
    };
    all.iter().map(file).collect()
}

#[track_caller]
fn is_right(base: &[(&str, &str)], head: &[(&str, &str)]) {
    is_right_with(&files(base), &files(head));
}

#[track_caller]
fn is_right_with(base: &Files, head: &Files) {
    for travels in [Travels::All, Travels::Direct, Travels::None] {
        assert_eq!(is_wrong(&mut Oracle::start(), (base, head), travels, false), [], "{travels:?}");
    }
}

#[test]
fn an_ignore_file_beside_a_dockerfile_outside_the_context_counts() {
    let common = [
        ("app/Dockerfile", "FROM scratch\nCOPY . /\n"),
        (
            "app/build-config.yaml",
            "use_local_context: true\ncontext_from: repository\ncontext_path: shared\ndockerfile_path: app/Dockerfile\n",
        ),
        ("shared/file", "1\n"),
        ("shared/other", "1\n"),
    ];
    let changed = |text: &'static str| [common.as_slice(), &[("app/Dockerfile.dockerignore", text)]].concat();
    is_right(&changed("file\n"), &changed("other\n"));
}

#[test]
fn an_ignore_file_that_is_ignored_counts_by_what_it_leaves_out() {
    let common = [
        ("app/Dockerfile", "FROM scratch\nCOPY . /\n"),
        ("app/build-config.yaml", "use_local_context: true\nignore: ['**/.dockerignore']\n"),
        ("app/file", "1\n"),
        ("app/other", "1\n"),
    ];
    let changed = |text: &'static str| [common.as_slice(), &[("app/.dockerignore", text)]].concat();
    is_right(&changed("file\n"), &changed("other\n"));
}

#[test]
fn a_submodule_that_is_copied_counts_by_its_commit_and_nothing_else_does() {
    let sides = ["1", "2"].map(|other| {
        let mut files = files(&[
            ("app/Dockerfile", "FROM scratch\nCOPY module /\n"),
            ("app/build-config.yaml", "use_local_context: true\n"),
            ("app/other", other),
        ]);
        files.insert(b"app/module".to_vec(), File::Submodule(b"1".repeat(40)));
        files
    });
    is_right_with(&sides[0], &sides[1]);
    let mut moved = sides[0].clone();
    moved.insert(b"app/module".to_vec(), File::Submodule(b"2".repeat(40)));
    is_right_with(&sides[0], &moved);
}

#[test]
fn an_image_that_is_built_on_another_one_now_changed_by_itself() {
    let common = [
        ("app/Dockerfile", "FROM scratch\nCOPY file /\n"),
        ("app/file", "1\n"),
        ("base/Dockerfile", "FROM scratch\nCOPY file /\n"),
        ("base/build-config.yaml", "use_local_context: true\n"),
        ("base/file", "1\n"),
    ];
    let on = |config: &'static str| [common.as_slice(), &[("app/build-config.yaml", config)]].concat();
    let (alone, on_base) = (on("use_local_context: true\n"), on("use_local_context: true\ndepends_on: [base]\n"));
    is_right(&alone, &on_base);
    is_right(&on_base, &alone);
}
