//! Where no platform tells anything: a developer's machine, or a CI system that hephy does not know.
//!
//! A developer asked for whatever is done. Of an unknown CI system nobody knows which of its runs may publish, so none
//! does before somebody says so (`HEPHY_PUBLISH=always`), and such a run is compared with nothing but what is published.

use super::{BaseSpec, CiContext, Event, Platform, Target};
use crate::plan::Mode;

const UNKNOWN: &str = "hephy does not know this CI system, so the run builds for a check and publishes nothing; \
                       HEPHY_PUBLISH=always in the jobs of the default branch publishes, HEPHY_PUBLISH=never is silent";

pub(super) fn developer(mode: Mode) -> CiContext {
    bare(Platform::Local, Event::Local, mode)
}

/// `said` is whether somebody said which runs publish.
pub(super) fn other_ci(mode: Mode, said: bool) -> CiContext {
    let mut context = bare(Platform::Other, Event::Other, mode);
    context.commits_only = true;
    if mode == Mode::Publish {
        context.base = BaseSpec::Nothing("this CI system does not tell which commit came before".to_owned());
    }
    if !said {
        context.warnings.push(UNKNOWN.to_owned());
    }
    context
}

fn bare(platform: Platform, event: Event, mode: Mode) -> CiContext {
    CiContext {
        platform,
        event,
        mode,
        repository: None,
        commit: None,
        branch: None,
        tag: None,
        default_branch: None,
        base: BaseSpec::MergeBase(Target::DefaultBranch),
        commits_only: false,
        created_at: None,
        run_number: None,
        run_url: None,
        fetch_url: None,
        warnings: Vec::new(),
    }
}
