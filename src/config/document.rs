//! YAML text → a tree of nodes with places (specification §3, "The language is YAML 1.2").
//!
//! Nothing is interpreted: a scalar keeps the text that stands in the file, so `1.10`, `0x10` and `1e3` stay what
//! they are. Refused here, each with its place: syntax errors, a second document, custom tags, merge keys, keys that
//! are given twice or are no words, more than [`MAX_DEPTH`] levels, growth through aliases. The parser below works
//! event by event, so depth and size are checked before anything is built.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::rc::Rc;

use serde_yaml::granit_parser::{self as granit, Event, Parser, ScalarStyle, Tag};

use super::findings::Findings;
use super::node::{Entry, Node, NodeKind, Weight, fits, is_null};
use super::syntax;
use crate::diagnostic::{Span, escape_cut};

/// Deepest nesting of lists and mappings.
pub(super) const MAX_DEPTH: usize = 32;
/// Nodes that aliases may add to a file, all together.
const MAX_ALIAS_NODES: usize = 10_000;
/// Bytes of text that aliases may add to a file, all together.
const MAX_ALIAS_BYTES: usize = super::MAX_BYTES;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Document {
    /// None when the file is empty, or nothing of it could be read.
    pub(super) root: Option<Node>,
    /// The rest of the file could not be read: what is missing may stand there.
    pub(super) partial: bool,
}

/// Reads the one document of a file; problems go to `findings`.
pub(super) fn read(text: &str, findings: &mut Findings<'_>) -> Document {
    let mut options = granit::Options::default();
    options.emit_unresolved_aliases = true;
    options.set_emit_comments(false);
    let mut builder = Builder::new(findings);
    let mut read_to = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let flow = match event {
            Ok((event, span)) => {
                read_to = span.end.index();
                builder.event(event, span)
            }
            Err(error) => {
                let (mut at, problem) = (error.marker().index(), syntax::sentence(error.kind()));
                if syntax::concerns_a_quote(error.kind()) {
                    // The parser stops where the file ends or goes on unindented; the quote is what has to be found.
                    at = opening_quote(text, read_to, at).unwrap_or(at);
                }
                let finding = builder.findings.error(builder.findings.source.span(at, at + 1), problem.message);
                builder.findings.push(problem.note.map_or(finding.clone(), |note| finding.note(note)));
                ControlFlow::Break(())
            }
        };
        if flow.is_break() || builder.findings.overflow() {
            return builder.rescue();
        }
    }
    Document { root: builder.root, partial: false }
}

/// The first quote at the beginning of a word between two characters of a text.
fn opening_quote(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut before = '\n';
    for (at, character) in text.chars().enumerate().take(to) {
        let begins = before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':');
        if at >= from && begins && matches!(character, '"' | '\'') {
            return Some(at);
        }
        before = character;
    }
    None
}

struct Frame {
    start: usize,
    end: usize,
    anchor: usize,
    weight: Weight,
    items: Items,
}

enum Items {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, key: Key, seen: BTreeMap<Rc<str>, (Span, usize)> },
}

enum Key {
    Wanted,
    Given {
        key: Rc<str>,
        span: Span,
        nth: usize,
    },
    /// The key was refused: its value is read and dropped.
    Refused,
}

struct Builder<'f, 'a> {
    findings: &'f mut Findings<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    aliased: Weight,
    root: Option<Node>,
    documents: usize,
}

impl<'f, 'a> Builder<'f, 'a> {
    fn new(findings: &'f mut Findings<'a>) -> Self {
        Self {
            findings,
            stack: Vec::new(),
            anchors: HashMap::new(),
            aliased: Weight::default(),
            root: None,
            documents: 0,
        }
    }

    /// What was read completely before the parser stopped: the finished fields of the outermost mapping.
    fn rescue(mut self) -> Document {
        let root = self.root.take().or_else(|| {
            let frame = self.stack.into_iter().next()?;
            let Items::Map { entries, .. } = frame.items else { return None };
            let span = self.findings.source.span(frame.start, frame.end);
            Some(Node { span, kind: NodeKind::Map(Rc::new(entries)), weight: frame.weight })
        });
        Document { root, partial: true }
    }

