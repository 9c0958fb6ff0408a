//! Values of `ECR_REGISTRY`, `HEPHY_REGISTRY` and `X_TAG`, the build arguments made of them, and what stands in for
//! references that name an image of this repository outright (specification §7).

use std::collections::{BTreeMap, BTreeSet};

use super::{Job, results};
use crate::dockerfile::{Dockerfile, Pin};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, ImageName, Tag};
use crate::plan::{ArgPart, DependencyFrom, DependencyVia, PlannedDependency, PlannedImage};
use crate::result::{BuildResult, Status};

/// `<tag>@<digest>` of each image that another one is built on.
pub(super) type Tags<'a> = BTreeMap<&'a ImageName, String>;

impl Job<'_> {
    /// What this run means by the images that `image` is built on. Those that only other platforms are built on get a
    /// tag all the same: the Dockerfile's other stages want a value, even where nobody uses them.
    pub(super) fn tags_of<'a>(&self, image: &'a PlannedImage) -> Result<Tags<'a>> {
        let mut tags = Tags::new();
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            image.dependencies.iter().partition(|dependency| dependency.is_for(&self.options.platform));
        for dependency in here {
            tags.insert(&dependency.name, self.tag_of(dependency)?);
        }
        for dependency in elsewhere {
            tags.entry(&dependency.name).or_insert_with(|| self.unused_tag(dependency));
        }
        Ok(tags)
    }

    fn unused_tag(&self, dependency: &PlannedDependency) -> String {
        let name = &dependency.name;
        match &dependency.from {
            DependencyFrom::Published { tag, digest } => format!("{tag}@{digest}"),
            _ => self.plan.layout.tag_of(name, "head"),
        }
    }

    /// The build arguments of an image: its own, then those that its Dockerfile declares.
    pub(super) fn arguments(
        &self,
        image: &PlannedImage,
        tags: &Tags<'_>,
        dockerfile: Option<&Dockerfile>,
    ) -> Result<Vec<(String, String)>> {
        let mut arguments = Vec::new();
        for argument in &image.build_args {
            let mut value = String::new();
            for part in &argument.value {
                match part {
                    ArgPart::Text(text) => value.push_str(text),
                    ArgPart::TagOf(name) => value.push_str(tags.get(name).ok_or_else(|| {
                        Error::config(format!("the plan does not say where {} gets {name} from", image.name))
                            .hint("the plan must come from prepare of the same pipeline, unchanged")
                    })?),
                }
            }
            arguments.push((argument.name.clone(), value));
        }
        let declared: BTreeSet<&str> = dockerfile.into_iter().flat_map(Dockerfile::declared_args).collect();
        let mut offer = |name: &str, value: &str| {
            if declared.contains(name) && !arguments.iter().any(|(known, _)| known == name) {
                arguments.push((name.to_owned(), value.to_owned()));
            }
        };
        offer("ECR_REGISTRY", self.registry);
        offer("HEPHY_REGISTRY", self.registry);
        for dependency in &image.dependencies {
            let tag = &tags[&dependency.name];
            if let DependencyVia::Variable { name, .. } = &dependency.via {
                offer(name, tag);
            }
            offer(&dependency.name.tag_variable(), tag);
        }
        Ok(arguments)
    }

    /// What stands in for the references that name images of this repository outright: exactly the image that this
    /// run means, whatever the name would lead to by now. A reference with variables in it may mean another image for
    /// each platform.
    pub(super) fn pins(&self, image: &PlannedImage, tags: &Tags<'_>) -> Vec<Pin> {
        let mut pins: BTreeMap<(usize, &str), Option<Pin>> = BTreeMap::new();
        for dependency in image.dependencies.iter().filter(|it| it.is_for(&self.options.platform)) {
            let DependencyVia::Reference { text, line } = &dependency.via else { continue };
            let Some(tag) = tags.get(&dependency.name) else { continue };
            let with = format!("{}:{tag}", self.plan.repository_of(self.registry, &dependency.name));
            let pin = Pin { line: *line, text: text.clone(), with };
            // Two stages may mean different images by the same words: those the builder tells apart.
            let known = pins.entry((*line, text)).or_insert_with(|| Some(pin.clone()));
            *known = known.take().filter(|known| *known == pin);
        }
        pins.into_values().flatten().collect()
    }

    /// `<tag>@<digest>` of an image that another one is built on.
    pub(super) fn tag_of(&self, dependency: &PlannedDependency) -> Result<String> {
        let pinned = |tag: &Tag, digest: &Digest| format!("{tag}@{digest}");
        let name = &dependency.name;
        match &dependency.from {
            DependencyFrom::Published { tag, digest } => return Ok(pinned(tag, digest)),
            DependencyFrom::Unresolved => {
                return Err(Error::config(format!("the plan does not say which {name} to build on"))
                    .hint("`hephy prepare` asks the registry; a plan of `hephy plan` cannot be built"));
            }
            DependencyFrom::Plan => {}
        }
        match self.result_of(name)? {
            Some(result) if result.status == Status::Completed => {
                let digest =
                    result.digest.as_ref().ok_or_else(|| Error::internal("a completed build has no digest"))?;
                Ok(pinned(&result.tag, digest))
            }
            Some(_) => Err(Error::new(ErrorKind::BuildError, format!("not built, because {name} was not"))
                .hint(format!("solve what is said of {name}"))),
            None => self.tag_from_file(name),
        }
    }

    /// How the build of an image ended, in this job or in another one of this pipeline.
    pub(super) fn result_of(&self, name: &ImageName) -> Result<Option<BuildResult>> {
        let done = self.state().done.get(name).cloned();
        match done {
            Some(result) => Ok(Some(result)),
            None => results::read_result(&self.options.out, self.plan, name, &self.options.platform),
        }
    }

    /// Where a job of another kind left only a `.tag` file, that tag is resolved once.
    fn tag_from_file(&self, name: &ImageName) -> Result<String> {
        let arch = self.options.platform.arch();
        let missing = || {
            Error::new(ErrorKind::NotFound, format!("{name} has no build result for {arch}"))
                .hint(format!("its build job must run before this one and hand on {name}-{arch}.json"))
        };
        let path = self.options.out.join(format!("{name}-{arch}.tag"));
        let bytes = crate::store::read_left(&path, 1024)?.ok_or_else(missing)?;
        let text = String::from_utf8(bytes).map_err(|invalid| missing().cause(invalid))?;
        let tag = Tag::parse(text.trim()).map_err(|invalid| missing().cause(invalid))?;
        let repository = self.plan.repository_of(self.registry, name);
        let found = self.view.manifest(&repository, tag.as_str())?;
        Ok(format!("{tag}@{}", found.digest))
    }
}
