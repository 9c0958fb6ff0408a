//! `hephy manifest` against a loop of `crane index append` and `crane tag`.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hephy::oci::{Digest, Repository};
use hephy::plan::Plan;
use hephy::registry::By;
use hephy::result::BuildResult;
use serde_json::json;

use crate::measure::{Times, alternately, command, ratio, run};
use crate::project::Project;
use crate::report::{Report, milliseconds};
use crate::support::builders::tool;
use crate::support::proxy::{Action, Proxy, Seen, exchange};
use crate::support::registry::{Registry, block_on, client, image, repository};

const IMAGES: usize = 50;
const ROUNDS: usize = 2;
/// Enough to keep a registry busy.
const CONNECTIONS: usize = 16;
/// More tags of each image, beside its date and `head`.
const ADDITIONAL: [&str; 3] = ["latest", "v1", "v1.2"];
/// Method, part of the path, name, and why there is such a request.
const KINDS: [(&str, &str, &str, &str); 6] = [
    ("GET", "/manifests/sha256:", "a child's manifest", "what a build job says is not believed: digest, size, type"),
    ("GET", "/blobs/", "a child's configuration", "the platform that the image is really for"),
    ("GET", "/manifests/", "a tag, before", "no tag goes back in time, and one that is right is not written"),
    ("PUT", "/manifests/sha256:", "the index by digest", "tags move only when what they will point at is there"),
    ("PUT", "/manifests/", "a tag", "the tag"),
    ("HEAD", "/manifests/", "a tag, afterwards", "no registry compares and swaps: another run may have written since"),
];

pub(crate) fn measure(report: &mut Report) {
    report.section("manifest", "The manifest stage");
    report.text(
        "`hephy manifest`, from start to end, for 50 images × 2 platforms, each with its date tag, `head` and 3 \
         additional tags, against a loop that calls, for each image, `crane index append` once and `crane tag` 3 times \
         (and so writes one tag less). Both go to the same registry through the same proxy on loopback, which adds \
         the latency to every answer and counts the requests; each round has a new, empty registry. The children are \
         there before.",
    );
    let mut last = Vec::new();
    let (mut limit, mut writes) = (Times::default(), Times::default());
    for latency in [0, 20] {
        let mut cranes = 0;
        let (ours, theirs) = alternately(
            ROUNDS,
            || {
                let world = World::new(latency);
                let time = run(&mut world.project.hephy(&["manifest"]));
                last = world.proxy.seen();
                limit.add(world.registry_alone(&last));
                let written: Vec<Seen> = last.iter().filter(|it| it.method == "PUT").cloned().collect();
                writes.add(world.registry_alone(&written));
                time
            },
            || {
                let world = World::new(latency);
                let time = world.crane();
                cranes = world.proxy.seen().len();
                time
            },
        );
        let times = 1.0 / ratio(&ours, &theirs);
        report.row(
            &["latency", "`hephy manifest`", "its requests", "`crane`", "its requests", "times as fast"],
            &[
                format!("{latency} ms"),
                milliseconds(ours.fastest()),
                last.len().to_string(),
                milliseconds(theirs.fastest()),
                cranes.to_string(),
                format!("{times:.1}"),
            ],
        );
        let what = format!("manifest stage, {latency} ms added to each request");
        report.target_at_least(&what, "≥ 10 × as fast as crane", times, 10.0, " ×");
    }
    count(report, &last);
    report.text(&format!(
        "The registry itself needs {} for these requests when they are sent to it again, over {CONNECTIONS} connections, \
         without proxy and without hephy, and {} for the writes among them: where no latency is added, that is the limit \
         of any client.",
        milliseconds(limit.fastest()),
        milliseconds(writes.fastest())
    ));
}

/// The requests by kind, and why each is made.
fn count(report: &mut Report, seen: &[Seen]) {
    report.text("What hephy asks, and why:");
    let header = ["request", "number", "for each image", "why"];
    let kind_of = |it: &Seen| KINDS.iter().position(|(method, part, ..)| it.is(method, part));
    for (at, (method, _, name, why)) in KINDS.iter().enumerate() {
        let number = seen.iter().filter(|it| kind_of(it) == Some(at)).count();
        let each = number as f64 / IMAGES as f64;
        report.row(&header, &[format!("{method} {name}"), number.to_string(), each.to_string(), (*why).into()]);
    }
    let others: Vec<&Seen> = seen.iter().filter(|it| kind_of(it).is_none()).collect();
    for other in &others {
        let what = format!("{} `{}`", other.method, other.path);
        report.row(&header, &[what, "1".into(), String::new(), "once a run".into()]);
    }
}

