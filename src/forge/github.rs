//! GitHub's REST API (docs.github.com, "Workflow runs" and "Commits", version 2022-11-28). Pure.

use serde::Deserialize;

use super::api::{Api, Ask, Comparison, Header, Listed, Malformed, Range, Runs, Side, Trouble, commit, ends};
use crate::change::RepoPath;
use crate::ci::Env;

/// A comparison lists so many files and no more, on whatever page.
const MAX_FILES: usize = 300;
const PER_PAGE: usize = 30;

pub(super) struct Github {
    owner: String,
    repository: String,
    workflow: Option<String>,
    run: Option<u64>,
    token: Option<String>,
}

/// The API's root.
pub(super) fn root(env: &Env) -> String {
    let said = env.get("GITHUB_API_URL").filter(|url| !url.is_empty());
    said.cloned().unwrap_or_else(|| "https://api.github.com".to_owned())
}

impl Github {
    pub(super) fn of_job(env: &Env) -> Result<Self, Trouble> {
        let said = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let sound = |part: &&str| {
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !part.is_empty() && !matches!(*part, "." | "..") && part.bytes().all(letter)
        };
        let name = said("GITHUB_REPOSITORY").unwrap_or_default();
        let (owner, repository) = name
            .split_once('/')
            .filter(|(owner, repository)| sound(owner) && sound(repository))
            .ok_or_else(|| Trouble::new("GITHUB_REPOSITORY is no owner/repository", "the runner sets it"))?;
        // `owner/repository/.github/workflows/file.yml@ref`: the workflow that started, not one that it called.
        let workflow = said("GITHUB_WORKFLOW_REF").and_then(|text| text.split('@').next()?.rsplit('/').next());
        Ok(Self {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            workflow: workflow.filter(sound).map(str::to_owned),
            run: said("GITHUB_RUN_ID").and_then(|id| id.parse().ok()),
            token: said("HEPHY_API_TOKEN").or_else(|| said("GITHUB_TOKEN")).map(str::to_owned),
        })
    }

