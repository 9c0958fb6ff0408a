//! One pipeline of a sequence: what starts it, how it goes, and its stages, which are the real binary with a real builder
//! and a real registry.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use hephy::commands::build::RegistryView as _;
use hephy::oci::Digest;
use serde_json::Value;

use super::oracle::Seen;
use super::random::Random;
use crate::cli::{HEAD, Outcome, Project, manifest};
use crate::support::builders::{PlainView, buildkit, tool};

/// What started a pipeline, and what it was asked for.
#[derive(Clone, Debug)]
pub(super) enum Start {
    Push,
    GitTag,
    Schedule,
    /// `--dir` for each of these; with `--force`, what is published counts for nothing.
    Named {
        names: BTreeSet<String>,
        force: bool,
    },
}

/// How a pipeline goes.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Good,
    /// It ends before anything is built.
    CancelledBeforeBuild,
    /// Everything is built and nothing published.
    CancelledBeforeManifest,
    /// Only these images are built, and what can be is published.
    HalfBuilt(BTreeSet<String>),
    /// The builder fails for one image, on one platform or on all.
    Fails {
        name: String,
        arch: Option<String>,
        then: Then,
    },
}

/// What is done about a failed build.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Nothing,
    /// The same jobs run again, and nothing fails.
    Retried,
    /// `--allow-partial`.
    Partial,
}

/// What is planned: names with the waves and architectures of each.
pub(super) struct Planned {
    pub(super) names: BTreeSet<String>,
    arches: BTreeSet<String>,
    in_order: Vec<String>,
}

/// What is published of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) digest: Digest,
    pub(super) revision: String,
    /// Its images by platform.
    pub(super) children: BTreeMap<String, Digest>,
}

/// By the image's name.
pub(super) type Heads = BTreeMap<String, Head>;

impl Start {
    pub(super) fn random(random: &mut Random, now: &Seen) -> Self {
        match random.below(10) {
            0..=4 => Self::Push,
            5 => Self::GitTag,
            6 => Self::Schedule,
            _ => {
                let mut names: BTreeSet<String> = now.images.keys().filter(|_| random.chance(50)).cloned().collect();
                names.extend(random.one_of(now.images.keys().cloned()));
                Self::Named { names, force: random.chance(25) }
            }
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::GitTag => "git tag",
            Self::Schedule => "schedule",
            Self::Named { force: false, .. } => "--dir",
            Self::Named { force: true, .. } => "--dir --force",
        }
    }
}

impl Fate {
    pub(super) fn random(random: &mut Random, planned: &Planned) -> Self {
        let Some(name) = random.one_of(planned.names.iter().cloned()) else { return Self::Good };
        match random.below(9) {
            0 => Self::CancelledBeforeBuild,
            1 => Self::CancelledBeforeManifest,
            2 => Self::HalfBuilt(planned.names.iter().filter(|_| random.chance(50)).cloned().collect()),
            3..=5 => Self::Fails {
                name,
                arch: random.one_of(planned.arches.iter().cloned()).filter(|_| random.chance(60)),
                then: [Then::Nothing, Then::Retried, Then::Partial][random.below(3)],
            },
            _ => Self::Good,
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::CancelledBeforeBuild => "cancelled before the build",
            Self::CancelledBeforeManifest => "cancelled before the manifest",
            Self::HalfBuilt(_) => "half built",
            Self::Fails { then: Then::Nothing, .. } => "failed for an image",
            Self::Fails { then: Then::Retried, .. } => "failed and tried again",
            Self::Fails { then: Then::Partial, .. } => "failed and published in part",
        }
    }
}

impl Planned {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let plan = outcome.json();
        let images = plan["images"].as_array().unwrap();
        let mut order: Vec<(u64, String)> =
            images.iter().map(|it| (it["wave"].as_u64().unwrap(), it["name"].as_str().unwrap().to_owned())).collect();
        order.sort();
        let platforms = images.iter().flat_map(|image| image["platforms"].as_array().unwrap());
        let in_order: Vec<String> = order.into_iter().map(|(_, name)| name).collect();
        Self {
            names: in_order.iter().cloned().collect(),
            arches: platforms.map(|platform| arch_of(platform.as_str().unwrap())).collect(),
            in_order,
        }
    }
}

/// As jobs call a platform: `linux/arm/v7` is `armv7`.
fn arch_of(platform: &str) -> String {
    platform.trim_start_matches("linux/").replace('/', "")
}

/// Where the pipelines of a sequence run.
pub(super) struct Runner {
    pub(super) project: Project,
    builders: tempfile::TempDir,
    buildah: bool,
    per_image: bool,
}

/// The pipeline of the commit that is checked out.
pub(super) struct Pipeline<'a> {
    pub(super) runner: &'a Runner,
    pub(super) start: &'a Start,
    /// The commit before, as the event says.
    pub(super) before: &'a str,
}

impl Runner {
    pub(super) fn new(project: Project, buildah: bool, per_image: bool) -> Self {
        let runner = Self { project, builders: tempfile::tempdir().unwrap(), buildah, per_image };
        runner.write_builder();
        runner
    }

