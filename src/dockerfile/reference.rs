//! The places where a Dockerfile names an image: `FROM`, `COPY --from`, `RUN --mount=from`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use parse_dockerfile::{Flag, FromInstruction};

use super::expand::Scope;
use super::{Dockerfile, Lines};
use crate::diagnostic::Span;

/// One place that names an image or a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUse {
    /// Which instruction.
    pub kind: UseKind,
    /// The name as written, unexpanded.
    pub text: String,
    /// `FROM --platform=`, unexpanded.
    pub platform: Option<String>,
    /// Where it stands.
    pub span: Span,
    /// The bytes of the name in the file.
    pub range: Range<usize>,
}

/// Instructions that name images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseKind {
    /// `FROM`.
    From,
    /// `COPY --from=`.
    CopyFrom,
    /// `RUN --mount=…,from=`.
    MountFrom,
}

impl ImageUse {
    pub(super) fn of_from(from: &FromInstruction<'_>, lines: &Lines<'_>) -> Self {
        let platform = from.options.iter().find(|flag| flag.name.value == "platform");
        Self {
            kind: UseKind::From,
            text: from.image.value.trim_matches(['"', '\'']).to_owned(),
            platform: platform.and_then(|flag| flag.value.as_ref()).map(|value| value.value.to_string()),
            span: lines.span(&from.image.span),
            range: from.image.span.clone(),
        }
    }

    pub(super) fn of_flags(flags: &[Flag<'_>], kind: UseKind, lines: &Lines<'_>) -> Vec<Self> {
        let mut uses = Vec::new();
        for flag in flags {
            let Some(value) = &flag.value else { continue };
            let text = value.value.as_ref();
            let found = match (kind, flag.name.value.as_ref()) {
                (UseKind::CopyFrom, "from") => Some((0, text)),
                (UseKind::MountFrom, "mount") => mount_source(text),
                _ => None,
            };
            if let Some((offset, text)) = found.filter(|(_, text)| !text.is_empty()) {
                let start = value.span.start + offset;
                let range = start..(start + text.len()).min(value.span.end);
                let text = text.trim_matches(['"', '\'']).to_owned();
                uses.push(Self { kind, text, platform: None, span: lines.span(&range), range });
            }
        }
        uses
    }
}

/// The value of `from` in `type=bind,from=image,source=/x`, with its offset.
fn mount_source(mount: &str) -> Option<(usize, &str)> {
    let (mut offset, mut found) = (0, None);
    for field in mount.split(',') {
        let bare = field.trim_start_matches(['"', '\'']);
        // As BuildKit has it: keys in any case, and the last one counts.
        if let Some((key, value)) = bare.split_once('=')
            && key.eq_ignore_ascii_case("from")
        {
            found = Some((offset + field.len() - value.len(), value));
        }
        offset += field.len() + 1;
    }
    found
}

impl Dockerfile {
    /// Indexes of the stages that building `target` reaches (the last stage when none is given), in order.
    /// None when there is no such stage. A stage may be named through variables: `FROM base-${TARGETARCH}`.
    #[must_use]
    pub fn reachable(&self, target: Option<&str>, scope: &Scope) -> Option<BTreeSet<usize>> {
        let start = match target {
            Some(name) => self.stage_index(name)?,
            None => self.stages.len().checked_sub(1)?,
        };
        let mut reached = BTreeSet::new();
        let mut queue = vec![start];
        while let Some(index) = queue.pop() {
            let Some(stage) = self.stages.get(index).filter(|_| reached.insert(index)) else { continue };
            let uses = std::iter::once(&stage.from).chain(&stage.uses);
            queue.extend(uses.filter_map(|image| self.earlier_stage(index, image, scope)));
        }
        Some(reached)
    }

    /// The stage that a use in stage `index` means, if it means a stage: names come first, and `FROM` knows no
    /// numbers.
    #[must_use]
    pub fn earlier_stage(&self, index: usize, image: &ImageUse, scope: &Scope) -> Option<usize> {
        let text = scope.expand(&image.text).unwrap_or_else(|| image.text.clone());
        let lower = text.to_lowercase();
        let named = self.stages[..index.min(self.stages.len())]
            .iter()
            .rposition(|stage| stage.name.as_deref() == Some(lower.as_str()));
        match image.kind {
            UseKind::From => named,
            UseKind::CopyFrom | UseKind::MountFrom => {
                named.or_else(|| text.parse().ok().filter(|number| *number < index))
            }
        }
    }

