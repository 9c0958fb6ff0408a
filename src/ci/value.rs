//! Values from outside, checked before anything is done with them.

use super::Env;
use crate::change::Oid;
use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};

/// A variable that is set and not empty.
pub(super) fn text<'e>(env: &'e Env, name: &str) -> Option<&'e str> {
    env.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

pub(super) fn is_true(env: &Env, name: &str) -> bool {
    env.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// A switch that some set to a name: `CI` is `woodpecker` in one system.
pub(super) fn is_on(env: &Env, name: &str) -> bool {
    text(env, name).is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
}

/// A full commit id; none for an absent value and for all zeros.
pub(super) fn commit(value: Option<&str>, name: &str) -> Result<Option<Oid>> {
    let Some(value) = value else { return Ok(None) };
    let oid = Oid::from_hex(value.as_bytes()).ok_or_else(|| {
        Error::usage(format!("{name} is no commit id: `{}`", escape_cut(value, 80)))
            .hint("a commit id has 40 or 64 hexadecimal digits; all zeros mean that there is none")
    })?;
    Ok(Some(oid).filter(|oid| !oid.is_null()))
}

/// A branch or tag name by git's rules (git-check-ref-format).
pub(super) fn ref_name(value: Option<&str>, name: &str) -> Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    let parts_are_sound = value.split('/').all(|part| {
        let wrong = part.is_empty() || part.starts_with('.') || part.ends_with('.') && value.ends_with(part);
        !wrong && !part.ends_with(".lock")
    });
    let sound = parts_are_sound
        && value.len() <= 1024
        && !value.starts_with('-')
        && !value.contains("..")
        && !value.contains("@{")
        && value != "@"
        && !value.contains([' ', '~', '^', ':', '?', '*', '[', '\\'])
        && !value.contains(char::is_control);
    if sound {
        return Ok(Some(value.to_owned()));
    }
    Err(Error::usage(format!("{name} is no name of a branch or tag: `{}`", escape_cut(value, 80)))
        .hint("git check-ref-format says which names there are"))
}

/// A revision from the command line.
///
/// # Errors
/// For empty values, values that look like options, and values with control characters.
pub fn check_revision(value: &str) -> Result<()> {
    let problem = if value.is_empty() {
        "is empty"
    } else if value.starts_with('-') {
        "looks like an option"
    } else if value.contains(char::is_control) {
        "has control characters"
    } else {
        return Ok(());
    };
    Err(Error::usage(format!("the revision `{}` {problem}", escape_cut(value, 80)))
        .hint("give a commit id, a branch, a tag, or an expression such as main~2"))
}

/// A time stamp, RFC 3339.
pub(super) fn time(value: Option<&str>, name: &str) -> Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    match value.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(time.to_string())),
        Err(error) => Err(Error::usage(format!("{name} is no time: `{}`", escape_cut(value, 80))).cause(error)),
    }
}

pub(super) fn number(value: Option<&str>, name: &str) -> Result<Option<u64>> {
    let Some(value) = value else { return Ok(None) };
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| digits)
        .map(Some)
        .ok_or_else(|| Error::usage(format!("{name} is no number: `{}`", escape_cut(value, 80))))
}

/// An address without user, password, query and fragment; none for what is no `http(s)` address.
pub(crate) fn clean_url(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://").filter(|(scheme, _)| matches!(*scheme, "https" | "http"))?;
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next()?;
    let sound = !host.is_empty() && !rest.contains(|character: char| character.is_control() || character == ' ');
    let path = path.trim_end_matches('/');
    sound.then(|| if path.is_empty() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}/{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_full_id_or_all_zeros() {
        let full = "a".repeat(40);
        assert!(commit(Some(&full), "X").unwrap().is_some());
        assert!(commit(Some(&"b".repeat(64)), "X").unwrap().is_some());
        assert_eq!(commit(Some(&"0".repeat(40)), "X").unwrap(), None);
        assert_eq!(commit(None, "X").unwrap(), None);
        for wrong in
            ["main", "--upload-pack=x", "HEAD^", "abc1234", &full[1..], &format!("{full}\n"), &format!(" {full}")]
        {
            assert!(commit(Some(wrong), "X").is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_obey_gits_rules() {
        for good in ["main", "feature/x", "v1.0", "ünïcode", "a@b", "renovate/docker-1.x"] {
            assert!(ref_name(Some(good), "X").is_ok(), "{good}");
        }
        for wrong in [
            "-x", "a b", "a\nb", "a..b", "a@{1}", "@", "a~1", "a:b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.",
            "*",
        ] {
            assert!(ref_name(Some(wrong), "X").is_err(), "{wrong}");
        }
    }

    #[test]
    fn revisions_never_become_options() {
        for wrong in ["", "-", "--all", "a\nb", "a\0"] {
            assert!(check_revision(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_revision("main~2").is_ok());
    }

    #[test]
    fn addresses_lose_their_credentials() {
        let clean = |url| clean_url(url);
        assert_eq!(clean("https://u:p@host:8443/a/b.git?x#y").as_deref(), Some("https://host:8443/a/b.git"));
        assert_eq!(clean("https://host/").as_deref(), Some("https://host"));
        for wrong in ["ssh://host/a", "https://", "https://ho st/a", "x"] {
            assert_eq!(clean(wrong), None, "{wrong}");
        }
    }
}
