//! `build-config.yaml` → [`ImageConfig`]: the rules that join several fields, and the defaults (specification §3).

use std::collections::BTreeMap;

use super::file::{self, File};
use super::node::{Entry, NodeKind};
use super::{
    BackendName, BuildArg, ContextFrom, ImageConfig, KoConfig, Parsed, RootConfig, Source, VersionFrom, cache, fields,
    rules, secrets, spin, targets,
};
use crate::oci::Platform;

/// Parses one `build-config.yaml`. `file` is its path relative to the repository's root, `defaults` the repository's
/// `hephy.yaml`.
#[must_use]
pub fn parse_image(file: &str, bytes: &[u8], defaults: &RootConfig) -> Parsed<ImageConfig> {
    match file::open(file, bytes, fields::IMAGE, defaults.transports.names()) {
        Ok(file) => read(file, defaults),
        Err(findings) => Parsed::refused(findings),
    }
}

fn read(mut file: File<'_>, defaults: &RootConfig) -> Parsed<ImageConfig> {
    let backend = file.text("build_backend", |word| Ok(BackendName::of_word(word)));
    let backend = if file.has("build_backend") { backend.flatten() } else { defaults.backend };
    let manual_images = manual_images(&mut file);
    let platforms = platforms(&mut file, defaults, manual_images.as_ref());
    if !file.partial {
        source_rules(&mut file, backend);
        builder_rules(&mut file, backend);
        version_rules(&mut file);
    }
    let build_args = build_args(&mut file);
    let secrets = secrets::secrets(&mut file, &defaults.secrets);
    let config = ImageConfig {
        source: source(&file, defaults),
        dockerfile_path: file.text("dockerfile_path", rules::file).unwrap_or_else(|| "Dockerfile".to_owned()),
        context_path: file.text("context_path", rules::directory).unwrap_or_else(|| ".".to_owned()),
        target: file.text("target", rules::stage).flatten(),
        targets: targets::read(&mut file, backend),
        build_args,
        platforms,
        additional_tags: each_once(&mut file, "additional_tags", rules::additional_tag),
        build_backend: backend,
        ko_config: ko_config(&file),
        spin_config: spin::spin_config(&file),
        manual_images: manual_images.filter(|_| file.flag("manual_build") == Some(true)),
        depends_on: each_once(&mut file, "depends_on", rules::directory),
        watch: each_once(&mut file, "watch", rules::glob),
        ignore: [defaults.ignore.clone(), each_once(&mut file, "ignore", rules::glob)].concat(),
        tag_template: file.text("tag_template", rules::tag_template),
        version_from: version_from(&file),
        labels: labels(&file, "labels"),
        annotations: labels(&file, "annotations"),
        cache: cache::of_image(&file, &defaults.cache),
        secrets,
        lint: defaults.lint.iter().map(|(rule, level)| (*rule, *level)).chain(file.lint()).collect(),
        keep_git: file.flag("keep_git").unwrap_or_default(),
        submodules: file.flag("submodules").unwrap_or_default(),
        timeout: file.text("timeout", rules::duration),
        retries: file.text("retries", |text| rules::number(text, fields::MAX_RETRIES)),
    };
    file.finish(config)
}

/// A list without repetitions. The places move along, so that `name[1]` stays the place of the list's second entry.
fn each_once(file: &mut File<'_>, name: &str, rule: impl Fn(&str) -> rules::Checked<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for (index, entry) in file.list(name, rule).into_iter().enumerate() {
        let place = file.shape.spans.0.remove(&format!("{name}[{index}]"));
        if !kept.contains(&entry) {
            file.shape.spans.0.extend(place.map(|place| (format!("{name}[{}]", kept.len()), place)));
            kept.push(entry);
        }
    }
    kept
}

fn source(file: &File<'_>, defaults: &RootConfig) -> Source {
    let repository = file.text("upstream_repo", |text| rules::repository(text, defaults.transports.names()));
    match (repository, file.text("upstream_ref", rules::git_ref)) {
        (Some(repository), Some(reference)) => Source::Remote { repository, reference },
        _ => Source::Local {
            from: match file.text("context_from", |text| Ok(text == "repository")) {
                Some(true) => ContextFrom::Repository,
                _ => ContextFrom::Directory,
            },
        },
    }
}

