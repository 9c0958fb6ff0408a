//! Documents that platforms make jobs of, out of a plan. Pure: names out of a plan are data of a serializer, never
//! pasted into a text.

pub mod github;
pub mod gitlab;

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::escape_cut;
use crate::error::{Error, Result};
use crate::plan::{DependencyFrom, Plan, PlannedDependency, PlannedImage};

/// How builds are spread over jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fanout {
    /// One job an architecture.
    #[default]
    Arch,
    /// One job for each image and architecture.
    Image,
}

impl Fanout {
    /// Parses `HEPHY_FANOUT`.
    ///
    /// # Errors
    /// When it is another word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "arch" => Ok(Self::Arch),
            "image" => Ok(Self::Image),
            other => {
                Err(Error::usage(format!("HEPHY_FANOUT cannot be `{}`", escape_cut(other, 80)))
                    .hint("one of arch, image"))
            }
        }
    }
}

/// The images of this run that one is built on, for one architecture or for any.
pub(crate) fn in_plan<'p>(image: &'p PlannedImage, arch: Option<&str>) -> impl Iterator<Item = &'p str> {
    let built = image.dependencies.iter().filter(|it| it.from == DependencyFrom::Plan);
    let counts = move |it: &&PlannedDependency| {
        arch.is_none_or(|arch| it.platforms.iter().any(|platform| platform.arch() == arch))
    };
    built.filter(counts).map(|dependency| dependency.name.as_str())
}

/// Images that are built on each other, for one architecture or for any, in the plan's order.
pub(crate) fn connected<'p>(plan: &'p Plan, arch: Option<&str>) -> Vec<Vec<&'p PlannedImage>> {
    let mut component: BTreeMap<&str, usize> = BTreeMap::new();
    let mut components: Vec<Vec<&PlannedImage>> = Vec::new();
    for image in &plan.images {
        let joined: BTreeSet<usize> = in_plan(image, arch).filter_map(|name| component.get(name).copied()).collect();
        let mut members = vec![image];
        for at in joined {
            members.append(&mut components[at]);
        }
        for member in &members {
            component.insert(member.name.as_str(), components.len());
        }
        components.push(members);
    }
    let position: BTreeMap<&str, usize> =
        plan.images.iter().enumerate().map(|(at, image)| (image.name.as_str(), at)).collect();
    let place = |image: &&PlannedImage| position.get(image.name.as_str()).copied();
    components.retain(|members| !members.is_empty());
    for members in &mut components {
        members.sort_by_key(place);
    }
    components.sort_by_key(|members| members.first().and_then(place));
    components
}
