//! Gathers what the rules of `hephy check` look at: the images of the survey, the sizes of their contexts, the texts in
//! which comments silence rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::lines::texts;
use crate::change::{Mode, Oid, RepoPath, Tree};
use crate::commands::survey::{Image, Rules, Survey};
use crate::diagnostic::{Diagnostic, Span};
use crate::error::Result;
use crate::git::Objects;
use crate::lint::silence::{self, Language, Source};
use crate::lint::{Context, Level, Subject, find};
use crate::plan::graph::Uses;

/// What rules find, each with the configuration file of the image that it is about.
pub(super) fn findings(
    survey: &Survey,
    tree: &Tree,
    objects: &mut Objects<'_>,
    rules: &Rules<'_>,
) -> Result<Vec<(String, Diagnostic)>> {
    let contexts = contexts(survey, tree, objects)?;
    let mut found: Vec<Diagnostic> = Vec::new();
    // Images that share a Dockerfile share what is found in it.
    let mut seen: HashSet<(String, Span, Option<&'static str>, String)> = HashSet::new();
    // Whose affair a file is: its own for a configuration, of a Dockerfile the first image's that is built from it.
    let mut about: BTreeMap<String, &Image> = BTreeMap::new();
    for (image, uses) in survey.images.iter().zip(&survey.uses) {
        let Some(subject) = subject(image, uses, tree, rules, &contexts) else { continue };
        about.insert(image.file.clone(), image);
        if let Some((path, _)) = subject.dockerfile {
            about.entry(path.to_owned()).or_insert(image);
        }
        for finding in subject.findings() {
            if seen.insert((finding.file.clone(), finding.span, finding.rule, finding.message.clone())) {
                found.push(finding);
            }
        }
    }
    let sources = sources(&about, tree, objects);
    let named = |finding: Diagnostic| {
        let file = about.get(&finding.file).map_or_else(|| finding.file.clone(), |image| image.file.clone());
        (file, finding)
    };
    Ok(silence::apply(found, &sources).into_iter().map(named).collect())
}

fn subject<'a>(
    image: &'a Image,
    uses: &'a Uses,
    tree: &Tree,
    rules: &Rules<'_>,
    contexts: &'a BTreeMap<(RepoPath, Option<String>), Context>,
) -> Option<Subject<'a>> {
    let config = image.config().filter(|config| config.manual_images.is_none())?;
    let root = image.located.as_ref().map(|located| &located.root);
    Some(Subject {
        file: &image.file,
        spans: &image.parsed.spans,
        config,
        backend: image.backend(rules),
        dockerfile: image.dockerfile.as_ref().map(|(path, dockerfile)| (path.as_str(), dockerfile.as_ref())),
        bases: &uses.bases,
        context: context_of(image).and_then(|key| contexts.get(&key)),
        has_spin_manifest: root.is_some_and(|root| tree.get(root.join("spin.toml").as_bytes()).is_some()),
    })
}

/// What decides what belongs to a context: its directory, and the Dockerfile, which may have an ignore file of its own.
fn context_of(image: &Image) -> Option<(RepoPath, Option<String>)> {
    let dir = image.located.as_ref()?.context_dir()?.clone();
    Some((dir, image.dockerfile.as_ref().map(|(path, _)| path.clone())))
}

/// The contexts of all images, each measured once.
fn contexts(
    survey: &Survey,
    tree: &Tree,
    objects: &Objects<'_>,
) -> Result<BTreeMap<(RepoPath, Option<String>), Context>> {
    let wanted: BTreeSet<(RepoPath, Option<String>)> =
        survey.images.iter().filter_map(|image| context_of(image)).collect();
    let mut oids: Vec<Oid> = Vec::new();
    let mut measured: Vec<&RepoPath> = wanted.iter().map(|(dir, _)| dir).collect();
    measured.dedup();
    for dir in &measured {
        oids.extend(files(tree, dir).map(|entry| entry.1));
    }
    let mut sizes = objects.sizes(&oids)?.into_iter();
    let mut by_dir: BTreeMap<&RepoPath, Context> = BTreeMap::new();
    for dir in measured {
        let mut context = Context::default();
        for (path, _) in files(tree, dir) {
            context.add(&path, sizes.next().flatten().unwrap_or_default());
        }
        by_dir.insert(dir, context);
    }
    let context = |(dir, dockerfile): &(RepoPath, Option<String>)| {
        let own = dockerfile.as_ref().map(|path| format!("{path}.dockerignore"));
        let own = own.is_some_and(|path| tree.get(path.as_bytes()).is_some());
        let has_ignore_file = own || tree.get(dir.join(".dockerignore").as_bytes()).is_some();
        // What ignore files leave out is not taken off here: with one the size is an upper bound.
        Some(Context { has_ignore_file, exact: !has_ignore_file, ..by_dir.get(dir)?.clone() })
    };
    Ok(wanted.iter().filter_map(|key| Some((key.clone(), context(key)?))).collect())
}

/// The files of a context, by path, as a builder would get them.
fn files<'t>(tree: &'t Tree, dir: &RepoPath) -> impl Iterator<Item = (String, Oid)> + use<'t> {
    let files = tree.under(dir).filter(|entry| entry.mode != Mode::Gitlink);
    files.map(|entry| (String::from_utf8_lossy(entry.path).into_owned(), entry.oid))
}

/// The files in which comments may stand.
fn sources(about: &BTreeMap<String, &Image>, tree: &Tree, objects: &mut Objects<'_>) -> BTreeMap<String, Source> {
    let unused = find("unused-ignore").map_or(Level::Off, |rule| rule.level);
    let source = |(file, text): (String, String)| {
        let image = about.get(&file)?;
        let language = if image.file == file { Language::Yaml } else { Language::Dockerfile };
        let unused = image.config()?.lint.get("unused-ignore").copied().unwrap_or(unused);
        Some((file, Source { text, language, unused }))
    };
    texts(about.keys().cloned().collect(), tree, objects).into_iter().filter_map(source).collect()
}
