//! What is in an archive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use hephy::ErrorKind;
use hephy::source::{self, SourceRequest};

use super::upstream::{Behaviour, Repository, Server, World, noise};
use super::{prepare_one, request, unpacked};

/// Kind, mode and content of everything below a directory.
fn contents(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().as_bytes().to_vec()
            } else if metadata.is_dir() {
                walk(root, &path, into);
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            into.insert(path.strip_prefix(root).unwrap().to_owned(), (metadata.mode(), content));
        }
    }
    let mut into = BTreeMap::new();
    walk(root, root, &mut into);
    into
}

/// Everything that a file system can hold and git can commit.
fn odd(repository: &Repository) -> String {
    let long = "n".repeat(255);
    let deep = vec!["deeply"; 60].join("/");
    repository
        .write("plain", "text\n")
        .write("empty", "")
        .write("-rf", "dash")
        .write("new\nline \"quoted\" \\ back\ttab", "odd")
        .write(OsStr::from_bytes(b"bytes-\xff\xfe"), "not UTF-8")
        .write(&long, "long name")
        .write(format!("{deep}/{long}"), "long path")
        .write("x".repeat(100), "a name of exactly one hundred bytes")
        .write("x".repeat(101), "and one more")
        .write("a.b", "before a/")
        .write("a/b", "in a")
        .write("binary", (0..=255).cycle().take(100_000).collect::<Vec<u8>>())
        .write("run.sh", "#!/bin/sh\n");
    let script = repository.path.join("run.sh");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (target, name) in
        [("plain", "link"), ("../../outside", "a/out"), ("/etc/passwd", "absolute"), ("nowhere", "broken")]
    {
        symlink(target, repository.path.join(name)).unwrap();
    }
    symlink("t".repeat(300), repository.path.join("long-link")).unwrap();
    repository.commit("odd")
}

#[test]
fn names_modes_links_and_bytes_are_those_of_the_commit() {
    let world = World::new();
    let up = world.repository("up");
    let commit = odd(&up);
    unpacked(&world, request("a", &up.url(), "main", &commit), "files").unwrap();
    let mut expected = contents(&up.path);
    expected.retain(|path, _| !path.starts_with(".git"));
    for (path, (mode, _)) in &mut expected {
        // Whatever this test's umask made of them.
        *mode = match *mode & 0o170_000 {
            0o120_000 => 0o120_777,
            0o040_000 => 0o040_755,
            _ if *mode & 0o100 != 0 => 0o100_755,
            _ => 0o100_644,
        };
        assert!(world.path("files").join(path).symlink_metadata().is_ok(), "{path:?}");
    }
    assert_eq!(contents(&world.path("files")), expected);
    let time = |path: &str| world.path("files").join(path).symlink_metadata().unwrap().mtime();
    assert_eq!([time("plain"), time("a"), time("link")], [1_700_000_000; 3]);
}

#[test]
fn independent_tars_read_the_archive() {
    let world = World::new();
    let up = world.repository("up");
    let commit = odd(&up);
    let archived = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap();
    std::fs::create_dir(world.path("gnu")).unwrap();
    let tar = Command::new("tar")
        .args(["--no-same-owner", "-xzf"])
        .arg(world.path("out").join(&archived.file))
        .arg("-C")
        .arg(world.path("gnu"))
        .output()
        .unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    source::unpack(&world.path("out").join(&archived.file), &archived.digest, &world.path("ours")).unwrap();
    let content = |root: &str| -> BTreeMap<_, _> {
        contents(&world.path(root)).into_iter().map(|(path, (mode, bytes))| (path, (mode & 0o170_100, bytes))).collect()
    };
    assert_eq!(content("gnu"), content("ours"));
}

#[test]
fn attributes_and_filters_change_nothing() {
    let world = World::new();
    let up = world.repository("up");
    let attributes = "*.secret export-ignore\n*.txt export-subst text eol=crlf ident\n*.bin filter=lfs -text\n\
                      [attr]hidden export-ignore\nmacro hidden\n";
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    // Committed without the attributes in force, and then with them.
    up.write("a.secret", "secret").write("macro", "m").write("a.txt", "$Format:%H$ $Id$\nb\n").write("a.bin", pointer);
    up.commit("files");
    let commit = up.write(".gitattributes", attributes).commit("attributes");
    // The user's own git runs a filter on checkout; an archive is none.
    let ran = world.path("ran");
    let filter = format!("[filter \"lfs\"]\n\tsmudge = touch {0}; cat\n\tprocess = touch {0}\n", ran.display());
    std::fs::write(world.path("home/.gitconfig"), filter).unwrap();
    unpacked(&world, request("a", &up.url(), "main", &commit), "files").unwrap();
    let read = |name: &str| std::fs::read_to_string(world.path("files").join(name)).unwrap();
    assert_eq!(
        [read("a.secret"), read("macro"), read("a.txt"), read("a.bin"), read(".gitattributes")],
        ["secret", "m", "$Format:%H$ $Id$\nb\n", pointer, attributes]
    );
    assert!(!ran.exists());
}

