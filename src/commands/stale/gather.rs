//! What staleness is decided from: the bases of images, what their published indexes recorded, and what registries
//! hold now. One request an image, and one for each base that something was recorded of.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use crate::commands::planning::bases;
use crate::commands::published::{
    CONCURRENT_HEADS, Found, block_on, client, each_once, head, meaning, one_image, told,
};
use crate::commands::session::Session;
use crate::commands::survey::{Image, Rules, Survey};
use crate::config::{Layout, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::index::{BASES, Recorded, Said, platforms};
use crate::oci::{Digest, ImageName, Platform, Reference, Tag};
use crate::plan::Reason;
use crate::plan::stale::{
    BaseState, Below, Checked, CheckedBase, Now, RecordedBases, UsedBase, check, stale, to_look_up, unbuildable,
};
use crate::plan::standing::{Standing as Published, standing as published_as};
use crate::registry::{By, Client, Settings};

/// Bases that one image may have recorded: whoever can push may have written anything, and each is asked for.
const MAX_RECORDED: usize = 200;

/// The images of a repository, and where they are published.
pub(in crate::commands) struct Standing<'a> {
    pub(in crate::commands) survey: &'a Survey,
    pub(in crate::commands) rules: &'a Rules<'a>,
    pub(in crate::commands) registry: &'a str,
    pub(in crate::commands) layout: Layout,
}

/// One image with what became of its bases.
pub(in crate::commands) struct Assessed {
    /// Index among the images of the survey.
    pub(super) index: usize,
    /// The published index that it was compared with.
    pub(super) published: Option<Digest>,
    pub(super) bases: Vec<CheckedBase>,
    /// Why nothing can be said of the image as a whole.
    pub(super) untold: Option<Untold>,
    /// Why it is stale; empty when it is not.
    pub(super) reasons: Vec<Reason>,
    /// Why it cannot be rebuilt although it is stale.
    unbuildable: Option<String>,
}

/// Why nothing can be said of an image.
#[derive(Clone, Debug)]
pub(super) enum Untold {
    /// Nothing was recorded: no index of hephy's.
    Unknown(String),
    /// Its index could not be read.
    Unreadable(ErrorKind, String),
}

/// Images and the bases that were looked up on the way.
pub(in crate::commands) struct Assessment {
    /// In the order of the survey.
    pub(super) images: Vec<Assessed>,
    /// What indexes hold that were read.
    pub(in crate::commands) found: BTreeMap<String, Found>,
}

impl Assessment {
    /// Why each image of the survey is rebuilt; empty where it is not.
    pub(in crate::commands) fn reasons(&self, survey: &Survey) -> Vec<Vec<Reason>> {
        let mut reasons = vec![Vec::new(); survey.images.len()];
        for image in &self.images {
            reasons[image.index].clone_from(&image.reasons);
        }
        reasons
    }

    /// Leaves out stale images that cannot be built: one of them would stop the rebuild of all others. Says of each why.
    pub(in crate::commands) fn leave_out_unbuildable(&mut self, survey: &Survey) -> Vec<String> {
        let mut warnings = Vec::new();
        for image in &mut self.images {
            let Some(why) = &image.unbuildable else { continue };
            let name = &survey.images[image.index].name;
            warnings.push(format!("{name} is stale and not rebuilt: {why}; --dir builds it all the same"));
            image.reasons.clear();
        }
        warnings
    }

    /// What nobody can say, for people, each once.
    pub(in crate::commands) fn warnings(&self, survey: &Survey) -> Vec<String> {
        let mut warnings = Vec::new();
        for image in &self.images {
            let name = &survey.images[image.index].name;
            let (Some(Untold::Unknown(why)) | Some(Untold::Unreadable(_, why))) = &image.untold else { continue };
            warnings.push(format!("{name} is not rebuilt: {why}, so nobody can say whether its bases moved"));
        }
        let mut bases = BTreeSet::new();
        for base in self.images.iter().flat_map(|image| &image.bases) {
            let what = match &base.state {
                BaseState::Unreadable { why, .. } => why,
                BaseState::Unknown { why } => why,
                _ => continue,
            };
            let reference = crate::diagnostic::escape_cut(&base.reference, 160);
            bases.insert(format!("{}:{}: {reference}: {what}; nothing is rebuilt because of it", base.file, base.line));
        }
        warnings.extend(bases);
        warnings
    }
}

/// Looks at the images `among` those of a repository: only they count, also for what others are built on.
///
/// # Errors
/// When the registry of the images cannot be read at all, or the settings of registries are wrong.
pub(in crate::commands) fn assess(
    session: &Session,
    standing: &Standing<'_>,
    among: &BTreeSet<usize>,
) -> Result<Assessment> {
    let client = client(Settings::from_env(&session.env, Some(standing.registry))?, &session.report);
    block_on(assess_with(&client, standing, among))
}

