//! The rules of `hephy check`, on real repositories: what each finds, at which level, and what silences it.

use serde_json::Value;

use super::{Outcome, Project};

/// `file:line:column severity rule` of every finding.
fn found(outcome: &Outcome) -> Vec<String> {
    let json = outcome.json();
    let files = json["files"].as_array().unwrap();
    let findings = files.iter().flat_map(|file| file["findings"].as_array().unwrap());
    let line = |it: &Value| {
        let rule = it["rule"].as_str().unwrap_or("-");
        let text = |field: &str| it[field].to_string().replace('"', "");
        format!("{}:{}:{} {} {rule}", text("file"), text("line"), text("column"), text("severity"))
    };
    let mut found: Vec<String> = findings.map(line).collect();
    found.sort();
    found
}

fn check(project: &Project) -> Vec<String> {
    found(&project.hephy(["check", "--format", "json"]).run())
}

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn bases_without_a_version_or_a_digest() {
    let project = Project::new();
    let dockerfile = format!(
        "ARG V=latest\nFROM golang AS build\nFROM alpine:${{V}} AS two\nFROM alpine:3.22@{DIGEST} AS three\n\
         FROM debian:12\nCOPY --from=build / /\nCOPY --from=two / /\nCOPY --from=three / /\n\
         COPY --from=busybox:latest@{DIGEST} / /\nRUN --mount=from=reg.example:5000/tools,target=/t true\n\
         COPY --from=scratch / /\n"
    );
    project.dockerfile("a", "platforms: [linux/amd64, linux/arm64]\n", &dockerfile);
    // Stages that are not built do not count, nor do images of this repository, nor the same base named by several.
    project.dockerfile("b", "target: small\n", "FROM alpine AS unused\nFROM scratch AS small\n");
    project.image_on("c", "a", "");
    project.dockerfile("ko", "build_backend: ko\nko_config: {base_image: alpine}\n", "");
    let outcome = project.hephy(["check"]).run().ok();
    assert_eq!(
        check(&project),
        [
            "a/Dockerfile:2:6 warning latest-base",
            "a/Dockerfile:3:6 warning latest-base",
            "a/Dockerfile:5:6 info unpinned-base",
            "a/Dockerfile:10:18 warning latest-base",
            "ko/build-config.yaml:3:25 warning latest-base",
        ]
        .map(str::to_owned)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    let shown = "a/Dockerfile:3:6: warning: `alpine:latest` is whatever is newest [latest-base]\n  |\n\
                 3 | FROM alpine:${V} AS two\n  |      ^^^^^^^^^^^\n  = fix: name a version, such as alpine:3.22\n";
    assert!(outcome.stdout.contains(shown), "{outcome}");
    assert!(outcome.stdout.ends_with("4 warnings, 1 info in 2 of 4 files.\n"), "{outcome}");
    // Warnings fail with --strict alone, infos never.
    let strict = project.hephy(["check", "--strict"]).run().fails(3, &["warnings are errors here", "a/Dockerfile:2"]);
    assert!(strict.stdout.contains("latest-base"), "{strict}");
    project.repo.write("hephy.yaml", "lint: {latest-base: off}\n");
    assert_eq!(check(&project), ["a/Dockerfile:5:6 info unpinned-base"]);
    project.hephy(["check", "--strict"]).run().ok();
    // An image's own level wins, and an error fails.
    project.repo.write("hephy.yaml", "lint: {latest-base: off, unpinned-base: error}\n");
    project.hephy(["check"]).run().fails(3, &[]);
    project.dockerfile("a", "lint: {unpinned-base: off, latest-base: info}\n", &dockerfile);
    assert_eq!(check(&project).len(), 3);
    project.hephy(["check", "--strict"]).run().ok();
}

#[test]
fn a_platform_that_is_written_out_under_an_image_for_another() {
    let project = Project::new();
    let dockerfile = |platform: &str| {
        format!(
            "FROM --platform=linux/amd64 golang:1@{DIGEST} AS b\nFROM --platform={platform} alpine:3@{DIGEST}\nCOPY --from=b / /\n"
        )
    };
    project.dockerfile("a", "platforms: [linux/amd64, linux/arm64]\n", &dockerfile("linux/amd64"));
    project.dockerfile("b", "platforms: [linux/amd64]\n", &dockerfile("linux/amd64"));
    project.dockerfile("c", "platforms: [linux/amd64, linux/arm64]\n", &dockerfile("$TARGETPLATFORM"));
    // One of the machine that builds is as wrong, but in an image for one platform, and in stages that only build.
    let final_stage = format!("FROM --platform=$BUILDPLATFORM alpine:3@{DIGEST}\nCOPY file /\n");
    project.dockerfile("d", "platforms: [linux/amd64, linux/arm64]\n", &final_stage);
    project.dockerfile("e", "platforms: [linux/arm64]\n", &final_stage);
    let builds = dockerfile("$TARGETPLATFORM").replace("=linux/amd64", "=${BUILDPLATFORM}");
    project.dockerfile("f", "platforms: [linux/amd64, linux/arm64]\n", &builds);
    assert_eq!(
        check(&project),
        ["a/Dockerfile:2:29 warning fixed-platform", "d/Dockerfile:1:32 warning fixed-platform"]
    );
}

#[test]
fn the_fix_of_a_missing_digest_names_the_base() {
    let project = Project::new();
    project.dockerfile("a", "", "FROM reg.example:5000/tools:1.2\n");
    let outcome = project.hephy(["check"]).run().ok();
    assert!(outcome.stdout.contains("fix: add the digest, reg.example:5000/tools:1.2@sha256:…, and"), "{outcome}");
}

#[test]
fn variables_that_give_a_secret_away() {
    let project = Project::new();
    let dockerfile = "FROM scratch\nENV DB_PASSWORD=hunter2 \\\n  PATH=/bin\nENV DBPASSWORD x\nARG GH_PAT\n\
                      ENV GITHUB_AUTH=$GH_PAT\nENV API_TOKEN=\"\" USE_AUTH=true DB_PASSWORD_FILE=/run/x\n";
    project.dockerfile("a", "", dockerfile);
    let lines = [2, 4, 5, 6].map(|line| format!("a/Dockerfile:{line}:1 warning secret-in-argument"));
    assert_eq!(check(&project), lines);
}

#[test]
fn contexts_are_measured_from_the_tree() {
    let project = Project::new();
    let mib = |count: usize| vec![b'x'; count << 20];
    project.image("big", "").image("small", "").image("kept", "").image("own", "").image("remote", "");
    project.repo.write("big/data", mib(6)).write("big/deep/more", mib(5));
    project.repo.write("small/data", mib(9));
    project.repo.write("kept/data", mib(101)).write("kept/.dockerignore", "data\n");
    project.repo.write("own/data", mib(11)).write("own/Dockerfile.dockerignore", "data\n");
    project.repo.write("remote/build-config.yaml", "upstream_repo: https://h/x\nupstream_ref: v1.2.3\n");
    project.repo.write("remote/data", mib(11));
    project.dockerfile("part", "context_path: src\n", "FROM scratch\n");
    project.repo.write("part/src/x", "").write("part/data", mib(11));
    // What an ignore file leaves in counts, by the rule of the builder.
    project.image("loose", "").image("back", "build_backend: buildkit\n");
    project.repo.write("loose/data", mib(101)).write("loose/.dockerignore", "docs\n");
    project.repo.write("back/data/x", mib(101)).write("back/.dockerignore", "*\n!data\n");
    let ignored = ["back", "loose"].map(|dir| format!("{dir}/build-config.yaml:1:20 warning large-context"));
    let line = "big/build-config.yaml:1:20 warning missing-dockerignore".to_owned();
    assert_eq!(check(&project), [ignored[0].clone(), line, ignored[1].clone()]);
    let outcome = project.hephy(["check", "loose"]).run().ok();
    assert!(outcome.stdout.contains("loose/data, without what the ignore file leaves out"), "{outcome}");
    project.repo.remove("loose").remove("back");
    assert_eq!(check(&project), ["big/build-config.yaml:1:20 warning missing-dockerignore"]);
    let outcome = project.hephy(["check", "big"]).run().ok();
    assert!(
        outcome.stdout.contains("the build context has no .dockerignore: 11.5 MB in 5 files, 6.3 MB big/data"),
        "{outcome}"
    );
    // Committed files are measured without being read, and in CI the commit counts.
    project.repo.commit("images");
    assert_eq!(check(&project), ["big/build-config.yaml:1:20 warning missing-dockerignore"]);
    project.repo.write("big/data", "");
    let in_ci = project.hephy(["check", "--format", "json"]).env("CI", "true").run();
    assert_eq!(found(&in_ci), ["big/build-config.yaml:1:20 warning missing-dockerignore"]);
    assert_eq!(check(&project), Vec::<String>::new());
    project.repo.write("small/data", mib(101));
    assert_eq!(
        check(&project),
        [
            "small/build-config.yaml:1:20 warning large-context",
            "small/build-config.yaml:1:20 warning missing-dockerignore"
        ]
    );
}

#[test]
fn build_arguments_that_do_nothing_or_give_a_secret_away() {
    let project = Project::new();
    project.dockerfile(
        "list",
        "build_args:\n  - USED=1\n  - LATER=1\n  - GONE=1\n  - HTTP_PROXY=x\n  - NPM_TOKEN=x\n",
        "ARG USED\nFROM scratch\nARG LATER NPM_TOKEN\nARG TOKEN_URL\n",
    );
    project.dockerfile("map", "build_args:\n  GONE: 1\n", "FROM scratch\n");
    project.dockerfile("ko", "build_backend: ko\n", "");
    assert_eq!(
        check(&project),
        [
            "list/Dockerfile:3:1 warning secret-in-argument",
            "list/build-config.yaml:5:5 warning unused-build-arg",
            "list/build-config.yaml:7:5 warning secret-in-argument",
            "map/build-config.yaml:3:9 warning unused-build-arg",
        ]
    );
}

#[test]
fn projects_that_another_builder_builds_faster() {
    let project = Project::new();
    let go = format!(
        "FROM golang:1@{DIGEST} AS build\nCOPY . .\nRUN go build -o /app .\nFROM scratch\nCOPY --from=build /app /\n\
         ENTRYPOINT [\"/app\"]\n"
    );
    project.dockerfile("go", "", &go);
    project.dockerfile("many", "", &go.replace("COPY --from=build /app /", "COPY --from=build /app/* /"));
    project.dockerfile("shell", "", &go.replace("RUN go build", "RUN make && go build"));
    project.image("spin", "");
    project.repo.write("spin/spin.toml", "spin_manifest_version = 2\n");
    assert_eq!(
        check(&project),
        ["go/Dockerfile:3:1 info slow-go-build", "spin/build-config.yaml:1:20 info slow-spin-build"]
    );
}

#[test]
fn comments_silence_where_they_stand() {
    let project = Project::new();
    project.dockerfile(
        "a",
        "build_args: # hephy: ignore=unused-build-arg\n  # hephy: ignore=unused-build-arg for a later version\n  A: 1\n  \
         B: 1 # hephy: ignore=unused-build-arg,secret-in-argument\n",
        "# hephy: ignore=latest-base\n# a reason\nFROM alpine\n# hephy: ignore=latst-base\nCOPY --from=debian / /\n",
    );
    let outcome = project.hephy(["check"]).run();
    assert_eq!(outcome.code, 3, "a name that is no rule is an error: {outcome}");
    assert_eq!(
        check(&project),
        [
            "a/Dockerfile:4:17 error -",
            "a/Dockerfile:5:13 warning latest-base",
            "a/build-config.yaml:2:29 warning unused-ignore",
            "a/build-config.yaml:5:41 warning unused-ignore",
        ]
    );
    assert!(outcome.stdout.contains("did you mean `latest-base`?"), "{outcome}");
    // Two images of one Dockerfile: used by one of them is used.
    let shared = |dir: &str, args: &str| {
        let config = format!("use_local_context: true\ncontext_from: repository\ndockerfile_path: Dockerfile\n{args}");
        project.repo.write(format!("{dir}/build-config.yaml"), config);
    };
    project.repo.remove("a").write("Dockerfile", "ARG V=1\n# hephy: ignore=latest-base\nFROM alpine:${V}\n");
    shared("x", "build_args: [V=latest]\n");
    shared("y", "lint: {unpinned-base: off}\n");
    assert_eq!(check(&project), Vec::<String>::new());
}

#[test]
fn rules_are_explained_and_their_findings_are_whole_in_json() {
    let project = Project::new();
    project.dockerfile("a", "", "FROM alpine\n");
    let json = project.hephy(["check", "--format", "json"]).run().ok().json();
    let finding = &json["files"][0]["findings"][0];
    for (field, value) in [
        ("rule", "latest-base"),
        ("severity", "warning"),
        ("fix", "name a version, such as alpine:3.22"),
        ("file", "a/Dockerfile"),
    ] {
        assert_eq!(finding[field], value);
    }
    assert_eq!((&json["errors"], &json["warnings"], &json["infos"]), (&0.into(), &1.into(), &0.into()));
    let said = project.hephy(["check", "--explain", "latest-base"]).run().ok();
    assert!(said.stdout.starts_with("latest-base (warning)\n") && said.stdout.contains("latest-base: off"), "{said}");
    let json = project.hephy(["check", "--explain", "latest-base", "--format", "json"]).run().ok().json();
    assert_eq!((json["rule"].as_str(), json["level"].as_str()), (Some("latest-base"), Some("warning")));
    project
        .hephy(["check", "--explain", "latst-base"])
        .run()
        .fails(2, &["there is no rule", "did you mean latest-base?"]);
    // On GitHub an info is a notice.
    project.dockerfile("a", "", "FROM alpine:3\n");
    let head = project.repo.commit("images");
    let github = project.ci("github-push", &[(super::HEAD, &head), (super::BEFORE, &head)], ["check"]).run().ok();
    assert!(
        github.to_string().contains("::notice file=a/Dockerfile,line=1,title=hephy%3A unpinned-base::"),
        "{github}"
    );
}
