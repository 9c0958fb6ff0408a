//! References to commits: one listing of refs per repository, several repositories at a time.

use std::collections::BTreeMap;

use super::failure::{self, again, with_retries};
use super::git::Git;
use super::{Access, Resolved, Upstream, address, parallel};
use crate::diagnostic::{escape_cut, nearest};
use crate::error::{Error, ErrorKind, Result};

/// Finds the commit of each request. The results are in the order of the requests; a repository is asked once,
/// however many requests name it, and not at all when they only name commit ids.
pub fn resolve(access: &Access, requests: &[Upstream]) -> Vec<Result<Resolved>> {
    let transports = access.transports();
    let allowed = transports.names();
    let mut by_repository: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for request in requests {
        if check(request, allowed).is_ok() && !address::is_commit_id(&request.reference) {
            by_repository.entry(&request.repository).or_default().push(&request.reference);
        }
    }
    let repositories: Vec<(&str, Vec<&str>)> = by_repository.into_iter().collect();
    let git = if repositories.is_empty() { None } else { Some(Git::find(access)) };
    let listings = parallel::map(&repositories, parallel::AT_ONCE, |(repository, references)| {
        let listing = match &git {
            Some(Ok(git)) => list(git, repository, references),
            Some(Err(failure)) => Err(again(failure)),
            None => Ok(Listing::default()),
        };
        (*repository, listing)
    });
    let listings: BTreeMap<&str, Result<Listing>> = listings.into_iter().collect();
    requests.iter().map(|request| answer(request, allowed, listings.get(request.repository.as_str()))).collect()
}

fn answer(request: &Upstream, allowed: &[String], listing: Option<&Result<Listing>>) -> Result<Resolved> {
    check(request, allowed)?;
    if address::is_commit_id(&request.reference) {
        return Ok(Resolved { commit: request.reference.to_ascii_lowercase(), name: None });
    }
    match listing {
        Some(Ok(listing)) => listing.find(request),
        Some(Err(failure)) => Err(again(failure)),
        None => Err(Error::internal(format!("upstream {} was not asked", shown(&request.repository)))),
    }
}

/// The form of a request: configurations were checked, plans come from other jobs.
pub(super) fn check(request: &Upstream, allowed: &[String]) -> Result<()> {
    address::check_repository(&request.repository, allowed).map_err(|rule| {
        Error::config(format!("upstream_repo `{}` {rule}", shown(&request.repository)))
            .hint("write https://host/path, ssh://user@host/path or user@host:path, and keep credentials out of it")
    })?;
    address::check_reference(&request.reference).map_err(|rule| {
        Error::config(format!("upstream_ref `{}` {rule}", escape_cut(&request.reference, 100)))
            .hint("name a branch, a tag or a full commit id")
    })
}

/// An address for a message: escaped, cut, without what may be a secret.
pub(super) fn shown(repository: &str) -> String {
    escape_cut(&failure::without_credentials(repository), 200)
}

/// Asks a repository for its refs: branches and tags, and everything when a request names something else.
fn list(git: &Git, repository: &str, references: &[&str]) -> Result<Listing> {
    let usual = |name: &&str| {
        !name.starts_with("refs/") && *name != "HEAD"
            || name.starts_with("refs/heads/")
            || name.starts_with("refs/tags/")
    };
    let filter: &[&str] = if references.iter().all(usual) { &["--heads", "--tags"] } else { &[] };
    let command = git.outside().arg("ls-remote").args(filter.iter().copied()).args(["--", repository]);
    let command = command.timeout(git.list_limit);
    let output =
        with_retries(repository, &|_, _| {}, &|| command.capture()).map_err(|error| slow(error, repository))?;
    if !output.success() {
        let what = format!("upstream {} cannot be read", shown(repository));
        return Err(failure::error(failure::classify(&output, repository), &output, &what, repository));
    }
    Ok(Listing::parse(&output.stdout))
}

/// A time limit, said in terms of the upstream.
pub(super) fn slow(error: Error, repository: &str) -> Error {
    if error.kind() != ErrorKind::TimeoutError {
        return error;
    }
    Error::new(ErrorKind::TimeoutError, format!("upstream {} did not answer in time", shown(repository)))
        .cause(error)
        .hint("check the address, the network and the proxy, and try again")
}

/// The refs of a repository and the objects they point at.
#[derive(Debug, Default)]
struct Listing {
    /// Object by ref name; `refs/tags/x^{}` is what a tag object finally points at.
    refs: BTreeMap<String, String>,
}

impl Listing {
    fn parse(stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let refs = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter(|(id, _)| address::is_commit_id(id))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect();
        Self { refs }
    }

