//! Layer caches in the registry (specification §12): what an earlier build executed is not executed again, check runs
//! only read, architectures stay apart, and a cache that is missing or broken fails nothing.
//!
//! A step that writes something new each time tells whether it was executed: the image has it.

use std::collections::BTreeMap;
use std::time::Duration;

use hephy::config::BackendName;
use hephy::oci::{Platform, Tag};
use hephy::plan::{Mode, PlannedCache};
use hephy::result::{BuildResult, Status};

use super::{Fixture, argument, kaniko, kaniko_run, others};
use crate::support::builders;
use crate::support::proxy::{Action, Proxy};

/// Two steps whose results differ each time that they are executed.
const RANDOM: &str = "FROM scratch AS one\nCOPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cat /proc/sys/kernel/random/uuid > /first\"]\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"cat /proc/sys/kernel/random/uuid > /second\"]\n";

fn cache_in(repository: &str) -> PlannedCache {
    let tag = |arch: &str| (arch.to_owned(), Tag::parse(&format!("_cache.app.{arch}.0123")).unwrap());
    PlannedCache {
        repository: repository.to_owned(),
        tags: ["386", "amd64", "arm64"].map(tag).into(),
        ttl_seconds: Some(3600),
        read: true,
    }
}

/// An image with random steps and a cache.
fn prepared(mut fixture: Fixture, repository: Option<&str>) -> Fixture {
    let repository = repository.unwrap_or(fixture.registry()).to_owned();
    fixture.image("app", RANDOM).cache = Some(cache_in(&repository));
    fixture
}

/// The builders without Kaniko, which works in a container of its own.
fn fixture(backend: BackendName) -> Fixture {
    match backend {
        BackendName::Buildkit => others::buildkit(),
        _ => Fixture::new(backend),
    }
}

/// Builds once, as a job that starts with nothing does.
fn build(fixture: &Fixture, backend: BackendName) -> BuildResult {
    match backend {
        BackendName::Kaniko => {
            let executor = std::env::var_os("HEPHY_TEST_KANIKO").unwrap();
            let left = kaniko::run_inside(fixture, std::path::Path::new(&executor));
            assert_eq!(left.failure(), None);
            left.results.into_iter().next().unwrap()
        }
        BackendName::Buildkit => {
            let pruned = std::process::Command::new(builders::tool("buildctl"))
                .args(["prune", "--all"])
                .env("BUILDKIT_HOST", builders::buildkit())
                .output()
                .unwrap();
            assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
            fixture.build().remove(0)
        }
        _ => fixture.build().remove(0),
    }
}

/// What the random steps wrote.
fn steps(fixture: &Fixture, result: &BuildResult) -> [Vec<u8>; 2] {
    ["first", "second"].map(|path| fixture.read(result, path))
}

/// Steps of the second build that were executed again: those whose result differs.
fn executed_again(backend: BackendName) -> usize {
    let fixture = prepared(fixture(backend), None);
    let first = steps(&fixture, &build(&fixture, backend));
    let second = steps(&fixture, &build(&fixture, backend));
    first.iter().zip(&second).filter(|(first, second)| first != second).count()
}

#[test]
fn buildah_executes_no_step_twice() {
    assert_eq!(executed_again(BackendName::Buildah), 0);
}

#[test]
fn buildkit_executes_no_step_twice() {
    assert_eq!(executed_again(BackendName::Buildkit), 0);
}

#[test]
fn kaniko_executes_no_step_twice() {
    let Some(_) = kaniko::executor("build::cache::kaniko_executes_no_step_twice") else { return };
    assert_eq!(executed_again(BackendName::Kaniko), 0);
}

/// Builds, builds anew, and builds with the cache again: whether the second build executed every step, and whose results
/// the third one has (the first or the second build's).
fn anew(backend: BackendName) -> (bool, usize) {
    let mut fixture = prepared(fixture(backend), None);
    let mut build = |read: bool| {
        fixture.plan.images[0].cache.as_mut().unwrap().read = read;
        steps(&fixture, &build(&fixture, backend))
    };
    let [first, second, third] = [true, false, true].map(&mut build);
    let executed = first.iter().zip(&second).all(|(first, second)| first != second);
    (executed, 1 + [first, second].iter().position(|earlier| *earlier == third).unwrap())
}

