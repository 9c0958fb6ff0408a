//! Fields of comma-separated options (`buildctl --output`, `docker --mount`, Go's string slices): RFC 4180.

/// A field that stays one field whatever it contains.
pub(super) fn csv(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) || field.starts_with(' ') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_fields_that_need_it_are_quoted() {
        for (field, quoted) in [("a=b", "a=b"), ("a=b,c", "\"a=b,c\""), ("a=\"", "\"a=\"\"\""), (" a", "\" a\"")] {
            assert_eq!(super::csv(field), quoted);
        }
    }
}