    fn find(&self, request: &Upstream) -> Result<Resolved> {
        let reference = request.reference.as_str();
        if reference.starts_with("refs/") || reference == "HEAD" {
            return self.get(reference.to_owned()).ok_or_else(|| self.missing(request));
        }
        let branch = self.get(format!("refs/heads/{reference}"));
        let tag = self.get(format!("refs/tags/{reference}"));
        match (branch, tag) {
            (Some(_), Some(_)) => Err(Error::config(format!(
                "upstream_ref `{reference}` is both a branch and a tag of {}",
                shown(&request.repository)
            ))
            .hint(format!("write refs/heads/{reference} or refs/tags/{reference}"))),
            (Some(found), None) | (None, Some(found)) => Ok(found),
            (None, None) => Err(self.missing(request)),
        }
    }

    fn get(&self, name: String) -> Option<Resolved> {
        let peeled = self.refs.get(&format!("{name}^{{}}"));
        let commit = peeled.or_else(|| self.refs.get(&name))?.to_ascii_lowercase();
        Some(Resolved { commit, name: Some(name) })
    }

    fn missing(&self, request: &Upstream) -> Error {
        let reference = request.reference.as_str();
        let sentence =
            format!("upstream {} has no branch or tag `{}`", shown(&request.repository), escape_cut(reference, 100));
        let error = Error::new(ErrorKind::CloneError, sentence);
        if self.refs.is_empty() {
            return error.hint("the repository is empty: it has no branches and no tags");
        }
        let names: Vec<&str> = self.refs.keys().map(String::as_str).filter(|name| !name.ends_with("^{}")).collect();
        let short = |name: &&'_ str| {
            let cut = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
            if reference.starts_with("refs/") { None } else { cut.map(str::to_owned) }.unwrap_or((*name).to_owned())
        };
        let candidates: Vec<String> = names.iter().map(short).collect();
        let looks_abbreviated =
            (7..40).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        match nearest(reference, candidates.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{}`?", escape_cut(near, 100))),
            None if looks_abbreviated => error.hint("if it is a commit, write its id in full: 40 or 64 digits"),
            None => error.hint(format!("it has, for example: {}", some(&candidates))),
        }
    }
}

/// A few names for a hint, the likeliest first.
fn some(candidates: &[String]) -> String {
    let likely = ["main", "master", "develop", "trunk"];
    let mut sorted: Vec<&String> = candidates.iter().collect();
    sorted.sort_by_key(|name| !likely.contains(&name.as_str()));
    sorted.dedup();
    sorted.iter().take(5).map(|name| format!("`{}`", escape_cut(name, 60))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let id = |digit: &str| digit.repeat(40);
        Listing::parse(
            format!(
                "{}\trefs/heads/main\n{}\trefs/heads/both\n{}\trefs/tags/both\n{}\trefs/tags/v1\n{}\trefs/tags/v1^{{}}\n",
                id("1"),
                id("2"),
                id("3"),
                id("4"),
                id("5")
            )
            .as_bytes(),
        )
    }

    fn find(reference: &str) -> Result<Resolved> {
        listing().find(&Upstream { repository: "https://h/x".into(), reference: reference.into() })
    }

    #[test]
    fn tags_are_peeled_and_full_names_are_exact() {
        assert_eq!(find("v1").unwrap().commit, "5".repeat(40));
        assert_eq!(find("refs/tags/v1").unwrap().commit, "5".repeat(40));
        assert_eq!(find("refs/heads/both").unwrap().commit, "2".repeat(40));
        assert_eq!(find("main").unwrap().name.as_deref(), Some("refs/heads/main"));
    }

    #[test]
    fn a_name_that_is_branch_and_tag_is_refused() {
        let error = find("both").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigError);
        assert_eq!(error.hint_text(), Some("write refs/heads/both or refs/tags/both"));
    }

    #[test]
    fn a_missing_ref_names_what_is_near() {
        let error = find("mian").unwrap_err();
        assert_eq!((error.kind(), error.hint_text()), (ErrorKind::CloneError, Some("did you mean `main`?")));
        assert_eq!(find("zzzzzzzz").unwrap_err().hint_text(), Some("it has, for example: `main`, `both`, `v1`"));
        let abbreviated = find("4f2a91c4f2").unwrap_err();
        assert_eq!(abbreviated.hint_text(), Some("if it is a commit, write its id in full: 40 or 64 digits"));
        assert!(find("tags/v1").is_err());
    }

    #[test]
    fn the_form_is_checked_before_git_is_called() {
        let request = |repository: &str, reference: &str| Upstream {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
        let results = resolve(
            &Access::from_environment().variable("GIT_ALLOW_PROTOCOL", "https"),
            &[
                request("--upload-pack=touch x", "main"),
                request("https://u:p@h/x", "main"),
                request("https://h/x", "--all"),
                request("https://h/x", &"A".repeat(40)),
            ],
        );
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(Error::kind)).collect();
        let id = Resolved { commit: "a".repeat(40), name: None };
        let config = Err(ErrorKind::ConfigError);
        assert_eq!(kinds, [config, config, config, Ok(&id)]);
        assert!(!results[1].as_ref().unwrap_err().message().contains("u:p"));
    }
}
