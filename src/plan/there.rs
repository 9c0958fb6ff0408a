//! What an image is really built on, where that is not what its key says.
//!
//! A key holds the keys of the images below. When one of those is not built in this run and is published from another
//! input (because only some images were asked for), what comes out is not what the key promises, and a later run would
//! take it for done.

use std::collections::BTreeMap;

use super::assemble::Candidate;
use super::graph::order;
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

/// Gives images that are built on other images than their keys say, and those above them, keys that no plan asks for, so
/// that the next run builds them again. Says which ones are.
#[must_use]
pub fn key_by_what_is_there(candidates: &mut [Candidate], there: &BTreeMap<&ImageName, There<'_>>) -> Vec<String> {
    let edges: Vec<Vec<usize>> = candidates.iter().map(|it| it.edges.iter().map(|edge| edge.to).collect()).collect();
    let mut rekeyed: BTreeMap<usize, String> = BTreeMap::new();
    let mut warnings = Vec::new();
    // Circles were refused before.
    for index in order(&edges).unwrap_or_default() {
        if !candidates[index].is_built() {
            continue;
        }
        let mut others = BTreeMap::new();
        for to in &edges[index] {
            let below = &candidates[*to];
            let other = match there.get(&below.name).filter(|_| !below.is_built()) {
                Some(there) if there.key.is_none_or(|key| key.as_str() != below.input_key) => {
                    warnings.push(format!(
                        "{} is built on {} as it is published, which is not what is here now: the next run that \
                         publishes builds it again",
                        candidates[index].name, below.name
                    ));
                    Some(there.digest.to_string())
                }
                _ => rekeyed.get(to).cloned(),
            };
            others.extend(other.map(|other| (below.name.to_string(), other)));
        }
        if !others.is_empty() {
            let key = InputKey::of_others(&candidates[index].input_key, &others).to_string();
            candidates[index].input_key.clone_from(&key);
            rekeyed.insert(index, key);
        }
    }
    warnings.dedup();
    warnings
}
