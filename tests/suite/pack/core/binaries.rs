//! The programs that prepare hands to the build jobs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{binaries, machine, merge_request};
use crate::cli::{BEFORE, Hephy, Project};
use crate::support::builders;

fn prepare(project: &Project) -> Hephy {
    project.push(BEFORE, ["prepare", "--all"]).env("HEPHY_REGISTRY", project.registry())
}

#[test]
fn every_machines_program_is_handed_on_and_a_registry_in_check_runs_alone() {
    let project = Project::with(&["a"]);
    let base = project.repo.head();
    project.change("a/file");
    let arm = builders::foreign_program("arm64");
    let registry = builders::tool("registry3");
    let place = format!("{}/registry", machine());
    let dir = binaries(&[("aarch64/hephy", &arm), (&place, &registry), ("README/hephy", &registry)]);
    let check = merge_request(&project, &base, ["prepare"]).env("HEPHY_BINARIES", dir.path());
    let outcome = check.run().ok();
    assert!(!outcome.stderr.contains("there is no hephy"), "{outcome}");
    let same = |file: &str, program: &Path| {
        let path = project.out(file);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755, "{file}");
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(program).unwrap(), "{file}");
    };
    same("bin/aarch64/hephy", &arm);
    same(&format!("bin/{}/hephy", machine()), Path::new(env!("CARGO_BIN_EXE_hephy")));
    same(&format!("bin/{place}"), &registry);
    assert!(!project.out("bin/README").exists() && !project.out("bin/aarch64/registry").exists());
    // A publish run pushes to the real registry.
    prepare(&project).env("HEPHY_BINARIES", dir.path()).run().ok();
    same("bin/aarch64/hephy", &arm);
    assert!(!project.out(&format!("bin/{place}")).exists());
}

#[test]
fn a_machine_without_a_program_is_warned_of_and_its_job_says_why_it_cannot_go_on() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("a");
    let outcome = prepare(&project).run().ok();
    assert_eq!(outcome.stderr.matches("there is no hephy for build jobs on aarch64").count(), 1, "{outcome}");
    // Kaniko's image has its shell elsewhere; a shell starts a text file itself.
    for shell in [builders::busybox(), "/bin/sh".into(), "/bin/bash".into()] {
        let mut command = Command::new(&shell);
        if shell.ends_with("busybox") {
            command.arg("sh");
        }
        let line = format!("'{}' build --arch arm64", project.out("bin/aarch64/hephy").display());
        let ran = command.args(["-c", &line]).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{}: {said}", shell.display());
        assert!(
            said.starts_with("error: this runner is aarch64, and prepare had no hephy for it (usage_error)"),
            "{said}"
        );
        assert!(said.contains("hint: run prepare where HEPHY_BINARIES names a directory with aarch64/hephy"), "{said}");
    }
    // On a developer's machine nothing of this happens.
    std::fs::remove_dir_all(project.out("")).unwrap();
    project.hephy(["prepare", "--all", "--registry", "none"]).run().ok();
    assert!(!project.out("bin/aarch64").exists());
}

#[test]
fn a_program_of_another_machine_or_one_that_needs_libraries_is_refused() {
    let project = Project::with(&["a"]);
    let arm = builders::foreign_program("arm64");
    let dynamic = Path::new("/usr/bin/env");
    let text = project.path("a/file");
    for (place, program, said) in [
        ("x86_64/hephy", arm.as_path(), "is for arm64, and x86_64 runs linux/amd64"),
        ("aarch64/hephy", Path::new(env!("CARGO_BIN_EXE_hephy")), "is for amd64, and aarch64 runs linux/arm64"),
        ("x86_64/registry", dynamic, "needs libraries that build images do not have"),
        ("x86_64/registry", &text, "is no program"),
    ] {
        let dir = binaries(&[(place, program)]);
        let outcome = prepare(&project).env("HEPHY_BINARIES", dir.path()).run();
        outcome.fails(2, &[said, place, "(usage_error)", "put the static program for linux/"]);
        assert!(!project.out("plan.json").exists());
    }
    prepare(&project).env("HEPHY_BINARIES", "/nowhere\n::error::x").run().fails(2, &["which is no directory"]);
    prepare(&project).env("HEPHY_BINARIES", "").run().ok();
}
