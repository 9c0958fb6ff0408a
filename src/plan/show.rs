//! The plan for a person: on a terminal and as `plan.md`.

use std::collections::BTreeMap;

use super::{Plan, PlannedImage};
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
    if plan.images.is_empty() && plan.unchanged.is_empty() && plan.warnings.is_empty() {
        return "Nothing to build: no directory here has a build-config.yaml.".to_owned();
    }
    if plan.images.is_empty() {
        return format!("Nothing to build: {} unchanged.", count(plan.unchanged.len(), "image"));
    }
    let waves = plan.images.iter().map(|image| image.wave).max().unwrap_or_default() as usize + 1;
    let mut by_arch: BTreeMap<String, usize> = BTreeMap::new();
    for platform in plan.images.iter().flat_map(|image| &image.platforms) {
        *by_arch.entry(platform.arch()).or_default() += 1;
    }
    let archs: Vec<String> = by_arch.iter().map(|(arch, count)| format!("{arch} {count}")).collect();
    format!("{} to build in {}: {}.", plan.images.len(), count(waves, "wave"), archs.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
