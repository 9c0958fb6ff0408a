//! The places where a Dockerfile names an image: `FROM`, `COPY --from`, `RUN --mount=from`.

use std::ops::Range;

use parse_dockerfile::{Flag, FromInstruction, Instruction};

use super::Lines;
use crate::diagnostic::Span;

/// One place that names an image or a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUse {
    /// Which instruction.
    pub kind: UseKind,
    /// The name as written, unexpanded. That of a `FROM` has its quotes; those of flags are gone, as in BuildKit.
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
            text: from.image.value.to_string(),
            platform: platform.and_then(|flag| flag.value.as_ref()).map(|value| value.value.to_string()),
            span: lines.span(&from.image.span),
            range: from.image.span.clone(),
        }
    }

    /// What an instruction other than `FROM` refers to.
    pub(super) fn of_instruction(instruction: &Instruction<'_>, lines: &Lines<'_>) -> Vec<Self> {
        match instruction {
            Instruction::Copy(copy) => Self::of_flags(&copy.options, UseKind::CopyFrom, lines),
            Instruction::Run(run) => Self::of_flags(&run.options, UseKind::MountFrom, lines),
            _ => Vec::new(),
        }
    }

    fn of_flags(flags: &[Flag<'_>], kind: UseKind, lines: &Lines<'_>) -> Vec<Self> {
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

#[cfg(test)]
mod tests {
    use crate::dockerfile::Dockerfile;

    fn parse(text: &str) -> Dockerfile {
        Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap()
    }

    fn images(text: &str) -> Vec<(String, usize)> {
        let file = parse(text);
        file.stages.iter().flat_map(|stage| stage.images()).map(|it| (it.text.clone(), it.span.line)).collect()
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
            let found = images(&format!("FROM a\nRUN --mount={mount} x\n"));
            assert_eq!(found.get(1).map(|(text, _)| text.as_str()), source, "{mount}");
        }
    }

    #[test]
    fn bodies_of_here_documents_name_no_images() {
        let text = "FROM a\nRUN python3 - <<'PY' && \\\n  x\nFROM b\nprint(1 << 2)\nPY\nCOPY <<-\"E O F\" /x\n\tFROM c\n\tE O F\n\
                    FROM d\n";
        assert_eq!(images(text), [("a".into(), 1), ("d".into(), 10)]);
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
