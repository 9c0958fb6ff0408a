//! GitLab's REST API (docs.gitlab.com, "Pipelines API" and "Repositories API"). Pure.

use serde::Deserialize;

use super::api::{Api, Ask, Comparison, Header, Malformed, Range, Runs, Trouble, commit, ends};
use crate::ci::Env;

/// The fewest files at which an instance may cut a comparison; `compare_timeout` says the rest.
const MAX_FILES: usize = 1000;
const PER_PAGE: usize = 50;

/// Sources of pipelines that build what changed. A schedule builds a list, and a child pipeline a part.
const BUILDING: [&str; 7] = ["push", "web", "webide", "api", "trigger", "pipeline", "chat"];

pub(super) struct Gitlab {
    project: String,
    pipeline: Option<u64>,
    own_token: Option<String>,
    job_token: Option<String>,
}

/// The API's root.
pub(super) fn root(env: &Env) -> Result<String, Trouble> {
    let said = |name: &str| env.get(name).filter(|url| !url.is_empty());
    let server = || said("CI_SERVER_URL").map(|url| format!("{}/api/v4", url.trim_end_matches('/')));
    let unknown = || Trouble::new("nobody says where GitLab's API is", "the runner sets CI_API_V4_URL");
    said("CI_API_V4_URL").cloned().or_else(server).ok_or_else(unknown)
}

impl Gitlab {
    pub(super) fn of_job(env: &Env) -> Result<Self, Trouble> {
        let said = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let id = said("CI_PROJECT_ID").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
        let project = id
            .or_else(|| said("CI_PROJECT_PATH"))
            .ok_or_else(|| Trouble::new("CI_PROJECT_ID names no project", "the runner sets it"))?;
        Ok(Self {
            project: project.to_owned(),
            pipeline: said("CI_PIPELINE_ID").and_then(|id| id.parse().ok()),
            own_token: said("HEPHY_API_TOKEN").map(str::to_owned),
            job_token: said("CI_JOB_TOKEN").map(str::to_owned),
        })
    }
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    sha: String,
    #[serde(rename = "ref")]
    reference: String,
    status: String,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Compared {
    diffs: Vec<Diff>,
    compare_timeout: bool,
}

#[derive(Deserialize)]
struct Diff {
    old_path: String,
    new_path: String,
    new_file: bool,
    deleted_file: bool,
}

impl Api for Gitlab {
    fn name(&self) -> &'static str {
        "GitLab"
    }