/// Where the source comes from: exactly one place.
fn source_rules(file: &mut File<'_>, backend: Option<BackendName>) {
    let local = file.flag("use_local_context") == Some(true);
    let (repository, reference) = (file.has("upstream_repo"), file.has("upstream_ref"));
    match (repository, reference) {
        (true, false) => {
            let key = file.key("upstream_repo");
            file.error(key, "`upstream_repo` without `upstream_ref`", "name the branch, tag or commit as well");
        }
        (false, true) => {
            let key = file.key("upstream_ref");
            file.error(key, "`upstream_ref` without `upstream_repo`", "name the repository as well");
        }
        _ => {}
    }
    let remote = repository || reference;
    if remote && local {
        let key = file.key("use_local_context");
        let note = "the source is this directory or another repository";
        file.error(key, "`use_local_context: true` excludes `upstream_repo` and `upstream_ref`", note);
    }
    // With these two a missing source means this directory. A builder that is misspelt may be one of them, and a
    // switch that is no boolean was reported already.
    let implied = matches!(backend, Some(BackendName::Ko | BackendName::Spin))
        || file.has("build_backend") && backend.is_none()
        || file.flag("manual_build") == Some(true);
    let unclear = file.has("use_local_context") && file.flag("use_local_context").is_none();
    if !remote && !local && !implied && !unclear {
        let place = file.key("use_local_context");
        let note = "set `use_local_context: true`, or `upstream_repo` and `upstream_ref`";
        file.error(place, "the file names no source", note);
    }
    if remote && file.text("context_from", |text| Ok(text == "repository")) == Some(true) {
        let key = file.key("context_from");
        file.error(key, "`context_from: repository` excludes `upstream_repo`", "it is for sources in this repository");
    }
    if remote && file.has("version_from") {
        let key = file.key("version_from");
        let note = "the version of another repository is its `upstream_ref`";
        file.error(key, "`version_from` excludes `upstream_repo`", note);
    }
    for name in ["keep_git", "submodules"] {
        if !remote && file.flag(name) == Some(true) {
            let key = file.key(name);
            file.warn(key, format!("`{name}` does nothing without `upstream_repo`"));
        }
    }
}

fn builder_rules(file: &mut File<'_>, backend: Option<BackendName>) {
    if file.has("target") && file.has("targets") {
        let key = file.key("targets");
        file.error(key, "`targets` excludes `target`", "");
    }
    if file.has("ko_config") && backend.is_some_and(|backend| backend != BackendName::Ko) {
        let key = file.key("ko_config");
        file.warn(key, "`ko_config` does nothing without `build_backend: ko`");
    }
    if file.has("spin_config") && backend.is_some_and(|backend| backend != BackendName::Spin) {
        let key = file.key("spin_config");
        file.warn(key, "`spin_config` does nothing without `build_backend: spin`");
    }
    for name in ["dockerfile_path", "target", "build_args"] {
        if let Some(backend) = backend.filter(|backend| !backend.reads_dockerfile() && file.has(name)) {
            let key = file.key(name);
            file.warn(key, format!("`{name}` does nothing with the builder `{backend}`, which reads no Dockerfile"));
        }
    }
    match (file.flag("manual_build"), file.has("manual_images")) {
        (Some(true), false) => {
            let key = file.key("manual_build");
            file.error(key, "`manual_build: true` without `manual_images`", "name an image for each architecture");
        }
        (None, true) if !file.has("manual_build") => {
            let key = file.key("manual_images");
            file.error(
                key,
                "`manual_images` without `manual_build: true`",
                "set it, or to false to build all the same",
            );
        }
        _ => {}
    }
}

fn manual_images(file: &mut File<'_>) -> Option<BTreeMap<String, String>> {
    let entries = file.mapping("manual_images")?;
    if entries.is_empty() {
        let place = file.key("manual_images");
        file.error(place, "`manual_images` is empty", "name an image for each architecture");
    }
    let images = entries.iter().filter_map(|entry| {
        let NodeKind::Scalar { text, .. } = &entry.value.kind else { return None };
        Some((rules::arch(&entry.key).ok()?.arch(), rules::image_reference(text).ok()?))
    });
    Some(images.collect())
}

