//! Pushes one index and moves its tags: look, write, look again.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{join_all, try_join_all};

use super::outcome::{Published, PublishedTag, TagState};
use super::{Run, below};
use crate::commands::published::recorded;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{self, Child, Decision, Dependencies, Follows, Ours, Recorded, Relation};
use crate::oci::{Digest, ImageName, Platform, Repository, Tag};
use crate::plan::tags::Version;
use crate::plan::{PlannedImage, ReusedImage};
use crate::registry::{By, Client, Manifest};

/// How often a run writes its tags anew when an older run took them back meanwhile.
const REPAIR_ROUNDS: usize = 3;

/// One image that is being published.
struct Target<'a> {
    run: &'a Run<'a>,
    name: &'a ImageName,
    /// The tag that names this very build.
    build_tag: Option<&'a Tag>,
    /// The version of what is inside.
    version: Option<String>,
    repository: Repository,
    manifest: Manifest,
    /// The commit that the index was built from, and that one's time.
    revision: &'a str,
    created: &'a str,
    partial: bool,
    platforms: &'a [Platform],
    /// Tags that were written, in case another one fails.
    written: Mutex<Vec<Tag>>,
}

/// Publishes one image; what should be known beside the result are warnings.
pub(super) async fn publish_image(
    run: &Run<'_>,
    image: &PlannedImage,
    platforms: &[Platform],
    children: &[Child],
    below: &Dependencies,
) -> Result<(Published, Vec<String>)> {
    let assembled = index::assemble(run.plan, image, platforms, children, &below::of(image, below))?;
    let manifest = match children {
        [child] if index::stands_alone(&child.platform) => alone(run, image, child).await?,
        _ => Manifest::new(index::MEDIA_TYPE, assembled.bytes),
    };
    let partial = platforms.len() < image.platforms.len();
    let target = Target {
        run,
        name: &image.name,
        build_tag: run.build_tag(image),
        version: index::of_image(run.plan, image).remove(index::VERSION),
        repository: run.repository(&image.name)?,
        manifest,
        revision: &run.plan.source.commit,
        created: &run.plan.source.commit_time,
        partial,
        platforms,
        written: Mutex::default(),
    };
    let mut states = target.look(&image.tags).await?;
    target.push_index(&states).await?;
    let mut warnings = Vec::new();
    target.move_tags(&mut states, &mut warnings).await.map_err(|error| target.tell_what_moved(error))?;
    Ok((target.published(&image.platforms, assembled.platforms.clone(), states), warnings))
}

/// Puts tags on an index that is published already: the same looks, and the same way forward only. The index itself is
/// not written; it must say that it is this image, built from the input of the plan.
pub(super) async fn tag_published(run: &Run<'_>, image: &ReusedImage) -> Result<(Published, Vec<String>)> {
    let repository = run.repository(&image.name)?;
    let by = By::Digest(&image.digest);
    let gone = || {
        Error::new(ErrorKind::NotFound, format!("the published index of {} is gone", image.name))
            .cause(anyhow::anyhow!("{repository}@{} does not exist", image.digest))
            .hint("somebody deleted it after prepare had seen it: start a new pipeline, which builds the image")
    };
    let manifest = run.client.manifest(&repository, by).await?.ok_or_else(gone)?;
    let is_ours = |it: &Recorded| {
        it.image.as_deref() == Some(image.name.as_str())
            && it.input_key.as_ref().is_some_and(|key| key.as_str() == image.input_key)
    };
    let Some(recorded) = Some(recorded(&manifest)?).filter(is_ours) else {
        let sentence = format!("{repository}@{} is not {} built from the plan's input", image.digest, image.name);
        return Err(Error::config(sentence).hint("the plan must come from prepare of the same pipeline, unchanged"));
    };
    let platforms: Vec<Platform> = recorded.platforms.keys().cloned().collect();
    let target = Target {
        run,
        name: &image.name,
        build_tag: None,
        version: image.version.clone().or_else(|| recorded.version.clone()),
        repository,
        manifest,
        revision: recorded.revision.as_deref().unwrap_or_default(),
        created: recorded.created.as_deref().unwrap_or_default(),
        partial: image.platforms.iter().any(|it| !recorded.platforms.contains_key(it)),
        platforms: &platforms,
        written: Mutex::default(),
    };
    let mut states = target.look(&image.tags).await?;
    let mut warnings = Vec::new();
    target.move_others(&mut states, &mut warnings).await.map_err(|error| target.tell_what_moved(error))?;
    let published = target.published(&image.platforms, recorded.platforms.clone(), states);
    Ok((Published { reused: true, ..published }, warnings))
}