    fn root_variable(&self) -> &'static str {
        "CI_API_V4_URL"
    }

    fn headers(&self) -> Vec<Header> {
        let own = self.own_token.as_ref().map(|token| Header::new("private-token", token.clone()));
        let job = || self.job_token.as_ref().map(|token| Header::new("job-token", token.clone()));
        own.or_else(job).into_iter().collect()
    }

    fn rights(&self, _: &str) -> String {
        match self.own_token {
            Some(_) => "HEPHY_API_TOKEN needs the scope read_api, and its owner the right to see pipelines and code",
            None => "the job's own token may not ask for this: set HEPHY_API_TOKEN to a token with the scope read_api",
        }
        .to_owned()
    }

    fn runs(&self, branch: &str, page: u32) -> Ask {
        let (page, size) = (page.to_string(), PER_PAGE.to_string());
        let query = [
            ("ref", branch),
            ("status", "success"),
            ("order_by", "id"),
            ("sort", "desc"),
            ("per_page", &size),
            ("page", &page),
        ];
        Ask::new(&["projects", &self.project, "pipelines"], &query)
    }

    fn read_runs(&self, body: &[u8], branch: &str) -> Result<Runs, Malformed> {
        let list: Vec<Pipeline> = serde_json::from_slice(body)?;
        let counts = |pipeline: &&Pipeline| {
            pipeline.status == "success"
                && pipeline.reference == branch
                && pipeline.source.as_deref().is_none_or(|source| BUILDING.contains(&source))
                && self.pipeline.is_none_or(|own| pipeline.id < own)
        };
        let earlier = list.iter().filter(counts).map(|pipeline| commit(&pipeline.sha));
        Ok(Runs { earlier: earlier.collect::<Result<_, _>>()?, is_last: list.len() < PER_PAGE })
    }

    fn comparison(&self, range: &Range) -> Ask {
        let (from, to, straight) = match range {
            Range::Between(from, to) => (from.to_string(), to.to_string(), "true"),
            Range::SinceLeaving(what, to) => (what.clone(), to.to_string(), "false"),
        };
        let query = [("from", from.as_str()), ("to", &to), ("straight", straight)];
        Ask::new(&["projects", &self.project, "repository", "compare"], &query)
    }

    fn read_comparison(&self, body: &[u8], _: &Range) -> Result<Comparison, Malformed> {
        let found: Compared = serde_json::from_slice(body)?;
        let truncated = found.compare_timeout || found.diffs.len() >= MAX_FILES;
        let paths = found.diffs.iter().flat_map(|diff| {
            let before = (!diff.new_file).then_some(diff.old_path.as_str());
            let now = (!diff.deleted_file).then_some(diff.new_path.as_str());
            ends(before, now)
        });
        Ok(Comparison { paths: paths.collect(), truncated, both_ways: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Oid;

    fn gitlab(pairs: &[(&str, &str)]) -> Gitlab {
        let env = [("CI_PROJECT_PATH", "acme/images"), ("CI_PIPELINE_ID", "70")];
        let env = env.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Gitlab::of_job(&env).ok().unwrap()
    }

    fn oid(digit: &str) -> Oid {
        commit(&digit.repeat(40)).unwrap()
    }

    #[test]
    fn only_earlier_pipelines_of_the_branch_that_build_what_changed_count() {
        let pipeline = |id: u64, branch: &str, source: &str, status: &str| {
            let sha = (id % 10).to_string().repeat(40);
            serde_json::json!({"id": id, "iid": 3, "sha": sha, "ref": branch, "status": status, "source": source})
        };
        let list = serde_json::json!([
            pipeline(71, "main", "push", "success"),
            pipeline(70, "main", "push", "success"),
            pipeline(69, "main", "schedule", "success"),
            pipeline(68, "main", "parent_pipeline", "success"),
            pipeline(67, "other", "push", "success"),
            pipeline(66, "main", "push", "failed"),
            pipeline(65, "main", "web", "success"),
            pipeline(64, "main", "push", "success"),
        ]);
        let found = gitlab(&[]).read_runs(list.to_string().as_bytes(), "main").unwrap();
        assert_eq!(found, Runs { earlier: vec![oid("5"), oid("4")], is_last: true });
        for odd in ["", "{}", r#"[{"id": 1}]"#, r#"{"message": "404 Project Not Found"}"#] {
            assert!(gitlab(&[]).read_runs(odd.as_bytes(), "main").is_err(), "{odd}");
        }
    }

    #[test]
    fn an_own_token_wins_over_the_jobs() {
        let names =
            |pairs: &[(&str, &str)]| -> Vec<&str> { gitlab(pairs).headers().iter().map(|it| it.name).collect() };
        assert_eq!(names(&[("CI_JOB_TOKEN", "a"), ("HEPHY_API_TOKEN", "b")]), ["private-token"]);
        assert_eq!(names(&[("CI_JOB_TOKEN", "a"), ("HEPHY_API_TOKEN", "")]), ["job-token"]);
        assert_eq!(names(&[]), Vec::<&str>::new());
    }

    #[test]
    fn a_comparison_that_stopped_early_is_truncated() {
        let read = |timeout: bool, files: usize| {
            let diff = serde_json::json!({
                "old_path": "a", "new_path": "b", "new_file": false, "deleted_file": false, "renamed_file": true,
            });
            let body = serde_json::json!({"diffs": vec![diff; files], "compare_timeout": timeout}).to_string();
            gitlab(&[]).read_comparison(body.as_bytes(), &Range::Between(oid("1"), oid("2"))).unwrap()
        };
        assert!(!read(false, 999).truncated && read(false, 1000).truncated && read(true, 1).truncated);
        assert_eq!(read(false, 1).paths.len(), 2, "both ends of a rename");
    }
}
