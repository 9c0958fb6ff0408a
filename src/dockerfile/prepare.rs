//! What a Dockerfile's text holds before its instructions are parsed: parser directives and here-documents.
//!
//! `parse-dockerfile` knows a here-document only right behind `RUN`, so it would take the bodies of all others for
//! instructions. Here they are blanked, byte for byte, by the rules of BuildKit's parser
//! (`frontend/dockerfile/parser`, `Parse` and `heredocsFromLine`): what is left parses, and offsets stay.

use std::ops::Range;

/// A text without here-documents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// As long as the original, with the same lines.
    pub(super) text: String,
    /// For each instruction with here-documents: where it begins, and where the last of them ends.
    pub(super) here_documents: Vec<Range<usize>>,
}

/// Blanks the here-documents. One that is never closed is given by the place of its instruction.
pub(super) fn prepare(text: &str) -> Result<Prepared, Range<usize>> {
    if memchr::memchr_iter(b'<', text.as_bytes()).nth(1).is_none() {
        return Ok(Prepared { text: text.to_owned(), here_documents: Vec::new() });
    }
    let escape = directive(text, "escape").filter(|value| *value == "`").map_or('\\', |_| '`');
    let lines: Vec<Range<usize>> = lines(text).collect();
    let mut bytes = text.as_bytes().to_vec();
    let mut here_documents = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let logical = Logical::read(text, &lines, &mut next, escape);
        if !logical.takes_here_documents() {
            continue;
        }
        let names = logical.here_documents();
        for pair in logical.characters.windows(2).filter(|pair| pair[0].1 == '<' && pair[1].1 == '<') {
            bytes[pair[0].0] = b'_';
            bytes[pair[1].0] = b'_';
        }
        let Some(start) = logical.characters.first().map(|(at, _)| *at).filter(|_| !names.is_empty()) else { continue };
        for (name, tabs) in names {
            loop {
                let line = lines.get(next).cloned().ok_or(start..lines[next - 1].end)?;
                next += 1;
                bytes[line.clone()].fill(b' ');
                let body = text[line].trim_end_matches('\r');
                if (if tabs { body.trim_start_matches('\t') } else { body }) == name {
                    break;
                }
            }
        }
        here_documents.push(start..lines[next - 1].end);
    }
    Ok(Prepared { text: String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned()), here_documents })
}

/// The value of a parser directive: they stand at the very top, and end with the first line that is none.
fn directive<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
    for line in text.lines() {
        let (name, value) = line.strip_prefix('#')?.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !matches!(name.as_str(), "syntax" | "escape" | "check") || value.is_empty() {
            return None;
        }
        if name == wanted {
            return Some(value);
        }
    }
    None
}

/// The byte ranges of lines without their ends.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split('\n').map(move |line| {
        let range = start..start + line.len();
        start = range.end + 1;
        range
    })
}

/// An instruction with its continuation lines, each character with its place.
struct Logical {
    characters: Vec<(usize, char)>,
}

impl Logical {
    fn read(text: &str, lines: &[Range<usize>], next: &mut usize, escape: char) -> Self {
        let mut characters: Vec<(usize, char)> = Vec::new();
        while let Some(range) = lines.get(*next) {
            *next += 1;
            let line = &text[range.clone()];
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                if characters.is_empty() {
                    break;
                }
                continue;
            }
            let from = if characters.is_empty() { line.len() - line.trim_start().len() } else { 0 };
            let kept = line.trim_end();
            // A doubled escape is itself and continues nothing.
            let continued = kept.strip_suffix(escape).filter(|rest| !rest.ends_with(escape));
            let part = continued.unwrap_or(kept);
            characters.extend(part.char_indices().filter(|(at, _)| *at >= from).map(|(at, c)| (range.start + at, c)));
            if continued.is_none() {
                break;
            }
        }
        Self { characters }
    }

    /// Whether the instruction is one of those that may have them, in its shell form.
    fn takes_here_documents(&self) -> bool {
        if !self.characters.windows(2).any(|pair| pair[0].1 == '<' && pair[1].1 == '<') {
            return false;
        }
        let text: String = self.characters.iter().map(|(_, character)| *character).collect();
        let mut words = text.split_whitespace().skip_while(|word| word.eq_ignore_ascii_case("onbuild"));
        let takes =
            words.next().is_some_and(|word| ["run", "copy", "add"].iter().any(|it| word.eq_ignore_ascii_case(it)));
        let arguments = text
            .find('[')
            .map(|at| &text[at..])
            .filter(|_| words.find(|word| !word.starts_with("--")).is_some_and(|word| word.starts_with('[')));
        takes && arguments.is_none_or(|list| serde_json::from_str::<Vec<String>>(list.trim()).is_err())
    }

    /// The names that end the here-documents, in order, and whether tabs in front do not count.
    fn here_documents(&self) -> Vec<(String, bool)> {
        self.words().iter().filter_map(|word| here_document(word)).collect()
    }

    /// Words with their quotes and escapes: white space inside quotes, or behind `\`, does not part them.
    fn words(&self) -> Vec<String> {
        let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
        for (_, character) in &self.characters {
            if escaped {
                escaped = false;
            } else if *character == '\\' && quote != Some('\'') {
                escaped = true;
            } else if quote == Some(*character) {
                quote = None;
            } else if quote.is_none() && matches!(character, '"' | '\'') {
                quote = Some(*character);
            } else if quote.is_none() && character.is_whitespace() {
                words.push(std::mem::take(&mut word));
                continue;
            }
            word.push(*character);
        }
        words.push(word);
        words
    }
}

