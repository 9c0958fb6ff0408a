//! The table of preflight against the builders themselves: each construct is built by each of them, and what comes out
//! is compared with what BuildKit makes of it (specification §8).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use hephy::backend::Version;
use hephy::backend::preflight::{Construct, Effect, markdown, objection};
use hephy::commands::build::find_tool;
use hephy::config::{BackendName, Secret, SecretSource};
use hephy::dockerfile::Feature;
use hephy::result::BuildResult;

use super::{Fixture, kaniko, others};
use crate::support::builders;

/// The image that everything is tried in: a shell where Docker expects one.
const SHELL: &str = "FROM scratch AS base\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n";

/// A Dockerfile for each construct, whose image tells whether it was understood.
fn dockerfile(feature: Feature, server: &str, base: &str) -> Option<String> {
    let run = |options: &str, command: &str| format!("{SHELL}RUN {options} {command}\n");
    Some(match feature {
        Feature::HereDocument => format!(
            "{SHELL}ENV WHO=world\nCOPY <<EOF /copied\nhello $WHO \\$WHO\nEOF\nCOPY <<'EOF' /verbatim\nhello $WHO\nEOF\n\
             RUN <<EOF\necho hello $WHO > /ran\nEOF\n"
        ),
        Feature::Link => format!("{SHELL}COPY --link data /data\n"),
        Feature::Chmod => format!("{SHELL}COPY --chmod=741 data /data\n"),
        Feature::Exclude => format!("{SHELL}COPY --exclude=*.md data /data\n"),
        Feature::Parents => format!("{SHELL}COPY --parents data/one.txt /kept/\n"),
        // A wrong sum: an image means that nobody looked.
        Feature::Checksum => format!("{SHELL}ADD --checksum=sha256:{} http://{server}/file /file\n", "0".repeat(64)),
        // A file that is no archive, which BuildKit refuses to unpack.
        Feature::AddUrl => format!("{SHELL}ADD http://{server}/file /file\n"),
        // No repository is there: an image means that nobody looked for one.
        Feature::AddGit => format!("{SHELL}ADD http://{server}/repository.git /repository\n"),
        Feature::Unpack => format!("{SHELL}ADD --unpack=false data.tar /unpacked/\n"),
        Feature::FromPlatform => {
            format!("FROM --platform=linux/arm64 {base} AS other\nFROM scratch\nCOPY --from=other /text /text\n")
        }
        Feature::UserGroup => format!(
            "{SHELL}RUN busybox mkdir -m 777 /made\nUSER 5:6\nCOPY data/one.txt /copied\nRUN busybox touch /made/ran\n"
        ),
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
                let header = entry.header();
                let (mode, uid, gid) = (header.mode().unwrap() & 0o7777, header.uid().unwrap(), header.gid().unwrap());
                image.insert(path, format!("{mode:o} {uid}:{gid} {}", String::from_utf8_lossy(&bytes)));
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
    let mut fixture = match backend {
        BackendName::Buildkit => others::buildkit(),
        BackendName::Docker => others::docker(),
        _ => Fixture::new(backend),
    };
    let base = match feature {
        Feature::FromPlatform => base_for_two_platforms(fixture.registry()),
        _ => String::new(),
    };
    let text = dockerfile(feature, server, &base)?;
    fixture.file("app/data.tar", archive("text", b"in an archive"));
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

/// An archive of one file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// Pushes an image whose only file says which platform it is of.
fn base_for_two_platforms(repository: &str) -> String {
    use crate::support::registry::{block_on, client, image_of, tag};
    use hephy::oci::{Digest, Repository};
    use hephy::registry::{By, Manifest};
    let to = Repository::parse(repository).unwrap();
    let client = client();
    block_on(async {
        let mut children = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let layer = archive("text", architecture.as_bytes());
            let config = serde_json::json!({
                "os": "linux", "architecture": architecture, "config": {},
                "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
            });
            let manifest = image_of(&client, &to, &config.to_string(), &layer, serde_json::json!({})).await;
            client.put_manifest(&to, By::Digest(&manifest.digest), &manifest).await.unwrap();
            children.push(serde_json::json!({
                "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
                "platform": {"os": "linux", "architecture": architecture},
            }));
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
        let index = Manifest::new(media_type, index.to_string().into_bytes());
        client.put_manifest(&to, By::Tag(&tag("two-platforms")), &index).await.unwrap();
    });
    format!("{repository}:two-platforms")
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
            Feature::Parents => Ok(Image::from([("kept/data/one.txt".to_owned(), "644 0:0 one".to_owned())])),
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
    let version = find_tool(BackendName::Buildkit, &others::buildkit().options.environment).unwrap().version;
    assert_eq!(version, Some(version_of("buildkitd")), "the daemon's");
    for feature in Feature::ALL {
        let Some(found) = build(BackendName::Buildkit, feature, &server) else { continue };
        let row = objection(Construct::Dockerfile(feature), BackendName::Buildkit, version);
        // A wrong checksum is to be refused, and what is no repository.
        let fails = row.is_some() || [Feature::Checksum, Feature::AddGit].contains(&feature);
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

/// What feature flags of Kaniko are for, beside the constructs above: owners and modes of directories that an
/// instruction makes on its way, and of the one that an archive is unpacked to.
#[test]
fn kaniko_gives_directories_the_owners_and_modes_that_buildkit_gives() {
    let test = "build::preflight::kaniko_gives_directories_the_owners_and_modes_that_buildkit_gives";
    let Some(executor) = kaniko::executor(test) else { return };
    let mut tar = tar::Builder::new(Vec::new());
    let mut root = tar::Header::new_gnu();
    root.set_entry_type(tar::EntryType::Directory);
    root.set_mode(0o700);
    root.set_uid(7);
    root.set_gid(7);
    root.set_size(0);
    tar.append_data(&mut root, "./", std::io::empty()).unwrap();
    let archive = tar.into_inner().unwrap();
    let dockerfile = format!(
        "{SHELL}RUN busybox mkdir -m 755 /kept\nADD root.tar /kept/\nCOPY --chmod=700 data/one.txt /new/dir/one.txt\n\
         RUN busybox stat -c '%n %a %u:%g' /kept /new /new/dir > /modes\nRUN busybox mkdir -m 777 /made\n\
         USER 5:6\nWORKDIR /work/dir\nRUN busybox stat -c '%n %u:%g' /work /work/dir > /made/owners\n"
    );
    let [buildkit, kaniko] = [BackendName::Buildkit, BackendName::Kaniko].map(|backend| {
        let mut fixture = match backend {
            BackendName::Buildkit => others::buildkit(),
            _ => Fixture::new(backend),
        };
        fixture.image("app", &dockerfile);
        fixture.file("app/root.tar", &archive);
        fixture.file("app/data/one.txt", "one");
        let result = match backend {
            BackendName::Kaniko => kaniko::results_inside(&fixture, &executor).remove(0),
            _ => fixture.build().remove(0),
        };
        ["modes", "made/owners"].map(|path| String::from_utf8(fixture.read(&result, path)).unwrap())
    });
    assert_eq!(kaniko, buildkit);
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
