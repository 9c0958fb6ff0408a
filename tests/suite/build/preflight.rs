//! The table of preflight against the builders themselves: each construct is built by each of them, and what comes out
//! is compared with what BuildKit makes of it (specification §8).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use hephy::backend::Version;
use hephy::backend::preflight::{Construct, Effect, markdown, objection};
use hephy::config::{BackendName, Secret, SecretSource};
use hephy::dockerfile::Feature;
use hephy::result::BuildResult;

use super::{Fixture, kaniko, others};
use crate::support::builders;

/// The image that everything is tried in: a shell where Docker expects one.
const SHELL: &str = "FROM scratch AS base\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n";

/// A Dockerfile for each construct, whose image tells whether it was understood.
fn dockerfile(feature: Feature, server: &str) -> Option<String> {
    let run = |options: &str, command: &str| format!("{SHELL}RUN {options} {command}\n");
    Some(match feature {
        Feature::HereDocument => format!("{SHELL}COPY <<EOF /copied\nhello\nEOF\nRUN <<EOF\necho hello > /ran\nEOF\n"),
        Feature::Link => format!("{SHELL}COPY --link data /data\n"),
        Feature::Chmod => format!("{SHELL}COPY --chmod=741 data /data\n"),
        Feature::Exclude => format!("{SHELL}COPY --exclude=*.md data /data\n"),
        Feature::Parents => format!("{SHELL}COPY --parents data/one.txt /kept/\n"),
        // A wrong sum: an image means that nobody looked.
        Feature::Checksum => format!("{SHELL}ADD --checksum=sha256:{} http://{server}/file /file\n", "0".repeat(64)),
        Feature::BindMount => {
            run("--mount=type=bind,source=data/one.txt,target=/mnt/one", "busybox cat /mnt/one > /seen")
        }
        Feature::BindMountFrom => format!(
            "FROM scratch AS other\nCOPY data /data\n{SHELL}RUN --mount=type=bind,from=other,source=/data,target=/mnt busybox cat /mnt/one.txt > /seen\n"
        ),
        Feature::CacheMount => format!(
            "{SHELL}RUN --mount=type=cache,target=/kept busybox touch /kept/file\nRUN --mount=type=cache,target=/kept busybox ls /kept > /seen\n"
        ),
        Feature::TmpfsMount => {
            run("--mount=type=tmpfs,target=/scratch", "busybox touch /scratch/file && busybox ls /scratch > /seen")
        }
        Feature::SecretMount => run("--mount=type=secret,id=token", "busybox cat /run/secrets/token > /seen"),
        Feature::Shell => format!("{SHELL}SHELL [\"/bin/busybox\", \"sh\", \"-e\", \"-c\"]\nRUN echo $- > /seen\n"),
        Feature::Healthcheck => format!("{SHELL}HEALTHCHECK CMD [\"/bin/busybox\", \"true\"]\n"),
        Feature::Onbuild => format!("{SHELL}ONBUILD RUN echo hello\n"),
        Feature::NoNetwork => run("--network=none", "busybox ls /sys/class/net > /seen 2>/dev/null || true"),
        Feature::Insecure => run("--security=insecure", "busybox true"),
        Feature::HostNetwork => run("--network=host", "busybox true"),
        // Without an agent there is nothing to compare.
        Feature::SshMount => return None,
    })
}

/// What came out: files with mode and content, and the parts of the configuration that constructs write.
type Image = BTreeMap<String, String>;

fn image(fixture: &Fixture, result: &BuildResult) -> Image {
    let (layers, config) = fixture.layers(result);
    let mut image = Image::new();
    for layer in layers {
        let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(layer.as_slice()));
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let path = path.trim_start_matches("./").trim_matches('/').to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            // Directories that builders make on the way differ, and say nothing of the construct.
            // Buildah leaves what it mounted for name resolution, empty.
            let own = path.starts_with("bin/") || path.starts_with("etc/");
            if entry.header().entry_type().is_file() && !own {
                let mode = entry.header().mode().unwrap() & 0o7777;
                image.insert(path, format!("{mode:o} {}", String::from_utf8_lossy(&bytes)));
            }
        }
    }
    for key in ["Healthcheck", "Shell", "OnBuild"] {
        let value = &config["config"][key];
        if !value.is_null() {
            image.insert(format!("config {key}"), value.to_string());
        }
    }
    image
}

