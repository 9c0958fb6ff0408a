//! A repository of images, before it is written down: what an edit can mean something for.
//!
//! Images refer to each other by number, and only to smaller ones, so that no edit makes a circle and a directory
//! that moves takes the references along.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::files::{File, Files};
use super::random::Random;

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
}

#[derive(Clone, Debug)]
pub(super) enum Line {
    Text(String),
    /// `COPY --from=` an image, outright.
    CopyFrom(u32),
}

impl Image {
    pub(super) fn name(&self) -> String {
        self.dir.replace('/', "-")
    }

    pub(super) fn variable(&self) -> String {
        self.name().to_uppercase().replace('-', "_") + "_TAG"
    }

    /// The directory that its paths are relative to, with a slash at the end where it is not the root.
    pub(super) fn root(&self) -> String {
        if self.of_repository { String::new() } else { format!("{}/", self.dir) }
    }

    /// The same for the build context.
    pub(super) fn context_root(&self) -> String {
        if self.context == "." { self.root() } else { format!("{}{}/", self.root(), self.context) }
    }

    fn excluded_path(&self, excluded: &Excluded) -> String {
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

    /// Takes an image away, and every reference to it.
    pub(super) fn remove(&mut self, id: u32) {
        self.images.remove(&id);
        for image in self.images.values_mut() {
            image.depends_on.retain(|on| *on != id);
            for stage in &mut image.stages {
                if matches!(stage.from, From::Image(on) | From::Outright(on) if on == id) {
                    stage.from = From::Scratch;
                }
                stage.lines.retain(|line| !matches!(line, Line::CopyFrom(on) if *on == id));
            }
        }
    }

    /// All files of the commit.
    pub(super) fn written(&self) -> Files {
        let mut files = self.files.clone();
        let mut put = |path: String, text: String| {
            files.insert(path.into_bytes(), File::Plain(text.into_bytes()));
        };
        if let Some(text) = self.root.text() {
            put("hephy.yaml".to_owned(), text);
        }
        for image in self.images.values() {
            put(format!("{}/build-config.yaml", image.dir), self.config(image));
            put(format!("{}{}", image.root(), image.dockerfile), self.dockerfile(image));
            if let Some(excluded) = &image.excluded {
                put(image.excluded_path(excluded), excluded.lines.join("\n") + "\n");
            }
        }
        files
    }

    fn config(&self, image: &Image) -> String {
        let mut random = Random::new(image.style);
        let mut fields: Vec<String> = vec!["use_local_context: true\n".to_owned()];
        let mut text = |name: &str, value: &str| fields.push(format!("{name}: {}\n", scalar(&mut random, value)));
        if image.of_repository {
            text("context_from", "repository");
        }
        if image.context != "." {
            text("context_path", &image.context);
        }
        if image.dockerfile != "Dockerfile" {
            text("dockerfile_path", &image.dockerfile);
        }
        if let Some(target) = &image.target {
            text("target", target);
        }
        fields.extend(image.retries.map(|retries| format!("retries: {retries}\n")));
        let dirs: Vec<&str> = image.depends_on.iter().map(|on| self.images[on].dir.as_str()).collect();
        let lists = [
            ("platforms", image.platforms.clone()),
            ("additional_tags", image.tags.iter().map(String::as_str).collect()),
            ("watch", image.watch.iter().map(String::as_str).collect()),
            ("ignore", image.ignore.iter().map(String::as_str).collect()),
            ("depends_on", dirs),
        ];
        for (name, mut entries) in lists.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            random.shuffle(&mut entries);
            fields.push(list(&mut random, name, &entries));
        }
        for (name, pairs) in [("build_args", &image.args), ("labels", &image.labels)] {
            if !pairs.is_empty() {
                let mut pairs: Vec<&(String, String)> = pairs.iter().collect();
                random.shuffle(&mut pairs);
                fields.push(mapping(&mut random, name, &pairs));
            }
        }
        random.shuffle(&mut fields);
        if random.chance(20) {
            fields.insert(0, format!("# {}\n", random.next()));
        }
        fields.concat()
    }

