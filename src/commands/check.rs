//! `hephy check`: finds the configuration files of a working tree, reads them, and has `config` judge them.
//!
//! Nothing outside the repository is opened, nothing that is not a regular file is opened at all (a named pipe would
//! block), and no directory is entered through a link. Nothing is written, and the network is not used.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use super::session::Session;
use crate::config::{
    CheckReport, CheckedFile, ContextFrom, IMAGE_FILE, ImageConfig, MAX_BYTES, Parsed, ROOT_FILE, RootConfig, Source,
    Spans, Transports, parse_image, parse_root,
};
use crate::diagnostic::{Diagnostic, Severity, Span, escape, escape_cut, nearest};
use crate::error::{Error, Result};
use crate::lint;

/// Checks the configuration files below `root`, or those that `paths` name: files, or directories and everything below.
/// `transports` are those that `GIT_ALLOW_PROTOCOL` lists. A report with errors is no failure of this function; the
/// command ends with `config_error` then.
///
/// # Errors
/// When a path does not exist, lies outside the repository or holds no configuration, or when a directory cannot be
/// read.
pub fn run(root: &Path, paths: &[PathBuf], transports: &Transports) -> Result<CheckReport> {
    let shown = root.display();
    let root = root.canonicalize().map_err(|error| Error::io(format!("`{shown}` cannot be read"), error))?;
    let mut files = BTreeSet::new();
    if paths.is_empty() {
        walk(&root, PathBuf::new(), &mut files)?;
        files.extend(root.join(ROOT_FILE).symlink_metadata().is_ok().then(|| PathBuf::from(ROOT_FILE)));
    }
    for path in paths {
        name(&root, path, &mut files)?;
    }
    let (defaults, of_root) = defaults(&root, transports);
    let files = of_dockerfiles(&root, files, &defaults)?;
    let mut checked: Vec<CheckedFile> = Vec::new();
    // Broken defaults concern every image, so they are shown whatever was asked for.
    if let Some(file) = of_root
        && (files.contains(Path::new(ROOT_FILE)) || file.config.is_none())
    {
        checked.push(file);
    }
    let images = files.iter().filter(|file| **file != Path::new(ROOT_FILE));
    checked.extend(images.map(|file| image(&root, file, &defaults)));
    Ok(CheckReport::new(checked))
}

/// Puts in the place of each file that is no configuration those of the images that have it for their Dockerfile.
///
/// # Errors
/// When it is no image's.
fn of_dockerfiles(root: &Path, named: BTreeSet<PathBuf>, defaults: &RootConfig) -> Result<BTreeSet<PathBuf>> {
    let is_yaml = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let (mut files, others): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) = named.into_iter().partition(is_yaml);
    if others.is_empty() {
        return Ok(files);
    }
    let mut all = BTreeSet::new();
    walk(root, PathBuf::new(), &mut all)?;
    let built_from: Vec<(PathBuf, PathBuf)> =
        all.into_iter().filter_map(|file| Some((dockerfile_of(root, &file, defaults)?, file))).collect();
    for other in others {
        let shown = escape(&other.to_string_lossy());
        let real = root.join(&other).canonicalize().unwrap_or_else(|_| root.join(&other));
        let its = built_from.iter().filter(|(dockerfile, _)| *dockerfile == real).map(|(_, file)| file.clone());
        let its: Vec<PathBuf> = its.collect();
        if its.is_empty() {
            return Err(Error::usage(format!("`{shown}` is no configuration, and no image is built from it"))
                .hint(format!("name directories, {IMAGE_FILE} files, {ROOT_FILE}, or Dockerfiles that an image has")));
        }
        files.extend(its);
    }
    Ok(files)
}

/// The Dockerfile of the image that a file configures, links followed.
fn dockerfile_of(root: &Path, file: &Path, defaults: &RootConfig) -> Option<PathBuf> {
    let bytes = read(root, file).ok()?;
    let config = parse_image(&file.to_string_lossy(), &bytes, defaults).value?;
    let Source::Local { from } = config.source else { return None };
    let source_root = match from {
        ContextFrom::Directory => root.join(file.parent()?),
        ContextFrom::Repository => root.to_owned(),
    };
    source_root.join(&config.dockerfile_path).canonicalize().ok()
}

