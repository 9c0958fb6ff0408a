//! The rules of the contents of images, one by one.

use super::*;

const AMD64: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0rest";
const ARM64: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0rest";
const ARM64_OBJECT: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xb7\0rest";

fn tar(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, target).unwrap();
    }
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The mismatch of an amd64 image with these layers, top first.
fn mismatch(layers: &[Vec<u8>], words: &[&str]) -> Option<String> {
    let mut contents = Contents::default();
    for layer in layers {
        assert!(matches!(contents.add_below(&gzip(layer)), Sampled::Programs(_)));
    }
    let start = Start { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Start::default() };
    contents.mismatch(&Platform::linux_amd64(), &start).map(|mismatch| mismatch.program.path)
}

#[test]
fn a_program_that_the_image_starts_decides_wherever_it_lies() {
    let layer = tar(&[("usr/bin/tool", AMD64), ("srv/x/run", ARM64)], &[("entry", "srv/x/run")]);
    for words in
        [&["/srv/x/run"][..], &["/entry"], &["/usr/bin/tool", "--", "/srv/x/run"], &["sh", "-c", "exec /entry 1"]]
    {
        assert_eq!(mismatch(std::slice::from_ref(&layer), words), Some("/srv/x/run".into()), "{words:?}");
    }
    assert_eq!(mismatch(&[layer], &["/usr/bin/tool"]), None);
}

#[test]
fn directories_that_programs_are_started_from_hold_no_foreign_ones() {
    for path in ["bin/a", "usr/sbin/a", "usr/local/bin/a", "a", "app/server"] {
        assert_eq!(mismatch(&[tar(&[("bin/x", AMD64), (path, ARM64)], &[])], &[]), Some(format!("/{path}")));
    }
    let merged = tar(&[("usr/bin/x", AMD64), ("usr/bin/a", ARM64)], &[("bin", "usr/bin")]);
    assert_eq!(mismatch(&[merged], &["a"]), Some("/usr/bin/a".into()));
}

#[test]
fn foreign_files_that_are_there_on_purpose_are_legal() {
    for path in
        ["usr/bin/qemu-aarch64-static", "bin/tool-linux-arm64", "usr/aarch64-linux-gnu/bin/ld", "lib/firmware/x"]
    {
        assert_eq!(mismatch(&[tar(&[("bin/x", AMD64), (path, ARM64)], &[])], &["/bin/x"]), None, "{path}");
    }
    assert_eq!(mismatch(&[tar(&[("bin/x.o", ARM64_OBJECT)], &[])], &[]), None, "an object file");
    assert_eq!(mismatch(&[tar(&[("lib/firmware/x", ARM64)], &[])], &[]), None, "firmware alone");
    assert_eq!(mismatch(&[tar(&[("etc/passwd", b"root")], &[])], &["/bin/sh"]), None, "no program");
}

#[test]
fn an_image_with_foreign_programs_only_is_wrong() {
    assert_eq!(mismatch(&[tar(&[("srv/a/b/tool-arm64", ARM64)], &[])], &[]), Some("/srv/a/b/tool-arm64".into()));
}

#[test]
fn upper_layers_hide_what_they_replace_and_remove() {
    let base = || tar(&[("bin/a", ARM64), ("bin/x", AMD64)], &[]);
    assert_eq!(mismatch(&[base()], &["/bin/a"]), Some("/bin/a".into()));
    for (case, top) in [
        ("replaced by a program", tar(&[("bin/a", AMD64)], &[])),
        ("replaced by a script", tar(&[("./bin/a", b"#!/bin/sh")], &[])),
        ("replaced by a link", tar(&[], &[("bin/a", "x")])),
        ("removed", tar(&[("bin/.wh.a", b"")], &[])),
        ("its directory removed", tar(&[(".wh.bin", b"")], &[])),
        ("its directory emptied", tar(&[("bin/.wh..wh..opq", b""), ("bin/a", AMD64)], &[])),
    ] {
        assert_eq!(mismatch(&[top, base()], &["/bin/a"]), None, "{case}");
    }
    assert_eq!(mismatch(&[tar(&[("bin/a", ARM64)], &[]), tar(&[("bin/a", AMD64)], &[])], &[]), Some("/bin/a".into()));
}

#[test]
fn the_beginning_of_a_layer_is_enough_and_rubbish_is_harmless() {
    let layer = gzip(&tar(&[("bin/a", ARM64), ("z", &[7; 100_000])], &[]));
    let mut contents = Contents::default();
    assert_eq!(contents.add_below(&layer[..layer.len() - 20]), Sampled::Programs(1));
    for rubbish in [&b""[..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd, 1], &[0x41; 2000]] {
        assert_eq!(Contents::default().add_below(rubbish), Sampled::Unreadable);
    }
    let loops = tar(&[("x", AMD64)], &[("a", "b"), ("b", "a"), ("c", "c/c")]);
    assert_eq!(mismatch(&[loops], &["/a", "/c/d", "../../x"]), None);
}

#[test]
fn a_hostile_layer_is_read_in_bounded_time_and_memory() {
    let deep = format!("{}x", "a/".repeat(500_000));
    let many: Vec<String> = (0..40).map(|at| format!("{at}/{deep}")).collect();
    let files: Vec<(&str, &[u8])> = many.iter().map(|path| (path.as_str(), AMD64)).collect();
    let begin = std::time::Instant::now();
    let mut contents = Contents::default();
    contents.add_below(&gzip(&tar(&[(".wh.gone", b""), ("bin/.wh..wh..opq", b"")], &[])));
    for _ in 0..20 {
        contents.add_below(&gzip(&tar(&files, &[])));
    }
    assert!(contents.programs.is_empty(), "no file system has such a path");
    // A bomb of zeros is no program either; all layers together are inflated to a bounded size.
    let zeros = gzip(&tar(&[("zeros", &vec![0; 8 << 20])], &[]));
    for _ in 0..200 {
        contents.add_below(&zeros);
    }
    assert!(contents.inflated <= MAX_INFLATED_ALTOGETHER);
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}
