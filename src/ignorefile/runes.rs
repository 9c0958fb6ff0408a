//! Bytes as Go reads them: UTF-8, and U+FFFD for each byte that is none.

/// Adds the characters of `bytes`.
pub(super) fn decode(bytes: &[u8], out: &mut Vec<char>) {
    if bytes.is_ascii() {
        out.extend(bytes.iter().map(|byte| char::from(*byte)));
        return;
    }
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// White space taken away at both ends; bytes that are no UTF-8 are none.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let Some(length) = (1..=4).find(|length| is_space(bytes.get(..*length))) {
        bytes = &bytes[length..];
    }
    while let Some(length) = (1..=4).find(|length| is_space(bytes.len().checked_sub(*length).map(|at| &bytes[at..]))) {
        bytes = &bytes[..bytes.len() - length];
    }
    bytes
}

fn is_space(bytes: Option<&[u8]>) -> bool {
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let mut characters = text.chars();
    matches!((characters.next(), characters.next()), (Some(one), None) if one.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_that_of_unicode() {
        for (bytes, expected) in [
            (" \t\r a b\u{a0}\u{2003}".as_bytes(), b"a b".as_slice()),
            (b"\xff a \xff", b"\xff a \xff"),
            (b" \n ", b""),
            ("\u{85}é\u{3000}".as_bytes(), "é".as_bytes()),
        ] {
            assert_eq!(trim(bytes), expected);
        }
    }

    #[test]
    fn each_byte_that_is_no_utf8_is_one_character() {
        let mut out = Vec::new();
        decode(b"a\xe2\x80\xff\xc3\xa9", &mut out);
        assert_eq!(out.iter().collect::<String>(), "a\u{fffd}\u{fffd}\u{fffd}é");
    }
}
