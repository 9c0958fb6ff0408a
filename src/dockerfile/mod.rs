//! What hephy needs to know of a Dockerfile: its stages, its arguments, and every image it refers to.
//!
//! Parsing is `parse-dockerfile`'s; this room turns its tree into values that outlive the text, with lines and
//! byte ranges. Pure, and it never decides which images are ours: `plan` does.

mod difference;
mod expand;
mod features;
mod frontend;
mod meaning;
mod pattern;
mod pin;
mod prepare;
mod reads;
mod reference;
mod scope;

use std::ops::Range;

use parse_dockerfile::{Command, Instruction, UnescapedString};

use crate::diagnostic::{Diagnostic, Span};

pub use expand::{Expanded, Refusal};
pub use features::{Feature, FeatureUse};
pub use frontend::Frontend;
pub use meaning::{Meaning, Use};
pub use pin::{Pin, pin};
pub use reads::{ContextRead, ReadKind, of_trigger};
pub use reference::{ImageUse, UseKind};
pub use scope::{Arguments, References};

/// Largest Dockerfile that is read, in bytes. The largest ones in public repositories have some hundred KiB.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most stages of one file, and most references to images and stages, and arguments: each reference may be asked of
/// a registry, and names every stage above it. Files in public repositories have some tens.
const MAX_STAGES: usize = 1_000;
const MAX_REFERENCES: usize = 2_000;
const MAX_ARGS: usize = 2_000;

/// A parsed Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// What escapes a character: `\\`, or what a directive says.
    pub escape: char,
    /// Arguments before the first `FROM`.
    pub global_args: Vec<Arg>,
    /// Stages in order; never empty.
    pub stages: Vec<Stage>,
    /// What `# syntax=` lines name, and where; none of them is believed.
    pub syntax: Vec<(String, Span)>,
    /// Where each instruction stands, in order.
    pub instructions: Vec<Place>,
    /// The file as it was written.
    text: Box<str>,
}

/// `ARG name[=default]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its default as written: unexpanded, with quotes and escapes.
    pub default: Option<String>,
    /// Line, from 1.
    pub line: usize,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `AS name`, in lower case as builders compare it.
    pub name: Option<String>,
    /// Its base.
    pub from: ImageUse,
    /// Arguments declared in it.
    pub args: Vec<Arg>,
    /// `COPY --from` and `RUN --mount=from` in order.
    pub uses: Vec<ImageUse>,
    /// The same behind `ONBUILD`: they count in the stages that are built from this one.
    pub triggers: Vec<ImageUse>,
    /// What it reads of the build context.
    pub reads: Vec<ContextRead>,
    /// The same behind `ONBUILD`.
    pub trigger_reads: Vec<ContextRead>,
    /// Whether it has a `RUN`.
    pub runs: bool,
    /// What it asks of its builder.
    pub features: Vec<FeatureUse>,
    /// The same behind `ONBUILD`.
    pub triggered_features: Vec<FeatureUse>,
}

impl Stage {
    fn shrink(&mut self) {
        self.args.shrink_to_fit();
        self.uses.shrink_to_fit();
        self.reads.shrink_to_fit();
        self.features.shrink_to_fit();
    }

    fn note_features(&mut self, instruction: &Instruction<'_>, lines: &Lines<'_>, here_documents: &[Range<usize>]) {
        let range = instruction_range(instruction);
        let here = here_documents.binary_search_by_key(&range.start, |range| range.start).is_ok();
        let keyword = lines.span(&(range.start..range.start + 1));
        let behind = match instruction {
            Instruction::Onbuild(onbuild) => Some(&onbuild.instruction),
            _ => None,
        };
        self.features.extend(features::of_instruction(instruction, keyword, here && behind.is_none(), lines));
        let behind = behind.map(|behind| features::of_instruction(behind, keyword, here, lines));
        self.triggered_features.extend(behind.into_iter().flatten());
    }

    /// Everything that it refers to: its base, its uses, its triggers.
    pub fn images(&self) -> impl Iterator<Item = &ImageUse> {
        std::iter::once(&self.from).chain(&self.uses).chain(&self.triggers)
    }
}

/// Where an instruction stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// First line, from 1.
    pub line: usize,
    /// Last line.
    pub end_line: usize,
    /// Index of its stage; none for a global argument.
    pub stage: Option<usize>,
    /// Its bytes in the file, continuation lines included.
    start: usize,
    end: usize,
}

