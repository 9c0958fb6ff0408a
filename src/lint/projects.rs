//! Rules about projects that another builder builds faster.

use super::rules::{SLOW_GO_BUILD, SLOW_SPIN_BUILD};
use super::{Found, Subject};
use crate::diagnostic::Span;
use crate::dockerfile::{Dockerfile, Place};

pub(super) fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    let Some((file, dockerfile)) = subject.dockerfile.filter(|_| subject.backend.reads_dockerfile()) else { return };
    if subject.has_spin_manifest {
        let message = "spin.toml lies here, and the Dockerfile builds it".to_owned();
        found.push(Found::new(&SLOW_SPIN_BUILD, subject.file, subject.context_place(), message));
    }
    if let Some(build) = only_go_build(dockerfile).filter(|_| subject.config.target.is_none()) {
        let shown = dockerfile.text_of(build).lines().next().map_or(1, |line| line.chars().count().max(1));
        let message = "this Dockerfile does nothing but compile a Go program".to_owned();
        found.push(Found::new(&SLOW_GO_BUILD, file, Span::new(build.line, 1, shown), message));
    }
}

/// The instruction that compiles, where a Dockerfile has one stage of Go commands, and one that copies the program out of it
/// into an image that is empty or distroless.
fn only_go_build(dockerfile: &Dockerfile) -> Option<&Place> {
    let [builder, result] = dockerfile.stages.as_slice() else { return None };
    let last = |image: &str| image.rsplit('/').next().unwrap_or_default().to_owned();
    let is_go = last(&builder.from.text).split([':', '@']).next() == Some("golang");
    let base = result.from.text.as_str();
    let is_bare = base == "scratch" || base.contains("distroless") || last(base).starts_with("static");
    if !is_go || !is_bare {
        return None;
    }
    let of_stage = |index: usize| dockerfile.instructions.iter().filter(move |place| place.stage == Some(index));
    let mut builds = Vec::new();
    for place in of_stage(0) {
        let (keyword, rest) = split(dockerfile.text_of(place));
        match keyword.as_str() {
            "RUN" => builds.extend(go_commands(&rest)?.then_some(place)),
            "FROM" | "WORKDIR" | "COPY" | "ARG" | "ENV" | "LABEL" => {}
            _ => return None,
        }
    }
    let mut programs = 0;
    for place in of_stage(1) {
        let (keyword, rest) = split(dockerfile.text_of(place));
        match keyword.as_str() {
            // What is not out of the first stage, ko would have to be given in another way.
            "COPY" if !rest.contains("--from=") => return None,
            "COPY" if rest.contains("/etc/ssl/") || rest.contains("/etc/passwd") || rest.contains("/zoneinfo") => {}
            "COPY" if copies_one_file(&rest) => programs += 1,
            "COPY" => return None,
            "FROM" | "ENTRYPOINT" | "CMD" | "USER" | "WORKDIR" | "EXPOSE" | "LABEL" | "ARG" | "ENV" => {}
            _ => return None,
        }
    }
    match builds.as_slice() {
        [build] if programs == 1 => Some(build),
        _ => None,
    }
}

/// Whether a `COPY` takes what can only be one file: neither several sources, nor a pattern, nor a directory.
fn copies_one_file(rest: &str) -> bool {
    let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
    let source = words.next().unwrap_or_default();
    let unclear = ['*', '?', '[', '$', '\\', '"'];
    words.count() == 1 && !source.contains(unclear) && !source.ends_with(['/', '.'])
}

