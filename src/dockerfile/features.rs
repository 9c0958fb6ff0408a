//! What a Dockerfile asks of its builder beyond the oldest instructions: the constructs that builders treat differently,
//! each with its place (specification §8, "Preflight"). Which builder can what is not decided here.

use std::collections::BTreeSet;

use parse_dockerfile::{Flag, Instruction, Source};

use super::{Dockerfile, Lines, Meaning, References, UseKind};
use crate::diagnostic::Span;

/// A construct that not every builder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// `RUN <<EOF`, `COPY <<EOF`.
    HereDocument,
    /// `COPY --link`, `ADD --link`.
    Link,
    /// `COPY --chmod`, `ADD --chmod`.
    Chmod,
    /// `COPY --exclude`, `ADD --exclude`.
    Exclude,
    /// `COPY --parents`.
    Parents,
    /// `ADD --checksum`.
    Checksum,
    /// `ADD https://…`, a file.
    AddUrl,
    /// `ADD https://….git`, a repository.
    AddGit,
    /// `ADD --unpack`.
    Unpack,
    /// `FROM --platform=` of another platform than the one that is built for.
    FromPlatform,
    /// `USER user:group`.
    UserGroup,
    /// `RUN --mount=type=bind` of the build context; a mount without a type is one.
    BindMount,
    /// `RUN --mount=type=bind,from=`.
    BindMountFrom,
    /// `RUN --mount=type=cache`.
    CacheMount,
    /// `RUN --mount=type=tmpfs`.
    TmpfsMount,
    /// `RUN --mount=type=secret`.
    SecretMount,
    /// `RUN --mount=type=ssh`.
    SshMount,
    /// `RUN --network=none`.
    NoNetwork,
    /// `RUN --network=host`.
    HostNetwork,
    /// `RUN --security=insecure`.
    Insecure,
    /// `HEALTHCHECK`.
    Healthcheck,
    /// `SHELL`.
    Shell,
    /// `ONBUILD`.
    Onbuild,
}

impl Feature {
    /// Every construct, in the order of the table in the documentation.
    pub const ALL: [Self; 23] = [
        Self::HereDocument,
        Self::Link,
        Self::Chmod,
        Self::Exclude,
        Self::Parents,
        Self::Checksum,
        Self::AddUrl,
        Self::AddGit,
        Self::Unpack,
        Self::FromPlatform,
        Self::UserGroup,
        Self::BindMount,
        Self::BindMountFrom,
        Self::CacheMount,
        Self::TmpfsMount,
        Self::SecretMount,
        Self::SshMount,
        Self::NoNetwork,
        Self::HostNetwork,
        Self::Insecure,
        Self::Healthcheck,
        Self::Shell,
        Self::Onbuild,
    ];

    /// How it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::HereDocument => "a here-document (`<<EOF`)",
            Self::Link => "`COPY --link`",
            Self::Chmod => "`COPY --chmod`",
            Self::Exclude => "`COPY --exclude`",
            Self::Parents => "`COPY --parents`",
            Self::Checksum => "`ADD --checksum`",
            Self::AddUrl => "`ADD` of a URL",
            Self::AddGit => "`ADD` of a Git repository",
            Self::Unpack => "`ADD --unpack`",
            Self::FromPlatform => "`FROM --platform=` of another platform",
            Self::UserGroup => "`USER user:group`",
            Self::BindMount => "`RUN --mount=type=bind`",
            Self::BindMountFrom => "`RUN --mount=type=bind,from=`",
            Self::CacheMount => "`RUN --mount=type=cache`",
            Self::TmpfsMount => "`RUN --mount=type=tmpfs`",
            Self::SecretMount => "`RUN --mount=type=secret`",
            Self::SshMount => "`RUN --mount=type=ssh`",
            Self::NoNetwork => "`RUN --network=none`",
            Self::HostNetwork => "`RUN --network=host`",
            Self::Insecure => "`RUN --security=insecure`",
            Self::Healthcheck => "`HEALTHCHECK`",
            Self::Shell => "`SHELL`",
            Self::Onbuild => "`ONBUILD`",
        }
    }
}

/// A construct in a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUse {
    /// Which.
    pub feature: Feature,
    /// Where it stands.
    pub span: Span,
}

