//! Which images are built, and whether they can be: the pure decision, and the findings that stop it.

use std::collections::BTreeSet;

use crate::change::{Globs, ImageChange, Mode, RepoPath, State, Tree};
use crate::cli::SelectArgs;
use crate::commands::survey::{Image, Survey};
use crate::config::{Dependents, Layout};
use crate::diagnostic::{Diagnostic, Severity, Span, escape, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::git::{Base, Content, Objects};
use crate::plan::Reason;
use crate::plan::decide::{Judged, Selection, decide};
use crate::plan::standing::Verdict;

/// Largest schedule list, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// What was asked for.
///
/// # Errors
/// When a pattern matches nothing, or a schedule's list is missing or names a directory that is no image.
pub(super) fn selection(
    select: &SelectArgs,
    survey: &Survey,
    tree: &Tree,
    objects: &mut Objects<'_>,
    warnings: &mut Vec<String>,
) -> Result<Selection> {
    if select.all {
        return Ok(Selection::All);
    }
    if !select.dirs.is_empty() {
        let mut named = BTreeSet::new();
        for pattern in &select.dirs {
            named.extend(matching("--dir ", pattern, survey)?);
        }
        return Ok(Selection::Named(named));
    }
    match &select.scheduled {
        Some(name) => scheduled(name, survey, (tree, objects), warnings),
        None => Ok(Selection::Changed),
    }
}

/// The images in directories that match; `flag` is what stood before the pattern.
///
/// # Errors
/// When it is no glob, or matches none.
pub(in crate::commands) fn matching(flag: &str, pattern: &str, survey: &Survey) -> Result<Vec<usize>> {
    let shown = escape(pattern);
    let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
    let trimmed = if trimmed.is_empty() { "." } else { trimmed };
    let compiled = Globs::new(&[trimmed.to_owned()])
        .map_err(|error| Error::usage(format!("{flag}{shown} is not a glob")).cause(error))?;
    let dirs = survey.images.iter().enumerate();
    let mut found: Vec<usize> = dirs
        .filter(|(_, image)| image.dir == trimmed || compiled.matching(image.dir.as_bytes()).is_some())
        .map(|(index, _)| index)
        .collect();
    if found.is_empty() {
        // One of the images of a directory with `targets` has a name only.
        found.extend(survey.images.iter().position(|image| image.name.as_str() == trimmed));
    }
    if found.is_empty() {
        let error = Error::new(ErrorKind::NotFound, format!("{flag}{shown} matches no image directory"));
        let near = nearest(trimmed, survey.images.iter().map(|image| image.dir.as_str()));
        return Err(match near {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => {
                error.hint("hephy graph lists the image directories; * stays within one part of a path, ** does not")
            }
        });
    }
    Ok(found)
}

/// Reads `rebuild-NAME.txt`: a directory a line, `#` begins a comment.
fn scheduled(
    name: &str,
    survey: &Survey,
    (tree, objects): (&Tree, &mut Objects<'_>),
    warnings: &mut Vec<String>,
) -> Result<Selection> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(Error::usage(format!("--scheduled {} is no name: letters, digits and ._-", escape(name))));
    }
    let file = format!("rebuild-{name}.txt");
    let content = objects.read_paths(tree, &[RepoPath::new(file.as_str())], MAX_LIST)?.pop();
    let bytes = match (content, tree.get(file.as_bytes())) {
        (Some(Content::Bytes(bytes)), _) => bytes,
        (Some(Content::TooLarge(size)), _) => {
            return Err(Error::config(format!("{file} has {size} bytes, more than {MAX_LIST}"))
                .hint("it lists the image directories to rebuild, one a line"));
        }
        (_, Some(entry)) if entry.mode == Mode::Link => {
            return Err(Error::config(format!("{file} is a symbolic link that leads to no file of the repository"))
                .hint("make it a file that lists the image directories to rebuild, one a line"));
        }
        _ => {
            return Err(Error::config(format!("there is no {file} at the repository's root"))
                .hint("it lists the image directories to rebuild, one a line"));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    let mut listed = BTreeSet::new();
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let dir = without_comment(line);
        if dir.is_empty() {
            continue;
        }
        let dir = dir.trim_start_matches("./").trim_end_matches('/');
        let of_dir = survey.images.iter().enumerate().filter(|(_, image)| image.dir == dir);
        let found: Vec<usize> = of_dir.map(|(index, _)| index).collect();
        if !found.is_empty() {
            listed.extend(found);
            continue;
        }
        let span = Span::new(at + 1, 1, dir.chars().count());
        let message = format!("`{dir}` is not an image directory");
        let mut finding = Diagnostic::error(&file, span, message).with_source(text);
        if let Some(near) = nearest(dir, survey.images.iter().map(|image| image.dir.as_str())) {
            finding = finding.suggest(format!("did you mean `{near}`?"));
        }
        findings.push(finding);
    }
    if findings.is_empty() {
        if listed.is_empty() {
            warnings.push(format!("{file} names no image directory, so nothing is built"));
        }
        return Ok(Selection::Scheduled(listed, file));
    }
    Err(Error::config(format!("{file} names directories that are no images")).diagnostics(findings))
}

/// A line of a list without its comment: `#` begins one at the line's start and behind a space or a tab.
fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').map(|(at, _)| at).find(begins).unwrap_or(line.len());
    line[..end].trim()
}

