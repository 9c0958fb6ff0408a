//! The files of a build: where its context and its Dockerfile are, checked at the last moment.

use std::path::{Path, PathBuf};

use super::Options;
use crate::diagnostic::escape_cut;
use crate::dockerfile::{self, Dockerfile, Pin, pin};
use crate::error::{Error, Result};
use crate::plan::{PlannedImage, PlannedSource};
use crate::process::Interrupt;
use crate::source;

/// Where a build finds its files.
#[derive(Debug)]
pub(super) struct Files {
    /// Absolute path of the context.
    pub(super) context: PathBuf,
    /// Absolute path of the Dockerfile; that of the context for builders that need none.
    pub(super) dockerfile: PathBuf,
    /// The Dockerfile's text; empty for builders that need none.
    pub(super) text: String,
    /// The Dockerfile; none for builders that need none.
    pub(super) parsed: Option<Dockerfile>,
    /// The Dockerfile for people: relative to the repository, or to the upstream's root.
    pub(super) shown: String,
    /// What the builder reads where references were pinned; it has the same lines.
    pub(super) pinned: Option<String>,
    /// `<Dockerfile>.dockerignore` and Buildah's `<Dockerfile>.containerignore`, which take the place of those of the
    /// context.
    pub(super) ignore_files: Vec<PathBuf>,
}

impl Files {
    /// Puts a Dockerfile whose references are pinned in place of the original, with its ignore file, under the same
    /// names in a directory below `work`.
    pub(super) fn pin(&mut self, pins: &[Pin], work: &Path) -> Result<()> {
        if pins.is_empty() {
            return Ok(());
        }
        let text = pin(&self.text, pins).map_err(|pin| {
            let reference = escape_cut(&pin.text, 200);
            Error::config(format!("{}:{}: `{reference}` cannot be pinned to this run's image", self.shown, pin.line))
                .hint("write the reference in one piece; if the Dockerfile changed since prepare, run that again")
        })?;
        let dir = work.join("dockerfile");
        make_dir(&dir)?;
        let place = |path: &Path| dir.join(path.file_name().unwrap_or_default());
        let dockerfile = place(&self.dockerfile);
        crate::store::write_whole(&dockerfile, text.as_bytes())?;
        for ignore_file in &mut self.ignore_files {
            let copy = place(ignore_file);
            std::fs::copy(&ignore_file, &copy)
                .map_err(|error| Error::io(format!("{} could not be read", ignore_file.display()), error))?;
            *ignore_file = copy;
        }
        self.dockerfile = dockerfile;
        self.pinned = Some(text);
        Ok(())
    }
}

/// Unpacks or finds an image's source, and confines its paths. `work` is this build's own directory.
pub(super) fn prepare(options: &Options, image: &PlannedImage, work: &Path, interrupt: &Interrupt) -> Result<Files> {
    let (root, shown_root) = match &image.source {
        PlannedSource::Local { root } => (source::confine(&options.checkout, root)?, root.as_str()),
        PlannedSource::Remote { archive, archive_digest, .. } => {
            let (Some(archive), Some(digest)) = (archive, archive_digest) else {
                return Err(Error::config(format!("the plan has no source archive for {}", image.name))
                    .hint("`hephy prepare` makes the archives; a plan of `hephy plan` cannot be built"));
            };
            let into = work.join("source");
            make_dir(&into)?;
            source::unpack(&options.out.join(archive), digest, &into)?;
            (into, ".")
        }
    };
    let mut context = source::confine(&root, &image.context)?;
    if !context.is_dir() {
        return Err(Error::config(format!("the build context `{}` of {} is no directory", image.context, image.name))
            .hint("correct context_path in build-config.yaml"));
    }
    let shown = if shown_root == "." { image.dockerfile.clone() } else { format!("{shown_root}/{}", image.dockerfile) };
    let (dockerfile, text, parsed, ignore_files) = if image.backend.reads_dockerfile() {
        let path = source::confine(&root, &image.dockerfile)?;
        let (text, parsed) = read_dockerfile(&path, &shown)?;
        let places = [".dockerignore", ".containerignore"].map(|ending| ignore_file(&root, &path, ending));
        let ignore_files = places.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
        (path, text, Some(parsed), ignore_files)
    } else {
        (context.clone(), String::new(), None, Vec::new())
    };
    let without = left_out(options, image, &context);
    if !without.is_empty() && !work_is_context(work, &context) {
        let staged = work.join("context");
        stage(&context, &without, &staged, interrupt)?;
        context = staged;
    }
    Ok(Files { context, dockerfile, text, parsed, shown, pinned: None, ignore_files })
}

