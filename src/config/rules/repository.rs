//! Addresses of other repositories.

use super::super::Transports;
use super::{Checked, Refusal, not_empty};

const RULE: &str = "a repository is https://host/path, ssh://user@host/path or user@host:path";

/// `https://`, `ssh://` or `user@host:path`, without password, query or fragment, by a transport that is in `allowed`;
/// where `GIT_ALLOW_PROTOCOL` lists others, addresses of theirs as well.
pub(in super::super) fn repository(text: &str, allowed: &[String]) -> Checked<String> {
    not_empty(text)?;
    if text.starts_with('-') {
        return Err(Refusal::new("looks like an option").note(RULE));
    }
    if let Some(at) = text.chars().position(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Refusal::new("has a character that no address has").note(RULE).part(at, 1));
    }
    match text.split_once("://") {
        Some((scheme, rest)) => url(scheme, rest, allowed)?,
        None => scp(text, allowed)?,
    }
    Ok(text.to_owned())
}

/// A transport that is not in the list. Without a list of the user's own it is not an address at all that the rule
/// knows; with one, the list is what to look at.
fn not_allowed(allowed: &[String]) -> Refusal {
    if allowed == Transports::default().names() {
        return Refusal::new("uses a transport that is not allowed").note(RULE);
    }
    Refusal::new("uses a transport that GIT_ALLOW_PROTOCOL does not list")
        .note("the variable is the whole list of what git may use, such as https:ssh:file")
}

fn url(scheme: &str, rest: &str, allowed: &[String]) -> Checked<()> {
    let transport = scheme.to_ascii_lowercase();
    if !allowed.contains(&transport) {
        let refusal = not_allowed(allowed);
        return Err(match transport.as_str() {
            "http" | "git" => refusal.meant("did you mean `https://`?"),
            _ => refusal,
        });
    }
    if scheme != transport || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::new("is not an address").note(RULE));
    }
    if rest.contains('?') {
        return Err(Refusal::new("has a query").note(RULE));
    }
    if rest.contains('#') {
        return Err(Refusal::new("has a fragment").note("the branch, tag or commit goes into `upstream_ref`"));
    }
    if transport == "file" {
        let fits = rest.starts_with('/') && !rest.split('/').any(|part| part == "..");
        return if fits { Ok(()) } else { Err(Refusal::new("is not an absolute path behind file://")) };
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if let Some(user) = user {
        if user.contains(':') || is_token(user) {
            return Err(Refusal::new("holds a password").note("put credentials into the CI job's git configuration"));
        }
        check_user(user)?;
    }
    check_host(host, true)?;
    if path.trim_matches('/').is_empty() {
        return Err(Refusal::new("names a host and no repository on it").note(RULE));
    }
    Ok(())
}

fn scp(text: &str, allowed: &[String]) -> Checked<()> {
    let refusal = || Refusal::new("is not an address").note(RULE);
    let (login, path) = text.split_once(':').ok_or_else(refusal)?;
    let (user, host) = login.split_once('@').ok_or_else(refusal)?;
    check_user(user)?;
    check_host(host, false)?;
    if path.starts_with([':', '-']) || path.contains(['?', '#', '@']) || path.trim_matches('/').is_empty() {
        return Err(refusal());
    }
    if allowed.iter().any(|name| name == "ssh") { Ok(()) } else { Err(not_allowed(allowed)) }
}

fn check_user(user: &str) -> Checked<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~');
    if user.is_empty() || user.starts_with('-') || !user.chars().all(good) {
        return Err(Refusal::new("has a user name that no address has").note(RULE));
    }
    Ok(())
}

/// A name, an IPv4 address or `[IPv6]`, with a port where `port` says so. A host that begins with `-` would become an
/// option of ssh.
fn check_host(host: &str, port: bool) -> Checked<()> {
    let refusal = || Refusal::new("has no proper host").note(RULE);
    let (name, number) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(refusal)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| refusal())?;
            ("ipv6", if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(refusal)?) })
        }
        None => host.split_once(':').map_or((host, None), |(name, number)| (name, Some(number))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let port_fits = match number {
        Some(number) => {
            port && number.bytes().all(|b| b.is_ascii_digit()) && number.parse::<u16>().is_ok_and(|n| n > 0)
        }
        None => true,
    };
    if name.len() > 253 || !name.trim_end_matches('.').split('.').all(label) || !port_fits {
        return Err(refusal());
    }
    Ok(())
}

