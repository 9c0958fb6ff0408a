//! What each step becomes on Kaniko's command line.

use super::*;
use crate::backend::tests::{args, step, tool};

#[test]
fn the_executor_gets_exactly_this() {
    let invocations = Kaniko.invocations(&tool("/kaniko/executor"), &step()).unwrap();
    assert_eq!(
        args(&invocations[0]),
        [
            "--context=dir:///src/-a, b",
            "--dockerfile=/src/-a, b/-Dockerfile",
            "--digest-file=/out/work/1/digest",
            "--ignore-path=/src",
            "--ignore-path=/out",
            "--pre-cleanup",
            "--cleanup",
            "--destination=127.0.0.1:5000/acme:app-20251015-armv7",
            "--custom-platform=linux/arm/v7",
            "--log-format=text",
            "--push-retry=3",
            "--image-download-retry=3",
            "--insecure-registry=127.0.0.1:5000",
            "--insecure-registry=mirror:80",
            "--target=--target",
            "--build-arg=A=--b c=d,e\"f",
            "--build-arg=EMPTY=",
            "--label=-l=--x=y, \"z\"",
            "--annotation=a.b=c,\"d\"",
            "--image-format=oci",
        ]
    );
    assert_eq!(invocations[0].env["DOCKER_CONFIG"], "/out/docker");
    assert_eq!(invocations[0].env_remove, ["DOCKER_AUTH_CONFIG"]);
    assert_eq!(invocations[0].env_default["USER"], "root");
}

#[test]
fn an_executor_elsewhere_is_protected_and_a_private_root_is_forced() {
    let mut tool = tool("/opt/executor");
    tool.flavour = Flavour::Forced;
    let invocations = Kaniko.invocations(&tool, &step()).unwrap();
    assert!(args(&invocations[0]).contains(&"--ignore-path=/opt/executor"));
    assert!(args(&invocations[0]).contains(&"--force"));
}

#[test]
fn the_image_is_run_with_its_own_mounts_and_can_be_stopped() {
    let mut tool = tool("/usr/bin/docker");
    tool.flavour = Flavour::DockerRun { image: "ghcr.io/osscontainertools/kaniko:v1.28.3".into() };
    let invocations = Kaniko.invocations(&tool, &step()).unwrap();
    let flags: Vec<&String> = invocations[0].env_default.keys().collect();
    let args: Vec<&str> = args(&invocations[0]);
    let set = |arg: &&str| arg.strip_prefix("--env=FF_").map(|name| format!("FF_{name}"));
    assert_eq!(
        args.iter().filter_map(set).collect::<std::collections::BTreeSet<_>>().iter().collect::<Vec<_>>(),
        flags
    );
    let args: Vec<&str> = args.into_iter().filter(|arg| set(arg).is_none()).collect();
    assert_eq!(
        args[..12],
        [
            "run",
            "--rm",
            args[2],
            "--network=host",
            "--mount=type=bind,\"source=/src/-a, b\",target=/workspace,readonly",
            "--mount=type=bind,\"source=/src/-a, b\",target=/kaniko/dockerfile,readonly",
            "--mount=type=bind,source=/out/work/1,target=/kaniko/hephy",
            "--mount=type=bind,source=/out/docker,target=/kaniko/.docker,readonly",
            "--",
            "ghcr.io/osscontainertools/kaniko:v1.28.3",
            "--context=dir:///workspace",
            "--dockerfile=/kaniko/dockerfile/-Dockerfile",
        ]
    );
    let name = args[2].strip_prefix("--name=").unwrap();
    assert_eq!(invocations[0].stop, Some(vec!["kill".into(), "--".into(), name.into()]));
    assert!(!args.contains(&"--pre-cleanup") && !args.contains(&"--force"));
}

