//! Comments that silence a rule where it stands: `# hephy: ignore=latest-base,unpinned-base`.
//!
//! A comment on a line of its own speaks of the next line that is none; in YAML, one behind a value speaks of its own
//! line as well. Dockerfiles have no comments behind an instruction. A rule that does not exist is an error, and a comment
//! that silences nothing is a finding of its own.

use std::collections::BTreeMap;

use super::rules::UNUSED_IGNORE;
use super::{Level, RULES, find};
use crate::diagnostic::{Diagnostic, Span, nearest};

const BEGINS: &str = "hephy: ignore=";

/// How comments are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A configuration file.
    Yaml,
    /// A Dockerfile.
    Dockerfile,
}

/// One name in a comment.
#[derive(Debug, PartialEq, Eq)]
struct Silence {
    name: String,
    span: Span,
    /// The line that the comment speaks of, beside its own.
    next: usize,
}

/// A file that comments may stand in.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its text.
    pub text: String,
    /// How comments are written in it.
    pub language: Language,
    /// The level of `unused-ignore` for it.
    pub unused: Level,
}

/// Takes away what comments silence, and adds what is wrong with the comments. `findings` are all those of the
/// `sources`, which stand under the names of their files.
#[must_use]
pub fn apply(findings: Vec<Diagnostic>, sources: &BTreeMap<String, Source>) -> Vec<Diagnostic> {
    let mut kept = findings;
    for (file, source) in sources {
        let silences = silences(source);
        if silences.is_empty() {
            continue;
        }
        let mut used = vec![false; silences.len()];
        kept.retain(|finding| {
            let Some(rule) = finding.rule.filter(|_| finding.file == *file) else { return true };
            let line = finding.span.line;
            let mut silenced = false;
            for (silence, used) in silences.iter().zip(&mut used) {
                if silence.name == rule && (line == silence.span.line || line == silence.next) {
                    (silenced, *used) = (true, true);
                }
            }
            !silenced
        });
        kept.extend(silences.iter().zip(used).filter_map(|(silence, used)| complaint(file, source, silence, used)));
    }
    kept
}

fn complaint(file: &str, source: &Source, silence: &Silence, used: bool) -> Option<Diagnostic> {
    if find(&silence.name).is_none() {
        let message = format!("there is no rule `{}`", crate::diagnostic::escape_cut(&silence.name, 60));
        let finding = Diagnostic::error(file, silence.span, message);
        let near = nearest(&silence.name, RULES.iter().map(|rule| rule.name)).filter(|_| silence.name.len() <= 64);
        return Some(match near {
            Some(near) => finding.suggest(format!("did you mean `{near}`?")),
            None => finding.note("hephy's docs/lint.md lists the rules"),
        });
    }
    if used {
        return None;
    }
    let message = format!("`{}` finds nothing here", silence.name);
    super::Found::new(&UNUSED_IGNORE, file, silence.span, message).diagnostic(source.unused)
}

/// Everything that the comments of a file silence.
fn silences(source: &Source) -> Vec<Silence> {
    if !source.text.contains(BEGINS) {
        return Vec::new();
    }
    // What looks like a comment in a here-document is none.
    let blanked = match source.language {
        Language::Dockerfile => crate::dockerfile::without_here_documents(&source.text),
        Language::Yaml => None,
    };
    let text = blanked.as_deref().unwrap_or(&source.text);
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').collect();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(comment) = comment(line, source.language) else { continue };
        let next = lines.iter().skip(at + 1).position(is_code).map_or(at + 1, |skipped| at + 2 + skipped);
        // A comment behind a value speaks of that line alone.
        let next = if is_code(line) { at + 1 } else { next };
        let Some(names) = line[comment..].trim_start_matches('#').trim_start().strip_prefix(BEGINS) else { continue };
        let names = &names[..end_of_names(names)];
        let mut offset = line.len() - line[comment..].len() + line[comment..].find(BEGINS).unwrap_or_default();
        offset += BEGINS.len();
        for written in names.split(',') {
            let name = written.trim();
            let before = written.len() - written.trim_start().len();
            let column = line[..offset + before].chars().count() + 1;
            let span = Span::new(at + 1, column, name.chars().count().max(1));
            found.push(Silence { name: name.to_owned(), span, next });
            offset += written.len() + 1;
        }
    }
    found
}

