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
    assert_eq!(is_wrong(&mut Oracle::start(), (&files(base), &files(head)), Travels::All, false), []);
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
