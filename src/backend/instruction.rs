//! From what a builder said to the line of the Dockerfile.

use std::ops::Range;

/// What a line of a builder's output says of the instruction that is being executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The instruction's text, white space collapsed.
    Text(String),
    /// Its line in the Dockerfile.
    Line(usize),
    /// That all are done.
    Nothing,
}

/// Keywords of a Dockerfile.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Said {
    /// The text of an instruction; none if it does not begin with a keyword.
    pub(super) fn instruction(text: &str) -> Option<Self> {
        let text = collapse(text);
        let keyword = text.split(' ').next()?;
        KEYWORDS.contains(&keyword.to_ascii_uppercase().as_str()).then_some(Self::Text(text))
    }
}

/// `path/Dockerfile:12` on a line of its own, as BuildKit prints it.
pub(super) fn file_and_line(line: &str) -> Option<Said> {
    let (file, number) = line.trim_end().rsplit_once(':')?;
    let plain = !file.is_empty() && !file.starts_with([' ', '#']) && !file.contains(": ");
    let number = number.parse().ok()?;
    (plain && number > 0).then_some(Said::Line(number))
}

/// An instruction of a Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Line it begins on, from 1.
    pub line: usize,
    /// Its text, continuation lines joined and white space collapsed.
    pub text: String,
    /// The stage: its name, or its number from 0; none above the first `FROM`.
    pub stage: Option<String>,
}

/// The instructions of a Dockerfile, none for a file that cannot be read.
#[must_use]
pub fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let Some(blanked) = crate::dockerfile::without_here_documents(dockerfile) else { return Vec::new() };
    let Ok(parsed) = parse_dockerfile::parse(&blanked) else { return Vec::new() };
    let escape = parsed.parser_directives.escape.as_ref().map_or('\\', |directive| directive.value.value);
    let starts: Vec<usize> = parsed.instructions.iter().map(start_of).collect();
    let (mut stages, mut stage) = (0usize, None);
    let mut found = Vec::new();
    for (index, instruction) in parsed.instructions.iter().enumerate() {
        let start = starts[index];
        let end = starts.get(index + 1).copied().unwrap_or(dockerfile.len());
        if let parse_dockerfile::Instruction::From(from) = instruction {
            stage = Some(from.as_.as_ref().map_or_else(|| stages.to_string(), |(_, name)| name.value.to_string()));
            stages += 1;
        }
        found.push(Instruction {
            line: 1 + dockerfile.get(..start).unwrap_or_default().matches('\n').count(),
            text: join_lines((dockerfile, &blanked), start..end, escape),
            stage: stage.clone(),
        });
    }
    found
}

/// The instruction that a builder spoke of last, if it can be told.
#[must_use]
pub fn locate<'a>(said: &Said, instructions: &'a [Instruction]) -> Option<&'a Instruction> {
    match said {
        Said::Nothing => None,
        Said::Line(line) => instructions.iter().rev().find(|instruction| instruction.line <= *line),
        Said::Text(text) => {
            // Builders print arguments expanded or quoted anew now and then: what is not found word for word is
            // the only instruction that begins alike, or unknown.
            let exact: Vec<_> = instructions.iter().filter(|instruction| same(&instruction.text, text)).collect();
            match exact[..] {
                [one] => Some(one),
                [] => {
                    let start: String = text.chars().take(24).collect();
                    let mut alike = instructions.iter().filter(|instruction| instruction.text.starts_with(&start));
                    alike.next().filter(|_| alike.next().is_none())
                }
                // The same words in several stages.
                _ => None,
            }
        }
    }
}

