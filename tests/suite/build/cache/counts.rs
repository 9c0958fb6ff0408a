//! What a cached layer is found by: whatever changes in what a step is made of has it executed again.

use hephy::config::BackendName;
use hephy::result::BuildResult;

use super::super::{Fixture, argument, kaniko, kaniko_run};
use super::{at_hand, cache_in};

/// Builds with a cache, lets `change` change what it is built from, and builds again.
fn changed(
    test: &str,
    dockerfile: &str,
    ignore: &str,
    change: impl Fn(&mut Fixture),
) -> Option<(Fixture, BuildResult)> {
    let executor = kaniko::executor(&format!("build::cache::counts::{test}"))?;
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
    let executor = kaniko::executor("build::cache::counts::a_changed_archive_counts");
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
        let Some(mut fixture) = at_hand(backend, "build::cache::counts::a_changed_download_counts") else { continue };
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