/// The names end at the first space that stands behind no comma, so that a reason may follow.
fn end_of_names(text: &str) -> usize {
    let mut expects = true;
    for (at, character) in text.char_indices() {
        match character {
            ',' => expects = true,
            ' ' | '\t' if expects => {}
            ' ' | '\t' | '\r' => return at,
            _ => expects = false,
        }
    }
    text.len()
}

/// Where the comment of a line begins.
fn comment(line: &str, language: Language) -> Option<usize> {
    let start = line.len() - line.trim_start().len();
    if line[start..].starts_with('#') {
        return Some(start);
    }
    if language == Language::Dockerfile {
        return None;
    }
    let (mut quote, mut before, mut escaped) = (None, ' ', false);
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return Some(at),
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => quote = Some(character),
            // What an escaped quote stands in goes on.
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), _) if open == character && !escaped => quote = None,
            _ => {}
        }
        (before, escaped) = (character, false);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str, language: Language) -> Source {
        Source { text: text.to_owned(), language, unused: Level::Warning }
    }

    fn shown(text: &str, language: Language) -> Vec<String> {
        let found = silences(&source(text, language));
        found.iter().map(|it| format!("{}:{}-{} {}", it.span.line, it.span.column, it.next, it.name)).collect()
    }

    #[test]
    fn a_comment_speaks_of_the_next_line_and_in_yaml_of_its_own() {
        let dockerfile = "# hephy: ignore=latest-base,unpinned-base because of x\n\n# another\nFROM a\n\
                          FROM b # hephy: ignore=latest-base\nRUN <<E\n# hephy: ignore=latest-base\nE\n";
        assert_eq!(shown(dockerfile, Language::Dockerfile), ["1:17-4 latest-base", "1:29-4 unpinned-base"]);
        let yaml = "a: b # hephy: ignore=x\nc: '# hephy: ignore=y' #hephy: ignore=z\n  # hephy: ignore=w\nd: e#hephy: ignore=v\n";
        assert_eq!(shown(yaml, Language::Yaml), ["1:22-1 x", "2:39-2 z", "3:19-4 w"]);
        assert_eq!(shown("# hephy: ignore=x, yy\t,z for now, of course", Language::Yaml), ["1:17-1 x", "1:20-1 yy"]);
        assert_eq!(shown("# hephy: ignore=", Language::Yaml), ["1:17-1 "]);
        assert_eq!(shown("ä: 'it''s' # hephy: ignore=x", Language::Yaml), ["1:28-1 x"]);
        assert_eq!(shown(r#"a: "\" # hephy: ignore=x" # hephy: ignore=y"#, Language::Yaml), ["1:43-1 y"]);
        assert_eq!(shown(r#"a: "\\" # hephy: ignore=x"#, Language::Yaml), ["1:25-1 x"]);
        assert_eq!(shown("\u{feff}# hephy: ignore=x\r\na: b\r\n", Language::Yaml), ["1:17-2 x"]);
    }

    fn finding(rule: &'static str, line: usize) -> Diagnostic {
        let mut finding = Diagnostic::error("f", Span::new(line, 1, 1), rule);
        finding.rule = Some(rule);
        finding
    }

    #[test]
    fn what_is_silenced_goes_and_what_silences_nothing_is_said() {
        let text = "# hephy: ignore=latest-base\nFROM a\n# hephy: ignore=unpinned-base\nFROM b\n# hephy: ignore=latst-base\nFROM c\n";
        let sources = BTreeMap::from([("f".to_owned(), source(text, Language::Dockerfile))]);
        let mut plain = Diagnostic::error("f", Span::new(2, 1, 1), "no rule's");
        plain.severity = crate::diagnostic::Severity::Warning;
        let found = vec![finding("latest-base", 2), finding("latest-base", 4), finding("unpinned-base", 2), plain];
        let left: Vec<String> =
            apply(found, &sources).iter().map(|it| format!("{} {}", it.span.line, it.message)).collect();
        assert_eq!(
            left,
            [
                "4 latest-base",
                "2 unpinned-base",
                "2 no rule's",
                "3 `unpinned-base` finds nothing here",
                "5 there is no rule `latst-base`",
            ]
        );
    }
}