    /// The builder, which fails for the image that a variable names.
    fn write_builder(&self) {
        let name = if self.buildah { "buildah" } else { "buildctl" };
        let path = self.builders.path().join(name);
        let text = format!(
            "#!/bin/sh\nif [ \"${{FAIL_FOR-}}\" ]; then for word; do case $word in *:\"$FAIL_FOR\"-* | */\"$FAIL_FOR\":*) exit 1 ;; esac; done; fi\n\
             exec {} \"$@\"\n",
            tool(name).display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What is published of each image, read without hephy's client.
    pub(super) fn heads(&self, now: &Seen) -> Heads {
        now.images.keys().filter_map(|name| Some((name.clone(), self.head(name)?))).collect()
    }

    fn head(&self, name: &str) -> Option<Head> {
        let (repository, prefix) = self.place(name);
        let (digest, index) = manifest(&repository, &format!("{prefix}head"))?;
        let revision = index["annotations"]["org.opencontainers.image.revision"].as_str();
        let children = index["manifests"].as_array().unwrap().iter().map(|child| {
            let part = |name: &str| child["platform"][name].as_str().unwrap_or_default().to_owned();
            let platform = match (part("architecture"), part("variant")) {
                (arch, variant) if arch == "arm" => format!("linux/{arch}/{variant}"),
                (arch, _) => format!("linux/{arch}"),
            };
            (platform, Digest::parse(child["digest"].as_str().unwrap()).unwrap())
        });
        let children = children.filter(|(platform, _)| platform != "linux/unknown").collect();
        Some(Head { digest, revision: revision.expect("an index without a revision").to_owned(), children })
    }

    /// The repository of an image, and what its tags begin with.
    fn place(&self, name: &str) -> (String, String) {
        let registry = self.project.registry();
        if self.per_image {
            (format!("{registry}/{}", name.to_lowercase()), String::new())
        } else {
            (registry, format!("{name}-"))
        }
    }

    /// What the layers of one platform's image hold, bottom first: compression tells none apart.
    pub(super) fn layers(&self, name: &str, child: &Digest) -> Vec<Value> {
        let (repository, _) = self.place(name);
        let (_, image) = manifest(&repository, child.as_ref()).unwrap();
        let config = Digest::parse(image["config"]["digest"].as_str().unwrap()).unwrap();
        let config: Value = serde_json::from_slice(&PlainView.blob(&repository, &config, 1 << 20).unwrap()).unwrap();
        config["rootfs"]["diff_ids"].as_array().unwrap().clone()
    }
}

impl Pipeline<'_> {
    /// One stage, in which the builder may fail for an image.
    pub(super) fn stage(&self, args: &[&str], fails_for: Option<&str>) -> Outcome {
        let Runner { project, builders, buildah, per_image } = self.runner;
        let args = [&["--format=json"], args].concat();
        let head = project.repo.head();
        let hephy = match self.start {
            Start::Push | Start::Named { .. } => project.push(self.before, args),
            Start::GitTag => project.ci("gitlab-tag", &[(HEAD, &head)], args),
            Start::Schedule => project.ci("gitlab-schedule", &[(HEAD, &head)], args),
        };
        let hephy = match buildah {
            true => hephy.env("HEPHY_BACKEND", "buildah"),
            false => hephy.env("HEPHY_BACKEND", "buildkit").env("BUILDKIT_HOST", buildkit()),
        };
        let path = format!("{}:{}", builders.path().display(), std::env::var("PATH").unwrap());
        let name = fails_for.unwrap_or_default();
        let name = if *per_image { name.to_lowercase() } else { name.to_owned() };
        let hephy = hephy.env("PATH", path).env("HEPHY_REGISTRY", project.registry());
        hephy.env("HEPHY_RETRIES", "0").env("FAIL_FOR", name).run()
    }

    /// What follows prepare; whether everything that is planned must be published now.
    pub(super) fn finish(&self, fate: &Fate, planned: &Planned, told: &str) -> bool {
        let (failed, partial) = match fate {
            Fate::CancelledBeforeBuild => return false,
            Fate::Good | Fate::CancelledBeforeManifest => (self.build(planned, None, told), false),
            Fate::HalfBuilt(names) => (self.build_half(planned, names), false),
            Fate::Fails { name, arch, then } => {
                let failed = self.build(planned, Some((name, arch.as_deref())), told);
                (failed, matches!(then, Then::Partial))
            }
        };
        if matches!(fate, Fate::CancelledBeforeManifest) {
            return false;
        }
        let made = self.stage(if partial { &["manifest", "--allow-partial"] } else { &["manifest"] }, None);
        assert!(partial || (made.code != 0) == failed, "{told}\n{made}");
        if matches!(fate, Fate::Fails { then: Then::Retried, .. }) {
            let failed = self.build(planned, None, told);
            let made = self.stage(&["manifest"], None);
            assert_eq!(made.code != 0, failed, "{told}\n{made}");
            return !failed;
        }
        !failed
    }

    /// Whether a build fails: the one that is named, or one that some edit really broke.
    fn build(&self, planned: &Planned, fails: Option<(&str, Option<&str>)>, told: &str) -> bool {
        let mut failed = false;
        for arch in &planned.arches {
            let fails_here = fails.filter(|(_, only)| only.is_none_or(|only| only == arch)).map(|(name, _)| name);
            failed |= self.stage(&["build", "--arch", arch], fails_here).code != 0;
        }
        let must = fails.is_some_and(|(_, arch)| arch.is_none());
        assert!(failed || !must, "{told}\na build that cannot succeed did");
        failed
    }

    /// Only some, each in a job of its own; whether something of the plan is not built.
    fn build_half(&self, planned: &Planned, names: &BTreeSet<String>) -> bool {
        let mut failed = *names != planned.names;
        for name in planned.in_order.iter().filter(|name| names.contains(*name)) {
            for arch in &planned.arches {
                failed |= self.stage(&["build", "--arch", arch, "--image", name], None).code != 0;
            }
        }
        failed
    }
}