#[test]
fn the_container_gets_the_keys_of_aws_by_name_and_for_ecr_only() {
    let mut tool = tool("/usr/bin/docker");
    tool.flavour = Flavour::DockerRun { image: "kaniko".into() };
    let keys = |repository: &str| {
        let step = Step { repository: repository.into(), ..step() };
        let args = args(&Kaniko.invocations(&tool, &step).unwrap()[0]).join(" ");
        assert!(!args.split(" -- ").nth(1).unwrap().contains("AWS_"), "no option of Kaniko itself: {args}");
        args.matches("--env=AWS_").count()
    };
    assert_eq!(keys("123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme"), AWS.len());
    assert_eq!(keys("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/acme"), AWS.len());
    for other in [
        "ghcr.io/acme",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.example/acme",
        "r.example/.dkr.ecr.amazonaws.com",
    ] {
        assert_eq!(keys(other), 0, "{other}");
    }
}

#[test]
fn flags_are_gated_by_version() {
    let mut old = tool("/kaniko/executor");
    old.version = Some(Version(1, 24, 0));
    let mut step = step();
    assert!(Kaniko.invocations(&old, &step).unwrap_err().hint_text().unwrap().contains("buildah"));
    step.annotations.clear();
    let invocations = Kaniko.invocations(&old, &step).unwrap();
    assert!(!args(&invocations[0]).contains(&"--pre-cleanup"));
    assert!(!args(&invocations[0]).contains(&"--image-format=oci"));
    assert!(Kaniko.soiled_by_kill(&old));
    old.version = Some(Version(1, 25, 4));
    assert!(!Kaniko.soiled_by_kill(&old));
}

#[test]
fn a_cache_is_of_one_architecture_and_a_check_run_writes_none() {
    let cache = |write: bool| crate::backend::StepCache {
        repository: "r.example/acme".into(),
        tag: crate::oci::Tag::parse("_cache.app.armv7.0").unwrap(),
        ttl: None,
        write,
    };
    let of = |cache, anew: bool, flavour: Flavour| {
        let tool = Tool { flavour, ..tool("/bin/x") };
        let invocation = Kaniko.invocations(&tool, &Step { cache, anew, ..step() }).unwrap().remove(0);
        args(&invocation).into_iter().filter(|arg| arg.contains("cache")).map(str::to_owned).collect::<Vec<_>>()
    };
    for flavour in [Flavour::Direct, Flavour::Forced, Flavour::DockerRun { image: "kaniko".into() }] {
        let writing = ["--cache=true", "--cache-repo=r.example/acme/cache-armv7"];
        assert_eq!(of(Some(cache(true)), false, flavour.clone()), writing);
        assert_eq!(of(Some(cache(false)), false, flavour.clone()), [&writing[..], &["--no-push-cache"]].concat());
        assert_eq!(of(None, false, flavour.clone()), [""; 0]);
        assert_eq!(of(Some(cache(true)), true, flavour), [""; 0]);
    }
}

#[test]
fn only_versions_that_are_known_to_write_annotations_are_asked_to() {
    let of = |version| Kaniko.annotates(&Tool { version, ..tool("/kaniko/executor") });
    assert!(of(Some(Version(1, 28, 1))) && of(Some(Version(1, 29, 0))));
    assert!(!of(Some(Version(1, 28, 0))) && !of(Some(Version(1, 24, 0))) && !of(None));
}

#[test]
fn a_stage_is_one_name() {
    let mut step = step();
    step.target = Some("a,b".into());
    assert_eq!(Kaniko.invocations(&tool("/kaniko/executor"), &step).unwrap_err().kind().code(), "config_error");
}

#[test]
fn the_digest_file_is_the_report() {
    let digest = Digest::of(b"x");
    let file = |name: &str| (name == "digest").then(|| format!("{digest}\n").into_bytes());
    assert_eq!(Kaniko.digest(&step(), &file, "").unwrap(), digest);
    assert!(Kaniko.digest(&step(), &|_| None, "").is_err());
    assert!(Kaniko.digest(&step(), &|_| Some(b"sha256:1".to_vec()), "").is_err());
}

#[test]
fn instructions_are_recognised_in_the_log() {
    let line = r#"time="2026-11-21T08:04:50Z" level=info msg="RUN [\"/bin/busybox\",\"false\"]""#;
    assert_eq!(Kaniko.said(line), Said::instruction(r#"RUN ["/bin/busybox","false"]"#));
    assert_eq!(Kaniko.said(r#"time="x" level=info msg="Taking snapshot of files...""#), None);
    assert_eq!(Kaniko.said("RUN made up by a program"), None);
}
