//! A proxy in front of a real registry that counts requests and makes trouble: the faults that no registry has on
//! request. Standard library only; one thread a connection.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path with query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

/// What becomes of a request.
pub(crate) enum Action {
    /// It goes to the registry, and the answer back.
    Forward,
    /// The proxy answers itself: status, headers, body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// The connection ends without an answer.
    Reset,
    /// The registry's answer, its body cut in the middle.
    Truncate,
    /// The registry's answer with other content.
    Corrupt,
}

impl Action {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), Vec::new())
    }

    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}","detail":null}}]}}"#);
        Self::Answer(status, vec![("Content-Type".into(), "application/json".into())], body.into_bytes())
    }
}

type Rule = dyn Fn(&Seen) -> Action + Send + Sync;

/// A running proxy. Its threads end with the process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr, rule: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", upstream, Duration::ZERO, rule)
    }

    /// Every answer comes `latency` later.
    pub(crate) fn listen(
        at: &str,
        upstream: SocketAddr,
        latency: Duration,
        rule: impl Fn(&Seen) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (rule, log): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, log) = (Arc::clone(&rule), Arc::clone(&log));
                std::thread::spawn(move || serve(client, upstream, latency, &*rule, &log));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|it| it.is(method, part)).count()
    }

    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap().clear();
    }
}

/// ECR's way with immutable tags: a second PUT of a tag is refused, whatever its digest.
pub(crate) fn immutable_tags() -> impl Fn(&Seen) -> Action + Send + Sync {
    let taken = Mutex::new(HashSet::new());
    move |seen| {
        let tag = seen.path.split("/manifests/").nth(1).filter(|it| !it.starts_with("sha256:"));
        match tag.filter(|_| seen.method == "PUT") {
            Some(_) if !taken.lock().unwrap().insert(seen.path.clone()) => {
                Action::error(400, "TAG_INVALID", "The image tag already exists and cannot be overwritten")
            }
            _ => Action::Forward,
        }
    }
}

fn serve(
    client: TcpStream,
    upstream: SocketAddr,
    latency: Duration,
    rule: &Rule,
    log: &Mutex<Vec<Seen>>,
) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut from = BufReader::new(client.try_clone().ok()?);
    let mut to = client;
    // A TLS greeting is answered as a registry without TLS does it: clients that try both go on at once.
    if from.fill_buf().ok()?.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
        let _ = to.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server.\n");
        return None;
    }
    let mut registry: Option<BufReader<TcpStream>> = None;
    loop {
        let (line, headers) = head(&mut from)?;
        let length = value(&headers, "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        if value(&headers, "transfer-encoding").is_some_and(|it| it.contains("chunked")) {
            body = chunks(&mut from)?;
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let seen = Seen { method, path, headers, body };
        log.lock().unwrap().push(seen.clone());
        let action = rule(&seen);
        std::thread::sleep(latency);
        if let Action::Reset = action {
            return None;
        }
        if let Action::Answer(status, headers, body) = action {
            let mut text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len());
            headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
            to.write_all(format!("{text}\r\n").as_bytes()).ok()?;
            if seen.method != "HEAD" {
                to.write_all(&body).ok()?;
            }
            continue;
        }
        if registry.is_none() {
            let stream = TcpStream::connect(upstream).ok()?;
            stream.set_nodelay(true).ok()?;
            registry = Some(BufReader::new(stream));
        }
        let (status, headers, mut body) = exchange(registry.as_mut()?, &seen)?;
        let mut text = format!("{status}\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| name != "transfer-encoding" && name != "content-length")
        {
            text += &format!("{name}: {value}\r\n");
        }
        let length = if seen.method == "HEAD" { value(&headers, "content-length").map(str::to_owned) } else { None };
        text += &format!("content-length: {}\r\n\r\n", length.unwrap_or_else(|| body.len().to_string()));
        let cut = matches!(action, Action::Truncate) && status.contains(" 20");
        if matches!(action, Action::Corrupt)
            && let Some(last) = body.iter_mut().rev().find(|byte| byte.is_ascii_alphabetic())
        {
            *last ^= 1;
        }
        if cut {
            body.truncate(body.len() / 2);
        }
        let mut whole = text.into_bytes();
        whole.extend_from_slice(&body);
        to.write_all(&whole).ok()?;
        if cut {
            return None;
        }
    }
}

pub(crate) type Headers = Vec<(String, String)>;

/// A body in chunks.
fn chunks(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        from.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        from.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + size);
        if size == 0 {
            return Some(body);
        }
    }
}

fn head(from: &mut BufReader<TcpStream>) -> Option<(String, Headers)> {
    let mut line = String::new();
    if from.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some((line.trim_end().to_owned(), headers))
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Passes a request on and reads the answer: status line, headers, body.
pub(crate) fn exchange(registry: &mut BufReader<TcpStream>, seen: &Seen) -> Option<(String, Headers, Vec<u8>)> {
    let mut text = format!("{} {} HTTP/1.1\r\n", seen.method, seen.path);
    let own = ["content-length", "connection", "transfer-encoding", "expect"];
    let kept = seen.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    kept.for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    let mut whole = format!("{text}content-length: {}\r\n\r\n", seen.body.len()).into_bytes();
    whole.extend_from_slice(&seen.body);
    registry.get_mut().write_all(&whole).ok()?;
    let (status, headers) = head(registry)?;
    let mut body = Vec::new();
    if seen.method != "HEAD" && !status.contains(" 204") && !status.contains(" 304") {
        if value(&headers, "transfer-encoding").is_some_and(|it| it.contains("chunked")) {
            body = chunks(registry)?;
        } else if let Some(length) = value(&headers, "content-length").and_then(|it| it.parse().ok()) {
            body.resize(length, 0);
            registry.read_exact(&mut body).ok()?;
        }
    }
    Some((status, headers, body))
}