#[test]
fn the_same_commit_gives_the_same_bytes_from_everywhere() {
    let world = World::new();
    let up = world.repository("up");
    odd(&up);
    let commit = up.write("noise", noise(3_000_000)).commit("noise");
    let other = Repository { path: world.path("other") };
    up.git(["clone", "-q", "--no-local", &up.url(), &other.path.display().to_string()]);
    other.git(["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    let server = Server::start(world.dir.path(), Behaviour { old: true, ..Behaviour::default() });
    let digest = |image: &str, repository: &str| {
        prepare_one(&world, request(image, repository, "main", &commit)).unwrap().digest
    };
    let first = digest("a", &up.url());
    assert_eq!(digest("a", &up.url()), first);
    assert_eq!(digest("b", &other.url()), first);
    assert_eq!(digest("c", &server.url("up/.git")), first);
    // What this commit gave on the machine where the test was written.
    assert_eq!(first.as_str(), "sha256:71423fe4c182cc483877f6356b0b6d9b178380b8fa4ba67259c46c9767d5f57b");
}

#[test]
fn a_kept_git_works_and_tells_nothing() {
    let world = World::new();
    let up = world.repository("up");
    up.write("old", "old").commit("old");
    let commit = odd(&up);
    up.git(["tag", "-a", "-m", "m", "v1.2.3", &commit]);
    let server = Server::start(world.dir.path(), Behaviour { credentials: Some("ci:hunter2"), ..Behaviour::default() });
    std::fs::write(world.path("home/.netrc"), "machine 127.0.0.1 login ci password hunter2\n").unwrap();
    let wanted = SourceRequest { keep_git: true, ..request("a", &server.url("up/.git"), "main", &commit) };
    unpacked(&world, wanted, "files").unwrap();
    let kept = Repository { path: world.path("files") };
    assert_eq!(kept.git(["status", "--porcelain"]), "");
    assert_eq!(kept.git(["log", "-1", "--format=%H %s"]), format!("{commit} odd"));
    assert_eq!(kept.git(["describe", "--dirty"]), "v1.2.3");
    kept.git(["fsck", "--strict"]);
    let git = world.path("files/.git");
    assert_eq!(super::names(&git), ["HEAD", "index", "objects", "packed-refs", "refs", "shallow"]);
    for (path, (_, bytes)) in contents(&git) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("hunter2") && !text.contains("127.0.0.1"), "{path:?}");
    }
}

#[test]
fn sha256_repositories_work_too() {
    let world = World::new();
    let up = Repository { path: world.path("up") };
    std::fs::create_dir(&up.path).unwrap();
    up.git(["init", "-q", "-b", "main", "--object-format=sha256"]);
    let commit = up.write("file", "content").commit("one");
    assert_eq!(super::resolve_one(&world, &up.url(), "main").unwrap().commit, commit);
    let wanted = SourceRequest { keep_git: true, ..request("a", &up.url(), "main", &commit) };
    unpacked(&world, wanted, "files").unwrap();
    let kept = Repository { path: world.path("files") };
    assert_eq!(kept.git(["status", "--porcelain"]), "");
    assert_eq!(kept.git(["rev-parse", "HEAD"]), commit);
}

#[test]
fn submodules_are_empty_directories_unless_asked_for() {
    let world = World::new();
    let inner = world.repository("inner");
    inner.write("deep", "inner file").commit("inner");
    let middle = world.repository("middle");
    middle.git(["submodule", "add", "-q", "../inner", "nested"]);
    middle.write("mid", "middle file").commit("middle");
    let up = world.repository("up");
    // A name that is another directory, and a command that must never run.
    up.git(["submodule", "--quiet", "add", "-q", "--name", "odd name", &middle.url(), "lib/mod"]);
    up.write("file", "up").git(["config", "-f", ".gitmodules", "submodule.odd name.branch", "gone"]);
    up.git(["config", "-f", ".gitmodules", "submodule.odd name.url", "../middle"]);
    up.git(["add", "."]);
    up.git(["commit", "-q", "-m", "up"]);
    let commit = up.git(["rev-parse", "HEAD"]);

    unpacked(&world, request("a", &up.url(), "main", &commit), "without").unwrap();
    assert_eq!(super::names(&world.path("without/lib/mod")), Vec::<String>::new());

    let wanted = SourceRequest { submodules: true, ..request("b", &up.url(), "main", &commit) };
    let first = unpacked(&world, wanted.clone(), "with").unwrap();
    let read = |path: &str| std::fs::read_to_string(world.path("with").join(path)).unwrap();
    assert_eq!([read("file"), read("lib/mod/mid"), read("lib/mod/nested/deep")], ["up", "middle file", "inner file"]);
    assert!(contents(&world.path("with")).keys().all(|path| path.file_name() != Some(OsStr::new(".git"))));
    assert_eq!(prepare_one(&world, wanted).unwrap().digest, first.digest);
}

