//! Upstreams and archives that mean harm.

use std::io::Write as _;
use std::path::PathBuf;

use hephy::oci::Digest;
use hephy::source::{self, SourceRequest};
use hephy::{Error, ErrorKind};
use tar::EntryType;

use super::upstream::World;
use super::{names, prepare_one, request};

#[test]
fn trees_that_git_would_never_commit_are_refused() {
    let world = World::new();
    let up = world.repository("up");
    let blob = up.blob(b"evil");
    let names: [&[u8]; 5] = [b"..", b".", b".git", b".GIT", b"a/../../x"];
    for name in names {
        let commit = up.commit_raw(&[("100644", name, &blob)]);
        let error = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError, "{}", String::from_utf8_lossy(name));
    }
}

#[test]
fn what_gits_checks_refuse_is_said_by_its_name() {
    let world = World::new();
    let up = world.repository("up");
    let blob = up.blob(b"x");
    let entries: [(&[u8], &[u8], &str); 4] = [
        (b"a", b"a", "duplicateEntries"),
        (b"b", b"a", "treeNotSorted"),
        (b"a", b"git~1", "hasDotgit"),
        (b".g\xe2\x80\x8cit", b"a", "hasDotgit"),
    ];
    for (first, second, name) in entries {
        let commit = up.commit_raw(&[("100644", first, &blob), ("100644", second, &blob)]);
        let error = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError);
        // The hint's `fetch.fsck.<message-id>` needs it.
        assert!(error.causes().iter().any(|cause| cause.contains(name)), "{name}: {:?}", error.causes());
    }
}

#[test]
fn a_tree_that_multiplies_is_refused_before_it_fills_anything() {
    let world = World::new();
    let up = world.repository("up");
    let mut tree = up.git_with(["mktree"], format!("100644 blob {}\tf\n", up.blob(b"x")).as_bytes());
    // 10^8 paths in nine objects.
    for _ in 0..8 {
        let entries: String = (0..10).map(|at| format!("040000 tree {tree}\td{at}\n")).collect();
        tree = up.git_with(["mktree"], entries.as_bytes());
    }
    let commit = up.git(["commit-tree", "-m", "bomb", &tree]);
    up.git(["update-ref", "refs/heads/main", &commit]);
    let error = prepare_one(&world, request("a", &up.url(), "main", &commit)).unwrap_err();
    assert!(error.message().contains("more than"), "{}", error.message());
}

#[test]
fn hostile_gitmodules_run_and_reach_nothing() {
    let world = World::new();
    let inner = world.repository("inner");
    let inner_commit = inner.write("file", "x").commit("inner");
    let ran = world.path("ran");
    let touch = format!("touch {}", ran.display());
    for (text, words) in [
        ("[submodule \"m\"]\n\tpath = m\n\turl = ../../../../../../../../etc".to_owned(), "leaves the upstream's host"),
        (format!("[submodule \"m\"]\n\tpath = m\n\turl = \"ext::sh -c '{touch}'\""), "white space"),
        ("[submodule \"m\"]\n\tpath = m\n\turl = ext::touch".to_owned(), "transport `ext`"),
        ("[submodule \"m\"]\n\tpath = m\n\turl = ssh://git@host/x".to_owned(), "transport `ssh`"),
        ("[submodule \"m\"]\n\tpath = other\n\turl = ../inner".to_owned(), "names no address"),
        ("[submodule \"m\"".to_owned(), ""),
    ] {
        let up = world.repository(&format!("up{}", world.dir.path().read_dir().unwrap().count()));
        let modules = up.blob(text.as_bytes());
        let commit = up.commit_raw(&[("100644", b".gitmodules", &modules), ("160000", b"m", &inner_commit)]);
        let wanted = SourceRequest { submodules: true, ..request("a", &up.url(), "main", &commit) };
        let error = prepare_one(&world, wanted).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CloneError, "{text}");
        assert!(error.message().contains(words), "{text}: {}", error.message());
    }
    // Fields that would run something are not read: the submodule arrives, the command does not run.
    let up = world.repository("harmless");
    let text = format!(
        "[submodule \"m\"]\n\tpath = m\n\turl = ../inner\n\tignore = all\n[core]\n\tsshCommand = {touch}\n\
         [include]\n\tpath = {}\n",
        ran.display()
    );
    let modules = up.blob(text.as_bytes());
    let commit = up.commit_raw(&[("100644", b".gitmodules", &modules), ("160000", b"m", &inner_commit)]);
    prepare_one(&world, SourceRequest { submodules: true, ..request("a", &up.url(), "main", &commit) }).unwrap();
    assert!(!ran.exists());
}

/// A tar.gz of raw headers, which no well-behaved library would write.
struct Archive {
    tar: Vec<u8>,
}

impl Archive {
    fn new() -> Self {
        Self { tar: Vec::new() }
    }

    fn add(mut self, kind: EntryType, path: &[u8], target: &[u8], data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(data);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str) -> Self {
        self.add(EntryType::Regular, path.as_bytes(), b"", b"evil")
    }

    fn dir(self, path: &str) -> Self {
        self.add(EntryType::Directory, path.as_bytes(), b"", b"")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, path.as_bytes(), target.as_bytes(), b"")
    }

    fn gzip(mut self) -> Vec<u8> {
        self.tar.extend_from_slice(&[0; 1024]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&self.tar).unwrap();
        gzip.finish().unwrap()
    }
}

