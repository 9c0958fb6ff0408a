//! The environment of a GitLab push pipeline on the default branch: only commits count, and the run may publish.

use std::process::Command;

pub(crate) fn push_pipeline(command: &mut Command, base: &str, head: &str) {
    command.envs([
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_COMMIT_SHA", head),
        ("CI_COMMIT_BEFORE_SHA", base),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_PIPELINE_CREATED_AT", "2025-10-15T12:00:00Z"),
        ("CI_PIPELINE_IID", "42"),
        ("CI_PROJECT_PATH", "acme/images"),
        ("CI_PROJECT_URL", "https://gitlab.example.com/acme/images"),
        ("CI_REGISTRY_IMAGE", "registry.example.com/acme/images"),
    ]);
}
