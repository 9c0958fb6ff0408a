//! Fetching what a shallow or partial clone lacks: one commit, or the history between two.
//!
//! Everything lands in git directories of our own; the checkout and its configuration stay as they are. Where it
//! is fetched from, and with what credentials, is copied from the checkout's configuration as data, by a list of
//! names; nothing that names a program is on it.

use std::time::Duration;

use super::Repository;
use super::private::{Private, Refs};
use crate::change::Oid;
use crate::ci::Secret;
use crate::diagnostic::escape_cut;
use crate::process::Command;

/// How deep histories are fetched, one after the other; the last is all.
pub(super) const DEPTHS: [u32; 3] = [64, 1024, 0x7fff_ffff];

const LIMIT: Duration = Duration::from_secs(300);

/// Settings below `http` that are data.
const HTTP_SETTINGS: [&str; 8] =
    ["extraheader", "proxy", "sslcainfo", "sslcapath", "sslcert", "sslkey", "sslverify", "useragent"];

/// Why something could not be fetched: a phrase for people, without credentials.
type Why = String;

/// The other side of a history.
pub(super) enum Wanted<'a> {
    Commit(Oid),
    Branch(&'a str),
    DefaultBranch,
}

/// Fetches one commit with all its files.
pub(super) fn commit(repo: &Repository, id: Oid) -> Result<(), Why> {
    if !repo.is_partial() {
        return from_any_remote(repo, &repo.private, |remote| {
            fetch(&repo.private, &["--depth=1", remote, &id.to_string()])
        });
    }
    // A partial clone would say that it has what it lacks.
    let store = repo.store().map_err(|error| error.to_string())?;
    from_any_remote(repo, store, |remote| fetch(store, &["--depth=1", remote, &id.to_string()]))?;
    repo.private.add_objects_of(store).map_err(|error| error.to_string())
}

/// Fetches single blobs that a partial clone lacks, all at once.
pub(super) fn blobs(repo: &Repository, ids: &[Oid]) -> Result<(), Why> {
    let store = repo.store().map_err(|error| error.to_string())?;
    let list: String = ids.iter().map(|id| format!("{id}\n")).collect();
    from_any_remote(repo, store, |remote| {
        // Exactly these: with a filter, git does not look for what hangs on them.
        let command = fetch_command(store).args(["--filter=blob:none", "--stdin", remote]);
        finished(&command.stdin(list.as_bytes()))
    })?;
    repo.private.add_objects_of(store).map_err(|error| error.to_string())
}

/// Commits without their files, in a git directory of their own.
pub(super) struct History<'r> {
    repo: &'r Repository,
    pub(super) private: Private,
    head: Oid,
}

impl<'r> History<'r> {
    pub(super) fn open(repo: &'r Repository, head: Oid) -> Result<Self, Why> {
        let mut private = Private::new(&repo.places, Refs::Empty).map_err(|error| error.to_string())?;
        private.set_protocols(repo.private.protocols());
        private.set_ref("head", head).map_err(|error| error.to_string())?;
        Ok(Self { repo, private, head })
    }

    /// Fetches up to `depth` commits below both sides, and says which commit the other side is.
    pub(super) fn fetch(&self, wanted: &Wanted<'_>, depth: u32) -> Result<Oid, Why> {
        let depth = format!("--depth={depth}");
        let source = match wanted {
            Wanted::Commit(id) => id.to_string(),
            Wanted::Branch(name) => format!("refs/heads/{name}"),
            Wanted::DefaultBranch => "HEAD".to_owned(),
        };
        let other = format!("+{source}:refs/heads/other");
        let head = format!("+{}:refs/heads/fetched", self.head);
        from_any_remote(self.repo, &self.private, |remote| {
            let common = ["--filter=tree:0", depth.as_str(), remote];
            // A head that was never pushed is here anyway, with all its history since the last fetch.
            fetch(&self.private, &[&common[..], &[&other, &head]].concat())
                .or_else(|_| fetch(&self.private, &[&common[..], &[&other]].concat()))
        })?;
        let found = super::Objects::new(&self.private, None).commits(&["refs/heads/other"]);
        let found = found.map_err(|error| error.to_string())?.pop().flatten();
        found.map(|commit| commit.id).ok_or_else(|| "the remote sent something else".to_owned())
    }
}

fn fetch(private: &Private, args: &[&str]) -> Result<(), Why> {
    finished(&fetch_command(private).args(args.iter().copied()))
}

fn fetch_command(private: &Private) -> Command {
    let options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"];
    private.remote(["fetch", "--no-prune"]).args(options).timeout(LIMIT)
}

fn finished(command: &Command) -> Result<(), Why> {
    match command.capture() {
        Ok(output) if output.success() => Ok(()),
        Ok(output) => Err(said(&output.stderr_text())),
        Err(error) => Err(error.to_string()),
    }
}

