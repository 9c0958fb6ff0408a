//! The input-exact key (specification §6): one edit each, and whether the image is built for it.

use crate::cli::Project;
use crate::support::repo::Repo;

/// An edit of a repository: a file's new content, `+x` for its mode, `-` for its end, `@` and where a link leads.
fn edit(repo: &Repo, (path, content): (&str, &str)) {
    match (content, content.strip_prefix('@')) {
        ("-", _) => drop(repo.remove(path)),
        ("+x", _) => drop(repo.executable(path)),
        (_, Some(target)) => drop(repo.symlink(target, path)),
        _ => drop(repo.write(path, content)),
    }
}

/// A repository with one image `a` and these files.
struct Built {
    project: Project,
    before: String,
    backend: &'static str,
}

impl Built {
    fn with(backend: &'static str, files: &[(&str, &str)]) -> Self {
        let project = Project::new();
        project.repo.write("a/build-config.yaml", "use_local_context: true\n");
        project.repo.write("a/Dockerfile", "FROM scratch\nCOPY . /\n");
        files.iter().for_each(|file| edit(&project.repo, *file));
        let before = project.repo.commit("files");
        Self { project, before, backend }
    }

    /// What is built for an edit, which is undone behind it.
    fn built_for(&self, edits: &[(&str, &str)]) -> Vec<String> {
        edits.iter().for_each(|it| edit(&self.project.repo, *it));
        self.project.repo.commit("edit");
        let outcome = self.hephy(&["plan", "--format", "json"]).run().ok();
        self.project.repo.git(&["reset", "-q", "--hard", &self.before]);
        outcome.built()
    }

