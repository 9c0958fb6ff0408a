//! The key itself.

use std::collections::BTreeMap;
use std::fmt;

use super::form::{Form, hex};

/// 64 hexadecimal digits: equal keys, the same build.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct InputKey(String);

impl InputKey {
    /// Reads a key that was published; none when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The key of a build that was made on other images, by name, than `key` says.
    #[must_use]
    pub fn of_others(key: &str, others: &BTreeMap<String, String>) -> Self {
        let mut form = Form::new(b"built on others");
        form.bytes(key.as_bytes());
        form.count(others.len());
        for (name, what) in others {
            form.bytes(name.as_bytes());
            form.bytes(what.as_bytes());
        }
        Self::of(form)
    }

    /// The key of everything that was put into a form.
    pub(super) fn of(form: Form) -> Self {
        Self(hex(&form.finish()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..6).unwrap_or_default()
    }
}

impl fmt::Display for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputKey({})", self.0)
    }
}