/// Offsets of line starts: from a byte offset to line and column.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// The text with blanks in place of all here-documents, byte for byte; none when one is never closed.
pub(crate) fn without_here_documents(text: &str) -> Option<String> {
    prepare::prepare(text).ok().map(|prepared| prepared.text)
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(crate) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    pub(crate) fn span(&self, range: &Range<usize>) -> Span {
        let line = self.line(range.start);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(start..range.start).map_or(0, |before| before.chars().count());
        let shown = self.text.get(range.clone()).map_or(1, |text| text.lines().next().unwrap_or("").chars().count());
        Span::new(line, column + 1, shown.max(1))
    }
}

impl Dockerfile {
    /// Parses the bytes of `file` (its name, for findings).
    ///
    /// # Errors
    /// One finding with its place, when the file is too large, is not UTF-8, or is not a Dockerfile.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Box<Diagnostic>> {
        let whole = |message: &str| Box::new(Diagnostic::error(file, Span::START, message));
        if bytes.len() > MAX_BYTES {
            return Err(Box::new(*whole("the Dockerfile is larger than 1 MiB")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("the Dockerfile is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find('\0') {
            // `plan` marks with NUL what it puts into references; no builder takes one either.
            let span = Lines::new(text).span(&(at..at + 1));
            return Err(Box::new(Diagnostic::error(file, span, "the Dockerfile holds a NUL").with_source(text)));
        }
        let prepared = prepare::prepare(text).map_err(|range| {
            let span = Lines::new(text).span(&range);
            Box::new(Diagnostic::error(file, span, "a here-document is never closed").with_source(text))
        })?;
        let parsed = parse_dockerfile::parse(&prepared.text).map_err(|error| {
            let sentence = error.to_string();
            // The library appends " at line L column C", which the finding says already.
            let message = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(message, _)| message);
            let span = Span::new(error.line().max(1), error.column().max(1), 1);
            Box::new(Diagnostic::error(file, span, message).with_source(text))
        })?;
        let dockerfile = Self::from_tree(&parsed, &Lines::new(text), &prepared.here_documents);
        match dockerfile.excess() {
            Some((count, most, what)) => Err(whole(&format!("the Dockerfile has {count} {what}, more than {most}"))),
            None => Ok(dockerfile),
        }
    }

    /// What the file has more of than anybody writes: how many, how many it may have, of what.
    fn excess(&self) -> Option<(usize, usize, &'static str)> {
        let references = self.stages.iter().map(|stage| stage.images().count()).sum();
        let counts = [
            (self.stages.len(), MAX_STAGES, "stages"),
            (references, MAX_REFERENCES, "references to images"),
            (self.declared_args().count(), MAX_ARGS, "arguments"),
        ];
        counts.into_iter().find(|(count, most, _)| count > most)
    }

    /// A finding in `file` for each `# syntax=` line that names a frontend which is not `allowed`.
    #[must_use]
    pub fn foreign_frontends(&self, file: &str, allowed: &[String]) -> Vec<Diagnostic> {
        frontend::refused(file, &self.syntax, allowed)
    }

    /// The frontend that BuildKit fetches for this file, if it is to fetch one.
    #[must_use]
    pub fn frontend(&self) -> Option<Frontend> {
        Frontend::of(&self.syntax)
    }

    fn from_tree(tree: &parse_dockerfile::Dockerfile<'_>, lines: &Lines<'_>, here_documents: &[Range<usize>]) -> Self {
        let escape = tree.parser_directives.escape.as_ref().map_or('\\', |directive| directive.value.value);
        let stages = tree.instructions.iter().filter(|it| matches!(it, Instruction::From(_))).count();
        // Exactly so much: thousands of Dockerfiles are kept at once.
        let mut dockerfile = Self {
            escape,
            global_args: Vec::new(),
            stages: Vec::with_capacity(stages),
            syntax: frontend::frontends(lines.text),
            instructions: Vec::with_capacity(tree.instructions.len()),
            text: lines.text.into(),
        };
        for instruction in &tree.instructions {
            if let Instruction::From(from) = instruction {
                dockerfile.stages.push(Stage {
                    name: from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()),
                    from: ImageUse::of_from(from, lines),
                    args: Vec::new(),
                    uses: Vec::new(),
                    triggers: Vec::new(),
                    reads: Vec::new(),
                    trigger_reads: Vec::new(),
                    runs: false,
                    features: Vec::new(),
                    triggered_features: Vec::new(),
                });
            }
            match (instruction, dockerfile.stages.last_mut()) {
                (Instruction::Arg(arg), None) => dockerfile.global_args.extend(args(&arg.arguments, lines, escape)),
                (Instruction::Arg(arg), Some(stage)) => stage.args.extend(args(&arg.arguments, lines, escape)),
                (Instruction::Onbuild(onbuild), Some(stage)) => {
                    stage.triggers.extend(ImageUse::of_instruction(&onbuild.instruction, lines));
                    stage.trigger_reads.extend(reads::of_instruction(&onbuild.instruction, lines));
                }
                (other, Some(stage)) => {
                    stage.runs |= matches!(other, Instruction::Run(_));
                    stage.uses.extend(ImageUse::of_instruction(other, lines));
                    stage.reads.extend(reads::of_instruction(other, lines));
                }
                _ => {}
            }
            if let Some(stage) = dockerfile.stages.last_mut() {
                stage.note_features(instruction, lines, here_documents);
            }
            let stage = dockerfile.stages.len().checked_sub(1);
            dockerfile.instructions.push(place(instruction, stage, lines, here_documents));
        }
        dockerfile.stages.iter_mut().for_each(Stage::shrink);
        dockerfile
    }