    fn hephy(&self, args: &[&'static str]) -> crate::cli::Hephy {
        let base = ["--base", self.before.as_str(), "--head", "HEAD", "--backend", self.backend];
        self.project.hephy(args.iter().copied().chain(base)).env("HEPHY_REGISTRY", "127.0.0.1:1/x")
    }

    #[track_caller]
    fn counts(&self, path: &str, content: &str) {
        assert_eq!(self.built_for(&[(path, content)]), ["a"], "{path} counts");
    }

    #[track_caller]
    fn is_nothing(&self, path: &str, content: &str) {
        assert_eq!(self.built_for(&[(path, content)]), [""; 0], "{path} does not count");
    }

    /// The explanation of an edit.
    fn explained(&self, edits: &[(&str, &str)], format: &'static str) -> String {
        edits.iter().for_each(|it| edit(&self.project.repo, *it));
        self.project.repo.commit("edit");
        let outcome = self.hephy(&["plan", "--explain", "a", "--format", format]).run().ok();
        self.project.repo.git(&["reset", "-q", "--hard", &self.before]);
        outcome.stdout
    }
}

#[test]
fn what_an_ignore_file_leaves_out_does_not_count() {
    let ignore = "# c\ntestdata/\n**/*.log\n!keep.log\n";
    let built = Built::with("buildkit", &[("a/.dockerignore", ignore), ("a/testdata/x", "1"), ("a/x", "1")]);
    built.is_nothing("a/testdata/x", "2");
    built.is_nothing("a/testdata/deep/y", "1");
    built.is_nothing("a/x.log", "1");
    built.counts("a/keep.log", "1");
    built.counts("a/x", "2");
    built.counts("a/x", "+x");
    // It is a file of the context itself, and so is what it let in.
    built.counts("a/.dockerignore", "# another comment\n");
}

#[test]
fn an_ignore_file_that_is_left_out_counts_by_what_it_leaves_out() {
    let built = Built::with("buildkit", &[("a/.dockerignore", ".dockerignore\ntestdata\n"), ("a/testdata/x", "1")]);
    built.is_nothing("a/.dockerignore", "# a comment\n.dockerignore\n/testdata/**\n/testdata\n");
    built.is_nothing("a/.dockerignore", ".dockerignore\ntestdata\nnothing.here\n");
    built.counts("a/.dockerignore", ".dockerignore\n");
    // Dockerfile and configuration of a build count whatever is left out: only the second can be.
    let built = Built::with("buildkit", &[("a/.dockerignore", "**\n")]);
    built.counts("a/Dockerfile", "FROM scratch\nCOPY .. /\n");
    built.is_nothing("a/build-config.yaml", "use_local_context: true\n# comment\n");
    built.is_nothing("a/x", "1");
}

#[test]
fn a_directory_that_is_seen_without_its_files_counts() {
    for backend in ["buildkit", "kaniko", "buildah"] {
        let built = Built::with(backend, &[("a/.dockerignore", "**/*.md\nd\n"), ("a/x/one.md", "1"), ("a/y/z", "1")]);
        built.is_nothing("a/x/one.md", "2");
        built.is_nothing("a/x/two.md", "1");
        built.is_nothing("a/y/two.md", "1");
        built.is_nothing("a/d/two.md", "1");
        built.is_nothing("a/x/README.md", "1");
        built.counts("a/new/two.md", "1");
        built.counts("a/x/one.md", "-");
        let reason = built.explained(&[("a/new/two.md", "1")], "text");
        assert!(reason.starts_with("a will be built: a/new added\n"), "{reason}");
    }
}

#[test]
fn each_builder_reads_its_own_ignore_file() {
    let both = [("a/.dockerignore", "one\n"), ("a/Dockerfile.dockerignore", "two\n"), ("a/one", "1"), ("a/two", "1")];
    for backend in ["buildkit", "kaniko", "buildah"] {
        let built = Built::with(backend, &both);
        built.counts("a/one", "2");
        built.is_nothing("a/two", "2");
        built.counts("a/Dockerfile.dockerignore", "-");
    }
    // An engine may be of either kind.
    let docker = Built::with("docker", &both);
    docker.counts("a/one", "2");
    docker.counts("a/two", "2");
    let common = [("a/.dockerignore", "one\nx\n"), ("a/Dockerfile.dockerignore", "two\nx\n"), ("a/x", "1")];
    Built::with("docker", &common).is_nothing("a/x", "2");
    let container = [("a/.dockerignore", "one\n"), ("a/.containerignore", "two\n"), ("a/one", "1"), ("a/two", "1")];
    Built::with("buildah", &container).is_nothing("a/two", "2");
    Built::with("buildah", &container).counts("a/one", "2");
    Built::with("kaniko", &container).is_nothing("a/one", "2");
    Built::with("buildkit", &container).counts("a/two", "2");
    let named = [("a/Dockerfile.containerignore", "one\n"), ("a/one", "1")];
    Built::with("buildah", &named).is_nothing("a/one", "2");
    Built::with("kaniko", &named).counts("a/one", "2");
    Built::with("kaniko", &[("a/.dockerignore", "@../ignored"), ("ignored", "x\n")]).counts("a/x", "1");
}

#[test]
fn an_ignore_file_elsewhere_reaches_the_image() {
    let config = "use_local_context: true\ncontext_from: repository\ndockerfile_path: docker/Dockerfile\n";
    let files = [
        ("a/build-config.yaml", config),
        ("docker/Dockerfile", "FROM scratch\nCOPY src /\n"),
        ("docker/Dockerfile.dockerignore", "**/*.md\n"),
        ("src/x.md", "1"),
        ("src/y", "1"),
    ];
    let built = Built::with("buildkit", &files);
    built.is_nothing("src/x.md", "2");
    built.is_nothing("elsewhere", "2");
    built.counts("src/y", "2");
    built.counts("docker/Dockerfile.dockerignore", "nothing\n");
    // Behind a link, out of the directory that the image would otherwise be read from alone.
    let linked =
        [("a/.dockerignore", "@sub/ignored"), ("a/sub/ignored", "*.md\n.dockerignore\nsub\n"), ("a/x.md", "1")];
    let built = Built::with("buildkit", &linked);
    built.is_nothing("a/x.md", "2");
    built.counts("a/sub/ignored", ".dockerignore\nsub\n");
}

#[test]
fn an_invalid_ignore_file_is_a_finding_with_its_line() {
    let built = Built::with("buildkit", &[("a/.dockerignore", "ok\n")]);
    edit(&built.project.repo, ("a/.dockerignore", "ok\n[a\n"));
    built.project.repo.commit("invalid");
    let outcome = built.hephy(&["plan"]).run();
    outcome.fails(3, &["a/.dockerignore:2:1: error: `[a` is no pattern that builders take"]);
}

#[test]
fn only_literal_sources_count() {
    let dockerfile = "FROM scratch AS unused\nCOPY unused /\nFROM scratch AS build\nCOPY src/ ./lib/sub /\n\
                      FROM scratch\nCOPY --from=build /x /x\nCOPY /one two/../two /\nADD https://example.org/* /\n\
                      ADD three /\nRUN --mount=type=bind,source=bound,target=/b x\nCOPY <<EOF /four\nfour\nEOF\n";
    let files = [("a/Dockerfile", dockerfile), ("a/one", "1"), ("a/two", "1"), ("a/src/x", "1"), ("a/lib/sub/y", "1")];
    for backend in ["buildkit", "kaniko", "buildah", "docker"] {
        let built = Built::with(backend, &files);
        for path in ["a/one", "a/two", "a/three", "a/src/x", "a/src/new/y", "a/lib/sub/y", "a/bound/x", "a/bound"] {
            built.counts(path, "2");
        }
        for path in ["a/four", "a/unused", "a/lib/other", "a/srcs", "a/b", "a/One"] {
            built.is_nothing(path, "2");
        }
        built.counts("a/src/x", "-");
        built.counts("a/src/x", "+x");
        // It is no source itself: only what it says counts.
        built.is_nothing("a/build-config.yaml", "use_local_context: true\n# comment\n");
    }
}

#[test]
fn what_may_be_anything_is_the_whole_context() {
    for line in
        ["COPY *.c /", "COPY $X /", "COPY \"x\" /", "ADD $X /", "RUN --mount=target=/x x", "COPY . /", "COPY / /"]
    {
        let dockerfile = format!("FROM scratch\nARG X=y\nCOPY one /\n{line}\n");
        let built = Built::with("buildkit", &[("a/Dockerfile", &dockerfile), ("a/.dockerignore", "left-out")]);
        built.counts("a/anything", "1");
        built.is_nothing("a/left-out", "1");
    }
    let target = "use_local_context: true\ntarget: one\n";
    let dockerfile = "FROM scratch AS one\nCOPY one /\nFROM one\nCOPY * /\n";
    let built = Built::with("buildkit", &[("a/Dockerfile", dockerfile), ("a/build-config.yaml", target)]);
    built.is_nothing("a/anything", "1");
    built.counts("a/one", "1");
}

#[test]
fn links_and_what_they_lead_to_count() {
    let files = [
        ("a/Dockerfile", "FROM scratch\nCOPY link/x dir /\n"),
        ("a/link", "@real"),
        ("a/real/x", "1"),
        ("a/real/other", "1"),
        ("a/dir/inner", "@../real/other"),
        ("a/other/x", "1"),
    ];
    let built = Built::with("buildkit", &files);
    built.counts("a/real/x", "2");
    built.is_nothing("a/real/other", "2");
    assert_eq!(built.built_for(&[("a/link", "-"), ("a/link", "@other")]), ["a"]);
    assert_eq!(built.built_for(&[("a/dir/inner", "-"), ("a/dir/inner", "@../real/x")]), ["a"]);
    // What leads out of sight is anything.
    let out = [("a/Dockerfile", "FROM scratch\nCOPY link /\n"), ("a/link", "@/etc"), ("a/x", "1")];
    Built::with("buildkit", &out).counts("a/x", "2");
    // Kaniko leaves the context.
    let up = [("a/Dockerfile", "FROM scratch\nCOPY ../b/x /\n"), ("b/x", "1"), ("b/y", "1")];
    let built = Built::with("kaniko", &up);
    built.counts("b/x", "2");
    built.is_nothing("b/y", "2");
    Built::with("buildkit", &up).counts("a/b/x", "2");
}

#[test]
fn what_builders_read_past_the_ignore_file_counts() {
    let ignore = ("a/.dockerignore", "x\n");
    for (line, backend, counts) in [
        ("ADD x /", "kaniko", true),
        ("ADD * /", "kaniko", true),
        ("COPY x /", "kaniko", false),
        ("ADD x /", "buildkit", false),
        ("RUN --mount=source=x,target=/x y", "buildah", true),
        ("RUN --mount=source=x,target=/x y", "buildkit", false),
        ("COPY x /", "buildah", false),
    ] {
        let dockerfile = format!("FROM scratch\n{line}\n");
        let built = Built::with(backend, &[ignore, ("a/Dockerfile", &dockerfile), ("a/x", "1")]);
        assert_eq!(!built.built_for(&[("a/x", "2")]).is_empty(), counts, "{line} by {backend}");
    }
}

#[test]
fn triggers_of_an_image_count_in_what_is_built_on_it() {
    let on = "ARG HEPHY_REGISTRY\nARG BASE_TAG\nFROM ${HEPHY_REGISTRY}:${BASE_TAG}\nCOPY one /\n";
    let plain = "FROM scratch\nCOPY one /\n";
    let trigger = "FROM scratch\nCOPY one /\nONBUILD COPY app /app\n";
    let whole = "FROM scratch\nCOPY one /\nONBUILD COPY . /app\n";
    for (base, app, other) in [(plain, false, false), (trigger, true, false), (whole, true, true)] {
        let config = ("base/build-config.yaml", "use_local_context: true\n");
        let built = Built::with("buildkit", &[("a/Dockerfile", on), ("base/Dockerfile", base), config, ("a/app", "1")]);
        assert_eq!(!built.built_for(&[("a/app", "2")]).is_empty(), app, "{base}");
        assert_eq!(!built.built_for(&[("a/other", "2")]).is_empty(), other, "{base}");
        assert_eq!(built.built_for(&[("base/app", "2")]), [""; 0], "{base}");
    }
    // In a file of its own.
    let stages = "FROM scratch AS base\nONBUILD COPY app /app\nFROM base\nCOPY one /\n";
    Built::with("buildkit", &[("a/Dockerfile", stages)]).counts("a/app", "1");
    let named = "FROM node:20-onbuild\nCOPY one /\n";
    Built::with("buildkit", &[("a/Dockerfile", named)]).counts("a/app", "1");
    // Nobody sees the Dockerfile of an image whose source is elsewhere.
    let remote = "upstream_repo: https://example.invalid/x\nupstream_ref: main\n";
    let built = Built::with("buildkit", &[("a/Dockerfile", on), ("base/build-config.yaml", remote)]);
    built.counts("a/app", "1");
}

#[test]
fn watched_paths_count_for_every_kind_of_source() {
    let local = "use_local_context: true\nwatch: ['shared/**', tools/version.txt]\nignore: ['shared/notes/**']\n";
    let built =
        Built::with("buildkit", &[("a/build-config.yaml", local), ("shared/x/y", "1"), ("shared/notes/z", "1")]);
    built.counts("shared/x/y", "2");
    built.counts("shared/x/y", "+x");
    built.counts("shared/x/y", "-");
    built.counts("shared/new", "2");
    built.counts("shared/README.md", "2");
    // `watch` says more than `ignore`.
    built.counts("shared/notes/z", "2");
    built.counts("tools/version.txt", "2");
    built.is_nothing("tools/other.txt", "2");
    built.is_nothing("x/shared/y", "2");
    let explained = built.explained(&[("shared/x/y", "2")], "text");
    assert!(explained.contains("  M   shared/x/y   watched, a/build-config.yaml:2 (shared/**)\n"), "{explained}");
    let check = built.project.hephy(["check"]).run().ok();
    assert!(!format!("{check}").contains("not supported"), "{check}");
}

#[test]
fn explanations_name_the_file_the_rule_and_the_line() {
    let files = [
        ("hephy.yaml", "ignore:\n  - '**/*.tmp'\n"),
        ("a/build-config.yaml", "use_local_context: true\nignore: ['a/docs/**']\n"),
        ("a/.dockerignore", "# c\n\ntestdata/\n"),
        ("a/Dockerfile", "# c\nFROM alpine:3.20\n\nCOPY src testdata docs x.tmp /\n"),
    ];
    let built = Built::with("buildkit", &files);
    let edits = [
        ("a/testdata/big.bin", "1"),
        ("a/docs/a.txt", "1"),
        ("a/src/x.tmp", "1"),
        ("a/notes", "1"),
        ("a/src/README.md", "1"),
        ("a/src/x", "1"),
        ("a/Dockerfile", "# c\nFROM alpine:3.22\n\nCOPY src testdata docs x.tmp /\n"),
    ];
    let text = built.explained(&edits, "text");
    for (letter, path, why) in [
        ("M", "a/Dockerfile", "line 2: FROM now alpine:3.22"),
        ("=", "a/docs/a.txt", "excluded by ignore, a/build-config.yaml:2 (a/docs/**)"),
        ("=", "a/notes", "not copied by a/Dockerfile"),
        ("=", "a/src/README.md", "never counts"),
        ("A", "a/src/x", ""),
        ("=", "a/src/x.tmp", "excluded by ignore, hephy.yaml:2 (**/*.tmp)"),
        ("=", "a/testdata/big.bin", "excluded by a/.dockerignore:3 (testdata/)"),
    ] {
        let line = format!("  {letter}   {path:<18}   {why}");
        assert!(text.contains(&format!("\n{}\n", line.trim_end())), "{line:?} in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&built.explained(&edits, "json")).unwrap();
    let files = json["files"].as_array().unwrap();
    let of = |path: &str| {
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        (file["rule"].clone(), file["file"].clone(), file["line"].clone())
    };
    assert_eq!(of("a/testdata/big.bin"), ("testdata/".into(), "a/.dockerignore".into(), 3.into()));
    assert_eq!(of("a/src/x.tmp"), ("**/*.tmp".into(), "hephy.yaml".into(), 2.into()));
    assert_eq!(of("a/docs/a.txt"), ("a/docs/**".into(), "a/build-config.yaml".into(), 2.into()));
    assert_eq!(of("a/notes").1, "a/Dockerfile");
}
