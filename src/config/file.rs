//! One configuration file: bytes → checked fields. What both files have in common.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::str;

use super::document;
use super::fields::Field;
use super::findings::{Findings, Source};
use super::node::{Entry, Node, NodeKind};
use super::rules::Checked;
use super::shape::{self, Shape};
use super::{MAX_BYTES, Parsed, Spans};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::lint::Level;
use crate::oci::Platform;

/// A file whose fields were held against their table, one by one.
pub(super) struct File<'a> {
    pub(super) findings: Findings<'a>,
    pub(super) shape: Shape,
    entries: Rc<Vec<Entry>>,
    /// The rest of the file could not be read, so that nothing can be said about what is missing.
    pub(super) partial: bool,
}

/// Reads a file; refused at once when it is too large or no UTF-8.
pub(super) fn open<'a>(
    name: &'a str,
    bytes: &'a [u8],
    table: &'static [Field],
    transports: &[String],
) -> Result<File<'a>, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has more than {} KiB", MAX_BYTES / 1024);
        return Err(vec![Diagnostic::error(name, Span::START, message)]);
    }
    let text = str::from_utf8(bytes).map_err(|wrong| vec![not_utf8(name, bytes, wrong.valid_up_to())])?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut findings = Findings::new(Source::new(name, text));
    forbidden_characters(text, &mut findings);
    let document = document::read(text, &mut findings);
    let entries = match document.root {
        Some(Node { kind: NodeKind::Map(entries), .. }) => entries,
        Some(Node { kind: NodeKind::Null, .. }) | None => Rc::default(),
        Some(node) => {
            let finding = findings.error(node.span, "the file must be a mapping of fields");
            findings.push(finding.note("a field is written `name: value`, with a space behind the colon"));
            return Err(findings.finish());
        }
    };
    let shape = shape::check(&mut findings, table, &entries, transports);
    Ok(File { findings, shape, entries, partial: document.partial })
}

fn not_utf8(name: &str, bytes: &[u8], at: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}').chars().count() + 1;
    let note = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16; save it as UTF-8",
        _ => "save it as UTF-8",
    };
    Diagnostic::error(name, Span::new(line, column, 1), "the file is not UTF-8").note(note)
}

/// Characters that YAML does not allow in a file (YAML 1.2.2 §5.1), one finding a line. A byte order mark is allowed
/// at the very start alone; it is invisible anywhere else, so quotes do not excuse it here.
fn forbidden_characters(text: &str, findings: &mut Findings<'_>) {
    const ESCAPES: &str = "in double quotes it is written as an escape, such as \"\\e\"";
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r')) {
        return;
    }
    let mut reported = 0;
    for (at, character) in text.chars().enumerate() {
        let (message, note) = match character {
            '\t' | '\n' | '\r' | '\u{85}' => continue,
            '\u{feff}' => ("a byte order mark inside the file", "one is allowed, as the first character of the file"),
            '\u{fffe}' | '\u{ffff}' => ("a control character", ESCAPES),
            character if character.is_control() => ("a control character", ESCAPES),
            _ => continue,
        };
        let span = findings.source.span(at, at + 1);
        if span.line != reported {
            reported = span.line;
            let finding = findings.error(span, message);
            findings.push(finding.note(note));
        }
    }
}

