//! The manifest stage against real registries: specification §9, and the rules of §5 about tags.

mod forward;
mod partial;
mod refused;
mod reused;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hephy::ErrorKind;
use hephy::commands::manifest::{
    Left, Options, Outcome, Published, Results, TagState, check_immutable_tags, file_name, publish, write,
};
use hephy::oci::{Digest, ImageName, Platform, Repository};
use hephy::plan::Plan;
use hephy::registry::{By, Client, Manifest};
use hephy::result::BuildResult;
use serde_json::{Value, json};

use crate::support::proxy::{Action, Proxy, Seen, immutable_tags};
use crate::support::registry::{Kind, Registry, block_on, client, image, image_of, repository, tag};

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// One image of a plan: name, platforms, names of the images that it is built on.
fn planned(name: &str, platforms: &[&str], on: &[&str]) -> Value {
    let arch_tags: BTreeMap<String, String> = platforms
        .iter()
        .map(|it| Platform::parse(it).unwrap().arch())
        .map(|arch| (arch.clone(), format!("{name}-20251015-{arch}")))
        .collect();
    json!({
        "name": name, "dir": name, "input_key": "a".repeat(64),
        "reasons": [{"kind": "requested", "text": "asked for"}],
        "source": {"mode": "local", "root": name}, "backend": "kaniko", "dockerfile": "Dockerfile", "context": ".",
        "target": null, "platforms": platforms, "targets": [],
        "tags": [format!("{name}-20251015"), format!("{name}-latest"), format!("{name}-head")],
        "arch_tags": arch_tags, "build_args": [], "labels": {}, "annotations": {"team": "infra"},
        "bases": [
            {"reference": "golang:1", "line": 1, "digests": {"linux/amd64": Digest::of(b"lends files")}},
            {"reference": "alpine:3.22", "line": 2, "digests": {"linux/amd64": Digest::of(b"base")}, "underlying": true},
        ],
        "dependencies": on.iter().map(|it| json!({"name": it, "via": "depends_on", "from": "plan", "platforms": platforms})).collect::<Vec<_>>(),
        "wave": u32::try_from(on.len()).unwrap(), "ko": null, "manual_images": null,
        "timeout_seconds": null, "retries": null,
    })
}

fn plan(commit: &str, images: &[Value]) -> Plan {
    let time = if commit == OLD { "2025-10-14T08:00:00Z" } else { "2025-10-15T08:00:00Z" };
    serde_json::from_value(json!({
        "version": 1, "id": format!("bld_{}", &commit[..8]), "mode": "publish",
        "source": {"repository": "https://git.example/acme", "commit": commit, "commit_time": time,
                   "ref": "main", "base": null, "event": "push"},
        "date": "20251015", "registry": null, "layout": "single", "comparison": "range",
        "images": images, "unchanged": [], "removed": [], "warnings": [],
    }))
    .unwrap()
}

/// Whether one commit is an ancestor of the other, or the other itself.
type History = fn(&str, &str) -> Option<bool>;

/// History of the tests: OLD, then NEW.
fn is_ancestor(one: &str, other: &str) -> Option<bool> {
    Some((one, other) == (OLD, NEW) || one == other)
}

fn result_of(plan: &Plan, name: &str, platform: &str, digest: Option<&Digest>) -> Value {
    let failed = json!({"code": "build_error", "message": "RUN make exited with 2", "hint": "look at make"});
    json!({
        "version": 1, "plan": plan.id, "commit": plan.source.commit, "image": name, "platform": platform,
        "status": if digest.is_some() { "completed" } else { "failed" }, "tag": format!("{name}-tag"), "input_key": "0", "digest": digest, "media_type": null,
        "size": 1, "backend": "kaniko", "start": "2025-10-15T08:00:00Z", "end": "2025-10-15T08:00:01Z", "attempts": 1,
        "error": if digest.is_some() { Value::Null } else { failed },
    })
}

fn left(value: Value) -> Left {
    Left::Result(Box::new(serde_json::from_value::<BuildResult>(value).unwrap()))
}

