//! Which images are built, and why (specification §6, "What is built").

use std::collections::BTreeSet;

use super::{Reason, ReasonKind};
use crate::change::{Difference, State};
use crate::config::Dependents;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// What changed.
    Changed,
    /// Everything.
    All,
    /// The images at these indexes, named on the command line.
    Named(BTreeSet<usize>),
    /// The images at these indexes, listed in this file.
    Scheduled(BTreeSet<usize>, String),
}

/// One image as far as the decision needs it.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// What became of it.
    pub state: &'a State,
    /// Images that it is built on, by index.
    pub built_on: &'a [usize],
}

/// Why there is nothing to compare with, for images whose state is [`State::NoBase`].
pub type NoBase<'a> = &'a str;

/// The reasons of every image, in the order given; an image without reasons is left alone.
#[must_use]
pub fn decide(
    images: &[Judged<'_>],
    selection: &Selection,
    dependents: Dependents,
    no_base: NoBase<'_>,
) -> Vec<Vec<Reason>> {
    let own: Vec<bool> = images.iter().map(|image| changed_itself(image.state)).collect();
    images
        .iter()
        .enumerate()
        .map(|(index, image)| match selection {
            Selection::All => vec![reason(ReasonKind::Requested, "everything was asked for")],
            Selection::Named(named) if named.contains(&index) => {
                vec![reason(ReasonKind::Requested, "asked for by name")]
            }
            Selection::Scheduled(listed, list) if listed.contains(&index) => {
                vec![reason(ReasonKind::Scheduled, format!("listed in {list}"))]
            }
            Selection::Named(_) | Selection::Scheduled(..) => Vec::new(),
            Selection::Changed => {
                let travels = match dependents {
                    Dependents::All => true,
                    Dependents::Direct => image.built_on.iter().any(|to| own.get(*to) == Some(&true)),
                    Dependents::None => false,
                };
                if own[index] || travels { reasons_of(image.state, no_base) } else { Vec::new() }
            }
        })
        .collect()
}

/// Whether an image changed by itself, not only because of what it is built on.
fn changed_itself(state: &State) -> bool {
    match state {
        State::NoBase | State::New => true,
        State::Changed(differences) => {
            differences.iter().any(|difference| !matches!(difference, Difference::Dependency { .. }))
        }
        State::Unchanged | State::Removed | State::Invalid { .. } => false,
    }
}

fn reason(kind: ReasonKind, text: impl Into<String>) -> Reason {
    Reason { kind, text: text.into() }
}

fn reasons_of(state: &State, no_base: NoBase<'_>) -> Vec<Reason> {
    match state {
        State::NoBase => vec![reason(ReasonKind::NoBase, no_base)],
        State::New => vec![reason(ReasonKind::New, "new image")],
        State::Changed(differences) => differences
            .iter()
            .map(|difference| {
                let kind = match difference {
                    Difference::Files(_) => ReasonKind::Files,
                    Difference::Dependency { .. } => ReasonKind::Dependency,
                    _ => ReasonKind::Config,
                };
                reason(kind, difference.text())
            })
            .collect(),
        State::Unchanged | State::Removed | State::Invalid { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 changed by itself, 1 is built on 0, 2 on 1, 3 on nobody.
    fn built(dependents: Dependents, selection: &Selection) -> Vec<usize> {
        let by_dependency =
            |name: &str| State::Changed(vec![Difference::Dependency { name: name.into(), old: None, new: None }]);
        let states = [State::New, by_dependency("a"), by_dependency("b"), State::Unchanged];
        let built_on: [&[usize]; 4] = [&[], &[0], &[1], &[]];
        let images: Vec<Judged<'_>> =
            states.iter().zip(built_on).map(|(state, built_on)| Judged { state, built_on }).collect();
        let reasons = decide(&images, selection, dependents, "nothing to compare with");
        (0..4).filter(|index| !reasons[*index].is_empty()).collect()
    }

    #[test]
    fn dependents_limit_how_far_a_change_travels() {
        assert_eq!(built(Dependents::All, &Selection::Changed), [0, 1, 2]);
        assert_eq!(built(Dependents::Direct, &Selection::Changed), [0, 1]);
        assert_eq!(built(Dependents::None, &Selection::Changed), [0]);
    }

    #[test]
    fn what_is_named_is_built_and_nothing_else() {
        assert_eq!(built(Dependents::All, &Selection::All), [0, 1, 2, 3]);
        assert_eq!(built(Dependents::All, &Selection::Named([3].into())), [3]);
        assert_eq!(built(Dependents::All, &Selection::Scheduled([1].into(), "rebuild-weekly.txt".into())), [1]);
    }
}
