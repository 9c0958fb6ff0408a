//! What people and programs see: stdout is data, stderr is talk.
//!
//! Nothing moves unless it is a terminal, everything is readable without colour, and each failure is said once.
//! Text from outside is escaped by those who put it into a message.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::ci::output;
use crate::cli::{ColorChoice, Format, Global};
use crate::diagnostic::{Diagnostic, Severity, escape};
use crate::error::{Error, Result};

/// Where groups of log lines are folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Groups {
    /// Nowhere: a terminal or a plain log.
    #[default]
    None,
    /// GitLab's collapsible sections.
    Gitlab,
    /// GitHub's groups.
    Github,
}

/// The sink of all output.
#[derive(Clone, Debug)]
pub struct Report {
    format: Format,
    verbose: bool,
    quiet: bool,
    color: bool,
    groups: Groups,
    secrets: Arc<[String]>,
    bars: Arc<Mutex<BTreeMap<String, ProgressBar>>>,
    /// Where bars stand below each other.
    board: MultiProgress,
    /// Whether stdout has its one document.
    documented: Arc<AtomicBool>,
    /// Whether the platform was told of a failure.
    annotated: Arc<AtomicBool>,
}

/// Bold.
pub const BOLD: Style = Style::new().bold();
/// Errors.
pub const RED: Style = AnsiColor::Red.on_default().bold();
/// Warnings.
pub const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
/// What went well.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();

