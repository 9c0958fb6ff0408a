//! Runs that publish from a branch beside the default one: schedules of GitLab do.

use super::{HEAD, pipeline};
use crate::cli::{BEFORE, Hephy, Project, manifest};

fn scheduled<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Hephy {
    let head = project.repo.head();
    let hephy = project.ci("gitlab-schedule-branch", &[(HEAD, &head)], args).env("HEPHY_BACKEND", "buildah");
    hephy.env("CI_REGISTRY_IMAGE", project.registry())
}

#[test]
fn a_schedule_leaves_the_default_branch_its_tags() {
    let project = Project::new();
    project.image("a", "additional_tags: [latest, \"1\", \"${BRANCH_NAME}\"]\n").repo.commit("a");
    project.repo.git(&["checkout", "-q", "-b", "release-1"]);
    project.change("a/file");
    project.repo.git(&["checkout", "-q", "main"]);
    project.repo.write("a/file", "newer\n").commit("newer");
    pipeline(&project, BEFORE);
    let digest = |tag: &str| manifest(&project.registry(), tag).unwrap_or_else(|| panic!("{tag}")).0;
    let main = digest("a-head");
    project.repo.git(&["checkout", "-q", "release-1"]);
    for args in [&["prepare"][..], &["build", "--arch", "amd64"], &["manifest"]] {
        scheduled(&project, args.iter().copied()).run().ok();
    }
    for tag in ["a-latest", "a-1", "a-20251015", "a-head"] {
        assert_eq!(digest(tag), main, "{tag}");
    }
    assert_ne!(digest("a-release-1"), main);
}