/// A registry behind a proxy, and a repository of image directories whose builds are done.
struct World {
    project: Project,
    to: Repository,
    /// What was built: image by image, the platforms' digests.
    built: BTreeMap<String, Vec<Digest>>,
    proxy: Proxy,
    registry: Registry,
}

impl World {
    fn new(latency: u64) -> Self {
        let registry = Registry::start();
        let latency = Duration::from_millis(latency);
        let proxy = Proxy::listen("127.0.0.1:0", registry.address, latency, |_| Action::Forward);
        let to = repository(proxy.address, "acme");
        let project = Project::new();
        for number in 0..IMAGES {
            let dir = format!("image{number:02}");
            let config = format!(
                "use_local_context: true\nplatforms: [linux/amd64, linux/arm64]\nadditional_tags: [{}]\n",
                ADDITIONAL.join(", ")
            );
            project.write(&format!("{dir}/build-config.yaml"), config);
            project.write(&format!("{dir}/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n");
        }
        project.commit();
        project.prepare(&to.to_string(), "kaniko");
        let built = pushed(&project, &registry.repository("acme"));
        proxy.clear();
        Self { project, to, built, proxy, registry }
    }

    /// How long the registry takes to answer these requests again.
    fn registry_alone(&self, requests: &[Seen]) -> Duration {
        let queue = Mutex::new(requests.iter());
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let stream = TcpStream::connect(self.registry.address).unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut connection = BufReader::new(stream);
                    let next = || queue.lock().unwrap().next();
                    while let Some(request) = next() {
                        exchange(&mut connection, request).unwrap();
                    }
                });
            }
        });
        start.elapsed()
    }

    /// The loop, one call after the other.
    fn crane(&self) -> Duration {
        let call = |args: &[&str]| {
            let mut crane = command(tool("crane"), &self.project.root());
            run(crane.args(args))
        };
        let one = |(name, digests): (&String, &Vec<Digest>)| {
            let (to, index) = (&self.to, format!("{}:{name}-crane", self.to));
            let mut append = vec!["index".to_owned(), "append".into(), "-t".into(), index.clone()];
            append.extend(digests.iter().flat_map(|digest| ["-m".to_owned(), format!("{to}@{digest}")]));
            let appended = call(&append.iter().map(String::as_str).collect::<Vec<_>>());
            let tagged = ADDITIONAL.iter().map(|tag| call(&["tag", &index, &format!("{name}-crane-{tag}")]));
            appended + tagged.sum::<Duration>()
        };
        self.built.iter().map(one).sum()
    }
}

/// Leaves what build jobs leave: each platform's image in the registry, and its result in the output directory.
fn pushed(project: &Project, to: &Repository) -> BTreeMap<String, Vec<Digest>> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(project.out("plan.json")).unwrap()).unwrap();
    let client = client();
    let mut built: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
    block_on(async {
        for planned in &plan.images {
            for platform in &planned.platforms {
                let manifest = image(&client, to, platform, planned.name.as_str()).await;
                client.put_manifest(to, By::Digest(&manifest.digest), &manifest).await.unwrap();
                let result = json!({
                    "version": 1, "plan": plan.id, "commit": plan.source.commit, "image": planned.name,
                    "platform": platform, "status": "completed", "tag": planned.arch_tags[&platform.arch()],
                    "input_key": planned.input_key, "digest": manifest.digest, "media_type": manifest.media_type,
                    "size": 1, "backend": "kaniko", "start": "2025-10-15T08:00:00Z", "end": "2025-10-15T08:00:01Z",
                    "attempts": 1, "error": null,
                });
                let file = project.out(&BuildResult::file_name(&planned.name, platform));
                std::fs::write(file, result.to_string()).unwrap();
                built.entry(planned.name.to_string()).or_default().push(manifest.digest);
            }
        }
    });
    built
}
