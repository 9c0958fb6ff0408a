//! Branches, tags and commits of another repository.

use super::{Checked, Refusal, no_option};

const RULE: &str = "a ref has letters, digits and ._/@+- and does not begin with -";
const LONGEST: usize = 255;

/// A branch, a tag, or a full commit id (in lower case). Never an option, a revision expression, a refspec, or an
/// abbreviated commit id. Digits alone are taken for a name: `20251016` is a tag far more often than a commit, and
/// resolving it says what it is.
pub(in super::super) fn git_ref(text: &str) -> Checked<String> {
    super::not_empty(text)?;
    if let Some(refusal) = no_option(text) {
        return Err(refusal.note(RULE));
    }
    let expression = ["..", "@{", "^", "~"].iter().any(|mark| text.contains(mark)) || matches!(text, "@" | "HEAD");
    if expression {
        return Err(Refusal::new("is a revision expression").note("name a branch, a tag or a full commit id"));
    }
    if text.contains(':') || text.starts_with('+') {
        return Err(Refusal::new("is a refspec").note("name a branch, a tag or a full commit id"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '@' | '+' | '-');
    if let Some(at) = text.chars().position(|c| !allowed(c)) {
        return Err(Refusal::new("has a character that no ref has here").note(RULE).part(at, 1));
    }
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    if !text.split('/').all(part) || text.ends_with('.') || text.len() > LONGEST {
        return Err(Refusal::new("is not a name that git allows")
            .note("no part is empty, begins with a dot or ends in .lock, and the whole does not end in a dot"));
    }
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        40 | 64 if hexadecimal => Ok(text.to_ascii_lowercase()),
        7..64 if hexadecimal && text.bytes().any(|byte| byte.is_ascii_alphabetic()) => {
            Err(Refusal::new("is a shortened commit id").note("write it in full, 40 or 64 digits"))
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_tags_and_full_ids_are_refs() {
        let long = "A".repeat(40);
        for (text, kept) in [
            ("main", "main"),
            ("v1.25.3", "v1.25.3"),
            ("1.10", "1.10"),
            ("feature/a_b+c@d-e", "feature/a_b+c@d-e"),
            ("20251016", "20251016"),
            ("2024a", "2024a"),
            (long.as_str(), &"a".repeat(40)),
            (&"0".repeat(64), &"0".repeat(64)),
        ] {
            assert_eq!(git_ref(text).as_deref(), Ok(kept), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_for_its_reason() {
        for (text, what) in [
            ("", "is empty"),
            ("-x", "looks like an option"),
            ("--upload-pack=touch /tmp/x", "looks like an option"),
            ("HEAD", "is a revision expression"),
            ("@", "is a revision expression"),
            ("a..b", "is a revision expression"),
            ("main~1", "is a revision expression"),
            ("main^", "is a revision expression"),
            ("main@{1}", "is a revision expression"),
            ("a:b", "is a refspec"),
            ("+main", "is a refspec"),
            ("a b", "has a character that no ref has here"),
            ("a\nb", "has a character that no ref has here"),
            ("ä", "has a character that no ref has here"),
            ("a*", "has a character that no ref has here"),
            ("a\\b", "has a character that no ref has here"),
            ("${X}", "has a character that no ref has here"),
            ("/a", "is not a name that git allows"),
            ("a/", "is not a name that git allows"),
            ("a//b", "is not a name that git allows"),
            (".a", "is not a name that git allows"),
            ("a/.b", "is not a name that git allows"),
            ("a.lock", "is not a name that git allows"),
            ("a.lock/b", "is not a name that git allows"),
            ("a.", "is not a name that git allows"),
            ("4f2a91c", "is a shortened commit id"),
            ("deadbeef", "is a shortened commit id"),
            (&"a".repeat(39), "is a shortened commit id"),
            (&"a".repeat(41), "is a shortened commit id"),
            (&"x".repeat(256), "is not a name that git allows"),
        ] {
            assert_eq!(git_ref(text).map_err(|refusal| refusal.what), Err(what.to_owned()), "{text}");
        }
    }
}