/// The constructs of one instruction, without those behind `ONBUILD`.
pub(super) fn of_instruction(
    instruction: &Instruction<'_>,
    keyword: Span,
    here_document: bool,
    lines: &Lines<'_>,
) -> Vec<FeatureUse> {
    let mut found = Vec::new();
    let whole = match instruction {
        Instruction::Healthcheck(_) => Some(Feature::Healthcheck),
        Instruction::Shell(_) => Some(Feature::Shell),
        Instruction::Onbuild(_) => Some(Feature::Onbuild),
        Instruction::User(user) if user.arguments.value.contains(':') => Some(Feature::UserGroup),
        // Of another platform or not: that is seen where its variables have values.
        Instruction::From(from) if from.options.iter().any(|flag| flag.name.value == "platform") => {
            Some(Feature::FromPlatform)
        }
        _ => None,
    };
    found.extend(whole.or(here_document.then_some(Feature::HereDocument)).map(|feature| (feature, keyword)));
    let mut of_flags = |flags: &[Flag<'_>], feature: fn(&str, &str) -> Option<Feature>| {
        for flag in flags {
            let name = flag.name.value.to_ascii_lowercase();
            let value = flag.value.as_ref().map_or("", |value| value.value.as_ref());
            found.extend(feature(&name, value).map(|feature| (feature, lines.span(&flag.name.span))));
        }
    };
    match instruction {
        Instruction::Copy(copy) => of_flags(&copy.options, of_copy),
        Instruction::Add(add) => {
            of_flags(&add.options, of_copy);
            let source = |source: &Source<'_>| match source {
                Source::Path(path) => Some((of_address(&path.value)?, lines.span(&path.span))),
                _ => None,
            };
            found.extend(add.src.iter().filter_map(source));
        }
        Instruction::Run(run) => of_flags(&run.options, of_run),
        _ => {}
    }
    found.into_iter().map(|(feature, span)| FeatureUse { feature, span }).collect()
}

fn of_copy(name: &str, value: &str) -> Option<Feature> {
    match name {
        "link" | "parents" if value.eq_ignore_ascii_case("false") => None,
        "link" => Some(Feature::Link),
        "parents" => Some(Feature::Parents),
        "chmod" => Some(Feature::Chmod),
        "exclude" => Some(Feature::Exclude),
        "checksum" => Some(Feature::Checksum),
        "unpack" => Some(Feature::Unpack),
        "keep-git-dir" => Some(Feature::AddGit),
        _ => None,
    }
}

/// What `ADD` fetches from an address, by the rules of BuildKit (`util/gitutil`): variables stay what they are.
fn of_address(source: &str) -> Option<Feature> {
    if ["git://", "ssh://", "git@"].iter().any(|scheme| source.starts_with(scheme)) {
        return Some(Feature::AddGit);
    }
    let address = ["http://", "https://"].iter().find_map(|scheme| source.strip_prefix(scheme))?;
    let path = address.split(['#', '?']).next().unwrap_or_default();
    Some(if path.ends_with(".git") { Feature::AddGit } else { Feature::AddUrl })
}

fn of_run(name: &str, value: &str) -> Option<Feature> {
    match (name, value) {
        ("network", "none") => Some(Feature::NoNetwork),
        ("network", "host") => Some(Feature::HostNetwork),
        ("security", "insecure") => Some(Feature::Insecure),
        ("mount", options) => of_mount(options),
        _ => None,
    }
}

/// The last `type` counts, keys are of any case, and a mount without one is a bind mount, as BuildKit has it.
fn of_mount(options: &str) -> Option<Feature> {
    let (mut kind, mut from) = ("bind", false);
    for field in options.split(',') {
        let Some((key, value)) = field.trim_matches(['"', '\'']).split_once('=') else { continue };
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = value,
            "from" => from = !value.is_empty(),
            _ => {}
        }
    }
    match kind.to_ascii_lowercase().as_str() {
        "bind" if from => Some(Feature::BindMountFrom),
        "bind" => Some(Feature::BindMount),
        "cache" => Some(Feature::CacheMount),
        "tmpfs" => Some(Feature::TmpfsMount),
        "secret" => Some(Feature::SecretMount),
        "ssh" => Some(Feature::SshMount),
        _ => None,
    }
}