struct Stage {
    registry: Registry,
    proxy: Proxy,
    client: Client,
    to: Repository,
}

impl Stage {
    fn start() -> Self {
        Self::with(|_| Action::Forward)
    }

    fn with(rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Self {
        Self::at(Registry::start(), rule)
    }

    fn at(registry: Registry, rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Self {
        let proxy = Proxy::start(registry.address, rule);
        let to = repository(proxy.address, "acme");
        Self { client: client(), to, registry, proxy }
    }

    /// The same registry behind another rule.
    fn behind(self, rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Self {
        Self::at(self.registry, rule)
    }

    /// Pushes every platform of every image and gives their results; `seed` makes them differ from other builds.
    fn built(&self, plan: &Plan, seed: &str) -> Results {
        let mut results = Results::default();
        block_on(async {
            // As a build job would: straight to the registry, not through the proxy.
            let to = self.registry.repository("acme");
            for planned in &plan.images {
                for platform in &planned.platforms {
                    let name = planned.name.as_str();
                    let manifest = image(&self.client, &to, platform, &format!("{seed} {name}")).await;
                    self.client.put_manifest(&to, By::Digest(&manifest.digest), &manifest).await.unwrap();
                    let result = result_of(plan, name, &platform.to_string(), Some(&manifest.digest));
                    results.insert(&planned.name, platform, left(result));
                }
            }
        });
        results
    }

    fn publish(&self, plan: &Plan, results: Results) -> Outcome {
        self.publish_with(plan, results, None, false)
    }

    fn publish_with(&self, plan: &Plan, results: Results, image: Option<&str>, allow_partial: bool) -> Outcome {
        let registry = self.to.to_string();
        let image = image.map(|name| ImageName::parse(name).unwrap());
        let options =
            Options { registry: &registry, images: image.as_slice(), allow_partial, is_ancestor: &is_ancestor };
        block_on(async { publish(&self.client, plan, results, &options).await.unwrap() })
    }

    /// Builds with this seed and publishes, where git tells this of the commits.
    fn publish_in(&self, is_ancestor: History, plan: &Plan, seed: &str) -> Outcome {
        let registry = self.to.to_string();
        let results = self.built(plan, seed);
        let options = Options { registry: &registry, images: &[], allow_partial: false, is_ancestor: &is_ancestor };
        block_on(async { publish(&self.client, plan, results, &options).await.unwrap() })
    }

    fn get(&self, name: &str) -> Option<Manifest> {
        block_on(async { self.client.manifest(&self.to, By::Tag(&tag(name))).await.unwrap() })
    }

    fn tags(&self) -> Vec<String> {
        let mut tags = block_on(async { self.client.tags(&self.to).await.unwrap() });
        // Registries list in an order of their own.
        tags.sort();
        tags
    }
}

fn fail(results: &mut Results, plan: &Plan, name: &str, platform: &str) {
    let (image, at) = (ImageName::parse(name).unwrap(), Platform::parse(platform).unwrap());
    results.insert(&image, &at, left(result_of(plan, name, platform, None)));
}

fn published(outcome: &Outcome) -> Vec<&str> {
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    outcome.published.iter().map(|it| it.image.as_str()).collect()
}

fn states(published: &Published) -> Vec<TagState> {
    published.tags.iter().map(|it| it.state).collect()
}

#[test]
fn an_image_gets_one_index_under_all_its_tags_with_its_annotations() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let outcome = stage.publish(&plan, stage.built(&plan, "a"));
    assert_eq!(published(&outcome), ["curl"]);
    assert_eq!(states(&outcome.published[0]), [TagState::Moved; 3]);
    let digest = &outcome.published[0].digest;
    for name in ["curl-20251015", "curl-latest", "curl-head"] {
        assert_eq!(stage.get(name).unwrap().digest, *digest, "{name}");
    }
    let manifest = stage.get("curl-head").unwrap();
    assert_eq!(manifest.media_type, "application/vnd.oci.image.index.v1+json");
    let index: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|it| it["platform"].clone()).collect();
    assert_eq!(
        platforms,
        [json!({"architecture": "amd64", "os": "linux"}), json!({"architecture": "arm64", "os": "linux"})]
    );
    let base = Digest::of(b"base");
    assert_eq!(
        index["annotations"],
        json!({
            "team": "infra",
            "dev.hephy.input-key": "a".repeat(64),
            "dev.hephy.image": "curl",
            "dev.hephy.bases": json!({"alpine:3.22": {"linux/amd64": base}, "golang:1": {"linux/amd64": Digest::of(b"lends files")}}).to_string(),
            "dev.hephy.tags": r#"["curl-latest","curl-head"]"#,
            "org.opencontainers.image.source": "https://git.example/acme",
            "org.opencontainers.image.revision": NEW,
            "org.opencontainers.image.version": "20251015",
            "org.opencontainers.image.created": "2025-10-15T08:00:00Z",
            "org.opencontainers.image.base.name": "alpine:3.22",
            "org.opencontainers.image.base.digest": base,
        })
    );
}

#[test]
fn a_second_run_writes_nothing_and_each_request_of_the_first_is_needed() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let first = stage.publish(&plan, stage.built(&plan, "a"));
    let count = |method: &str, part: &str| stage.proxy.count(method, part);
    assert_eq!(count("GET", "/v2/acme/manifests/sha256"), 2, "each child once");
    assert_eq!(count("GET", "/blobs/"), 2, "each configuration once");
    assert_eq!(count("GET", "/manifests/curl-"), 3, "each tag is looked at once before");
    assert_eq!(count("PUT", "/manifests/sha256"), 1, "the index by digest");
    assert_eq!(count("PUT", "/manifests/curl-"), 3, "each tag is written once");
    assert_eq!(count("HEAD", "/manifests/curl-"), 3, "each tag is looked at once afterwards");
    assert_eq!(stage.proxy.seen().iter().filter(|it| it.path == "/v2/").count(), 1);
    assert_eq!(stage.proxy.seen().len(), 2 + 2 + 3 + 1 + 3 + 3 + 1);
    let puts: Vec<_> = stage.proxy.seen().into_iter().filter(|it| it.method == "PUT").map(|it| it.path).collect();
    assert!(puts[0].contains("sha256:") && puts[1].ends_with("curl-20251015"), "{puts:?}");