    fn ask(&self, rest: &[&str], query: &[(&'static str, &str)]) -> Ask {
        Ask::new(&[&["repos", &self.owner, &self.repository], rest].concat(), query)
    }
}

#[derive(Deserialize)]
struct RunList {
    workflow_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    id: u64,
    head_sha: String,
    head_branch: Option<String>,
    event: String,
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct Compared {
    status: String,
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    previous_filename: Option<String>,
    status: String,
}

impl Api for Github {
    fn name(&self) -> &'static str {
        "GitHub"
    }

    fn root_variable(&self) -> &'static str {
        "GITHUB_API_URL"
    }

    fn headers(&self) -> Vec<Header> {
        let mut headers = vec![
            Header::new("accept", "application/vnd.github+json"),
            Header::new("x-github-api-version", "2022-11-28"),
        ];
        headers.extend(self.token.as_ref().map(|token| Header::new("authorization", format!("Bearer {token}"))));
        headers
    }

    fn rights(&self, about: &str) -> String {
        let right = if about == "pipelines" { "actions: read" } else { "contents: read" };
        match self.token {
            Some(_) => format!("give the job the permission `{right}`, or set HEPHY_API_TOKEN to a token that has it"),
            None => format!("set GITHUB_TOKEN, or HEPHY_API_TOKEN to a token with the permission `{right}`"),
        }
    }

    fn runs(&self, branch: &str, page: u32) -> Ask {
        let of_workflow: Vec<&str> = match &self.workflow {
            Some(file) => vec!["actions", "workflows", file, "runs"],
            None => vec!["actions", "runs"],
        };
        let (page, size) = (page.to_string(), PER_PAGE.to_string());
        let query = [
            ("branch", branch),
            ("event", "push"),
            ("status", "success"),
            ("exclude_pull_requests", "true"),
            ("per_page", &size),
            ("page", &page),
        ];
        self.ask(&of_workflow, &query)
    }

    fn read_runs(&self, body: &[u8], branch: &str) -> Result<Runs, Malformed> {
        let list: RunList = serde_json::from_slice(body)?;
        let is_last = list.workflow_runs.len() < PER_PAGE;
        let counts = |run: &&Run| {
            run.event == "push"
                && run.conclusion.as_deref() == Some("success")
                && run.head_branch.as_deref() == Some(branch)
                && self.run.is_none_or(|own| run.id < own)
        };
        let earlier = list.workflow_runs.iter().filter(counts).map(|run| commit(&run.head_sha));
        Ok(Runs { earlier: earlier.collect::<Result<_, _>>()?, is_last })
    }

    fn comparison(&self, range: &Range) -> Ask {
        let ends = match range {
            Range::Between(from, to) => format!("{from}...{to}"),
            Range::SinceLeaving(what, to) => format!("{what}...{to}"),
        };
        // The files stand on the first page, however short it is; the commits are of no use.
        self.ask(&["compare", &ends], &[("per_page", "1")])
    }

    fn read_comparison(&self, body: &[u8], range: &Range) -> Result<Comparison, Malformed> {
        let found: Compared = serde_json::from_slice(body)?;
        // GitHub compares with where the two sides parted: only behind a straight line that is the other commit.
        let both_ways = match (range, found.status.as_str()) {
            (Range::Between(..), "ahead" | "identical") | (Range::SinceLeaving(..), _) => false,
            (Range::Between(..), "diverged" | "behind") => true,
            (_, other) => {
                let shown = crate::diagnostic::escape_cut(other, 40);
                return Err(Malformed(format!("`{shown}` is no way two commits can stand")));
            }
        };
        let truncated = found.files.len() >= MAX_FILES;
        let paths = found.files.iter().flat_map(|file| -> Vec<Listed> {
            let name = file.filename.as_str();
            match (file.status.as_str(), file.previous_filename.as_deref()) {
                ("removed", _) => vec![Listed { path: RepoPath::new(name), side: Side::Before }],
                ("renamed", Some(before)) => ends(Some(before), Some(name)).collect(),
                _ => ends(None, Some(name)).collect(),
            }
        });
        Ok(Comparison { paths: paths.collect(), truncated, both_ways })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(pairs: &[(&str, &str)]) -> Github {
        let env = [("GITHUB_REPOSITORY", "acme/images"), ("GITHUB_RUN_ID", "70")];
        let env = env.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Github::of_job(&env).ok().unwrap()
    }

    #[test]
    fn a_called_workflow_asks_for_the_runs_of_the_one_that_started() {
        let it = github(&[("GITHUB_WORKFLOW_REF", "acme/images/.github/workflows/ci.yml@refs/heads/a/b.yml")]);
        assert_eq!(it.runs("main", 1).path.join("/"), "repos/acme/images/actions/workflows/ci.yml/runs");
        assert_eq!(github(&[]).runs("main", 1).path.join("/"), "repos/acme/images/actions/runs");
        for odd in ["acme", "../x", "acme/a/b", "acme/", "acme/a?b"] {
            let env = [("GITHUB_REPOSITORY".to_owned(), odd.to_owned())].into();
            assert!(Github::of_job(&env).is_err(), "{odd}");
        }
    }

    #[test]
    fn only_earlier_successful_pushes_of_the_branch_count() {
        let run = |id: u64, branch: &str, event: &str, conclusion: &str| {
            let digit = id % 10;
            serde_json::json!({
                "id": id, "head_sha": digit.to_string().repeat(40), "head_branch": branch, "event": event,
                "conclusion": conclusion, "status": "completed",
            })
        };
        let runs = [
            run(71, "main", "push", "success"),
            run(70, "main", "push", "success"),
            run(69, "main", "push", "failure"),
            run(68, "other", "push", "success"),
            run(67, "main", "schedule", "success"),
            run(66, "main", "push", "success"),
        ];
        let body = serde_json::json!({"total_count": 6, "workflow_runs": runs}).to_string();
        let found = github(&[]).read_runs(body.as_bytes(), "main").unwrap();
        assert_eq!(found.earlier, [commit(&"6".repeat(40)).unwrap()]);
        for odd in ["", "[]", "{}", r#"{"workflow_runs": [{"id": 1}]}"#, "<html>"] {
            assert!(github(&[]).read_runs(odd.as_bytes(), "main").is_err(), "{odd}");
        }
        let wrong = body.replace(&"6".repeat(40), "HEAD");
        assert!(github(&[]).read_runs(wrong.as_bytes(), "main").is_err());
    }

    #[test]
    fn a_comparison_is_exact_only_along_a_line() {
        let ends = (commit(&"1".repeat(40)).unwrap(), commit(&"2".repeat(40)).unwrap());
        let range = Range::Between(ends.0, ends.1);
        let read = |status: &str, files: usize| {
            let file = serde_json::json!({"filename": "a/x", "status": "modified"});
            let body = serde_json::json!({"status": status, "files": vec![file; files]}).to_string();
            github(&[]).read_comparison(body.as_bytes(), &range)
        };
        assert!(!read("ahead", 1).unwrap().both_ways && !read("identical", 0).unwrap().both_ways);
        assert!(read("diverged", 1).unwrap().both_ways && read("behind", 1).unwrap().both_ways);
        assert!(!read("ahead", 299).unwrap().truncated && read("ahead", 300).unwrap().truncated);
        assert!(read("sideways", 1).is_err());
        assert!(github(&[]).read_comparison(br#"{"status": "ahead"}"#, &range).is_err());
    }

    #[test]
    fn both_ends_of_a_rename_differ() {
        let files = serde_json::json!([
            {"filename": "b/x", "previous_filename": "a/x", "status": "renamed"},
            {"filename": "gone", "status": "removed"},
            {"filename": "copy", "previous_filename": "kept", "status": "copied"},
        ]);
        let body = serde_json::json!({"status": "ahead", "files": files}).to_string();
        let range = Range::SinceLeaving("main".into(), commit(&"2".repeat(40)).unwrap());
        let found = github(&[]).read_comparison(body.as_bytes(), &range).unwrap();
        let shown: Vec<String> = found.paths.iter().map(|it| format!("{} {:?}", it.path, it.side)).collect();
        assert_eq!(shown, ["a/x Before", "b/x Now", "gone Before", "copy Now"]);
    }
}