    fn dockerfile(&self, image: &Image) -> String {
        let mut text = String::new();
        if !image.dockerfile_style.is_multiple_of(5) {
            let _ = writeln!(text, "# style {}", image.dockerfile_style);
        }
        let mut variables: Vec<String> = Vec::new();
        for stage in &image.stages {
            if let From::Image(on) = stage.from {
                variables.push(self.images[&on].variable());
            }
        }
        variables.sort();
        variables.dedup();
        if !variables.is_empty() {
            text.push_str("ARG ECR_REGISTRY\n");
        }
        for name in &variables {
            let _ = writeln!(text, "ARG {name}");
        }
        let outright = |on: &u32| {
            let name = self.images[on].name();
            let repository = name.to_lowercase();
            if self.root.per_image {
                format!("{REGISTRY}/{repository}:latest")
            } else {
                format!("{REGISTRY}:{name}-latest")
            }
        };
        for stage in &image.stages {
            let from = match &stage.from {
                From::Scratch => "scratch".to_owned(),
                From::Other(name) => (*name).to_owned(),
                From::Stage(name) => name.clone(),
                From::Image(on) if self.root.per_image => {
                    let image = &self.images[on];
                    format!("${{ECR_REGISTRY}}/{}:${{{}}}", image.name().to_lowercase(), image.variable())
                }
                From::Image(on) => format!("${{ECR_REGISTRY}}:${{{}}}", self.images[on].variable()),
                From::Outright(on) => outright(on),
            };
            let _ = writeln!(text, "FROM {from} AS {}", stage.name);
            for (at, line) in stage.lines.iter().enumerate() {
                let _ = match line {
                    Line::Text(line) => writeln!(text, "{line}"),
                    Line::CopyFrom(on) => writeln!(text, "COPY --from={} /f /from{at}/", outright(on)),
                };
            }
        }
        text
    }
}

impl Root {
    fn text(&self) -> Option<String> {
        let mut random = Random::new(self.style);
        let mut fields = Vec::new();
        if self.registry {
            fields.push(format!("registry: {}\n", scalar(&mut random, REGISTRY)));
        }
        if self.per_image {
            fields.push("layout: per-image\n".to_owned());
        }
        if !self.platforms.is_empty() {
            fields.push(list(&mut random, "platforms", &self.platforms));
        }
        if !self.ignore.is_empty() {
            let entries: Vec<&str> = self.ignore.iter().map(String::as_str).collect();
            fields.push(list(&mut random, "ignore", &entries));
        }
        random.shuffle(&mut fields);
        (!fields.is_empty()).then(|| fields.concat())
    }
}

/// A scalar in any of the ways to write it.
fn scalar(random: &mut Random, value: &str) -> String {
    match random.below(3) {
        0 if value.chars().all(|char| char.is_ascii_alphanumeric() || "-_./".contains(char)) && !value.is_empty() => {
            value.to_owned()
        }
        1 => format!("'{}'", value.replace('\'', "''")),
        _ => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn list(random: &mut Random, name: &str, entries: &[&str]) -> String {
    if random.chance(30) {
        let entries: Vec<String> = entries.iter().map(|entry| scalar(random, entry)).collect();
        return format!("{name}: [{}]\n", entries.join(", "));
    }
    let lines: Vec<String> = entries.iter().map(|entry| format!("  - {}\n", scalar(random, entry))).collect();
    format!("{name}:\n{}", lines.concat())
}

fn mapping(random: &mut Random, name: &str, pairs: &[&(String, String)]) -> String {
    let line = |random: &mut Random, (key, value): &(String, String)| {
        if random.chance(30) {
            format!("  {key}: {} # {}\n", scalar(random, value), random.below(9))
        } else {
            format!("  {key}: {}\n", scalar(random, value))
        }
    };
    let lines: Vec<String> = pairs.iter().map(|pair| line(random, pair)).collect();
    format!("{name}:\n{}", lines.concat())
}
