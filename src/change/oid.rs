//! git's object ids and file modes.

use std::fmt;

/// An object id: SHA-1 or SHA-256, by its length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid {
    length: u8,
    bytes: [u8; 32],
}

impl Oid {
    /// Reads 40 or 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() != 40 && hex.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            let (high, low) = (VALUES[usize::from(high)], VALUES[usize::from(low)]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen == NO_DIGIT {
            return None;
        }
        Some(Self { length: u8::try_from(hex.len() / 2).ok()?, bytes })
    }

    /// The full commit id that a revision out of a plan or a registry names. What was built from a changed working tree
    /// (`-dirty`) descends from the commit below it; anything else is anybody's text, which git is not asked about.
    #[must_use]
    pub fn of_revision(text: &str) -> Option<Self> {
        Self::from_hex(text.trim_end_matches("-dirty").as_bytes())
    }

    /// Takes 20 or 32 bytes.
    #[must_use]
    pub fn from_bytes(raw: &[u8]) -> Option<Self> {
        if raw.len() != 20 && raw.len() != 32 {
            return None;
        }
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(raw).for_each(|(to, from)| *to = *from);
        Some(Self { length: u8::try_from(raw.len()).ok()?, bytes })
    }

    /// 20 or 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// All zeros: git's word for "no object".
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.bytes == [0; 32]
    }

    /// Whether the repository counts in SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        self.length == 32
    }

    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(7).collect()
    }
}

pub(super) const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each hexadecimal digit, by its byte; of every other byte it is [`NO_DIGIT`]. Trees are long.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut at: u8 = 0;
    while at < 16 {
        let digit = DIGITS[at as usize];
        values[digit as usize] = at;
        values[digit.to_ascii_uppercase() as usize] = at;
        at += 1;
    }
    values
};

const NO_DIGIT: u8 = 0xff;

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.as_bytes()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        let text = digits.get(..2 * usize::from(self.length)).unwrap_or_default();
        f.write_str(std::str::from_utf8(text).unwrap_or_default())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oid({self})")
    }
}

impl serde::Serialize for Oid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a tree entry is, in git's canonical spelling: old repositories have regular files of mode 100664.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A file.
    Regular,
    /// A file that may be executed.
    Executable,
    /// A symbolic link; its blob is where it leads.
    Link,
    /// A submodule; its id is a commit of another repository.
    Gitlink,
}

impl Mode {
    /// Reads the octal digits that git prints; none for directories, absent sides and nonsense.
    #[must_use]
    pub fn from_octal(digits: &[u8]) -> Option<Self> {
        if digits == b"100644" {
            return Some(Self::Regular);
        }
        let value = std::str::from_utf8(digits).ok().and_then(|text| u32::from_str_radix(text, 8).ok())?;
        match value & 0o170_000 {
            0o100_000 if value & 0o100 != 0 => Some(Self::Executable),
            0o100_000 => Some(Self::Regular),
            0o120_000 => Some(Self::Link),
            0o160_000 => Some(Self::Gitlink),
            _ => None,
        }
    }

    /// The number that git stores.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Regular => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Link => 0o120_000,
            Self::Gitlink => 0o160_000,
        }
    }

    /// Whether this is a file with content of its own.
    #[must_use]
    pub const fn is_file(self) -> bool {
        matches!(self, Self::Regular | Self::Executable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_forty_or_sixty_four_digits() {
        for hex in ["0123456789abcdef0123456789abcdef01234567".to_owned(), "ab".repeat(32)] {
            assert_eq!(Oid::from_hex(hex.as_bytes()).map(|oid| oid.to_string()), Some(hex));
        }
        for wrong in ["", "0123", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(Oid::from_hex(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn modes_are_canonical() {
        assert_eq!(Mode::from_octal(b"100664"), Some(Mode::Regular));
        assert_eq!(Mode::from_octal(b"100755"), Some(Mode::Executable));
        assert_eq!(Mode::from_octal(b"160000"), Some(Mode::Gitlink));
        assert_eq!(Mode::from_octal(b"040000"), None);
        assert_eq!(Mode::from_octal(b"000000"), None);
    }
}
