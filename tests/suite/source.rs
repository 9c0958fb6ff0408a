//! `hephy::source` against real git servers: `file://` and smart HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod archive;
mod hostile;
mod reach;
mod upstream;

use std::path::Path;

use hephy::Result;
use hephy::oci::ImageName;
use hephy::source::{self, Archived, Resolved, SourceRequest, Upstream};
use upstream::World;

fn resolve_one(world: &World, repository: &str, reference: &str) -> Result<Resolved> {
    let request = Upstream { repository: repository.to_owned(), reference: reference.to_owned() };
    source::resolve(&world.access(), &[request]).remove(0)
}

fn request(image: &str, repository: &str, reference: &str, commit: &str) -> SourceRequest {
    SourceRequest {
        image: ImageName::parse(image).unwrap(),
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        commit: commit.to_owned(),
        keep_git: false,
        submodules: false,
    }
}

fn prepare_one(world: &World, request: SourceRequest) -> Result<Archived> {
    source::prepare(&world.access(), &[request], &world.path("out"), &|_| {}).remove(0)
}

/// Prepares and unpacks into `into` below the world.
fn unpacked(world: &World, request: SourceRequest, into: &str) -> Result<Archived> {
    let archived = prepare_one(world, request)?;
    source::unpack(&world.path("out").join(&archived.file), &archived.digest, &world.path(into))?;
    Ok(archived)
}

/// Names in a directory, sorted.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
