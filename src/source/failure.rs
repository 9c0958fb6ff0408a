//! What went wrong when git failed.
//!
//! git ends with 128 for nearly everything, so its own words (untranslated, `LC_ALL=C`) have to tell. What the server
//! says through it (`remote: …`) and the address are left out before looking: neither may decide.

use std::time::Duration;

use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind};
use crate::process::{Interrupt, Output};

/// The kinds of trouble that call for different next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server or the way to it is out of order; worth another try.
    Network,
    /// Credentials are missing, wrong, or not enough.
    Auth,
    /// There is no such repository.
    Missing,
    /// This machine's disk is full.
    Disk,
    /// The server's certificate is not trusted.
    Certificate,
    /// The transport is not allowed.
    Transport,
    /// The objects are not what git accepts.
    Objects,
    /// The repository belongs to another user of this machine.
    Ownership,
    /// A program that git needs for this transport is not installed.
    Program,
    /// Anything else: a server that refuses this way of asking.
    Refused,
}

/// Waits between tries.
pub(super) const DELAYS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1_500), Duration::from_millis(4_500)];

/// What git's words mean, first match counts.
const WORDS: [(&str, Trouble); 41] = [
    ("No space left on device", Trouble::Disk),
    ("Disk quota exceeded", Trouble::Disk),
    ("cannot run ", Trouble::Program),
    ("is not a git command", Trouble::Program),
    ("Unable to find remote helper", Trouble::Program),
    ("not allowed", Trouble::Transport),
    ("dubious ownership", Trouble::Ownership),
    ("fsck error", Trouble::Objects),
    ("fsck failed", Trouble::Objects),
    ("SSL certificate problem", Trouble::Certificate),
    ("server certificate verification failed", Trouble::Certificate),
    ("SSL: no alternative certificate", Trouble::Certificate),
    ("Authentication failed", Trouble::Auth),
    ("could not read Username", Trouble::Auth),
    ("could not read Password", Trouble::Auth),
    ("Permission denied (", Trouble::Auth),
    ("Host key verification failed", Trouble::Auth),
    ("Too many authentication failures", Trouble::Auth),
    ("Could not resolve host", Trouble::Network),
    ("Temporary failure in name resolution", Trouble::Network),
    ("Failed to connect", Trouble::Network),
    ("Couldn't connect", Trouble::Network),
    ("Connection refused", Trouble::Network),
    ("Connection timed out", Trouble::Network),
    ("Connection reset", Trouble::Network),
    ("Connection closed", Trouble::Network),
    ("Operation timed out", Trouble::Network),
    ("Network is unreachable", Trouble::Network),
    ("No route to host", Trouble::Network),
    ("Empty reply from server", Trouble::Network),
    ("Recv failure", Trouble::Network),
    ("Send failure", Trouble::Network),
    ("RPC failed", Trouble::Network),
    ("early EOF", Trouble::Network),
    ("transfer closed with", Trouble::Network),
    ("SSL_ERROR_SYSCALL", Trouble::Network),
    ("the remote end hung up upon initial contact", Trouble::Network),
    ("not found", Trouble::Missing),
    ("does not appear to be a git repository", Trouble::Missing),
    ("not valid: is this a git repository", Trouble::Missing),
    ("does not exist", Trouble::Missing),
];

/// Decides from what git left.
pub(super) fn classify(output: &Output, repository: &str) -> Trouble {
    let words = own_words(output, repository);
    if let Some(status) = http_status(&words) {
        return match status {
            401 | 403 | 407 => Trouble::Auth,
            404 | 410 => Trouble::Missing,
            408 | 429 | 500..=599 => Trouble::Network,
            _ => Trouble::Refused,
        };
    }
    // Servers that drop the connection in the middle say nothing; a refusal of a wanted object is said by name.
    let refusal = ["unadvertised object", "not our ref", "couldn't find remote ref", "shallow capabilities"];
    if refusal.iter().any(|word| words.contains(word)) {
        return Trouble::Refused;
    }
    WORDS.iter().find(|(word, _)| words.contains(word)).map_or(Trouble::Refused, |(_, trouble)| *trouble)
}

/// stderr without what the server said and without the address.
fn own_words(output: &Output, repository: &str) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with("remote:"));
    lines.collect::<Vec<_>>().join("\n").replace(repository.trim_end_matches('/'), "<repository>")
}

fn http_status(words: &str) -> Option<u16> {
    let (_, rest) = words.split_once("The requested URL returned error: ")?;
    rest.get(..3)?.parse().ok()
}