    /// What the image itself lies on: the `FROM` of the stage that is built, through stages that it is built from. None
    /// for `scratch`.
    #[must_use]
    pub fn underlying(&self, target: Option<&str>, scope: &Scope) -> Option<&ImageUse> {
        let mut index = match target {
            Some(name) => self.stage_index(name)?,
            None => self.stages.len().checked_sub(1)?,
        };
        loop {
            let image = &self.stages.get(index)?.from;
            match self.earlier_stage(index, image, scope) {
                Some(earlier) => index = earlier,
                None => return Some(image).filter(|image| image.text != "scratch"),
            }
        }
    }

    /// All uses of images that are no stages of this file, `scratch` excepted, which building `target` reaches.
    #[must_use]
    pub fn external_uses(&self, target: Option<&str>, scope: &Scope) -> Vec<&ImageUse> {
        let reached = self.reachable(target, scope).unwrap_or_default();
        let mut uses = Vec::new();
        for index in reached {
            let Some(stage) = self.stages.get(index) else { continue };
            for image in std::iter::once(&stage.from).chain(&stage.uses) {
                let scratch = scope.expand(&image.text).is_some_and(|text| text == "scratch");
                if !scratch && !image.text.is_empty() && self.earlier_stage(index, image, scope).is_none() {
                    uses.push(image);
                }
            }
        }
        uses
    }