/// What runs on every machine has no index: tags point at its own manifest.
async fn alone(run: &Run<'_>, image: &PlannedImage, child: &Child) -> Result<Manifest> {
    let found = run.client.manifest(&run.repository(&image.name)?, By::Digest(&child.digest)).await?;
    found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{} is not in the registry any more", image.name)))
}

impl Target<'_> {
    /// What was published, of these wanted platforms.
    fn published(
        &self,
        wanted: &[Platform],
        platforms: BTreeMap<Platform, Digest>,
        tags: Vec<PublishedTag>,
    ) -> Published {
        Published {
            image: self.name.clone(),
            repository: self.repository.to_string(),
            digest: self.manifest.digest.clone(),
            media_type: self.manifest.media_type.clone(),
            size: self.manifest.bytes.len() as u64,
            lacking: wanted.iter().filter(|it| !platforms.contains_key(it)).cloned().collect(),
            platforms,
            tags,
            reused: false,
        }
    }

    /// Looks at every tag and decides: one request a tag. Where a newer run has one of them, those that it wants too
    /// are its own, written yet or not: it would not look again at what is written behind its back.
    async fn look(&self, tags: &[Tag]) -> Result<Vec<PublishedTag>> {
        let looks = tags.iter().map(async |tag| -> Result<(PublishedTag, Option<Recorded>)> {
            let current = self.current(tag).await?;
            let relation = current.as_ref().map_or(Relation::NotNewer, |(current, _)| self.relation(tag, current));
            let current = current.as_ref().map(|(current, _)| current);
            let decision = index::decide(current, relation, &self.manifest.digest, self.platforms, self.partial);
            let state = match decision {
                Decision::Unchanged => TagState::Unchanged,
                Decision::Write => TagState::Moved,
                Decision::Newer => TagState::Newer,
                Decision::NewerVersion => TagState::NewerVersion,
                Decision::OtherLine => TagState::OtherLine,
                Decision::FewerPlatforms => TagState::FewerPlatforms,
            };
            let newer = current.filter(|_| state == TagState::Newer).cloned();
            let there = current.filter(|_| state == TagState::NewerVersion).and_then(|it| it.version.clone());
            Ok((PublishedTag { tag: tag.clone(), state, there }, newer))
        });
        let (mut states, newer): (Vec<_>, Vec<_>) = try_join_all(looks).await?.into_iter().unzip();
        for newer in newer.iter().flatten() {
            let ours: Vec<Tag> =
                states.iter().filter(|it| it.state == TagState::Moved).map(|it| it.tag.clone()).collect();
            for tag in index::repairs(newer, &ours.iter().collect::<Vec<_>>()) {
                set(&mut states, tag, TagState::Newer);
            }
        }
        Ok(states)
    }

    async fn current(&self, tag: &Tag) -> Result<Option<(Recorded, Manifest)>> {
        let Some(manifest) = self.run.client.manifest(&self.repository, By::Tag(tag)).await? else { return Ok(None) };
        Ok(Some((recorded(&manifest)?, manifest)))
    }

    fn follows(&self, tag: &Tag) -> Follows {
        Follows::of(self.run.plan.layout, self.name, self.build_tag, tag)
    }

    fn relation(&self, tag: &Tag, current: &Recorded) -> Relation {
        let head = self.run.head(self.name);
        let ours = self.run.ours(self.version.as_deref(), &head);
        let ours = Ours { commit: self.revision, time: self.created, ..ours };
        index::standing(current, &ours, self.follows(tag), self.run.options.is_ancestor)
    }

    /// Pushes the index by digest, unless a tag shows that it is there. Where no tag will be written it may be there
    /// without one, so the registry is asked.
    async fn push_index(&self, states: &[PublishedTag]) -> Result<()> {
        let by = By::Digest(&self.manifest.digest);
        if states.iter().any(|it| it.state == TagState::Unchanged) {
            return Ok(());
        }
        let writes = states.iter().any(|it| it.state == TagState::Moved);
        if !writes && self.run.client.head_manifest(&self.repository, by).await?.is_some() {
            return Ok(());
        }
        self.run.client.put_manifest(&self.repository, by, &self.manifest).await
    }

    /// The date tag first: it names this very build, and where it cannot be written nothing else moves.
    async fn move_tags(&self, states: &mut [PublishedTag], warnings: &mut Vec<String>) -> Result<()> {
        if let Some(first) = states.first_mut() {
            self.write(first, true, warnings).await?;
        }
        self.move_others(states, warnings).await
    }

    /// Writes what moves and is not written yet, and looks again.
    async fn move_others(&self, states: &mut [PublishedTag], warnings: &mut Vec<String>) -> Result<()> {
        let done = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let open = states.iter_mut().filter(|state| !done.contains(&state.tag));
        // `{image}-head` says to later runs that everything is done: it moves when all others did.
        let (heads, others): (Vec<_>, Vec<_>) = open.partition(|state| self.follows(&state.tag) == Follows::Commits);
        for some in [others, heads] {
            let written = some.into_iter().map(async |state| {
                let mut said = Vec::new();
                self.write(state, false, &mut said).await.map(|()| said)
            });
            warnings.extend(join_all(written).await.into_iter().collect::<Result<Vec<_>>>()?.concat());
        }
        self.look_again(states, warnings).await
    }

    /// Adds to a failure which tags had moved by then.
    fn tell_what_moved(&self, error: Error) -> Error {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_empty() {
            return error;
        }
        let names: Vec<&str> = written.iter().map(Tag::as_str).collect();
        let next = error.hint_text().unwrap_or("run the manifest stage again").to_owned();
        error.hint(format!("{next}; {} moved before that", names.join(", ")))
    }

    async fn write(&self, tag: &mut PublishedTag, is_date: bool, warnings: &mut Vec<String>) -> Result<()> {
        if tag.state != TagState::Moved {
            return Ok(());
        }
        let error = match self.run.client.put_manifest(&self.repository, By::Tag(&tag.tag), &self.manifest).await {
            Ok(()) => {
                self.written.lock().unwrap_or_else(PoisonError::into_inner).push(tag.tag.clone());
                return Ok(());
            }
            Err(error) if Client::is_tag_refusal(&error) => error,
            Err(error) => return Err(error),
        };
        match self.run.client.head_manifest(&self.repository, By::Tag(&tag.tag)).await? {
            Some(digest) if digest == self.manifest.digest => tag.state = TagState::Unchanged,
            Some(there) if is_date => return Err(immutable(&self.repository, &tag.tag, Some(&there)).cause(error)),
            Some(_) => {
                tag.state = TagState::Immutable;
                warnings.push(format!("{} stays where it is: the registry makes tags immutable", tag.tag));
            }
            None => return Err(error),
        }
        Ok(())
    }

    /// Looks again at what was written, and repairs towards the newer run.
    async fn look_again(&self, states: &mut [PublishedTag], warnings: &mut Vec<String>) -> Result<()> {
        for _ in 0..REPAIR_ROUNDS {
            let written: Vec<Tag> =
                states.iter().filter(|it| it.state == TagState::Moved).map(|it| it.tag.clone()).collect();
            let heads = written.iter().map(|tag| self.run.client.head_manifest(&self.repository, By::Tag(tag)));
            let heads = try_join_all(heads).await?;
            let moved: Vec<&Tag> = written
                .iter()
                .zip(&heads)
                .filter(|(_, head)| head.as_ref() != Some(&self.manifest.digest))
                .map(|(tag, _)| tag)
                .collect();
            if moved.is_empty() {
                return Ok(());
            }
            if !self.repair(states, &moved, warnings).await? {
                return Ok(());
            }
        }
        warnings.push(format!("another run keeps moving tags of {}: serialise the manifest jobs", self.repository));
        Ok(())
    }

    /// Deals with tags that somebody moved after us; true when something was written and is to be looked at again.
    async fn repair(&self, states: &mut [PublishedTag], moved: &[&Tag], warnings: &mut Vec<String>) -> Result<bool> {
        let mut again = false;
        for tag in moved {
            let current = self.current(tag).await?;
            let relation = current.as_ref().map_or(Relation::NotNewer, |(current, _)| self.relation(tag, current));
            match current {
                Some((newer, _)) if relation == Relation::NewerVersion => {
                    set(states, tag, TagState::NewerVersion);
                    states.iter_mut().filter(|it| it.tag == **tag).for_each(|it| it.there = newer.version.clone());
                }
                Some((newer, manifest)) if relation == Relation::Newer => {
                    set(states, tag, TagState::Newer);
                    self.hand_over(states, &newer, &manifest).await?;
                }
                Some((older, _)) if !self.is_older(tag, &older) => {
                    set(states, tag, TagState::Elsewhere);
                    warnings.push(format!("another run moved {tag} while this one published"));
                }
                _ => {
                    self.run.client.put_manifest(&self.repository, By::Tag(tag), &self.manifest).await?;
                    again = true;
                }
            }
        }
        Ok(again)
    }

    /// Whether what somebody put there is certainly older than ours: by its version, or by its commit.
    fn is_older(&self, tag: &Tag, current: &Recorded) -> bool {
        let versions = current.version.as_deref().zip(self.version.as_deref());
        let order = versions.and_then(|(theirs, ours)| Version::compare(theirs, ours));
        if order == Some(Ordering::Less) && self.follows(tag) == Follows::Versions {
            return true;
        }
        current
            .revision
            .as_deref()
            .is_some_and(|theirs| (self.run.options.is_ancestor)(theirs, self.revision) == Some(true))
    }

    /// Gives the tags that we wrote and a newer run wanted as well to that run's index.
    async fn hand_over(&self, states: &mut [PublishedTag], newer: &Recorded, manifest: &Manifest) -> Result<()> {
        let written: Vec<Tag> =
            states.iter().filter(|it| it.state == TagState::Moved).map(|it| it.tag.clone()).collect();
        let written: Vec<&Tag> = written.iter().collect();
        for tag in index::repairs(newer, &written) {
            if self.run.client.head_manifest(&self.repository, By::Tag(tag)).await?.as_ref()
                == Some(&self.manifest.digest)
            {
                self.run.client.put_manifest(&self.repository, By::Tag(tag), manifest).await?;
            }
            set(states, tag, TagState::Newer);
        }
        Ok(())
    }
}

fn set(states: &mut [PublishedTag], tag: &Tag, state: TagState) {
    if let Some(found) = states.iter_mut().find(|it| it.tag == *tag) {
        found.state = state;
    }
}

/// The failure of a date tag that exists and cannot be moved.
pub(super) fn immutable(repository: &Repository, tag: &Tag, there: Option<&Digest>) -> Error {
    let points = there.map(|digest| format!(" and points at {digest}")).unwrap_or_default();
    Error::new(
        ErrorKind::RegistryError,
        format!("{repository}:{tag} exists{points}, and the registry makes tags immutable"),
    )
    .hint(
        "give each run a tag of its own: tag_template with {run} or {short_sha}, such as `{image}-{date}-{short_sha}`",
    )
}
