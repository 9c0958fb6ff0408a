//! Holds the tree of a file against the table of fields: unknown keys, wrong types, refused values, wherever they
//! stand, occurrences of a field after its first included. What depends on several fields is not decided here.

use std::fmt;

use super::Spans;
use super::fields::{self, Field, Kind, MAX_ENTRIES, Text};
use super::findings::Findings;
use super::node::{Entry, Node, NodeKind};
use super::rules::{self, Refusal};
use crate::diagnostic::{Span, escape_cut};

/// What was learnt on the way.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Where each value stands.
    pub(super) spans: Spans,
    /// Fields that unknown keys were probably meant to be: that these are absent is no news.
    pub(super) meant: Vec<&'static str>,
}

/// Checks the fields of a file.
pub(super) fn check(
    findings: &mut Findings<'_>,
    table: &'static [Field],
    entries: &[Entry],
    transports: &[String],
) -> Shape {
    let mut checker = Checker { findings, transports, shape: Shape::default() };
    checker.fields(table, entries, "");
    checker.shape
}

struct Checker<'f, 'a> {
    findings: &'f mut Findings<'a>,
    transports: &'f [String],
    shape: Shape,
}

/// An entry of a mapping, for people.
struct Member<'a> {
    path: &'a str,
    key: &'a str,
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}.{}`", self.path, escape_cut(self.key, 60))
    }
}

impl Checker<'_, '_> {
    fn fields(&mut self, table: &'static [Field], entries: &[Entry], prefix: &str) {
        for entry in entries {
            if self.findings.overflow() {
                return;
            }
            let Some(field) = fields::find(table, &entry.key) else {
                // An unknown field that is given twice was reported as such.
                if entry.nth == 0 {
                    self.unknown(table, entry, prefix);
                }
                continue;
            };
            let path = format!("{prefix}{}", field.name);
            self.record(&path, entry.nth, entry.value.span);
            if matches!(entry.value.kind, NodeKind::Null) {
                continue;
            }
            let fits = self.value(&entry.value, &field.kind, &format_args!("`{path}`"), &path, entry.nth);
            if fits && field.later && asks_for_something(&entry.value) {
                let finding = self.findings.error(entry.key_span, format!("`{path}` is not supported yet"));
                self.findings.push(finding);
            }
        }
    }

    fn record(&mut self, path: &str, nth: usize, span: Span) {
        if nth == 0 {
            self.shape.spans.0.entry(path.to_owned()).or_insert(span);
        }
    }

    fn unknown(&mut self, table: &'static [Field], entry: &Entry, prefix: &str) {
        let names = table.iter().map(|field| field.name);
        let mut finding =
            self.findings.error(entry.key_span, format!("unknown field `{prefix}{}`", escape_cut(&entry.key, 60)));
        let word = entry.key.replace('-', "_");
        if let Some(meant) = self.findings.nearest(&word, names) {
            finding.suggestion = Some(format!("did you mean `{meant}`?"));
            if prefix.is_empty() {
                self.shape.meant.push(meant);
            }
        }
        self.findings.push(finding);
    }

    /// Whether the value has the right type; its own parts may be wrong all the same.
    fn value(&mut self, node: &Node, kind: &'static Kind, subject: &dyn fmt::Display, path: &str, nth: usize) -> bool {
        let kind = match kind {
            Kind::Either(kinds) => kinds.iter().find(|kind| has_type(node, kind)).unwrap_or(kind),
            kind => kind,
        };
        if !has_type(node, kind) {
            self.wrong_type(node, kind, subject);
            return false;
        }
        match (kind, &node.kind) {
            (Kind::Text(sort), NodeKind::Scalar { text, .. }) => self.text(node, text, sort, subject),
            (Kind::Choice(words), NodeKind::Scalar { text, .. }) => self.choice(node, text, words, subject),
            (Kind::Number(most), NodeKind::Scalar { text, .. }) => {
                if let Err(refusal) = rules::number(text, *most) {
                    self.refuse(node, node.span, subject, refusal);
                }
            }
            (Kind::List(kind), NodeKind::Seq(nodes)) => self.list(nodes, kind, subject, path, nth),
            (Kind::Mapping(key, kind), NodeKind::Map(entries)) => {
                let first = entries.get(MAX_ENTRIES).map(|entry| entry.key_span);
                self.limited(first, entries.len(), "mapping", subject);
                for entry in entries.iter().take(MAX_ENTRIES) {
                    self.mapping_entry(entry, key, kind, path, nth);
                }
            }
            (Kind::Fields(table), NodeKind::Map(entries)) => self.fields(table, entries, &format!("{path}.")),
            _ => {}
        }
        true
    }

    fn list(&mut self, nodes: &[Node], kind: &'static Kind, subject: &dyn fmt::Display, path: &str, nth: usize) {
        self.limited(nodes.get(MAX_ENTRIES).map(|node| node.span), nodes.len(), "list", subject);
        for (index, node) in nodes.iter().take(MAX_ENTRIES).enumerate() {
            let item = format!("{path}[{index}]");
            self.record(&item, nth, node.span);
            self.value(node, kind, &format_args!("an entry of {subject}"), &item, nth);
        }
    }

    /// Refuses more than [`MAX_ENTRIES`]; `first` is the place of the first too many.
    fn limited(&mut self, first: Option<Span>, count: usize, what: &str, subject: &dyn fmt::Display) {
        let Some(first) = first else { return };
        let finding = self.findings.error(first, format!("{subject} has {count} entries"));
        self.findings.push(finding.note(format!("a {what} has at most {MAX_ENTRIES}; this is the first too many")));
    }

    fn mapping_entry(&mut self, entry: &Entry, key: &'static Text, kind: &'static Kind, path: &str, nth: usize) {
        if let Err(refusal) = (key.rule)(&entry.key, self.transports) {
            let node = Node::scalar(entry.key_span, &entry.key);
            self.refuse(&node, entry.key_span, &format_args!("`{path}`"), refusal);
            return;
        }
        let item = format!("{path}.{}", entry.key);
        self.record(&item, nth.max(entry.nth), entry.value.span);
        let subject = Member { path, key: &entry.key };
        if matches!(entry.value.kind, NodeKind::Null) {
            let finding = self.findings.error(entry.key_span, format!("{subject} has no value"));
            self.findings.push(finding.note("an empty value is written `\"\"`"));
            return;
        }
        self.value(&entry.value, kind, &subject, &item, nth);
    }

    fn text(&mut self, node: &Node, text: &str, sort: &'static Text, subject: &dyn fmt::Display) {
        if let Err(refusal) = (sort.rule)(text, self.transports) {
            self.refuse(node, node.span, subject, refusal);
        }
    }

    fn choice(&mut self, node: &Node, text: &str, words: &'static [&'static str], subject: &dyn fmt::Display) {
        if words.contains(&text) {
            return;
        }
        let mut finding = self.findings.error(node.span, format!("{subject} cannot be `{}`", escape_cut(text, 60)));
        finding.suggestion =
            self.findings.nearest(text, words.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
        self.findings.push(finding.note(format!("one of {}", words.join(", "))));
    }

    fn refuse(&mut self, node: &Node, span: Span, subject: &dyn fmt::Display, refusal: Refusal) {
        let place = refusal.part.and_then(|(offset, length)| node.part(offset, length)).unwrap_or(span);
        let mut finding = self.findings.error(place, format!("{subject} {}", refusal.what));
        finding.suggestion = refusal.meant;
        self.findings.push(match refusal.note {
            Some(note) => finding.note(note),
            None => finding,
        });
    }

    fn wrong_type(&mut self, node: &Node, kind: &'static Kind, subject: &dyn fmt::Display) {
        let found = match &node.kind {
            NodeKind::Null => "nothing",
            NodeKind::Scalar { .. } => "text",
            NodeKind::Seq(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        };
        let mut finding = self.findings.error(node.span, format!("{subject} must be {}, not {found}", expected(kind)));
        finding.suggestion = meant(node, kind);
        self.findings.push(finding);
    }
}

/// What a value must be, for people.
fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_owned(),
        Kind::Text(_) | Kind::Choice(_) => "text".to_owned(),
        Kind::Number(_) => "a number".to_owned(),
        Kind::List(_) => "a list".to_owned(),
        Kind::Mapping(..) | Kind::Fields(_) => "a mapping".to_owned(),
        Kind::Either(kinds) => kinds.iter().map(expected).collect::<Vec<_>>().join(" or "),
    }
}

