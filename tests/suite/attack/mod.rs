//! hephy as hostile neighbours see it: owners of repositories, upstreams, registries, other jobs, and CI environments.
//! Everything goes through the binary; each test names what is tried.

mod environment;
mod handed_over;
mod output;
mod places;
mod registry;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::repo::Repo;

/// How long the slowest answer may take, on a busy machine and without optimisation.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run left to see.
struct Seen {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Seen {
    fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Ends as promised: this code, a sentence, nothing that moves a terminal's cursor.
    #[track_caller]
    fn refused(&self, code: i32, words: &str) -> &Self {
        assert_eq!(self.code, code, "{}", self.all());
        assert!(self.stderr.contains(words), "`{words}` is not in: {}", self.stderr);
        self
    }

    #[track_caller]
    fn succeeded(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.all());
        self
    }
}

/// hephy in a directory, with an environment of its own and a memory limit.
struct Hephy<'a> {
    dir: &'a Path,
    env: BTreeMap<String, String>,
}

impl<'a> Hephy<'a> {
    fn at(dir: &'a Path) -> Self {
        let kept = ["PATH", "HOME"].iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        Self { dir, env: kept.collect() }
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    fn envs(self, values: &[(&str, &str)]) -> Self {
        values.iter().fold(self, |run, (name, value)| run.env(name, *value))
    }

    /// A run of GitHub's on the default branch, compared with `before`; `event` is the directory of the event file.
    fn github(self, event: &Path, head: &str, before: &str) -> Self {
        let file = event.join("event.json");
        std::fs::write(&file, format!(r#"{{"before": "{before}", "repository": {{"default_branch": "main"}}}}"#))
            .unwrap();
        self.env("GITHUB_EVENT_PATH", file.display().to_string()).envs(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_SHA", head),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_REPOSITORY", "o/r"),
        ])
    }

    /// A push pipeline of GitLab's.
    fn gitlab(self, head: &str, before: &str) -> Self {
        self.envs(&[
            ("GITLAB_CI", "true"),
            ("CI_PIPELINE_SOURCE", "push"),
            ("CI_COMMIT_SHA", head),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_DEFAULT_BRANCH", "main"),
            ("CI_COMMIT_BEFORE_SHA", before),
        ])
    }

    /// Runs it; a run that hangs or eats all memory fails the test.
    #[track_caller]
    fn run(self, args: &[&str]) -> Seen {
        let scratch = tempfile::tempdir().unwrap();
        let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
        let file = |path: &Path| Stdio::from(std::fs::File::create(path).unwrap());
        // 2 GiB of addresses: a bomb ends here, and not in the machine's memory.
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -v 2097152; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_hephy")])
            .args(args)
            .current_dir(self.dir)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .unwrap();
        let until = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("hephy {args:?} did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let seen = Seen { code: status.code().unwrap_or(-1), stdout: text(&out), stderr: text(&err) };
        assert!(!matches!(seen.code, -1 | 10 | 101 | 134), "hephy {args:?} broke: {}", seen.all());
        seen
    }
}

/// A repository with one image, `curl`, and its commit.
fn one_image() -> (Repo, String) {
    let repo = Repo::new();
    let head = repo.image("curl").commit("one");
    (repo, head)
}
