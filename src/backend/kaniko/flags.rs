//! Kaniko's feature flags: variables that make it build as a Dockerfile is specified, and look up its layer cache by
//! all that a layer is made of. Each is off by default, in every version so far.
//!
//! Versions are those of the changelog (osscontainertools/kaniko). Of an older executor a flag asks nothing: it is left
//! out, so that its log does not warn of a name that it does not know.

use super::super::{Invocation, Tool, Version};

/// The flags, and the version that each came with.
const FLAGS: &[(&str, Version)] = &[
    // What comes out, in the order of their age. Without them what `COPY` brings belongs to the `USER` of the stage, …
    ("FF_KANIKO_COPY_AS_ROOT", Version(1, 25, 2)),
    // … `ADD` gives a directory the owner and mode that an archive has for its own, …
    ("FF_KANIKO_UNTAR_SKIP_ROOT", Version(1, 28, 0)),
    // … `COPY --chmod` passes over directories on the way, …
    ("FF_KANIKO_COPY_CHMOD_ON_IMPLICIT_DIRS", Version(1, 28, 1)),
    // … variables in the text of a here-document stay as they are, …
    ("FF_KANIKO_EXPAND_HEREDOC", Version(1, 28, 1)),
    // … `USER user:group` loses its group in `RUN`, …
    ("FF_KANIKO_RUN_HONOR_GROUP", Version(1, 28, 1)),
    // … and directories on the way to a `WORKDIR` belong to root.
    ("FF_KANIKO_CHOWN_ON_IMPLICIT_DIRS", Version(1, 28, 2)),
    // What a cached layer is found by. Without them files of other stages are measured by the ignore file, …
    ("FF_KANIKO_SCOPED_DOCKERIGNORE", Version(1, 27, 6)),
    // … arguments in paths do not count, …
    ("FF_KANIKO_RESOLVE_CACHE_KEY", Version(1, 28, 0)),
    // … marks of deleted files are written as files, …
    ("FF_KANIKO_SKIP_WRITE_WHITEOUTS", Version(1, 28, 0)),
    // … and different inputs, written one behind the other, can be the same text.
    ("FF_KANIKO_ROLLING_CACHE_KEY", Version(1, 28, 1)),
    ("FF_KANIKO_HASH_DIR_FRAMING", Version(1, 28, 1)),
];

/// Sets the flags that this version knows; a job's own value goes before hephy's. Gives their names.
pub(super) fn set(invocation: &mut Invocation, tool: &Tool) -> Vec<&'static str> {
    let known = FLAGS.iter().filter(|(_, since)| tool.version.is_none_or(|version| version >= *since));
    let names: Vec<&str> = known.map(|(name, _)| *name).collect();
    invocation.env_default.extend(names.iter().map(|name| ((*name).to_owned(), "true".into())));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::tool;

    #[test]
    fn a_version_gets_the_flags_that_it_knows() {
        let count = |version| set(&mut Invocation::default(), &Tool { version, ..tool("/kaniko/executor") }).len();
        assert_eq!(count(None), FLAGS.len());
        assert_eq!(count(Some(Version(1, 28, 3))), FLAGS.len());
        assert_eq!(count(Some(Version(1, 28, 1))), FLAGS.len() - 1);
        assert_eq!((count(Some(Version(1, 25, 2))), count(Some(Version(1, 24, 0)))), (1, 0));
    }
}