async fn assess_with(client: &Client, standing: &Standing<'_>, among: &BTreeSet<usize>) -> Result<Assessment> {
    let survey = standing.survey;
    let wanted: Vec<usize> = among.iter().copied().filter(|index| is_built_here(&survey.images[*index])).collect();
    let asked =
        wanted.iter().map(|index| head(client, standing.registry, standing.layout, &survey.images[*index].name));
    let published: Vec<_> = stream::iter(asked).buffered(CONCURRENT_HEADS).collect().await;
    if let Some(error) = none_answered(&published) {
        return Err(error);
    }
    let records: Vec<(usize, Record)> = wanted
        .into_iter()
        .zip(published)
        .map(|(index, found)| (index, record(&survey.images[index].name, found)))
        .collect();
    let used: Vec<Vec<UsedBase>> = records
        .iter()
        .map(|(index, record)| record.as_ref().map_or_else(|_| Vec::new(), |it| used(standing, *index, &it.bases)))
        .collect();
    let references: BTreeSet<&str> = used
        .iter()
        .zip(&records)
        .filter_map(|(used, (_, record))| Some(to_look_up(used, &record.as_ref().ok()?.bases)))
        .flatten()
        .collect();
    let (now, found) = look_up(client, &references, &recorded_of(&used, &records)).await;
    let mut known = BTreeMap::new();
    let mut images: Vec<Assessed> = Vec::with_capacity(records.len());
    for ((index, record), used) in records.into_iter().zip(used) {
        let (published, bases, untold) = match record {
            Ok(recorded) => {
                let found = (Some(recorded.digest.clone()), check(used, &recorded.bases, &now), None);
                known.insert(index, recorded);
                found
            }
            Err(untold) => (None, Vec::new(), Some(untold)),
        };
        images.push(Assessed { index, published, bases, untold, reasons: Vec::new(), unbuildable: None });
    }
    decide(survey, &known, &mut images);
    Ok(Assessment { images, found })
}

/// Images that somebody else builds lie on no base of ours; invalid ones have none that anybody knows.
fn is_built_here(image: &Image) -> bool {
    image.illegal.is_none() && image.config().is_some_and(|config| config.manual_images.is_none())
}

/// The failure, if not one image could be read.
fn none_answered(published: &[Result<Option<Recorded>>]) -> Option<Error> {
    let first = published.first()?.as_ref().err()?;
    published.iter().all(Result::is_err).then(|| {
        let error = Error::new(first.kind(), "what is published cannot be read, so nobody can say what is stale");
        error.cause(anyhow::anyhow!("{}", told(first))).hint(first.next_step().to_owned())
    })
}

/// What a published index has, and what it recorded.
struct Known {
    digest: Digest,
    platforms: BTreeMap<Platform, Digest>,
    bases: RecordedBases,
    dependencies: BTreeMap<String, BTreeMap<Platform, Digest>>,
}

type Record = std::result::Result<Known, Untold>;

fn record(name: &ImageName, found: Result<Option<Recorded>>) -> Record {
    let unknown = |why: String| Err(Untold::Unknown(why));
    let recorded = found.map_err(|error| Untold::Unreadable(error.kind(), told(&error)))?;
    if let Published::Foreign(why) = published_as(name, None, &[], recorded.as_ref()) {
        return unknown(why);
    }
    match recorded {
        None => unknown("nothing is published".to_owned()),
        Some(Recorded { bases: Said::Value(bases), .. }) if bases.len() > MAX_RECORDED => {
            unknown(format!("what is published records more than {MAX_RECORDED} bases"))
        }
        Some(Recorded { digest, platforms, bases: Said::Value(bases), dependencies, .. }) => {
            Ok(Known { digest, platforms, bases, dependencies })
        }
        Some(Recorded { bases: Said::Nonsense, .. }) => {
            unknown(format!("what is published records its bases in a form that cannot be read ({BASES})"))
        }
        Some(_) => unknown("what is published did not record its bases".to_owned()),
    }
}

/// The bases of an image. Those of an upstream Dockerfile, which is not here, are those that were recorded.
fn used(standing: &Standing<'_>, index: usize, recorded: &RecordedBases) -> Vec<UsedBase> {
    let image = &standing.survey.images[index];
    let Some(config) = image.config() else { return Vec::new() };
    let backend = image.backend(standing.rules);
    let mut used = Vec::new();
    let line_of = |field: &str| image.parsed.spans.of(field).line;
    let is_remote = matches!(config.source, Source::Remote { .. });
    for base in bases(config, backend, &standing.survey.uses[index].bases) {
        let dockerfile = image.dockerfile.as_ref().filter(|_| base.line > 0);
        let (file, line) = match dockerfile {
            Some((path, _)) => (path.clone(), base.line),
            None => (image.file.clone(), line_of("ko_config.base_image")),
        };
        for wanted in &base.wanted_for {
            let (reference, platform) = (base.reference.clone(), base.platform_for(wanted));
            used.push(UsedBase { reference, platform, file: crate::diagnostic::escape(&file), line });
        }
    }
    if is_remote && backend.reads_dockerfile() {
        let file = crate::diagnostic::escape(&image.file);
        for (reference, digests) in recorded {
            let own = if digests.is_empty() { config.platforms.clone() } else { Vec::new() };
            used.extend(digests.keys().chain(&own).map(|platform| UsedBase {
                reference: reference.clone(),
                platform: platform.clone(),
                file: file.clone(),
                line: line_of("upstream_repo"),
            }));
        }
    }
    let mut seen = BTreeSet::new();
    used.retain(|base| seen.insert((base.reference.clone(), base.platform.clone())));
    used
}

