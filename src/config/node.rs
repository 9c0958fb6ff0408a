//! The tree of a file: values as they are written, each with its place.

use std::rc::Rc;

use crate::diagnostic::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: NodeKind,
    pub(super) weight: Weight,
}

/// Shared below anchors, so that an alias costs nothing.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text; `plain` without quotes and not a block.
    Scalar {
        text: Rc<str>,
        plain: bool,
    },
    Seq(Rc<Vec<Node>>),
    Map(Rc<Vec<Entry>>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Rc<str>,
    pub(super) key_span: Span,
    pub(super) value: Node,
    /// Occurrences of the same key before this one.
    pub(super) nth: usize,
}

impl Node {
    /// Text that stands for itself, such as a key.
    pub(super) fn scalar(span: Span, text: &str) -> Self {
        Self { span, kind: NodeKind::Scalar { text: text.into(), plain: true }, weight: Weight::default() }
    }

    /// The place of a part of a text, where the file shows the text as it is (no escapes, no folded lines).
    pub(super) fn part(&self, offset: usize, length: usize) -> Option<Span> {
        let NodeKind::Scalar { text, .. } = &self.kind else { return None };
        let quotes = self.span.length.checked_sub(text.chars().count())?;
        let inside = match quotes {
            0 => 0,
            2 => 1,
            _ => return None,
        };
        Some(Span::new(self.span.line, self.span.column + inside + offset, length))
    }
}

/// What a value and everything below it costs, aliases counted as what they stand for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
    pub(super) height: usize,
}

impl Weight {
    pub(super) fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.height = self.height.max(other.height + 1);
    }
}

/// The spellings of nothing (YAML 1.2.2 §10.3.2).
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Whether a scalar is what a tag of the core schema says (YAML 1.2.2 §10.3.2).
pub(super) fn fits(core: &str, text: &str) -> bool {
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    match core {
        "null" => is_null(text),
        "bool" => matches!(text, "true" | "false"),
        "int" => match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
            (Some(hexadecimal), _) => digits(hexadecimal, 16),
            (_, Some(octal)) => digits(octal, 8),
            _ => digits(text.strip_prefix(['-', '+']).unwrap_or(text), 10),
        },
        "float" => text.parse::<f64>().is_ok() || matches!(text.trim_start_matches(['-', '+']), ".inf" | ".nan"),
        _ => false,
    }
}
