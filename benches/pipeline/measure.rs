//! Runs commands and takes their times and memory.
//!
//! What is compared runs alternately (A, B, A, B, …), so that whatever else the machine does hits both sides alike. The
//! figure of a side is its fastest round: what else the machine does can only add.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The times of one side, in the order they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    pub(crate) fn fastest(&self) -> Duration {
        self.0.iter().min().copied().unwrap_or_default()
    }

    pub(crate) fn without_first(mut self) -> Self {
        self.0.remove(0);
        self
    }
}

/// How many times as long `ours` took as `theirs`.
pub(crate) fn ratio(ours: &Times, theirs: &Times) -> f64 {
    ours.fastest().as_secs_f64() / theirs.fastest().as_secs_f64()
}

/// What `ours` took longer than `theirs`, in milliseconds.
pub(crate) fn difference(ours: &Times, theirs: &Times) -> f64 {
    (ours.fastest().as_secs_f64() - theirs.fastest().as_secs_f64()) * 1000.0
}

/// Runs both sides alternately, `rounds` times each, after one round that warms caches and does not count. Each side
/// gives the time that counts, so that it can prepare and clean up on its own time.
pub(crate) fn alternately(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> (Times, Times) {
    let (mut our_times, mut their_times) = (Times::default(), Times::default());
    ours();
    theirs();
    for round in 0..rounds {
        // Whoever goes second finds the machine as the first one left it: take turns in that too.
        if round % 2 == 0 {
            our_times.add(ours());
            their_times.add(theirs());
        } else {
            their_times.add(theirs());
            our_times.add(ours());
        }
    }
    (our_times, their_times)
}

/// The binary that is measured.
pub(crate) fn hephy() -> PathBuf {
    std::env::var_os("HEPHY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_hephy")), PathBuf::from)
}

/// A command that sees nothing of the environment but the `PATH`, a temporary directory and a home.
pub(crate) fn command(program: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.current_dir(dir).env_clear().env("PATH", path).env("HOME", dir).env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("TMPDIR", std::env::temp_dir());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command.spawn().and_then(Child::wait_with_output).unwrap();
    let time = start.elapsed();
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    time
}

/// Peak memory of a command and, apart, of the largest process it started, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) own: u64,
    pub(crate) child: u64,
}

/// Runs a command that must succeed, and watches its memory. The kernel keeps the peak (`VmHWM`), so that only what
/// happens in the last half millisecond of a process can be missed. Watching costs time: measure that elsewhere.
pub(crate) fn memory(command: &mut Command) -> Memory {
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut memory = Memory::default();
    loop {
        memory.own = memory.own.max(peak(child.id()).unwrap_or_default());
        for id in descendants(child.id()) {
            memory.child = memory.child.max(peak(id).unwrap_or_default());
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?} failed");
            return memory;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn descendants(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut todo = vec![process];
    while let Some(id) = todo.pop() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
            found.extend(&children);
            todo.extend(children);
        }
    }
    found
}