/// Buildah prints the exec form without its brackets.
fn same(written: &str, said: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !matches!(c, '[' | ']' | '"' | ',' | ' ')).collect::<String>();
    written == said || (written.contains('[') && plain(written) == plain(said))
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lines of the first text of which the second, as long as it, has something left.
fn join_lines((text, blanked): (&str, &str), range: Range<usize>, escape: char) -> String {
    let (text, blanked) = (text.get(range.clone()).unwrap_or_default(), blanked.get(range).unwrap_or_default());
    let lines = text.lines().map(str::trim).zip(blanked.lines().map(str::trim));
    let lines = lines.filter(|(_, left)| !left.is_empty() && !left.starts_with('#'));
    let lines = lines.map(|(line, _)| line);
    collapse(&lines.map(|line| line.strip_suffix(escape).unwrap_or(line)).collect::<Vec<_>>().join(" "))
}

fn start_of(instruction: &parse_dockerfile::Instruction<'_>) -> usize {
    use parse_dockerfile::Instruction as I;
    let keyword = match instruction {
        I::Add(i) => &i.add,
        I::Arg(i) => &i.arg,
        I::Cmd(i) => &i.cmd,
        I::Copy(i) => &i.copy,
        I::Entrypoint(i) => &i.entrypoint,
        I::Env(i) => &i.env,
        I::Expose(i) => &i.expose,
        I::From(i) => &i.from,
        I::Healthcheck(i) => &i.healthcheck,
        I::Label(i) => &i.label,
        I::Maintainer(i) => &i.maintainer,
        I::Onbuild(i) => &i.onbuild,
        I::Run(i) => &i.run,
        I::Shell(i) => &i.shell,
        I::Stopsignal(i) => &i.stopsignal,
        I::User(i) => &i.user,
        I::Volume(i) => &i.volume,
        I::Workdir(i) => &i.workdir,
        _ => return 0,
    };
    keyword.span.start
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "ARG V=1\nFROM scratch AS build\n# a comment\nRUN make \\\n  # inside\n  all\n\n\
                        FROM build\nRUN [\"/bin/x\", \"a b\"]\nRUN make all\n";

    #[test]
    fn instructions_have_line_text_and_stage() {
        let found: Vec<_> = instructions(FILE).into_iter().map(|i| (i.line, i.text, i.stage)).collect();
        let stage = |name: &str| Some(name.to_owned());
        assert_eq!(
            found,
            [
                (1, "ARG V=1".to_owned(), None),
                (2, "FROM scratch AS build".to_owned(), stage("build")),
                (4, "RUN make all".to_owned(), stage("build")),
                (8, "FROM build".to_owned(), stage("1")),
                (9, "RUN [\"/bin/x\", \"a b\"]".to_owned(), stage("1")),
                (10, "RUN make all".to_owned(), stage("1")),
            ]
        );
        assert!(instructions("NOT A DOCKERFILE").is_empty());
    }

    #[test]
    fn what_a_builder_said_is_found_and_never_guessed() {
        let instructions = instructions(FILE);
        let line = |said: Option<Said>| locate(&said.unwrap(), &instructions).map(|found| found.line);
        assert_eq!(line(Said::instruction("RUN  [\"/bin/x\",\"a b\"]")), Some(9));
        assert_eq!(line(Said::instruction("FROM scratch AS build")), Some(2));
        assert_eq!(line(Said::instruction("RUN make all")), None);
        assert_eq!(line(Said::instruction("RUN something else")), None);
        assert_eq!(line(Some(Said::Line(5))), Some(4));
        assert_eq!(line(Some(Said::Nothing)), None);
        assert_eq!(Said::instruction("Taking snapshot"), None);
    }

    #[test]
    fn a_file_and_line_stands_alone() {
        assert_eq!(file_and_line("Dockerfile:12"), Some(Said::Line(12)));
        assert_eq!(file_and_line("docker/app.Dockerfile:3"), Some(Said::Line(3)));
        for other in ["error: x:12", "#5 0.1 main.go:7", "main.go:7:2: x", "12", ":1", "Dockerfile:0"] {
            assert_eq!(file_and_line(other), None, "{other}");
        }
    }
}
