//! The plan for a person: on a terminal and as `plan.md`.

use std::collections::BTreeMap;

use super::{Plan, PlannedImage, ReusedImage};
use crate::config::Layout;
use crate::diagnostic::escape;
use crate::table::{columns, markdown_escape, markdown_table};

/// What `hephy plan` prints.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = format!("hephy plan · {}\n\n", heading(plan));
    let mut rows: Vec<Vec<String>> = plan
        .images
        .iter()
        .map(|image| {
            vec!["  build".to_owned(), image.name.to_string(), platforms(image), backend(image), reasons(image)]
        })
        .collect();
    rows.extend(plan.reused.iter().map(|image| {
        let cells = ["  reuse".to_owned(), image.name.to_string(), tags_to(plan, image), "–".to_owned()];
        cells.into_iter().chain([escape(&image.reason)]).collect()
    }));
    for dir in &plan.removed {
        let gone = "its build-config.yaml went away; what was published stays".to_owned();
        rows.push(vec!["  removed".into(), escape(dir), String::new(), String::new(), gone]);
    }
    match plan.unchanged.len() {
        0 => {}
        1 => rows.push(vec![
            "  skip".into(),
            plan.unchanged[0].name.to_string(),
            String::new(),
            String::new(),
            "unchanged".into(),
        ]),
        count => rows.push(vec![
            "  skip".into(),
            format!("{count} images"),
            String::new(),
            String::new(),
            "unchanged (hephy plan --explain DIR says why)".into(),
        ]),
    }
    for line in columns(&rows) {
        out.push_str(&line);
        out.push('\n');
    }
    if !rows.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(plan));
    out.push('\n');
    out
}

/// `plan.md`.
#[must_use]
pub fn markdown(plan: &Plan) -> String {
    let rows: Vec<Vec<String>> = plan
        .images
        .iter()
        .map(|image| {
            vec![image.name.to_string(), platforms(image), backend(image), image.wave.to_string(), reasons(image)]
        })
        .collect();
    let mut out = format!("## hephy plan\n\n{}\n\n", markdown_escape(&heading(plan)));
    if !rows.is_empty() {
        out.push_str(&markdown_table(&["image", "platforms", "builder", "wave", "why"], &rows));
        out.push('\n');
    }
    if !plan.reused.is_empty() {
        let row = |image: &ReusedImage| vec![image.name.to_string(), tags_to(plan, image), escape(&image.reason)];
        let rows: Vec<Vec<String>> = plan.reused.iter().map(row).collect();
        out.push_str(&markdown_table(&["reused", "tags", "why"], &rows));
        out.push('\n');
    }
    out.push_str(&markdown_escape(&summary(plan)));
    out.push('\n');
    for warning in &plan.warnings {
        out.push_str(&format!("\n- warning: {}\n", markdown_escape(warning)));
    }
    out
}

fn heading(plan: &Plan) -> String {
    let commit = plan.source.commit.get(..7).unwrap_or(&plan.source.commit);
    let commit = if commit == "0000000" { "without a commit" } else { commit };
    let dirty = if plan.source.commit.ends_with("-dirty") { " with changes" } else { "" };
    format!("{} · {} {commit}{dirty} · {}", plan.mode.word(), escape(&plan.source.reference), escape(&plan.comparison))
}

/// Tags of a reused image that a line names.
const SHOWN_TAGS: usize = 3;

/// `v1.25.3 → sha256:9b1d44…`: the tags without the image's name, which stands beside them.
fn tags_to(plan: &Plan, image: &ReusedImage) -> String {
    let digest = format!("sha256:{}…", image.digest.short());
    let prefix = if plan.layout == Layout::Single { format!("{}-", image.name) } else { String::new() };
    let own = |tag: &crate::oci::Tag| tag.as_str().strip_prefix(&prefix).unwrap_or(tag.as_str()).to_owned();
    let shown: Vec<String> = image.tags.iter().take(SHOWN_TAGS).map(own).collect();
    match image.tags.len().saturating_sub(SHOWN_TAGS) {
        _ if shown.is_empty() => digest,
        0 => format!("{} → {digest}", shown.join(", ")),
        more => format!("{} and {more} more → {digest}", shown.join(", ")),
    }
}

fn platforms(image: &PlannedImage) -> String {
    image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn backend(image: &PlannedImage) -> String {
    match &image.rerouted {
        _ if image.manual_images.is_some() => "manual".into(),
        Some(rerouted) => format!("{} (not {})", image.backend, rerouted.from),
        None => image.backend.to_string(),
    }
}

fn reasons(image: &PlannedImage) -> String {
    let own = image.reasons.iter().map(|reason| escape(&reason.text));
    own.chain(image.rerouted.iter().map(|rerouted| escape(&rerouted.reason))).collect::<Vec<_>>().join("; ")
}

/// One line: how much is built where.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    let reused = match plan.reused.len() {
        0 => String::new(),
        count => format!("{count} reused"),
    };
    if plan.is_empty() && plan.unchanged.is_empty() && plan.warnings.is_empty() {
        return "Nothing to build: no directory here has a build-config.yaml.".to_owned();
    }
    if plan.images.is_empty() {
        let unchanged = format!("{} unchanged", count(plan.unchanged.len(), "image"));
        return match (plan.reused.is_empty(), plan.unchanged.is_empty()) {
            (true, _) => format!("Nothing to build: {unchanged}."),
            (false, true) => format!("Nothing to build: {reused}."),
            (false, false) => format!("Nothing to build: {reused}, {unchanged}."),
        };
    }
    let waves = plan.images.iter().map(|image| image.wave).max().unwrap_or_default() as usize + 1;
    let mut by_arch: BTreeMap<String, usize> = BTreeMap::new();
    for platform in plan.images.iter().flat_map(|image| &image.platforms) {
        *by_arch.entry(platform.arch()).or_default() += 1;
    }
    let archs: Vec<String> = by_arch.iter().map(|(arch, count)| format!("{arch} {count}")).collect();
    let reused = if reused.is_empty() { reused } else { format!("; {reused}") };
    format!("{} to build in {}: {}{reused}.", plan.images.len(), count(waves, "wave"), archs.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
