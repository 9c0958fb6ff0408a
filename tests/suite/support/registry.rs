//! Real registries on free loopback ports, with their data in a temporary directory; they end when dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hephy::oci::{Digest, Platform, Repository, Tag};
use hephy::registry::{By, Client, Manifest, Settings};
use serde_json::json;

/// User and password of [`Kind::Password`].
pub(crate) const USER: (&str, &str) = ("tester", "correct-horse");
/// bcrypt of the password above.
const HTPASSWD: &str = "$2b$04$IPKgEqCuXMrLg7NZQMFq5.FdvPZvA.5yE9T9YbeR3wFQsvQOaZkQG";

/// Which registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's `docker-registry` (distribution 2.8).
    Two,
    /// The same behind Basic authentication.
    Password,
    /// distribution 3.
    Three,
    /// go-containerregistry's, with the referrers API.
    Referrers,
}

/// A running registry.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    child: Child,
    _data: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tool of `hack/install`, or of the `PATH`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let home = std::env::var_os("HEPHY_TOOLS")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/hephy/tools/current")));
    let installed = home.map(|dir| dir.join("bin").join(name)).filter(|path| path.is_file());
    let found = installed.or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
    });
    found.unwrap_or_else(|| panic!("{name} is not installed: run hack/install"))
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::of(Kind::Two)
    }

    pub(crate) fn of(kind: Kind) -> Self {
        Self::run(kind, None)
    }

    /// distribution 2.8 over TLS.
    pub(crate) fn with_tls(certificate: &Path, key: &Path) -> Self {
        Self::run(Kind::Two, Some((certificate, key)))
    }

    fn run(kind: Kind, tls: Option<(&Path, &Path)>) -> Self {
        for _ in 0..5 {
            if let Some(registry) = Self::try_start(kind, tls) {
                return registry;
            }
        }
        panic!("the registry {kind:?} did not start");
    }

    fn try_start(kind: Kind, tls: Option<(&Path, &Path)>) -> Option<Self> {
        // The port is free now; whoever takes it in between makes the registry end at once, and the next is tried.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::Two | Kind::Password => Command::new(tool("docker-registry")),
            Kind::Three => Command::new(tool("registry3")),
            Kind::Referrers => Command::new(tool("referrers-registry")),
        };
        match kind {
            Kind::Referrers => command.arg(address.to_string()),
            _ => {
                let file = data.path().join("config.yml");
                let mut config = json!({
                    "version": "0.1",
                    "log": {"level": "error", "accesslog": {"disabled": true}},
                    "storage": {"filesystem": {"rootdirectory": data.path().join("data")}, "delete": {"enabled": true}},
                    "http": {"addr": address.to_string(), "secret": "test"},
                });
                if let Some((certificate, key)) = tls {
                    config["http"]["tls"] = json!({"certificate": certificate, "key": key});
                }
                if kind == Kind::Password {
                    let users = data.path().join("htpasswd");
                    std::fs::write(&users, format!("{}:{HTPASSWD}\n", USER.0)).unwrap();
                    config["auth"] = json!({"htpasswd": {"realm": "test", "path": users}});
                }
                // JSON is YAML.
                std::fs::write(&file, config.to_string()).unwrap();
                command.arg("serve").arg(file)
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut registry = Self { address, child, _data: data };
        let limit = Instant::now() + Duration::from_secs(20);
        while Instant::now() < limit {
            if registry.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        repository(self.address, path)
    }
}

pub(crate) fn repository(address: SocketAddr, path: &str) -> Repository {
    Repository::parse(&format!("{address}/{path}")).unwrap()
}

/// Settings with short pauses and no credentials.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.policy.first_wait = Duration::from_millis(5);
    settings.policy.longest_wait = Duration::from_millis(40);
    settings.policy.retries = 3;
    settings
}

/// A client as tests want it.
pub(crate) fn client() -> Client {
    Client::new(settings())
}

/// Runs a future on a runtime like hephy's own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

/// Makes the manifest of an image of one small layer, and pushes its blobs; `seed` makes it differ from others.
pub(crate) async fn image(client: &Client, to: &Repository, platform: &Platform, seed: &str) -> Manifest {
    let layer = format!("layer of {seed} for {platform}").into_bytes();
    let mut config = json!({
        "os": platform.os(),
        "architecture": platform.architecture(),
        "config": {"Labels": {"seed": seed}},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    if let Some(variant) = platform.variant() {
        config["variant"] = json!(variant);
    }
    image_of(client, to, &config.to_string(), &layer, json!({})).await
}

/// Pushes configuration and layer, and gives the manifest that has them; `extra` is merged into it.
pub(crate) async fn image_of(
    client: &Client,
    to: &Repository,
    config: &str,
    layer: &[u8],
    extra: serde_json::Value,
) -> Manifest {
    let config_digest = client.upload_blob(to, config.as_bytes()).await.unwrap();
    let layer_digest = client.upload_blob(to, layer).await.unwrap();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}],
    });
    for (key, value) in extra.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
    Manifest::new(&media_type, manifest.to_string().into_bytes())
}

/// Pushes an image under a tag.
pub(crate) async fn push(client: &Client, to: &Repository, platform: &str, name: &str) -> Manifest {
    let manifest = image(client, to, &Platform::parse(platform).unwrap(), name).await;
    client.put_manifest(to, By::Tag(&tag(name)), &manifest).await.unwrap();
    manifest
}