    stage.proxy.clear();
    let second = stage.publish(&plan, stage.built(&plan, "a"));
    assert_eq!(states(&second.published[0]), [TagState::Unchanged; 3]);
    assert_eq!(second.published[0].digest, first.published[0].digest);
    assert!(stage.proxy.seen().iter().all(|it| matches!(it.method.as_str(), "GET" | "HEAD")));
}

#[test]
fn an_image_with_one_platform_gets_its_index_and_all_its_tags() {
    for kind in [Kind::Two, Kind::Three, Kind::Referrers] {
        let stage = Stage::at(Registry::of(kind), |_| Action::Forward);
        let plan = plan(NEW, &[planned("tool", &["linux/arm/v7"], &[])]);
        let outcome = stage.publish(&plan, stage.built(&plan, "a"));
        assert_eq!(published(&outcome), ["tool"], "{kind:?}");
        let index: Value = serde_json::from_slice(&stage.get("tool-head").unwrap().bytes).unwrap();
        assert_eq!(index["manifests"][0]["platform"], json!({"architecture": "arm", "os": "linux", "variant": "v7"}));
    }
}

#[test]
fn nothing_to_build_and_check_runs_publish_nothing_and_succeed() {
    let stage = Stage::start();
    assert!(published(&stage.publish(&plan(NEW, &[]), Results::default())).is_empty());
    let mut check = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    check.mode = hephy::plan::Mode::Check;
    assert!(published(&stage.publish(&check, stage.built(&check, "a"))).is_empty());
    assert!(stage.proxy.seen().is_empty());
}

