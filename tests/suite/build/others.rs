//! The other real builders: BuildKit, Docker, ko, and images built elsewhere.

use std::collections::BTreeMap;

use hephy::config::{BackendName, KoConfig};
use hephy::result::Status;

use super::{BASE, Fixture, chain, failure};
use crate::support::builders;

pub(super) fn buildkit() -> Fixture {
    let mut fixture = Fixture::new(BackendName::Buildkit);
    let host = builders::buildkit().to_owned();
    prepend_path(&mut fixture, "buildctl");
    fixture.options.environment.insert("BUILDKIT_HOST".into(), host.clone());
    fixture.options.builder_env.insert("BUILDKIT_HOST".into(), host);
    fixture
}

pub(super) fn docker() -> Fixture {
    let mut fixture = Fixture::new(BackendName::Docker);
    let host = builders::docker().to_owned();
    prepend_path(&mut fixture, "docker");
    fixture.options.environment.insert("DOCKER_HOST".into(), host.clone());
    fixture.options.builder_env.insert("DOCKER_HOST".into(), host);
    fixture
}

/// Puts the directory of a tool onto the `PATH` that hephy looks at.
pub(super) fn prepend_path(fixture: &mut Fixture, name: &str) {
    let dir = builders::tool(name).parent().unwrap().display().to_string();
    let path = fixture.options.environment.get("PATH").cloned().unwrap_or_default();
    fixture.options.environment.insert("PATH".into(), format!("{dir}:{path}"));
}

/// The version that is found of a builder where `docker` is this script.
fn version_with(name: BackendName, script: &str, environment: &[(&str, &str)]) -> Option<hephy::backend::Version> {
    let fixture = Fixture::new(name);
    let text = fixture.file("bin/text", format!("#!/bin/sh\ncase \"$*\" in\n{script}\nesac\n"));
    super::kaniko::install(&text, &text.with_file_name("docker"));
    let path = text.parent().unwrap().display().to_string();
    let pairs = environment.iter().copied().chain([("PATH", path.as_str())]);
    let environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    hephy::commands::build::find_tool(name, &environment).unwrap().version
}

/// A job's client and the engine beside it need not be of one version.
#[test]
fn the_buildkit_of_docker_is_the_engines() {
    let version = |client: &str, engine: &str, environment: &[(&str, &str)]| {
        let script = format!(
            "--version) echo 'Docker version {client}, build x' ;;\n'version --format '*) {engine} ;;\n\
             'buildx version') echo x ;;\n*) exit 1 ;;"
        );
        version_with(BackendName::Docker, &script, environment).map(|version| version.to_string())
    };
    assert_eq!(version("28.5.1", "echo 23.0.6", &[]).as_deref(), Some("23.0.6"));
    assert_eq!(version("23.0.6", "echo 29.1.0", &[]).as_deref(), Some("29.1.0"));
    assert_eq!(version("28.5.1", "exit 1", &[]), None);
    assert_eq!(version("28.5.1", "echo 29.1.0", &[("DOCKER_BUILDKIT", "0")]).as_deref(), Some("20.10.0"));
    assert_eq!(version("20.10.24+dfsg1", "echo 29.1.0", &[]).as_deref(), Some("20.10.0"));
    assert_eq!(version("20.10.24", "echo 20.10.24", &[("DOCKER_BUILDKIT", "1")]).as_deref(), Some("23.0.0"));
}

#[test]
fn the_version_of_kanikos_image_is_its_tags_beside_a_digest_too() {
    let digest = "a1".repeat(32);
    let version = |image: &str| {
        version_with(BackendName::Kaniko, "*) exit 1 ;;", &[("HEPHY_KANIKO_IMAGE", image)])
            .map(|version| version.to_string())
    };
    let found = |image: &str| version(image).unwrap_or_default();
    assert_eq!(found(&format!("r.example/kaniko:v1.27.0@sha256:{digest}")), "1.27.0");
    assert_eq!(
        (found("r.example:5000/kaniko:v1.28.1-debug"), found("r.example:5000/kaniko")),
        ("1.28.1".into(), String::new())
    );
}

#[test]
fn buildkit_builds_a_chain() {
    chain(&mut buildkit());
}

#[test]
fn buildkit_names_the_failing_line() {
    failure(&mut buildkit());
}

#[test]
fn buildkit_builds_here_documents_and_names_the_line_behind_one() {
    let mut fixture = buildkit();
    fixture.image("notes", "FROM scratch\nARG HEPHY_REGISTRY\nCOPY <<EOF /notes\nhello world\nEOF\n");
    assert_eq!(fixture.build()[0].status, Status::Completed);

    let mut fixture = buildkit();
    let dockerfile = "FROM scratch\nCOPY <<EOF /notes\nRUN is a word here\nEOF\nCOPY nowhere /\n";
    fixture.image("notes", dockerfile);
    let result = fixture.run().unwrap().results.remove(0);
    let instruction = result.error.unwrap().instruction.unwrap();
    assert_eq!((instruction.line, instruction.text.as_str()), (5, "COPY nowhere /"));
}

