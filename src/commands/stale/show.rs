//! Staleness for people and for programs. Pure.

use serde::Serialize;

use super::gather::{Assessed, Assessment, Untold};
use crate::commands::survey::Survey;
use crate::diagnostic::escape_cut;
use crate::error::Error;
use crate::oci::Digest;
use crate::plan::Reason;
use crate::plan::stale::{BaseState, CheckedBase, short};
use crate::table::columns;

/// The document of `--format json`.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    registry: &'a str,
    images: Vec<ImageEntry<'a>>,
    counts: Counts,
    error: Option<&'a Error>,
}

#[derive(Debug, Serialize)]
struct ImageEntry<'a> {
    name: &'a str,
    dir: &'a str,
    state: Standing,
    reasons: &'a [Reason],
    /// Why nothing can be said of the image as a whole.
    why: Option<&'a str>,
    /// The index that it was compared with.
    published: Option<&'a Digest>,
    bases: &'a [CheckedBase],
}

/// What becomes of an image: the strongest of what its bases say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Stale,
    Unreadable,
    Unknown,
    Fresh,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    images: usize,
    stale: usize,
    /// Stale ones included: whoever sees a failure finds here of how many.
    unreadable: usize,
    unknown: usize,
}

fn standing(image: &Assessed) -> Standing {
    let unknown = |base: &CheckedBase| matches!(base.state, BaseState::Unknown { .. });
    match &image.untold {
        _ if !image.reasons.is_empty() => Standing::Stale,
        _ if is_unread(image) => Standing::Unreadable,
        Some(_) => Standing::Unknown,
        None if image.bases.iter().any(unknown) => Standing::Unknown,
        None => Standing::Fresh,
    }
}

/// Whether something of an image could not be read, which it may be beside being stale.
fn is_unread(image: &Assessed) -> bool {
    let unreadable = |base: &CheckedBase| matches!(base.state, BaseState::Unreadable { .. });
    matches!(image.untold, Some(Untold::Unreadable(..))) || image.bases.iter().any(unreadable)
}

fn counts<'i>(images: impl Iterator<Item = &'i Assessed>) -> Counts {
    let mut counts = Counts::default();
    for image in images {
        let standing = standing(image);
        counts.images += 1;
        counts.stale += usize::from(standing == Standing::Stale);
        counts.unreadable += usize::from(is_unread(image));
        counts.unknown += usize::from(standing == Standing::Unknown);
    }
    counts
}

/// The images that are shown, as one document.
pub(super) fn document<'a>(
    registry: &'a str,
    survey: &'a Survey,
    shown: &[&'a Assessed],
    error: Option<&'a Error>,
) -> Document<'a> {
    let images = shown.iter().map(|image| ImageEntry {
        name: survey.images[image.index].name.as_str(),
        dir: &survey.images[image.index].dir,
        state: standing(image),
        reasons: &image.reasons,
        why: match &image.untold {
            Some(Untold::Unknown(why) | Untold::Unreadable(_, why)) => Some(why),
            None => None,
        },
        published: image.published.as_ref(),
        bases: &image.bases,
    });
    Document { registry, images: images.collect(), counts: counts(shown.iter().copied()), error }
}

/// The table, and a last line with counts. `every` also shows what is fresh.
pub(super) fn text(survey: &Survey, shown: &[&Assessed], every: bool) -> String {
    let mut rows = Vec::new();
    for image in shown {
        let name = survey.images[image.index].name.to_string();
        rows.extend(rows_of(image, &name, every));
    }
    let mut out: String = columns(&rows).iter().map(|line| format!("{line}\n")).collect();
    if !rows.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(counts(shown.iter().copied()), every));
    out
}

fn rows_of(image: &Assessed, name: &str, every: bool) -> Vec<Vec<String>> {
    let row = |state: &str, cells: [String; 4]| {
        let mut row = vec![format!("  {state}"), name.to_owned()];
        row.extend(cells);
        row
    };
    let dash = || "–".to_owned();
    let mut rows = Vec::new();
    for base in &image.bases {
        let place = format!("{}:{}", base.file, base.line);
        let (state, what) = match &base.state {
            BaseState::Moved { was, now } => ("stale", format!("{} → {}", short(was), short(now))),
            BaseState::Unrecorded { now } => ("stale", format!("was not recorded → {}", short(now))),
            BaseState::Unreadable { why, .. } => ("unread", escape_cut(why, 200)),
            BaseState::Unknown { why } => ("unknown", escape_cut(why, 200)),
            BaseState::Fresh { digest } if every => ("fresh", short(digest)),
            BaseState::Pinned if every => ("fresh", "pinned by its digest".to_owned()),
            _ => continue,
        };
        rows.push(row(state, [base.platform.to_string(), escape_cut(&base.reference, 160), what, place]));
    }
    let own = rows.iter().any(|row| row[0] == "  stale");
    if !own && !image.reasons.is_empty() {
        let why: Vec<&str> = image.reasons.iter().map(|reason| reason.text.as_str()).collect();
        rows.push(row("stale", [dash(), why.join("; "), String::new(), String::new()]));
    }
    if let Some(Untold::Unknown(why)) = &image.untold {
        rows.push(row("unknown", [dash(), escape_cut(why, 200), String::new(), String::new()]));
    }
    if let Some(Untold::Unreadable(_, why)) = &image.untold {
        rows.push(row("unread", [dash(), escape_cut(why, 200), String::new(), String::new()]));
    }
    if rows.is_empty() && every {
        rows.push(row("fresh", [dash(), "no base from outside".to_owned(), String::new(), String::new()]));
    }
    rows
}

fn summary(counts: Counts, every: bool) -> String {
    let Counts { images, stale, unreadable, unknown } = counts;
    let all = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
    let verb = if stale == 1 { "is" } else { "are" };
    let mut out = format!("{stale} of {all} {verb} stale");
    if unreadable > 0 {
        out.push_str(&format!(", {unreadable} could not be checked"));
    }
    if unknown > 0 {
        out.push_str(&format!(", {unknown} unknown"));
    }
    out.push_str(if every { ".\n" } else { " (hephy stale DIR shows every base of an image).\n" });
    out
}

/// The failure where something could not be read; everything else was shown.
pub(super) fn failure(shown: &[&Assessed]) -> Option<Error> {
    let of_image = shown.iter().filter_map(|image| match &image.untold {
        Some(Untold::Unreadable(kind, why)) => Some((*kind, why.clone())),
        _ => None,
    });
    let of_base = shown.iter().flat_map(|image| &image.bases).filter_map(|base| match &base.state {
        BaseState::Unreadable { why, kind } => {
            Some((*kind, format!("{}:{}: {}: {why}", base.file, base.line, escape_cut(&base.reference, 160))))
        }
        _ => None,
    });
    let mut all = of_image.chain(of_base);
    let (kind, first) = all.next()?;
    let rest = all.count();
    let more = if rest == 0 { String::new() } else { format!(" (and {rest} more)") };
    Some(
        Error::new(kind, "not every base could be read, so nobody can say whether it moved")
            .cause(anyhow::anyhow!("{first}{more}"))
            .hint(
                "does the image still exist, and may this machine read it? docs/rebuilds.md says what counts as stale",
            ),
    )
}

/// The images of an assessment that are to be shown.
pub(super) fn shown<'a>(assessment: &'a Assessment, wanted: &std::collections::BTreeSet<usize>) -> Vec<&'a Assessed> {
    assessment.images.iter().filter(|image| wanted.contains(&image.index)).collect()
}
