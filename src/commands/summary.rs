//! What people read of results: one line a build, the account of a failure, the tables at the end.

use crate::commands::manifest::{Outcome, Published, PublishedTag};
use crate::diagnostic::{escape, escape_cut, escape_cut_middle};
use crate::error::{Error, ErrorKind};
use crate::oci::Platform;
use crate::plan::{Plan, ReusedImage};
use crate::result::{BuildResult, ResultError, Status};
use crate::table::{columns, markdown_escape, markdown_table, seconds, size};

/// One line of talk.
#[must_use]
pub fn line(result: &BuildResult) -> String {
    let what = format!("{} {}", result.image, result.platform);
    match result.status {
        Status::Completed => {
            format!("✓ {what} {} in {}", result.digest.as_ref().map_or("?", crate::oci::Digest::short), elapsed(result))
        }
        Status::Skipped => {
            format!("– {what} {}", result.error.as_ref().map_or("skipped", |error| error.message.as_str()))
        }
        Status::Failed => format!("✗ {what} failed after {}", elapsed(result)),
        Status::Cancelled => format!("✗ {what} cancelled after {}", elapsed(result)),
    }
}

/// What a stage ends with when accounts of its failures stand above: how many failed, with the first one's kind.
#[must_use]
pub fn verdict(results: &[BuildResult], failure: Error) -> Error {
    let failed: Vec<&BuildResult> = results.iter().filter(|result| result.status == Status::Failed).collect();
    if failed.is_empty() || failure.kind() == ErrorKind::Cancelled {
        return failure;
    }
    let names: Vec<String> = failed.iter().map(|result| format!("{} {}", result.image, result.platform)).collect();
    let sentence = format!("{} of {} builds failed: {}", failed.len(), results.len(), names.join(", "));
    Error::new(failure.kind(), sentence).hint("the account of each is above")
}

/// The account of a failure: what, where, the last lines, the next step. `out` is the output directory for people.
#[must_use]
pub fn failure(result: &BuildResult, out: &str) -> String {
    let Some(error) = &result.error else { return line(result) };
    let mut text = format!("{}: {}\n", line(result), error.code);
    if let Some(at) = &error.instruction {
        let stage = at.stage.as_ref().map(|stage| format!("  (stage {})", escape(stage))).unwrap_or_default();
        text.push_str(&format!("\n  {}:{}{stage}\n", escape(&at.file), at.line));
        text.push_str(&format!("     {} │ {}\n", at.line, escape_cut(&at.text, 200)));
    }
    text.push_str(&format!("  {}\n", escape(&error.message)));
    // The builder's last line is shown below, with those before it.
    let last = error.last_lines.iter().rev().find(|line| !line.trim().is_empty());
    let last = last.map(|line| escape_cut_middle(line.trim(), 400));
    for cause in error.causes.iter().filter(|cause| last.as_ref() != Some(cause)) {
        text.push_str(&format!("    {}\n", escape_cut(cause, 400)));
    }
    if !error.last_lines.is_empty() {
        let stem = BuildResult::stem(&result.image, &result.platform);
        text.push_str(&format!("\n  last lines of {out}/logs/{stem}.log\n"));
        for line in &error.last_lines {
            text.push_str(&format!("     {}\n", escape_cut_middle(line, 600)));
        }
    }
    if let Some(hint) = &error.hint {
        text.push_str(&format!("\n  hint: {}\n", hint.replace('\n', "\n        ")));
    }
    text
}

fn elapsed(result: &BuildResult) -> String {
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
    match (parse(&result.start), parse(&result.end)) {
        (Some(start), Some(end)) => seconds(end.duration_since(start).as_secs_f64().max(0.0)),
        _ => "–".to_owned(),
    }
}

const HEAD: [&str; 6] = ["image", "platform", "result", "digest", "size", "time"];

fn row(result: &BuildResult) -> Vec<String> {
    let status = match result.status {
        Status::Completed if result.backend.is_none() => "taken",
        Status::Completed => "built",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
        Status::Skipped => "skipped",
    };
    vec![
        result.image.to_string(),
        result.platform.to_string(),
        status.to_owned(),
        result.digest.as_ref().map_or_else(|| "–".to_owned(), |digest| format!("sha256:{}", digest.short())),
        result.size.map_or_else(|| "–".to_owned(), size),
        if result.attempts == 0 { "–".to_owned() } else { elapsed(result) },
    ]
}

/// The table of builds for a terminal.
#[must_use]
pub fn builds(results: &[BuildResult]) -> String {
    if results.is_empty() {
        return String::new();
    }
    let head = HEAD.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(results.iter().map(row)).collect();
    lines(&columns(&rows))
}

/// The tags of every published image, for a terminal.
#[must_use]
pub fn published(published: &[Published]) -> String {
    let rows: Vec<Vec<String>> = published
        .iter()
        .map(|image| {
            let here: Vec<String> =
                image.tags.iter().filter(|tag| tag.state.points_here()).map(|tag| tag.tag.to_string()).collect();
            vec![
                image.image.to_string(),
                here.join(", "),
                format!("sha256:{}  ({})", image.digest.short(), platforms(image)),
            ]
        })
        .collect();
    lines(&columns(&rows))
}

