//! `targets`: several images out of one file. Each is an [`ImageConfig`] of its own, in which `target` is its stage and
//! everything else is what all of them share.

use std::rc::Rc;

use serde::Serialize;

use super::file::{self, File};
use super::node::{Node, NodeKind};
use super::{BackendName, ImageConfig, Spans, rules};

/// One of `targets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Dockerfile stage.
    pub target: String,
    /// What stands behind the directory's name; the stage where nothing else is said.
    pub name: String,
    /// Extra tags of this image, besides those that all have.
    pub additional_tags: Vec<String>,
}

/// Reads `targets`.
pub(super) fn read(file: &mut File<'_>, backend: Option<BackendName>) -> Vec<Target> {
    let nodes = match file.get("targets").map(|entry| &entry.value.kind) {
        Some(NodeKind::Seq(nodes)) => Rc::clone(nodes),
        _ => return Vec::new(),
    };
    if !nodes.is_empty() {
        refuse_what_has_no_stages(file, backend);
    }
    let mut targets: Vec<Target> = Vec::new();
    for (at, node) in nodes.iter().take(super::fields::MAX_ENTRIES).enumerate() {
        let Some(target) = one(file, at, node) else { continue };
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        if let Some(known) = targets.iter().find(|known| same(&known.target, &target.target)) {
            let message = format!("the stage `{}` is given twice", known.target);
            file.error(place(&file.shape.spans, at, "target"), message, "tags of its own make no second image");
        } else if let Some(known) = targets.iter().find(|known| same(&known.name, &target.name)) {
            let message = format!("the name `{}` is given twice", known.name);
            let note = "give one of the two stages another `name`";
            file.error(place(&file.shape.spans, at, "name"), message, note);
        }
        targets.push(target);
    }
    targets
}

fn one(file: &mut File<'_>, at: usize, node: &Node) -> Option<Target> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => {
            let target = rules::one_stage(text).ok()?;
            Some(Target { name: target.clone(), target, additional_tags: Vec::new() })
        }
        NodeKind::Map(entries) => {
            if !entries.iter().any(|entry| &*entry.key == "target" && !matches!(entry.value.kind, NodeKind::Null)) {
                let message = format!("`targets[{at}]` names no stage");
                file.error(node.span, message, "every mapping has a `target`");
            }
            let target = file::text(entries, "target", rules::one_stage)?;
            let name = file::text(entries, "name", rules::target_name);
            let additional_tags = file::list(entries, "additional_tags", rules::additional_tag);
            Some(Target { name: name.unwrap_or_else(|| target.clone()), target, additional_tags })
        }
        _ => None,
    }
}

fn refuse_what_has_no_stages(file: &mut File<'_>, backend: Option<BackendName>) {
    let key = file.key("targets");
    if backend.is_some_and(|backend| !backend.reads_dockerfile()) {
        let note = "its images would all be the same; take `targets` away, or choose another builder";
        file.error(key, "`targets` needs a builder that reads a Dockerfile", note);
    }
    if file.flag("manual_build") == Some(true) {
        file.error(key, "`targets` excludes `manual_build: true`", "images built elsewhere have no stages");
    }
}

/// The place of a part of an entry; of the entry where it is only a stage.
fn place(spans: &Spans, at: usize, part: &str) -> crate::diagnostic::Span {
    let entry = format!("targets[{at}]");
    spans.0.get(&format!("{entry}.{part}")).copied().unwrap_or_else(|| spans.of(&entry))
}

impl ImageConfig {
    /// The configuration of one of the `targets`.
    #[must_use]
    pub fn of_target(&self, target: &Target) -> Self {
        let mut config = Self { target: Some(target.target.clone()), ..self.clone() };
        for tag in &target.additional_tags {
            if !config.additional_tags.contains(tag) {
                config.additional_tags.push(tag.clone());
            }
        }
        config
    }

    /// Where the fields of [`ImageConfig::of_target`] stand, for the target at this place of the list.
    #[must_use]
    pub fn spans_of_target(&self, spans: &Spans, at: usize) -> Spans {
        let mut of_target = spans.clone();
        let places = &mut of_target.0;
        places.insert("target".into(), place(spans, at, "target"));
        let own = format!("targets[{at}].additional_tags");
        if let Some(list) = spans.0.get(&own) {
            places.insert("additional_tags".into(), *list);
        }
        let tags = self.targets.get(at).map(|target| target.additional_tags.as_slice()).unwrap_or_default();
        let mut next = self.additional_tags.len();
        for (index, tag) in tags.iter().enumerate() {
            if self.additional_tags.contains(tag) || tags[..index].contains(tag) {
                continue;
            }
            if let Some(span) = spans.0.get(&format!("{own}[{index}]")) {
                places.insert(format!("additional_tags[{next}]"), *span);
            }
            next += 1;
        }
        of_target
    }
}
