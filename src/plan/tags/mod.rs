//! Tags of an image (specification §5): from templates and the facts of the pipeline to valid tags.
//!
//! A tag is taken as written or refused; only `{ref}`, `{branch}` and `${BRANCH_NAME}` are sanitised, and of a version
//! the `+`, which no tag can hold. What a run has no value for is an error that names the field, but for what asks
//! for tags of some runs only: `semver` gives none outside a release, `${BRANCH_NAME}` none where there is no branch.

mod version;

use std::collections::BTreeMap;

use crate::ci::CiContext;
use crate::config::Layout;
use crate::config::template::{self, Part};
use crate::oci::{ImageName, Invalid, Platform, Tag};

use super::Mode;

pub use version::{GitTag, Version};

/// The facts that tags are made of, the same for every image of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFacts {
    /// UTC date of the pipeline, `YYYYMMDD`.
    pub date: String,
    /// Full commit id.
    pub commit: String,
    /// Branch name, if the run is of a branch.
    pub branch: Option<String>,
    /// Tag name, if the run is of a tag.
    pub tag: Option<String>,
    /// Number of the pipeline.
    pub run: Option<String>,
    /// Where an image lies below the registry.
    pub layout: Layout,
    /// Whether the run publishes from a branch that is known not to be the default one, whose newest image
    /// `{image}-head` is.
    pub beside_default: bool,
}

/// All tags of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageTags {
    /// Index tags in the order in which they are written: base tag, additional ones, `{image}-head`.
    pub index: Vec<Tag>,
    /// What a build job pushes, by arch.
    pub by_arch: BTreeMap<String, Tag>,
}

/// What one image contributes.
#[derive(Clone, Copy, Debug)]
pub struct TagInput<'a> {
    /// Its name.
    pub name: &'a ImageName,
    /// The upstream ref in remote mode.
    pub upstream_ref: Option<&'a str>,
    /// Its version, where it has one.
    pub version: Option<&'a Version>,
    /// `tag_template`.
    pub template: Option<&'a str>,
    /// `additional_tags` as written.
    pub additional: &'a [String],
    /// Wanted platforms.
    pub platforms: &'a [Platform],
}

/// A tag that cannot be written, and the field that asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagProblem {
    /// `tag_template` or `additional_tags[N]`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Words of a template.
pub const TEMPLATE_WORDS: [&str; 11] =
    ["image", "date", "ref", "arch", "sha", "short_sha", "branch", "version", "major", "minor", "run"];

/// Variables that additional tags and build arguments may use on both platforms.
pub const PIPELINE_VARIABLES: [&str; 4] = ["BRANCH_NAME", "BUILD_NUMBER", "SHORT_SHA", "VERSION"];

/// The entry of `additional_tags` that stands for the tags of a release.
const SEMVER: &str = "semver";

/// Why an image has no version.
const NO_VERSION: &str =
    "the image has no version: neither its upstream ref nor the git tag is one, and it has no version_from";

/// Length of `{short_sha}`: what both platforms show.
const SHORT_SHA: usize = 8;

/// Refuses a tag that the layer cache of an image could have.
fn not_a_cache_tag(tag: Tag) -> Result<Tag, String> {
    if super::cache::is_cache_tag(tag.as_str()) {
        return Err(format!("`{tag}` looks like the tag of a layer cache; those are hephy's own"));
    }
    Ok(tag)
}

/// Refuses a tag whose last word is an architecture's, as in the tags of build jobs.
fn not_an_arch_tag(tag: Tag) -> Result<Tag, String> {
    let tag = not_a_cache_tag(tag)?;
    if tag.as_str().rsplit('-').next().is_some_and(Platform::is_arch) {
        return Err(format!("`{tag}` looks like the tag of one architecture; those are hephy's own"));
    }
    Ok(tag)
}

impl TagFacts {
    /// The facts of a pipeline, as far as its platform tells them.
    #[must_use]
    pub fn of_pipeline(context: &CiContext, commit: String, date: String, layout: Layout) -> Self {
        Self {
            date,
            commit,
            branch: context.branch.clone(),
            tag: context.tag.clone(),
            run: context.run_number.map(|number| number.to_string()),
            layout,
            beside_default: context.mode == Mode::Publish && context.is_beside_default(),
        }
    }

    fn short_sha(&self) -> &str {
        self.commit.get(..SHORT_SHA).unwrap_or(&self.commit)
    }

    /// The value of one of [`PIPELINE_VARIABLES`] for an image of this version: none when there is none.
    #[must_use]
    pub fn variable(&self, name: &str, version: Option<&Version>) -> Option<String> {
        match name {
            "VERSION" => version.map(Version::as_tag),
            "BRANCH_NAME" => self.branch.as_deref().map(Tag::sanitise),
            "BUILD_NUMBER" => self.run.clone(),
            "SHORT_SHA" => Some(self.short_sha().to_owned()),
            _ => None,
        }
    }

    fn word(&self, input: &TagInput<'_>, word: &str) -> Result<String, String> {
        let absent = |what: &str| format!("`{{{word}}}` has no value: {what}");
        let version = || input.version.ok_or_else(|| absent(NO_VERSION));
        match word {
            "image" => Ok(input.name.to_string()),
            "date" => Ok(self.date.clone()),
            "sha" => Ok(self.commit.clone()),
            "short_sha" => Ok(self.short_sha().to_owned()),
            "ref" => {
                let reference = input.upstream_ref.or(self.tag.as_deref()).or(self.branch.as_deref());
                reference.map(Tag::sanitise).ok_or_else(|| absent("the run is of no branch or tag"))
            }
            "branch" => self.branch.as_deref().map(Tag::sanitise).ok_or_else(|| absent("the run is of no branch")),
            "version" => version().map(Version::as_tag),
            "major" => version().map(|version| version.major().to_owned()),
            "minor" => version()?.minor().map(str::to_owned).ok_or_else(|| absent("the version has one number only")),
            "run" => self.run.clone().ok_or_else(|| absent("only a CI pipeline has a number")),
            other => Err(format!("`{{{other}}}` is not a word of templates: {}", TEMPLATE_WORDS.join(", "))),
        }
    }

