//! The bytes that an input key is the hash of.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::oid::DIGITS;
use super::tree::Entry;

/// The hashed form: every piece is preceded by its length, every list by its number of pieces or ended by the
/// end of the hash.
#[derive(Debug)]
pub(super) struct Form(Sha256);

impl Form {
    pub(super) fn new(kind: &[u8]) -> Self {
        let mut form = Self(Sha256::new());
        form.bytes(kind);
        form
    }

    pub(super) fn count(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    pub(super) fn content(&mut self, entry: &Entry<'_>) {
        self.0.update(entry.mode.bits().to_be_bytes());
        self.bytes(entry.oid.as_bytes());
    }

    /// JSON with a letter for each type; the fields of objects in the order of their names, whatever order the
    /// JSON library keeps.
    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes(b"0"),
            Value::Bool(value) => self.bytes(if *value { b"true" } else { b"false" }),
            Value::Number(number) => {
                self.bytes(b"number");
                self.bytes(number.to_string().as_bytes());
            }
            Value::String(text) => {
                self.bytes(b"string");
                self.bytes(text.as_bytes());
            }
            Value::Array(values) => {
                self.bytes(b"array");
                self.count(values.len());
                values.iter().for_each(|value| self.value(value));
            }
            Value::Object(fields) => {
                self.bytes(b"object");
                self.count(fields.len());
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                for (name, value) in sorted {
                    self.bytes(name.as_bytes());
                    self.value(value);
                }
            }
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
