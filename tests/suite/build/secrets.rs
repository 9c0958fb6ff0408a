//! Build secrets (specification §3): a step sees them, and nothing else ever shows them.

use hephy::config::{BackendName, Secret, SecretSource};
use hephy::result::Status;

use super::{Fixture, kaniko, others};

/// Written into the image backwards, which no mask knows; and printed as it is, which the log must hide.
const USE: &str = "FROM scratch\nARG UNIQUE\nENV UNIQUE=$UNIQUE\nCOPY busybox /bin/busybox\n\
    RUN --mount=type=secret,id=token [\"/bin/busybox\", \"sh\", \"-c\", \
    \"busybox=/bin/busybox; $busybox cat /run/secrets/token; $busybox rev /run/secrets/token > /reversed\"]\n";
const VALUE: &str = "correct-horse-battery";
const REVERSED: &str = "yrettab-esroh-tcerroc";

fn secret(source: SecretSource) -> Secret {
    Secret { id: "token".into(), source }
}

/// Nothing of the secret stands where others read: results, logs, events, the image but for what the step made.
fn is_hidden(fixture: &Fixture) {
    for path in ["app-amd64.json", "logs/app-amd64.log"] {
        let text = fixture.out(path);
        assert!(!text.contains(VALUE), "{path} shows the secret:\n{text}");
    }
    assert!(fixture.out("logs/app-amd64.log").contains("***"), "the step printed it, masked");
    assert!(!fixture.events.lock().unwrap().iter().any(|line| line.contains(VALUE)));
}

fn uses(mut fixture: Fixture) {
    fixture.file("hephy.yaml", "secrets_files: [token.txt]\nsecrets_env: [HEPHY_SUITE_VALUE]\n");
    fixture.file("token.txt", VALUE);
    // Nothing that another test left in the builder's own cache.
    let unique = fixture.registry().to_owned();
    let image = fixture.image("app", USE);
    image.secrets = vec![secret(SecretSource::File("token.txt".into()))];
    image.build_args.push(super::argument("UNIQUE", &unique));
    let result = fixture.build().remove(0);
    assert_eq!(String::from_utf8_lossy(&fixture.read(&result, "reversed")).trim(), REVERSED);
    let (paths, config) = fixture.contents(&result);
    assert!(!paths.iter().any(|path| path.contains("token")), "{paths:?}");
    assert!(!config.to_string().contains(VALUE));
    is_hidden(&fixture);

    fixture.options.environment.insert("HEPHY_SUITE_VALUE".into(), VALUE.into());
    fixture.options.builder_env.insert("HEPHY_SUITE_VALUE".into(), VALUE.into());
    fixture.plan.images[0].secrets = vec![secret(SecretSource::Env("HEPHY_SUITE_VALUE".into()))];
    // Another text, so that no builder takes the step from a cache of its own.
    fixture.file("app/Dockerfile", format!("{USE}ENV A=b\n").replace("/reversed", "/again"));
    let result = fixture.build().remove(0);
    assert_eq!(String::from_utf8_lossy(&fixture.read(&result, "again")).trim(), REVERSED);
    is_hidden(&fixture);
}

#[test]
fn buildah_shows_secrets_to_the_step_alone() {
    uses(Fixture::new(BackendName::Buildah));
}

#[test]
fn buildkit_shows_secrets_to_the_step_alone() {
    uses(others::buildkit());
}

#[test]
fn buildx_shows_secrets_to_the_step_alone() {
    uses(super::buildx::buildx());
}

#[test]
fn kaniko_shows_secrets_to_the_step_alone() {
    let Some(executor) = kaniko::executor("build::secrets::kaniko_shows_secrets_to_the_step_alone") else { return };
    let mut fixture = Fixture::new(BackendName::Kaniko);
    fixture.file("hephy.yaml", "secrets_files: [token.txt]\nsecrets_env: [HOME]\n");
    fixture.file("token.txt", VALUE);
    fixture.image("app", USE).secrets = vec![
        secret(SecretSource::File("token.txt".into())),
        Secret { id: "other".into(), source: SecretSource::File("token.txt".into()) },
    ];
    let left = kaniko::run_inside(&fixture, &executor);
    assert_eq!(left.failure(), None);
    assert_eq!(String::from_utf8_lossy(&fixture.read(&left.results[0], "reversed")).trim(), REVERSED);
    is_hidden(&fixture);
}

/// Refused before anything is built: no image has a result, and the sentence names what is missing.
fn refused(fixture: &Fixture, part: &str) {
    let error = fixture.run().unwrap_err();
    assert_eq!(error.kind().code(), "config_error", "{error}");
    assert!(error.message().contains(part), "{error}");
    assert!(!fixture.options.out.join("other-amd64.json").exists(), "nothing was built");
}

#[test]
fn a_secret_without_a_value_is_told_before_anything_is_built() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture
        .file("hephy.yaml", "secrets_files: [token.txt, /nowhere/token, link]\nsecrets_env: [HEPHY_SUITE_MISSING]\n");
    fixture.image("other", super::BASE);
    fixture.image("zapp", USE);
    let wants = |fixture: &mut Fixture, source| fixture.plan.images[1].secrets = vec![secret(source)];
    wants(&mut fixture, SecretSource::Env("HEPHY_SUITE_MISSING".into()));
    refused(&fixture, "the secret `token` of zapp has no value: the variable HEPHY_SUITE_MISSING is not set");
    fixture.options.environment.insert("HEPHY_SUITE_MISSING".into(), String::new());
    refused(&fixture, "the variable HEPHY_SUITE_MISSING is not set");
    for path in ["token.txt", "/nowhere/token"] {
        wants(&mut fixture, SecretSource::File(path.into()));
        refused(&fixture, &format!("the secret `token` of zapp has no value: the file {path}"));
    }
    // A link that a commit brought along leads nowhere outside.
    std::os::unix::fs::symlink("/etc/hostname", fixture.options.checkout.join("link")).unwrap();
    wants(&mut fixture, SecretSource::File("link".into()));
    refused(&fixture, "the file link cannot be read");
}

#[test]
fn a_plan_that_was_changed_on_the_way_takes_no_secret() {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("other", super::BASE);
    fixture.image("zapp", USE);
    for source in [SecretSource::Env("PATH".into()), SecretSource::File("/etc/hostname".into())] {
        fixture.plan.images[1].secrets = vec![secret(source)];
        refused(&fixture, "hephy.yaml of the checkout does not let zapp see");
    }
    for (id, source) in [
        ("a,src=/etc/shadow", SecretSource::Env("PATH".into())),
        ("../a", SecretSource::Env("PATH".into())),
        ("a", SecretSource::Env("A,src=/etc/shadow".into())),
        ("a", SecretSource::File("/etc/../etc/shadow".into())),
        ("a", SecretSource::File("x,id=b".into())),
    ] {
        fixture.plan.images[1].secrets = vec![Secret { id: id.into(), source }];
        refused(&fixture, "its secret `");
    }
}

#[test]
fn builders_without_secrets_refuse_them() {
    let mut fixture = others::docker();
    fixture.file("hephy.yaml", "secrets_env: [PATH]\n");
    fixture.image("app", super::BASE).secrets = vec![secret(SecretSource::Env("PATH".into()))];
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.results[0].status, Status::Failed);
    let error = outcome.failure.unwrap();
    assert!(error.message().contains("docker cannot take the secret `token`"), "{error}");
    assert!(error.hint_text().unwrap().contains("buildkit"));
}
