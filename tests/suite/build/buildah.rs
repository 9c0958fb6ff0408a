//! With Buildah, the builder that needs least: the rules of the stage that hold for every builder.

use std::time::{Duration, Instant};

use hephy::config::BackendName::Buildah;
use hephy::plan::PlannedSource;
use hephy::result::Status;

use super::{APP, BASE, Fixture, argument, chain, failure};

#[test]
fn a_chain_is_built_in_wave_order_and_pinned() {
    let mut fixture = Fixture::new(Buildah);
    chain(&mut fixture);
    let base: hephy::result::BuildResult = serde_json::from_str(&fixture.out("base-amd64.json")).unwrap();
    let pinned = format!("base-20251015-amd64@{}", base.digest.unwrap());
    assert!(fixture.out("logs/app-amd64.log").contains(&pinned), "the log names the digest that was built on");
}

#[test]
fn a_failure_names_its_line_and_stops_only_what_is_built_on_it() {
    failure(&mut Fixture::new(Buildah));
}

#[test]
fn annotations_are_on_the_manifest() {
    use hephy::commands::build::RegistryView as _;
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE).annotations.insert("com.example.a".into(), "b, \"c\"".into());
    let result = &fixture.build()[0];
    let manifest = crate::support::builders::PlainView
        .manifest(fixture.registry(), result.digest.as_ref().unwrap().as_str())
        .unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["annotations"]["com.example.a"], "b, \"c\"");
}

#[test]
fn hephys_own_files_never_enter_a_context() {
    let mut fixture = Fixture::new(Buildah);
    fixture.file("Dockerfile", "FROM scratch\nCOPY . /src\n");
    fixture.file("data", "x");
    fixture.file("nested/.hephy/theirs", "x");
    let image = fixture.image("root", "");
    image.source = PlannedSource::Local { root: ".".into() };
    let (paths, _) = fixture.contents(&fixture.build()[0]);
    assert!(paths.iter().any(|path| path.ends_with("src/data")), "{paths:?}");
    assert!(paths.iter().any(|path| path.ends_with("src/nested/.hephy/theirs")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("src/.hephy")), "{paths:?}");
}

#[test]
fn a_target_is_built_and_the_rest_is_not() {
    let mut fixture = Fixture::new(Buildah);
    let image = fixture.image(
        "base",
        "FROM scratch AS one\nCOPY busybox /bin/busybox\nFROM one AS two\nRUN [\"/bin/busybox\", \"false\"]\n",
    );
    image.target = Some("one".into());
    assert_eq!(fixture.build()[0].status, Status::Completed);
}

#[test]
fn only_declared_arguments_are_passed() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE);
    fixture.image("app", "FROM scratch\nCOPY busybox /bin/busybox\n");
    fixture.built_on("base");
    fixture.build();
    let log = fixture.out("logs/app-amd64.log");
    assert!(!log.contains("BASE_TAG") && !log.contains("ECR_REGISTRY"), "unused arguments are warned of:\n{log}");
}

#[test]
fn an_image_built_by_another_job_is_taken_from_its_result() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("base", BASE);
    fixture.image("app", APP);
    fixture.built_on("base");
    fixture.options.images = vec!["base".parse().unwrap()];
    fixture.build();
    fixture.options.images = vec!["app".parse().unwrap()];
    assert_eq!(fixture.build()[0].status, Status::Completed);

    // Only the tag is there, as a job of another kind leaves it.
    std::fs::remove_file(fixture.options.out.join("base-amd64.json")).unwrap();
    assert_eq!(fixture.build()[0].status, Status::Completed);

    std::fs::remove_file(fixture.options.out.join("base-amd64.tag")).unwrap();
    let error = fixture.run().unwrap().failure.unwrap();
    assert_eq!(error.kind().code(), "not_found");
    assert!(error.hint_text().unwrap().contains("base-amd64.json"));
}

#[test]
fn a_time_limit_ends_the_build_and_its_processes() {
    let mut fixture = Fixture::new(Buildah);
    let image =
        fixture.image("base", "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"4242\"]\n");
    image.timeout_seconds = Some(3);
    image.retries = Some(3);
    let started = Instant::now();
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.failure.unwrap().kind().code(), "timeout_error");
    assert_eq!(outcome.results[0].attempts, 1, "a time limit is no reason to try again");
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(gone("4242"));
}

#[test]
fn a_signal_ends_the_build_and_keeps_the_results_so_far() {
    let mut fixture = Fixture::new(Buildah);
    fixture.image("a", BASE);
    fixture.image("b", "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"4343\"]\n");
    fixture.image("c", BASE);
    let interrupt = fixture.interrupt.clone();
    std::thread::spawn(move || {
        while sleepers("4343") == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
        interrupt.raise();
    });
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.failure.unwrap().kind().exit_code(), 130);
    let status: Vec<_> = outcome.results.iter().map(|result| result.status).collect();
    assert_eq!(status, [Status::Completed, Status::Cancelled]);
    assert!(fixture.out("b-amd64.json").contains("\"cancelled\""));
    assert!(gone("4343"));
}

/// Whether no such process is left after a moment: the kernel may take one to end what was killed.
fn gone(seconds: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while sleepers(seconds) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    sleepers(seconds) == 0
}

/// Processes whose last argument is `seconds`.
fn sleepers(seconds: &str) -> usize {
    let suffix = format!("sleep\0{seconds}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line.ends_with(suffix.as_bytes()) && line.starts_with(b"/bin/busybox"))
        })
        .count()
}

#[test]
fn network_failures_are_tried_again_and_others_are_not() {
    let mut fixture = Fixture::new(Buildah);
    // Nothing listens on port 1.
    let image = fixture.image("gone", "FROM 127.0.0.1:1/nothing:1\n");
    image.retries = Some(1);
    fixture.options.retries = 7;
    let outcome = fixture.run().unwrap();
    assert_eq!(outcome.failure.unwrap().kind().code(), "registry_error");
    assert_eq!(outcome.results[0].attempts, 2);
    let events = fixture.events.lock().unwrap();
    assert!(events.contains(&"retry gone 1 registry_error".to_owned()), "{events:#?}");
    assert!(fixture.out("logs/gone-amd64.log").contains("hephy: attempt 2"));
}

#[test]
fn secrets_are_masked_in_log_and_events() {
    let mut fixture = Fixture::new(Buildah);
    fixture.options.secrets.push("correct-horse".into());
    let image = fixture.image(
        "base",
        "FROM scratch\nARG WORD\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo $WORD\"]\n",
    );
    image.build_args.push(argument("WORD", "correct-horse"));
    fixture.build();
    let log = fixture.out("logs/base-amd64.log");
    assert!(log.contains("***") && !log.contains("correct-horse"), "{log}");
    assert!(!fixture.events.lock().unwrap().iter().any(|line| line.contains("correct-horse")));
}

#[test]
fn sigterm_to_hephy_stops_the_builder() {
    // Signals go to a whole process, so the test runs itself in one of its own.
    if std::env::var_os("HEPHY_SUITE_SIGNALLED").is_some() {
        let mut fixture = Fixture::new(Buildah);
        fixture.interrupt = hephy::process::Interrupt::install().unwrap();
        fixture.image("b", "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"4545\"]\n");
        let outcome = fixture.run().unwrap();
        assert_eq!(outcome.failure.unwrap().kind().exit_code(), 130);
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["build::buildah::sigterm_to_hephy_stops_the_builder", "--exact"])
        .env("HEPHY_SUITE_SIGNALLED", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while sleepers("4545") == 0 {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "the build did not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "it ended by itself, with its assertions");
    assert!(gone("4545"));
}
