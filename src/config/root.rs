//! `hephy.yaml` → [`RootConfig`].

use super::file::{self, File};
use super::{
    BackendName, Dependents, Layout, Parsed, Preflight, RootConfig, Transports, cache, fields, rules, secrets,
};

/// Parses the `hephy.yaml` at the repository's root.
#[must_use]
pub fn parse_root(file: &str, bytes: &[u8]) -> Parsed<RootConfig> {
    match file::open(file, bytes, fields::ROOT, &[]) {
        Ok(file) => read(file),
        Err(findings) => Parsed::refused(findings),
    }
}

fn read(mut file: File<'_>) -> Parsed<RootConfig> {
    let platforms = file.platforms(None);
    let layout = choice(&file, "layout", [("single", Layout::Single), ("per-image", Layout::PerImage)]);
    let registry = file.text("registry", rules::registry);
    if layout.unwrap_or_default() == Layout::Single
        && registry.as_deref().is_some_and(|registry| registry != "none" && !registry.contains('/'))
    {
        let place = file.shape.spans.of("registry");
        file.error(place, "`registry` is a host without a repository", "layout `single` puts every image into one");
    }
    let backend = file.text("backend", |word| Ok(BackendName::of_word(word))).flatten();
    if backend == Some(BackendName::Spin) {
        let place = file.shape.spans.of("backend");
        let note = "name it in `build_backend` of its applications";
        file.error(place, "the builder `spin` builds no Dockerfiles", note);
    }
    if platforms.iter().flatten().any(|platform| platform.os() == "wasi") {
        let place = file.key("platforms");
        file.error(place, "`wasi/wasm` is a platform of the builder `spin` alone", "set it where it is used");
    }
    let preflight = choice(&file, "preflight", [("stop", Preflight::Stop), ("reroute", Preflight::Reroute)]);
    let config = RootConfig {
        registry,
        layout,
        platforms,
        backend,
        cache: cache::defaults(&file),
        secrets: secrets::allowed(&file),
        ignore: file.list("ignore", rules::glob),
        dependents: choice(
            &file,
            "dependents",
            [("none", Dependents::None), ("direct", Dependents::Direct), ("all", Dependents::All)],
        ),
        build_args_env: file.list("build_args_env", rules::variable_name),
        lint: file.lint(),
        preflight: preflight.unwrap_or_default(),
        syntax_frontends: file.list("syntax_frontends", rules::image_reference),
        transports: Transports::default(),
    };
    file.finish(config)
}

fn choice<T: Copy, const N: usize>(file: &File<'_>, name: &str, words: [(&str, T); N]) -> Option<T> {
    file.text(name, |text| Ok(words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))).flatten()
}
