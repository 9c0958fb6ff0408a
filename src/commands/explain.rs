//! `hephy plan --explain DIR`: why this image is built, or why it is not.

use std::sync::Arc;

use serde::Serialize;

use super::planning::{Planning, Sides};
use super::session::Session;
use crate::change::{
    Difference, FileNote, FileStatus, ImageChange, ImageId, Keyed, RuleKind, State, Tree, TreeChange, file_notes,
};
use crate::commands::survey::{Image, Survey};
use crate::diagnostic::{escape, escape_cut, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::assemble::Candidate;
use crate::plan::graph::only_for;
use crate::plan::{DependencyVia, Reason};
use crate::table::columns;

/// Everything that is said of one image.
#[derive(Debug, Serialize)]
struct Explanation {
    dir: String,
    target: Option<String>,
    image: Option<String>,
    built: bool,
    /// What is published is used instead.
    reused: bool,
    /// Images that what is published should be built on and is not, where nothing else differs.
    on_others: Vec<String>,
    reasons: Vec<Reason>,
    base: Option<String>,
    compared_with: String,
    /// The published index that was compared with: `registry:tag`.
    published: Option<String>,
    /// The commit that it was built from.
    published_from: Option<String>,
    key_was: Option<String>,
    key_now: Option<String>,
    files: Vec<FileNote>,
    fields: Vec<FieldNote>,
    dependencies: Vec<DependencyNote>,
    dependents: Vec<String>,
}

/// One field of the configuration that differs.
#[derive(Debug, Serialize)]
struct FieldNote {
    field: String,
    was: Option<serde_json::Value>,
    now: Option<serde_json::Value>,
}

/// One image that this one is built on.
#[derive(Debug, Serialize)]
struct DependencyNote {
    image: String,
    was: Option<String>,
    now: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When there is no such image directory.
pub(super) fn run(session: &Session, planning: &Planning, dir: &str) -> Result<()> {
    let dir = dir.trim_start_matches("./").trim_end_matches('/');
    let dir = if dir.is_empty() { "." } else { dir };
    let names =
        |change: &ImageChange| find(&planning.sides.survey, &change.id).is_some_and(|image| image.name.as_str() == dir);
    let shown = |change: &&ImageChange| dir_of(change) == dir || names(change);
    let changes: Vec<&ImageChange> = planning.changes.iter().filter(shown).collect();
    let explained: Vec<Explanation> = changes.iter().map(|change| explain(planning, change)).collect();
    let texts: Vec<String> = changes.iter().zip(&explained).map(|(change, it)| text(it, &change.state)).collect();
    match explained.as_slice() {
        [] => return Err(unknown(planning, dir)),
        [one] => session.report.json(one)?,
        // A directory with `targets` is several images.
        several => session.report.json(&several)?,
    }
    session.report.text(&texts.join("\n"))
}

fn dir_of(change: &ImageChange) -> String {
    if change.id.dir.is_root() { ".".to_owned() } else { change.id.dir.to_string() }
}

fn unknown(planning: &Planning, dir: &str) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("{} is not an image directory", escape(dir)));
    let dirs: Vec<String> = planning.changes.iter().map(dir_of).collect();
    match nearest(dir, dirs.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("an image directory holds a build-config.yaml; hephy graph lists them"),
    }
}

fn explain(planning: &Planning, change: &ImageChange) -> Explanation {
    let sides = &planning.sides;
    let image = find(&planning.sides.survey, &change.id);
    let is_it = |candidate: &Candidate| image.is_some_and(|image| candidate.name == image.name);
    let candidate = planning.candidates.iter().position(is_it);
    let decided = candidate.and_then(|index| planning.candidates.get(index));
    let now = sides.head_keys.get(&change.id).map(Arc::as_ref);
    let other = Other::of(sides, &change.id);
    let note = sides.published.get(&change.id);
    let (mut fields, mut dependencies) = (Vec::new(), Vec::new());
    if let State::Changed(differences) = &change.state {
        for difference in differences {
            match difference {
                Difference::Field { name, old, new } => {
                    fields.push(FieldNote { field: name.clone(), was: old.clone(), now: new.clone() });
                }
                Difference::Backend { old, new } => fields.push(FieldNote {
                    field: "build_backend".into(),
                    was: serde_json::to_value(old).ok(),
                    now: serde_json::to_value(new).ok(),
                }),
                Difference::Source { old, new } => fields.push(FieldNote {
                    field: "source".into(),
                    was: serde_json::to_value(old).ok(),
                    now: serde_json::to_value(new).ok(),
                }),
                Difference::Dependency { name, old, new } => dependencies.push(DependencyNote {
                    image: name.clone(),
                    was: old.as_ref().map(ToString::to_string),
                    now: new.as_ref().map(ToString::to_string),
                }),
                Difference::Files(_) | Difference::InvalidBase => {}
            }
        }
    }
    Explanation {
        dir: dir_of(change),
        target: change.id.target.clone(),
        image: decided.map(|candidate| candidate.name.to_string()),
        built: decided.is_some_and(|candidate| !candidate.reasons.is_empty()),
        reused: decided.is_some_and(|candidate| candidate.reasons.is_empty() && candidate.reused.is_some()),
        on_others: note.map(|note| note.on_others.clone()).unwrap_or_default(),
        reasons: decided.map(|candidate| candidate.reasons.clone()).unwrap_or_default(),
        base: other.commit.clone(),
        compared_with: match note {
            Some(_) => "what is published".to_owned(),
            None => sides.base_commit.text(),
        },
        published: note.map(|note| note.reference.clone()),
        published_from: note.and_then(|note| note.revision.clone()),
        key_was: match note {
            Some(note) => Some(note.key.clone()),
            None => other.keyed.map(|keyed| keyed.key.to_string()),
        },
        key_now: now.map(|keyed| keyed.key.to_string()),
        files: other.files(sides, &change.id, now),
        fields,
        dependencies,
        dependents: candidate.map(|index| dependents(&planning.candidates, index)).unwrap_or_default(),
    }
}

