//! Tags of an image (specification §5): from templates and the facts of the pipeline to valid tags.

use std::collections::BTreeMap;

use crate::config::Layout;
use crate::oci::{ImageName, Invalid, Platform, Tag};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Words of a template that this version knows.
pub const TEMPLATE_WORDS: [&str; 8] = ["image", "date", "ref", "arch", "sha", "short_sha", "branch", "run"];

/// Variables that additional tags and build arguments may use on both platforms.
pub const PIPELINE_VARIABLES: [&str; 3] = ["BRANCH_NAME", "BUILD_NUMBER", "SHORT_SHA"];

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
    fn short_sha(&self) -> &str {
        self.commit.get(..SHORT_SHA).unwrap_or(&self.commit)
    }

    /// The value of one of [`PIPELINE_VARIABLES`]: none when the pipeline does not have it.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        match name {
            "BRANCH_NAME" => self.branch.as_deref().map(Tag::sanitise),
            "BUILD_NUMBER" => self.run.clone(),
            "SHORT_SHA" => Some(self.short_sha().to_owned()),
            _ => None,
        }
    }

    fn word(&self, input: &TagInput<'_>, word: &str) -> Result<String, String> {
        let absent = |what: &str| format!("`{{{word}}}` has no value: {what}");
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
            match self.additional(input, written) {
                Ok(tag) if tags.index.contains(&tag) => {}
                Ok(tag) => tags.index.push(tag),
                Err(message) => problems.push(TagProblem { field, message }),
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

    fn additional(&self, input: &TagInput<'_>, written: &str) -> Result<Tag, String> {
        let text = self.expand_variables(written)?;
        let prefixed = match self.layout {
            Layout::Single => format!("{}-{text}", input.name),
            Layout::PerImage => text,
        };
        not_an_arch_tag(Tag::parse(&prefixed).map_err(|Invalid(why)| why)?)
    }

    fn expand_variables(&self, written: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = written;
        while let Some(open) = rest.find("${") {
            let close = rest[open..].find('}').ok_or_else(|| format!("`{written}` has a `${{` that is not closed"))?;
            let name = &rest[open + 2..open + close];
            out.push_str(&rest[..open]);
            out.push_str(&self.variable(name).ok_or_else(|| {
                if PIPELINE_VARIABLES.contains(&name) {
                    format!("`${{{name}}}` has no value in this run")
                } else {
                    format!("`${{{name}}}` is not a variable of tags: {}", PIPELINE_VARIABLES.join(", "))
                }
            })?);
            rest = &rest[open + close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(layout: Layout) -> TagFacts {
        TagFacts {
            date: "20251015".into(),
            commit: "4f2a91c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60".into(),
            branch: Some("feature/x".into()),
            tag: None,
            run: Some("7".into()),
            layout,
            beside_default: false,
        }
    }

    fn tags(
        layout: Layout,
        reference: Option<&str>,
        template: Option<&str>,
        extra: &[&str],
    ) -> Result<ImageTags, Vec<TagProblem>> {
        let name = ImageName::parse("curl").unwrap();
        let additional: Vec<String> = extra.iter().map(|tag| (*tag).to_owned()).collect();
        let platforms = [Platform::parse("linux/amd64").unwrap(), Platform::parse("linux/arm/v7").unwrap()];
        facts(layout).tags_of(&TagInput {
            name: &name,
            upstream_ref: reference,
            template,
            additional: &additional,
            platforms: &platforms,
        })
    }

    fn shown(tags: &ImageTags) -> (Vec<&str>, Vec<&str>) {
        (tags.index.iter().map(Tag::as_str).collect(), tags.by_arch.values().map(Tag::as_str).collect())
    }

    #[test]
    fn table_of_section_5_local_source() {
        let tags = tags(Layout::Single, None, None, &["latest", "latest", "1e3"]).unwrap();
        assert_eq!(
            shown(&tags),
            (
                vec!["curl-20251015", "curl-latest", "curl-1e3", "curl-head"],
                vec!["curl-20251015-amd64", "curl-20251015-armv7"]
            )
        );
    }

    #[test]
    fn table_of_section_5_remote_source() {
        let tags = tags(Layout::Single, Some("release/1.x"), None, &[]).unwrap();
        assert_eq!(
            shown(&tags),
            (
                vec!["curl-20251015-release-1.x", "curl-head"],
                vec!["curl-20251015-release-1.x-amd64", "curl-20251015-release-1.x-armv7"]
            )
        );
    }

    #[test]
    fn layout_per_image_has_no_prefix() {
        let tags = tags(Layout::PerImage, None, None, &["latest"]).unwrap();
        assert_eq!(shown(&tags), (vec!["20251015", "latest", "head"], vec!["20251015-amd64", "20251015-armv7"]));
    }

    #[test]
    fn templates_and_variables_expand() {
        let tags = tags(Layout::Single, None, Some("{image}-{run}-{short_sha}"), &["${BRANCH_NAME}-b${BUILD_NUMBER}"])
            .unwrap();
        assert_eq!(
            shown(&tags),
            (
                vec!["curl-7-4f2a91c0", "curl-feature-x-b7", "curl-head"],
                vec!["curl-7-4f2a91c0-amd64", "curl-7-4f2a91c0-armv7"]
            )
        );
    }

    #[test]
    fn the_ref_is_the_upstream_ref_or_what_the_run_is_of() {
        let name = ImageName::parse("curl").unwrap();
        let platforms = [Platform::parse("linux/amd64").unwrap()];
        let first = |branch: Option<&str>, tag: Option<&str>, upstream_ref: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let facts = TagFacts { branch: text(branch), tag: text(tag), ..facts(Layout::Single) };
            let template = Some("{image}-{ref}");
            let found = facts.tags_of(&TagInput {
                name: &name,
                upstream_ref,
                template,
                additional: &[],
                platforms: &platforms,
            });
            found.map(|tags| tags.index[0].to_string()).map_err(|problems| problems[0].message.clone())
        };
        assert_eq!(first(Some("feature/x"), None, None).unwrap(), "curl-feature-x");
        assert_eq!(first(None, Some("release/1.2"), None).unwrap(), "curl-release-1.2");
        assert_eq!(first(Some("main"), Some("v1"), Some("v8")).unwrap(), "curl-v8");
        assert!(first(None, None, None).unwrap_err().contains("of no branch or tag"));
    }

    #[test]
    fn the_place_of_the_architecture_may_be_chosen() {
        let tags = tags(Layout::Single, None, Some("{arch}-{image}"), &[]).unwrap();
        assert_eq!(shown(&tags), (vec!["curl", "curl-head"], vec!["amd64-curl", "armv7-curl"]));
    }

    #[test]
    fn an_index_tag_that_looks_like_an_architecture_tag_is_refused() {
        for (reference, template) in [(None, Some("{image}-amd64")), (Some("v1-arm64"), None), (None, Some("armv7"))] {
            let problems = tags(Layout::Single, reference, template, &[]).unwrap_err();
            assert_eq!((problems.len(), problems[0].field.as_str()), (1, "tag_template"));
            assert!(problems[0].message.contains("looks like the tag of one architecture"), "{problems:?}");
        }
        assert!(tags(Layout::Single, Some("v1-arm64"), Some("{image}-{ref}-x"), &[]).is_ok());
    }

    #[test]
    fn a_tag_over_128_characters_is_an_error_and_a_repeated_one_counts_once() {
        // `curl-` and the tag; the longest architecture suffix counts too.
        assert!(tags(Layout::Single, None, None, &[&"x".repeat(123)]).is_ok());
        assert!(
            tags(Layout::Single, None, None, &[&"x".repeat(124)]).unwrap_err()[0]
                .message
                .contains("1 more than a registry")
        );
        let template = |length: usize| "x".repeat(length);
        assert!(tags(Layout::Single, None, Some(&template(122)), &[]).is_ok());
        assert_eq!(tags(Layout::Single, None, Some(&template(123)), &[]).unwrap_err()[0].field, "tag_template");
        let found = tags(Layout::Single, None, Some("{image}-latest"), &["latest", "head", "latest"]).unwrap();
        assert_eq!(shown(&found).0, ["curl-latest", "curl-head"]);
    }

    #[test]
    fn what_is_no_tag_is_refused_with_its_field() {
        for (extra, message) in [
            ("a b", "letters, digits"),
            ("x-amd64", "looks like the tag of one architecture"),
            ("amd64", "looks like the tag of one architecture"),
            ("${NOPE}", "is not a variable of tags"),
            ("${BRANCH_NAME", "not closed"),
        ] {
            let problems = tags(Layout::Single, None, None, &["ok", extra]).unwrap_err();
            assert_eq!(problems[0].field, "additional_tags[1]");
            assert!(problems[0].message.contains(message), "{}", problems[0].message);
        }
        let long = "x".repeat(130);
        assert_eq!(tags(Layout::Single, None, Some(&long), &[]).unwrap_err()[0].field, "tag_template");
        assert_eq!(tags(Layout::Single, None, Some("{nope}"), &[]).unwrap_err()[0].field, "tag_template");
    }
}
