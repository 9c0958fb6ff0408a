//! What names an image of this repository: its variable, its directory, and tags that move.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use super::Node;
use super::findings::Problem;
use crate::config::Layout;
use crate::oci::ImageName;

/// Stands for the registry while a reference is looked at; cannot occur in a file, which has no NUL in names.
pub(super) const REGISTRY_MARK: &str = "\u{0}registry";
pub(super) const TAG_MARK: &str = "\u{0}tag";

/// The images by what may name them.
pub struct Names<'a> {
    pub(super) registry: Option<&'a str>,
    pub(super) layout: Layout,
    pub(super) nodes: &'a [Node<'a>],
    pub(super) by_variable: BTreeMap<String, Vec<usize>>,
    /// A directory may be several images.
    pub(super) by_dir: BTreeMap<&'a str, Vec<usize>>,
    /// Made when a reference names an image of the own registry outright, which few do.
    by_moving_tag: OnceLock<HashMap<String, usize>>,
}

impl<'a> Names<'a> {
    /// Collects the names of all images.
    #[must_use]
    pub fn new(nodes: &'a [Node<'a>], registry: Option<&'a str>, layout: Layout) -> Self {
        let mut names = Self {
            registry,
            layout,
            nodes,
            by_variable: BTreeMap::new(),
            by_dir: BTreeMap::new(),
            by_moving_tag: OnceLock::new(),
        };
        for (index, node) in nodes.iter().enumerate() {
            names.by_variable.entry(node.name.tag_variable()).or_default().push(index);
            names.by_dir.entry(node.dir).or_default().push(index);
        }
        names
    }

    fn by_moving_tag(&self) -> &HashMap<String, usize> {
        self.by_moving_tag.get_or_init(|| {
            let mut found = HashMap::new();
            for (index, node) in self.nodes.iter().enumerate() {
                let literal = node.additional_tags.iter().map(String::as_str).filter(|tag| !tag.contains('$'));
                for tag in literal.chain(["latest", "head"]) {
                    found.insert(moving(self.layout, node.name, tag), index);
                }
            }
            found
        })
    }

    /// The variable that a reference to the own registry takes its tag from; marks stand in it for both.
    pub(super) fn tag_variable_of(&self, text: &str) -> Option<String> {
        let own = self.strip_registry(text)?;
        let (path, tag) = own.rsplit_once(':')?;
        let variable = tag.strip_prefix(TAG_MARK)?.strip_suffix('\u{0}')?;
        let right_path = match self.layout {
            Layout::Single => path.is_empty(),
            Layout::PerImage => {
                let named = path.strip_prefix('/').unwrap_or_default();
                self.by_variable.get(variable).is_some_and(|indexes| {
                    indexes.iter().any(|index| self.nodes[*index].name.as_str().to_lowercase() == named)
                })
            }
        };
        right_path.then(|| variable.to_owned())
    }

    pub(super) fn strip_registry<'t>(&self, text: &'t str) -> Option<&'t str> {
        let marked = text.strip_prefix(REGISTRY_MARK);
        let rest = marked.or_else(|| self.registry.and_then(|registry| text.strip_prefix(registry)))?;
        rest.starts_with([':', '/', '@']).then_some(rest)
    }

    pub(super) fn by_variable(&self, variable: &str) -> Result<usize, Problem> {
        match self.by_variable.get(variable).map(Vec::as_slice) {
            Some([one]) => Ok(*one),
            Some([first, second, ..]) => Err(Problem::new(format!(
                "`{variable}` may mean `{}` or `{}`",
                self.nodes[*first].name, self.nodes[*second].name
            ))
            .note("image names that differ in punctuation only share this variable; rename one directory")),
            _ => Err(Problem::new(format!("`{variable}` names no image of this repository"))),
        }
    }

    pub(super) fn named_outright(&self, text: &str) -> Option<usize> {
        let own = self.strip_registry(text)?;
        self.by_moving_tag().get(own).copied()
    }
}

fn moving(layout: Layout, name: &ImageName, tag: &str) -> String {
    match layout {
        Layout::Single => format!(":{name}-{tag}"),
        Layout::PerImage => format!("/{}:{tag}", name.as_str().to_lowercase()),
    }
}