/// The state of the repository that an image is compared with.
struct Other<'a> {
    commit: Option<String>,
    files: Option<(&'a Tree, &'a [TreeChange])>,
    survey: Option<&'a Survey>,
    keyed: Option<&'a Keyed>,
}

impl<'a> Other<'a> {
    /// The base; for an image that was compared with what is published the commit that has the published key, if one
    /// is here.
    fn of(sides: &'a Sides, id: &ImageId) -> Self {
        let base = || Self {
            commit: sides.base_commit.id().map(|id| id.to_string()),
            files: sides.base.as_ref().map(|tree| (tree, sides.changes.as_slice())),
            survey: sides.was.as_ref(),
            keyed: sides.base_keys.get(id).map(Arc::as_ref),
        };
        let Some(note) = sides.published.get(id) else { return base() };
        match note.past.and_then(|at| sides.pasts.get(at)) {
            Some(past) => match &past.files {
                None => base(),
                Some(seen) => Self {
                    commit: Some(past.commit.clone()),
                    files: Some((&seen.tree, &seen.changes)),
                    survey: Some(&seen.survey),
                    keyed: past.keys.get(id).map(Arc::as_ref),
                },
            },
            None => Self { commit: note.revision.clone(), files: None, survey: None, keyed: None },
        }
    }

    fn files(&self, sides: &Sides, id: &ImageId, now: Option<&Keyed>) -> Vec<FileNote> {
        let (Some(now), Some(was), Some((tree, changes))) = (now, self.keyed, self.files) else { return Vec::new() };
        let mut notes = file_notes((&sides.head, now), (tree, was), changes);
        let image = find(&sides.survey, id);
        for note in &mut notes {
            if let Some(image) = image {
                place_rule(note, image, &sides.survey);
            }
            let is_dockerfile = now.located.as_ref().and_then(|located| located.dockerfile_blob());
            if note.status == FileStatus::Modified && is_dockerfile.is_some_and(|(path, _)| *path == note.path) {
                let old = self.survey.and_then(|survey| find(survey, id));
                note.why = note.why.take().or_else(|| first_difference(image?, old?));
            }
        }
        notes
    }
}

fn find<'s>(survey: &'s Survey, id: &ImageId) -> Option<&'s Image> {
    survey.images.iter().find(|image| image.path == id.dir && image.target == id.target).map(AsRef::as_ref)
}

fn first_difference(image: &Image, old: &Image) -> Option<String> {
    let ((_, new), (_, old)) = (image.dockerfile.as_ref()?, old.dockerfile.as_ref()?);
    Some(new.first_difference(old).unwrap_or_else(|| "no instruction differs, but the file counts as it is".to_owned()))
}

/// Adds where a rule of the configuration stands: those of `hephy.yaml` come before the image's own.
fn place_rule(note: &mut FileNote, image: &Image, survey: &Survey) {
    let (Some(list), Some(rule), Some(config)) = (note.list, &note.rule, image.config()) else { return };
    let (name, patterns, inherited, verb) = match list {
        RuleKind::Ignore => ("ignore", &config.ignore, survey.root.ignore.len(), "excluded by ignore"),
        RuleKind::Watch => ("watch", &config.watch, 0, "watched"),
    };
    let Some(at) = patterns.iter().position(|pattern| pattern == rule) else { return };
    let (file, span) = match at.checked_sub(inherited) {
        Some(own) => (image.file.as_str(), image.parsed.spans.of(&format!("{name}[{own}]"))),
        None => (crate::config::ROOT_FILE, survey.root_spans.of(&format!("{name}[{at}]"))),
    };
    let now = if note.why.as_ref().is_some_and(|why| why.starts_with("now ")) { "now " } else { "" };
    note.why = Some(format!("{now}{verb}, {file}:{} ({})", span.line, escape_cut(rule, 80)));
    note.file = Some(file.to_owned());
    note.line = Some(span.line);
}