impl Dockerfile {
    /// The constructs in the stages that building `target` reaches, in the order of the file; those behind `ONBUILD`
    /// where a reached stage is built from theirs.
    #[must_use]
    pub fn features(&self, target: Option<&str>, references: &References) -> Vec<&FeatureUse> {
        let (mut reached, mut triggered, mut other) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for used in self.uses(target, references) {
            reached.insert(used.stage);
            if matches!(used.meaning, Ok(Meaning::Image(_))) && references.is_of_another_platform(used.stage) {
                other.insert(used.stage);
            }
            if let (UseKind::From, Ok(Meaning::Stage(base))) = (used.image.kind, &used.meaning) {
                triggered.insert(*base);
            }
        }
        let own = reached.iter().filter_map(|index| Some((index, self.stages.get(*index)?)));
        let own = own.flat_map(|(index, stage)| {
            let counts = |found: &&FeatureUse| found.feature != Feature::FromPlatform || other.contains(index);
            stage.features.iter().filter(counts).collect::<Vec<_>>()
        });
        let behind =
            triggered.iter().filter_map(|index| self.stages.get(*index)).flat_map(|stage| &stage.triggered_features);
        let mut found: Vec<&FeatureUse> = own.chain(behind).collect();
        found.sort_by_key(|found| (found.span.line, found.span.column));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arguments;
    use super::*;

    fn found(text: &str, target: Option<&str>) -> Vec<(usize, Feature)> {
        let file = Dockerfile::parse("f", text.as_bytes()).unwrap();
        let references = file.references(&Arguments::default()).unwrap();
        file.features(target, &references).into_iter().map(|found| (found.span.line, found.feature)).collect()
    }

    fn of(line: &str) -> Vec<Feature> {
        found(&format!("FROM a\n{line}\n"), None).into_iter().map(|(_, feature)| feature).collect()
    }

    #[test]
    fn every_construct_is_found() {
        for (line, features) in [
            ("RUN <<EOF\nx\nEOF", vec![Feature::HereDocument]),
            ("COPY <<EOF /x\nx\nEOF", vec![Feature::HereDocument]),
            ("RUN echo '<<' 1", vec![]),
            ("COPY --link --chmod=600 a b", vec![Feature::Link, Feature::Chmod]),
            ("COPY --LINK=false a b", vec![]),
            ("ADD --exclude=*.md --exclude=x a b", vec![Feature::Exclude, Feature::Exclude]),
            ("COPY --parents a/b c/", vec![Feature::Parents]),
            ("ADD --checksum=sha256:0 http://x/y z", vec![Feature::Checksum, Feature::AddUrl]),
            ("ADD --unpack=true a b", vec![Feature::Unpack]),
            ("ADD https://h/f.tar b", vec![Feature::AddUrl]),
            ("ADD [\"https://h/r.git#v1.0:/x\", \"b\"]", vec![Feature::AddGit]),
            ("ADD git@h:r.git http://h/$F /b/", vec![Feature::AddGit, Feature::AddUrl]),
            ("ADD --keep-git-dir=true https://h/r.git?ref=x b", vec![Feature::AddGit, Feature::AddGit]),
            ("ADD a.git b", vec![]),
            ("USER 1", vec![]),
            ("USER 1:2", vec![Feature::UserGroup]),
            ("RUN --mount=target=/t x", vec![Feature::BindMount]),
            ("RUN --mount=type=bind,target=/t x", vec![Feature::BindMount]),
            ("RUN --mount=TYPE=bind,From=b,target=/t x", vec![Feature::BindMountFrom]),
            ("RUN --mount=type=bind,type=cache,target=/t x", vec![Feature::CacheMount]),
            ("RUN --mount=\"type=tmpfs\",target=/t x", vec![Feature::TmpfsMount]),
            ("RUN --mount=type=secret,id=a --mount=type=ssh x", vec![Feature::SecretMount, Feature::SshMount]),
            ("RUN --network=none --security=insecure x", vec![Feature::NoNetwork, Feature::Insecure]),
            ("RUN --network=default --security=sandbox x", vec![]),
            ("RUN --network=host x", vec![Feature::HostNetwork]),
            ("HEALTHCHECK CMD x", vec![Feature::Healthcheck]),
            ("SHELL [\"/bin/x\"]", vec![Feature::Shell]),
            ("ONBUILD COPY --link a b", vec![Feature::Onbuild]),
            ("RUN x --mount=type=tmpfs", vec![]),
        ] {
            assert_eq!(of(line), features, "{line}");
        }
    }

    #[test]
    fn a_base_of_another_platform_is_found_by_what_its_variables_say() {
        let found = |from: &str, wanted: &str| {
            let file =
                Dockerfile::parse("f", format!("ARG P=linux/amd64\nFROM {from} AS a\nFROM a\n").as_bytes()).unwrap();
            let mut arguments = Arguments::default();
            arguments.predefine(&crate::oci::Platform::parse(wanted).unwrap());
            !file.features(None, &file.references(&arguments).unwrap()).is_empty()
        };
        for from in ["--platform=linux/amd64 x", "--platform=$P x", "--platform=amd64 x", "--platform=${P:-y} x"] {
            assert!(found(from, "linux/arm64") && !found(from, "linux/amd64"), "{from}");
        }
        for from in
            ["--platform=$BUILDPLATFORM x", "--platform=linux/arm64/v8 x", "--platform=linux/amd64 scratch", "x"]
        {
            assert!(!found(from, "linux/arm64"), "{from}");
        }
    }

    #[test]
    fn only_stages_that_are_reached_count() {
        let text = "FROM a AS one\nRUN --mount=type=tmpfs,target=/t x\nFROM b AS two\nHEALTHCHECK CMD x\nFROM one\n";
        assert_eq!(found(text, None), [(2, Feature::TmpfsMount)]);
        assert_eq!(found(text, Some("two")), [(4, Feature::Healthcheck)]);
    }

    #[test]
    fn what_stands_behind_onbuild_counts_in_stages_built_from_it() {
        let text =
            "FROM a AS one\nONBUILD RUN --mount=type=tmpfs,target=/t x\nFROM one AS two\nFROM b\nCOPY --from=one a b\n";
        assert_eq!(found(text, None), [(2, Feature::Onbuild)]);
        assert_eq!(found(text, Some("two")), [(2, Feature::Onbuild), (2, Feature::TmpfsMount)]);
    }
}
