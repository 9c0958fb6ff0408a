//! Which commit is checked out, read from git's own files: build jobs have the checkout and no git.

use std::path::Path;

use super::locate::{Places, read_small};

/// The full id of the commit that is checked out at `root`; none where `root` is no checkout's top, has no commit, or
/// keeps its references in a form that only git reads.
#[must_use]
pub fn checked_out(root: &Path) -> Option<String> {
    let places = Places::find(root).ok()?;
    if places.root.as_deref() != root.canonicalize().ok().as_deref() {
        return None;
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    let head = text(read_small(&places.git_dir.join("HEAD")).ok()??)?;
    let Some(name) = head.trim().strip_prefix("ref:").map(str::trim) else { return id(&head) };
    if !name.starts_with("refs/") || name.split('/').any(|part| part.is_empty() || part == "..") {
        return None;
    }
    if let Some(loose) = places.common_file(name).ok()? {
        return id(&text(loose)?);
    }
    let packed = text(places.common_file("packed-refs").ok()??)?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name).and_then(|(commit, _)| id(commit)))
}

fn id(text: &str) -> Option<String> {
    let text = text.trim();
    let sound = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| text.to_owned())
}