/// What git said, in one line that can be shown: the last one that is not advice, credentials taken out.
fn said(stderr: &str) -> Why {
    let line = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")))
        .next()
        .unwrap_or("git gave no reason");
    let words: Vec<String> = line.split(' ').map(without_credentials).collect();
    escape_cut(&words.join(" "), 200)
}

/// `scheme://user:password@host` → `scheme://host`.
fn without_credentials(word: &str) -> String {
    match word.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}{path}", if rest.contains('/') { "/" } else { "" })
        }
        None => word.to_owned(),
    }
}

fn from_any_remote(
    repo: &Repository,
    private: &Private,
    mut fetch: impl FnMut(&str) -> Result<(), Why>,
) -> Result<(), Why> {
    let settings = settings(repo);
    let origin = settings.iter().rev().find(|(name, _)| name == "remote.origin.url").map(|(_, value)| value.as_str());
    let remotes = [("origin", origin), ("job", repo.fetch_url.as_ref().map(Secret::reveal))];
    let mut lines = settings.iter().filter_map(|(name, value)| setting_lines(name, value)).collect::<String>();
    for (name, url) in remotes {
        if let Some(url) = url.and_then(quote) {
            lines.push_str(&format!("[remote \"{name}\"]\n\turl = {url}\n"));
        }
    }
    if !private.has_remotes() {
        private.add_config(&lines).map_err(|error| error.to_string())?;
    }
    let mut why = "the checkout has no remote `origin`".to_owned();
    for (name, _) in remotes.iter().filter(|(_, url)| url.is_some()) {
        match fetch(name) {
            Ok(()) => return Ok(()),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// The checkout's settings that say how `origin` is reached: names (section and variable in lower case) and values.
fn settings(repo: &Repository) -> Vec<(String, String)> {
    let pattern = r"^(remote\.origin\.url|http\..*|url\..*\.insteadof)$";
    let args = ["--local", "--includes", "--null", "--get-regexp", pattern];
    let Ok(output) = repo.private.print_config(repo.git_dir(), &args).capture() else { return Vec::new() };
    let text = String::from_utf8(output.stdout).unwrap_or_default();
    text.split_terminator('\0')
        .filter_map(|pair| pair.split_once('\n'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// One allowed setting as lines of a configuration file; none for all others.
fn setting_lines(name: &str, value: &str) -> Option<String> {
    let (section, rest) = name.split_once('.')?;
    let (subsection, variable) = match rest.rsplit_once('.') {
        Some((subsection, variable)) => (Some(subsection), variable),
        None => (None, rest),
    };
    let allowed = match section {
        "http" => HTTP_SETTINGS.contains(&variable),
        "url" => variable == "insteadof" && subsection.is_some(),
        _ => false,
    };
    if !allowed {
        return None;
    }
    let header = match subsection {
        Some(subsection) => format!("[{section} {}]", quote(subsection)?),
        None => format!("[{section}]"),
    };
    Some(format!("{header}\n\t{variable} = {}\n", quote(value)?))
}

/// A value of a configuration file, quoted; none for control characters, which no address or header has.
fn quote(value: &str) -> Option<String> {
    if value.contains(char::is_control) {
        return None;
    }
    Some(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

pub(super) fn origin(repo: &Repository) -> Option<String> {
    let settings = settings(repo);
    let (_, url) = settings.into_iter().rev().find(|(name, _)| name == "remote.origin.url")?;
    crate::ci::clean_url(&url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_is_taken_from_the_checkout() {
        let taken = setting_lines("http.https://github.com/.extraheader", "AUTHORIZATION: basic a\"b\\c");
        let expected = "[http \"https://github.com/\"]\n\textraheader = \"AUTHORIZATION: basic a\\\"b\\\\c\"\n";
        assert_eq!(taken.as_deref(), Some(expected));
        assert!(setting_lines("http.proxy", "http://proxy:3128").is_some());
        assert!(setting_lines("url.https://token@host/.insteadof", "https://host/").is_some());
        for name in [
            "core.sshcommand",
            "credential.helper",
            "http.https://x/.savecookies",
            "http.proxyauthmethod",
            "remote.origin.uploadpack",
            "remote.origin.vcs",
            "remote.origin.url",
            "url.x.pushinsteadof",
            "http",
        ] {
            assert_eq!(setting_lines(name, "x"), None, "{name}");
        }
        assert_eq!(setting_lines("http.proxy", "x\n[core]\n\tsshCommand = y"), None);
        assert_eq!(setting_lines("http.a\n[core]\nx=.proxy", "x"), None);
    }

    #[test]
    fn credentials_are_taken_out_of_what_git_says() {
        let text = "remote: hello\nfatal: unable to access 'https://u:secret@host/a.git/': gone\n";
        assert_eq!(said(text), "unable to access 'https://host/a.git/': gone");
        assert_eq!(said(""), "git gave no reason");
    }
}
