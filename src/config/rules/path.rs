//! Paths, globs and import paths: relative, with `/`, and never out of their root.

use super::{Checked, Refusal, no_option, not_empty};

const RULE: &str = "a path is relative, with /, and has no empty, .git or .. part, no scheme, drive or backslash";
const LONGEST: usize = 4096;

/// A file: like [`directory`], and not the root itself.
pub(in super::super) fn file(text: &str) -> Checked<String> {
    match directory(text)?.as_str() {
        "." => Err(Refusal::new("names a directory, not a file")),
        path => Ok(path.to_owned()),
    }
}

/// A directory, `.` for the root itself. Parts that are `.` are dropped.
pub(in super::super) fn directory(text: &str) -> Checked<String> {
    not_empty(text)?;
    let refusal = |what: &str| Refusal::new(what).note(RULE);
    if let Some(at) = text.chars().position(char::is_control) {
        return Err(refusal("has a control character").part(at, 1));
    }
    if text.contains('\\') {
        return Err(refusal("has a backslash").meant(format!("did you mean `{}`?", shown(&text.replace('\\', "/")))));
    }
    if text.starts_with('/') {
        return Err(refusal("is an absolute path"));
    }
    if has_scheme(text) {
        return Err(refusal("has a scheme or a drive"));
    }
    let mut kept = Vec::new();
    for part in text.split('/') {
        match part {
            "" => {
                let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
                return Err(refusal("has an empty part").meant(format!("did you mean `{}`?", shown(&parts.join("/")))));
            }
            "." => {}
            ".." => return Err(refusal("leaves its root")),
            part if part.eq_ignore_ascii_case(".git") => return Err(refusal("leads into .git")),
            part => kept.push(part),
        }
    }
    if text.len() > LONGEST {
        return Err(refusal("is too long"));
    }
    Ok(if kept.is_empty() { ".".to_owned() } else { kept.join("/") })
}

/// A glob relative to the repository's root.
pub(in super::super) fn glob(text: &str) -> Checked<String> {
    const RULE: &str = "a glob is a path with *, **, ? and [abc], relative to the repository's root";
    if text.starts_with('!') {
        return Err(Refusal::new("begins with !, and patterns cannot be turned round").note(RULE));
    }
    if text.contains(['{', '}']) {
        return Err(Refusal::new("has braces, which mean nothing in a glob").note("write one entry for each"));
    }
    if let Some(directory) = text.strip_suffix('/').filter(|rest| !rest.is_empty() && !rest.ends_with('/')) {
        let meant = format!("did you mean `{}/**`?", shown(directory));
        return Err(Refusal::new("ends in a slash").note(RULE).meant(meant));
    }
    let path = directory(text).map_err(|refusal| Refusal { note: Some(RULE), ..refusal })?;
    match glob::Pattern::new(&path) {
        Ok(_) => Ok(path),
        Err(_) => Err(Refusal::new("is not a glob").note("`**` stands alone between slashes, and `[` needs its `]`")),
    }
}

/// What ko builds: a Go import path or `./directory`.
pub(in super::super) fn import_path(text: &str) -> Checked<String> {
    const RULE: &str = "an import path is example.com/module/cmd/app or ./cmd/app";
    not_empty(text)?;
    if let Some(refusal) = no_option(text) {
        return Err(refusal.note(RULE));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '@' | '+' | '-' | '~');
    let parts = text.trim_end_matches('/').split('/');
    if !text.chars().all(allowed) || parts.into_iter().any(|part| matches!(part, "" | "..")) || text.len() > LONGEST {
        return Err(Refusal::new("is not an import path").note(RULE));
    }
    Ok(text.to_owned())
}

/// `https:`, `file:`, `C:`: letters, digits and `+.-` before the first colon of the first part.
fn has_scheme(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    first.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
    })
}

fn shown(text: &str) -> String {
    crate::diagnostic::escape_cut(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_kept_without_single_dots() {
        for (text, kept) in [
            ("Dockerfile", "Dockerfile"),
            ("./docker/./Dockerfile.dev", "docker/Dockerfile.dev"),
            (".", "."),
            ("./.", "."),
            ("a b/ü/…", "a b/ü/…"),
            ("...", "..."),
            ("a/.github", "a/.github"),
            ("-x", "-x"),
            ("a b:c", "a b:c"),
        ] {
            assert_eq!(directory(text).as_deref(), Ok(kept), "{text}");
        }
        assert_eq!(file("./.").map_err(|refusal| refusal.what), Err("names a directory, not a file".to_owned()));
    }

    #[test]
    fn paths_that_leave_or_confuse_are_refused() {
        for (text, what) in [
            ("", "is empty"),
            ("/etc/passwd", "is an absolute path"),
            ("..", "leaves its root"),
            ("a/../../b", "leaves its root"),
            ("a//b", "has an empty part"),
            ("a/", "has an empty part"),
            (".git/config", "leads into .git"),
            ("a/.GIT/b", "leads into .git"),
            ("a\\b", "has a backslash"),
            ("C:x", "has a scheme or a drive"),
            ("c:/x", "has a scheme or a drive"),
            ("https://host/x", "has a scheme or a drive"),
            ("dir:///x", "has a scheme or a drive"),
            ("a\nb", "has a control character"),
            ("a\u{7f}", "has a control character"),
            ("a\u{85}", "has a control character"),
            ("a\0", "has a control character"),
            (&"a".repeat(4097), "is too long"),
        ] {
            assert_eq!(directory(text).map_err(|refusal| refusal.what), Err(what.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn globs_are_paths_with_wildcards() {
        for text in ["**/*.md", "go.mod", "docs/**", "a?[bc]"] {
            assert_eq!(glob(text).as_deref(), Ok(text));
        }
        for (text, what) in [
            ("!docs/**", "begins with !, and patterns cannot be turned round"),
            ("*.{md,txt}", "has braces, which mean nothing in a glob"),
            ("docs/", "ends in a slash"),
            ("/docs", "is an absolute path"),
            ("../x", "leaves its root"),
            ("a**", "is not a glob"),
            ("[a", "is not a glob"),
            ("", "is empty"),
        ] {
            assert_eq!(glob(text).map_err(|refusal| refusal.what), Err(what.to_owned()), "{text}");
        }
    }

    #[test]
    fn import_paths() {
        for text in [".", "./cmd/app", "github.com/google/ko", "./..."] {
            assert_eq!(import_path(text).as_deref(), Ok(text));
        }
        for text in ["", "-toolexec=x", "../x", "a//b", "/x", "a b", "ko://x", "a\n"] {
            assert!(import_path(text).is_err(), "{text}");
        }
    }
}
