//! Asks the registry what is published: one request an image, and one for each tag that an index was published
//! without. Which runs ask, and what becomes of a registry that does not answer, is decided here.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use super::ground::{Destination, Ground};
use crate::ci::{Event, Platform};
use crate::cli::SelectArgs;
use crate::commands::published::{CONCURRENT, CONCURRENT_HEADS, block_on, client, head, told};
use crate::commands::session::Session;
use crate::commands::survey::Survey;
use crate::config::Layout;
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Recorded;
use crate::oci::{Digest, ImageName, Repository, Tag};
use crate::plan::Mode;
use crate::plan::decide::Selection;
use crate::registry::{By, Client, Settings};

/// Causes that are told one by one.
const TOLD_CAUSES: usize = 3;

/// A run that compares with what is published.
pub(super) struct Question {
    client: Client,
    registry: String,
    layout: Layout,
    /// Whether an equal key means that nothing is built: not with `--force` or `HEPHY_BUILD_REUSE=false`.
    pub(super) reuse: bool,
    /// Whether the run was started for tags: by a git tag, or for images that were named.
    pub(super) for_tags: bool,
}

impl Question {
    /// None for runs that compare with a commit, or build whatever is named.
    ///
    /// # Errors
    /// When the environment says something that cannot be right.
    pub(super) fn of(
        session: &Session,
        ground: &Ground,
        select: &SelectArgs,
        selection: &Selection,
        destination: &Destination,
    ) -> Result<Option<Self>> {
        let reuse = !select.force && may_reuse(session)?;
        let Some(registry) = destination.registry.clone().filter(|_| ground.context.mode == Mode::Publish) else {
            return Ok(None);
        };
        // A schedule is there to build what is published already.
        let of_pipeline = ground.context.platform != Platform::Local && ground.context.event != Event::Schedule;
        let (asks, explicit) = match selection {
            Selection::Changed => (of_pipeline && select.base.is_none() && select.merge_base.is_none(), false),
            Selection::All | Selection::Named(_) => (reuse, true),
            Selection::Scheduled(..) => (false, false),
        };
        // What is stale has the key that is published.
        if !asks || select.only_stale {
            return Ok(None);
        }
        let client = client(Settings::from_env(&session.env, Some(&registry))?, &session.report);
        let for_tags = explicit || ground.context.tag.is_some();
        Ok(Some(Self { client, registry, layout: destination.layout, reuse, for_tags }))
    }

    /// Where the newest image of the default branch is, for people.
    pub(super) fn head_of(&self, name: &ImageName) -> String {
        format!("{}:{}", self.layout.repository_of(&self.registry, name), self.layout.tag_of(name, "head"))
    }

    /// What the indexes say of themselves. The first question goes alone: a registry that does not answer is asked
    /// once and not a thousand times.
    ///
    /// # Errors
    /// When a signal came.
    pub(super) fn ask(&self, survey: &Survey, wanted: &[usize]) -> Result<Answers> {
        let gave_up = OnceCell::new();
        let ask = |index: &usize| self.ask_one(&survey.images[*index].name, &gave_up);
        let (first, rest) = wanted.split_at(wanted.len().min(1));
        let found = block_on(async {
            let mut found: Vec<_> = stream::iter(first).then(ask).collect().await;
            found.extend(stream::iter(rest).map(ask).buffered(CONCURRENT_HEADS).collect::<Vec<_>>().await);
            Ok(found)
        })?;
        let mut answers = Answers::default();
        for (index, found) in wanted.iter().zip(found) {
            match found {
                Ok(recorded) => drop(answers.recorded.insert(*index, recorded)),
                Err(error) => drop(answers.unread.insert(*index, error)),
            }
        }
        answers.gave_up = gave_up.into_inner();
        Ok(answers)
    }

    /// One question, unless the registry was given up on.
    async fn ask_one(
        &self,
        name: &ImageName,
        gave_up: &OnceCell<String>,
    ) -> std::result::Result<Option<Recorded>, String> {
        if let Some(error) = gave_up.get() {
            return Err(error.clone());
        }
        head(&self.client, &self.registry, self.layout, name).await.map_err(|error| {
            let text = told(&error);
            // With a repository for each image one may be closed and the next one open.
            let is_own = self.layout == Layout::PerImage && error.kind() == ErrorKind::AuthError;
            // What was asked at the same time failed for the same reason.
            if is_own { text } else { gave_up.get_or_init(|| text).clone() }
        })
    }

    /// Of these tags those that do not point at their index yet. What cannot be looked at stays: the manifest stage
    /// will say why.
    ///
    /// # Errors
    /// When a signal came.
    pub(super) fn missing(&self, tags: Vec<(usize, &ImageName, Digest, Tag)>) -> Result<BTreeMap<usize, Vec<Tag>>> {
        let mut missing: BTreeMap<usize, Vec<Tag>> = BTreeMap::new();
        let looks = stream::iter(tags).map(|(index, name, digest, tag)| async move {
            let repository = Repository::parse(&self.layout.repository_of(&self.registry, name)).ok();
            let there = match &repository {
                Some(repository) => self.client.head_manifest(repository, By::Tag(&tag)).await.ok().flatten(),
                None => None,
            };
            (there.as_ref() != Some(&digest)).then_some((index, tag))
        });
        let found = block_on(async { Ok(looks.buffered(CONCURRENT).collect::<Vec<_>>().await) })?;
        for (index, tag) in found.into_iter().flatten() {
            missing.entry(index).or_default().push(tag);
        }
        Ok(missing)
    }
}

/// What the registry answered.
#[derive(Default)]
pub(super) struct Answers {
    /// By index of the image; none where nothing is published.
    pub(super) recorded: BTreeMap<usize, Option<Recorded>>,
    /// Images whose index could not be read, and why.
    pub(super) unread: BTreeMap<usize, String>,
    gave_up: Option<String>,
}

impl Answers {
    /// What to say of a registry that could not be read: each cause once.
    pub(super) fn warnings(&self, survey: &Survey, instead: &str) -> Vec<String> {
        let causes: BTreeSet<&String> = self.unread.values().collect();
        let all = self.recorded.is_empty();
        let warning = |cause: &String| {
            let mut own = self.unread.iter().filter(|(_, text)| *text == cause).map(|(index, _)| index);
            let (first, more) = (own.next().map(|index| survey.images[*index].name.to_string()), own.count());
            let who = match (all && causes.len() == 1, first, more) {
                (true, ..) | (_, None, _) => "what is published could not be read".to_owned(),
                (_, Some(first), 0) => format!("what is published of {first} could not be read"),
                (_, Some(first), more) => format!("what is published of {first} and {more} more could not be read"),
            };
            format!("{who}, so the comparison is with {instead}: {cause}")
        };
        let more = causes.len().saturating_sub(TOLD_CAUSES);
        let rest = (more > 0).then(|| format!("{more} more registry answers of this kind are not shown"));
        causes.iter().copied().take(TOLD_CAUSES).map(warning).chain(rest).collect()
    }
}

/// `HEPHY_BUILD_REUSE`.
fn may_reuse(session: &Session) -> Result<bool> {
    match session.env.get("HEPHY_BUILD_REUSE").map(|value| value.trim()) {
        None | Some("" | "true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(Error::usage(format!("HEPHY_BUILD_REUSE is `{}`", escape_cut(other, 60)))
            .hint("true reuses what is published from the same input, false builds what is asked for")),
    }
}