impl Report {
    /// Decides once what the output looks like. `no_color` is whether `NO_COLOR` is set and not empty.
    #[must_use]
    pub fn new(global: &Global, no_color: bool, groups: Groups) -> Self {
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !no_color && std::io::stderr().is_terminal() && std::io::stdout().is_terminal(),
        };
        let (bars, documented, annotated, secrets) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let board = MultiProgress::new();
        let Global { format, verbose, quiet, .. } = *global;
        Self { format, verbose, quiet, color, groups, secrets, bars, board, documented, annotated }
    }

    /// Values that no output may show.
    #[must_use]
    pub fn hide(mut self, secrets: Vec<String>) -> Self {
        self.secrets = secrets.into();
        self
    }

    /// Annotations of GitHub: commands of its runner, made by [`crate::ci::annotations`]. They are no data, so they
    /// go where talk goes.
    pub fn annotate(&self, annotations: &str) {
        if self.groups == Groups::Github && !annotations.is_empty() {
            self.annotated.store(true, Ordering::Relaxed);
            let text = output::masked(annotations, &self.secrets);
            self.board.suspend(|| talk(&text));
        }
    }

    /// Whether there was an annotation.
    #[must_use]
    pub fn has_annotated(&self) -> bool {
        self.annotated.load(Ordering::Relaxed)
    }

    /// Text for a file that others read, without what no output may show.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        output::masked(text, &self.secrets)
    }

    /// Whether stdout is one JSON document.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether something may move on stderr.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.quiet && self.groups == Groups::None && std::io::stderr().is_terminal()
    }

    /// Text in a style, when there is colour.
    #[must_use]
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Data for people: nothing in JSON mode. A closed pipe is no failure.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn text(&self, text: &str) -> Result<()> {
        if self.is_json() { Ok(()) } else { write_stdout(self.harmless(text).as_bytes()) }
    }

    /// The one document of JSON mode: nothing in text mode.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn json<T: Serialize>(&self, document: &T) -> Result<()> {
        if self.is_json() { self.document(document) } else { Ok(()) }
    }

    /// A document that was asked for as such, whatever the mode.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn document<T: Serialize>(&self, document: &T) -> Result<()> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Error::internal("the result could not be written as JSON").cause(error))?;
        self.documented.store(true, Ordering::Relaxed);
        write_stdout(output::harmless_json(&format!("{}\n", output::masked(&text, &self.secrets))).as_bytes())
    }

    /// A line of talk.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.talk(line);
        }
    }

    /// A line of talk for those who asked for more.
    pub fn detail(&self, line: &str) {
        if self.verbose {
            self.talk(&self.paint(DIM, line));
        }
    }

    /// Long work begins: a group in CI, a moving line on a terminal, a plain line otherwise.
    pub fn begin(&self, name: &str, title: &str) {
        if self.is_live() {
            let message = if self.color { "{wide_msg:.dim}" } else { "{wide_msg}" };
            let style = ProgressStyle::with_template(&format!("{{spinner}} {{prefix}}  {{elapsed}}  {message}"));
            let bar = ProgressBar::new_spinner().with_prefix(title.to_owned());
            let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            let bar = self.board.add(bar);
            bar.enable_steady_tick(Duration::from_millis(100));
            self.bars().insert(name.to_owned(), bar);
        } else if self.groups == Groups::None {
            self.say(title);
        } else if !self.quiet {
            self.group(name, title, now());
        }
    }

    /// A line of what long work says: shown in CI and to those who asked for more, moving past on a terminal. `whose`
    /// stands in front where several works speak at the same time.
    pub fn line(&self, name: &str, whose: &str, line: &str) {
        if self.verbose || (self.groups != Groups::None && !self.quiet) {
            self.talk(&format!("{whose}{line}"));
        } else if let Some(bar) = self.bars().get(name) {
            bar.set_message(self.harmless(line));
        }
    }

    /// Whether a CI system folds groups of lines.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.groups != Groups::None
    }

    /// A group of lines that are there already; they are not shown where nothing folds them.
    pub fn fold(&self, name: &str, title: &str, lines: impl FnOnce(&dyn Fn(&str))) {
        if self.has_groups() && !self.quiet {
            self.group(name, title, now());
            lines(&|line| self.talk(line));
            self.end_group(name, now());
        }
    }

    /// Long work ends.
    pub fn end(&self, name: &str) {
        if let Some(bar) = self.bars().remove(name) {
            bar.finish_and_clear();
            self.board.remove(&bar);
        }
        if !self.quiet {
            self.end_group(name, now());
        }
    }

    /// The account of a failure: shown whatever was asked for.
    pub fn failure(&self, text: &str) {
        self.talk(text);
    }

    fn bars(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line above whatever moves. stderr may be closed; there is nobody left to tell.
    fn talk(&self, line: &str) {
        let line = self.harmless(line);
        self.board.suspend(|| talk(&line));
    }

    /// The last look at text before it is shown, whoever wrote it.
    fn harmless(&self, text: &str) -> String {
        output::harmless(&output::masked(text, &self.secrets), self.groups == Groups::Github)
    }

    /// A warning; `--quiet` hides it.
    pub fn warn(&self, line: &str) {
        if !self.quiet {
            self.talk(&format!("{} {}", self.paint(YELLOW, "warning:"), escape(line)));
        }
    }

    /// Findings on stderr, as an error shows them.
    pub fn findings(&self, findings: &[Diagnostic]) {
        for finding in findings {
            self.talk(&self.finding(finding));
            self.talk("");
        }
    }

    /// One finding with its severity in colour.
    #[must_use]
    pub fn finding(&self, finding: &Diagnostic) -> String {
        let rendered = finding.render();
        let word = format!(": {}: ", finding.severity.word());
        let style = if finding.severity == Severity::Error { RED } else { YELLOW };
        rendered.replacen(&word, &format!(": {}: ", self.paint(style, finding.severity.word())), 1)
    }

    /// A failure with its findings, causes and hint, on stderr; in JSON mode also as the document on stdout, unless
    /// that was written already and tells of the failure itself.
    pub fn error(&self, error: &Error) {
        self.findings(error.findings());
        let heading = format!("{} {} ({})", self.paint(RED, "error:"), escape(error.message()), error.kind());
        self.talk(&heading);
        for (at, cause) in error.causes().iter().enumerate() {
            self.talk(&format!("  {}: {}", at + 1, escape(cause)));
        }
        let hint = error.next_step().replace('\n', "\n      ");
        self.talk(&format!("\n{} {hint}", self.paint(BOLD, "hint:")));
        if self.documented.load(Ordering::Relaxed) {
            return;
        }
        // A closed stdout must not hide the failure that was just shown.
        let _ = self.json(&serde_json::json!({ "error": error }));
    }

    /// Begins a group of lines that CI folds.
    pub fn group(&self, name: &str, title: &str, now: i64) {
        match self.groups {
            Groups::None => {}
            Groups::Gitlab => talk(&format!("\u{1b}[0Ksection_start:{now}:{name}[collapsed=true]\r\u{1b}[0K{title}")),
            Groups::Github => talk(&format!("::group::{title}")),
        }
    }

    /// Ends a group.
    pub fn end_group(&self, name: &str, now: i64) {
        match self.groups {
            Groups::None => {}
            Groups::Gitlab => talk(&format!("\u{1b}[0Ksection_end:{now}:{name}\r\u{1b}[0K")),
            Groups::Github => talk("::endgroup::"),
        }
    }
}

/// Writes a document to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn document<T: Serialize>(document: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(document)
        .map_err(|error| Error::internal("the result could not be written as JSON").cause(error))?;
    text.push(b'\n');
    write_stdout(&text)
}

fn write_stdout(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("stdout cannot be written", error))
        }
        _ => Ok(()),
    }
}

/// Seconds since 1970, for the sections of GitLab.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn talk(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.trim_end_matches('\n'));
}
