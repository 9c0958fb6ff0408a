//! What the tables of fields are made of.

use super::rules::Checked;

/// A field of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What holds when the field is left out, as the reference prints it; empty for nothing.
    pub(super) default: &'static str,
    /// One or two sentences for people, in Markdown.
    pub(super) meaning: &'static str,
    /// Part of the language, and refused as not supported yet wherever it asks for something.
    pub(super) later: bool,
}

/// What a field may hold. `null` is allowed for every field, and means that it is absent.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// Text, taken as written whatever it looks like.
    Text(&'static Text),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from 0 to this.
    Number(u32),
    /// At most [`MAX_ENTRIES`] of these.
    List(&'static Kind),
    /// Keys of the user's choice.
    Mapping(&'static Text, &'static Kind),
    /// Named fields.
    Fields(&'static [Field]),
    /// Any of these.
    Either(&'static [Kind]),
}

/// A sort of text.
#[derive(Debug)]
pub(super) struct Text {
    /// What the reference calls it.
    pub(super) word: &'static str,
    /// A regular expression (ECMA 262) that every accepted text matches.
    pub(super) pattern: Option<&'static str>,
    /// One that no accepted text matches.
    pub(super) refused: Option<&'static str>,
    /// No accepted text reads as a number or a boolean to an editor.
    pub(super) only_text: bool,
    /// The rule itself; besides the text it gets the transports that are allowed.
    pub(super) rule: fn(&str, &[String]) -> Checked<()>,
}

/// Most entries of a list, and of a mapping whose keys are the user's.
pub(super) const MAX_ENTRIES: usize = 100;
/// Most repetitions of a build.
pub(super) const MAX_RETRIES: u32 = 100;

impl Text {
    pub(super) const fn new(
        word: &'static str,
        pattern: Option<&'static str>,
        rule: fn(&str, &[String]) -> Checked<()>,
    ) -> Self {
        Self { word, pattern, refused: None, only_text: false, rule }
    }

    pub(super) const fn refusing(self, pattern: &'static str) -> Self {
        Self { refused: Some(pattern), ..self }
    }

    pub(super) const fn only_text(self) -> Self {
        Self { only_text: true, ..self }
    }
}

/// The rule of a sort of text that depends on nothing else.
macro_rules! rule {
    ($rule:path) => {
        |text, _| $rule(text).map(drop)
    };
}

pub(super) use rule;