/// Builds a construct; none when the builder fails.
fn build(backend: BackendName, feature: Feature, server: &str) -> Option<Result<Image, String>> {
    let text = dockerfile(feature, server)?;
    let mut fixture = match backend {
        BackendName::Buildkit => others::buildkit(),
        BackendName::Docker => others::docker(),
        _ => Fixture::new(backend),
    };
    fixture.file("hephy.yaml", "secrets_files: [token.txt]\n");
    fixture.file("token.txt", "a secret");
    fixture.file("app/data/one.txt", "one");
    fixture.file("app/data/two.md", "two");
    let app = fixture.image("app", &text);
    if feature == Feature::SecretMount && backend != BackendName::Docker {
        app.secrets = vec![Secret { id: "token".into(), source: SecretSource::File("token.txt".into()) }];
    }
    // The builder itself is asked, not what hephy thinks of it.
    fixture.options.preflight = false;
    let results = if backend == BackendName::Kaniko {
        let executor = std::env::var_os("HEPHY_TEST_KANIKO")?;
        kaniko::run_inside_unchecked(&fixture, std::path::Path::new(&executor))
    } else {
        fixture.run().unwrap().results
    };
    let result = results.into_iter().next().unwrap();
    Some(match result.error {
        None => Ok(image(&fixture, &result)),
        Some(error) => Err(format!("{}\n{}", error.message, error.last_lines.join("\n"))),
    })
}

/// Serves one file over plain HTTP to whoever asks.
fn server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello");
        }
    });
    address
}

/// Holds the table against a builder of a version.
fn the_table_is_true(backend: BackendName, version: Version) {
    let server = server();
    let mut wrong = Vec::new();
    for feature in Feature::ALL {
        let Some(found) = build(backend, feature, &server) else { continue };
        let truth = match feature {
            // BuildKit 0.25 has it in another frontend alone, which would have to be fetched.
            Feature::Parents => Ok(Image::from([("kept/data/one.txt".to_owned(), "644 one".to_owned())])),
            _ => build(BackendName::Buildkit, feature, &server).unwrap(),
        };
        let refused_by_buildkit = objection(Construct::Dockerfile(feature), BackendName::Buildkit, None)
            .is_some_and(|row| row.effect == Effect::Fails);
        let row = objection(Construct::Dockerfile(feature), backend, Some(version));
        let same = match (&found, &truth) {
            (Ok(found), Ok(truth)) => found == truth,
            // It asks for a permission that BuildKit is not given; there is nothing to compare with.
            (Ok(_), Err(_)) if refused_by_buildkit => true,
            // What BuildKit refuses is refused.
            (Err(_), Err(_)) => true,
            _ => false,
        };
        let is_true = match row.map(|row| row.effect) {
            None => same,
            Some(Effect::Fails) => found.is_err(),
            Some(Effect::Differs(_)) => found.is_ok() && !same,
            Some(Effect::Warns(_)) => found.is_ok() || truth.is_err(),
        };
        if !is_true {
            wrong.push(format!(
                "{} with {backend}: the table says {row:?}\n  found {found:?}\n  BuildKit {truth:?}",
                feature.text()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_table_is_true_for_buildkit() {
    let server = server();
    for feature in Feature::ALL.into_iter().filter(|feature| *feature != Feature::Parents) {
        let Some(found) = build(BackendName::Buildkit, feature, &server) else { continue };
        let row = objection(Construct::Dockerfile(feature), BackendName::Buildkit, None);
        // A wrong checksum is to be refused.
        let fails = row.is_some() || feature == Feature::Checksum;
        assert_eq!(found.is_err(), fails, "{}: {found:?}", feature.text());
    }
}

#[test]
fn the_table_is_true_for_buildah() {
    the_table_is_true(BackendName::Buildah, version_of("buildah"));
}

#[test]
fn the_table_is_true_for_kaniko() {
    let Some(executor) = kaniko::executor("build::preflight::the_table_is_true_for_kaniko") else { return };
    let said = std::process::Command::new(executor).arg("version").output().unwrap();
    let version = Version::find(&String::from_utf8_lossy(&said.stdout)).unwrap_or(Version(1, 28, 3));
    the_table_is_true(BackendName::Kaniko, version);
}

#[test]
fn the_table_is_true_for_docker() {
    // The engine's classic builder: its client finds no plugin here.
    the_table_is_true(BackendName::Docker, Version(20, 10, 24));
}

fn version_of(program: &str) -> Version {
    let said = std::process::Command::new(builders::tool(program)).arg("--version").output().unwrap();
    Version::find(&String::from_utf8_lossy(&said.stdout)).unwrap()
}

#[test]
fn the_table_in_the_documentation_is_the_tables() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/builders.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("HEPHY_BLESS").is_some() {
        let outside = |line: &&str| !line.starts_with("| construct |");
        let before: Vec<&str> = text.lines().take_while(outside).collect();
        let after = text.lines().skip(before.len()).skip_while(|line| line.starts_with('|'));
        text = format!("{}\n{}{}\n", before.join("\n"), markdown(), after.collect::<Vec<_>>().join("\n"));
        std::fs::write(&path, &text).unwrap();
    }
    assert!(text.contains(&markdown()), "docs/builders.md lacks this table:\n\n{}", markdown());
}
