//! A process with all that it started, those included that left its group: Kaniko gives every RUN step a group of its
//! own, and `setsid` does the same.
//!
//! Read from `/proc` (proc(5)); where that is not mounted, only the group is reached.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The leader's group, and what was seen below it so far.
pub(super) struct Family {
    leader: Pid,
    /// Process id → start time in clock ticks since boot: together they name one process for ever.
    seen: BTreeMap<i32, u64>,
}

impl Family {
    pub(super) const fn of(leader: Pid) -> Self {
        Self { leader, seen: BTreeMap::new() }
    }

    /// Notes who is there now. Needed before the leader ends: its children have another parent afterwards.
    pub(super) fn look(&mut self) {
        let all = processes();
        let leader = self.leader.as_raw_nonzero().get();
        self.seen.retain(|pid, start| all.get(pid).is_some_and(|process| process.start == *start));
        loop {
            let below = |process: &Process| process.parent == leader || self.seen.contains_key(&process.parent);
            let new: Vec<(i32, u64)> = all
                .iter()
                .filter(|(pid, process)| below(process) && !self.seen.contains_key(pid))
                .map(|(pid, process)| (*pid, process.start))
                .collect();
            if new.is_empty() {
                return;
            }
            self.seen.extend(new);
        }
    }

    /// Sends a signal to the group and to everybody noted who is still there.
    pub(super) fn send(&self, signal: Signal) {
        // Any of them may be gone already.
        let _ = kill_process_group(self.leader, signal);
        for (pid, start) in &self.seen {
            let same = process(*pid).is_some_and(|process| process.start == *start);
            if let Some(pid) = Pid::from_raw(*pid).filter(|_| same) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Kills everybody, those included who are started meanwhile by one who is noted.
    pub(super) fn kill(&mut self) {
        self.send(Signal::KILL);
        // Each round only finds what was forked during the one before; somebody who forks faster than that is left.
        for _ in 0..8 {
            let before = self.seen.clone();
            self.look();
            if self.seen.iter().all(|(pid, start)| before.get(pid) == Some(start)) {
                return;
            }
            self.send(Signal::KILL);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    start: u64,
}

fn processes() -> BTreeMap<i32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: i32) -> Option<Process> {
    parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `/proc/PID/stat`: the name in parentheses may hold anything, parentheses too; the 4th field is the parent, the
/// 22nd the start time.
fn parse(stat: &[u8]) -> Option<Process> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Process { parent, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_hides_nothing() {
        let stat = b"42 (a) S 7 (b) c) S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 31337 9 9";
        assert_eq!(parse(stat), Some(Process { parent: 41, start: 31337 }));
        assert_eq!(parse(b"42 (a"), None);
        assert_eq!(parse(b"42 (a) S 41"), None);
    }
}
