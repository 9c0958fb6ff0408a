//! Runs a builder: output streamed into a [`Log`], a time limit, and a whole process group that ends when it must.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::family::Family;
use super::interrupt::cancelled;
use super::log::{Line, Stream};
use super::{Command, Interrupt, Log};
use crate::error::{Error, ErrorKind, Result};

/// How long a builder may take to end after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long the output of a builder that has ended is waited for: a process that it left behind may hold it open.
const LINGER: Duration = Duration::from_millis(500);

/// The process leads a group of its own: whatever it starts can be ended with it.
pub(super) fn own_group(expression: duct::Expression) -> duct::Expression {
    expression.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    })
}

/// How a builder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Ended {
    /// One number for both, as shells give it: 137 is a process that SIGKILL ended.
    #[must_use]
    pub fn status(self) -> i32 {
        self.code.unwrap_or(128 + self.signal.unwrap_or_default())
    }
}

enum Event {
    Exited,
    OutputEnded,
    Signals(usize),
}

/// The group of a process that was started as its leader.
pub(super) fn group_of(handle: &duct::Handle) -> Option<Pid> {
    handle.pids().first().and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
}

impl Command {
    /// Runs the process in a group of its own, with its output going to `log` as it comes. An exit status other
    /// than 0 is no error here. Whatever the process left in its group is killed when it has ended.
    ///
    /// # Errors
    /// When it cannot be started, its time is over ([`ErrorKind::TimeoutError`]), or a signal came
    /// ([`ErrorKind::Cancelled`]): then the group, and what left it, got SIGTERM, and SIGKILL after [`GRACE`] or at a
    /// second signal.
    pub fn stream(&self, log: &mut Log<'_>, interrupt: &Interrupt) -> Result<Ended> {
        let pipe = || std::io::pipe().map_err(|error| Error::io("a pipe could not be made", error));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        let expression = own_group(self.expression().stdout_file(stdout_end).stderr_file(stderr_end));
        let deadline = self.timeout.and_then(|limit| Instant::now().checked_add(limit));
        let handle = expression.start().map_err(|error| self.could_not_start(error))?;
        // Its copies of the pipes' ends would keep them open.
        drop(expression);
        let Some(group) = group_of(&handle) else {
            return Err(Error::internal("a builder was started and has no process id"));
        };

        let (events, received) = mpsc::channel();
        let signals = events.clone();
        let listening = interrupt.listen(move |count| {
            let _ = signals.send(Event::Signals(count));
        });
        let shared = Mutex::new(log);
        let abandon = std::sync::atomic::AtomicBool::new(false);
        let verdict = std::thread::scope(|scope| {
            let abandon = &abandon;
            for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
                let (events, shared) = (events.clone(), &shared);
                scope.spawn(move || {
                    copy(stream, pipe, shared, abandon);
                    let _ = events.send(Event::OutputEnded);
                });
            }
            scope.spawn(move || {
                // Waits without reaping, so that the group's number cannot be taken over before the group is killed.
                while waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                    .is_err_and(|error| error == rustix::io::Errno::INTR)
                {}
                let _ = events.send(Event::Exited);
            });
            let verdict = supervise(group, &received, deadline);
            abandon.store(true, std::sync::atomic::Ordering::SeqCst);
            verdict
        });
        drop(listening);
        shared.into_inner().unwrap_or_else(PoisonError::into_inner).flush();
        let output = handle.wait().map_err(|error| {
            Error::internal(format!("{} could not be waited for", self.program.display())).cause(error)
        })?;
        match verdict {
            Verdict::Ended => Ok(Ended { code: output.status.code(), signal: output.status.signal() }),
            Verdict::TimedOut => Err(self.timed_out()),
            Verdict::Interrupted => Err(cancelled()),
        }
    }

    fn timed_out(&self) -> Error {
        let limit = seconds(self.timeout.unwrap_or_default());
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        Error::new(ErrorKind::TimeoutError, format!("{name} did not end within {limit:.1} s"))
            .hint("set `timeout` in build-config.yaml higher, or find in the log what it was waiting for")
    }
}

/// A limit for people: what is left of a deadline is hardly ever a round number.
pub(super) fn seconds(limit: Duration) -> f64 {
    (limit.as_secs_f64() * 10.0).round() / 10.0
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ended,
    TimedOut,
    Interrupted,
}

