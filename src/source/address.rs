//! The form of repositories and refs (specification §3, "Values"), and addresses relative to another one.
//! Pure.

/// Whether the text is a full commit id: 40 or 64 hexadecimal digits.
#[must_use]
pub fn is_commit_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks a repository: `https://`, `ssh://` or `user@host:path`, without password, query or fragment; another
/// transport only where `allowed` lists it.
///
/// # Errors
/// The rule that it breaks, as the end of the sentence "this repository …".
pub fn check_repository(repository: &str, allowed: &[String]) -> Result<(), String> {
    if repository.is_empty() || repository.starts_with('-') {
        return Err("is empty or begins with `-`".into());
    }
    if repository.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("holds white space or a control character".into());
    }
    let transport = transport(repository).ok_or("is not https://, ssh:// or user@host:path")?;
    if !allowed.iter().any(|name| name == transport) {
        return Err(format!("uses the transport `{transport}`; allowed are {}", allowed.join(", ")));
    }
    let Some((_, rest)) = repository.split_once("://") else {
        return check_without_scheme(repository, transport);
    };
    if repository.contains(['?', '#']) {
        return Err("holds a query or a fragment".into());
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err("holds a password".into());
    }
    if user.starts_with('-') || host.starts_with('-') {
        return Err("has a user or a host that begins with `-`".into());
    }
    if host.is_empty() && transport != "file" {
        return Err("names no host".into());
    }
    Ok(())
}

fn check_without_scheme(repository: &str, transport: &str) -> Result<(), String> {
    if transport != "ssh" {
        return Ok(());
    }
    let (authority, path) = repository.split_once(':').unwrap_or((repository, ""));
    match authority.split_once('@') {
        Some((user, host)) if user.starts_with('-') || host.starts_with('-') => {
            Err("has a user or a host that begins with `-`".into())
        }
        Some((user, host)) if !user.is_empty() && !host.is_empty() && !path.is_empty() && !path.starts_with('-') => {
            Ok(())
        }
        _ => Err("is not https://, ssh:// or user@host:path".into()),
    }
}

/// The transport that git would use.
fn transport(repository: &str) -> Option<&str> {
    if let Some((helper, _)) = repository.split_once("::")
        && helper.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        // The helper form of a built-in transport is never what somebody means to write.
        return (!["https", "http", "ssh", "git", "file"].contains(&helper)).then_some(helper);
    }
    if let Some((scheme, _)) = repository.split_once("://") {
        let plain = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
        return plain.then_some(match scheme {
            "git+ssh" | "ssh+git" => "ssh",
            scheme => scheme,
        });
    }
    let before_colon = repository.split(':').next().unwrap_or_default();
    if repository.contains(':') && !before_colon.contains('/') {
        return Some("ssh");
    }
    repository.starts_with('/').then_some("file")
}

/// Checks a ref: letters, digits and `._/@+-` as git allows them, never a leading `-`, a revision expression or a
/// refspec.
///
/// # Errors
/// The rule that it breaks, as the end of the sentence "this ref …".
pub fn check_reference(reference: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._/@+-".contains(c);
    if reference.is_empty() || reference.starts_with('-') || !reference.chars().all(legal) {
        return Err("has letters, digits and ._/@+- and does not begin with -".into());
    }
    // git-check-ref-format(1).
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if reference == "@"
        || reference.contains("..")
        || reference.contains("@{")
        || reference.ends_with('.')
        || reference.split('/').any(bad_part)
    {
        return Err("is not a name that git allows".into());
    }
    Ok(())
}

/// A submodule's address as seen from the repository that names it: relative ones begin with `./` or `../`. None
/// when it climbs out of the repository's host.
pub(super) fn join(base: &str, address: &str) -> Option<String> {
    if !address.starts_with("./") && !address.starts_with("../") {
        return Some(address.to_owned());
    }
    let (head, separator, path) = split_host(base)?;
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in address.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return None;
    }
    Some(format!("{head}{separator}{}", parts.join("/")))
}

