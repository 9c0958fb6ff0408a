//! From commits to archives under the output directory.
//!
//! Requests are grouped: one fetch for each repository × commit, one archive for each set of options on top of it, one
//! name for each image. Groups run at the same time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tempfile::{NamedTempFile, TempDir};

use super::failure::again;
use super::fetch::{self, Repository, Want};
use super::git::Git;
use super::gzip::{self, Written};
use super::submodules::Collector;
use super::{Access, Archived, Event, Progress, SourceRequest, Upstream, address, archive, kept, parallel, resolve};
use crate::error::{Error, Result};
use crate::process::Interrupt;

/// Makes the archive of each request below `out`, which is created when it does not exist. The results are in the order
/// of the requests. A file appears under its name when it is whole; one of an earlier run is replaced.
pub fn prepare(
    access: &Access,
    requests: &[SourceRequest],
    out: &Path,
    progress: Progress<'_>,
) -> Vec<Result<Archived>> {
    let ready = ready(access, out);
    let (git, out) = match &ready {
        Ok((git, out)) => (git, out.as_path()),
        Err(failure) => return requests.iter().map(|_| Err(again(failure))).collect(),
    };
    let mut groups: BTreeMap<(&str, &str), Vec<&SourceRequest>> = BTreeMap::new();
    for request in requests {
        groups.entry((&request.repository, &request.commit)).or_default().push(request);
    }
    let groups: Vec<Vec<&SourceRequest>> = groups.into_values().collect();
    let job = Job { git, out, progress, allowed: access.transports().names().to_vec() };
    let done = parallel::map(&groups, parallel::AT_ONCE, |group| job.group(group));
    let mut by_image: BTreeMap<_, Result<Archived>> = BTreeMap::new();
    for (group, results) in groups.iter().zip(done) {
        by_image.extend(group.iter().map(|request| &request.image).zip(results));
    }
    let lost = || Error::internal("an archive was asked for twice under one image name");
    requests.iter().map(|request| by_image.remove(&request.image).unwrap_or_else(|| Err(lost()))).collect()
}

fn ready(access: &Access, out: &Path) -> Result<(Git, std::path::PathBuf)> {
    let unusable = |error| Error::io(format!("{} cannot be used", out.display()), error);
    std::fs::create_dir_all(out).map_err(unusable)?;
    let out = out.canonicalize().map_err(unusable)?;
    Ok((Git::find(access)?, out))
}

struct Job<'a> {
    git: &'a Git,
    out: &'a Path,
    progress: Progress<'a>,
    allowed: Vec<String>,
}

impl Job<'_> {
    /// All archives of one commit.
    fn group(&self, group: &[&SourceRequest]) -> Vec<Result<Archived>> {
        let fetched = self.fetched(group);
        let (work, repository) = match fetched {
            Ok(fetched) => fetched,
            Err(failure) => return group.iter().map(|_| Err(again(&failure))).collect(),
        };
        if let Err(cancelled) = Interrupt::installed().check() {
            return group.iter().map(|_| Err(again(&cancelled))).collect();
        }
        let mut made: BTreeMap<(bool, bool), Result<(NamedTempFile, Written)>> = BTreeMap::new();
        let options = |request: &SourceRequest| (request.keep_git, request.submodules);
        for request in group {
            let make = || self.archive(request, &repository, work.path());
            made.entry(options(request)).or_insert_with(make);
        }
        let result = |request: &&SourceRequest| match made.get(&options(request)) {
            Some(Ok((file, written))) => self.place(request, file, written),
            Some(Err(failure)) => Err(again(failure)),
            None => Err(Error::internal("an archive was not made")),
        };
        group.iter().map(result).collect()
    }

    fn fetched(&self, group: &[&SourceRequest]) -> Result<(TempDir, Arc<Repository>)> {
        for request in group {
            let upstream = Upstream { repository: request.repository.clone(), reference: request.reference.clone() };
            resolve::check(&upstream, &self.allowed)?;
        }
        let first = group.first().ok_or_else(|| Error::internal("a fetch without an image"))?;
        if !address::is_commit_id(&first.commit) {
            return Err(Error::internal(format!("`{}` is no commit id", crate::diagnostic::escape(&first.commit))));
        }
        let work = tempfile::Builder::new()
            .prefix(".source-")
            .tempdir_in(self.out)
            .map_err(|error| Error::io(format!("{} could not be written", self.out.display()), error))?;
        let mut references: Vec<&str> = group.iter().map(|request| request.reference.as_str()).collect();
        references.sort_unstable();
        references.dedup();
        let want = Want {
            repository: &first.repository,
            commit: &first.commit,
            references,
            tags: group.iter().any(|request| request.keep_git),
        };
        let repository = fetch::fetch(self.git, &want, work.path(), self.progress)?;
        Ok((work, Arc::new(repository)))
    }

    fn archive(
        &self,
        request: &SourceRequest,
        repository: &Arc<Repository>,
        work: &Path,
    ) -> Result<(NamedTempFile, Written)> {
        let module = if request.submodules {
            let collector = Collector {
                git: self.git,
                progress: self.progress,
                work,
                allowed: self.allowed.clone(),
                count: AtomicUsize::new(0),
            };
            collector.collect(Arc::clone(repository), &request.repository, 0)?
        } else {
            archive::plain(self.git, Arc::clone(repository))?
        };
        let target = self.out.join(file_name(request));
        let name = target.display().to_string();
        let unwritable = |error| Error::io(format!("{name} could not be written"), error);
        let file = tempfile::Builder::new().prefix(".source-").tempfile_in(self.out).map_err(unwritable)?;
        let writer = gzip::Writer::new(file.as_file().try_clone().map_err(unwritable)?);
        let mut tar = archive::Tar::new(writer, name.clone());
        tar.module(self.git, &module, b"")?;
        if request.keep_git {
            kept::write(&mut tar, self.git, repository, work)?;
        }
        let written = tar.finish()?.finish().map_err(unwritable)?;
        readable(file.as_file()).map_err(unwritable)?;
        Ok((file, written))
    }

    /// Gives a finished archive its name.
    fn place(&self, request: &SourceRequest, file: &NamedTempFile, written: &Written) -> Result<Archived> {
        let name = file_name(request);
        let target = self.out.join(&name);
        let unwritable = |error| Error::io(format!("{} could not be written", target.display()), error);
        // A second name for the same bytes; a file system without hard links gets a copy. Rename makes it appear whole.
        let link = tempfile::Builder::new()
            .prefix(".source-")
            .make_in(self.out, |path| {
                std::fs::hard_link(file.path(), path).or_else(|_| std::fs::copy(file.path(), path).map(|_| ()))
            })
            .map_err(unwritable)?;
        link.into_temp_path().persist(&target).map_err(|error| unwritable(error.error))?;
        let archived = Archived { file: name, digest: written.digest.clone(), size: written.size };
        (self.progress)(Event::Archived { image: &request.image, archive: &archived });
        Ok(archived)
    }
}

fn file_name(request: &SourceRequest) -> String {
    format!("{}-source.tar.gz", request.image)
}

/// Temporary files belong to their maker alone; artifacts are read by others.
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}