impl File<'_> {
    /// The first occurrence of a field, unless it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        find(&self.entries, name)
    }

    /// Whether a field is given, or was meant to be.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.shape.meant.contains(&name)
    }

    /// The place of a field's name; the start of the file for one that is absent.
    pub(super) fn key(&self, name: &str) -> Span {
        self.get(name).map_or(Span::START, |entry| entry.key_span)
    }

    /// Reports an error that concerns several fields.
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>, note: &str) {
        let finding = self.findings.error(span, message);
        self.findings.push(if note.is_empty() { finding } else { finding.note(note) });
    }

    /// Reports that a field does nothing here.
    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>) {
        let finding = self.findings.error(span, message).warning();
        self.findings.push(finding);
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match &self.get(name)?.value.kind {
            NodeKind::Scalar { text, plain: true } if &**text == "true" => Some(true),
            NodeKind::Scalar { text, plain: true } if &**text == "false" => Some(false),
            _ => None,
        }
    }

    pub(super) fn text<T>(&self, name: &str, rule: impl Fn(&str) -> Checked<T>) -> Option<T> {
        text(&self.entries, name, rule)
    }

    pub(super) fn list<T>(&self, name: &str, rule: impl Fn(&str) -> Checked<T>) -> Vec<T> {
        list(&self.entries, name, rule)
    }

    /// The levels of `lint`, each rule once.
    pub(super) fn lint(&self) -> BTreeMap<&'static str, Level> {
        let entries = self.mapping("lint").unwrap_or_default();
        let level = |entry: &Entry| match &entry.value.kind {
            NodeKind::Scalar { text, .. } if entry.nth == 0 => {
                Some((super::rules::lint_rule(&entry.key).ok()?, Level::of_word(text)?))
            }
            _ => None,
        };
        entries.iter().filter_map(level).collect()
    }

    /// The entries of a field that is a mapping.
    pub(super) fn mapping(&self, name: &str) -> Option<Rc<Vec<Entry>>> {
        match &self.get(name)?.value.kind {
            NodeKind::Map(entries) => Some(Rc::clone(entries)),
            _ => None,
        }
    }

    /// The `platforms` of the file, or those of another mapping in it: not empty, each once. None when absent.
    pub(super) fn platforms(&mut self, of: Option<(&str, &[Entry])>) -> Option<Vec<Platform>> {
        let (prefix, entries) = of.unwrap_or(("", &self.entries));
        let field = find(entries, "platforms")?.clone();
        let NodeKind::Seq(nodes) = &field.value.kind else { return None };
        if nodes.is_empty() {
            self.error(
                field.value.span,
                format!("`{prefix}platforms` is an empty list"),
                "leave it out for the default",
            );
        }
        let mut platforms: Vec<Platform> = Vec::new();
        for node in nodes.iter().take(super::fields::MAX_ENTRIES) {
            let NodeKind::Scalar { text, .. } = &node.kind else { continue };
            let Ok(platform) = super::rules::platform(text) else { continue };
            if platforms.contains(&platform) {
                self.error(node.span, format!("the platform `{platform}` is given twice"), "");
            } else {
                platforms.push(platform);
            }
        }
        Some(platforms)
    }

    /// The value, unless there are errors, and the findings.
    pub(super) fn finish<T>(self, value: T) -> Parsed<T> {
        let findings = self.findings.finish();
        let usable = !self.partial && findings.iter().all(|finding| finding.severity != Severity::Error);
        Parsed { value: usable.then_some(value), findings, spans: self.shape.spans }
    }
}

impl<T> Parsed<T> {
    /// A file that could not even be looked into.
    pub(super) fn refused(findings: Vec<Diagnostic>) -> Self {
        Self { value: None, findings, spans: Spans::default() }
    }
}

fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries
        .iter()
        .find(|entry| &*entry.key == name && entry.nth == 0)
        .filter(|entry| !matches!(entry.value.kind, NodeKind::Null))
}

/// The text of a field, where its rule takes it.
pub(super) fn text<T>(entries: &[Entry], name: &str, rule: impl Fn(&str) -> Checked<T>) -> Option<T> {
    match &find(entries, name)?.value.kind {
        NodeKind::Scalar { text, .. } => rule(text).ok(),
        _ => None,
    }
}

/// The entries of a list, as far as the rule takes them.
pub(super) fn list<T>(entries: &[Entry], name: &str, rule: impl Fn(&str) -> Checked<T>) -> Vec<T> {
    let Some(Entry { value: Node { kind: NodeKind::Seq(nodes), .. }, .. }) = find(entries, name) else {
        return Vec::new();
    };
    let scalars = nodes.iter().take(super::fields::MAX_ENTRIES).filter_map(|node| match &node.kind {
        NodeKind::Scalar { text, .. } => rule(text).ok(),
        _ => None,
    });
    scalars.collect()
}
