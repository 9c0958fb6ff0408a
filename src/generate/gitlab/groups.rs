//! Which images share jobs: each has its own, until a limit of GitLab is in the way.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::{connected, in_plan};
use crate::plan::{Mode, Plan, PlannedImage};

/// What GitLab takes (docs.gitlab.com: `needs`, "Maximum number of jobs in a pipeline", dynamic child pipelines).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Needs of one job.
    pub needs: usize,
    /// Jobs of one pipeline: what the smallest plan of gitlab.com allows.
    pub jobs: usize,
    /// Bytes of a job's name, where the job has needs.
    pub name: usize,
    /// Bytes of the file.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { needs: 50, jobs: 500, name: 128, bytes: 5_000_000 }
    }
}

/// Images that share jobs.
#[derive(Clone, Debug)]
pub(super) struct Group<'p> {
    /// Its images, in the plan's order.
    pub(super) images: Vec<&'p PlannedImage>,
    /// Position among all groups: a name for one whose image's name is too long.
    number: usize,
    /// Groups of one wave never need each other.
    wave: u32,
    /// Longest name that a job may have.
    longest: usize,
}

impl<'p> Group<'p> {
    pub(super) fn first(&self) -> &str {
        self.images.first().map_or("", |image| image.name.as_str())
    }

    /// The architectures that its images want.
    pub(super) fn arches(&self) -> BTreeSet<String> {
        self.images.iter().flat_map(|image| image.platforms.iter().map(crate::oci::Platform::arch)).collect()
    }

    pub(super) fn images_for<'s>(&'s self, arch: &'s str) -> impl Iterator<Item = &'p PlannedImage> + 's {
        self.images.iter().copied().filter(move |image| image.platforms.iter().any(|it| it.arch() == arch))
    }

    /// Name of a job. An image's name has no space, so no two groups share one.
    pub(super) fn job(&self, what: &str, arch: &str) -> String {
        let others = match self.images.len() {
            0 | 1 => String::new(),
            more => format!(" and {} more", more - 1),
        };
        let tail = if arch.is_empty() { String::new() } else { format!(" {arch}") };
        let name = format!("{what} {}{others}{tail}", self.first());
        if name.len() <= self.longest { name } else { format!("{what} group {}{tail}", self.number + 1) }
    }

    /// The groups that its images are built on, for one architecture or for any, in order.
    pub(super) fn built_on<'g>(
        &'g self,
        groups: &'g [Group<'p>],
        arch: Option<&'g str>,
    ) -> impl Iterator<Item = &'g Group<'p>> {
        let names: BTreeSet<&str> = self.images.iter().flat_map(|image| in_plan(image, arch)).collect();
        let mine = self.number;
        groups.iter().filter(move |group| {
            group.number != mine && group.images.iter().any(|image| names.contains(image.name.as_str()))
        })
    }
}

/// One group an image; in a check run one for all images that are built on each other. Where a job would have too many
/// needs, the groups that it needs are joined wave by wave.
pub(super) fn groups<'p>(plan: &'p Plan, limits: &Limits) -> Vec<Group<'p>> {
    let sets: Vec<(u32, Vec<&PlannedImage>)> = match plan.mode {
        Mode::Publish => plan.images.iter().map(|image| (image.wave, vec![image])).collect(),
        Mode::Check => connected(plan, None).into_iter().map(|images| (0, images)).collect(),
    };
    let group = |(wave, images)| Group { images, number: 0, wave, longest: limits.name };
    let mut groups = numbered(sets.into_iter().map(group).collect());
    while let Some(joined) = join_needs(&groups, limits) {
        groups = joined;
    }
    groups
}

/// Joins the groups of one wave that some job needs too many of; none when no job does.
fn join_needs<'p>(groups: &[Group<'p>], limits: &Limits) -> Option<Vec<Group<'p>>> {
    // prepare is one need; manifest needs the builds of every architecture too.
    let room = |group: &Group<'_>| limits.needs.saturating_sub(1 + group.arches().len()).max(1);
    let crowded = groups.iter().find(|group| group.built_on(groups, None).count() > room(group))?;
    let mut waves: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for below in crowded.built_on(groups, None) {
        waves.entry(below.wave).or_default().insert(below.number);
    }
    let largest = waves.into_values().max_by_key(BTreeSet::len)?;
    if largest.len() > 1 {
        return Some(join(groups, |group| largest.contains(&group.number)));
    }
    // More waves than needs: a chain that only one job can build in order.
    Some(join(groups, |_| true))
}

/// Half as many groups: two of a wave become one, and at the end all waves do.
pub(super) fn coarser(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut halves: Vec<Group<'_>> = Vec::new();
    let before = groups.len();
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for group in groups {
        match open.remove(&group.wave) {
            Some(at) => halves[at].images.extend(group.images),
            None => {
                open.insert(group.wave, halves.len());
                halves.push(group);
            }
        }
    }
    if halves.len() == before && before > 1 {
        return join(&halves, |_| true);
    }
    numbered(halves)
}

fn join<'p>(groups: &[Group<'p>], chosen: impl Fn(&Group<'p>) -> bool) -> Vec<Group<'p>> {
    let mut joined: Vec<Group<'p>> = Vec::new();
    let mut into: Option<usize> = None;
    for group in groups {
        match into.filter(|_| chosen(group)) {
            Some(at) => joined[at].images.extend(group.images.iter().copied()),
            None => {
                if chosen(group) {
                    into = Some(joined.len());
                }
                joined.push(group.clone());
            }
        }
    }
    numbered(joined)
}

fn numbered(mut groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    for (number, group) in groups.iter_mut().enumerate() {
        group.number = number;
    }
    groups
}
