//! What is wrong is said before anything is built, and leaves nothing behind.

use hephy::config::BackendName::{Buildah, Kaniko};
use hephy::plan::PlannedSource;

use super::{BASE, Fixture};

/// Runs; gives code, sentence and hint of the failure, of the job or of its first image.
fn failed(fixture: &Fixture) -> (&'static str, String, String) {
    let error = match fixture.run() {
        Ok(outcome) => outcome.failure.unwrap(),
        Err(error) => error,
    };
    (error.kind().code(), error.message().to_owned(), error.hint_text().unwrap_or_default().to_owned())
}

#[test]
fn a_plan_whose_values_leave_their_place() {
    type Change = fn(&mut hephy::plan::PlannedImage);
    let changes: [Change; 9] = [
        |image| image.dockerfile = "../Dockerfile".into(),
        |image| image.context = "/etc".into(),
        |image| image.source = PlannedSource::Local { root: "a/../..".into() },
        |image| image.dockerfile = ".git/config".into(),
        |image| image.build_args.push(super::argument("A=B", "x")),
        |image| image.build_args.push(super::argument("A", "x\ny")),
        |image| image.build_args.push(super::argument("BUILDKIT_SYNTAX", "x")),
        |image| drop(image.labels.insert("a=b".into(), "x".into())),
        |image| image.arch_tags.clear(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut fixture = Fixture::new(Buildah);
        change(fixture.image("base", BASE));
        assert_eq!(failed(&fixture).0, "config_error", "change {number}");
        assert!(fixture.events.lock().unwrap().is_empty(), "change {number}: nothing was started");
    }
}

#[test]
fn links_do_not_lead_out_of_the_source() {
    for (what, target) in [("context", "/etc"), ("Dockerfile", "/etc/passwd"), ("Dockerfile", "../other/Dockerfile")] {
        let mut fixture = Fixture::new(Buildah);
        fixture.image("other", BASE);
        fixture.plan.images.clear();
        let image = fixture.image("base", BASE);
        if what == "context" {
            image.context = "context".into();
        }
        let path = fixture.options.checkout.join("base").join(what);
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).unwrap();
        let (code, message, _) = failed(&fixture);
        assert_eq!(code, "config_error", "{what} → {target}: {message}");
    }
}

#[test]
fn a_missing_dockerfile_or_context_and_a_dockerfile_that_is_none() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE).dockerfile = "Nofile".into();
    assert_eq!(failed(&fixture).0, "config_error");
    fixture.plan.images.clear();
    fixture.image("base", BASE).context = "nowhere".into();
    assert_eq!(failed(&fixture).0, "config_error");
    fixture.plan.images.clear();
    fixture.image("base", "FORM scratch\n");
    assert_eq!(failed(&fixture).0, "config_error");
}

#[test]
fn a_builder_that_is_not_installed() {
    let empty = tempfile::tempdir().unwrap();
    for (backend, hint) in [(Buildah, "apt-get install buildah"), (Kaniko, "HEPHY_KANIKO")] {
        let mut fixture = Fixture::new(backend);
        fixture.image("base", BASE);
        fixture.options.environment = [("PATH".to_owned(), empty.path().display().to_string())].into();
        let (code, message, found) = failed(&fixture);
        assert_eq!(code, "build_error");
        assert!(message.contains("not installed") && found.contains(hint), "{message}: {found}");
    }
}

#[test]
fn a_registry_that_is_down() {
    // The same port for all, on which nothing listens.
    let mut fixture = Fixture::with_registry(Buildah, "127.0.0.1:1/acme".into());
    fixture.image("base", BASE);
    fixture.options.builder_env.insert("BUILDAH_LAYERS".into(), "false".into());
    let (code, _, hint) = failed(&fixture);
    assert_eq!(code, "registry_error");
    assert!(hint.contains("logs/base-amd64.log"), "{hint}");
}

#[test]
fn an_image_that_the_plan_does_not_have() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE);
    fixture.options.images = vec!["bsae".parse().unwrap()];
    assert_eq!(failed(&fixture).0, "not_found");
}

#[test]
fn no_registry() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE);
    fixture.plan.registry = None;
    let (code, _, hint) = failed(&fixture);
    assert_eq!(code, "config_error");
    assert!(hint.contains("HEPHY_REGISTRY"));
}

#[test]
fn a_full_disk() {
    // A tiny file system for hephy's own files, in a mount namespace; the test runs itself in there.
    if std::env::var_os("HEPHY_SUITE_FULL").is_none() {
        let mut command = crate::support::builders::as_root();
        let ran = command
            .args(["HEPHY_SUITE_FULL=1", "unshare", "--mount", "--propagation", "private", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["build::bad_input::a_full_disk", "--exact", "--nocapture"])
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.contains("1 passed"), "this test needs root, for a mount: {said}");
        return;
    }
    let mut fixture = Fixture::new(Buildah);
    fixture.image(
        "base",
        "FROM scratch\nCOPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox yes | /bin/busybox head -c 2000000\"]\n",
    );
    let out = &fixture.options.out;
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(out).status();
    assert!(mounted.unwrap().success());
    let (code, message, hint) = failed(&fixture);
    assert_eq!(code, "resource_error", "{message}");
    assert!(hint.contains("free some space"), "{hint}");
    use hephy::commands::build::RegistryView as _;
    let pushed = crate::support::builders::PlainView.manifest(fixture.registry(), "base-20251015-amd64");
    assert_eq!(pushed.unwrap_err().kind().code(), "not_found", "nothing was pushed");
    let _ = std::process::Command::new("umount").arg("-l").arg(out).status();
}
