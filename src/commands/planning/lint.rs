//! Gathers what the rules of `hephy check` look at: the images of the survey, the sizes of their contexts, the texts in
//! which comments silence rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::lines::texts;
use crate::change::{Ignoring, Mode, Oid, RepoPath, Tree};
use crate::commands::survey::{Image, Rules, Survey};
use crate::diagnostic::{Diagnostic, Span};
use crate::error::Result;
use crate::git::Objects;
use crate::ignorefile::{Dialect, IgnoreFile, Walk};
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
    contexts: &'a BTreeMap<Place, Context>,
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

/// What decides what belongs to a context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    dir: RepoPath,
    /// The Dockerfile, which may have an ignore file of its own.
    dockerfile: Option<String>,
    /// The ignore files that hold, by the rule of the builder.
    ignoring: Vec<(RepoPath, Dialect)>,
}

fn context_of(image: &Image) -> Option<Place> {
    Some(Place {
        dir: image.located.as_ref()?.context_dir()?.clone(),
        dockerfile: image.dockerfile.as_ref().map(|(path, _)| path.clone()),
        ignoring: image.ignoring.iter().map(|ignoring| (ignoring.path.clone(), ignoring.dialect)).collect(),
    })
}

/// The contexts of all images, each measured once.
fn contexts(survey: &Survey, tree: &Tree, objects: &Objects<'_>) -> Result<BTreeMap<Place, Context>> {
    let wanted: BTreeMap<Place, &Image> =
        survey.images.iter().filter_map(|image| Some((context_of(image)?, image.as_ref()))).collect();
    let dirs: BTreeSet<&RepoPath> = wanted.keys().map(|place| &place.dir).collect();
    let oids: Vec<Oid> = dirs.iter().flat_map(|dir| files(tree, dir)).map(|(_, oid)| oid).collect();
    let mut sizes = objects.sizes(&oids)?.into_iter();
    let mut by_dir: BTreeMap<&RepoPath, Vec<u64>> = BTreeMap::new();
    for dir in dirs {
        let own = files(tree, dir).map(|_| sizes.next().flatten().unwrap_or_default());
        by_dir.insert(dir, own.collect());
    }
    let context = |place: &Place, image: &Image| {
        let sizes = by_dir.get(&place.dir)?;
        Some(measured(place, &image.ignoring, files(tree, &place.dir).zip(sizes.iter().copied()), tree))
    };
    let measured = wanted.iter().filter_map(|(place, image)| Some((place.clone(), context(place, image)?)));
    Ok(measured.collect())
}

/// What of the files of a directory, each with its size, the ignore files leave in.
fn measured<'t>(
    place: &Place,
    ignoring: &[Ignoring],
    files: impl Iterator<Item = ((&'t [u8], Oid), u64)>,
    tree: &Tree,
) -> Context {
    let beside = |ending: &str| place.dockerfile.as_ref().map(|path| RepoPath::new(format!("{path}{ending}")));
    let own = [".dockerignore", ".containerignore"].into_iter().filter_map(beside);
    let common = [".dockerignore", ".containerignore"].map(|name| place.dir.join(name));
    let has_ignore_file = own.chain(common).any(|path| tree.get(path.as_bytes()).is_some());
    // Some builders read such a file and some do not: what they get is not known then.
    let exact = !has_ignore_file || !ignoring.is_empty();
    let mut context = Context { has_ignore_file, exact, ..Context::default() };
    let compiled: Vec<&IgnoreFile> = ignoring.iter().map(|ignoring| ignoring.file.as_ref()).collect();
    let mut walk = Walk::new(&compiled, b"", false);
    for ((path, _), size) in files {
        let seen = place.dir.relative(path).unwrap_or(path);
        if compiled.is_empty() || walk.file(seen, &mut |_| {}).is_none() {
            context.add(&String::from_utf8_lossy(path), size);
        }
    }
    context
}

/// The files of a context, by path, as a builder would get them.
fn files<'t>(tree: &'t Tree, dir: &RepoPath) -> impl Iterator<Item = (&'t [u8], Oid)> + use<'t> {
    tree.under(dir).filter(|entry| entry.mode != Mode::Gitlink).map(|entry| (entry.path, entry.oid))
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
