//! `hephy prepare`: the files of specification §2, the plan of §6, and what a failure leaves.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{BEFORE, HEAD, Project, snapshot};
use crate::support::repo::Repo;

fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

#[test]
fn every_file_of_section_2() {
    let upstream = Repo::new();
    upstream.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    upstream.commit("upstream");
    let project = Project::with(&["tools/curl", "old"]);
    let before = project.repo.head();
    project.image("multi", "platforms: [linux/amd64, linux/arm/v7]\n");
    let remote = format!("upstream_repo: {}\nupstream_ref: main\n", upstream.url().replace(' ', "%20"));
    project.repo.write("app/build-config.yaml", remote);
    project.change("tools/curl/file");
    let hephy = project.push(&before, ["prepare", "--base", &before]).env("GIT_ALLOW_PROTOCOL", "file");
    hephy.run().ok();

    assert_eq!(project.read("dirs.txt"), "app\nmulti\ntools/curl\n");
    assert_eq!(project.read("need_amd64.txt"), "true\n");
    assert_eq!(project.read("need_arm64.txt"), "false\n");
    assert_eq!(project.read("need_armv7.txt"), "true\n");
    assert!(project.read("plan.md").contains("| tools-curl | linux/amd64 | buildah | 0 | tools/curl/file changed |"));
    let plan: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    assert_eq!(plan["images"][0]["source"]["archive"], "app-source.tar.gz");

    let program = project.out(&format!("bin/{}/hephy", machine()));
    assert_eq!(std::fs::read(&program).unwrap(), std::fs::read(env!("CARGO_BIN_EXE_hephy")).unwrap());
    assert!(Command::new(&program).arg("--version").output().unwrap().status.success());
    for (path, (mode, _)) in snapshot(&project.out("")) {
        // On a machine without a hephy for the other one a script stands in for it.
        let is_program = path.starts_with(project.out("bin"));
        let expected = if path.is_dir() || is_program { 0o755 } else { 0o644 };
        assert_eq!(mode & 0o7777, expected, "{}", path.display());
    }
    let files: Vec<String> = project.out("").read_dir().unwrap().map(|it| name(&it.unwrap().path())).collect();
    assert!(
        !files.iter().any(|file| file.starts_with('.') && file != ".gitignore"),
        "no temporary file is left: {files:?}"
    );
    assert!(project.out("app-source.tar.gz").exists());

    // The next plan builds nothing: no flag of this one may start a job.
    project.range(&project.repo.head(), ["prepare"]).run().ok();
    assert_eq!(project.read("dirs.txt"), "");
    for arch in ["amd64", "arm64", "armv7"] {
        assert_eq!(project.read(&format!("need_{arch}.txt")), "false\n", "{arch}");
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// A small repository with an image of each kind that needs nothing but itself.
fn golden() -> Project {
    let project = Project::new();
    project
        .image("base", "platforms: [linux/amd64, linux/arm64]\nadditional_tags: [latest, 'b${BUILD_NUMBER}']\n")
        .image_on("app", "base", "build_args: {ON: '${BASE_TAG}', SHA: '${SHORT_SHA}'}\nlabels: {team: infra}\n")
        .image("left-alone", "");
    project.repo.commit("images");
    project
}

fn prepared(project: &Project) -> String {
    let hephy = project.push(BEFORE, ["prepare", "--dir", "app", "--dir", "base"]);
    hephy.env("ECR_REGISTRY", project.registry_of_golden()).run().ok();
    project.read("plan.json")
}

impl Project {
    /// A name in the shared registry that is the same in every test process but for the port.
    fn registry_of_golden(&self) -> String {
        format!("{}/golden", crate::support::builders::registry())
    }
}

#[test]
fn the_plan_of_a_small_repository() {
    let project = golden();
    let plan = prepared(&project).replace(&project.registry_of_golden(), "<registry>");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/cli/plan.json");
    if std::env::var_os("HEPHY_BLESS").is_some() {
        std::fs::write(&path, &plan).unwrap();
    }
    assert_eq!(plan, std::fs::read_to_string(&path).unwrap(), "HEPHY_BLESS=1 writes it anew");
}

#[test]
fn the_same_input_gives_the_same_plan_byte_for_byte() {
    let project = golden();
    let first = prepared(&project);
    let files = snapshot(&project.out(""));
    assert_eq!(prepared(&project), first);
    assert_eq!(snapshot(&project.out("")), files, "run twice: the same bytes");

    let other = Project::of(project.repo.clone_with(&[]));
    assert_eq!(prepared(&other), first, "another clone, another path");

    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(id(&first).starts_with("bld_"));
    project.change("app/file");
    assert_ne!(id(&prepared(&project)), id(&first), "another content, another id");
}

#[test]
fn the_plan_has_the_schema_that_hephy_prints() {
    let project = golden();
    let schema = project.hephy(["schema", "plan"]).run().ok().json();
    let plan: Value = serde_json::from_str(&prepared(&project)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&plan).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut wrong = plan;
    wrong["images"][0]["wave"] = "first".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn no_secret_enters_what_prepare_writes() {
    let project = golden();
    let secrets = [
        ("HEPHY_REGISTRY_USERNAME", "u5er-aaaaaaaa"),
        ("HEPHY_REGISTRY_PASSWORD", "s3cret-aaaaaaaa"),
        ("CI_REGISTRY_PASSWORD", "s3cret-bbbbbbbb"),
        ("CI_JOB_TOKEN", "s3cret-cccccccc"),
        ("GITHUB_TOKEN", "s3cret-dddddddd"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret-eeeeeeee"),
        ("CI_REPOSITORY_URL", "https://gitlab-ci-token:s3cret-ffffffff@127.0.0.1:1/acme/images.git"),
    ];
    let mut hephy = project.push(&"9".repeat(40), ["prepare", "-v", "--all"]);
    for (name, value) in secrets {
        hephy = hephy.env(name, value);
    }
    let outcome = hephy.env("ECR_REGISTRY", project.registry()).run().ok();
    for part in ["s3cret", "u5er"] {
        assert!(!outcome.stdout.contains(part) && !outcome.stderr.contains(part), "{outcome}");
        for (path, (_, content)) in snapshot(&project.out("")) {
            let holds = content.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(!holds, "{} holds a secret", path.display());
        }
    }
}

#[test]
fn github_gets_its_outputs_and_its_summary() {
    let project = golden();
    let head = project.repo.head();
    let (output, summary) = (project.home.path().join("output"), project.home.path().join("summary"));
    std::fs::write(&output, "before=1\n").unwrap();
    let hephy = project.ci("github-tag", &[(HEAD, &head)], ["prepare"]).env("HEPHY_BACKEND", "buildah");
    let hephy = hephy.env("ECR_REGISTRY", project.registry()).env("GITHUB_OUTPUT", &output);
    hephy.env("GITHUB_STEP_SUMMARY", &summary).run().ok();
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(text.starts_with("before=1\n"), "what was there stays: {text}");
    for (name, value) in [
        ("plan", project.out("plan.json").canonicalize().unwrap().display().to_string().as_str()),
        ("dirs", r#"["app","base","left-alone"]"#),
        ("need_amd64", "true"),
        ("need_arm64", "true"),
        ("has_builds", "true"),
    ] {
        assert_eq!(output_of(&text, name).as_deref(), Some(value), "{name} in {text}");
    }
    assert_eq!(std::fs::read_to_string(&summary).unwrap(), project.read("plan.md"));
}

/// The value of an output in either of GitHub's forms.
fn output_of(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(value) = line.strip_prefix(&format!("{name}=")) {
            return Some(value.to_owned());
        }
        if let Some(end) = line.strip_prefix(&format!("{name}<<")) {
            return Some(lines.take_while(|line| *line != end).collect::<Vec<_>>().join("\n"));
        }
    }
    None
}

#[test]
fn a_failure_leaves_the_work_directory_as_it_was() {
    let upstream = Repo::new();
    upstream.write("other", "x");
    upstream.commit("no Dockerfile");
    let project = Project::with(&["a"]);
    let remote = format!("upstream_repo: {}\nupstream_ref: main\n", upstream.url().replace(' ', "%20"));
    project.repo.write("remote/build-config.yaml", remote);
    project.repo.commit("remote");
    // The archive is fetched, then found to have no Dockerfile: late enough to have written something.
    let fails = |out: &str| {
        let words = ["prepare", "--all", "--backend", "buildah", "--registry", "none", "--out", out];
        project
            .hephy(words)
            .env("GIT_ALLOW_PROTOCOL", "file")
            .run()
            .fails(3, &["the source of remote has no Dockerfile", "dockerfile_path"]);
    };
    fails(".hephy");
    assert!(!project.path(".hephy").exists());
    fails("deep/er/out");
    assert!(!project.path("deep").exists(), "parents that were made are gone too");

    project.push(BEFORE, ["prepare", "--dir", "a"]).run().ok();
    std::fs::write(project.out("remote-source.tar.gz"), "older").unwrap();
    let was = snapshot(project.repo.path());
    fails(".hephy");
    assert_eq!(snapshot(project.repo.path()), was);
}

#[test]
fn the_output_directory_never_counts_and_never_enters_a_context() {
    let project = Project::new();
    project.image(".", "");
    project.repo.git(&["remote", "add", "origin", "https://git.example/acme/rooted.git"]);
    project.repo.commit("an image in the root");
    let registry = project.registry();
    let key = || project.hephy(["plan", "--all", "--format", "json"]).run().ok().json()["images"][0].clone();
    let was = key();
    assert_eq!(was["name"], "rooted");
    project.hephy(["prepare", "--all", "--registry", &registry]).run().ok();
    assert_eq!(key()["input_key"], was["input_key"]);
    assert_eq!(project.hephy(["plan", "--format", "json"]).run().ok().built(), Vec::<String>::new());

    project.repo.write("Dockerfile", "FROM scratch\nCOPY . /\n");
    project.hephy(["prepare", "--all", "--registry", &registry]).run().ok();
    project.hephy(["build", "--arch", "amd64"]).run().ok();
    let plan: Value = serde_json::from_str(&project.read("plan.json")).unwrap();
    let tag = plan["images"][0]["arch_tags"]["amd64"].as_str().unwrap();
    let (_, image) = super::manifest(&registry, tag).unwrap();
    let names = super::layer_files(&registry, &image);
    assert!(names.contains(&"file".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains(".hephy") || name.contains(".git/")), "{names:?}");

    // Nor does git's own directory when the output lies elsewhere.
    let elsewhere = project.home.path().join("out").display().to_string();
    project.hephy(["prepare", "--all", "--registry", &registry, "--out", &elsewhere]).run().ok();
}

fn script(project: &Project, args: &[&str], env: &[(&str, &str)], path: &str) -> std::process::Output {
    let hephy = project.hephy([]);
    let command = hephy.command();
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/prepare_diff.sh"));
    script.args(args).current_dir(project.repo.path()).env_clear();
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap());
    }
    script.env("PATH", format!("{path}/usr/bin:/bin")).envs(env.iter().copied());
    script.output().unwrap()
}

#[test]
fn prepare_diff_sh_leaves_the_flags_in_the_root_too() {
    let program = env!("CARGO_BIN_EXE_hephy");
    let project = Project::with(&["a", "b"]);
    project.repo.write("b/new", "x");
    let read = |name: &str| std::fs::read_to_string(project.path(name)).unwrap();
    for round in 1..=2 {
        let output = script(&project, &[], &[("HEPHY", program)], "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(read("dirs.txt"), "b\n", "round {round}: the copies are no change");
        assert_eq!(read("need_amd64.txt"), "true\n");
        assert_eq!(read("need_arm64.txt"), "false\n");
    }
    // Its arguments are prepare's, and so is its exit code.
    let output = script(&project, &["--dir", "nowhere"], &[("HEPHY", program)], "");
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(read("dirs.txt"), "b\n", "a failure leaves them as they were");

    // The binary that an earlier prepare handed on; then the one on the PATH.
    let output = script(&project, &["--dir", "a"], &[], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read("dirs.txt"), "a\n");
    std::fs::remove_dir_all(project.path(".hephy")).unwrap();
    let dir = Path::new(program).parent().unwrap().display().to_string();
    let output = script(&project, &["--dir", "b", "--out", "o ut"], &[], &format!("{dir}:"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read("dirs.txt"), "b\n");
    let output = script(&project, &["--dir", "b"], &[], "");
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hephy is not here"));
}

#[test]
fn jobs_that_offer_too_little_are_named_before_anything_is_built() {
    let project = Project::new();
    project.image("a", "platforms: [linux/amd64, linux/arm64]\n");
    project.repo.commit("a");
    let prepare = || project.push(BEFORE, ["prepare", "--all"]);
    prepare()
        .env("HEPHY_BACKENDS", "kaniko@1.28.3,ko")
        .run()
        .fails(3, &["no job can build a: it wants buildah", "HEPHY_BACKENDS offers kaniko@1.28.3,ko", "build_backend"]);
    prepare().env("HEPHY_ARCHES", "amd64").run().fails(3, &["no job can build a for arm64"]);
    assert!(!project.path(".hephy").exists());
    prepare().env("HEPHY_BACKENDS", "buildh").run().fails(2, &["HEPHY_BACKENDS names `buildh`", "buildah"]);
    prepare().env("HEPHY_BACKENDS", "buildah@new").run().fails(2, &["whose version is none"]);
    prepare().env("HEPHY_ARCHES", "x86_64").run().fails(2, &["HEPHY_ARCHES names `x86_64`"]);
    prepare().env("HEPHY_BACKENDS", "buildah@1.28").env("HEPHY_ARCHES", "amd64, arm64").run().ok();
    // Empty says nothing, and what was built elsewhere needs no builder.
    prepare().env("HEPHY_BACKENDS", " ").env("HEPHY_ARCHES", "").run().ok();
}

#[test]
fn every_kind_of_ref_means_the_commit_which_is_fetched_once() {
    let upstream = Repo::new();
    upstream.write("Dockerfile", "FROM scratch\nCOPY . /\n").write("sub/empty", "");
    let commit = upstream.commit("upstream");
    for words in [
        &["tag", "-a", "-m", "annotated", "v1"][..],
        &["tag", "-a", "-m", "nested", "v1-nested", "v1"],
        &["tag", "light"],
        &["branch", "rel/1.x"],
    ] {
        upstream.git(words);
    }
    let project = Project::new();
    // Repositories of tests have a space in their path, which no address may have.
    let place = tempfile::tempdir().unwrap();
    let bare = place.path().join("upstream.git").display().to_string();
    upstream.git(&["clone", "-q", "--mirror", ".", &bare]);
    let address = format!("file://{bare}");
    let refs = ["main", "v1", "v1-nested", "light", "rel/1.x", commit.as_str(), "refs/tags/v1", "refs/heads/main"];
    for (at, reference) in refs.iter().enumerate() {
        let config = format!("upstream_repo: {address}\nupstream_ref: {reference}\nbuild_backend: buildah\n");
        project.repo.write(format!("i{at}/build-config.yaml"), config);
    }
    let config = format!("upstream_repo: {address}\nupstream_ref: main\nkeep_git: true\nbuild_backend: buildah\n");
    project.repo.write("kept/build-config.yaml", config);
    project.repo.commit("images");
    // The address is one that only this variable allows.
    let refused = project.hephy(["prepare", "--all"]).run().fails(3, &["a transport that is not allowed"]);
    assert_eq!(refused.stderr.matches("transport that is not allowed").count(), 9, "{refused}");
    let prepare = project.hephy(["prepare", "--all", "--format", "json"]).env("GIT_ALLOW_PROTOCOL", "file").run().ok();
    assert_eq!(prepare.stderr.matches("fetching ").count(), 1, "{prepare}");
    let plan = prepare.json();
    let digest = &plan["images"][0]["source"]["archive_digest"];
    for (at, reference) in refs.iter().enumerate() {
        let image = &plan["images"][at];
        assert_eq!(image["source"]["commit"], commit.as_str(), "{reference}");
        assert_eq!(&image["source"]["archive_digest"], digest, "{reference}");
        let tag = image["tags"][0].as_str().unwrap();
        assert!(tag.ends_with(&format!("-{}", reference.replace('/', "-"))), "{tag}");
        assert!(project.out(&format!("i{at}-source.tar.gz")).is_file());
    }
    let names = |file: &str| {
        let archive = std::fs::File::open(project.out(file)).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("i0-source.tar.gz"), ["Dockerfile", "sub/", "sub/empty"]);
    let kept = names("kept-source.tar.gz");
    assert!(kept.contains(&".git/HEAD".to_owned()) && kept.contains(&"sub/empty".to_owned()), "{kept:?}");
    for absent in [".git/config", ".git/hooks/", ".git/logs/"] {
        assert!(!kept.contains(&absent.to_owned()), "{kept:?}");
    }
}