#[test]
fn a_tag_file_alone_is_resolved_once() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &["linux/amd64"], &[])]);
    let dir = tempfile::tempdir().unwrap();
    let pushed = block_on(crate::support::registry::push(&stage.client, &stage.to, "linux/amd64", "curl-mine"));
    std::fs::write(dir.path().join("curl-amd64.tag"), "curl-mine\n").unwrap();
    stage.proxy.clear();
    let outcome = stage.publish(&plan, Results::read(dir.path(), &plan, &stage.to.to_string()));
    assert_eq!(outcome.published[0].platforms.values().collect::<Vec<_>>(), [&pushed.digest]);
    assert_eq!(stage.proxy.count("GET", "/manifests/curl-mine"), 1);
    assert_eq!(stage.proxy.count("GET", &format!("/manifests/{}", pushed.digest)), 0);
}

#[test]
fn a_builders_index_gives_its_child_and_the_attestations_that_belong_to_it() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &["linux/amd64"], &[])]);
    let (pushed, child, mine) = block_on(async {
        let (client, to) = (&stage.client, &stage.to);
        let child = image(client, to, &Platform::linux_amd64(), "child").await;
        let other = image(client, to, &Platform::parse("linux/arm64").unwrap(), "other").await;
        let statement = |seed: &'static [u8]| image_of(client, to, "{}", seed, json!({}));
        let (mine, theirs) = (statement(b"mine").await, statement(b"theirs").await);
        for manifest in [&child, &other, &mine, &theirs] {
            client.put_manifest(to, By::Digest(&manifest.digest), manifest).await.unwrap();
        }
        let entry = |it: &Manifest, os: &str, arch: &str, of: Option<&Manifest>| {
            let mut entry = json!({"mediaType": it.media_type, "digest": it.digest, "size": it.bytes.len(),
                                   "platform": {"os": os, "architecture": arch}});
            if let Some(of) = of {
                entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
                                              "vnd.docker.reference.digest": of.digest});
            }
            entry
        };
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            entry(&child, "linux", "amd64", None), entry(&other, "linux", "arm64", None),
            entry(&mine, "unknown", "unknown", Some(&child)), entry(&theirs, "unknown", "unknown", Some(&other)),
        ]});
        let index = Manifest::new("application/vnd.oci.image.index.v1+json", index.to_string().into_bytes());
        client.put_manifest(to, By::Digest(&index.digest), &index).await.unwrap();
        (index.digest, child.digest, mine.digest)
    });
    let mut results = Results::default();
    let image = ImageName::parse("curl").unwrap();
    results.insert(&image, &Platform::linux_amd64(), left(result_of(&plan, "curl", "linux/amd64", Some(&pushed))));
    published(&stage.publish(&plan, results));
    let index: Value = serde_json::from_slice(&stage.get("curl-head").unwrap().bytes).unwrap();
    let digests: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|it| it["digest"].clone()).collect();
    assert_eq!(digests, [json!(child), json!(mine)]);
    assert_eq!(index["manifests"][1]["platform"]["os"], "unknown");
}

#[test]
fn an_image_built_elsewhere_is_copied_by_digest_first() {
    let (stage, other) = (Stage::start(), Registry::start());
    let elsewhere = other.repository("vendor/curl");
    let pushed = block_on(crate::support::registry::push(&stage.client, &elsewhere, "linux/amd64", "v1"));
    let mut image = planned("curl", &["linux/amd64"], &[]);
    image["manual_images"] = json!({"amd64": format!("{elsewhere}:v1")});
    let plan = plan(NEW, &[image]);
    let outcome = stage.publish(&plan, Results::default());
    assert_eq!(published(&outcome), ["curl"]);
    assert_eq!(outcome.published[0].platforms.values().collect::<Vec<_>>(), [&pushed.digest]);
}

#[test]
fn what_was_published_is_written_for_other_jobs() {
    let stage = Stage::start();
    let plan = plan(NEW, &[planned("curl", &PLATFORMS, &[])]);
    let outcome = stage.publish(&plan, stage.built(&plan, "a"));
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &outcome).unwrap();
    let path = dir.path().join(file_name(&ImageName::parse("curl").unwrap()));
    assert_eq!(path.file_name().unwrap(), "curl.manifest.json");
    let read: Published = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(read, outcome.published[0]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let error = write(Path::new("/nonexistent"), &outcome).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceError);
}
