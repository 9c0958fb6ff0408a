//! What both platforms share: the programs of build jobs, check runs, outputs and summaries, and the sentences of bad
//! input.

mod binaries;
mod check_run;
mod collect;
mod documents;
mod hostile;
mod outputs;
mod refusals;

use std::path::{Path, PathBuf};

use crate::cli::{BEFORE, DIFF_BASE, HEAD, Hephy, Project};
use crate::support::builders;

/// A push to GitHub's default branch, with the files that its runner gives.
struct Github {
    dir: tempfile::TempDir,
}

impl Github {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// hephy in a step, with Buildah and this project's registry.
    fn step<'a>(&self, project: &Project, before: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
        self.step_of(project, &[(BEFORE, before)], args)
    }

    /// The same with more of the recorded environment replaced.
    fn step_of<'a>(&self, project: &Project, ids: &[(&str, &str)], args: impl IntoIterator<Item = &'a str>) -> Hephy {
        let head = project.repo.head();
        let hephy = project.ci("github-push", &[&[(HEAD, head.as_str())], ids].concat(), args);
        hephy
            .env("HEPHY_BACKEND", "buildah")
            .env("HEPHY_REGISTRY", project.registry())
            .env("GITHUB_OUTPUT", self.dir.path().join("output"))
            .env("GITHUB_STEP_SUMMARY", self.dir.path().join("summary"))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// The outputs as GitHub's runner reads them.
    fn outputs(&self) -> Vec<(String, String)> {
        let text = self.read("output");
        let mut lines = text.lines();
        let mut outputs = Vec::new();
        while let Some(line) = lines.next() {
            let (name, delimiter) = line.split_once("<<").unwrap_or_else(|| panic!("{line:?} begins no output"));
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            outputs.push((name.to_owned(), value.join("\n")));
        }
        outputs
    }

    fn output(&self, name: &str) -> String {
        let found = self.outputs().into_iter().rev().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("no output {name}")).1
    }
}

/// A job of a merge request on GitLab, whose base is `base`.
fn merge_request<'a>(project: &Project, base: &str, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    let head = project.repo.head();
    project.ci("gitlab-merge-request-detached", &[(HEAD, &head), (DIFF_BASE, base)], args)
}

/// A directory as `HEPHY_BINARIES` names it; `<machine>/<name>` each.
fn binaries(programs: &[(&str, &Path)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (place, program) in programs {
        let to = dir.path().join(place);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(program, to).unwrap();
    }
    dir
}

/// A Dockerfile that fails at its fourth line.
const BROKEN: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo 'no such luck | <b>`x`'; exit 3\"]\n";

/// An image that fails at line 4 of its Dockerfile.
fn broken(project: &Project, dir: &str) -> PathBuf {
    project.dockerfile(dir, "", BROKEN);
    std::fs::copy(builders::busybox(), project.path(&format!("{dir}/busybox"))).unwrap();
    project.path(dir)
}

/// What `uname -m` prints here.
pub(super) fn machine() -> String {
    rustix::system::uname().machine().to_str().unwrap().to_owned()
}
