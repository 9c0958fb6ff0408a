//! Triggers (`ONBUILD`) of bases from elsewhere: they run in builds on them, and may read more of the build context than
//! the Dockerfile says and the key counts. Then a change would be missed, and nothing is built before that is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _};

use crate::change::{Keyed, RepoPath, UNSEEN, Uncounted};
use crate::commands::planning::Planning;
use crate::commands::published::{CONCURRENT, Found, triggers};
use crate::config;
use crate::diagnostic::{Diagnostic, Span, escape, escape_cut};
use crate::dockerfile::of_trigger;
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference, Repository};
use crate::plan::assemble::Candidate;
use crate::plan::graph::ExternalBase;
use crate::registry::Client;

/// What looked-up references hold.
type Looked<'a> = BTreeMap<&'a str, Rc<Result<Option<Found>>>>;

/// A base whose triggers matter to an image: not everything that they might read counts for it.
struct Concerned<'a> {
    candidate: &'a Candidate,
    keyed: &'a Keyed,
    base: &'a ExternalBase,
    line: usize,
    found: &'a Found,
    /// One of its images, for a platform that is wanted.
    image: (Repository, Digest),
}

/// Refuses images whose bases read what does not count; gives warnings about bases whose triggers nobody can read.
///
/// # Errors
/// When there is such an image.
pub(super) async fn refuse_uncounted(
    client: &Client,
    planning: &Planning,
    looked: &Looked<'_>,
) -> Result<BTreeSet<String>> {
    let concerned = concerned(planning, looked);
    let wanted: BTreeSet<&(Repository, Digest)> =
        concerned.iter().filter(|it| it.found.triggers.is_none()).map(|it| &it.image).collect();
    let questions = wanted.into_iter().map(|image| async move { (image, triggers(client, &image.0, &image.1).await) });
    let read: BTreeMap<_, _> = stream::iter(questions).buffer_unordered(CONCURRENT).collect().await;
    let (mut findings, mut hints, mut warnings) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for it in &concerned {
        let place = escape(&it.candidate.dockerfile());
        let shown = escape(&it.base.reference);
        let triggers = match (&it.found.triggers, read.get(&it.image)) {
            (Some(known), _) | (None, Some(Ok(known))) => known,
            (None, Some(Err(error))) => {
                warnings.insert(format!(
                    "{place}:{}: the configuration of {shown} could not be read, so nobody knows what it has behind \
                     ONBUILD: {error}",
                    it.line
                ));
                continue;
            }
            (None, None) => continue,
        };
        for trigger in triggers {
            let Some(uncounted) = uncounted(it.keyed, planning, trigger) else { continue };
            let span = Span::new(it.line.max(1), 1, 1);
            let message = format!(
                "{shown} runs `{}` in builds on it, and {} does not count for {}",
                escape_cut(&format!("ONBUILD {trigger}"), 160),
                escape_cut(&uncounted.example.to_string(), 160),
                it.candidate.name
            );
            findings.push(Diagnostic::error(&place, span, message));
            let lines: &mut BTreeSet<String> = hints.entry(it.candidate.dir.as_str()).or_default();
            lines.extend(uncounted.watch);
        }
    }
    if findings.is_empty() {
        return Ok(warnings);
    }
    let hints: Vec<String> = hints.into_iter().map(|(dir, globs)| hint(dir, &globs)).collect();
    Err(Error::config("triggers of base images read files that do not count as a change")
        .diagnostics(findings)
        .hint(hints.join("\n")))
}

fn uncounted(keyed: &Keyed, planning: &Planning, trigger: &str) -> Option<Uncounted> {
    let tree = &planning.sides.head;
    match of_trigger(trigger) {
        Some(reads) => keyed.uncounted(tree, &reads),
        None => keyed.uncounted(tree, &UNSEEN),
    }
}

/// Only these are asked for: most images count everything, or lie on nothing from elsewhere.
fn concerned<'a>(planning: &'a Planning, looked: &'a Looked<'_>) -> Vec<Concerned<'a>> {
    let sides = &planning.sides;
    let ids: BTreeMap<_, _> = sides.survey.images.iter().map(|image| (&image.name, image.id())).collect();
    let mut concerned = Vec::new();
    for candidate in planning.candidates.iter().filter(|it| it.is_built() && it.backend.reads_dockerfile()) {
        let keyed = ids.get(&candidate.name).and_then(|id| sides.head_keys.get(id));
        let Some(keyed) = keyed.filter(|keyed| keyed.located.is_some()) else { continue };
        let bases = candidate.bases.iter().filter_map(|base| {
            let Some(Ok(Some(found))) = looked.get(base.reference.as_str()).map(|answer| &**answer) else {
                return None;
            };
            let mut digests = base.wanted_for.iter().filter_map(|it| found.platforms.get(&base.platform_for(it)));
            let repository = Reference::parse(&base.reference).ok()?.repository;
            let image = (repository, digests.next()?.clone());
            Some(Concerned { candidate, keyed, base, line: base.from_line?, found, image })
        });
        let mut bases = bases.peekable();
        if bases.peek().is_some() && keyed.uncounted(&sides.head, &UNSEEN).is_some() {
            concerned.extend(bases);
        }
    }
    concerned
}

/// What makes it count.
fn hint(dir: &str, globs: &BTreeSet<String>) -> String {
    let file = RepoPath::from(dir).join(config::IMAGE_FILE);
    // JSON is YAML, and quotes what needs it.
    let lines: String = globs.iter().map(|glob| format!("\n  - {}", serde_json::json!(glob))).collect();
    format!(
        "name what is read in {}:\nwatch:{lines}\nor let the Dockerfile copy all of it itself (`COPY .`)",
        escape(&file.to_string())
    )
}
