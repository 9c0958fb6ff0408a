//! Values of `ECR_REGISTRY`, `HEPHY_REGISTRY` and `X_TAG`, and the build arguments made of them (specification §7).

use std::collections::{BTreeMap, BTreeSet};

use super::{Job, results};
use crate::diagnostic::escape_cut;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Digest, ImageName, Tag};
use crate::plan::{ArgPart, DependencyFrom, DependencyVia, PlannedDependency, PlannedImage};
use crate::result::Status;

impl Job<'_> {
    /// The build arguments of an image: its own, then those that its Dockerfile declares.
    pub(super) fn arguments(&self, image: &PlannedImage, dockerfile: &str) -> Result<Vec<(String, String)>> {
        let mut tags = BTreeMap::new();
        for dependency in &image.dependencies {
            tags.insert(&dependency.name, self.tag_of(dependency)?);
        }
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
        let declared = declared_arguments(dockerfile);
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

    /// `<tag>@<digest>` of an image that another one is built on.
    fn tag_of(&self, dependency: &PlannedDependency) -> Result<String> {
        let pinned = |tag: &Tag, digest: &Digest| format!("{tag}@{digest}");
        let name = &dependency.name;
        if let DependencyFrom::Published { tag, digest } = &dependency.from {
            return Ok(pinned(tag, digest));
        }
        let result = match self.done.get(name) {
            Some(result) => Some(result.clone()),
            // Built by another job of this pipeline.
            None => results::read_result(&self.options.out, name, &self.options.platform)?
                .filter(|result| result.plan == self.plan.id && result.image == *name),
        };
        match result {
            Some(result) if result.status == Status::Completed && result.platform == self.options.platform => {
                let digest =
                    result.digest.as_ref().ok_or_else(|| Error::internal("a completed build has no digest"))?;
                Ok(pinned(&result.tag, digest))
            }
            Some(_) => Err(Error::new(ErrorKind::BuildError, format!("not built, because {name} was not"))
                .hint(format!("solve what is said of {name}"))),
            None => self.tag_from_file(name),
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

/// Names of the arguments that a Dockerfile declares anywhere.
pub(super) fn declared_arguments(dockerfile: &str) -> BTreeSet<String> {
    let Ok(parsed) = parse_dockerfile::parse(dockerfile) else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    for instruction in &parsed.instructions {
        if let parse_dockerfile::Instruction::Arg(argument) = instruction {
            // `ARG A=1 B`: a name begins each word; a quoted value with spaces adds words that are no names, which
            // cannot harm, since only known names are looked up.
            let words = argument.arguments.value.split_whitespace();
            names.extend(words.map(|word| word.split('=').next().unwrap_or_default().to_owned()));
        }
    }
    names
}

/// Refuses a Dockerfile that cannot be read before a builder stumbles over it.
pub(super) fn check_dockerfile(text: &str, shown: &str) -> Result<()> {
    parse_dockerfile::parse(text).map(|_| ()).map_err(|error| {
        let message = escape_cut(&error.to_string(), 200);
        Error::config(format!("{shown} is no Dockerfile: {message}")).hint("correct the line that is named")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_wherever_they_are_declared() {
        let found = declared_arguments("ARG A=1 B\nFROM x:${A}\nARG C=\"d e\"\n# ARG NO\nRUN echo ARG NOT\n");
        for name in ["A", "B", "C"] {
            assert!(found.contains(name), "{name}");
        }
        assert!(!found.contains("NO") && !found.contains("NOT"));
    }
}
