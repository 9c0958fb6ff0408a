//! The comparison with what is published: `hephy plan` of a push, against a registry that takes its time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hephy::oci::Digest;
use serde_json::{Value, json};

use crate::measure::{Times, run};
use crate::plan::Repository;
use crate::report::{Report, milliseconds};
use crate::support::proxy::{Action, Proxy};

const IMAGES: usize = 1_000;
const LATENCY: u64 = 20;
const ROUNDS: usize = 5;

pub(crate) fn measure(report: &mut Report) {
    report.section("published", "Comparison with what is published");
    report.text(
        "`hephy plan` of a push with 1,000 image directories, from start to end, against a stand-in of a registry on \
         loopback that has an index of each image and answers 20 ms later. 60 images were published from another input. \
         The registry is asked once an image.",
    );
    let repository = Repository::new(IMAGES, 60);
    let indexes: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    let known = Arc::clone(&indexes);
    let answer = move |path: &str| {
        let tag = path.split("/manifests/").nth(1)?;
        known.lock().unwrap().get(tag).cloned()
    };
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let proxy = Proxy::listen("127.0.0.1:0", nowhere, Duration::from_millis(LATENCY), move |seen| {
        let kind = ("Content-Type".to_owned(), "application/vnd.oci.image.index.v1+json".to_owned());
        match answer(&seen.path) {
            Some(index) => Action::Answer(200, vec![kind], index),
            None if seen.path == "/v2/" => Action::Answer(200, Vec::new(), b"{}".to_vec()),
            None => Action::error(404, "MANIFEST_UNKNOWN", "unknown"),
        }
    });
    let registry = format!("{}/acme/images", proxy.address);
    let output = repository.push(&registry).stdout(std::process::Stdio::piped()).output().unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = plan["images"].as_array().unwrap();
    assert_eq!(images.len(), IMAGES, "nothing was published");
    for (number, image) in images.iter().enumerate() {
        let index = index(image, number % (IMAGES / 60) == 0);
        indexes.lock().unwrap().insert(format!("{}-head", image["name"].as_str().unwrap()), index);
    }
    let mut times = Times::default();
    let mut requests = 0;
    for _ in 0..ROUNDS {
        proxy.clear();
        times.add(run(&mut repository.push(&registry)));
        requests = proxy.count("GET", "/manifests/");
    }
    report.row(
        &["images", "time", "requests"],
        &[IMAGES.to_string(), milliseconds(times.fastest()), requests.to_string()],
    );
    let seconds = times.fastest().as_secs_f64();
    report.target("`published`, 1,000 images, 20 ms added to each request", "≤ 1.5 s", seconds, 1.5, " s");
    report.target("`published`, requests for 1,000 images", "≤ 1 an image", requests as f64, IMAGES as f64, "");
}

/// The index that hephy would have published of an image.
fn index(image: &Value, differs: bool) -> Vec<u8> {
    let key = if differs { Value::from("0".repeat(64)) } else { image["input_key"].clone() };
    let entry = |platform: &Value| {
        let (os, architecture) = platform.as_str().unwrap().split_once('/').unwrap();
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 500,
            "digest": Digest::of(platform.to_string().as_bytes()),
            "platform": {"os": os, "architecture": architecture},
        })
    };
    let tags: Vec<&Value> = image["tags"].as_array().unwrap().iter().skip(1).collect();
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": image["platforms"].as_array().unwrap().iter().map(entry).collect::<Vec<_>>(),
        "annotations": {
            "dev.hephy.image": image["name"], "dev.hephy.input-key": key,
            "dev.hephy.tags": serde_json::to_string(&tags).unwrap(),
            "org.opencontainers.image.revision": "0".repeat(40),
        },
    })
    .to_string()
    .into_bytes()
}
