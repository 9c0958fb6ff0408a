//! What an image is really built on, where that is not what its key says.
//!
//! A key holds the keys of the images below. When one of those is not built in this run and is published from another
//! input (only some images were asked for, or changes do not travel that far), what comes out is not what the key
//! promises, and a later run would take it for done.

use std::collections::BTreeMap;

use super::assemble::Candidate;
use crate::change::InputKey;
use crate::oci::{Digest, ImageName};

/// A published image that planned ones are built on.
#[derive(Clone, Copy, Debug)]
pub struct There<'a> {
    /// What it was built from, where it says so.
    pub key: Option<&'a InputKey>,
    /// Its digest.
    pub digest: &'a Digest,
}

/// Gives images that are built on other images than their keys say, and those above them, keys that no input has, and
/// keeps which others these are: a later run knows the image by both ([`crate::index::Recorded::is_of`]). `order` is that
/// in which images are built. Says which images are meant.
#[must_use]
pub fn key_by_what_is_there(
    candidates: &mut [Candidate],
    order: &[usize],
    there: &BTreeMap<&ImageName, There<'_>>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for index in order.iter().copied() {
        if !candidates[index].is_built() {
            continue;
        }
        let mut others = BTreeMap::new();
        for edge in &candidates[index].edges {
            let below = &candidates[edge.to];
            let other = match there.get(&below.name).filter(|_| below.reasons.is_empty()) {
                Some(there) if there.key.is_none_or(|key| key.as_str() != below.input_key) => {
                    // It may be referred to in several places.
                    if !others.contains_key(below.name.as_str()) {
                        warnings.push(format!(
                            "{} is built on {} as it is published, which is not what is here now: it is built again \
                             after {} is, where `dependents` lets changes travel",
                            candidates[index].name, below.name, below.name
                        ));
                    }
                    Some(there.digest.to_string())
                }
                _ => (!below.built_on.is_empty()).then(|| below.input_key.clone()),
            };
            others.extend(other.map(|other| (below.name.to_string(), other)));
        }
        if !others.is_empty() {
            let candidate = &mut candidates[index];
            candidate.input_key = InputKey::of_others(&candidate.input_key, &others).to_string();
            candidate.built_on = others;
        }
    }
    warnings
}

#[cfg(test)]
mod tests;