fn dependents(candidates: &[Candidate], index: usize) -> Vec<String> {
    let mut found = Vec::new();
    for candidate in candidates {
        for edge in candidate.edges.iter().filter(|edge| edge.to == index) {
            let only = only_for(&edge.via, &edge.platforms, &candidate.config.platforms);
            let place = |line: &usize| format!("{}:{line}{only}", escape(&candidate.dockerfile()));
            found.push(match &edge.via {
                DependencyVia::Variable { name, line } => format!("{} (ARG {name}, {})", candidate.name, place(line)),
                DependencyVia::Reference { text, line } => {
                    format!("{} ({}, {})", candidate.name, escape(text), place(line))
                }
                DependencyVia::DependsOn => format!("{} (depends_on)", candidate.name),
            });
        }
    }
    found
}

fn text(it: &Explanation, state: &State) -> String {
    let of_dir = || match &it.target {
        Some(target) => format!("{} ({})", escape(&it.dir), escape(target)),
        None => escape(&it.dir),
    };
    let name = it.image.clone().unwrap_or_else(of_dir);
    let mut out = format!("{name} {}\n", headline(it, state));
    let short = |key: &Option<String>| key.as_deref().and_then(|key| key.get(..6)).map(|key| format!("{key}…"));
    let commit = it.published_from.as_deref().filter(|_| it.published.is_some()).or(it.base.as_deref());
    let at = match (commit.and_then(|id| id.get(..7)), &it.published) {
        (Some(commit), Some(published)) => format!("at {commit}, published as {}", escape(published)),
        (None, Some(published)) => format!("published as {}", escape(published)),
        (Some(commit), None) => format!("at {commit}"),
        (None, None) => "at the base".to_owned(),
    };
    match (short(&it.key_was), short(&it.key_now)) {
        (Some(was), Some(now)) if it.key_was != it.key_now => {
            out.push_str(&format!("  was  {was}  {at}\n  now  {now}\n"));
        }
        (Some(_), Some(now)) if it.published.is_some() => out.push_str(&format!("  key  {now}  here and {at}\n")),
        (Some(_), Some(now)) => out.push_str(&format!("  key  {now}  here and at {}\n", escape(&it.compared_with))),
        (None, Some(now)) => out.push_str(&format!("  key  {now}  {}\n", escape(&it.compared_with))),
        (Some(was), None) => out.push_str(&format!("  was  {was}  {at}\n")),
        (None, None) => {}
    }
    let mut rows = Vec::new();
    for file in &it.files {
        let letter = format!("  {}", file.status.letter());
        rows.push(vec![letter, file.path.to_string(), file.why.clone().unwrap_or_default()]);
    }
    let value = |value: &Option<serde_json::Value>| match value {
        Some(value) => escape_cut(&value.to_string(), 60),
        None => "–".to_owned(),
    };
    for field in &it.fields {
        rows.push(vec![
            "  ~".into(),
            format!("`{}`", field.field),
            format!("{} → {}", value(&field.was), value(&field.now)),
        ]);
    }
    for on in &it.dependencies {
        let key = |key: &Option<String>| short(key).unwrap_or_else(|| "–".into());
        rows.push(vec!["  ^".into(), on.image.clone(), format!("its key: {} → {}", key(&on.was), key(&on.now))]);
    }
    if !rows.is_empty() {
        out.push('\n');
        for line in columns(&rows) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    if !it.dependents.is_empty() {
        out.push_str(&format!("\nbuilt on it: {}\n", it.dependents.join(", ")));
    }
    out
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| escape_cut(name, 80)).collect::<Vec<_>>().join(", ")
}

fn headline(it: &Explanation, state: &State) -> String {
    let reasons = it.reasons.iter().map(|reason| escape(&reason.text)).collect::<Vec<_>>().join("; ");
    match (it.built, state) {
        (true, _) => format!("will be built: {reasons}"),
        (false, _) if it.reused => "is not built: what is published is used".to_owned(),
        (false, State::Removed) => "is gone: its configuration went away; what was published stays".to_owned(),
        (false, State::Invalid { .. }) => {
            "is left alone: its configuration is invalid; hephy check says why".to_owned()
        }
        (false, State::Unchanged) if !it.on_others.is_empty() => {
            format!(
                "is left alone: nothing of its own changed; it is built on {} as it was published",
                names(&it.on_others)
            )
        }
        (false, State::Unchanged) => "is left alone: its input key is the same".to_owned(),
        (false, _) => "is left alone: it changed, and was not asked for".to_owned(),
    }
}
