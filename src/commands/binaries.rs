//! The programs that prepare hands to the build jobs: `bin/<machine>/hephy`, and in check runs
//! `bin/<machine>/registry`, `<machine>` as `uname -m` prints it (specification §2).
//!
//! Build jobs run in images that have neither. Programs of other machines come from the directory `HEPHY_BINARIES`, or
//! from `../lib/hephy` beside the directory of this one, laid out as `<machine>/hephy` and `<machine>/registry`. Only a
//! program of the right machine that needs no library of the image is handed on. Where a machine's program is missing,
//! a script takes its place that says so: a job would otherwise only hear that a file is not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::ci::{self, Env};
use crate::diagnostic::escape;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Elf, Platform};
use crate::plan::{Mode, Plan};
use crate::store::{read_left, read_named, write_with_mode};

/// The variable that names the directory of other machines' programs.
const VARIABLE: &str = "HEPHY_BINARIES";
/// Largest program that is handed on, in bytes.
const MAX_BYTES: u64 = 512 << 20;
/// The programs.
const HEPHY: &str = "hephy";
const REGISTRY: &str = "registry";
/// What `uname -m` prints, and the platform whose programs such a machine runs.
const MACHINES: [(&str, &str); 9] = [
    ("x86_64", "linux/amd64"),
    ("aarch64", "linux/arm64"),
    ("i686", "linux/386"),
    ("armv6l", "linux/arm/v6"),
    ("armv7l", "linux/arm/v7"),
    ("loongarch64", "linux/loong64"),
    ("ppc64le", "linux/ppc64le"),
    ("riscv64", "linux/riscv64"),
    ("s390x", "linux/s390x"),
];
/// Machines of which every pipeline may have a runner.
const USUAL: [&str; 2] = ["x86_64", "aarch64"];

/// Leaves the programs below the output directory; gives the machines that this run's build jobs may need and of
/// which there is none.
///
/// # Errors
/// When a directory that was named is none, a program there is another machine's, or the disk is full.
pub(super) fn write(env: &Env, plan: &Plan, out: &Path) -> Result<Vec<&'static str>> {
    let found = Found::look(env)?;
    let bin = out.join("bin");
    for (machine, hephy) in &found.hephy {
        place(hephy, &bin.join(machine).join(HEPHY))?;
    }
    for machine in MACHINES.map(|(machine, _)| machine) {
        let path = bin.join(machine).join(REGISTRY);
        match found.registry.get(machine).filter(|_| plan.mode == Mode::Check) {
            Some(registry) => place(registry, &path)?,
            None => drop(std::fs::remove_file(path)),
        }
    }
    if ci::platform(env) == ci::Platform::Local {
        return Ok(Vec::new());
    }
    let needed =
        |platform: &str| plan.images.iter().flat_map(|image| &image.platforms).any(|it| it.to_string() == platform);
    let mut missing = Vec::new();
    for (machine, platform) in MACHINES {
        let needed = needed(platform);
        if found.hephy.contains_key(machine) || !(needed || USUAL.contains(&machine)) {
            continue;
        }
        stand_in(machine, &bin.join(machine).join(HEPHY))?;
        if needed {
            missing.push(machine);
        }
    }
    Ok(missing)
}

/// Programs by machine.
#[derive(Default)]
struct Found {
    hephy: BTreeMap<String, PathBuf>,
    registry: BTreeMap<String, PathBuf>,
}

impl Found {
    fn look(env: &Env) -> Result<Self> {
        let failed = |error| Error::io("hephy could not find itself for the build jobs", error);
        let own = std::env::current_exe().map_err(failed)?;
        let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
        let beside = own.parent().unwrap_or(Path::new("/"));
        let mut found = Self::default();
        if let Some(dir) = directory(env, beside)? {
            for (machine, platform) in MACHINES {
                for (name, programs) in [(HEPHY, &mut found.hephy), (REGISTRY, &mut found.registry)] {
                    let path = dir.join(machine).join(name);
                    if path.is_file() {
                        check(&path, machine, platform)?;
                        programs.insert(machine.to_owned(), path);
                    }
                }
            }
        }
        let registry = beside.join(REGISTRY);
        let platform = MACHINES.iter().find(|(name, _)| *name == machine).map(|(_, platform)| *platform);
        if registry.is_file() && platform.is_some_and(|platform| check(&registry, &machine, platform).is_ok()) {
            found.registry.entry(machine.clone()).or_insert(registry);
        }
        // All jobs of a pipeline run the same version: this one.
        found.hephy.insert(machine, own);
        Ok(found)
    }
}

fn directory(env: &Env, beside: &Path) -> Result<Option<PathBuf>> {
    let Some(named) = env.get(VARIABLE).filter(|dir| !dir.is_empty()) else {
        return Ok(Some(beside.join("../lib/hephy")).filter(|dir| dir.is_dir()));
    };
    if Path::new(named).is_dir() {
        return Ok(Some(named.into()));
    }
    Err(Error::usage(format!("{VARIABLE} names {}, which is no directory", escape(named)))
        .hint("it holds <machine>/hephy for other machines, such as aarch64/hephy"))
}

/// Refuses a program that could not run in a build job of this machine.
fn check(path: &Path, machine: &str, platform: &str) -> Result<()> {
    let shown = || escape(&path.display().to_string());
    let bytes = read_named(path, MAX_BYTES)?.unwrap_or_default();
    let platform =
        Platform::parse(platform).map_err(|error| Error::internal("a machine of no platform").cause(error))?;
    let hint = format!("put the static program for {platform} there");
    match Elf::parse(&bytes) {
        Some(elf) if elf.runs_on(&platform) => {}
        Some(elf) => {
            let sentence = format!("{} is for {}, and {machine} runs {platform}", shown(), elf.describe());
            return Err(Error::usage(sentence).hint(hint));
        }
        None => return Err(Error::usage(format!("{} is no program", shown())).hint(hint)),
    }
    if crate::oci::needs_interpreter(&bytes) {
        return Err(Error::usage(format!("{} needs libraries that build images do not have", shown())).hint(hint));
    }
    Ok(())
}

/// Puts a program in place, unless it lies there already.
fn place(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("{} cannot be handed to the build jobs", from.display()), error);
    let content = std::fs::read(from).map_err(failed)?;
    let there = read_left(to, content.len() as u64).ok().flatten();
    if there.is_some_and(|there| there == content) {
        return Ok(());
    }
    write_program(to, &content)
}

fn write_program(to: &Path, content: &[u8]) -> Result<()> {
    let dir = to.parent().unwrap_or(to);
    std::fs::create_dir_all(dir).map_err(|error| Error::io(format!("{} cannot be made", dir.display()), error))?;
    write_with_mode(to, content, 0o755)
}

/// A script without an interpreter line: every shell runs it itself, the one of Kaniko's image too, which is not at
/// `/bin/sh`. The machine is one of [`MACHINES`].
fn stand_in(machine: &str, to: &Path) -> Result<()> {
    let code = ErrorKind::UsageError;
    let script = format!(
        "echo 'error: this runner is {machine}, and prepare had no hephy for it ({code})' >&2\n\
         echo '' >&2\n\
         echo 'hint: run prepare where {VARIABLE} names a directory with {machine}/hephy, or give this job a runner of another machine' >&2\n\
         exit {}\n",
        code.exit_code()
    );
    write_program(to, script.as_bytes())
}