/// `[digits]<<[-]NAME`, where the name may be quoted.
pub(super) fn here_document(word: &str) -> Option<(String, bool)> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let (mut name, mut quote, mut escaped) = (String::new(), None, false);
    for character in rest.chars() {
        if !escaped && quote == Some(character) {
            quote = None;
        } else if !escaped && quote.is_none() && matches!(character, '"' | '\'') {
            quote = Some(character);
        } else if !escaped && character == '\\' && quote != Some('\'') {
            escaped = true;
            continue;
        } else {
            name.push(character);
        }
        escaped = false;
    }
    Some((name, tabs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are left, and the number of here-documents.
    fn left(text: &str) -> (Vec<String>, usize) {
        let prepared = prepare(text).unwrap();
        assert_eq!(prepared.text.len(), text.len());
        assert_eq!(prepared.text.matches('\n').count(), text.matches('\n').count());
        let lines = prepared.text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        (lines.collect(), prepared.here_documents.len())
    }

    #[test]
    fn bodies_go_wherever_buildkit_sees_a_here_document() {
        for (text, first) in [
            ("RUN <<EOF\nFROM x\nEOF", "RUN __EOF"),
            ("RUN python3 - <<PY\nprint(1 << 2)\nPY", "RUN python3 - __PY"),
            ("run cat <<'EOF' | sh\n$B\nEOF", "run cat __'EOF' | sh"),
            ("RUN 3<<EOF x\nFROM y\nEOF", "RUN 3__EOF x"),
            ("RUN <<A cat <<B\nA\nFROM b\nB", "RUN __A cat __B"),
            ("COPY <<-\"E O F\" /x\n\tFROM b\n\t\tE O F", "COPY __-\"E O F\" /x"),
            ("ADD --chown=0 <<\\EOF /x\nFROM b\nEOF", "ADD --chown=0 __\\EOF /x"),
            ("ONBUILD RUN <<EOF\nFROM b\nEOF", "ONBUILD RUN __EOF"),
            ("RUN <<EOF\r\nFROM b\r\nEOF\r", "RUN __EOF"),
            ("RUN ['a'] <<EOF\nFROM b\nEOF", "RUN ['a'] __EOF"),
        ] {
            let (lines, count) = left(&format!("{text}\nFROM behind\n"));
            assert_eq!(
                (lines.as_slice(), count),
                ([first.to_owned(), "FROM behind".to_owned()].as_slice(), 1),
                "{text}"
            );
        }
        let (lines, _) = left("# escape=`\nRUN a `\n # c\n <<EOF\nFROM \\\nEOF\nFROM behind\n");
        assert_eq!(lines, ["# escape=`", "RUN a `", "# c", "__EOF", "FROM behind"]);
    }

    #[test]
    fn what_only_looks_like_one_takes_no_lines() {
        for text in [
            "RUN echo \"<<EOF\"",
            "RUN echo $((1 << 2))",
            "RUN echo <<<x",
            "RUN x<<EOF",
            "RUN [\"a\", \"<<EOF\"]",
            "RUN --network=none [\"<<EOF\"]",
            "ENV A=<<EOF",
            "# RUN <<EOF",
            "CMD <<EOF",
        ] {
            let (lines, count) = left(&format!("{text}\nFROM behind\n"));
            assert_eq!((lines.len(), lines.last().map(String::as_str), count), (2, Some("FROM behind"), 0), "{text}");
        }
    }

    #[test]
    fn one_that_is_never_closed_is_given_by_its_instruction() {
        assert_eq!(prepare("FROM a\nRUN <<EOF\nx\n EOF\n"), Err(7..24));
        assert_eq!(prepare("FROM a\nRUN <<EOF").map_err(|range| range.start), Err(7));
    }
}