/// What was recorded of each base, by what its reference means; none for a platform that nothing was recorded of.
fn recorded_of<'r>(
    used: &[Vec<UsedBase>],
    records: &'r [(usize, Record)],
) -> BTreeMap<String, BTreeSet<Option<&'r Digest>>> {
    let mut all: BTreeMap<String, BTreeSet<Option<&Digest>>> = BTreeMap::new();
    for (used, (_, record)) in used.iter().zip(records) {
        let Ok(record) = record else { continue };
        for base in used {
            let digest = record.bases.get(&base.reference).and_then(|digests| digests.get(&base.platform));
            all.entry(meaning(&base.reference)).or_default().insert(digest);
        }
    }
    all
}

/// What registries hold under these references, of which this was recorded.
async fn look_up(
    client: &Client,
    references: &BTreeSet<&str>,
    recorded: &BTreeMap<String, BTreeSet<Option<&Digest>>>,
) -> (BTreeMap<String, Now>, BTreeMap<String, Found>) {
    let ask = async |text: &str| now(client, text, recorded.get(&meaning(text))).await;
    let answers = each_once(references.iter().copied(), ask).await;
    let (mut now, mut known) = (BTreeMap::new(), BTreeMap::new());
    for (text, answer) in answers {
        let (found, state) = &*answer;
        if let Some(found) = found {
            known.insert(text.to_owned(), found.clone());
        }
        now.insert(text.to_owned(), state.clone());
    }
    (now, known)
}

/// One request: an index answers for all platforms, and one image by its own digest. One that is new is asked for its
/// platform as well: it need not be an image's that was there before.
async fn now(client: &Client, text: &str, recorded: Option<&BTreeSet<Option<&Digest>>>) -> (Option<Found>, Now) {
    let answer = async {
        let Reference { repository, tag, .. } =
            Reference::parse(text).map_err(|error| Error::config("this is no reference to an image").cause(error))?;
        let Some(manifest) = client.manifest(&repository, By::Tag(&tag.unwrap_or_else(Tag::latest))).await? else {
            return Ok((None, Now::Gone));
        };
        let found = match manifest.is_index() {
            true => {
                let (digest, platforms) = (manifest.digest.clone(), platforms(&manifest.index()?));
                Found { digest, platforms, input_key: None, triggers: None }
            }
            false if recorded.is_some_and(|all| all.iter().all(|one| *one == Some(&manifest.digest))) => {
                return Ok((None, Now::Image(manifest.digest)));
            }
            false => one_image(client, &repository, manifest).await?,
        };
        let state = Now::Index(found.platforms.clone());
        Ok((Some(found), state))
    };
    answer.await.unwrap_or_else(|error: Error| (None, Now::Failed { kind: error.kind(), why: told(&error) }))
}

fn decide(survey: &Survey, known: &BTreeMap<usize, Known>, images: &mut [Assessed]) {
    let mut bases: Vec<&[CheckedBase]> = vec![&[]; survey.images.len()];
    for image in images.iter() {
        bases[image.index] = &image.bases;
    }
    let below: Vec<Vec<Below<'_>>> = (0..survey.images.len()).map(|index| below(survey, known, index)).collect();
    let checked: Vec<Checked<'_>> = survey
        .images
        .iter()
        .zip(&survey.edges)
        .zip(bases)
        .zip(&below)
        .map(|(((image, built_on), bases), below)| Checked { name: &image.name, bases, built_on, below })
        .collect();
    let among = images.iter().map(|image| image.index).collect();
    let mut reasons = stale(&checked, &among);
    let rebuilt = |index: &usize| !reasons[*index].is_empty();
    let mut unbuildable = unbuildable(&checked, &among.into_iter().filter(rebuilt).collect());
    for image in images {
        image.reasons = std::mem::take(&mut reasons[image.index]);
        image.unbuildable = unbuildable.remove(&image.index);
    }
}

/// What an image is built on, where both its own index and that one's were read.
fn below<'a>(survey: &'a Survey, known: &'a BTreeMap<usize, Known>, index: usize) -> Vec<Below<'a>> {
    let Some(own) = known.get(&index) else { return Vec::new() };
    let below = survey.edges[index].iter().filter_map(|to| {
        let (name, now) = (&survey.images[*to].name, known.get(to)?);
        let recorded = own.dependencies.get(name.as_str())?;
        Some(Below { name, recorded, index: &now.digest, platforms: &now.platforms })
    });
    below.collect()
}