/// An ignore file beside a Dockerfile. One that is a link must stay below the root as well.
fn ignore_file(root: &Path, dockerfile: &Path, ending: &str) -> Result<Option<PathBuf>> {
    let mut path = dockerfile.as_os_str().to_owned();
    path.push(ending);
    let path = PathBuf::from(path);
    let link = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => return Ok(Some(path)),
        Ok(metadata) => metadata.is_symlink(),
        Err(_) => false,
    };
    if !link {
        return Ok(None);
    }
    let root = root.canonicalize().map_err(|error| Error::io(format!("{} cannot be read", root.display()), error))?;
    let target = path.canonicalize().ok().filter(|target| target.is_file());
    if target.as_ref().is_some_and(|target| !target.starts_with(&root)) {
        return Err(Error::config(format!("{} is a link that leaves its root", path.display()))
            .hint("an ignore file lies in the source that it is for"));
    }
    Ok(target.map(|_| path))
}

/// What lies in the context and is none of it: the output directory, and the repository's own `.git`, which is no
/// part of the input key and holds the job's credentials.
fn left_out(options: &Options, image: &PlannedImage, context: &Path) -> Vec<PathBuf> {
    let out = options.out.canonicalize().ok();
    let local = matches!(image.source, PlannedSource::Local { .. });
    let git = options.checkout.canonicalize().ok().filter(|_| local).map(|checkout| checkout.join(".git"));
    out.into_iter().chain(git).filter(|path| path.starts_with(context) && path.symlink_metadata().is_ok()).collect()
}

/// An unpacked source lies below the output directory, not around it.
fn work_is_context(work: &Path, context: &Path) -> bool {
    work.canonicalize().is_ok_and(|work| context.starts_with(work))
}

/// Refuses what is no Dockerfile before a builder stumbles over it.
fn read_dockerfile(path: &Path, shown: &str) -> Result<(String, Dockerfile)> {
    let missing = || Error::config(format!("there is no {shown}")).hint("correct dockerfile_path in build-config.yaml");
    let bytes = crate::store::read_left(path, dockerfile::MAX_BYTES as u64)?.ok_or_else(missing)?;
    let parsed = Dockerfile::parse(shown, &bytes).map_err(|finding| {
        Error::config(format!("{shown} is no Dockerfile"))
            .diagnostics(vec![*finding])
            .hint("correct the line that is named")
    })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), parsed))
}

/// A second tree with the same files but for those in `without`: hard links, or copies across file systems.
///
/// An ignore file would be the lighter way, but each builder has its own rules of which one it reads; a tree that
/// does not hold them is right for all of them.
fn stage(from: &Path, without: &[PathBuf], to: &Path, interrupt: &Interrupt) -> Result<()> {
    let failed = |path: &Path| {
        let shown = path.display().to_string();
        move |error| Error::io(format!("{shown} could not be put into the build context"), error)
    };
    make_dir(to)?;
    let metadata = std::fs::symlink_metadata(from).map_err(failed(from))?;
    for entry in std::fs::read_dir(from).map_err(failed(from))? {
        // A large checkout takes its time, above all across file systems.
        interrupt.check()?;
        let entry = entry.map_err(failed(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if without.contains(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(failed(&path))?;
        if kind.is_dir() {
            stage(&path, without, &target, interrupt)?;
        } else if kind.is_symlink() {
            let link = std::fs::read_link(&path).map_err(failed(&path))?;
            std::os::unix::fs::symlink(link, &target).map_err(failed(&path))?;
        } else if kind.is_file() && std::fs::hard_link(&path, &target).is_err() {
            std::fs::copy(&path, &target).map_err(failed(&path))?;
        }
    }
    // Last, so that a directory without write permission can be filled.
    std::fs::set_permissions(to, metadata.permissions()).map_err(failed(from))
}

pub(super) fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| Error::io(format!("{} could not be made", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn a_staged_context_has_everything_but_the_output_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["a/b", ".hephy/work/1", "sub/.hephy"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        std::fs::write(root.join("a/b/file"), "x").unwrap();
        std::fs::set_permissions(root.join("a/b"), std::fs::Permissions::from_mode(0o555)).unwrap();
        std::fs::write(root.join(".hephy/plan.json"), "{}").unwrap();
        std::fs::write(root.join("sub/.hephy/theirs"), "x").unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("link")).unwrap();
        let staged = root.join(".hephy/work/1/context");
        let asked_to_end = Interrupt::default();
        asked_to_end.raise();
        let error = stage(&root, &[root.join(".hephy")], &staged, &asked_to_end).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Cancelled);
        stage(&root, &[root.join(".hephy")], &staged, &Interrupt::default()).unwrap();
        assert!(!staged.join(".hephy").exists());
        assert_eq!(std::fs::read_link(staged.join("link")).unwrap(), Path::new("/nowhere"));
        assert!(staged.join("sub/.hephy/theirs").exists());
        assert_eq!(staged.join("a/b").metadata().unwrap().permissions().mode() & 0o777, 0o555);
        let inode = |path: PathBuf| path.metadata().unwrap().ino();
        assert_eq!(inode(staged.join("a/b/file")), inode(root.join("a/b/file")), "a link, not a copy");
    }
}