/// The files that one path of the command line names.
fn name(root: &Path, path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let shown = escape(&path.display().to_string());
    let missing = |_| Error::usage(format!("`{shown}` does not exist")).hint("name directories or configuration files");
    let metadata = path.symlink_metadata().map_err(missing)?;
    let directory = metadata.is_dir() || path.is_dir();
    // A file keeps the name it was called by, even where it is a link; what it leads to is looked at when it is read.
    let (parent, last) = if directory { (path, None) } else { (path.parent().unwrap_or(path), path.file_name()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let place = parent.canonicalize().map_err(|error| Error::io(format!("`{shown}` cannot be read"), error))?;
    let inside = place.strip_prefix(root).map_err(|_| {
        Error::usage(format!("`{shown}` lies outside the repository")).hint("name paths below the repository's root")
    })?;
    match last {
        Some(last) => {
            files.insert(inside.join(last));
        }
        None => {
            let before = files.len();
            walk(root, inside.to_owned(), files)?;
            let root_file = inside.as_os_str().is_empty() && root.join(ROOT_FILE).symlink_metadata().is_ok();
            files.extend(root_file.then(|| PathBuf::from(ROOT_FILE)));
            if files.len() == before && !files.iter().any(|file| file.starts_with(inside)) {
                return Err(Error::usage(format!("no {IMAGE_FILE} in `{shown}`"))
                    .hint("every directory with one is an image; paths are relative to where you are"));
            }
        }
    }
    Ok(())
}

/// Adds the configuration files below a directory. Repositories inside this one (submodules, say) are others' affair.
fn walk(root: &Path, start: PathBuf, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let mut waiting = vec![start];
    while let Some(directory) = waiting.pop() {
        let unreadable = |error| {
            Error::io(format!("the directory `{}` cannot be read", escape(&directory.to_string_lossy())), error)
        };
        for entry in fs::read_dir(root.join(&directory)).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (name, kind) = (entry.file_name(), entry.file_type().map_err(unreadable)?);
            let path = directory.join(&name);
            let own = name == ".git" || path == Path::new(".hephy");
            if name == IMAGE_FILE || name == "build-config.yml" {
                files.insert(path);
            } else if kind.is_dir() && !own && entry.path().join(".git").symlink_metadata().is_err() {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

/// The repository's defaults, as far as they can be read.
fn defaults(root: &Path, transports: &Transports) -> (RootConfig, Option<CheckedFile>) {
    let mut defaults = RootConfig::default();
    let mut checked = None;
    if root.join(ROOT_FILE).symlink_metadata().is_ok() {
        let parsed = match read(root, Path::new(ROOT_FILE)) {
            Ok(bytes) => parse_root(ROOT_FILE, &bytes),
            Err(finding) => Parsed { value: None, findings: vec![*finding], spans: Spans::default() },
        };
        defaults = parsed.value.clone().unwrap_or_default();
        checked = Some(CheckedFile::parsed(ROOT_FILE, parsed));
    }
    defaults.transports = transports.clone();
    (defaults, checked)
}

fn image(root: &Path, path: &Path, defaults: &RootConfig) -> CheckedFile {
    let file = path.to_string_lossy().into_owned();
    if path.file_name().is_some_and(|name| name == "build-config.yml") {
        let finding = Diagnostic::error(&file, Span::START, "this file is not read").warning();
        return CheckedFile { file, config: None, findings: vec![finding.note("its name must be build-config.yaml")] };
    }
    let bytes = match read(root, path) {
        Ok(bytes) => bytes,
        Err(finding) => return CheckedFile { file, config: None, findings: vec![*finding] },
    };
    let parsed = parse_image(&file, &bytes, defaults);
    let found = match &parsed.value {
        Some(config) => references(root, &file, path.parent().unwrap_or(path), config),
        None => Vec::new(),
    };
    let spans = parsed.spans.clone();
    let mut checked = CheckedFile::parsed(file, parsed);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    for (field, mut finding) in found {
        finding.span = spans.of(&field);
        checked.add(finding.with_source(text));
    }
    checked
}

/// What a configuration refers to and cannot have: the field and the finding, its place still open.
fn references(root: &Path, file: &str, directory: &Path, config: &ImageConfig) -> Vec<(String, Diagnostic)> {
    let error = |message: String| Diagnostic::error(file, Span::START, message);
    let mut found = Vec::new();
    for (index, dependency) in config.depends_on.iter().enumerate() {
        if !root.join(dependency).join(IMAGE_FILE).is_file() {
            let finding = error(format!("`depends_on` names `{}`, which is no image directory", escape(dependency)));
            found.push((format!("depends_on[{index}]"), finding.note(format!("it has no {IMAGE_FILE}"))));
        }
    }
    let Source::Local { from } = config.source else { return found };
    if config.manual_images.is_some() {
        return found;
    }
    let source_root = match from {
        ContextFrom::Directory => directory,
        ContextFrom::Repository => Path::new(""),
    };
    let context = ("context_path", "context", &config.context_path, true);
    let dockerfile = ("dockerfile_path", "Dockerfile", &config.dockerfile_path, false);
    let reads_dockerfile = config.build_backend.is_none_or(|backend| backend.reads_dockerfile());
    for (field, what, path, wants_directory) in
        [Some(context), reads_dockerfile.then_some(dockerfile)].into_iter().flatten()
    {
        let shown = escape(&source_root.join(path).to_string_lossy());
        let problem = match inside(&root.join(source_root), Path::new(path)) {
            Err(Outside) => format!("the {what} `{shown}` is a link out of its source root"),
            Ok(None) => format!("the {what} `{shown}` does not exist"),
            Ok(Some(metadata)) if metadata.is_dir() != wants_directory => {
                format!("the {what} `{shown}` is {} directory", if wants_directory { "no" } else { "a" })
            }
            Ok(Some(metadata)) if !wants_directory && !metadata.is_file() => {
                format!("the {what} `{shown}` is not a regular file")
            }
            Ok(Some(_)) => continue,
        };
        found.push((field.to_owned(), error(problem)));
    }
    found
}

/// A path that leads out of its root.
struct Outside;

/// What a path below a root leads to, links resolved; none when there is nothing.
fn inside(root: &Path, path: &Path) -> std::result::Result<Option<fs::Metadata>, Outside> {
    let (Ok(root), Ok(real)) = (root.canonicalize(), root.join(path).canonicalize()) else { return Ok(None) };
    match real.strip_prefix(&root) {
        Ok(rest) if !rest.components().any(|part| part == Component::Normal(".git".as_ref())) => {
            Ok(real.symlink_metadata().ok())
        }
        _ => Err(Outside),
    }
}

/// Reads a configuration file: a regular file inside the repository, or a link to one; never more than can be parsed
/// and one byte.
fn read(root: &Path, path: &Path) -> std::result::Result<Vec<u8>, Box<Diagnostic>> {
    let refuse = |message: &str| Box::new(Diagnostic::error(path.to_string_lossy(), Span::START, message));
    match inside(root, path) {
        Err(Outside) => return Err(refuse("the file is a link out of the repository")),
        Ok(None) => return Err(refuse("the file is a link that leads nowhere, or cannot be reached")),
        Ok(Some(metadata)) if !metadata.is_file() => return Err(refuse("the file is not a regular file")),
        Ok(Some(_)) => {}
    }
    let unreadable = |error: std::io::Error| refuse(&format!("the file cannot be read: {error}"));
    let real = root.join(path).canonicalize().map_err(unreadable)?;
    // Whatever took its place meanwhile is neither followed nor waited for.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(real).map_err(unreadable)?;
    if !opened.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse("the file is not a regular file"));
    }
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// `hephy check --explain RULE`.
///
/// # Errors
/// When there is no such rule.
pub fn explain(session: &Session, name: &str) -> Result<()> {
    let rule = lint::find(name).ok_or_else(|| {
        let near = nearest(name, lint::RULES.iter().map(|rule| rule.name));
        let names: Vec<&str> = lint::RULES.iter().map(|rule| rule.name).collect();
        Error::usage(format!("there is no rule `{}`", escape_cut(name, 80))).hint(match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the rules are {}", names.join(", ")),
        })
    })?;
    session.report.text(&lint::explain(rule))?;
    session.report.json(&serde_json::json!({
        "rule": rule.name, "level": rule.level, "finds": rule.finds, "why": rule.why, "fix": rule.fix,
    }))
}

/// The failure that the command ends with when a report has errors; `strict` says that warnings are errors too.
#[must_use]
pub fn failure(report: &CheckReport, strict: bool) -> Option<Error> {
    let fails = |severity| severity == Severity::Error || strict && severity == Severity::Warning;
    let first = report.findings().find(|finding| fails(finding.severity))?;
    if report.errors == 0 {
        return Some(Error::config("warnings are errors here, as --strict asks for").hint(format!(
            "begin at {}:{}; hephy check --explain RULE says what a rule is about, and how to silence it",
            escape(&first.file),
            first.span.line
        )));
    }
    let hint = format!(
        "begin at {}:{}; hephy's docs/configuration.md has the rules, `hephy schema config` gives them to editors",
        escape(&first.file),
        first.span.line
    );
    Some(Error::config("not everything could be built like this").hint(hint))
}