/// The keyword of an instruction in capitals, and the rest as one line.
fn split(instruction: &str) -> (String, String) {
    let (keyword, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    let lines = rest.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.map(|line| line.trim_end().trim_end_matches('\\')).collect::<Vec<_>>().join(" ");
    (keyword.to_uppercase(), text)
}

/// Whether a RUN that holds nothing but commands of `go` compiles; none for one that does something else, or what another
/// builder would not do (cgo, plugins, libraries).
fn go_commands(text: &str) -> Option<bool> {
    let special = ["CGO_ENABLED=1", "-buildmode", "|", "$(", "`", "<<", ">", "["];
    if special.iter().any(|word| text.contains(word)) {
        return None;
    }
    let mut compiles = false;
    for command in text.split(['&', ';']).map(str::trim).filter(|command| !command.is_empty()) {
        let is_setting = |word: &&str| word.starts_with("--") || word.contains('=') && !word.starts_with('-');
        let mut words = command.split_whitespace().skip_while(is_setting);
        match (words.next(), words.next()) {
            (Some("go"), Some("build" | "install")) if !compiles => compiles = true,
            (Some("go"), Some("mod" | "vet" | "env" | "version" | "test")) => {}
            _ => return None,
        }
    }
    Some(compiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<usize> {
        only_go_build(&Dockerfile::parse("Dockerfile", text.as_bytes()).unwrap()).map(|place| place.line)
    }

    const PLAIN: &str = "FROM golang:1.25 AS build\nWORKDIR /src\nCOPY . .\nRUN go mod download && \\\n  CGO_ENABLED=0 go \
                         build -o /app ./cmd\nFROM gcr.io/distroless/static\nCOPY --from=build /app /app\nENTRYPOINT \
                         [\"/app\"]\n";

    #[test]
    fn a_dockerfile_that_only_compiles_a_go_program() {
        assert_eq!(line(PLAIN), Some(4));
        for (from, to) in [
            ("gcr.io/distroless/static", "scratch"),
            (
                "golang:1.25",
                "--platform=$BUILDPLATFORM docker.io/library/golang:1.25-alpine@sha256:\
              0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ),
            ("RUN go mod", "RUN --mount=type=cache,target=/root/.cache go mod"),
            (
                "COPY . .",
                "ARG TARGETARCH\nENV GOFLAGS=-trimpath\nCOPY go.mod .\nRUN go mod verify; go vet ./...\nCOPY . .",
            ),
            ("COPY --from", "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\nCOPY --from"),
        ] {
            let text = PLAIN.replacen(from, to, 1);
            assert!(text != PLAIN && line(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn whatever_else_a_dockerfile_does_ko_would_not() {
        for (from, to) in [
            ("gcr.io/distroless/static", "alpine:3.22"),
            ("golang:1.25", "rust:1"),
            ("golang:1.25", "golang-builder:1"),
            ("RUN go mod download", "RUN apk add git"),
            ("RUN go mod download", "RUN make"),
            ("RUN go mod download", "RUN go generate ./..."),
            ("CGO_ENABLED=0", "CGO_ENABLED=1"),
            ("go build", "go build -buildmode=c-shared"),
            ("go build", "go tool compile"),
            ("go build -o", "go build -ldflags=\"-X v=$(git describe)\" -o"),
            ("ENTRYPOINT", "RUN true\nENTRYPOINT"),
            ("ENTRYPOINT", "COPY static /static\nENTRYPOINT"),
            ("ENTRYPOINT", "COPY --from=build /src/web /web\nENTRYPOINT"),
            ("COPY --from=build /app /app", "COPY --from=build /app/* /"),
            ("COPY --from=build /app /app", "COPY --from=build /app/ /"),
            ("COPY --from=build /app /app", "COPY --from=build /app /web /"),
            ("COPY --from=build /app /app", "COPY --from=build [\"/app\", \"/web\", \"/\"]"),
            ("ENTRYPOINT", "VOLUME /data\nENTRYPOINT"),
            ("FROM gcr", "FROM golang:1 AS two\nFROM gcr"),
            ("FROM golang:1.25 AS build\n", "FROM golang:1.25 AS build\nSHELL [\"/bin/bash\", \"-c\"]\n"),
        ] {
            let text = PLAIN.replacen(from, to, 1);
            assert!(text != PLAIN && line(&text).is_none(), "{text}");
        }
        let heredoc = PLAIN.replacen(
            "RUN go mod download && \\\n  CGO_ENABLED=0 go build -o /app ./cmd",
            "RUN <<E\ngo build .\nE",
            1,
        );
        assert!(heredoc != PLAIN && line(&heredoc).is_none(), "{heredoc}");
        assert_eq!(line("FROM scratch\n"), None);
    }
}
