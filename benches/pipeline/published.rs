//! `hephy plan` compared with what is published: the time of one small question an image.

use std::process::Stdio;
use std::time::Duration;

use hephy::index::{IMAGE, INPUT_KEY};
use hephy::oci::{Digest, ImageName, Platform};
use hephy::plan::Plan;
use hephy::registry::{By, Client, Manifest};
use serde_json::json;

use crate::measure::{alternately, command, hephy, ratio, run};
use crate::project::Project;
use crate::report::{Report, milliseconds};
use crate::support::proxy::{Action, Proxy};
use crate::support::registry::{Registry, block_on, client, image, repository, tag};

const IMAGES: usize = 1_000;
const ROUNDS: usize = 5;
/// Added to every answer of the registry.
const LATENCY: Duration = Duration::from_millis(20);

pub(crate) fn measure(report: &mut Report) {
    report.section("published", "The comparison with what is published");
    report.text(
        "`hephy plan` in a push pipeline of the default branch, 1,000 images, all of them published with the input that \
         they have now. The registry lies behind a proxy on loopback that adds 20 ms to every answer. The floor is one `curl \
         --parallel` that gets the same 1,000 indexes, as many at a time: registry and proxy work on the same cores.",
    );
    let registry = Registry::start();
    let proxy = Proxy::listen("127.0.0.1:0", registry.address, LATENCY, |_| Action::Forward);
    let to = repository(proxy.address, "acme").to_string();
    let project = Project::new();
    for number in 0..IMAGES {
        let dir = format!("images/service-{number:04}");
        project.write(&format!("{dir}/build-config.yaml"), "use_local_context: true\nplatforms: [linux/amd64]\n");
        project.write(&format!("{dir}/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
    }
    project.commit();
    publish(&registry, &plan(&project, &["--all", "--force", "--registry", &to]));
    proxy.clear();
    let compared = plan(&project, &["--registry", &to]);
    assert_eq!((compared.images.len(), compared.unchanged.len()), (0, IMAGES), "{}", compared.comparison);
    let requests = proxy.count("GET", "/manifests/");
    let beside = tempfile::tempdir().unwrap();
    let urls = beside.path().join("urls");
    std::fs::write(&urls, questions(&to, &compared)).unwrap();
    let (times, floor) = alternately(
        ROUNDS,
        || run(&mut project.hephy(&["plan", "--format", "json", "--registry", &to])),
        || run(command("curl", &project.root()).args(CURL).arg(&urls).stdout(Stdio::null())),
    );
    report.row(
        &["images", "`hephy plan`", "requests", "`curl` alone", "ratio"],
        &[
            IMAGES.to_string(),
            milliseconds(times.fastest()),
            requests.to_string(),
            milliseconds(floor.fastest()),
            format!("{:.2}", ratio(&times, &floor)),
        ],
    );
    let seconds = times.fastest().as_secs_f64();
    report.target("`published`, 1,000 images, 20 ms added to each request", "≤ 1.5 s", seconds, 1.5, " s");
    report.target("`published`, requests for an image", "≤ 1", requests as f64 / IMAGES as f64, 1.0, "");
}

/// As many at a time as hephy asks.
const CURL: [&str; 7] =
    ["--silent", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "48", "--config"];

/// Every index that the plan asked for, in the form of curl's configuration.
fn questions(to: &str, plan: &Plan) -> String {
    let (host, path) = to.split_once('/').unwrap();
    let accept = format!("header = \"Accept: {}\"\n", hephy::index::MEDIA_TYPE);
    let one =
        |name: &ImageName| format!("url = \"http://{host}/v2/{path}/manifests/{name}-head\"\noutput = \"/dev/null\"\n");
    accept + &plan.unchanged.iter().map(|image| one(&image.name)).collect::<String>()
}

fn plan(project: &Project, args: &[&str]) -> Plan {
    let all = [&["plan", "--format", "json"], args].concat();
    let output = project.hephy(&all).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}: {}", hephy().display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Gives every image of the plan an index that says what it was built from. They share one child.
fn publish(registry: &Registry, plan: &Plan) {
    let (client, to) = (client(), registry.repository("acme"));
    let platform = Platform::linux_amd64();
    block_on(async {
        let child = image(&client, &to, &platform, "service").await;
        client.put_manifest(&to, By::Digest(&child.digest), &child).await.unwrap();
        for planned in &plan.images {
            put_head(&client, &to, &planned.name, &planned.input_key, &child).await;
        }
    });
}

async fn put_head(client: &Client, to: &hephy::oci::Repository, name: &ImageName, key: &str, child: &Manifest) {
    let index = json!({
        "schemaVersion": 2, "mediaType": hephy::index::MEDIA_TYPE,
        "manifests": [{
            "mediaType": child.media_type, "digest": child.digest, "size": child.bytes.len(),
            "platform": { "os": "linux", "architecture": "amd64" },
        }],
        "annotations": { INPUT_KEY: key, IMAGE: name },
    });
    let index = Manifest::new(hephy::index::MEDIA_TYPE, index.to_string().into_bytes());
    assert_eq!(index.digest, Digest::of(&index.bytes));
    client.put_manifest(to, By::Tag(&tag(&format!("{name}-head"))), &index).await.unwrap();
}
