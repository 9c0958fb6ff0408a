//! A check run builds everything and publishes nothing: what it builds goes to a registry inside the job.

use std::path::Path;

use hephy::config::BackendName;
use hephy::oci::Tag;
use hephy::plan::{DependencyFrom, Mode};

use super::{APP, BASE, Fixture, argument};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};

/// A chain of two changed images, the second of which is built on a published one as well. The registry refuses
/// every write and counts requests; nobody has a credential.
fn check_run() -> (Fixture, Proxy) {
    let mut fixture = Fixture::new(BackendName::Buildah);
    fixture.image("tools", "FROM scratch\nCOPY busybox /bin/tool\n");
    let tools = fixture.build().remove(0);
    fixture.plan.images.clear();
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.method.as_str() {
        "GET" | "HEAD" => Action::Forward,
        _ => Action::error(403, "DENIED", "this job may not write"),
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.registry = Some(format!("{}/{repository}", proxy.address));
    fixture.plan.mode = Mode::Check;
    fixture.image("base", BASE);
    let named = format!("{}:tools-latest", fixture.registry());
    let app = fixture.image("app", &format!("{APP}COPY --from={named} /bin/tool /bin/tool\n"));
    app.build_args.push(argument("COLOUR", "red"));
    fixture.built_on("base");
    let from = DependencyFrom::Published { tag: Tag::parse("tools-latest").unwrap(), digest: tools.digest.unwrap() };
    fixture.names("tools", &named, 6, from);
    fixture.plan.images.last_mut().unwrap().wave = 1;
    fixture.write_plan();
    std::fs::remove_file(fixture.options.out.join("tools-amd64.json")).unwrap();
    std::fs::remove_file(fixture.options.out.join("tools-amd64.tag")).unwrap();
    (fixture, proxy)
}

#[test]
fn a_chain_is_built_and_nothing_reaches_the_real_registry() {
    let (fixture, proxy) = check_run();
    let docker_registry = builders::tool("docker-registry");
    let path = format!("{}:{}", docker_registry.parent().unwrap().display(), fixture.options.environment["PATH"]);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    assert!(fixture.out("app-amd64.json").contains("\"completed\""));
    let writes: Vec<_> =
        proxy.seen().into_iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(!proxy.seen().iter().any(|seen| seen.header("authorization").is_some()));
    assert_eq!(proxy.count("GET", "/manifests/base-"), 0, "what this run builds is asked for inside the job alone");
}

#[test]
fn without_a_registry_to_start_it_says_what_to_do() {
    let (fixture, _proxy) = check_run();
    let bin = fixture.options.checkout.parent().unwrap().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(builders::tool("buildah"), bin.join("buildah")).unwrap();
    let built = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", &bin).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert_eq!(built.status.code(), Some(6), "{said}");
    assert!(said.contains("apt-get install --no-install-recommends docker-registry"), "{said}");
    assert!(!Path::new(&fixture.options.out.join("app-amd64.json")).exists());
}

/// A `PATH` with this script in front, called `registry`.
fn with_registry(fixture: &Fixture, script: &str) -> String {
    let file = fixture.file("bin/text", script);
    let bin = file.parent().unwrap();
    super::kaniko::install(&file, &bin.join("registry"));
    format!("{}:{}", bin.display(), fixture.options.environment["PATH"])
}

fn left_behind(fixture: &Fixture) -> Vec<std::ffi::OsString> {
    let names = std::fs::read_dir(&fixture.options.out).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".registry-")).collect()
}

#[test]
fn a_registry_of_somebody_else_is_not_taken_for_its_own() {
    let (fixture, _proxy) = check_run();
    // At first another registry listens on the port, and the one that was started ends.
    let (real, dir) = (builders::tool("docker-registry"), fixture.options.checkout.join("bin"));
    let script = format!(
        "#!/bin/sh\ncd '{}'; [ ! -e foreign.yml ] || exec '{real}' \"$@\"\n\
         sed 's/,\"headers\":{{[^}}]*}}//' \"$2\" > foreign.yml\n'{real}' serve foreign.yml & sleep 2; exit 1\n",
        dir.display(),
        real = real.display()
    );
    let path = with_registry(&fixture, &script);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", path).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let foreign: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("foreign.yml")).unwrap()).unwrap();
    assert!(foreign["http"]["headers"].is_null(), "{foreign}");
    let address = foreign["http"]["addr"].as_str().unwrap().to_owned();
    assert!(!fixture.out("app-amd64.json").contains(&address), "pushed to somebody else's registry");
    assert_eq!(left_behind(&fixture), [""; 0]);
}

#[test]
fn a_signal_ends_the_wait_for_the_registry() {
    let (fixture, _proxy) = check_run();
    let path = with_registry(&fixture, "#!/bin/sh\nexec sleep 60\n");
    let mut hephy = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", path).spawn().unwrap();
    while left_behind(&fixture).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let started = std::time::Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&hephy), rustix::process::Signal::TERM).unwrap();
    assert_eq!(hephy.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(left_behind(&fixture), [""; 0]);
}

#[test]
fn jobs_for_single_images_share_a_directory_and_no_registry() {
    let (mut fixture, _proxy) = check_run();
    fixture.image("other", BASE);
    fixture.write_plan();
    let docker_registry = builders::tool("docker-registry");
    let path = format!("{}:{}", docker_registry.parent().unwrap().display(), fixture.options.environment["PATH"]);
    let job = |image: &str| {
        let mut hephy = fixture.hephy(&["build", "--arch", "amd64", "--image", image]);
        hephy.env("PATH", &path).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    for job in ["app", "other"].map(job) {
        let ended = job.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert_eq!(left_behind(&fixture), [""; 0]);
}

#[test]
fn what_several_images_are_built_on_is_copied_once_and_only_for_this_platform() {
    let (mut fixture, proxy) = check_run();
    let second = hephy::plan::PlannedImage { name: "second".parse().unwrap(), ..fixture.plan.images[1].clone() };
    let tools = second.dependencies.iter().find(|edge| edge.name.as_str() == "tools").unwrap().clone();
    let mut second = hephy::plan::PlannedImage { dependencies: vec![tools.clone()], ..second };
    let own = |arch: &String| (arch.clone(), Tag::parse(&format!("second-{arch}")).unwrap());
    second.arch_tags = second.arch_tags.keys().map(own).collect();
    // For arm64 it is built on one that nobody has.
    let DependencyFrom::Published { tag, digest } = tools.from.clone() else { panic!("{tools:?}") };
    let absent = DependencyFrom::Published { tag, digest: hephy::oci::Digest::of(b"nobody") };
    let platforms = vec![hephy::oci::Platform::parse("linux/arm64").unwrap()];
    second.dependencies.push(hephy::plan::PlannedDependency { from: absent, platforms, ..tools });
    second.dockerfile = "Dockerfile".into();
    fixture.plan.images.push(second);
    fixture.write_plan();
    let docker_registry = builders::tool("docker-registry");
    let path = format!("{}:{}", docker_registry.parent().unwrap().display(), fixture.options.environment["PATH"]);
    let built = fixture.hephy(&["build", "--arch", "amd64"]).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(!said.contains("does not exist"), "{said}");
    // Once to see what it is, once to copy it.
    assert_eq!(proxy.count("GET", &format!("/manifests/{digest}")), 2, "{said}");
}