#[test]
fn buildah_executes_every_step_anew_and_keeps_the_results() {
    assert_eq!(anew(BackendName::Buildah), (true, 2));
}

#[test]
fn buildkit_executes_every_step_anew_and_keeps_the_results() {
    assert_eq!(anew(BackendName::Buildkit), (true, 2));
}

/// It reads whatever it writes, so it builds without a cache.
#[test]
fn kaniko_executes_every_step_anew_and_keeps_none() {
    let Some(_) = kaniko::executor("build::cache::kaniko_executes_every_step_anew_and_keeps_none") else { return };
    assert_eq!(anew(BackendName::Kaniko), (true, 1));
}

#[test]
fn without_a_cache_every_step_is_executed() {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    fixture.plan.images[0].cache = None;
    let [first, second] = [0, 1].map(|_| steps(&fixture, &build(&fixture, BackendName::Buildah)));
    assert!(first[0] != second[0] && first[1] != second[1]);
}

#[test]
fn a_lifetime_that_is_over_has_the_steps_executed() {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    let first = steps(&fixture, &build(&fixture, BackendName::Buildah));
    fixture.plan.images[0].cache.as_mut().unwrap().ttl_seconds = Some(1);
    std::thread::sleep(Duration::from_millis(1500));
    let second = steps(&fixture, &build(&fixture, BackendName::Buildah));
    assert!(first[0] != second[0] && first[1] != second[1]);
}

/// A check run that finds the cache of the default branch behind a registry which refuses every write: steps executed
/// again, writes tried.
fn check_run(backend: BackendName) -> (usize, usize) {
    check_run_in(fixture(backend))
}

fn check_run_in(fixture: Fixture) -> (usize, usize) {
    let backend = fixture.backend();
    let build = |fixture: &Fixture| match backend {
        BackendName::Kaniko => fixture.build().remove(0),
        _ => build(fixture, backend),
    };
    let mut fixture = prepared(fixture, None);
    let first = steps(&fixture, &build(&fixture));
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.method.as_str() {
        "GET" | "HEAD" => Action::Forward,
        _ => Action::error(403, "DENIED", "this job may not write"),
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.images[0].cache = Some(cache_in(&format!("{}/{repository}", proxy.address)));
    fixture.plan.mode = Mode::Check;
    let second = steps(&fixture, &build(&fixture));
    let writes = proxy.seen().into_iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").count();
    let again = first.iter().zip(&second).filter(|(first, second)| first != second).count();
    assert!(proxy.seen().len() > 1, "the cache was asked");
    (again, writes)
}

#[test]
fn a_check_run_of_buildah_reads_the_cache_and_does_not_write_it() {
    assert_eq!(check_run(BackendName::Buildah), (0, 0));
}

#[test]
fn a_check_run_of_kaniko_reads_the_cache_and_does_not_write_it() {
    let test = "build::cache::a_check_run_of_kaniko_reads_the_cache_and_does_not_write_it";
    let Some(executor) = kaniko::executor(test) else { return };
    assert_eq!(check_run_in(kaniko_run::fixture(&executor)), (0, 0));
    // Nor what was not there to be read.
    let fixture = kaniko_run::fixture(&executor);
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |_| Action::Forward);
    let mut fixture = prepared(fixture, Some(&format!("{}/never-written", proxy.address)));
    fixture.plan.mode = Mode::Check;
    fixture.build();
    let writes = proxy.seen().into_iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").count();
    assert_eq!((writes, proxy.seen().is_empty()), (0, false));
}

#[test]
fn a_check_run_of_buildkit_reads_the_cache_and_does_not_write_it() {
    assert_eq!(check_run(BackendName::Buildkit), (0, 0));
}

/// Every answer of the cache's registry is this one; the build goes on.
fn survives(backend: BackendName, status: u16) {
    let proxy = Proxy::start(builders::registry().parse().unwrap(), move |_| Action::error(status, "DENIED", "no"));
    let fixture = prepared(fixture(backend), Some(&format!("{}/cache", proxy.address)));
    let result = build(&fixture, backend);
    assert_eq!((result.status, result.attempts), (Status::Completed, 1), "{backend} {status}");
    assert!(!proxy.seen().is_empty());
}