    /// Expands a template without `{arch}`.
    fn expand(&self, input: &TagInput<'_>, template: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').ok_or_else(|| format!("`{template}` has a brace that is not closed"))?;
            out.push_str(&rest[..open]);
            out.push_str(&self.word(input, &rest[open + 1..open + close])?);
            rest = &rest[open + close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn expand_to_tag(&self, input: &TagInput<'_>, template: &str) -> Result<Tag, String> {
        Tag::parse(&self.expand(input, template)?).map_err(|Invalid(why)| why)
    }

    /// All tags of one image.
    ///
    /// # Errors
    /// Every tag that is not legal, too long, or looks like an architecture tag.
    pub fn tags_of(&self, input: &TagInput<'_>) -> Result<ImageTags, Vec<TagProblem>> {
        let mut problems = Vec::new();
        let (index, arch) = self.base_templates(input);
        let mut tags = ImageTags { index: Vec::new(), by_arch: BTreeMap::new() };
        match self.expand_to_tag(input, &index).and_then(not_an_arch_tag) {
            Ok(tag) => tags.index.push(tag),
            Err(message) => problems.push(TagProblem { field: "tag_template".into(), message }),
        }
        for arch_word in input.platforms.iter().map(Platform::arch) {
            match self.expand_to_tag(input, &arch.replace("{arch}", &arch_word)).and_then(not_a_cache_tag) {
                Ok(tag) => {
                    tags.by_arch.insert(arch_word, tag);
                }
                // What is wrong with the index tag is wrong with these too, and said once.
                Err(message) if problems.is_empty() => {
                    problems.push(TagProblem { field: "tag_template".into(), message });
                }
                Err(_) => {}
            }
        }
        let extra =
            input.additional.iter().enumerate().map(|(at, tag)| (format!("additional_tags[{at}]"), tag.as_str()));
        for (field, written) in
            extra.chain(std::iter::once(("additional_tags".to_owned(), "head")).filter(|_| !self.beside_default))
        {
            for tag in self.additional(input, written) {
                match tag {
                    Ok(tag) if tags.index.contains(&tag) => {}
                    Ok(tag) => tags.index.push(tag),
                    Err(message) => problems.push(TagProblem { field: field.clone(), message }),
                }
            }
        }
        if problems.is_empty() { Ok(tags) } else { Err(problems) }
    }

    /// The templates of the index tag and of the architecture tags.
    fn base_templates(&self, input: &TagInput<'_>) -> (String, String) {
        let prefix = if self.layout == Layout::Single { "{image}-" } else { "" };
        let standard = match input.upstream_ref {
            Some(_) => format!("{prefix}{{date}}-{{ref}}"),
            None => format!("{prefix}{{date}}"),
        };
        let template = input.template.map_or(standard, str::to_owned);
        if !template.contains("{arch}") {
            let arch = format!("{template}-{{arch}}");
            return (template, arch);
        }
        let separated = ["-{arch}", "_{arch}", ".{arch}", "{arch}-", "{arch}_", "{arch}."];
        let found = separated.into_iter().find(|word| template.contains(word)).unwrap_or("{arch}");
        (template.replacen(found, "", 1).replace("{arch}", ""), template)
    }

    /// The tags that one entry of `additional_tags` stands for: one, those of a release, or none in this run.
    fn additional(&self, input: &TagInput<'_>, written: &str) -> Vec<Result<Tag, String>> {
        let texts = match (written, input.version) {
            (SEMVER, version) => version.map(Version::release_tags).unwrap_or_default().into_iter().map(Ok).collect(),
            // What is the newest of a branch is not what a git tag or a bare commit gives.
            _ if self.branch.is_none() && template::names(written).iter().any(|name| name == "BRANCH_NAME") => {
                Vec::new()
            }
            (_, version) => vec![self.expand_variables(written, version)],
        };
        let tag = |text: String| {
            let tag = Tag::parse(&self.layout.tag_of(input.name, &text)).map_err(|Invalid(why)| why);
            tag.and_then(not_an_arch_tag)
        };
        texts.into_iter().map(|text| text.and_then(tag)).collect()
    }

    fn expand_variables(&self, written: &str, version: Option<&Version>) -> Result<String, String> {
        let mut out = String::new();
        for part in template::parse(written).map_err(|wrong| format!("`{written}` {}", wrong.message))? {
            let name = match part {
                Part::Text(text) => {
                    out.push_str(&text);
                    continue;
                }
                Part::Var { name, .. } => name,
            };
            out.push_str(&self.variable(&name, version).ok_or_else(|| {
                if name == "VERSION" {
                    format!("`${{VERSION}}` has no value: {NO_VERSION}")
                } else if PIPELINE_VARIABLES.contains(&name.as_str()) {
                    format!("`${{{name}}}` has no value in this run")
                } else {
                    format!("`${{{name}}}` is not a variable of tags: {}", PIPELINE_VARIABLES.join(", "))
                }
            })?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
