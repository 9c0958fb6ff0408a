//! Spin applications (specification §8). No Spin can be had here: a stand-in on the `PATH` records its arguments, pushes
//! a real artifact with crane, and reports it as Spin does.

use std::os::unix::fs::PermissionsExt as _;

use super::{BEFORE, Project, manifest};
use crate::support::builders;

/// Makes the stand-in below `dir`; gives the directory for the `PATH`.
fn stand_in(dir: &std::path::Path) -> std::path::PathBuf {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let crane = builders::tool("crane").display().to_string();
    let text = format!(
        "#!/bin/sh\nset -eu\ncase $1 in --version) echo 'spin 3.1.0 (stand-in)'; exit ;; esac\n\
         printf '%s\\n' \"$@\" > '{0}/arguments'\n\
         for reference; do :; done\n\
         cp spin.toml '{0}/seen.toml'\n\
         tar -C '{0}' -cf '{0}/layer.tar' seen.toml\n\
         {crane} append --oci-empty-base -f '{0}/layer.tar' -t \"$reference\" >/dev/null 2>&1\n\
         {crane} mutate --set-platform wasip1/wasm -t \"$reference\" \"$reference\" >/dev/null 2>&1\n\
         for argument; do case $argument in --annotation=*)\n\
         {crane} mutate -a \"${{argument#--annotation=}}\" -t \"$reference\" \"$reference\" >/dev/null 2>&1;;\n\
         esac; done\n\
         echo \"Pushed with digest $({crane} digest \"$reference\")\"\n",
        dir.display()
    );
    let program = bin.join("spin");
    std::fs::write(dir.join("spin.new"), text).unwrap();
    std::fs::set_permissions(dir.join("spin.new"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(dir.join("spin.new"), &program).unwrap();
    bin
}

#[test]
fn an_application_is_built_once_and_its_tags_point_at_it() {
    let stand = tempfile::tempdir().unwrap();
    let bin = stand_in(stand.path());
    let project = Project::new();
    project.repo.write("app/build-config.yaml", "build_backend: spin\nadditional_tags: [latest]\n");
    project.repo.write("app/spin.toml", "spin_manifest_version = 2\n");
    project.repo.commit("application");
    project.hephy(["check"]).run().ok();
    let registry = format!("{}/spin", builders::registry());
    let path =
        std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let ran = project.hephy(["run", "--all", "--registry", &registry]).env("PATH", path.unwrap()).run().ok();
    let arguments = std::fs::read_to_string(stand.path().join("arguments")).unwrap();
    let arguments: Vec<&str> = arguments.lines().collect();
    assert_eq!(arguments[..2], ["registry", "push"]);
    assert!(arguments[2].starts_with("--file=/") && arguments[2].ends_with("/app/spin.toml"), "{arguments:?}");
    assert!(arguments.contains(&"--build") && arguments.contains(&"--insecure"), "{arguments:?}");
    assert!(arguments.iter().any(|it| it.starts_with("--annotation=dev.hephy.input-key=")), "{arguments:?}");
    assert!(project.read("app-wasm.json").contains("wasi/wasm"), "{ran}");

    let digest = |tag: &str| {
        let said =
            std::process::Command::new(builders::tool("crane")).args(["digest", &format!("{registry}:{tag}")]).output();
        String::from_utf8(said.unwrap().stdout).unwrap().trim().to_owned()
    };
    let result: serde_json::Value = serde_json::from_str(&project.read("app-wasm.json")).unwrap();
    for tag in ["app-latest", "app-head"] {
        assert_eq!(digest(tag), result["digest"].as_str().unwrap(), "{tag} is the artifact itself: {ran}");
    }
}

#[test]
fn it_is_for_every_machine_and_no_other_platform() {
    let project = Project::new();
    project.repo.write("app/build-config.yaml", "build_backend: spin\nplatforms: [linux/amd64]\n");
    project.repo.write("app/spin.toml", "");
    let checked = project.hephy(["check"]).run().fails(3, &[]);
    let what = "app/build-config.yaml:2:1: error: the builder `spin` builds for `wasi/wasm` alone";
    assert!(checked.stdout.contains(what), "{checked}");
    project.image("web", "");
    project.repo.write("app/build-config.yaml", "build_backend: spin\n");
    project.repo.commit("application");
    project.hephy(["plan", "--all", "--backend", "spin"]).run().fails(2, &["builds no Dockerfiles"]);
}

#[test]
fn what_is_published_is_not_built_again_and_its_tags_go_forward() {
    let stand = tempfile::tempdir().unwrap();
    let bin = stand_in(stand.path());
    let project = Project::new();
    project.repo.write("app/build-config.yaml", "build_backend: spin\nadditional_tags: [latest]\n");
    project.repo.write("app/spin.toml", "spin_manifest_version = 2\n");
    let old = project.repo.commit("application");
    let path =
        std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let path = path.unwrap();
    let stage = |args: &[&'static str]| project.push(BEFORE, args.iter().copied()).env("PATH", &path).run().ok();
    let pipeline = || {
        let prepared = stage(&["prepare", "--format", "json"]);
        stage(&["build", "--arch", "wasm"]);
        stage(&["manifest"]);
        prepared
    };
    let first = pipeline();
    assert_eq!((first.built(), first.reason("app")), (vec!["app".to_owned()], "it was never published".to_owned()));
    let plan = stage(&["plan", "--format", "json"]);
    assert_eq!(plan.built(), Vec::<String>::new(), "{plan}");
    let digest = |tag: &str| manifest(&project.registry(), tag).unwrap_or_else(|| panic!("{tag}")).0;
    project.change("app/spin.toml");
    let changed = pipeline();
    assert_eq!(changed.reason("app"), "app/spin.toml changed");
    let newest = digest("app-head");
    project.repo.git(&["checkout", "-q", "--detach", &old]);
    assert_eq!(pipeline().built(), ["app"]);
    for tag in ["app-latest", "app-head", "app-20251015"] {
        assert_eq!(digest(tag), newest, "{tag}");
    }
}