/// How far a change travels.
pub(super) fn dependents(select: &SelectArgs, survey: &Survey) -> Dependents {
    select.dependents.or(survey.root.dependents).unwrap_or_default()
}

/// The reasons of every image, by index.
pub(super) fn decided(
    survey: &Survey,
    changes: &[ImageChange],
    selection: &Selection,
    select: &SelectArgs,
    base: &Base,
    verdicts: &[Option<Verdict>],
) -> Vec<Vec<Reason>> {
    let judged: Vec<Judged<'_>> = survey
        .images
        .iter()
        .zip(&survey.edges)
        .enumerate()
        .map(|(index, (image, built_on))| {
            let published = verdicts.get(index).and_then(Option::as_ref);
            Judged { name: image.name.as_str(), state: state_of(changes, image), built_on, published }
        })
        .collect();
    let no_base = match base {
        Base::Nothing { reason } => reason.as_str(),
        Base::Commit { .. } | Base::Listed { .. } => "nothing to compare with",
    };
    decide(&judged, selection, dependents(select, survey), no_base)
}

/// What became of an image; `changes` are sorted by image.
pub(super) fn state_of<'c>(changes: &'c [ImageChange], image: &Image) -> &'c State {
    let id = image.id();
    changes.binary_search_by(|change| change.id.cmp(&id)).map_or(&State::NoBase, |at| &changes[at].state)
}

/// Refuses what is to be built and cannot be; what is wrong elsewhere becomes a warning.
///
/// # Errors
/// All findings of all images that are to be built, or whose directory changed into something invalid.
pub(super) fn refuse_invalid(
    survey: &Survey,
    decided: &[Vec<Reason>],
    changes: &[ImageChange],
    selection: &Selection,
    layout: Layout,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let mut findings = duplicate_names(survey, layout);
    let built = survey.edges.iter().zip(decided).filter(|(_, reasons)| !reasons.is_empty());
    let needed: BTreeSet<usize> = built.flat_map(|(edges, _)| edges.iter().copied()).collect();
    for (index, image) in survey.images.iter().enumerate() {
        let invalid_and_changed = matches!(state_of(changes, image), State::Invalid { changed: true });
        // Nobody can tell what an image is built on when that one's configuration says nothing.
        let mute = image.config().is_none() && needed.contains(&index);
        let wanted = mute
            || match selection {
                Selection::Changed => !decided[index].is_empty() || invalid_and_changed,
                Selection::All => true,
                Selection::Named(named) | Selection::Scheduled(named, _) => named.contains(&index),
            };
        let own: Vec<&Diagnostic> = image
            .parsed
            .findings
            .iter()
            .chain(&image.problems)
            .chain(&survey.uses[index].problems)
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        let illegal = image.illegal.as_ref();
        if wanted {
            findings.extend(own.into_iter().cloned());
            findings.extend(illegal.map(|why| {
                Diagnostic::error(&image.file, Span::START, format!("this directory cannot name an image: {why}"))
                    .note("rename the directory")
            }));
        } else if let Some(first) = own.first() {
            warnings.push(format!(
                "{} is invalid and left alone: {} (line {})",
                escape(&first.file),
                escape(&first.message),
                first.span.line
            ));
        } else if let Some(why) = illegal {
            warnings.push(format!("{} cannot name an image and is left alone: {}", escape(&image.dir), escape(why)));
        }
    }
    refuse(findings)
}

/// Fails with findings where there are any.
fn refuse(mut findings: Vec<Diagnostic>) -> Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    findings.sort_by(|one, other| one.sort_key().cmp(&other.sort_key()));
    // Images of one directory share what is wrong with its files.
    findings.dedup();
    let files: BTreeSet<&str> = findings.iter().map(|finding| finding.file.as_str()).collect();
    let sentence = match (findings.len(), files.len()) {
        (1, _) => "one error keeps images from being built".to_owned(),
        (count, 1) => format!("{count} errors keep an image from being built"),
        (count, files) => format!("{count} errors in {files} files keep images from being built"),
    };
    Err(Error::config(sentence).diagnostics(findings))
}

/// Two directories with the same image name (specification §3).
/// In layout `per-image` a name is a repository's and therefore in lower case.
pub(super) fn duplicate_names(survey: &Survey, layout: Layout) -> Vec<Diagnostic> {
    let mut by_name: std::collections::BTreeMap<String, &str> = std::collections::BTreeMap::new();
    let mut findings = Vec::new();
    for image in survey.images.iter().filter(|image| image.illegal.is_none()) {
        let name = match layout {
            Layout::Single => image.name.to_string(),
            Layout::PerImage => image.name.as_str().to_lowercase(),
        };
        if let Some(other) = by_name.insert(name.clone(), &image.dir) {
            findings.push(
                Diagnostic::error(
                    &image.file,
                    Span::START,
                    format!("`{}` and `{other}` are both named {name}", image.dir),
                )
                .note(
                    "an image is named after its directory, with / replaced by -, and then its target; rename one of \
                     the two",
                ),
            );
        }
    }
    findings
}
