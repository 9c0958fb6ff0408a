//! The lines that findings speak of. Many findings are made when a file's text is long gone: on the way out, where
//! time does not matter, each gets its line from the tree it was found in.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{RepoPath, Tree};
use crate::config::mask_credentials;
use crate::diagnostic::Diagnostic;
use crate::dockerfile;
use crate::error::Error;
use crate::git::{Content, Objects};

/// Adds the lines to findings that have none. A file that cannot be read leaves its findings as they are.
pub(super) fn quote<'f>(findings: impl Iterator<Item = &'f mut Diagnostic>, tree: &Tree, objects: &mut Objects<'_>) {
    let bare: Vec<&mut Diagnostic> = findings.filter(|finding| finding.source_line.is_none()).collect();
    let files: BTreeSet<String> = bare.iter().map(|finding| finding.file.clone()).collect();
    let masked = |(file, text): (String, String)| (file, mask_credentials(&text));
    let texts: BTreeMap<String, String> = texts(files, tree, objects).into_iter().map(masked).collect();
    for finding in bare {
        if let Some(text) = texts.get(&finding.file) {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            *finding = finding.clone().with_source(text);
        }
    }
}

/// The texts of files; those that cannot be read are left out.
pub(super) fn texts(files: BTreeSet<String>, tree: &Tree, objects: &mut Objects<'_>) -> BTreeMap<String, String> {
    let paths: Vec<RepoPath> = files.iter().map(|file| RepoPath::new(file.as_str())).collect();
    let contents = objects.read_paths(tree, &paths, dockerfile::MAX_BYTES as u64).unwrap_or_default();
    let text = |(file, content)| match content {
        Content::Bytes(bytes) => Some((file, String::from_utf8_lossy(&bytes).into_owned())),
        _ => None,
    };
    files.into_iter().zip(contents).filter_map(text).collect()
}

/// The failure with the lines of its findings.
pub(super) fn quoted(mut error: Error, tree: &Tree, objects: &mut Objects<'_>) -> Error {
    quote(error.findings_mut().iter_mut(), tree, objects);
    error
}