#[test]
fn a_cache_that_refuses_everything_fails_no_build_of_buildah() {
    survives(BackendName::Buildah, 403);
    survives(BackendName::Buildah, 404);
}

#[test]
fn a_cache_that_refuses_everything_fails_no_build_of_kaniko() {
    let test = "build::cache::a_cache_that_refuses_everything_fails_no_build_of_kaniko";
    let Some(_) = kaniko::executor(test) else { return };
    survives(BackendName::Kaniko, 403);
    survives(BackendName::Kaniko, 404);
}

/// The registry serves other bytes than a layer of the cache has; the image is built all the same.
fn survives_other_bytes(backend: BackendName) {
    let mut fixture = prepared(fixture(backend), None);
    build(&fixture, backend);
    let proxy = Proxy::start(builders::registry().parse().unwrap(), |seen| match seen.is("GET", "/blobs/") {
        true => Action::Corrupt,
        false => Action::Forward,
    });
    let repository = fixture.registry().split_once('/').unwrap().1.to_owned();
    fixture.plan.images[0].cache = Some(cache_in(&format!("{}/{repository}", proxy.address)));
    assert_eq!(build(&fixture, backend).status, Status::Completed, "{backend}");
    assert!(proxy.seen().iter().any(|seen| seen.is("GET", "/blobs/")), "a layer was asked for");
}

#[test]
fn a_cache_with_other_bytes_fails_no_build_of_buildah() {
    survives_other_bytes(BackendName::Buildah);
}

#[test]
fn a_cache_with_other_bytes_fails_no_build_of_kaniko() {
    let test = "build::cache::a_cache_with_other_bytes_fails_no_build_of_kaniko";
    let Some(_) = kaniko::executor(test) else { return };
    survives_other_bytes(BackendName::Kaniko);
}

#[test]
fn a_cache_that_refuses_writes_fails_no_build_of_buildkit() {
    // The daemon's own configuration decides which hosts it speaks plain HTTP with; a repository that does not take
    // writes is as good a refusal.
    let fixture = prepared(others::buildkit(), Some("127.0.0.1:1/cache"));
    let result = build(&fixture, BackendName::Buildkit);
    assert_eq!((result.status, result.attempts), (Status::Completed, 1));
}

/// Buildah, but a build with a cache ends badly and says this.
fn with_a_cache_that_says(words: &str) -> Fixture {
    let mut fixture = prepared(fixture(BackendName::Buildah), None);
    let buildah = builders::tool("buildah").display().to_string();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--cache-from*) echo '--> Pushing cache x'; echo '{words}' >&2; exit 125 ;; esac\n\
         exec {buildah} \"$@\"\n"
    );
    let bin = fixture.file("bin/text", script).parent().unwrap().to_owned();
    kaniko::install(&bin.join("text"), &bin.join("buildah"));
    let path = format!("{}:{}", bin.display(), fixture.options.environment["PATH"]);
    fixture.options.environment.insert("PATH".into(), path);
    fixture
}

