//! A base that git cannot fetch: the platform's API may still know which paths changed since (specification §6). An
//! image in whose reach one of them lies counts as changed. Where the API does not help either, everything is built,
//! and the reason says so.

use std::sync::Arc;

use super::since::Api;
use crate::change::{ImageChange, Keyed, ListedImage, Oid, Tree, by_paths};
use crate::ci::{BaseSpec, CiContext, Target};
use crate::commands::published::block_on;
use crate::commands::session::Session;
use crate::commands::survey::Survey;
use crate::config::ROOT_FILE;
use crate::error::Result;
use crate::forge::{Forge, Listed, Range, Side, Trouble};
use crate::git::{Base, Commit, Loaded};

/// The paths that changed since a base that is not here.
pub(super) struct ListedPaths {
    paths: Vec<Listed>,
}

/// Asks the platform, where git has no base to compare with although there is one, and says so in place of the reason.
///
/// # Errors
/// When a signal came.
pub(super) fn ask(
    session: &Session,
    context: &CiContext,
    loaded: &mut Loaded,
    api: Api,
    warnings: &mut Vec<String>,
) -> Result<Option<ListedPaths>> {
    let Base::Nothing { reason } = &loaded.base_commit else { return Ok(None) };
    let (Some(commit), false) = (&loaded.commit, loaded.dirty || !context.commits_only) else { return Ok(None) };
    if !context.platform.is_known() {
        return Ok(None);
    }
    let Some((range, id, what)) = range(&context.base, context, commit) else { return Ok(None) };
    if api == Api::Silent {
        warnings.push(format!(
            "everything is built, since git has no base ({reason}) and the platform's API, which does not answer, was not \
             asked again"
        ));
        let reason = format!("{reason}, and the platform did not say what changed");
        loaded.base_commit = Base::Nothing { reason };
        return Ok(None);
    }
    let found = match Forge::of_job(&session.env) {
        Ok(Some(forge)) => {
            let name = forge.name();
            let paths = block_on(async { Ok(forge.changed_paths(&range).await) })?;
            paths.and_then(|paths| fitting(paths, &loaded.head, name)).map(|paths| (paths, name))
        }
        Ok(None) => return Ok(None),
        Err(trouble) => Err(trouble),
    };
    match found {
        Ok((paths, name)) => {
            loaded.base_commit = Base::Listed { id, what: format!("{what}, by {name}'s list of changed files") };
            Ok(Some(ListedPaths { paths }))
        }
        Err(Trouble { what, hint, .. }) => {
            warnings.push(format!("everything is built, since git has no base ({reason}) and {what}; hint: {hint}"));
            let reason = format!("{reason}, and the platform did not say what changed");
            loaded.base_commit = Base::Nothing { reason };
            Ok(None)
        }
    }
}

/// What to ask for, the commit where it is known, and what it is.
fn range(spec: &BaseSpec, context: &CiContext, head: &Commit) -> Option<(Range, Option<Oid>, String)> {
    let between =
        |id: Oid, what: &str| Some((Range::Between(id, head.id), Some(id), format!("{what} ({})", id.short())));
    match spec {
        BaseSpec::Commit { id, what } => between(*id, what),
        BaseSpec::Revision(text) => between(Oid::from_hex(text.as_bytes())?, "the commit of --base"),
        BaseSpec::FirstParent { merge, target } => match head.parents.as_slice() {
            [first, _, ..] if head.id == *merge => between(*first, "the first parent of the merge"),
            _ => leaving(target, context, head),
        },
        BaseSpec::MergeBase(target) => leaving(target, context, head),
        BaseSpec::Nothing(_) => None,
    }
}

fn leaving(target: &Target, context: &CiContext, head: &Commit) -> Option<(Range, Option<Oid>, String)> {
    let (name, what) = match target {
        Target::Commit(id) => (id.to_string(), "the merge base with the target".to_owned()),
        Target::Branch(name) => {
            (name.clone(), format!("the merge base with `{}`", crate::diagnostic::escape_cut(name, 80)))
        }
        Target::DefaultBranch => {
            let name = context.default_branch.clone().unwrap_or_else(|| "HEAD".to_owned());
            (name, "the merge base with the default branch".to_owned())
        }
        // What somebody typed may mean something else to the platform.
        Target::Revision(text) => (Oid::from_hex(text.as_bytes())?.to_string(), "the merge base".to_owned()),
    };
    Some((Range::SinceLeaving(name, head.id), None, what))
}

/// Refuses a list that is about another commit than the one that is checked out: what is said to be there must be,
/// and what is said to be gone must not. A name that is not UTF-8 could stand in no list.
fn fitting(paths: Vec<Listed>, head: &Tree, name: &str) -> Result<Vec<Listed>, Trouble> {
    let trouble = |what: String| {
        let hint = "fetch the whole history in this job (GIT_DEPTH: 0, fetch-depth: 0)".to_owned();
        Err(Trouble { what, hint, silent: false })
    };
    let misfit = |listed: &&Listed| match listed.side {
        Side::Now => head.get(listed.path.as_bytes()).is_none(),
        Side::Before => head.get(listed.path.as_bytes()).is_some(),
        Side::Unsaid => false,
    };
    if let Some(listed) = paths.iter().find(misfit) {
        return trouble(format!("{name}'s list of changed files does not fit this commit: {}", listed.path));
    }
    if head.entries().any(|entry| std::str::from_utf8(entry.path).is_err()) {
        return trouble(format!("{name} cannot list this repository's names that are not UTF-8"));
    }
    Ok(paths)
}

impl ListedPaths {
    /// What became of each image.
    pub(super) fn changes(&self, survey: &Survey, keyed: &[Option<Arc<Keyed>>], tree: &Tree) -> Vec<ImageChange> {
        let root_linked = tree.get(ROOT_FILE.as_bytes()).is_some_and(|entry| !entry.mode.is_file());
        let ids: Vec<_> = survey.images.iter().map(|image| image.id()).collect();
        let images: Vec<ListedImage<'_>> = survey
            .images
            .iter()
            .zip(&ids)
            .zip(keyed)
            .zip(survey.edges.iter().zip(&survey.uses))
            .map(|(((image, id), keyed), (built_on, uses))| {
                let ignoring = image.located.as_ref().map(|located| &located.ignore_places);
                let to_nowhere = ignoring.is_some_and(|places| places.linked && places.through.is_empty());
                ListedImage {
                    id,
                    name: image.name.as_str(),
                    keyed: keyed.as_deref(),
                    linked: root_linked || !image.direct || to_nowhere,
                    leans: uses.leans || !uses.problems.is_empty(),
                    others: [&image.version_paths, ignoring.map_or(&[], |places| &places.through)],
                    built_on,
                }
            })
            .collect();
        let order = survey.order.as_ref().map(Vec::as_slice).unwrap_or_default();
        let paths: Vec<_> = self.paths.iter().map(|listed| listed.path.clone()).collect();
        by_paths(&images, order, tree, &paths)
    }
}
