//! Real git repositories for tests, and a real smart HTTP server (`git http-backend`) in front of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use hephy::source::Access;

/// A directory of a test with repositories in it and a home of its own.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The environment of a job that may use test transports and has no configuration but `home/.gitconfig`.
    pub(crate) fn access(&self) -> Access {
        Access::from_environment()
            .variable("GIT_ALLOW_PROTOCOL", "file:http")
            .variable("GIT_CONFIG_NOSYSTEM", "1")
            .variable("GIT_CONFIG_GLOBAL", self.path("home/.gitconfig"))
            .variable("HOME", self.path("home"))
            .variable("CI", "")
            .variable("no_proxy", "127.0.0.1")
    }

    /// A new repository with branch `main`.
    pub(crate) fn repository(&self, name: &str) -> Repository {
        let repository = Repository { path: self.path(name) };
        std::fs::create_dir(&repository.path).unwrap();
        repository.git(["init", "-q", "-b", "main"]);
        repository
    }
}

/// A repository with a work tree. Names, times and configuration are fixed, so ids are the same everywhere.
pub(crate) struct Repository {
    pub(crate) path: PathBuf,
}

impl Repository {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.path).env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "A Person").env(format!("GIT_{who}_EMAIL"), "a@example.org");
            command.env(format!("GIT_{who}_DATE"), "1700000000 +0200");
        }
        command.args(["-c", "protocol.file.allow=always", "-c", "core.autocrlf=false", "-c", "advice.nestedTag=false"]);
        command
    }

    pub(crate) fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        self.git_with(args, b"")
    }

    pub(crate) fn git_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I, stdin: &[u8]) -> String {
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Writes a file and its directories.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Commits everything as it stands on disk and gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(["add", "-A", "-f", "."]);
        self.git(["commit", "-q", "--allow-empty", "-m", message]);
        self.git(["rev-parse", "HEAD"])
    }

    /// Commits a tree that no work tree could hold: raw entries of mode, name and id.
    pub(crate) fn commit_raw(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(mode.as_bytes());
            tree.push(b' ');
            tree.extend_from_slice(name);
            tree.push(0);
            tree.extend((0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        let tree = self.git_with(["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &tree);
        let commit = self.git(["commit-tree", "-m", "raw", &tree]);
        self.git(["update-ref", "refs/heads/main", &commit]);
        commit
    }

    pub(crate) fn blob(&self, content: &[u8]) -> String {
        self.git_with(["hash-object", "-w", "--stdin"], content)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

/// Bytes that do not compress, always the same.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// How a server behaves.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// `user:password` that every request must bring.
    pub(crate) credentials: Option<&'static str>,
    /// Status of the first `.1` requests.
    pub(crate) failing: Option<(u16, usize)>,
    /// Speak protocol 0, where a commit that is at no tip cannot be wanted by its id.
    pub(crate) old: bool,
}

/// A smart HTTP server for the repositories below a directory.
pub(crate) struct Server {
    pub(crate) port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(root: &Path, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (root, seen) = (root.to_path_buf(), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, seen, behaviour) = (root.clone(), Arc::clone(&seen), behaviour.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &root, &behaviour, &seen));
            }
        });
        Self { port, log }
    }

    pub(crate) fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/{repository}", self.port)
    }

    /// How many requests had `part` in their line.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

fn serve(mut stream: &TcpStream, root: &Path, behaviour: &Behaviour, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let request: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let [method, target, _] = request.as_slice() else { return };
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let number = {
        let mut log = log.lock().unwrap();
        log.push(format!("{method} {target}"));
        log.len()
    };
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    if let Some((status, times)) = behaviour.failing
        && number <= times
    {
        let _ = write!(stream, "HTTP/1.1 {status} Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    if let Some(credentials) = behaviour.credentials {
        let wanted = format!("Basic {}", base64(credentials.as_bytes()));
        if headers.get("authorization") != Some(&wanted) {
            let _ = write!(
                stream,
                "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return;
        }
    }
    let answer = backend(root, method, target, &headers, &body, behaviour);
    let _ = stream.write_all(&answer);
}

/// Runs `git http-backend` (CGI, RFC 3875) and turns its answer into HTTP.
fn backend(
    root: &Path,
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    behaviour: &Behaviour,
) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", method);
    for (header, variable) in [("content-type", "CONTENT_TYPE"), ("content-encoding", "HTTP_CONTENT_ENCODING")] {
        if let Some(value) = headers.get(header) {
            command.env(variable, value);
        }
    }
    command.env_remove("GIT_PROTOCOL");
    if let Some(protocol) = headers.get("git-protocol").filter(|_| !behaviour.old) {
        command.env("GIT_PROTOCOL", protocol);
    }
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(&body);
    });
    let output = child.wait_with_output().unwrap().stdout;
    feeder.join().unwrap();
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let content = output.get(end + 4..).unwrap_or_default();
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", content.len());
    for line in head.lines().filter(|line| !line.starts_with("Status: ")) {
        answer += &format!("{line}\r\n");
    }
    [answer.as_bytes(), b"\r\n", content].concat()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit <= chunk.len() { DIGITS[index as usize] as char } else { '=' });
        }
    }
    out
}