fn unpack(world: &World, bytes: &[u8]) -> Result<(), Error> {
    let archive = world.path("archive.tar.gz");
    std::fs::write(&archive, bytes).unwrap();
    std::fs::create_dir_all(world.path("work")).unwrap();
    let done = source::unpack(&archive, &Digest::of(bytes), &world.path("work/files"));
    if done.is_err() {
        assert_eq!(names(&world.path("work")), Vec::<String>::new(), "partial output stays");
    }
    done
}

#[test]
fn archives_write_nothing_outside_and_nothing_through_links() {
    let world = World::new();
    let outside = world.path("outside");
    std::fs::create_dir(&outside).unwrap();
    let target = outside.display().to_string();
    let long = |path: &str| [path.as_bytes(), b"\0"].concat();
    for (archive, words) in [
        (Archive::new().file("/absolute"), "an absolute path"),
        (Archive::new().file("../up"), "a `.` or `..` part"),
        (Archive::new().dir("a/").file("a/../../up"), "a `.` or `..` part"),
        (Archive::new().add(EntryType::GNULongName, b"L", b"", &long("../up")).file("x"), "a `.` or `..` part"),
        (Archive::new().link("a", &target).file("a/evil"), "whose directory is not"),
        (Archive::new().link("a", &target).link("a/evil", "x"), "whose directory is not"),
        (Archive::new().link("a", &target).dir("a/"), "`a` twice"),
        (Archive::new().dir("a/").link("a", &target).file("a/evil"), "`a` twice"),
        (Archive::new().link("a", &target).file("a"), "`a` twice"),
        (Archive::new().file("a").file("a"), "`a` twice"),
        (Archive::new().file("a").file("a/b"), "whose directory is not"),
        (Archive::new().file("nowhere/b"), "whose directory is not"),
        (Archive::new().add(EntryType::Link, b"hard", b"/etc/passwd", b""), "a hard link"),
        (Archive::new().add(EntryType::Char, b"null", b"", b""), "a device"),
        (Archive::new().add(EntryType::Fifo, b"pipe", b"", b""), "a named pipe"),
        (Archive::new().add(EntryType::GNUSparse, b"sparse", b"", b""), "a sparse file"),
        (Archive::new().add(EntryType::XHeader, b"pax", b"", b"16 path=../evil\n"), "a kind that no source"),
        (Archive::new().link("empty", ""), "without a target"),
        (Archive::new().add(EntryType::GNULongName, b"L", b"", &[b'n'; 9000]).file("x"), "a name of more than"),
        (Archive::new().dir("d/").dir("d/").file("d/x"), "`d` twice"),
        (Archive::new().file("x\u{1b}[2J/y"), "x\\u{1b}[2J/y"),
    ] {
        let error = unpack(&world, &archive.gzip()).expect_err(words);
        assert_eq!(error.kind(), ErrorKind::CloneError, "{error:?}");
        assert!(error.message().contains(words), "{words}: {}", error.message());
        assert_eq!(names(&outside), Vec::<String>::new(), "{words}");
    }
}

#[test]
fn modes_are_reduced_to_the_executable_bit() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    unpack(&world, &Archive::new().dir("d/").file("d/set-uid").gzip()).unwrap();
    let mode = |path: &str| world.path("work/files").join(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode(""), mode("d"), mode("d/set-uid")], [0o755; 3]);
}

#[test]
fn an_archive_that_is_not_the_plans_or_not_one_at_all_is_refused() {
    let world = World::new();
    let good = Archive::new().file("x").gzip();
    let archive = world.path("archive.tar.gz");
    let into: PathBuf = world.path("files");
    std::fs::write(&archive, &good).unwrap();
    let error = source::unpack(&archive, &Digest::of(b"other"), &into).unwrap_err();
    assert!(error.message().ends_with("is not the plan's"), "{}", error.message());
    assert_eq!(error.kind(), ErrorKind::CloneError);
    let error = source::unpack(&world.path("none"), &Digest::of(b""), &into).unwrap_err();
    assert!(error.message().ends_with("is missing"), "{}", error.message());
    let mut lying = Archive::new().file("x").tar;
    lying[124..135].copy_from_slice(b"77777777777");
    for garbage in [b"".to_vec(), b"not gzip".to_vec(), good[..good.len() / 2].to_vec(), Archive { tar: lying }.gzip()]
    {
        let error = unpack(&world, &garbage).unwrap_err();
        assert!(error.message().ends_with("is not a tar.gz file"), "{}", error.message());
    }
    assert!(!into.exists());
}

#[test]
fn a_directory_with_something_in_it_is_left_as_it_was() {
    let world = World::new();
    let good = Archive::new().file("x").gzip();
    unpack(&world, &good).unwrap();
    let archive = world.path("archive.tar.gz");
    std::fs::write(world.path("work/files/mine"), "").unwrap();
    source::unpack(&archive, &Digest::of(&good), &world.path("work/files")).unwrap_err();
    assert_eq!(names(&world.path("work/files")), ["mine", "x"]);
    assert_eq!(names(&world.path("work")), ["files"]);
}
