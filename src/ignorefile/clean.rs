//! The shortest form of a path, by its text alone.

/// What Go's `path.Clean` makes of a path: no empty parts, no `.`, and `..` taken together with the part before it.
/// Builders treat patterns and the sources of `COPY` so. The empty path is `.`.
#[must_use]
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => drop(kept.pop()),
            b".." if rooted => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Go's `path.Clean` tests, shortened.
    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, expected) in [
            ("", "."),
            ("abc", "abc"),
            ("a/b/c", "a/b/c"),
            ("/", "/"),
            ("/abc", "/abc"),
            ("abc/", "abc"),
            ("..", ".."),
            ("../..", "../.."),
            ("abc//def//", "abc/def"),
            ("//abc", "/abc"),
            ("./abc/./def", "abc/def"),
            ("abc/def/../ghi", "abc/ghi"),
            ("abc/def/../..", "."),
            ("abc/def/../../..", ".."),
            ("/abc/def/../../..", "/"),
            ("abc/../../././../def", "../../def"),
            ("abc/./../def", "def"),
        ] {
            assert_eq!(String::from_utf8(clean(path.as_bytes())).unwrap(), expected, "{path}");
        }
    }
}