/// Whether a user name is an access token of a forge: these have telling beginnings.
pub(in super::super) fn is_token(user: &str) -> bool {
    ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glcbt-", "gloas-"]
        .iter()
        .any(|beginning| user.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transports_of_the_specification() {
        for text in [
            "https://github.com/acme/app",
            "https://github.com:8443/acme/app.git",
            "https://org@dev.azure.com/org/project/_git/app",
            "https://[::1]:3000/x",
            "ssh://git@host/x",
            "ssh://git@host:2222/~user/x",
            "git@github.com:acme/app.git",
        ] {
            assert_eq!(repository(text, Transports::default().names()).as_deref(), Ok(text));
            let refusal = repository(text, &["file".to_owned()]).unwrap_err();
            assert_eq!(refusal.what, "uses a transport that GIT_ALLOW_PROTOCOL does not list", "{text}");
        }
        for (text, allowed) in [("file:///srv/x.git", "file"), ("http://127.0.0.1:1/x", "http"), ("git://h/x", "git")] {
            assert_eq!(repository(text, &[allowed.to_owned()]).as_deref(), Ok(text));
            let refusal = repository(text, Transports::default().names()).unwrap_err();
            assert_eq!(refusal.what, "uses a transport that is not allowed", "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_for_its_reason() {
        let every: Vec<String> = ["https", "ssh", "file", "http", "ext", "git"].map(str::to_owned).to_vec();
        for (text, what) in [
            ("", "is empty"),
            ("--upload-pack=x", "looks like an option"),
            ("https://u:p@h/x", "holds a password"),
            ("https://:p@h/x", "holds a password"),
            ("ssh://u:p@h/x", "holds a password"),
            ("https://ghp_abcdef@github.com/x", "holds a password"),
            ("https://h/x?y=1", "has a query"),
            ("https://h/x#main", "has a fragment"),
            ("https://h", "names a host and no repository on it"),
            ("https://h//", "names a host and no repository on it"),
            ("https:///x", "has no proper host"),
            ("https://-h/x", "has no proper host"),
            ("ssh://-oProxyCommand=x/y", "has no proper host"),
            ("ssh://h:0/y", "has no proper host"),
            ("ssh://h:70000/y", "has no proper host"),
            ("ssh://h:/y", "has no proper host"),
            ("https://a..b/x", "has no proper host"),
            ("https://[::g]/x", "has no proper host"),
            ("https://[::1/x", "has no proper host"),
            ("ssh://-x@h/y", "has a user name that no address has"),
            ("ssh://@h/y", "has a user name that no address has"),
            ("ssh://a%3ab@h/y", "has a user name that no address has"),
            ("-x@h:y", "looks like an option"),
            ("git@-h:y", "has no proper host"),
            ("git@h:-y", "is not an address"),
            ("git@h:", "is not an address"),
            ("h:y", "is not an address"),
            ("/srv/x.git", "is not an address"),
            ("../x", "is not an address"),
            ("ext::sh -c x", "has a character that no address has"),
            ("ext::sh", "is not an address"),
            ("a@ext::sh", "is not an address"),
            ("HTTPS://h/x", "is not an address"),
            ("file://host/x", "is not an absolute path behind file://"),
            ("file:///a/../b", "is not an absolute path behind file://"),
            ("ftp://h/x", "uses a transport that GIT_ALLOW_PROTOCOL does not list"),
            ("https://h/a b", "has a character that no address has"),
            ("https://h/a\nb", "has a character that no address has"),
            ("https://h\\x", "has a character that no address has"),
        ] {
            assert_eq!(repository(text, &every).map_err(|refusal| refusal.what), Err(what.to_owned()), "{text}");
        }
    }
}
