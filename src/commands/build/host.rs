//! Whether this machine runs programs of a platform: a runner with the wrong tag is named before it builds.

use std::collections::BTreeMap;

use crate::config::BackendName;
use crate::error::{Error, Result};
use crate::oci::Platform;
use crate::plan::PlannedImage;

/// Where the kernel lists interpreters for foreign programs.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Refuses a platform that this machine cannot run, where a builder would run its programs here: BuildKit and
/// Docker may be elsewhere and say so themselves, ko compiles without running anything.
pub(super) fn check(wanted: &Platform, environment: &BTreeMap<String, String>, images: &[&PlannedImage]) -> Result<()> {
    let local = |image: &&&PlannedImage| {
        image.manual_images.is_none()
            && match image.backend {
                BackendName::Kaniko | BackendName::Buildah => true,
                BackendName::Docker => environment.get("DOCKER_HOST").is_none_or(|host| host.starts_with("unix:")),
                BackendName::Buildkit => environment.get("BUILDKIT_HOST").is_some_and(|host| host.starts_with("unix:")),
                BackendName::Ko | BackendName::Spin => false,
            }
    };
    let Some(image) = images.iter().find(local) else { return Ok(()) };
    let Some(host) = Platform::host() else { return Ok(()) };
    if host.runs(wanted) || has_interpreter(wanted) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "this machine is {host} and cannot run {wanted}, which {} is to be built for",
        image.name
    ))
    .hint(format!(
        "run `hephy build --arch {}` on a {wanted} runner, or register QEMU with binfmt_misc",
        wanted.arch()
    )))
}

fn has_interpreter(platform: &Platform) -> bool {
    let Ok(entries) = std::fs::read_dir(BINFMT) else { return false };
    entries.flatten().any(|entry| std::fs::read_to_string(entry.path()).is_ok_and(|text| interprets(&text, platform)))
}

/// Whether an entry of `binfmt_misc` is enabled and takes ELF files of this platform (kernel documentation,
/// `admin-guide/binfmt-misc`).
fn interprets(entry: &str, platform: &Platform) -> bool {
    let magic = entry.lines().find_map(|line| line.strip_prefix("magic ")).unwrap_or_default();
    let bytes: Vec<u8> = (0..magic.len() / 2)
        .map_while(|index| u8::from_str_radix(magic.get(2 * index..2 * index + 2)?, 16).ok())
        .collect();
    let at_start = entry.lines().any(|line| line.trim() == "offset 0");
    entry.lines().next() == Some("enabled")
        && at_start
        && crate::oci::Elf::parse(&bytes).is_some_and(|elf| elf.architecture() == Some(platform.architecture()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enabled_interpreter_counts_for_its_own_architecture() {
        let entry = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\noffset 0\n\
                     magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        let arm64 = Platform::parse("linux/arm64").unwrap();
        assert!(interprets(entry, &arm64));
        assert!(!interprets(entry, &Platform::parse("linux/riscv64").unwrap()));
        assert!(!interprets(&entry.replace("enabled", "disabled"), &arm64));
        assert!(!interprets("enabled\n", &arm64));
    }
}