#[test]
fn buildkit_writes_annotations_and_no_attestation() {
    use hephy::commands::build::RegistryView as _;
    let mut fixture = buildkit();
    fixture.image("base", BASE).annotations.insert("com.example.a".into(), "b, \"c\"".into());
    let result = &fixture.build()[0];
    let manifest = builders::PlainView.manifest(fixture.registry(), result.digest.as_ref().unwrap().as_str()).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["annotations"]["com.example.a"], "b, \"c\"");
    assert!(manifest["manifests"].is_null());
}

#[test]
fn a_tag_that_is_an_index_with_an_attestation_is_confirmed_by_platform() {
    use hephy::commands::build::confirm;
    use hephy::oci::Platform;
    let mut fixture = buildkit();
    fixture.image("base", BASE);
    let context = fixture.options.checkout.join("base").display().to_string();
    let tag = format!("{}:attested", fixture.registry());
    let built = std::process::Command::new(builders::tool("buildctl"))
        .args(["build", "--frontend=dockerfile.v0", "--opt=attest:provenance=mode=min"])
        .args([format!("--local=context={context}"), format!("--local=dockerfile={context}")])
        .arg(format!("--output=type=image,name={tag},push=true,registry.insecure=true,oci-mediatypes=true"))
        .env("BUILDKIT_HOST", builders::buildkit())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let confirm =
        |arch| confirm(&builders::PlainView, fixture.registry(), "attested", &Platform::from_arch(arch).unwrap());
    let confirmed = confirm("amd64").unwrap();
    assert_eq!(confirmed.media_type, "application/vnd.oci.image.index.v1+json");
    assert!(confirmed.size > 500_000);
    let error = confirm("arm64").unwrap_err();
    assert!(error.message().contains("nothing for linux/arm64"), "{error}");
}

#[test]
fn docker_builds_a_chain() {
    chain(&mut docker());
}

#[test]
fn docker_names_the_failing_line() {
    failure(&mut docker());
}

#[test]
fn ko_builds_a_program_on_a_base_of_the_registry() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", "FROM scratch\nCOPY busybox /bin/busybox\n");
    let base = fixture.build().remove(0).reference.unwrap();
    prepend_path(&mut fixture, "ko");
    prepend_path(&mut fixture, "go");
    let path = fixture.options.environment["PATH"].clone();
    fixture.options.builder_env.insert("PATH".into(), path);
    fixture.options.builder_env.insert("GOFLAGS".into(), "-mod=mod".into());
    fixture.file("hello/go.mod", "module example.com/hello\n\ngo 1.19\n");
    fixture.file("hello/cmd/app/main.go", "package main\n\nvar version string\n\nfunc main() { println(version) }\n");
    let image = fixture.image("hello", "");
    image.backend = BackendName::Ko;
    image.labels.insert("com.example.note".into(), "a, \"b\"".into());
    image.ko = Some(KoConfig {
        import_path: "./cmd/app".into(),
        base_image: Some(base),
        ldflags: vec!["-X main.version=from-hephy".into()],
        ..KoConfig::default()
    });
    fixture.options.images = vec!["hello".parse().unwrap()];
    let result = &fixture.build()[0];
    assert_eq!(result.backend, Some(BackendName::Ko));
    let (paths, config) = fixture.contents(result);
    assert!(paths.iter().any(|path| path.ends_with("ko-app/app")), "{paths:?}");
    assert_eq!(config["config"]["Labels"]["com.example.note"], "a, \"b\"");
    let program = fixture.read(result, "ko-app/app");
    assert!(program.windows(10).any(|part| part == b"from-hephy"), "ldflags reached the linker");
}

#[test]
fn an_image_built_elsewhere_must_exist_and_be_right() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("base", BASE);
    let built = fixture.build().remove(0);
    let reference = built.reference.clone().unwrap();
    let image = fixture.image("manual", "");
    image.manual_images = Some(BTreeMap::from([("amd64".to_owned(), reference)]));
    fixture.options.images = vec!["manual".parse().unwrap()];
    let result = fixture.build().remove(0);
    assert_eq!((result.backend, result.digest, result.status), (None, built.digest, Status::Completed));

    let missing = format!("{}:never-pushed", fixture.registry());
    fixture.plan.images[1].manual_images = Some(BTreeMap::from([("amd64".to_owned(), missing)]));
    assert_eq!(fixture.run().unwrap().failure.unwrap().kind().code(), "not_found");
}
