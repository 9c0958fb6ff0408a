//! `hephy stale` against a loop of `crane digest`.

use std::time::Duration;

use hephy::oci::{Platform, Repository};
use hephy::registry::{By, Client, Manifest};
use serde_json::{Value, json};

use crate::measure::{alternately, command, ratio, run};
use crate::project::Project;
use crate::report::{Report, milliseconds};
use crate::support::builders::tool;
use crate::support::proxy::{Action, Proxy};
use crate::support::registry::{Registry, block_on, client, image, repository, tag};

const IMAGES: usize = 200;
const BASES: usize = 20;
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];
const ROUNDS: usize = 2;

pub(crate) fn measure(report: &mut Report) {
    report.section("stale", "Stale bases");
    report.text(&format!(
        "`hephy stale`, from start to end, for {IMAGES} images on {BASES} bases and {} platforms, against a loop that \
         asks the same questions with crane, each once: `crane manifest` for what is published of each image, and `crane \
         digest --platform` for each base and platform. Everything lies in one registry behind a proxy on loopback, which \
         adds the latency to every answer and counts the requests.",
        PLATFORMS.len()
    ));
    for latency in [0, 20] {
        let world = World::new(latency);
        world.bases.clear();
        run(&mut world.project.hephy(&["stale", "--registry", &world.registry_of_images()]));
        let asked = world.bases.count("GET", "/manifests/");
        let (ours, theirs) = alternately(
            ROUNDS,
            || run(&mut world.project.hephy(&["stale", "--registry", &world.registry_of_images()])),
            || world.crane(),
        );
        let times = 1.0 / ratio(&ours, &theirs);
        report.row(
            &["latency", "`hephy stale`", "its requests for bases", "`crane`", "times as fast"],
            &[
                format!("{latency} ms"),
                milliseconds(ours.fastest()),
                asked.to_string(),
                milliseconds(theirs.fastest()),
                format!("{times:.1}"),
            ],
        );
        let what = format!("`hephy stale`, {latency} ms added to each request");
        report.target_at_least(&what, "≥ 10 × as fast as crane", times, 10.0, " ×");
        let wanted = format!("{BASES}, for all platforms together");
        report.fact("requests of `hephy stale` for bases", &wanted, &asked.to_string(), asked == BASES);
    }
}

/// Images that are published and fresh, their bases behind a proxy of their own.
struct World {
    project: Project,
    images: Proxy,
    bases: Proxy,
    _registry: Registry,
}

impl World {
    fn new(latency: u64) -> Self {
        let registry = Registry::start();
        let latency = Duration::from_millis(latency);
        let proxy = || Proxy::listen("127.0.0.1:0", registry.address, latency, |_| Action::Forward);
        let (images, bases) = (proxy(), proxy());
        let project = Project::new();
        let recorded = block_on(async {
            let (client, to) = (client(), registry.repository("bases"));
            let mut recorded = Vec::new();
            for number in 0..BASES {
                recorded.push(index(&client, &to, &format!("b{number}"), &json!({})).await);
            }
            let to = registry.repository("images");
            for number in 0..IMAGES {
                let base = format!("{}/bases:b{}", bases.address, number % BASES);
                let own = json!({ base.clone(): recorded[number % BASES] }).to_string();
                let name = format!("image{number:03}");
                let key = "0".repeat(64);
                let annotations = json!({"dev.hephy.image": name, "dev.hephy.input-key": key, "dev.hephy.bases": own});
                index(&client, &to, &format!("{name}-head"), &annotations).await;
                let config = format!("use_local_context: true\nplatforms: [{}]\n", PLATFORMS.join(", "));
                project.write(&format!("{name}/build-config.yaml"), config);
                project.write(&format!("{name}/Dockerfile"), format!("FROM {base}\n"));
            }
            recorded
        });
        assert_eq!(recorded.len(), BASES);
        project.commit();
        Self { project, images, bases, _registry: registry }
    }

    fn registry_of_images(&self) -> String {
        repository(self.images.address, "images").to_string()
    }

    /// The loop, one call after the other.
    fn crane(&self) -> Duration {
        let call = |args: &[&str]| run(command(tool("crane"), &self.project.root()).args(args));
        let published = (0..IMAGES)
            .map(|number| call(&["manifest", &format!("{}:image{number:03}-head", self.registry_of_images())]));
        let bases =
            (0..BASES).flat_map(|number| PLATFORMS.map(|platform| (number, platform))).map(|(number, platform)| {
                call(&["digest", "--platform", platform, &format!("{}/bases:b{number}", self.bases.address)])
            });
        published.chain(bases).sum()
    }
}

/// Pushes an index of both platforms under a tag, and gives their digests.
async fn index(client: &Client, to: &Repository, name: &str, annotations: &Value) -> Value {
    let (mut entries, mut digests) = (Vec::new(), json!({}));
    for text in PLATFORMS {
        let platform = Platform::parse(text).unwrap();
        let child = image(client, to, &platform, name).await;
        client.put_manifest(to, By::Digest(&child.digest), &child).await.unwrap();
        digests[text] = json!(child.digest);
        entries.push(json!({
            "mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(),
            "platform": {"os": platform.os(), "architecture": platform.architecture()},
        }));
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let document =
        json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries, "annotations": annotations});
    let made = Manifest::new(media_type, document.to_string().into_bytes());
    client.put_manifest(to, By::Tag(&tag(name)), &made).await.unwrap();
    digests
}
