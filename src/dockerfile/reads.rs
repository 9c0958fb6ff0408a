//! What a Dockerfile reads of its build context: the sources of `COPY` and `ADD`, and bind mounts of `RUN`.

use parse_dockerfile::{Flag, Instruction, Source};

use super::{Dockerfile, Lines, prepare};

/// One place that reads the build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextRead {
    /// Which instruction.
    pub kind: ReadKind,
    /// The path as written, where it means itself; none when it may be any: a wildcard, a variable, an escape.
    pub path: Option<String>,
}

/// Instructions that read the build context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// `COPY`.
    Copy,
    /// `ADD`, which unpacks archives.
    Add,
    /// `RUN --mount=type=bind`.
    Mount,
}

/// Everything that makes a source more than a path, to some builder. JSON's own quotes are gone when it is looked at.
const SPECIAL: [char; 9] = ['*', '?', '[', '\\', '`', '$', '\'', '"', '^'];

/// Addresses that `ADD` fetches.
const SCHEMES: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];

/// What an instruction reads.
pub(super) fn of_instruction(instruction: &Instruction<'_>, lines: &Lines<'_>) -> Vec<ContextRead> {
    match instruction {
        Instruction::Copy(copy) => sources(ReadKind::Copy, &copy.options, &copy.src, lines),
        Instruction::Add(add) => sources(ReadKind::Add, &add.options, &add.src, lines),
        Instruction::Run(run) => run.options.iter().filter_map(mount).collect(),
        _ => Vec::new(),
    }
}

/// What a trigger reads, as the configuration of an image has it: an instruction without `ONBUILD`. None when it is no
/// instruction, and may read anything.
#[must_use]
pub fn of_trigger(trigger: &str) -> Option<Vec<ContextRead>> {
    let file = Dockerfile::parse("ONBUILD", format!("FROM scratch\n{trigger}\n").as_bytes()).ok()?;
    Some(file.stages.into_iter().flat_map(|stage| stage.reads).collect())
}

fn sources(kind: ReadKind, flags: &[Flag<'_>], sources: &[Source<'_>], lines: &Lines<'_>) -> Vec<ContextRead> {
    let from = flags.iter().filter(|flag| flag.name.value == "from").find_map(|flag| flag.value.as_ref());
    if kind == ReadKind::Copy && from.is_some_and(|from| !from.value.is_empty()) {
        return Vec::new();
    }
    let read = |source: &Source<'_>| {
        let Source::Path(path) = source else { return None };
        let written = lines.text.get(path.span.clone()).unwrap_or_default();
        if written.contains("<<") {
            // What only looks like a here-document may be any path.
            let is_one = prepare::here_document(written).is_some();
            return (!is_one).then_some(ContextRead { kind, path: None });
        }
        let value = path.value.as_ref();
        if kind == ReadKind::Add && SCHEMES.iter().any(|scheme| value.starts_with(scheme)) {
            return None;
        }
        let bare = written.trim_matches('"');
        let literal = !value.contains(SPECIAL) && !bare.contains(SPECIAL) && !value.contains(char::is_control);
        Some(ContextRead { kind, path: literal.then(|| value.to_owned()) })
    };
    sources.iter().filter_map(read).collect()
}

