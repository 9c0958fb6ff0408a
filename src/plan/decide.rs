//! Which images are built, and why (specification §6, "What is built").

use std::collections::BTreeSet;

use super::standing::{Distance, Verdict};
use super::{Reason, ReasonKind};
use crate::change::{Difference, State, built_on};
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
    /// Its name.
    pub name: &'a str,
    /// What became of it.
    pub state: &'a State,
    /// Images that it is built on, by index.
    pub built_on: &'a [usize],
    /// What the registry says of it; takes the place of the state.
    pub published: Option<&'a Verdict>,
}

impl Judged<'_> {
    /// Whether it changed by itself.
    fn own(&self) -> bool {
        match self.published {
            Some(verdict) => verdict.is_followed(Dependents::None),
            None => changed_itself(self.state),
        }
    }

    /// Why it is built, when nothing but itself is looked at.
    fn reasons(&self, no_base: NoBase<'_>) -> Vec<Reason> {
        match self.published {
            Some(verdict) => verdict.reasons.clone(),
            None => reasons_of(self.state, no_base),
        }
    }

    /// Why it is built when it is named: not at all where the registry has it already.
    fn named(&self, reason: Reason) -> Vec<Reason> {
        let has = self.published.is_some_and(|verdict| verdict.reasons.is_empty());
        if has { Vec::new() } else { vec![reason] }
    }
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
    let own: Vec<bool> = images.iter().map(Judged::own).collect();
    let mut decided: Vec<Vec<Reason>> = images
        .iter()
        .enumerate()
        .map(|(index, image)| match selection {
            Selection::All => image.named(reason(ReasonKind::Requested, "everything was asked for")),
            Selection::Named(named) if named.contains(&index) => {
                image.named(reason(ReasonKind::Requested, "asked for by name"))
            }
            Selection::Scheduled(listed, list) if listed.contains(&index) => {
                vec![reason(ReasonKind::Scheduled, format!("listed in {list}"))]
            }
            Selection::Named(_) | Selection::Scheduled(..) => Vec::new(),
            Selection::Changed => {
                let directly = image.built_on.iter().any(|to| own.get(*to) == Some(&true));
                let is_followed = match image.published {
                    Some(verdict) => verdict.is_followed(dependents),
                    None if own[index] => travels(Distance::Itself, dependents),
                    None if directly => travels(Distance::Direct, dependents),
                    None => travels(Distance::Further, dependents),
                };
                if is_followed { image.reasons(no_base) } else { Vec::new() }
            }
        })
        .collect();
    if *selection == Selection::Changed && dependents != Dependents::All {
        forget_held_back(images, &mut decided, no_base);
    }
    decided
}

/// What would be built and is not, since changes do not travel so far, is no reason for what is built on it: that is built
/// on what is published.
fn forget_held_back(images: &[Judged<'_>], decided: &mut [Vec<Reason>], no_base: NoBase<'_>) {
    let is_held_back = |index: usize| decided[index].is_empty() && !images[index].reasons(no_base).is_empty();
    let held_back: Vec<bool> = (0..images.len()).map(is_held_back).collect();
    for (image, reasons) in images.iter().zip(decided) {
        let below = image.built_on.iter().filter(|to| held_back.get(**to) == Some(&true));
        let texts: Vec<String> = below.filter_map(|to| Some(built_on(images.get(*to)?.name))).collect();
        let is_told = |reason: &Reason| reason.kind != ReasonKind::Dependency || !texts.contains(&reason.text);
        if reasons.iter().any(is_told) {
            reasons.retain(is_told);
        }
    }
}

/// Whether a change that lies so far away from an image is followed.
#[must_use]
pub fn travels(distance: Distance, dependents: Dependents) -> bool {
    match dependents {
        Dependents::All => true,
        Dependents::Direct => distance <= Distance::Direct,
        Dependents::None => distance == Distance::Itself,
    }
}

/// Whether an image changed by itself, not only because of what it is built on.
#[must_use]
pub fn changed_itself(state: &State) -> bool {
    match state {
        State::NoBase | State::New => true,
        State::Changed(differences) => differences.iter().any(Difference::is_own),
        State::Unchanged | State::Removed | State::Invalid { .. } => false,
    }
}

fn reason(kind: ReasonKind, text: impl Into<String>) -> Reason {
    Reason { kind, text: text.into() }
}

pub(super) fn reasons_of(state: &State, no_base: NoBase<'_>) -> Vec<Reason> {
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
        let images: Vec<Judged<'_>> = states
            .iter()
            .zip(built_on)
            .map(|(state, built_on)| Judged { name: "", state, built_on, published: None })
            .collect();
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
    fn another_image_to_be_built_on_is_a_change_of_the_image_itself() {
        let key = |digit: &str| crate::change::InputKey::parse(&digit.repeat(64));
        let state = |old, new| State::Changed(vec![Difference::Dependency { name: "a".into(), old, new }]);
        assert!(changed_itself(&state(None, key("1"))), "it came");
        assert!(changed_itself(&state(key("1"), None)), "it went");
        assert!(!changed_itself(&state(key("1"), key("2"))), "it changed");
    }

    /// 0 stands as it stands, 1 is built on 0, 2 on 1; the last two say how far away their change lies.
    #[test]
    fn what_the_registry_says_takes_the_place_of_the_range() {
        let verdict = |distance, kinds: &[ReasonKind]| Verdict {
            reasons: kinds.iter().map(|kind| reason(*kind, "why")).collect(),
            distance,
        };
        let verdicts = [
            verdict(Distance::Further, &[]),
            verdict(Distance::Direct, &[ReasonKind::Dependency]),
            verdict(Distance::Further, &[ReasonKind::Dependency]),
            verdict(Distance::Itself, &[ReasonKind::Unpublished]),
        ];
        // The range saw a change of the first one, which somebody published meanwhile.
        let states = [State::New, State::Unchanged, State::Unchanged, State::Unchanged];
        let built_on: [&[usize]; 4] = [&[], &[0], &[1], &[]];
        let built = |dependents, selection: &Selection| -> Vec<usize> {
            let judged = states.iter().zip(built_on).zip(&verdicts);
            let judged: Vec<Judged<'_>> = judged
                .map(|((state, built_on), verdict)| Judged { name: "", state, built_on, published: Some(verdict) })
                .collect();
            let reasons = decide(&judged, selection, dependents, "");
            (0..4).filter(|index| !reasons[*index].is_empty()).collect()
        };
        assert_eq!(built(Dependents::All, &Selection::Changed), [1, 2, 3]);
        assert_eq!(built(Dependents::Direct, &Selection::Changed), [1, 3]);
        assert_eq!(built(Dependents::None, &Selection::Changed), [3]);
        assert_eq!(built(Dependents::All, &Selection::All), [1, 2, 3], "an equal key means reuse");
        assert_eq!(built(Dependents::All, &Selection::Named([0, 1].into())), [1]);
        let listed = Selection::Scheduled([0].into(), "rebuild-weekly.txt".into());
        assert_eq!(built(Dependents::All, &listed), [0], "a schedule builds what it lists");
    }

    #[test]
    fn what_is_named_is_built_and_nothing_else() {
        assert_eq!(built(Dependents::All, &Selection::All), [0, 1, 2, 3]);
        assert_eq!(built(Dependents::All, &Selection::Named([3].into())), [3]);
        assert_eq!(built(Dependents::All, &Selection::Scheduled([1].into(), "rebuild-weekly.txt".into())), [1]);
    }
}
