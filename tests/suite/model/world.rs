//! A repository of images, before it is written down: what an edit can mean something for.
//!
//! Images refer to each other by number, and only to smaller ones, so that no edit makes a circle and a directory
//! that moves takes the references along.

use std::collections::BTreeMap;

use super::files::Files;

/// The registry in `hephy.yaml`; never reached.
pub(super) const REGISTRY: &str = "registry.invalid/images";

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) images: BTreeMap<u32, Image>,
    /// Everything that is not written from `images` and `root`.
    pub(super) files: Files,
    pub(super) root: Root,
    pub(super) next: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Root {
    pub(super) registry: bool,
    pub(super) per_image: bool,
    pub(super) platforms: Vec<&'static str>,
    pub(super) ignore: Vec<String>,
    pub(super) style: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) dir: String,
    pub(super) of_repository: bool,
    pub(super) context: String,
    /// Relative to the source root.
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    /// Several images of one source; never beside `target`.
    pub(super) targets: Vec<Target>,
    pub(super) args: Vec<(String, String)>,
    pub(super) platforms: Vec<&'static str>,
    pub(super) tags: Vec<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) watch: Vec<String>,
    pub(super) ignore: Vec<String>,
    pub(super) depends_on: Vec<u32>,
    pub(super) retries: Option<u32>,
    pub(super) stages: Vec<Stage>,
    pub(super) excluded: Option<Excluded>,
    /// How the files are written, where it means nothing.
    pub(super) style: u64,
    pub(super) dockerfile_style: u64,
}

/// One of several images of a directory.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) stage: String,
    /// Where it is not the stage.
    pub(super) name: Option<String>,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.stage)
    }
}

/// A `.dockerignore`.
#[derive(Clone, Debug)]
pub(super) struct Excluded {
    /// `<Dockerfile>.dockerignore` instead of the context's.
    pub(super) beside: bool,
    pub(super) lines: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) from: From,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(super) enum From {
    Scratch,
    Other(&'static str),
    Stage(String),
    /// Through its variable.
    Image(u32),
    /// By a tag that moves; only where the registry is known.
    Outright(u32),
    /// The same through an argument with another name: its default, or `build_args`.
    Argument {
        on: u32,
        of_config: bool,
    },
    /// An image for one architecture, and nothing for the others.
    ForOne {
        on: u32,
        architecture: &'static str,
    },
}

impl From {
    /// The image that it is.
    pub(super) const fn image(&self) -> Option<u32> {
        match self {
            Self::Image(on) | Self::Outright(on) | Self::Argument { on, .. } | Self::ForOne { on, .. } => Some(*on),
            Self::Scratch | Self::Other(_) | Self::Stage(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Line {
    Text(String),
    /// `COPY --from=` an image, outright.
    CopyFrom(u32),
}

impl Image {
    /// What the names of its images begin with.
    pub(super) fn name(&self) -> String {
        self.dir.replace('/', "-")
    }

    /// The images that it is, by name, with the stage of each.
    pub(super) fn built(&self) -> Vec<(String, Option<&str>)> {
        if self.targets.is_empty() {
            return vec![(self.name(), self.target.as_deref())];
        }
        let one = |target: &Target| format!("{}-{}", self.name(), target.name());
        self.targets.iter().map(|target| (one(target), Some(target.stage.as_str()))).collect()
    }

    /// The image that others mean by it.
    pub(super) fn referred(&self) -> String {
        self.built().swap_remove(0).0
    }

    /// The images that it is built on, repeatedly.
    fn bases(&self) -> Vec<u32> {
        let outright = |line: &Line| if let Line::CopyFrom(on) = line { Some(*on) } else { None };
        let of_stage =
            |stage: &Stage| stage.from.image().into_iter().chain(stage.lines.iter().filter_map(outright)).collect();
        let of_stages = self.stages.iter().flat_map::<Vec<u32>, _>(of_stage);
        of_stages.chain(self.depends_on.iter().copied()).collect()
    }

    pub(super) fn variable(&self) -> String {
        self.referred().to_uppercase().replace('-', "_") + "_TAG"
    }

    /// The directory that its paths are relative to, with a slash at the end where it is not the root.
    pub(super) fn root(&self) -> String {
        if self.of_repository { String::new() } else { format!("{}/", self.dir) }
    }

    /// The same for the build context.
    pub(super) fn context_root(&self) -> String {
        if self.context == "." { self.root() } else { format!("{}{}/", self.root(), self.context) }
    }

    pub(super) fn excluded_path(&self, excluded: &Excluded) -> String {
        if excluded.beside {
            format!("{}{}.dockerignore", self.root(), self.dockerfile)
        } else {
            format!("{}.dockerignore", self.context_root())
        }
    }
}

impl World {
    /// Whether a directory may become an image: its name and variable are not taken.
    pub(super) fn is_free_dir(&self, dir: &str) -> bool {
        let name = dir.replace('/', "-");
        self.images.values().all(|image| image.name() != name)
    }

    /// Lets every image be built for each platform of those that are built on it.
    pub(super) fn cover_platforms(&mut self) {
        let ids: Vec<u32> = self.images.keys().copied().rev().collect();
        for id in ids {
            let wanted = self.platforms(id);
            for on in self.images[&id].bases() {
                let mut platforms = self.platforms(on);
                let lacking: Vec<_> = wanted.iter().filter(|it| !platforms.contains(it)).copied().collect();
                if !lacking.is_empty() {
                    platforms.extend(lacking);
                    self.images.entry(on).and_modify(|image| image.platforms = platforms);
                }
            }
        }
    }

    /// What an image is built for.
    pub(super) fn platforms(&self, id: u32) -> Vec<&'static str> {
        let own = &self.images[&id].platforms;
        let chosen = if own.is_empty() { &self.root.platforms } else { own };
        if chosen.is_empty() { vec!["linux/amd64"] } else { chosen.clone() }
    }

    /// Takes an image away, and every reference to it.
    pub(super) fn remove(&mut self, id: u32) {
        self.images.remove(&id);
        for image in self.images.values_mut() {
            image.depends_on.retain(|on| *on != id);
            for stage in &mut image.stages {
                if stage.from.image() == Some(id) {
                    stage.from = From::Scratch;
                }
                stage.lines.retain(|line| !matches!(line, Line::CopyFrom(on) if *on == id));
            }
        }
    }
}