/// The failure for a person. `what` is what could not be done, such as `upstream https://… cannot be read`.
pub(super) fn error(trouble: Trouble, output: &Output, what: &str, repository: &str) -> Error {
    let (kind, hint) = match trouble {
        Trouble::Network => (
            ErrorKind::CloneError,
            "the server did not answer as it should, several times; check the address, the network and the proxy",
        ),
        Trouble::Auth => (
            ErrorKind::AuthError,
            "the repository does not exist, or this job may not read it: give the job's user a credential helper in \
             git's global configuration, an entry in ~/.netrc, or an ssh key and known host",
        ),
        Trouble::Missing => (
            ErrorKind::CloneError,
            "check upstream_repo; many servers also answer like this to jobs that may not read the repository",
        ),
        Trouble::Disk => {
            (ErrorKind::ResourceError, "free some space, or point --out at a larger disk: fetched sources go there")
        }
        Trouble::Certificate => (
            ErrorKind::CloneError,
            "add the server's authority to the system's certificates, or set GIT_SSL_CAINFO or http.sslCAInfo",
        ),
        Trouble::Transport => (
            ErrorKind::CloneError,
            "https and ssh are allowed; GIT_ALLOW_PROTOCOL, a colon-separated list, says otherwise",
        ),
        Trouble::Objects => (
            ErrorKind::CloneError,
            "the repository holds objects that git's checks refuse; after a look at them, \
             `git config --global fetch.fsck.<message-id> warn` lets one kind through",
        ),
        Trouble::Ownership => (
            ErrorKind::CloneError,
            "the repository belongs to another user: `git config --global --add safe.directory <path>` trusts it",
        ),
        Trouble::Program => (
            ErrorKind::CloneError,
            "install what git needs for this transport: openssh-client for ssh, git's own https helper for https",
        ),
        Trouble::Refused => (ErrorKind::CloneError, "run the same with git by hand to see more: git ls-remote"),
    };
    let failure = Error::new(kind, what).hint(hint);
    match said(output, repository) {
        Some(said) => failure.cause(anyhow::anyhow!("git says: {said}")),
        None => failure,
    }
}

/// The line of stderr that says most, without credentials.
fn said(output: &Output, repository: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let begins = |word: &str| lines.iter().find(|line| line.to_ascii_lowercase().starts_with(word));
    let usual = "Could not read from remote repository";
    // `error: object ID: message-id: …` is the reason behind `fatal: fsck error in packed object`.
    let line = begins("error: object ")
        .or_else(|| lines.iter().find(|line| line.starts_with("fatal: ") && !line.contains(usual)))
        .or_else(|| begins("error: "))
        .or_else(|| lines.iter().find(|line| !line.starts_with("remote:")))?;
    let line = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
    Some(escape_cut(&without_credentials(&line.replace(repository, &without_credentials(repository))), 300))
}

/// The text with everything between `://` and `@` of an address replaced.
pub(super) fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let authority = tail.find(|c: char| c == '/' || c.is_whitespace() || c == '\'').unwrap_or(tail.len());
        rest = match tail.get(..authority).and_then(|part| part.rfind('@')) {
            Some(sign) => {
                out.push_str("***");
                tail.get(sign..).unwrap_or_default()
            }
            None => tail,
        };
    }
    out + rest
}

/// The same failure once more, for another image that it concerns too.
pub(super) fn again(failure: &Error) -> Error {
    let mut causes = failure.causes().into_iter().rev();
    let mut copy = Error::new(failure.kind(), failure.message());
    if let Some(deepest) = causes.next() {
        copy = copy.cause(causes.fold(anyhow::anyhow!("{deepest}"), |below, text| below.context(text)));
    }
    match failure.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}

/// Calls git until it succeeds or fails for another reason than the network. Gives the last output.
///
/// # Errors
/// When git cannot be started or runs into its time limit.
pub(super) fn with_retries(
    repository: &str,
    told: &dyn Fn(u32, Duration),
    call: &dyn Fn() -> crate::Result<Output>,
) -> crate::Result<Output> {
    for (delay, failed) in DELAYS.iter().zip(1..) {
        let output = call()?;
        if output.success() || classify(&output, repository) != Trouble::Network {
            return Ok(output);
        }
        told(failed, *delay);
        Interrupt::installed().sleep(*delay)?;
    }
    call()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stderr: &str) -> Output {
        Output { code: Some(128), stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn gits_words_name_the_trouble() {
        for (words, trouble) in [
            ("fatal: repository 'https://h/x/' not found", Trouble::Missing),
            ("fatal: unable to access 'https://h/x/': The requested URL returned error: 403", Trouble::Auth),
            ("fatal: unable to access 'https://h/x/': The requested URL returned error: 502", Trouble::Network),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Trouble::Auth),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", Trouble::Auth),
            ("fatal: unable to access 'https://h/x/': Could not resolve host: h", Trouble::Network),
            ("ssh: connect to host h port 22: Connection refused", Trouble::Network),
            ("error: cannot run ssh: No such file or directory\nfatal: unable to fork", Trouble::Program),
            ("fatal: transport 'http' not allowed", Trouble::Transport),
            ("fatal: write error: No space left on device", Trouble::Disk),
            ("error: Server does not allow request for unadvertised object 12", Trouble::Refused),
            ("fatal: remote error: upload-pack: not our ref 12", Trouble::Refused),
            ("remote: Authentication failed\nfatal: something", Trouble::Refused),
        ] {
            assert_eq!(classify(&output(words), "https://h/x"), trouble, "{words}");
        }
    }

    #[test]
    fn an_address_decides_nothing() {
        let stderr = "fatal: 'https://h/Authentication failed/not found' is odd";
        assert_eq!(classify(&output(stderr), "https://h/Authentication failed/not found"), Trouble::Refused);
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = said(&output("fatal: unable to access 'https://ci:s3cret@h/x/': boom s@x"), "https://h/x");
        assert_eq!(shown.as_deref(), Some("unable to access 'https://***@h/x/': boom s@x"));
    }

    #[test]
    fn a_failure_can_be_told_twice() {
        let first = Error::new(ErrorKind::AuthError, "m").cause(anyhow::anyhow!("deep").context("near")).hint("h");
        let second = again(&first);
        assert_eq!(
            (second.kind(), second.message(), second.hint_text(), second.causes()),
            (first.kind(), first.message(), first.hint_text(), first.causes())
        );
    }
}