    /// An instruction as written, continuation lines included.
    #[must_use]
    pub fn text_of(&self, place: &Place) -> &str {
        self.text.get(place.start..place.end).unwrap_or_default().trim_end()
    }

    /// Names of all arguments that the file declares anywhere. Builders warn of, or refuse, others.
    pub fn declared_args(&self) -> impl Iterator<Item = &str> {
        let staged = self.stages.iter().flat_map(|stage| &stage.args);
        self.global_args.iter().chain(staged).map(|arg| arg.name.as_str())
    }
}

/// Splits `NAME=default NAME2` as the builders do: at spaces outside quotes.
fn args(arguments: &UnescapedString<'_>, lines: &Lines<'_>, escape: char) -> Vec<Arg> {
    let line = lines.line(arguments.span.start);
    expand::words(&arguments.value, escape)
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((name, default)) => Arg { name: name.to_owned(), default: Some(default.to_owned()), line },
            None => Arg { name: word, default: None, line },
        })
        .collect()
}

fn place(
    instruction: &Instruction<'_>,
    stage: Option<usize>,
    lines: &Lines<'_>,
    here_documents: &[Range<usize>],
) -> Place {
    let mut span = instruction_range(instruction);
    if let Ok(index) = here_documents.binary_search_by_key(&span.start, |range| range.start) {
        span.end = here_documents[index].end;
    }
    let (line, end_line) = (lines.line(span.start), lines.line(span.end.saturating_sub(1)));
    Place { line, end_line, stage, start: span.start, end: span.end }
}

/// The bytes of an instruction from its keyword to its last argument.
fn instruction_range(instruction: &Instruction<'_>) -> Range<usize> {
    let command_end = |command: &Command<'_>| match command {
        Command::Exec(words) => words.span.end,
        Command::Shell(text) => text.span.end,
        _ => 0,
    };
    match instruction {
        Instruction::Run(run) => run.run.span.start..command_end(&run.arguments),
        Instruction::Copy(copy) => copy.copy.span.start..copy.dest.span.end,
        Instruction::Add(add) => add.add.span.start..add.dest.span.end,
        Instruction::From(from) => {
            from.from.span.start..from.as_.as_ref().map_or(from.image.span.end, |(_, name)| name.span.end)
        }
        Instruction::Arg(arg) => arg.arg.span.start..arg.arguments.span.end,
        Instruction::Env(env) => env.env.span.start..env.arguments.span.end,
        Instruction::Cmd(cmd) => cmd.cmd.span.start..command_end(&cmd.arguments),
        Instruction::Entrypoint(entry) => entry.entrypoint.span.start..command_end(&entry.arguments),
        Instruction::Workdir(workdir) => workdir.workdir.span.start..workdir.arguments.span.end,
        Instruction::User(user) => user.user.span.start..user.arguments.span.end,
        other => instruction_keyword(other),
    }
}

fn instruction_keyword(instruction: &Instruction<'_>) -> Range<usize> {
    match instruction {
        Instruction::Expose(expose) => expose.expose.span.clone(),
        Instruction::Healthcheck(check) => check.healthcheck.span.clone(),
        Instruction::Label(label) => label.label.span.clone(),
        Instruction::Maintainer(maintainer) => maintainer.maintainer.span.clone(),
        Instruction::Onbuild(onbuild) => onbuild.onbuild.span.clone(),
        Instruction::Shell(shell) => shell.shell.span.clone(),
        Instruction::Stopsignal(stopsignal) => stopsignal.stopsignal.span.clone(),
        Instruction::Volume(volume) => volume.volume.span.clone(),
        _ => 0..0,
    }
}
