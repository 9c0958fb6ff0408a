//! The registry that hephy starts for itself, in `hephy run` when none is given and in the build jobs of check runs: a
//! real one, on a loopback port, with its data below the output directory (specification §4). It is the one beside this
//! program, where prepare puts it for build jobs, else one of the `PATH`, else a container.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::ci::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Digest;
use crate::process::daemon::Daemon;
use crate::process::{Command, Interrupt, find};

/// How long a registry may take until it answers. Starting one takes some 100 ms; a container has to be made first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often one is started that ends at once.
const ATTEMPTS: u32 = 3;
/// The header by which a registry shows that it is the one that was started, in lower case.
const SIGN: &str = "x-hephy-registry";
/// How much of an answer is read, in bytes.
const MAX_ANSWER: u64 = 8192;

/// Repository below the registry: what `acme` is in `registry.example/acme`.
const REPOSITORY: &str = "hephy";

/// A registry that is stopped when this is dropped.
#[derive(Debug)]
pub struct LocalRegistry {
    daemon: Daemon,
    port: u16,
    /// Says which registry it is.
    sign: String,
    /// Data that nobody wants any more when the registry has stopped, which comes first.
    _data: Option<tempfile::TempDir>,
}

impl LocalRegistry {
    /// Starts a registry with its data in `data`. `environment` is what hephy runs with: variables that would change
    /// the registry's configuration are kept from it.
    ///
    /// # Errors
    /// When there is no registry to start, when it does not answer, or when a signal came.
    pub fn start(data: &Path, environment: &Env, interrupt: &Interrupt) -> Result<Self> {
        std::fs::create_dir_all(data)
            .map_err(|error| Error::io(format!("{} cannot be made", data.display()), error))?;
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match Self::try_start(data, environment, interrupt)? {
                Ok(registry) => return Ok(registry),
                // Somebody else may have taken the port in between.
                Err(_) if left > 0 => {}
                Err(silent) => return Err(silent),
            }
        }
    }

    /// The same with its data in a directory of its own below `out`, which goes when the registry does: jobs that share
    /// an output directory share nothing else.
    ///
    /// # Errors
    /// As [`LocalRegistry::start`].
    pub fn start_below(out: &Path, environment: &Env, interrupt: &Interrupt) -> Result<Self> {
        let data = tempfile::Builder::new().prefix(super::out_dir::REGISTRY).tempdir_in(out);
        let data = data.map_err(|error| Error::io(format!("{} could not be written", out.display()), error))?;
        match Self::start(data.path(), environment, interrupt) {
            Ok(registry) => Ok(Self { _data: Some(data), ..registry }),
            Err(error) => {
                if error.kind() != ErrorKind::Cancelled {
                    // Its log says why.
                    let _ = data.keep();
                }
                Err(error)
            }
        }
    }

    /// Starts a registry on a port that was free a moment ago; an inner failure when it ended without an answer.
    fn try_start(data: &Path, environment: &Env, interrupt: &Interrupt) -> Result<Result<Self>> {
        let port = free_port()?;
        let now = jiff::Timestamp::now().as_nanosecond();
        let sign = Digest::of(format!("{} {port} {now} {}", std::process::id(), data.display()).as_bytes());
        let sign = sign.hex().to_owned();
        let mut command = command(data, port, &sign)?;
        for name in environment.keys().filter(|name| name.starts_with("REGISTRY_")) {
            command = command.env_remove(name);
        }
        let log = data.join("registry.log");
        let daemon = Daemon::start(&command, &log).map_err(|error| {
            // No step of a Dockerfile failed.
            let failure = Error::new(ErrorKind::RegistryError, "a registry for this job could not be started");
            let hint = error.next_step().to_owned();
            failure.cause(error).hint(hint)
        })?;
        let registry = Self { daemon, port, sign, _data: None };
        Ok(registry.wait(&log, interrupt)?.map(|()| registry))
    }

    /// `host:port/repository`, as `--registry` takes it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}/{REPOSITORY}", self.port)
    }

    /// Leaves the registry running; gives its process id.
    #[must_use]
    pub fn keep(self) -> Option<u32> {
        let id = self.daemon.id();
        self.daemon.detach();
        id
    }

    fn wait(&self, log: &Path, interrupt: &Interrupt) -> Result<Result<()>> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if answers(self.port, &self.sign) {
                return Ok(Ok(()));
            }
            if !self.daemon.is_running() {
                break;
            }
            interrupt.sleep(Duration::from_millis(10))?;
        }
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let last = said.lines().last().map(str::to_owned).unwrap_or_default();
        let silent = Error::new(ErrorKind::RegistryError, "the registry that hephy started does not answer")
            .cause(anyhow::anyhow!("its last words: {}", crate::diagnostic::escape_cut(&last, 300)))
            .hint(format!("all it said is in {}; or name a registry with --registry", log.display()));
        Ok(Err(silent))
    }
}

fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::resource("there is no free loopback port for a registry").cause(error))
}

/// Whether the registry with this sign answers: whatever else listens there is somebody else's.
fn answers(port: u16, sign: &str) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let limit = Duration::from_secs(1);
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let ours = |line: &str| line.split_once(':').is_some_and(|(name, value)| name == SIGN && value.trim() == sign);
        Ok(answer.starts_with("http/1.") && answer.get(8..12) == Some(" 200") && answer.lines().any(ours))
    };
    ask().unwrap_or(false)
}

fn command(data: &Path, port: u16, sign: &str) -> Result<Command> {
    if let Some(program) = beside().or_else(|| find("registry")).or_else(|| find("docker-registry")) {
        let config = data.join("config.yml");
        crate::store::write_whole(&config, configuration(data, port, sign).as_bytes())?;
        // Version 3 would send traces of every request to whatever listens.
        return Ok(Command::new(program).arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none"));
    }
    if let Some(docker) = find("docker") {
        return Ok(container(docker, data, port, sign));
    }
    Err(Error::new(ErrorKind::RegistryError, "there is no registry, and none that could be started here").hint(
        "name one with --registry HOST/REPOSITORY, or install one:\n\
         apt-get install --no-install-recommends docker-registry\n\
         (a build job in an image without one gets it from prepare: HEPHY_BINARIES names a directory with\n\
         <machine>/registry, a static binary of distribution 3)",
    ))
}

/// The registry that prepare handed on together with this program.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.parent()?.join("registry")).filter(|path| path.is_file())
}

fn configuration(data: &Path, port: u16, sign: &str) -> String {
    // JSON is YAML, and quotes every path right.
    serde_json::json!({
        "version": "0.1",
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": data.join("data") }, "delete": { "enabled": true } },
        "http": { "addr": format!("127.0.0.1:{port}"), "headers": { SIGN: [sign] } },
    })
    .to_string()
}

fn container(docker: PathBuf, data: &Path, port: u16, sign: &str) -> Command {
    let mut volume = data.join("data").into_os_string();
    volume.push(":/var/lib/registry");
    Command::new(docker)
        .args(["run", "--rm", "--publish"])
        .arg(format!("127.0.0.1:{port}:5000"))
        .arg("--volume")
        .arg(volume)
        .arg(format!("--env=REGISTRY_HTTP_HEADERS_{SIGN}=[{sign}]"))
        .arg("registry:2")
}