    fn refuse(&mut self, span: Span, message: impl Into<String>, note: &str) {
        let finding = self.findings.error(span, message);
        self.findings.push(if note.is_empty() { finding } else { finding.note(note) });
    }

    fn event(&mut self, event: Event<'_>, at: granit::Span) -> ControlFlow<()> {
        let (start, end) = (at.start.index(), at.end.index());
        match event {
            Event::DocumentStart(_, version) => return self.document(version, start, end),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), at);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag_of_collection(tag.as_deref(), at, "seq");
                return self.open(Items::Seq(Vec::new()), start, end, anchor);
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag_of_collection(tag.as_deref(), at, "map");
                let items = Items::Map { entries: Vec::new(), key: Key::Wanted, seen: BTreeMap::new() };
                return self.open(items, start, end, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(end),
            Event::Alias(anchor) => return self.alias(anchor, start, end),
            Event::UnresolvedAlias(name) => {
                let span = self.findings.source.span(start, end);
                self.refuse(span, format!("no anchor `&{}` stands above this alias", escape_cut(&name, 40)), "");
                self.attach(Node { span, kind: NodeKind::Null, weight: Weight::default() }, start, end);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn document(&mut self, version: Option<granit::YamlVersion>, start: usize, end: usize) -> ControlFlow<()> {
        self.documents += 1;
        if self.documents > 1 {
            let span = self.findings.source.span(start, end);
            self.refuse(span, "a second document begins here", "a file holds one document");
            return ControlFlow::Break(());
        }
        if let Some(version) = version
            && (version.major, version.minor) != (1, 2)
        {
            let message = format!("the file says that it is YAML {}.{}", version.major, version.minor);
            let span = self.findings.source.line_that_begins("%YAML").unwrap_or(Span::START);
            self.refuse(span, message, "the language is YAML 1.2");
        }
        ControlFlow::Continue(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, at: granit::Span) {
        let (start, end) = (at.start.index(), at.end.index());
        let mut plain = style == ScalarStyle::Plain;
        if let Some(tag) = tag {
            match tag.core_suffix() {
                Some("str") => plain = false,
                Some(core) if fits(core, text) => plain = true,
                core => self.refuse_tag(tag, core, at),
            }
        }
        let null = plain && is_null(text);
        let text: Rc<str> = text.into();
        let kind = if null { NodeKind::Null } else { NodeKind::Scalar { text: Rc::clone(&text), plain } };
        let span = self.findings.source.span(start, end);
        let node = Node { span, kind, weight: Weight { nodes: 1, bytes: text.len(), height: 0 } };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        // A key that is written as `null` is the word; one that is not written at all is none.
        match self.stack.last_mut().map(|frame| &mut frame.items) {
            Some(Items::Map { key: key @ Key::Wanted, .. }) if null && start == end => {
                *key = Key::Refused;
                self.refuse(span, "a key is missing before the colon", "");
            }
            Some(Items::Map { key: Key::Wanted, .. }) => self.key(text, plain, span, start, end),
            _ => self.attach(node, start, end),
        }
    }

    fn tag_of_collection(&mut self, tag: Option<&Tag>, at: granit::Span, kind: &str) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(kind)
        {
            self.refuse_tag(tag, tag.core_suffix(), at);
        }
    }

    fn refuse_tag(&mut self, tag: &Tag, core: Option<&str>, at: granit::Span) {
        let place = at.tag_span().unwrap_or(at);
        let span = self.findings.source.span(place.start.index(), place.end.index());
        let shown = escape_cut(&tag.original(), 40);
        match core {
            Some(_) => self.refuse(span, format!("the tag `{shown}` does not fit its value"), ""),
            None => self.refuse(span, format!("the tag `{shown}` is not allowed"), "values are taken as written"),
        }
    }

    fn open(&mut self, items: Items, start: usize, end: usize, anchor: usize) -> ControlFlow<()> {
        if self.stack.len() == MAX_DEPTH {
            let span = self.findings.source.span(start, end);
            self.refuse(span, format!("nested deeper than {MAX_DEPTH} levels"), "");
            return ControlFlow::Break(());
        }
        self.stack.push(Frame { start, end, anchor, weight: Weight { nodes: 1, bytes: 0, height: 1 }, items });
        ControlFlow::Continue(())
    }

    fn close(&mut self, end: usize) {
        let Some(frame) = self.stack.pop() else { return };
        let kind = match frame.items {
            Items::Seq(nodes) => NodeKind::Seq(Rc::new(nodes)),
            Items::Map { entries, .. } => NodeKind::Map(Rc::new(entries)),
        };
        // The end of a block is where the next thing begins, so its last child says more.
        let bracket = frame.start < frame.end;
        let end = if bracket { end.max(frame.end) } else { frame.end };
        let node = Node { span: self.findings.source.span(frame.start, end), kind, weight: frame.weight };
        if frame.anchor != 0 {
            self.anchors.insert(frame.anchor, node.clone());
        }
        self.attach(node, frame.start, end);
    }

    fn alias(&mut self, anchor: usize, start: usize, end: usize) -> ControlFlow<()> {
        let span = self.findings.source.span(start, end);
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.refuse(span, "an alias inside the value that it stands for", "");
            return ControlFlow::Break(());
        };
        self.aliased.add(node.weight);
        if self.aliased.nodes > MAX_ALIAS_NODES || self.aliased.bytes > MAX_ALIAS_BYTES {
            self.refuse(span, "aliases make the file too large", "");
            return ControlFlow::Break(());
        }
        if self.stack.len() + node.weight.height > MAX_DEPTH {
            self.refuse(span, format!("nested deeper than {MAX_DEPTH} levels"), "");
            return ControlFlow::Break(());
        }
        let wanted = matches!(self.stack.last(), Some(Frame { items: Items::Map { key: Key::Wanted, .. }, .. }));
        match (&node.kind, wanted) {
            (NodeKind::Scalar { text, plain }, true) => self.key(Rc::clone(text), *plain, span, start, end),
            _ => self.attach(node, start, end),
        }
        ControlFlow::Continue(())
    }

    fn key(&mut self, key: Rc<str>, plain: bool, span: Span, start: usize, end: usize) {
        let line_of = |first: Span| format!("first on line {}", first.line);
        let Some(frame) = self.stack.last_mut() else { return };
        if frame.start == frame.end || start < frame.start {
            (frame.start, frame.end) = (start, end);
        }
        let Items::Map { key: slot, seen, .. } = &mut frame.items else { return };
        if plain && &*key == "<<" {
            *slot = Key::Refused;
            return self.refuse(span, "merge keys are not allowed", "write the keys out");
        }
        let (first, count) = *seen.entry(Rc::clone(&key)).and_modify(|(_, count)| *count += 1).or_insert((span, 0));
        *slot = Key::Given { key: Rc::clone(&key), span, nth: count };
        if count > 0 {
            let message = format!("`{}` is given twice", escape_cut(&key, 60));
            self.refuse(span, message, &line_of(first));
        }
    }

    /// Puts a finished node where it belongs.
    fn attach(&mut self, node: Node, start: usize, end: usize) {
        let Some(frame) = self.stack.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        frame.weight.add(node.weight);
        match &mut frame.items {
            Items::Seq(nodes) => {
                if frame.start == frame.end || nodes.is_empty() {
                    frame.end = frame.end.max(end);
                }
                nodes.push(node);
            }
            Items::Map { entries, key, .. } => match std::mem::replace(key, Key::Wanted) {
                Key::Given { key, span, nth } => {
                    if entries.is_empty() {
                        frame.end = frame.end.max(end);
                    }
                    entries.push(Entry { key, key_span: span, value: node, nth });
                }
                Key::Refused => {}
                Key::Wanted => {
                    *key = Key::Refused;
                    let span = self.findings.source.span(start, end);
                    self.refuse(span, "a key is a single word", "not a list, a mapping or nothing");
                }
            },
        }
    }
}