    /// Variables that references of this file may use: global arguments with the values that are passed or their
    /// defaults, and the platform's own, which need no declaration. `passed` wins; a default may name earlier
    /// arguments.
    #[must_use]
    pub fn scope(&self, passed: &BTreeMap<String, String>) -> Scope {
        let platform = passed.iter().filter(|(name, _)| name.starts_with("TARGET") || name.starts_with("BUILD"));
        let mut scope = Scope(platform.map(|(name, value)| (name.clone(), value.clone())).collect());
        for arg in &self.global_args {
            let value = match passed.get(&arg.name) {
                Some(value) => Some(value.clone()),
                None => arg.default.as_deref().and_then(|default| scope.expand(default)),
            };
            if let Some(value) = value {
                scope.0.insert(arg.name.clone(), value);
            }
        }
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Dockerfile {
        Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap()
    }

    fn uses(text: &str, target: Option<&str>) -> Vec<(String, usize)> {
        parse(text)
            .external_uses(target, &Scope::default())
            .iter()
            .map(|image| (image.text.clone(), image.span.line))
            .collect()
    }

    #[test]
    fn every_kind_of_reference_is_found_with_its_line() {
        let text = "ARG V=1\nFROM golang:${V} AS build\nRUN --mount=type=bind,from=tools:2,source=/x,target=/x \\\n  make\n\
                    FROM scratch\nCOPY --from=build /a /a\nCOPY --chown=0 --from=alpine:3 /b /b\nCOPY --from=0 /c /c\n";
        assert_eq!(uses(text, None), [("golang:${V}".into(), 2), ("tools:2".into(), 3), ("alpine:3".into(), 7)]);
    }

    #[test]
    fn the_underlying_image_is_that_of_the_stage_that_is_built() {
        let text = "FROM golang AS build\nFROM alpine AS base\nCOPY --from=busybox /x /x\nFROM base AS run\n\
                    COPY --from=build /a /a\nFROM scratch AS bare\nCOPY --from=build /a /a\n";
        let dockerfile = parse(text);
        let of = |target: Option<&str>| {
            dockerfile.underlying(target, &Scope::default()).map(|image| (image.text.clone(), image.span.line))
        };
        assert_eq!(of(Some("run")), Some(("alpine".into(), 2)));
        assert_eq!(of(Some("build")), Some(("golang".into(), 1)));
        assert_eq!((of(Some("bare")), of(None), of(Some("none"))), (None, None, None));
    }

    #[test]
    fn stages_that_the_target_does_not_reach_do_not_count() {
        let text = "FROM a AS one\nFROM b AS two\nFROM one AS three\n";
        assert_eq!(uses(text, None), [("a".into(), 1)]);
        assert_eq!(uses(text, Some("two")), [("b".into(), 2)]);
        assert_eq!(uses(text, Some("TWO")), [("b".into(), 2)]);
        assert_eq!(parse(text).reachable(Some("nine"), &Scope::default()), None);
    }

    #[test]
    fn a_stage_may_be_named_through_a_variable() {
        let file = parse("FROM a AS base-amd64\nFROM b AS base-arm64\nFROM base-${TARGETARCH}\n");
        let scope = file.scope(&BTreeMap::from([("TARGETARCH".to_owned(), "arm64".to_owned())]));
        let found: Vec<_> = file.external_uses(None, &scope).iter().map(|image| image.text.as_str()).collect();
        assert_eq!(found, ["b"]);
    }

    #[test]
    fn a_stage_name_hides_an_image_only_below_it() {
        let text = "FROM alpine AS first\nFROM first AS alpine\nFROM alpine\n";
        assert_eq!(uses(text, None), [("alpine".into(), 1)]);
    }

    #[test]
    fn arguments_take_passed_values_then_defaults() {
        let file = parse("ARG A=1\nARG B=${A}-x\nARG C\nFROM a:$B\nARG D\n");
        let passed = BTreeMap::from([("A".to_owned(), "2".to_owned())]);
        assert_eq!(file.scope(&passed).expand("$B"), Some("2-x".into()));
        assert_eq!(file.scope(&passed).expand("$C"), None);
        assert_eq!(file.declared_args().collect::<Vec<_>>(), ["A", "B", "C", "D"]);
    }

    #[test]
    fn the_source_of_a_mount_is_what_buildkit_reads() {
        for (mount, source) in [
            ("type=bind,FROM=tools,target=/t", Some("tools")),
            ("type=bind,\"from=tools\",target=/t", Some("tools")),
            ("type=bind,from='tools',target=/t", Some("tools")),
            ("from=other,from=tools,target=/t", Some("tools")),
            ("from=other,from=,target=/t", None),
            ("type=secret,id=from=x", None),
        ] {
            let found = uses(&format!("FROM a\nRUN --mount={mount} x\n"), None);
            assert_eq!(found.get(1).map(|(text, _)| text.as_str()), source, "{mount}");
        }
    }

    #[test]
    fn scratch_is_no_image_however_it_is_named() {
        let file =
            parse("ARG BASE=scratch\nFROM ${BASE}\nCOPY --from=scratch a b\nRUN --mount=from=scratch,target=/t x\n");
        assert_eq!(file.external_uses(None, &file.scope(&BTreeMap::new())), Vec::<&ImageUse>::new());
    }

    #[test]
    fn bodies_of_here_documents_name_no_images() {
        let text = "FROM a\nRUN python3 - <<'PY' && \\\n  x\nFROM b\nprint(1 << 2)\nPY\nCOPY <<-\"E O F\" /x\n\tFROM c\n\tE O F\n\
                    FROM d\n";
        assert_eq!(uses(text, None), [("d".into(), 10)]);
        let places: Vec<_> = parse(text).instructions.iter().map(|place| (place.line, place.end_line)).collect();
        assert_eq!(places, [(1, 1), (2, 6), (7, 9), (10, 10)]);
        assert!(Dockerfile::parse("f", b"FROM a\nRUN <<E\nx\n").unwrap_err().message.contains("never closed"));
    }

    #[test]
    fn what_is_no_dockerfile_is_refused_with_its_place() {
        let finding = *Dockerfile::parse("x/Dockerfile", b"FROM a\nFORM b\n").unwrap_err();
        assert_eq!((finding.span.line, finding.span.column), (2, 1));
        assert!(Dockerfile::parse("x/Dockerfile", b"\xff").is_err());
        assert!(Dockerfile::parse("x/Dockerfile", b"").is_err());
    }

    #[test]
    fn more_than_anybody_writes_is_refused() {
        let refusal = |text: &str| Dockerfile::parse("f", text.as_bytes()).unwrap_err().message;
        let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
        assert!(refusal(&lines(1_001, &|_| "FROM scratch\n".into())).contains("1001 stages, more than 1000"));
        let copies = lines(2_000, &|at| format!("COPY --from=r{at}/x a b\n"));
        assert!(refusal(&format!("FROM scratch\n{copies}")).contains("2001 references to images"));
        let args = lines(2_001, &|at| format!("ARG A{at}\n"));
        assert!(refusal(&format!("{args}FROM scratch\n")).contains("2001 arguments"));
        assert_eq!(refusal("FROM a\nRUN b\0\n"), "the Dockerfile holds a NUL");
    }

    #[test]
    fn heredocs_and_continuations_are_one_instruction() {
        let file = parse("FROM a\nRUN <<EOF\necho FROM b\nEOF\nRUN a \\\n && b\n");
        let places: Vec<_> = file.instructions.iter().map(|place| (place.line, place.end_line)).collect();
        assert_eq!(places, [(1, 1), (2, 4), (5, 6)]);
    }
}
