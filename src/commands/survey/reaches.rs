//! What of its build context reaches each image: its Dockerfile's own instructions, and what the images that it is built
//! on run in it (`ONBUILD`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Image, Other, Rules, Survey, crew};
use crate::change::{Oid, Reach, Tree, UNSEEN};
use crate::dockerfile::{ContextRead, Dockerfile};
use crate::git::Objects;
use crate::plan::DependencyVia;
use crate::plan::graph::{Edge, Uses};

/// Everything that is known of the images of one tree.
pub(super) struct Found<'a> {
    pub(super) tree: &'a Tree,
    pub(super) rules: &'a Rules<'a>,
    pub(super) images: &'a [Arc<Image>],
    pub(super) uses: &'a [Arc<Uses>],
}

impl Found<'_> {
    /// What reaches each image. What is the same on the other side is taken from there; `same` gives the twin of an
    /// image that refers to the same images by the same indexes.
    pub(super) fn reaches(
        &self,
        objects: &mut Objects<'_>,
        other: Option<&Other<'_>>,
        same: &dyn Fn(usize) -> Option<usize>,
    ) -> Vec<Arc<Reach>> {
        let known = |index: usize| other.and_then(|other| self.known(other.survey, index, same(index)?));
        let mut reaches: Vec<Option<Arc<Reach>>> = (0..self.images.len()).map(known).collect();
        let open: Vec<usize> = (0..self.images.len()).filter(|index| reaches[*index].is_none()).collect();
        let found = crew::map(&open, |index| {
            let mut has_links = false;
            let reach = self.reach(*index, &mut |_| {
                has_links = true;
                None
            });
            (!has_links).then_some(reach)
        });
        for (index, reach) in open.into_iter().zip(found) {
            let reach = reach.unwrap_or_else(|| self.reach(index, &mut |oid| objects.read_link(oid)));
            reaches[index] = Some(Arc::new(reach));
        }
        reaches.into_iter().flatten().collect()
    }

    fn reach(&self, index: usize, read_link: &mut dyn FnMut(Oid) -> Option<Vec<u8>>) -> Reach {
        let image = &self.images[index];
        let backend = image.backend(self.rules);
        match &image.located {
            Some(located) if backend.reads_dockerfile() => {
                Reach::find(self.tree, located, backend, &image.ignoring, self.reads(index), read_link)
            }
            _ => Reach::default(),
        }
    }

    fn known(&self, other: &Survey, index: usize, twin: usize) -> Option<Arc<Reach>> {
        // Their Dockerfiles may hold triggers.
        let same = |edge: &Edge| {
            let images = self.images.get(edge.to).zip(other.images.get(edge.to));
            images.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
        };
        let uses = self.uses.get(index)?;
        uses.edges.iter().all(same).then(|| other.reaches.get(twin).map(Arc::clone)).flatten()
    }

    /// Everything that reads the build context of an image.
    fn reads(&self, index: usize) -> Vec<&ContextRead> {
        let (image, uses) = (&self.images[index], &self.uses[index]);
        let Some((_, dockerfile)) = &image.dockerfile else { return UNSEEN.iter().collect() };
        let stages = self.stages(image, dockerfile, uses);
        let fires = |stage: usize| {
            let name = dockerfile.stages[stage].name.as_deref();
            let names = |other: &&usize| {
                let text = &dockerfile.stages[**other].from.text;
                text.contains(['$', '"', '\'', dockerfile.escape]) || name == Some(text.to_lowercase().as_str())
            };
            name.is_some() && stages.range(stage + 1..).any(|other| names(&other))
        };
        let mut reads = Vec::new();
        for index in &stages {
            let stage = &dockerfile.stages[*index];
            reads.extend(&stage.reads);
            if !stage.trigger_reads.is_empty() && fires(*index) {
                reads.extend(&stage.trigger_reads);
            }
        }
        for edge in uses.edges.iter().filter(|edge| is_base(edge, dockerfile)) {
            match self.images.get(edge.to).and_then(|base| Some((base, base.dockerfile.as_ref()?))) {
                Some((base, (_, dockerfile))) => {
                    let target = base.config().and_then(|config| config.target.as_deref());
                    let last = dockerfile.stages.len().saturating_sub(1);
                    let stage = target.map_or(Some(last), |target| dockerfile.stage_index(target));
                    reads.extend(stage.iter().flat_map(|stage| &dockerfile.stages[*stage].trigger_reads));
                }
                None => reads.extend(&UNSEEN),
            }
        }
        // Nobody sees the triggers of an image from elsewhere; some say in their name that they have some.
        if uses.bases.iter().any(|base| base.reference.contains("onbuild")) {
            reads.extend(&UNSEEN);
        }
        reads
    }

    /// Stages that may be built: all where an argument may name one whose value is known later.
    fn stages(&self, image: &Image, dockerfile: &Dockerfile, uses: &Uses) -> BTreeSet<usize> {
        let args = image.config().into_iter().flat_map(|config| &config.build_args);
        let later: Vec<&str> = args.filter(|arg| arg.value.contains("${")).map(|arg| arg.name.as_str()).collect();
        let is_known = uses.problems.is_empty() && !dockerfile.declared_args().any(|name| later.contains(&name));
        if is_known && !uses.stages.is_empty() { uses.stages.clone() } else { (0..dockerfile.stages.len()).collect() }
    }
}

/// Whether an edge is a `FROM`: only then are the triggers run.
fn is_base(edge: &Edge, dockerfile: &Dockerfile) -> bool {
    match &edge.via {
        DependencyVia::Variable { line, .. } | DependencyVia::Reference { line, .. } => {
            dockerfile.stages.iter().any(|stage| stage.from.span.line == *line)
        }
        DependencyVia::DependsOn => false,
    }
}