fn has_type(node: &Node, kind: &Kind) -> bool {
    match (kind, &node.kind) {
        (Kind::Flag, NodeKind::Scalar { text, plain }) => *plain && matches!(&**text, "true" | "false"),
        (Kind::Number(_), NodeKind::Scalar { plain, .. }) => *plain,
        (Kind::Either(kinds), _) => kinds.iter().any(|kind| has_type(node, kind)),
        (Kind::Text(_) | Kind::Choice(_), NodeKind::Scalar { .. })
        | (Kind::List(_), NodeKind::Seq(_))
        | (Kind::Mapping(..) | Kind::Fields(_), NodeKind::Map(_)) => true,
        _ => false,
    }
}

/// What a value of the wrong type was probably meant to be.
fn meant(node: &Node, kind: &'static Kind) -> Option<String> {
    let short = |text: &str| (text.len() <= 60).then(|| escape_cut(text, 60));
    let meant = match (kind, &node.kind) {
        (Kind::Either(kinds), _) => return kinds.iter().find_map(|kind| meant(node, kind)),
        (Kind::Flag, NodeKind::Scalar { text, .. }) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => "true".to_owned(),
            "false" | "no" | "off" | "n" | "0" => "false".to_owned(),
            _ => return None,
        },
        (Kind::Number(most), NodeKind::Scalar { text, .. }) if rules::number(text, *most).is_ok() => short(text)?,
        (Kind::List(Kind::Text(_)), NodeKind::Scalar { text, .. }) => format!("[{}]", short(text)?),
        // `KEY: VALUE` as an entry of a list is a mapping of its own.
        (Kind::Text(sort), NodeKind::Map(entries)) if sort.word == "`KEY=VALUE`" => match entries.as_slice() {
            [Entry { key, value: Node { kind: NodeKind::Scalar { text, .. }, .. }, .. }] => {
                format!("{}={}", short(key)?, short(text)?)
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("did you mean `{meant}`?"))
}

/// `false`, `[]` and `{}` ask for nothing.
fn asks_for_something(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Null => false,
        NodeKind::Scalar { text, plain } => !(*plain && &**text == "false"),
        NodeKind::Seq(nodes) => !nodes.is_empty(),
        NodeKind::Map(entries) => !entries.is_empty(),
    }
}
