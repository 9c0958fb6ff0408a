//! How a repository of images is written down: configurations in any of the ways to write them, Dockerfiles, ignore files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::files::{File, Files};
use super::random::Random;
use super::world::{From, Image, Line, REGISTRY, Root, Stage, Target, World};

/// Of the platforms that are built for.
pub(super) const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "arm"];

impl World {
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
        if !image.targets.is_empty() {
            fields.push(targets(&mut random, &image.targets));
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
        let mut args = image.args.clone();
        args.extend(self.bases(image).filter_map(|(name, on, of_config)| of_config.then(|| (name, self.outright(on)))));
        for (name, pairs) in [("build_args", &args), ("labels", &image.labels)] {
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

    /// Arguments that hold a base: their names, the images, and whether the configuration says it.
    fn bases(&self, image: &Image) -> impl Iterator<Item = (String, u32, bool)> {
        image.stages.iter().filter_map(|stage| match stage.from {
            From::Argument { on, of_config } => Some((argument(stage), on, of_config)),
            _ => None,
        })
    }

    fn dockerfile(&self, image: &Image) -> String {
        let mut text = String::new();
        if !image.dockerfile_style.is_multiple_of(5) {
            let _ = writeln!(text, "# style {}", image.dockerfile_style);
        }
        let through_variable = |stage: &Stage| match stage.from {
            From::Image(on) | From::ForOne { on, .. } => Some(self.images[&on].variable()),
            _ => None,
        };
        let variables: BTreeSet<String> = image.stages.iter().filter_map(through_variable).collect();
        if !variables.is_empty() {
            text.push_str("ARG ECR_REGISTRY\n");
        }
        for name in &variables {
            let _ = writeln!(text, "ARG {name}");
        }
        for (name, on, of_config) in self.bases(image) {
            let default = if of_config { "scratch".to_owned() } else { self.outright(on) };
            let _ = writeln!(text, "ARG {name}={default}");
        }
        for stage in &image.stages {
            let _ = writeln!(text, "{}FROM {} AS {}", self.before(stage), self.from(stage), stage.name);
            for (at, line) in stage.lines.iter().enumerate() {
                let _ = match line {
                    Line::Text(line) => writeln!(text, "{line}"),
                    Line::CopyFrom(on) => writeln!(text, "COPY --from={} /f /from{at}/", self.outright(*on)),
                };
            }
        }
        text
    }

    /// Stages that a stage chooses its base from.
    fn before(&self, stage: &Stage) -> String {
        let From::ForOne { on, architecture } = stage.from else { return String::new() };
        let other = |name: &str| format!("FROM scratch AS {}-{name}\n", stage.name);
        let others: String =
            ARCHITECTURES.iter().filter(|name| **name != architecture).map(|name| other(name)).collect();
        format!("FROM {} AS {}-{architecture}\n{others}", self.through_variable(on), stage.name)
    }

    fn from(&self, stage: &Stage) -> String {
        match &stage.from {
            From::Scratch => "scratch".to_owned(),
            From::Other(name) => (*name).to_owned(),
            From::Stage(name) => name.clone(),
            From::Image(on) => self.through_variable(*on),
            From::Outright(on) => self.outright(*on),
            From::Argument { .. } => format!("${{{}}}", argument(stage)),
            From::ForOne { .. } => format!("{}-${{TARGETARCH}}", stage.name),
        }
    }

    fn through_variable(&self, on: u32) -> String {
        let image = &self.images[&on];
        if self.root.per_image {
            format!("${{ECR_REGISTRY}}/{}:${{{}}}", image.referred().to_lowercase(), image.variable())
        } else {
            format!("${{ECR_REGISTRY}}:${{{}}}", image.variable())
        }
    }

    fn outright(&self, on: u32) -> String {
        let name = self.images[&on].referred();
        if self.root.per_image {
            format!("{REGISTRY}/{}:latest", name.to_lowercase())
        } else {
            format!("{REGISTRY}:{name}-latest")
        }
    }
}

/// The argument that holds the base of a stage.
fn argument(stage: &Stage) -> String {
    format!("BASE_OF_{}", stage.name.to_uppercase())
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

fn targets(random: &mut Random, targets: &[Target]) -> String {
    let line = |target: &Target| match &target.name {
        Some(name) => format!("  - target: {}\n    name: {}\n", scalar(random, &target.stage), scalar(random, name)),
        None => format!("  - {}\n", scalar(random, &target.stage)),
    };
    let lines: String = targets.iter().map(line).collect();
    format!("targets:\n{lines}")
}