/// An address in three: what names the host, the separator, the path.
fn split_host(base: &str) -> Option<(&str, &str, &str)> {
    if let Some((scheme, rest)) = base.split_once("://") {
        let slash = rest.find('/')?;
        let at = scheme.len() + 3 + slash;
        return Some((base.get(..at)?, "/", base.get(at + 1..)?));
    }
    if let Some(path) = base.strip_prefix('/') {
        return Some(("", "/", path));
    }
    let (head, path) = base.split_once(':')?;
    match path.strip_prefix('/') {
        Some(path) => Some((head, ":/", path)),
        None => Some((head, ":", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn repositories_are_https_ssh_or_scp_like() {
        let default = allowed(&["https", "ssh"]);
        for good in [
            "https://example.org/a.git",
            "https://user@example.org:8443/a/b",
            "ssh://git@example.org:22/a.git",
            "git@example.org:a/b.git",
            "git@example.org:/srv/b.git",
        ] {
            assert_eq!(check_repository(good, &default), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=touch /tmp/x",
            "a/b",
            "../up",
            "/srv/up.git",
            "file:///srv/up.git",
            "http://example.org/a",
            "git://example.org/a",
            "ext::sh -c id",
            "ext::id",
            "https::https://x/y",
            "https://u:p@example.org/a",
            "https://example.org/a?b",
            "https://example.org/a#b",
            "https:///a",
            "ssh://-oProxyCommand=id/a",
            "ssh://-x@host/a",
            "-oProxyCommand=id:a",
            "git@-host:a",
            "git@host:-a",
            "host:a",
            "git@host:",
            "https://example.org/a b",
            "https://example.org/a\nb",
        ] {
            assert!(check_repository(bad, &default).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_transports_need_gits_own_permission() {
        let file = allowed(&["file"]);
        assert_eq!(check_repository("file:///srv/up.git", &file), Ok(()));
        assert_eq!(check_repository("/srv/up.git", &file), Ok(()));
        assert!(check_repository("https://example.org/a", &file).is_err());
        assert!(check_repository("up.git", &file).is_err());
        assert_eq!(check_repository("http://127.0.0.1:80/a", &allowed(&["http"])), Ok(()));
    }

    #[test]
    fn refs_are_names_and_nothing_else() {
        for good in ["main", "v1.10", "feature/x", "refs/heads/x", "a@b", "1e3", "+x", "@x"] {
            assert_eq!(check_reference(good), Ok(()), "{good}");
        }
        for bad in [
            "", "-x", "--all", "a b", "a:b", "a*", "a^", "a~1", "a..b", "a@{1}", "@", "/a", "a/", "a//b", ".a", "a/.b",
            "a.lock", "a.", "a\\b", "a\n", "ü",
        ] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relative_addresses_stay_on_their_host() {
        let join = |base, address| super::join(base, address);
        assert_eq!(join("https://h/a/b.git", "../c.git").as_deref(), Some("https://h/a/c.git"));
        assert_eq!(join("https://h/a/b.git/", "./c").as_deref(), Some("https://h/a/b.git/c"));
        assert_eq!(join("git@h:a/b", "../../c").as_deref(), Some("git@h:c"));
        assert_eq!(join("git@h:/srv/a/b", "../c").as_deref(), Some("git@h:/srv/a/c"));
        assert_eq!(join("/srv/a", "../b").as_deref(), Some("/srv/b"));
        assert_eq!(join("file:///srv/a", "../b").as_deref(), Some("file:///srv/b"));
        assert_eq!(join("https://h/a", "https://other/x").as_deref(), Some("https://other/x"));
        assert_eq!(join("https://h/a", "../../evil/x"), None);
        assert_eq!(join("https://h/a", "../x/../../y/z"), None);
        assert_eq!(join("git@h:a", "../../x"), None);
        assert_eq!(join("https://h/a", "../"), None);
    }

    #[test]
    fn commit_ids_are_whole() {
        assert!(is_commit_id(&"a1".repeat(20)) && is_commit_id(&"A1".repeat(32)));
        assert!(!is_commit_id(&"a1".repeat(19)) && !is_commit_id(&"g1".repeat(20)));
    }
}