/// What was told of attempts.
fn told(fixture: &Fixture) -> Vec<String> {
    let events = fixture.events.lock().unwrap();
    let of_ours = |line: &&String| ["started", "retry", "note"].iter().any(|start| line.starts_with(start));
    events.iter().filter(of_ours).map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

const AGAIN: &str = "note app failed with its layer cache, and is built once more without";

#[test]
fn the_log_has_the_build_with_the_cache_and_the_one_without() {
    let fixture = with_a_cache_that_says("Error: the cache is odd");
    assert_eq!(build(&fixture, BackendName::Buildah).status, Status::Completed);
    assert_eq!(told(&fixture), ["started app buildah 1", AGAIN]);
    let log = fixture.out("logs/app-amd64.log");
    let (with, without) = log.split_once("hephy: once more, without the layer cache\n").expect(&log);
    assert!(with.contains("the cache is odd") && without.contains("STEP 1/4"), "{log}");
}

#[test]
fn a_cache_that_is_busy_has_its_waits_before_it_is_left_alone() {
    let mut fixture = with_a_cache_that_says("Error: toomanyrequests: rate limit");
    fixture.options.retries = 1;
    let result = build(&fixture, BackendName::Buildah);
    assert_eq!((result.status, result.attempts), (Status::Completed, 2));
    let retried = "retry app 1 registry_error";
    assert_eq!(told(&fixture), ["started app buildah 1", retried, "started app buildah 2", AGAIN]);
    assert_eq!(fixture.out("logs/app-amd64.log").matches("toomanyrequests").count(), 2);
}

#[test]
fn architectures_stay_apart() {
    for backend in [BackendName::Buildah, BackendName::Buildkit, BackendName::Kaniko] {
        let mut fixture = match (backend, kaniko::executor("build::cache::architectures_stay_apart")) {
            (BackendName::Kaniko, Some(executor)) => kaniko_run::fixture(&executor),
            (BackendName::Kaniko, None) => continue,
            _ => fixture(backend),
        };
        let repository = fixture.registry().to_owned();
        let image = fixture.image("app", "FROM scratch\nCOPY Dockerfile /text\nENV A=b\n");
        image.cache = Some(cache_in(&repository));
        image.platforms = ["linux/amd64", "linux/arm64"].map(|text| Platform::parse(text).unwrap()).to_vec();
        fixture.options.cross = true;
        let mut found = BTreeMap::new();
        for arch in ["amd64", "arm64", "amd64"] {
            fixture.options.platform = Platform::from_arch(arch).unwrap();
            let result = fixture.build().remove(0);
            let (_, config) = fixture.contents(&result);
            found.insert(arch, config["architecture"].as_str().unwrap().to_owned());
        }
        assert_eq!(found, BTreeMap::from([("amd64", "amd64".to_owned()), ("arm64", "arm64".to_owned())]), "{backend}");
    }
}

/// What an earlier stage executed is kept for its architecture alone, whatever the base: with `FROM scratch` nothing in
/// the text of the file tells architectures apart.
#[test]
fn no_architecture_gets_a_step_of_another_from_kaniko() {
    let test = "build::cache::no_architecture_gets_a_step_of_another_from_kaniko";
    let Some(executor) = kaniko::executor(test) else { return };
    let mut fixture = kaniko_run::fixture(&executor);
    let repository = fixture.registry().to_owned();
    let image = fixture.image("app", &format!("{RANDOM}FROM scratch\nCOPY --from=one /first /first\n"));
    image.cache = Some(cache_in(&repository));
    image.platforms = ["linux/amd64", "linux/386"].map(|text| Platform::parse(text).unwrap()).to_vec();
    fixture.options.cross = true;
    // A machine that builds for amd64 runs the programs of both.
    let [wide, narrow, again] = ["amd64", "386", "amd64"].map(|arch| {
        fixture.options.platform = Platform::from_arch(arch).unwrap();
        let result = fixture.build().remove(0);
        assert_eq!(fixture.contents(&result).1["architecture"], arch);
        fixture.read(&result, "first")
    });
    assert_eq!(wide, again, "the cache is used");
    assert_ne!(wide, narrow);
}

/// Builds with a cache, lets `change` change what it is built from, and builds again.
fn changed(
    test: &str,
    dockerfile: &str,
    ignore: &str,
    change: impl Fn(&mut Fixture),
) -> Option<(Fixture, BuildResult)> {
    let executor = kaniko::executor(&format!("build::cache::{test}"))?;
    let mut fixture = kaniko_run::fixture(&executor);
    let repository = fixture.registry().to_owned();
    let image = fixture.image("app", dockerfile);
    image.cache = Some(cache_in(&repository));
    image.build_args.push(argument("A", "one"));
    fixture.file("app/.dockerignore", ignore);
    fixture.file("app/data/text", "old");
    fixture.build();
    change(&mut fixture);
    let result = fixture.build().remove(0);
    Some((fixture, result))
}

#[test]
fn a_changed_file_of_another_stage_counts_though_the_ignore_file_leaves_out_everything_else() {
    // The files of another stage are none of the build context.
    let dockerfile = "FROM scratch AS one\nCOPY data/text /text\nFROM scratch\nCOPY busybox /bin/busybox\n\
        COPY --from=one /text /text\nRUN [\"/bin/busybox\", \"cp\", \"/text\", \"/seen\"]\n";
    let change = |fixture: &mut Fixture| drop(fixture.file("app/data/text", "new"));
    let Some((fixture, result)) = changed(
        "a_changed_file_of_another_stage_counts_though_the_ignore_file_leaves_out_everything_else",
        dockerfile,
        "*\n!busybox\n!data\n",
        change,
    ) else {
        return;
    };
    assert_eq!(fixture.read(&result, "seen"), b"new");
}

#[test]
fn a_changed_argument_in_a_path_counts() {
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nARG A\nWORKDIR /$A/here\n";
    let change = |fixture: &mut Fixture| fixture.plan.images[0].build_args = vec![argument("A", "two")];
    let Some((fixture, result)) = changed("a_changed_argument_in_a_path_counts", dockerfile, "", change) else {
        return;
    };
    let (paths, config) = fixture.contents(&result);
    assert_eq!(config["config"]["WorkingDir"], "/two/here");
    assert!(paths.iter().any(|path| path.trim_matches('/') == "two/here"), "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains("one/here")), "{paths:?}");
}

#[test]
fn a_changed_mounted_file_counts() {
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n\
        RUN --mount=type=bind,source=data,target=/mnt busybox cp /mnt/text /seen\n";
    let change = |fixture: &mut Fixture| drop(fixture.file("app/data/text", "new"));
    let Some((fixture, result)) = changed("a_changed_mounted_file_counts", dockerfile, "", change) else { return };
    assert_eq!(fixture.read(&result, "seen"), b"new");
}

#[test]
fn a_changed_archive_counts() {
    let archive = |text: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "text", text.as_bytes()).unwrap();
        tar.into_inner().unwrap()
    };
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nADD data/a.tar /unpacked/\n\
        RUN [\"/bin/busybox\", \"cp\", \"/unpacked/text\", \"/seen\"]\n";
    let executor = kaniko::executor("build::cache::a_changed_archive_counts");
    let Some(executor) = executor else { return };
    let mut fixture = kaniko_run::fixture(&executor);
    let repository = fixture.registry().to_owned();
    fixture.image("app", dockerfile).cache = Some(cache_in(&repository));
    fixture.file("app/data/a.tar", archive("old"));
    fixture.build();
    fixture.file("app/data/a.tar", archive("new"));
    let result = fixture.build().remove(0);
    assert_eq!(fixture.read(&result, "seen"), b"new");
}

/// Serves a text over plain HTTP that another one may take the place of.
fn changing_text() -> (String, std::sync::Arc<std::sync::Mutex<&'static str>>) {
    use std::io::{Read as _, Write as _};
    let text = std::sync::Arc::new(std::sync::Mutex::new("old"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = text.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let text = *served.lock().unwrap();
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n", text.len());
            let _ = stream.write_all(format!("{head}{text}").as_bytes());
        }
    });
    (address, text)
}

#[test]
fn a_changed_download_counts() {
    for backend in [BackendName::Kaniko, BackendName::Buildah, BackendName::Buildkit] {
        let mut fixture = match (backend, kaniko::executor("build::cache::a_changed_download_counts")) {
            (BackendName::Kaniko, Some(executor)) => kaniko_run::fixture(&executor),
            (BackendName::Kaniko, None) => continue,
            _ => fixture(backend),
        };
        let (address, text) = changing_text();
        let dockerfile = format!(
            "FROM scratch\nCOPY busybox /bin/busybox\nADD http://{address}/text /text\n\
             RUN [\"/bin/busybox\", \"cp\", \"/text\", \"/seen\"]\n"
        );
        let repository = fixture.registry().to_owned();
        fixture.image("app", &dockerfile).cache = Some(cache_in(&repository));
        fixture.build();
        *text.lock().unwrap() = "new";
        let result = fixture.build().remove(0);
        assert_eq!(fixture.read(&result, "seen"), b"new", "{backend}");
        let noted = fixture.events.lock().unwrap().iter().any(|line| line.contains("built without a layer cache"));
        assert_eq!(noted, backend == BackendName::Kaniko, "{backend}");
    }
}
