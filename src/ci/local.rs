//! A developer's machine, or a CI system that hephy does not know.

use super::{BaseSpec, CiContext, Env, Event, Platform, Target, value};
use crate::plan::Mode;

pub(super) fn context(env: &Env) -> CiContext {
    CiContext {
        platform: Platform::Local,
        event: Event::Local,
        mode: Mode::Check,
        repository: None,
        commit: None,
        branch: None,
        tag: None,
        default_branch: None,
        base: BaseSpec::MergeBase(Target::DefaultBranch),
        // Nearly every CI system sets it; there the checkout is what counts.
        commits_only: value::is_true(env, "CI"),
        created_at: None,
        run_number: None,
        run_url: None,
        fetch_url: None,
        warnings: Vec::new(),
    }
}
