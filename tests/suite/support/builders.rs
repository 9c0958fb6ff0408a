//! Real builders and a real registry, each started once a test process and on demand, with roots of their own.
//!
//! They end with the test process, however that ends: each is started below a shell that waits for the end of its
//! standard input, a pipe whose other end this process holds. Engines need root: an ordinary user's tests start them
//! through `sudo`, and reach them over a socket of the user's group.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hephy::commands::build::{Fetched, RegistryView};
use hephy::oci::Digest;
use hephy::{Error, ErrorKind, Result};

/// The path of a tool that `hack/install test` brings; a missing one fails the test and says so.
pub(crate) fn tool(name: &str) -> PathBuf {
    let hack = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/install");
    let cache = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"))).unwrap_or_default()
    };
    let tools = std::env::var_os("HEPHY_TOOLS").map_or_else(|| cache().join("hephy/tools"), PathBuf::from);
    let mut path = vec![tools.join("current/bin"), tools.join("emulators/path")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    path.extend(["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from));
    which::which_in(name, Some(std::env::join_paths(path).unwrap()), "/").unwrap_or_else(|_| {
        panic!("{name} is missing and this test needs it: run `{} test`", hack.display());
    })
}

/// A directory that lives as long as the test process, removed by the next one if this one is killed.
fn scratch() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let parent = std::env::temp_dir();
        for entry in std::fs::read_dir(&parent).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix("hephy-suite-");
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let dir = parent.join(format!("hephy-suite-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    })
}

/// Runs its arguments until its standard input ends, then asks them to end too, and removes what only root can.
const SUPERVISE: &str = r#"dir=$1; shift; "$@" </dev/null & child=$!
cat >/dev/null; kill "$child"; wait "$child"; [ -z "$dir" ] || rm -rf "$dir""#;

/// Starts a server that ends with this process.
fn serve(name: &str, program: &Path, args: &[String]) {
    supervise(name, Command::new("sh"), "", program, args);
}

/// The same for an engine, which needs root and leaves files in `dir` that only root can remove.
fn serve_as_root(name: &str, dir: &Path, program: &Path, args: &[String]) {
    let mut shell = as_root();
    shell.arg("sh");
    supervise(name, shell, &dir.display().to_string(), program, args);
}

/// `env` as root, with this process's `PATH` and places: more variables and a command follow.
pub(crate) fn as_root() -> Command {
    let mut command = Command::new(if is_root() { "env" } else { "sudo" });
    if !is_root() {
        command.args(["-n", "env"]);
    }
    command.arg(format!("PATH={}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    for name in ["HOME", "XDG_CACHE_HOME", "HEPHY_TOOLS"] {
        command.args(std::env::var(name).map(|value| format!("{name}={value}")));
    }
    command
}

fn supervise(name: &str, mut shell: Command, dir: &str, program: &Path, args: &[String]) {
    let log = std::fs::File::create(scratch().join(format!("{name}.log"))).unwrap();
    shell.args(["-c", SUPERVISE, "sh", dir]).arg(program).args(args).stdin(Stdio::piped());
    let mut child = shell.stdout(log.try_clone().unwrap()).stderr(log).spawn().expect("a shell, and sudo for users");
    // Held until this process ends: the kernel closes it then.
    std::mem::forget(child.stdin.take());
    std::thread::spawn(move || child.wait());
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn wait_for(name: &str, ready: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !ready() {
        let log = || std::fs::read_to_string(scratch().join(format!("{name}.log"))).unwrap_or_default();
        assert!(Instant::now() < until, "{name} did not start:\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `host:port` of a registry that all tests of this process share: use a repository of your own.
pub(crate) fn registry() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let dir = scratch().join("registry");
        let config = scratch().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\n\
             http: {{addr: \"{host}\"}}\n",
            dir.display().to_string()
        );
        std::fs::write(&config, text).unwrap();
        serve("registry", &tool("docker-registry"), &["serve".into(), config.display().to_string()]);
        wait_for("registry", || TcpStream::connect(&host).is_ok());
        host
    })
}

/// `BUILDKIT_HOST` of a BuildKit that may use [`registry`].
pub(crate) fn buildkit() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let dir = scratch().join("buildkit");
        std::fs::create_dir_all(&dir).unwrap();
        let (socket, config) = (dir.join("socket"), dir.join("config.toml"));
        let text = format!(
            "root = \"{0}/root\"\n[grpc]\naddress = [\"unix://{0}/socket\"]\ngid = {2}\n[worker.oci]\nenabled = true\n\
             snapshotter = \"native\"\nbinary = \"runc\"\n[worker.containerd]\nenabled = false\n\
             [registry.\"{1}\"]\nhttp = true\n",
            dir.display(),
            registry(),
            rustix::process::getegid().as_raw()
        );
        std::fs::write(&config, text).unwrap();
        tool("runc");
        serve_as_root("buildkit", &dir, &tool("buildkitd"), &["--config".into(), config.display().to_string()]);
        wait_for("buildkit", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        format!("unix://{}", socket.display())
    })
}

/// `DOCKER_HOST` of a Docker engine without networks.
pub(crate) fn docker() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let dir = scratch().join("docker");
        std::fs::create_dir_all(&dir).unwrap();
        let (socket, at) = (dir.join("socket"), dir.display().to_string());
        let args = [
            "--data-root".to_owned(),
            format!("{at}/data"),
            "--exec-root".into(),
            format!("{at}/exec"),
            "--pidfile".into(),
            format!("{at}/pid"),
            "--host".into(),
            format!("unix://{at}/socket"),
            "--iptables=false".into(),
            "--ip6tables=false".into(),
            "--bridge=none".into(),
            "--group".into(),
            rustix::process::getegid().as_raw().to_string(),
        ];
        serve_as_root("docker", &dir, &tool("dockerd"), &args);
        wait_for("docker", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        format!("unix://{}", socket.display())
    })
}

/// The environment that gives Buildah a storage of its own below `dir`.
pub(crate) fn buildah(dir: &Path) -> (String, String) {
    tool("buildah");
    let config = dir.join("storage.conf");
    let text =
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/storage\"\nrunroot = \"{0}/run\"\n", dir.display());
    std::fs::write(&config, text).unwrap();
    ("CONTAINERS_STORAGE_CONF".into(), config.display().to_string())
}

/// The static busybox of the distribution: the one program in test images.
pub(crate) fn busybox() -> PathBuf {
    let path = tool("busybox");
    let bytes = std::fs::read(&path).unwrap();
    assert!(
        !bytes.windows(15).any(|part| part == b"/lib64/ld-linux"),
        "busybox is not static: run `hack/install test`"
    );
    path
}

/// A real, static program for another architecture: an empty `main`, compiled by Go.
pub(crate) fn foreign_program(goarch: &str) -> PathBuf {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = LOCK.lock().unwrap();
    let (dir, program) = (scratch().join("foreign"), scratch().join(format!("foreign/hello-{goarch}.bin")));
    if !program.exists() {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("main.go"), "package main\n\nfunc main() {}\n").unwrap();
        let built = Command::new(tool("go"))
            .args(["build", "-trimpath", "-o"])
            .arg(&program)
            .arg("main.go")
            .current_dir(&dir)
            .envs([("GOARCH", goarch), ("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GO111MODULE", "off")])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    program
}

type Headers = Vec<(String, String)>;

/// A [`RegistryView`] over plain HTTP, independent of hephy's own client.
pub(crate) struct PlainView;

impl PlainView {
    fn get(repository: &str, path: &str, range: Option<usize>) -> std::io::Result<(u16, Headers, Vec<u8>)> {
        let (host, name) = repository.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host)?;
        let range = range.map(|length| format!("Range: bytes=0-{}\r\n", length - 1)).unwrap_or_default();
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, */*";
        // HTTP/1.0: no chunks, and the end of the stream is the end of the answer.
        write!(stream, "GET /v2/{name}/{path} HTTP/1.0\r\nHost: {host}\r\nAccept: {accept}\r\n{range}\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => break,
            }
        }
        let mut body = Vec::new();
        reader.read_to_end(&mut body)?;
        Ok((status, headers, body))
    }

    fn fetch(repository: &str, path: &str, range: Option<usize>) -> Result<(Headers, Vec<u8>)> {
        let failed = |text: String| Error::new(ErrorKind::RegistryError, text);
        match Self::get(repository, path, range).map_err(|error| failed(error.to_string()))? {
            (200 | 206, headers, body) => Ok((headers, body)),
            (404, ..) => Err(Error::new(ErrorKind::NotFound, format!("{repository}/{path} is not there"))),
            (status, ..) => Err(failed(format!("{path} answered {status}"))),
        }
    }
}

impl RegistryView for PlainView {
    fn manifest(&self, repository: &str, reference: &str) -> Result<Fetched> {
        let (headers, bytes) = Self::fetch(repository, &format!("manifests/{reference}"), None)?;
        let media_type = headers.into_iter().find(|(name, _)| name == "content-type").unwrap_or_default().1;
        Ok(Fetched { digest: Digest::of(&bytes), media_type, bytes })
    }

    fn blob(&self, repository: &str, digest: &Digest, limit: usize) -> Result<Vec<u8>> {
        let (_, bytes) = Self::fetch(repository, &format!("blobs/{digest}"), None)?;
        assert!(bytes.len() <= limit);
        Ok(bytes)
    }

    fn blob_prefix(&self, repository: &str, digest: &Digest, length: usize) -> Result<Vec<u8>> {
        Ok(Self::fetch(repository, &format!("blobs/{digest}"), Some(length))?.1)
    }

    fn copy(&self, from: &str, to: &str, digest: &Digest) -> Result<()> {
        let [from, to] = [from, to].map(|text| hephy::oci::Repository::parse(text).unwrap());
        super::registry::block_on(async { super::registry::client().copy_index(&from, &to, digest).await })
    }
}
