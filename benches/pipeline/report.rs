//! What was measured, as Markdown: on stdout, and in docs/benchmarks.md.

use std::fmt::Write as _;
use std::time::Duration;

/// One target of the contract, and what was measured.
struct Target {
    what: String,
    wanted: String,
    measured: String,
    verdict: &'static str,
}

/// Sections in the order they were measured.
#[derive(Default)]
pub(crate) struct Report {
    targets: Vec<Target>,
    body: String,
    header: Vec<String>,
}

impl Report {
    pub(crate) fn section(&mut self, name: &str, title: &str) {
        eprintln!("measuring {name} …");
        self.header.clear();
        let _ = write!(self.body, "\n## {title}\n\n`hack/bench {name}` measures this part alone.\n");
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.header.clear();
        let _ = write!(self.body, "\n{text}\n");
    }

    /// A row of a table; rows with the same header make one table.
    pub(crate) fn row(&mut self, header: &[&str], cells: &[String]) {
        if self.header != header {
            self.header = header.iter().map(|&name| name.to_owned()).collect();
            let _ = write!(self.body, "\n| {} |\n|{}\n", header.join(" | "), "---|".repeat(header.len()));
        }
        let _ = writeln!(self.body, "| {} |", cells.join(" | "));
    }

    /// A target that is met when `value` is at most `limit`.
    pub(crate) fn target(&mut self, what: &str, wanted: &str, value: f64, limit: f64, unit: &str) {
        self.add(what, wanted, value, unit, value <= limit);
    }
    /// A target that is met when `value` is at least `limit`.
    pub(crate) fn target_at_least(&mut self, what: &str, wanted: &str, value: f64, limit: f64, unit: &str) {
        self.add(what, wanted, value, unit, value >= limit);
    }

    /// A target that is a fact: met or not.
    pub(crate) fn fact(&mut self, what: &str, wanted: &str, measured: &str, met: bool) {
        let verdict = verdict(met);
        self.targets.push(Target { what: what.into(), wanted: wanted.into(), measured: measured.into(), verdict });
    }

    fn add(&mut self, what: &str, wanted: &str, value: f64, unit: &str, met: bool) {
        let measured = format!("{value:.2}{unit}");
        self.fact(what, wanted, &measured, met);
    }

    /// The whole text.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("| target | wanted | measured | |\n|---|---|---|---|\n");
        for target in &self.targets {
            let Target { what, wanted, measured, verdict } = target;
            let _ = writeln!(text, "| {what} | {wanted} | {measured} | {verdict} |");
        }
        text + &self.body
    }
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

pub(crate) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 1000.0 { format!("{milliseconds:.1} ms") } else { format!("{:.2} s", time.as_secs_f64()) }
}

/// From KiB.
pub(crate) fn megabytes(kibibytes: u64) -> String {
    format!("{:.1} MiB", kibibytes as f64 / 1024.0)
}