/// The file's list; else ko's own; else what images built elsewhere are there for; else the repository's; else amd64.
fn platforms(
    file: &mut File<'_>,
    defaults: &RootConfig,
    manual_images: Option<&BTreeMap<String, String>>,
) -> Vec<Platform> {
    let manual = manual_images.filter(|_| file.flag("manual_build") == Some(true));
    let ko = file.mapping("ko_config");
    let of_ko = ko.and_then(|entries| file.platforms(Some(("ko_config.", &entries))));
    let own = file.platforms(None);
    if let (Some(own), Some(manual)) = (&own, manual)
        && !file.partial
    {
        manual_platforms(file, own, manual);
    }
    let of_manual = || {
        let archs = manual?.keys().filter_map(|arch| Platform::from_arch(arch).ok());
        Some(archs.collect::<Vec<_>>()).filter(|platforms| !platforms.is_empty())
    };
    let spin = file.text("build_backend", |word| Ok(word == "spin")) == Some(true);
    let of_spin = spin.then(|| Platform::parse("wasi/wasm").ok()).flatten().map(|platform| vec![platform]);
    if spin && own.as_ref().is_some_and(|own| own.iter().any(|platform| platform.os() != "wasi")) {
        let key = file.key("platforms");
        file.error(key, "the builder `spin` builds for `wasi/wasm` alone", "leave `platforms` out");
    }
    let platforms = own
        .or(of_spin)
        .or(of_ko)
        .or_else(of_manual)
        .or_else(|| defaults.platforms.clone())
        .unwrap_or_else(|| vec![Platform::linux_amd64()]);
    if !spin && platforms.iter().any(|platform| platform.os() == "wasi") && file.has("platforms") {
        let key = file.key("platforms");
        file.error(key, "`wasi/wasm` is a platform of the builder `spin` alone", "");
    }
    platforms
}

/// Each platform needs its image, and an image of another platform would never be used.
fn manual_platforms(file: &mut File<'_>, platforms: &[Platform], images: &BTreeMap<String, String>) {
    let place = file.key("manual_images");
    for platform in platforms {
        if !images.contains_key(&platform.arch()) {
            let message = format!("`manual_images` has no image for `{platform}`");
            file.error(place, message, &format!("its key is `{}`", platform.arch()));
        }
    }
    for arch in images.keys() {
        if !platforms.iter().any(|platform| platform.arch() == *arch) {
            let place = file.shape.spans.of(&format!("manual_images.{arch}"));
            file.error(place, format!("`manual_images.{arch}` is for none of the `platforms`"), "");
        }
    }
}

fn build_args(file: &mut File<'_>) -> Vec<BuildArg> {
    if let Some(entries) = file.mapping("build_args") {
        let arg = |entry: &Entry| match &entry.value.kind {
            NodeKind::Scalar { text, .. } if entry.nth == 0 => {
                Some(BuildArg { name: rules::arg_name(&entry.key).ok()?, value: rules::arg_value(text).ok()? })
            }
            _ => None,
        };
        return entries.iter().filter_map(arg).collect();
    }
    let mut args: Vec<BuildArg> = Vec::new();
    let entries = file.list("build_args", |text| Ok(text.to_owned()));
    for (index, text) in entries.iter().enumerate() {
        let Ok(arg) = rules::build_arg(text) else { continue };
        if args.iter().any(|known| known.name == arg.name) {
            let place = file.shape.spans.of(&format!("build_args[{index}]"));
            file.error(place, format!("the build argument `{}` is given twice", arg.name), "");
        } else {
            args.push(arg);
        }
    }
    args
}

fn labels(file: &File<'_>, name: &str) -> BTreeMap<String, String> {
    let entries = file.mapping(name).unwrap_or_default();
    let label = |entry: &Entry| match &entry.value.kind {
        NodeKind::Scalar { text, .. } if entry.nth == 0 => Some((entry.key.to_string(), text.to_string())),
        _ => None,
    };
    entries.iter().filter_map(label).collect()
}

fn version_from(file: &File<'_>) -> Option<VersionFrom> {
    let entries = file.mapping("version_from")?;
    Some(VersionFrom {
        file: file::text(&entries, "file", rules::file)?,
        pattern: file::text(&entries, "pattern", rules::version_pattern),
    })
}

/// A file must be named; a misspelt name was reported as such.
fn version_rules(file: &mut File<'_>) {
    let Some(entries) = file.mapping("version_from") else { return };
    let names_it = |entry: &Entry| match fields::find(fields::VERSION, &entry.key) {
        Some(field) => field.name == "file" && !matches!(entry.value.kind, NodeKind::Null),
        None => true,
    };
    if !entries.iter().any(names_it) {
        let key = file.key("version_from");
        file.error(key, "`version_from` names no `file`", "the file that holds the version");
    }
}

fn ko_config(file: &File<'_>) -> Option<KoConfig> {
    let entries = file.mapping("ko_config")?;
    Some(KoConfig {
        import_path: file::text(&entries, "import_path", rules::import_path).unwrap_or_else(|| ".".to_owned()),
        base_image: file::text(&entries, "base_image", rules::image_reference),
        env: file::list(&entries, "env", rules::environment),
        flags: file::list(&entries, "flags", rules::argument),
        ldflags: file::list(&entries, "ldflags", rules::argument),
        working_dir: file::text(&entries, "working_dir", rules::directory),
    })
}
