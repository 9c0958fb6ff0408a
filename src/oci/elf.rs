//! ELF headers: which machine a program is for (System V ABI, "ELF Header").

use super::Platform;

/// What the first twenty bytes of an ELF file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elf {
    wide: bool,
    little: bool,
    kind: u16,
    machine: u16,
}

/// Number of bytes that [`Elf::parse`] needs.
pub(super) const HEADER: usize = 20;

impl Elf {
    /// Reads a header; none for anything that is no ELF file.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        if header[..4] != *b"\x7fELF" || !matches!(header[4], 1 | 2) || !matches!(header[5], 1 | 2) {
            return None;
        }
        let little = header[5] == 1;
        let half = |at: usize| {
            let pair = [header[at], header[at + 1]];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        };
        Some(Self { wide: header[4] == 2, little, kind: half(16), machine: half(18) })
    }

    /// A program or shared library, not an object file, kernel module or core dump.
    #[must_use]
    pub fn is_program(&self) -> bool {
        matches!(self.kind, 2 | 3)
    }

    /// The architecture as image platforms name it; none for one that no image platform has.
    #[must_use]
    pub fn architecture(&self) -> Option<&'static str> {
        Some(match (self.machine, self.wide, self.little) {
            (3, false, true) => "386",
            // x32 programs (32-bit, machine 62) run on amd64 as well.
            (62, _, true) => "amd64",
            (40, false, true) => "arm",
            (183, true, true) => "arm64",
            (8, true, true) => "mips64le",
            (8, true, false) => "mips64",
            (8, false, true) => "mipsle",
            (8, false, false) => "mips",
            (21, true, true) => "ppc64le",
            (21, true, false) => "ppc64",
            (22, true, false) => "s390x",
            (243, true, true) => "riscv64",
            (258, true, true) => "loong64",
            _ => return None,
        })
    }

    /// Whether a machine of this platform runs it.
    #[must_use]
    pub fn runs_on(&self, platform: &Platform) -> bool {
        self.architecture().is_some_and(|architecture| {
            architecture == platform.architecture() || (platform.architecture() == "amd64" && architecture == "386")
        })
    }

    /// For people: `arm64`, or the number of a machine without a name here.
    #[must_use]
    pub fn describe(&self) -> String {
        self.architecture().map_or_else(|| format!("ELF machine {}", self.machine), str::to_owned)
    }
}

/// Whether the kernel starts this program through another one, the loader of shared libraries (a program header of
/// type `PT_INTERP`). What cannot be understood needs none.
#[must_use]
pub fn needs_interpreter(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let Some(elf) = Elf::parse(program) else { return false };
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        let add = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        Some(if elf.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let (word, table, size, count) = if elf.wide { (8, 32, 54, 56) } else { (4, 28, 42, 44) };
    let header = || Some((number(table, word)?, number(size, 2)?, number(count, 2)?));
    let Some((table, size, count)) = header() else { return false };
    let kind = |index: usize| number(table.checked_add(size.checked_mul(index)?)?, 4);
    (0..count).any(|index| kind(index) == Some(INTERPRETER as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, data: u8, kind: u16, machine: u16) -> Vec<u8> {
        let half = |value: u16| if data == 1 { value.to_le_bytes() } else { value.to_be_bytes() };
        [&b"\x7fELF"[..], &[class, data], &[0; 10], &half(kind), &half(machine)].concat()
    }

    #[test]
    fn machines_have_the_names_of_platforms() {
        for (class, data, machine, name) in [
            (1, 1, 3, "386"),
            (2, 1, 62, "amd64"),
            (1, 1, 62, "amd64"),
            (1, 1, 40, "arm"),
            (2, 1, 183, "arm64"),
            (2, 1, 21, "ppc64le"),
            (2, 2, 21, "ppc64"),
            (2, 2, 22, "s390x"),
            (2, 1, 243, "riscv64"),
            (2, 1, 258, "loong64"),
            (2, 2, 8, "mips64"),
            (1, 1, 8, "mipsle"),
        ] {
            let elf = Elf::parse(&header(class, data, 2, machine)).unwrap();
            assert_eq!((elf.architecture(), elf.is_program()), (Some(name), true));
            assert!(elf.runs_on(&Platform::parse(&format!("linux/{name}")).unwrap()));
            assert_eq!(
                elf.runs_on(&Platform::parse("linux/amd64").unwrap()),
                matches!(name, "amd64" | "386"),
                "{name}"
            );
        }
        assert!(!Elf::parse(&header(2, 1, 1, 62)).unwrap().is_program(), "an object file");
        assert_eq!(Elf::parse(&header(2, 1, 2, 9999)).unwrap().describe(), "ELF machine 9999");
    }

    #[test]
    fn a_program_that_needs_a_loader_is_told_from_a_static_one() {
        let program = |kind: u8| {
            let mut bytes = header(2, 1, 2, 62);
            bytes.resize(64, 0);
            (bytes[32], bytes[54], bytes[56]) = (64, 56, 2);
            bytes.extend([&[1, 0, 0, 0][..], &[0; 52], &[kind, 0, 0, 0], &[0; 52]].concat());
            bytes
        };
        assert!(needs_interpreter(&program(3)) && !needs_interpreter(&program(2)));
        assert!(!needs_interpreter(&program(3)[..100]) && !needs_interpreter(b"#!/bin/sh\n"));
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in [&b""[..], b"\x7fELF", b"#!/bin/sh\nexit 0\nxxxxxxxxx", &header(3, 1, 2, 62), &header(2, 0, 2, 62)]
        {
            assert_eq!(Elf::parse(wrong), None);
        }
    }
}
