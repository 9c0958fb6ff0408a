//! How much of a source is accepted. [`prepare`](super::prepare()) refuses what [`unpack`](super::unpack()) would refuse, so
//! that a build job never meets an archive that it cannot use.

/// Entries of one archive. The largest public monorepos have about half a million files; a hostile tree of a few
/// kilobytes can name billions.
pub(super) const MAX_ENTRIES: usize = 1_000_000;

/// Bytes of all files of one archive, unpacked: more than any source tree, less than a runner's disk.
pub(super) const MAX_BYTES: u64 = 32 << 30;

/// Parts of a path. Real trees stay below 40; every level costs a directory and a system call.
pub(super) const MAX_DEPTH: usize = 256;

/// Bytes of one name (`NAME_MAX` of every Linux file system).
pub(super) const MAX_NAME: usize = 255;

/// Bytes of a path relative to the root: `PATH_MAX` (4,096) less room for the directory that it is unpacked into.
pub(super) const MAX_PATH: usize = 3_500;

/// Bytes of all paths and link targets of one archive: they are held in memory. The largest public monorepos have 50 MiB.
pub(super) const MAX_NAMES: usize = 256 << 20;

/// Bytes of a symbolic link's target: `PATH_MAX` less the terminating zero.
pub(super) const MAX_TARGET: usize = 4_095;

/// Levels of submodules within submodules.
pub(super) const MAX_SUBMODULE_DEPTH: usize = 8;

/// Submodules of one archive, nested ones included: the largest known projects have about 200.
pub(super) const MAX_SUBMODULES: usize = 500;

/// Checks the form of a path within an archive or a tree: relative, no empty, `.` or `..` part, within the limits.
pub(super) fn check_path(path: &[u8]) -> Result<(), String> {
    if path.is_empty() {
        return Err("an empty path".into());
    }
    if path.starts_with(b"/") {
        return Err("an absolute path".into());
    }
    if path.len() > MAX_PATH {
        return Err(format!("a path of {} bytes; the limit is {MAX_PATH}", path.len()));
    }
    let mut depth = 0;
    for part in path.split(|byte| *byte == b'/') {
        depth += 1;
        match part {
            b"" => return Err("a path with an empty part".into()),
            b"." | b".." => return Err("a path with a `.` or `..` part".into()),
            part if part.contains(&0) => return Err("a path with a zero byte".into()),
            part if part.len() > MAX_NAME => {
                return Err(format!("a name of {} bytes; file systems allow {MAX_NAME}", part.len()));
            }
            _ => {}
        }
    }
    if depth > MAX_DEPTH {
        return Err(format!("a path of {depth} parts; the limit is {MAX_DEPTH}"));
    }
    Ok(())
}

/// Checks the target of a symbolic link. Where it points does not matter here: nothing is written through links, and
/// what is read through them at build time goes through [`confine`](super::confine()).
pub(super) fn check_target(target: &[u8]) -> Result<(), String> {
    match target {
        b"" => Err("a symbolic link without a target".into()),
        target if target.len() > MAX_TARGET => Err(format!("a symbolic link's target of {} bytes", target.len())),
        target if target.contains(&0) => Err("a symbolic link's target with a zero byte".into()),
        _ => Ok(()),
    }
}

/// A path for a message: escaped, cut.
pub(super) fn shown(path: &[u8]) -> String {
    crate::diagnostic::escape_cut(&String::from_utf8_lossy(path), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_relative_and_within_the_limits() {
        let deep = |parts: usize| vec!["d"; parts].join("/").into_bytes();
        for good in [b"a".as_slice(), b"a/b", b"-x", b"a b\n", b"\xff", b"...", &deep(MAX_DEPTH), &[b'n'; MAX_NAME]] {
            assert_eq!(check_path(good), Ok(()), "{}", shown(good));
        }
        let (long_name, long_path) = ([b'n'; MAX_NAME + 1], vec!["n".repeat(250); 15].join("/").into_bytes());
        let too_deep = deep(MAX_DEPTH + 1);
        for bad in [
            b"".as_slice(),
            b"/a",
            b"a//b",
            b"a/",
            b".",
            b"a/./b",
            b"..",
            b"a/../b",
            b"a\0b",
            &long_name,
            &long_path,
            &too_deep,
        ] {
            assert!(check_path(bad).is_err(), "{}", shown(bad));
        }
    }

    #[test]
    fn link_targets_are_whole() {
        assert_eq!(check_target(b"../anything"), Ok(()));
        for bad in [b"".as_slice(), b"a\0b", &[b'x'; MAX_TARGET + 1]] {
            assert!(check_target(bad).is_err());
        }
    }
}