/// The context's part of `--mount=…`, if it is one.
fn mount(flag: &Flag<'_>) -> Option<ContextRead> {
    if flag.name.value != "mount" {
        return None;
    }
    let text = flag.value.as_ref().map_or("", |value| value.value.as_ref());
    let (mut kind, mut from, mut source) = ("bind", "", "");
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key.trim_matches(['"', '\'']).to_ascii_lowercase().as_str() {
            "type" => kind = value,
            "from" => from = value,
            "source" | "src" => source = value,
            _ => {}
        }
    }
    let anything = Some(ContextRead { kind: ReadKind::Mount, path: None });
    let is_plain = |text: &str| !text.contains(SPECIAL);
    if !is_plain(kind) {
        return anything;
    }
    // Kaniko takes `context` for the build context, and quotes have their own rules in each builder.
    let elsewhere = !from.trim_matches(['"', '\'']).is_empty() && from != "context";
    if elsewhere || matches!(kind, "cache" | "secret" | "ssh" | "tmpfs") {
        return None;
    }
    if text.contains(['"', '\'', '\\']) || !is_plain(source) || !from.is_empty() {
        return anything;
    }
    let path = if source.is_empty() { "/" } else { source };
    Some(ContextRead { kind: ReadKind::Mount, path: Some(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use crate::dockerfile::Dockerfile;

    /// What the last stage reads; `*` for anything.
    fn reads(line: &str) -> Vec<String> {
        let file = Dockerfile::parse("Dockerfile", format!("FROM scratch AS x\nFROM scratch\n{line}\n").as_bytes());
        let file = file.unwrap();
        file.stages[1].reads.iter().map(|read| read.path.clone().unwrap_or_else(|| "*".into())).collect()
    }

    #[test]
    fn literal_sources_are_told_from_what_may_be_anything() {
        for (line, expected) in [
            ("COPY a /x", &["a"][..]),
            ("copy --chown=0 ./a/b/ c /x/", &["./a/b/", "c"]),
            ("COPY [\"a b\", \"c\", \"/x/\"]", &["a b", "c"]),
            ("COPY [\"a\\u0062\", \"/x/\"]", &["*"]),
            ("COPY a \\\n  b \\\n  /x", &["a", "b"]),
            ("COPY *.c b /x", &["*", "b"]),
            ("COPY a? /x", &["*"]),
            ("COPY [a] /x", &["*"]),
            ("COPY $A /x", &["*"]),
            ("COPY \"a\" /x", &["*"]),
            ("COPY a\\ b /x", &["*", "b"]),
            ("COPY --from=x a* /x", &[]),
            ("COPY --from=0 a /x", &[]),
            ("COPY <<EOF /x\n$A *\nEOF", &[]),
            ("COPY a <<EOF /x\n*\nEOF", &["a"]),
            ("COPY a<<b /x", &["*"]),
            ("ADD a.tar /x", &["a.tar"]),
            ("ADD https://example.org/$V?x=* /x", &[]),
            ("ADD git@example.org:x.git#v1 /x", &[]),
            ("ADD $URL /x", &["*"]),
            ("RUN --mount=type=bind,source=a,target=/x make", &["a"]),
            ("RUN --mount=target=/x make", &["/"]),
            ("RUN --mount=type=bind,src=/a/b,dst=/x --mount=SOURCE=c,target=/y make", &["/a/b", "c"]),
            ("RUN --mount=type=bind,source=$A,target=/x make", &["*"]),
            ("RUN --mount=type=$T,target=/x make", &["*"]),
            ("RUN --mount=type=bind,\"source=a\",target=/x make", &["*"]),
            ("RUN --mount=from=context,target=/x make", &["*"]),
            ("RUN --mount=type=bind,from=x,source=a,target=/x make", &[]),
            ("RUN --mount=type=cache,target=/x --mount=type=secret,id=a --mount=type=tmpfs,target=/t make", &[]),
            ("RUN cat *", &[]),
            ("ENV A=*", &[]),
        ] {
            assert_eq!(reads(line), expected, "{line}");
        }
    }

    #[test]
    fn triggers_of_an_image_are_read_as_instructions() {
        let paths = |text: &str| {
            let reads = super::of_trigger(text)?;
            Some(reads.into_iter().map(|read| read.path.unwrap_or_else(|| "*".into())).collect::<Vec<_>>())
        };
        assert_eq!(paths("COPY . /app"), Some(vec![".".to_owned()]));
        assert_eq!(paths("COPY package.json src* /app/"), Some(vec!["package.json".to_owned(), "*".to_owned()]));
        assert_eq!(paths("RUN npm ci"), Some(Vec::new()));
        assert_eq!(paths("COPY --from=x a /a"), Some(Vec::new()));
        assert_eq!(paths("?"), None);
    }

    #[test]
    fn triggers_are_kept_apart() {
        let file = Dockerfile::parse("f", b"FROM scratch\nONBUILD COPY a /x\nONBUILD RUN x\n").unwrap();
        assert_eq!((file.stages[0].reads.len(), file.stages[0].trigger_reads.len()), (0, 1));
    }
}
