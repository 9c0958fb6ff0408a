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