/// Waits for the end of the process, ending its group when time is over or a signal comes.
fn supervise(group: Pid, events: &mpsc::Receiver<Event>, deadline: Option<Instant>) -> Verdict {
    let (mut verdict, mut next, mut open) = (Verdict::Ended, deadline, 2);
    let mut family = Family::of(group);
    loop {
        let event = match next {
            Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => events.recv().map_err(mpsc::RecvTimeoutError::from),
        };
        match event {
            Ok(Event::Exited) => break,
            Ok(Event::OutputEnded) => open -= 1,
            Ok(Event::Signals(count)) => {
                verdict = Verdict::Interrupted;
                family.look();
                family.send(if count > 1 { Signal::KILL } else { Signal::TERM });
                next = Some(Instant::now() + GRACE);
            }
            Err(mpsc::RecvTimeoutError::Timeout) if verdict == Verdict::Ended => {
                verdict = Verdict::TimedOut;
                family.look();
                family.send(Signal::TERM);
                next = Some(Instant::now() + GRACE);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                family.look();
                family.send(Signal::KILL);
                next = None;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    // What the process left behind may still write: it ends now, and its last words are waited for.
    family.kill();
    let until = Instant::now() + LINGER;
    while open > 0 {
        match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Event::OutputEnded) => open -= 1,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    verdict
}

pub(super) fn send(group: Pid, signal: Signal) {
    // The group may be gone already.
    let _ = kill_process_group(group, signal);
}

/// Copies a stream into the log until it ends, or until nobody waits for it any more.
fn copy(
    stream: Stream,
    mut pipe: std::io::PipeReader,
    log: &Mutex<&mut Log<'_>>,
    abandon: &std::sync::atomic::AtomicBool,
) {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut line = Line::new(stream);
    let mut buffer = vec![0; 64 * 1024];
    let every = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    loop {
        // A process that left the group (a daemon) may hold the pipe open for ever, so no read may block for ever.
        let ready = poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&every));
        match ready {
            Ok(0) if abandon.load(std::sync::atomic::Ordering::SeqCst) => break,
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                log.lock().unwrap_or_else(PoisonError::into_inner).take(&mut line, &buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    log.lock().unwrap_or_else(PoisonError::into_inner).end(&mut line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::tests::alive;

    /// Runs a shell script, the shortest way to a process that misbehaves in a certain way.
    fn run(script: &str, timeout: Option<Duration>, interrupt: &Interrupt) -> (Result<Ended>, Vec<String>, Duration) {
        let mut command = Command::new("/bin/sh").args(["-c", script]);
        command.timeout = timeout;
        let mut log = Log::new(Box::new(std::io::sink()), Box::new(|_| {}), &[]);
        let started = Instant::now();
        let ended = command.stream(&mut log, interrupt);
        (ended, log.tail(), started.elapsed())
    }

    #[test]
    fn output_and_status_arrive_and_a_signal_has_no_status() {
        let (ended, tail, _) = run("echo out; echo err >&2; exit 3", None, &Interrupt::default());
        assert_eq!(ended.unwrap().code, Some(3));
        assert_eq!(tail.iter().collect::<std::collections::BTreeSet<_>>().len(), 2);
        let (ended, _, _) = run("kill -9 $$", None, &Interrupt::default());
        assert_eq!(ended.unwrap().code, None);
    }

    #[test]
    fn a_time_limit_ends_the_whole_group() {
        let (ended, tail, took) =
            run("sleep 600 & echo $!; wait", Some(Duration::from_millis(200)), &Interrupt::default());
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimeoutError);
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(!alive(&tail[0]));
    }

    #[test]
    fn a_time_limit_ends_those_too_who_left_the_group() {
        let script = "setsid sh -c 'trap \"\" TERM; sleep 600 & echo $!; wait; sleep 600' & wait";
        let (ended, tail, took) = run(script, Some(Duration::from_millis(300)), &Interrupt::default());
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimeoutError);
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(!alive(&tail[0]));
    }

    #[test]
    fn a_signal_ends_the_whole_group_and_a_second_one_at_once() {
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            raised.raise();
            std::thread::sleep(Duration::from_millis(200));
            raised.raise();
        });
        let (ended, tail, took) = run("trap '' TERM; echo $$; while :; do sleep 1; done", None, &interrupt);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(8), "{took:?}");
        assert!(!alive(&tail[0]));
    }

    #[test]
    fn what_a_process_leaves_behind_neither_hangs_nor_outlives_it() {
        let (ended, tail, took) = run("sleep 600 & echo $!", None, &Interrupt::default());
        assert_eq!(ended.unwrap().code, Some(0));
        assert!(took < Duration::from_secs(5) && !alive(&tail[0]), "{took:?}");
        // One that left the group is not ours to kill, and does not hang us either.
        let (ended, _, took) = run("setsid sleep 6 & exit 0", None, &Interrupt::default());
        assert_eq!(ended.unwrap().code, Some(0));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let mut log = Log::new(Box::new(std::io::sink()), Box::new(|_| {}), &[]);
        let error = Command::new("/nowhere/buildah").stream(&mut log, &Interrupt::default()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/buildah"));
    }
}
