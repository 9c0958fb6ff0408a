//! The vocabulary of images: digests, platforms, tags, names. Values are parsed once at the edge; one that
//! exists is valid. Manifests and indexes are `oci-client`'s types, read and written as they stand.

mod contents;
mod digest;
mod elf;
mod host;
mod name;
mod platform;
mod reference;
mod repository;
mod tag;

pub use contents::{Contents, Mismatch, Program, Sampled, Start};
pub use digest::Digest;
pub use elf::{Elf, needs_interpreter};
pub use host::{is_ecr, is_loopback, without_port};
pub use name::ImageName;
pub use platform::Platform;
pub use reference::Reference;
pub use repository::Repository;
pub use tag::Tag;

/// A value that is not what it should be: the sentence says what the rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Implements `Display`, `FromStr`, `TryFrom<String>` and serde for a newtype over `String` with `parse`.
macro_rules! text_type {
    ($name:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::oci::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::oci::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
use text_type;