#[test]
fn what_cannot_be_unpacked_is_not_archived() {
    let world = World::new();
    let up = world.repository("up");
    let blob = up.blob(b"x");
    for (mode, name, words) in [("100644", [b'n'; 256].as_slice(), "a name of 256 bytes"), ("120000", b"link", "")] {
        let long = up.blob(&[b't'; 5000]);
        let commit = up.commit_raw(&[(mode, name, if mode == "120000" { &long } else { &blob })]);
        let error = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError, "{error:?}");
        assert!(error.message().contains(words), "{}", error.message());
    }
    assert_eq!(super::names(&world.path("out")), Vec::<String>::new());
}

/// Runs [`on_a_full_disk`] in a mount namespace with a file system of one megabyte.
#[test]
fn a_full_disk_is_a_resource_error_that_names_the_path() {
    let world = World::new();
    for (name, size) in [("huge", 3_000_000), ("half", 700_000)] {
        let up = world.repository(name);
        let commit = up.write("noise", noise(size)).commit("noise");
        let archived = prepare_one(&world, request(name, &up.url(), "main", &commit)).unwrap();
        std::fs::write(world.path(&format!("{name}.txt")), format!("{commit} {}", archived.digest)).unwrap();
    }
    std::fs::create_dir(world.path("small")).unwrap();
    let user = if rustix::process::getuid().is_root() { "-m" } else { "-rm" };
    let output = Command::new("unshare")
        .args([user, "sh", "-c", "mount -t tmpfs -o size=1m none \"$0/small\" && exec \"$@\""])
        .arg(world.dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "source::archive::on_a_full_disk"])
        .env("HEPHY_TEST_WORLD", world.dir.path())
        .output()
        .expect("unshare (util-linux) is needed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "the inner half of a_full_disk_is_a_resource_error_that_names_the_path"]
fn on_a_full_disk() {
    let Some(dir) = std::env::var_os("HEPHY_TEST_WORLD").map(PathBuf::from) else { return };
    let small = dir.join("small");
    let access = hephy::source::Access::from_environment().variable("GIT_ALLOW_PROTOCOL", "file");
    let check = |error: hephy::Error, words: &str| {
        assert_eq!(error.kind(), ErrorKind::ResourceError, "{error:?}");
        assert!(error.message().contains("/small") && error.message().contains(words), "{error:?}");
        assert!(error.hint_text().unwrap().contains("free some space"), "{error:?}");
        assert_eq!(super::names(&small), Vec::<String>::new());
    };
    // What is fetched does not fit; it fits, and the archive beside it does not.
    for (name, words) in [("huge", "cannot be fetched into"), ("half", "half-source.tar.gz could not be written")] {
        let known = std::fs::read_to_string(dir.join(format!("{name}.txt"))).unwrap();
        let commit = known.split(' ').next().unwrap();
        let wanted = request(name, &format!("file://{}/{name}", dir.display()), "main", commit);
        check(source::prepare(&access, &[wanted], &small, &|_| {}).remove(0).unwrap_err(), words);
    }
    let known = std::fs::read_to_string(dir.join("huge.txt")).unwrap();
    let digest = known.split(' ').nth(1).unwrap().parse().unwrap();
    let unpacked = source::unpack(&dir.join("out/huge-source.tar.gz"), &digest, &small.join("files"));
    check(unpacked.unwrap_err(), "could not be written");
}

#[test]
fn a_kept_git_knows_its_tag_whatever_way_the_commit_came() {
    let world = World::new();
    let up = world.repository("up");
    let commit = up.write("file", "one").commit("one");
    up.git(["tag", "-a", "-m", "m", "v1", &commit]);
    let root = up.write("file", "two").commit("two");
    up.write("file", "three").commit("three");
    let server = Server::start(world.dir.path(), Behaviour { old: true, ..Behaviour::default() });
    for (reference, commit, described) in
        [("v1", &commit, "v1".to_owned()), (&root, &root, format!("v1-1-g{}", &root[..7]))]
    {
        let into = format!("files-{}", &commit[..7]);
        let wanted = SourceRequest { keep_git: true, ..request("a", &server.url("up/.git"), reference, commit) };
        unpacked(&world, wanted, &into).unwrap();
        let kept = Repository { path: world.path(&into) };
        assert_eq!(kept.git(["describe", "--dirty"]), described);
    }
}