fn platforms(image: &Published) -> String {
    match image.platforms.len() {
        1 => "1 platform".to_owned(),
        count => format!("{count} platforms"),
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Rows of a table in a summary, and accounts of failures, beyond which it only counts.
const MAX_ROWS: usize = 1000;
const MAX_ACCOUNTS: usize = 20;

/// The summary of a build job: what was built, and the account of each failure.
#[must_use]
pub fn build_markdown(plan: &Plan, results: &[BuildResult], platform: &Platform) -> String {
    let mut out = format!("## hephy build · {platform}\n\n{}", builds_table(plan, results, &[]));
    out.push_str(&accounts(results));
    out
}

fn builds_table(plan: &Plan, results: &[BuildResult], reused: &[ReusedImage]) -> String {
    let row = |result: &BuildResult| {
        let why = plan.image(result.image.as_str()).and_then(|image| image.reasons.first());
        let mut row = row(result);
        row.push(why.map(|reason| escape(&reason.text)).unwrap_or_default());
        row
    };
    let mut rows: Vec<Vec<String>> = results.iter().take(MAX_ROWS).map(row).collect();
    let room = MAX_ROWS.saturating_sub(rows.len());
    rows.extend(reused.iter().take(room).map(|image| {
        let digest = format!("sha256:{}", image.digest.short());
        let cells = [image.name.as_str(), "–", "reused", &digest, "–", "–"].map(str::to_owned);
        cells.into_iter().chain([escape(&image.reason)]).collect()
    }));
    if rows.is_empty() {
        return String::new();
    }
    let table = markdown_table(&["image", "platform", "result", "digest", "size", "time", "why"], &rows);
    let more = (results.len() + reused.len()).saturating_sub(MAX_ROWS);
    let more = if more > 0 { format!("\n… and {more} more.\n") } else { String::new() };
    format!("{table}{more}\n")
}

/// Where each build failed, and the last lines of its log.
fn accounts(results: &[BuildResult]) -> String {
    let failed = results.iter().filter(|it| matches!(it.status, Status::Failed | Status::Cancelled));
    let failed: Vec<(&BuildResult, &ResultError)> =
        failed.filter_map(|result| Some((result, result.error.as_ref()?))).collect();
    let mut out = String::new();
    for (result, error) in failed.iter().take(MAX_ACCOUNTS) {
        let verb = if result.status == Status::Failed { "failed" } else { "was cancelled" };
        out.push_str(&format!("### {} {} {verb} ({})\n\n", result.image, result.platform, error.code));
        if let Some(at) = &error.instruction {
            let stage = at.stage.as_ref().map(|stage| format!(" (stage {stage})")).unwrap_or_default();
            out.push_str(&format!("{}\n\n", prose(&format!("At {}:{}{stage}", at.file, at.line))));
            out.push_str(&fenced(&[at.text.as_str()]));
        }
        out.push_str(&format!("{}\n\n", prose(&error.message)));
        if !error.last_lines.is_empty() {
            let lines: Vec<&str> = error.last_lines.iter().map(String::as_str).collect();
            out.push_str(&format!("The last lines of its log:\n\n{}", fenced(&lines)));
        }
        if let Some(hint) = &error.hint {
            out.push_str(&format!("{}\n\n", prose(&format!("Next: {hint}"))));
        }
    }
    match failed.len().saturating_sub(MAX_ACCOUNTS) {
        0 => out,
        more => format!("{out}… and {more} more builds failed: the jobs' logs have their accounts.\n\n"),
    }
}

/// Text of strangers as one line of Markdown that stays text.
fn prose(text: &str) -> String {
    markdown_escape(&escape_cut_middle(&text.replace('\n', " "), 600))
}

/// Lines as they are: a fence that is longer than any run of backticks in them.
fn fenced(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| escape_cut_middle(line, 600)).collect();
    let runs = lines.iter().flat_map(|line| line.split(|it| it != '`')).map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or_default().max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n\n", lines.join("\n"))
}

/// The job summary: what was built, which tags point where, and what failed.
#[must_use]
pub fn markdown(plan: &Plan, results: &[BuildResult], outcome: &Outcome) -> String {
    let mut out = format!("## hephy\n\n{}", builds_table(plan, results, &plan.reused));
    let rows: Vec<Vec<String>> = outcome
        .published
        .iter()
        .take(MAX_ROWS)
        .map(|image| {
            let tags = image.tags.iter().map(PublishedTag::text);
            vec![
                image.image.to_string(),
                tags.collect::<Vec<_>>().join(", "),
                image.digest.to_string(),
                platforms(image),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push_str(&markdown_table(&["image", "tags", "digest", "platforms"], &rows));
        out.push('\n');
    }
    if !outcome.failures.is_empty() {
        let failures = outcome.failures.iter().take(MAX_ROWS);
        let rows =
            failures.map(|(image, error)| vec![image.to_string(), escape(error.message()), error.kind().to_string()]);
        let table = markdown_table(&["not published", "why", "code"], &rows.collect::<Vec<_>>());
        out.push_str(&format!("{table}\n"));
    }
    out.push_str(&accounts(results));
    out
}
