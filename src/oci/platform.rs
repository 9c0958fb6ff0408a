//! Platforms `os/arch[/variant]` (OCI image-spec, `image-index.md`, "platform").

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// A platform in the standard's spelling. `linux/arm64/v8` is the same as `linux/arm64` and is kept so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Architectures that Linux images exist for (Go's `GOARCH` values, as the image specification asks), with the
/// variants that the specification or the builders know.
const LINUX: &[(&str, &[&str])] = &[
    ("386", &[]),
    ("amd64", &["v1", "v2", "v3", "v4"]),
    ("arm", &["v5", "v6", "v7", "v8"]),
    ("arm64", &["v8", "v9"]),
    ("loong64", &[]),
    ("mips", &[]),
    ("mips64", &[]),
    ("mips64le", &[]),
    ("mipsle", &[]),
    ("ppc64", &[]),
    ("ppc64le", &[]),
    ("riscv64", &[]),
    ("s390x", &[]),
];

impl Platform {
    /// Parses `linux/<arch>[/<variant>]` or `wasi/wasm`.
    ///
    /// # Errors
    /// When it is another system, an unknown architecture, or another spelling such as `x86_64`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let shown = || crate::diagnostic::escape_cut(text, 80);
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let variant = parts.next();
        if parts.next().is_some() || os.is_empty() || architecture.is_empty() || variant == Some("") {
            return Err(Invalid(format!("`{}` is not a platform: os/arch or os/arch/variant", shown())));
        }
        if (os, architecture, variant) == ("wasi", "wasm", None) {
            return Ok(Self { os: os.into(), architecture: architecture.into(), variant: None });
        }
        if os != "linux" {
            return Err(Invalid(format!(
                "`{}` is not a platform that hephy builds: only linux and wasi/wasm",
                shown()
            )));
        }
        let Some((_, variants)) = LINUX.iter().find(|(name, _)| *name == architecture) else {
            let meant = match architecture.to_ascii_lowercase().as_str() {
                "x86_64" | "x86-64" | "x64" => Some("amd64"),
                "aarch64" | "armv8" | "arm64v8" => Some("arm64"),
                "armv7" | "armv7l" | "armhf" => Some("arm/v7"),
                "armv6" | "armv6l" => Some("arm/v6"),
                "i386" | "i686" | "x86" => Some("386"),
                other => crate::diagnostic::nearest(other, LINUX.iter().map(|(name, _)| *name)),
            };
            let hint = meant.map(|meant| format!("; the standard writes linux/{meant}")).unwrap_or_default();
            return Err(Invalid(format!("`{}` has an unknown architecture{hint}", shown())));
        };
        if let Some(variant) = variant
            && !variants.contains(&variant)
        {
            return Err(Invalid(format!("`{}` has an unknown variant", shown())));
        }
        let default = (architecture == "arm64" && variant == Some("v8"))
            || (architecture == "amd64" && variant == Some("v1"))
            || variant.is_none();
        let variant = if default { None } else { variant.map(str::to_owned) };
        Ok(Self { os: os.into(), architecture: architecture.into(), variant })
    }

    /// `linux/amd64`, the default of `platforms`.
    #[must_use]
    pub fn linux_amd64() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }

    /// The platform of the machine that hephy runs on, if it is a Linux one.
    #[must_use]
    pub fn host() -> Option<Self> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self::parse(&format!("linux/{architecture}")).ok()
    }

    /// The operating system, `linux` or `wasi`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture as the standard writes it, without variant.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, where it is not the architecture's default.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The word in tags and file names: architecture and variant without a separator, such as `armv7`.
    #[must_use]
    pub fn arch(&self) -> String {
        format!("{}{}", self.architecture, self.variant.as_deref().unwrap_or_default())
    }

    /// Finds the platform that the word of a tag, a file name or `--arch` means.
    ///
    /// # Errors
    /// When no Linux platform has this word.
    pub fn from_arch(word: &str) -> Result<Self, Invalid> {
        if word == "wasm" {
            return Self::parse("wasi/wasm");
        }
        let exact = LINUX.iter().find(|(name, _)| *name == word);
        let split = || {
            LINUX.iter().find_map(|(name, variants)| {
                let variant = word.strip_prefix(name)?;
                variants.contains(&variant).then_some(format!("linux/{name}/{variant}"))
            })
        };
        match exact {
            Some((name, _)) => Self::parse(&format!("linux/{name}")),
            None => split().map_or_else(|| Self::parse(&format!("linux/{word}")), |text| Self::parse(&text)),
        }
    }

    /// Whether a word of a tag is an architecture's: what [`Platform::from_arch`] would find.
    #[must_use]
    pub fn is_arch(word: &str) -> bool {
        let known = |(name, variants): &(&str, &[&str])| {
            word.strip_prefix(name).is_some_and(|variant| variant.is_empty() || variants.contains(&variant))
        };
        word == "wasm" || LINUX.iter().any(known)
    }

    /// Whether a machine of this platform runs binaries of `other`. Emulation does not count.
    #[must_use]
    pub fn runs(&self, other: &Self) -> bool {
        self == other
            || self.os == other.os
                && match (self.architecture.as_str(), other.architecture.as_str()) {
                    ("amd64", "386") => true,
                    ("amd64", "amd64") | ("arm64", "arm64") => other.variant.is_none(),
                    ("arm", "arm") => self.variant >= other.variant,
                    _ => false,
                }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match &self.variant {
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
            None => format!("{}/{}", self.os, self.architecture),
        })
    }
}

impl std::str::FromStr for Platform {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Platform {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl schemars::JsonSchema for Platform {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Platform".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A platform as os/arch[/variant], such as linux/arm64.",
            "pattern": "^(linux/[a-z0-9]+(/v[0-9]+)?|wasi/wasm)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_a_variant_are_the_plain_architecture() {
        for (text, printed, arch) in [
            ("linux/amd64", "linux/amd64", "amd64"),
            ("linux/arm64/v8", "linux/arm64", "arm64"),
            ("linux/arm/v7", "linux/arm/v7", "armv7"),
            ("wasi/wasm", "wasi/wasm", "wasm"),
        ] {
            let platform = Platform::parse(text).unwrap();
            assert_eq!((platform.to_string().as_str(), platform.arch().as_str()), (printed, arch));
            assert_eq!(Platform::from_arch(arch).unwrap(), platform);
        }
        for word in ["amd64", "amd64v3", "armv7", "armv9", "wasm", "arm64v8", "", "v7", "arm64v", "x86_64", "latest"] {
            assert_eq!(Platform::is_arch(word), Platform::from_arch(word).is_ok(), "{word}");
        }
    }

    #[test]
    fn other_spellings_are_refused_with_the_right_one() {
        for (text, hint) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/armv7", "linux/arm/v7"),
            ("linux/amd46", "linux/amd64"),
        ] {
            assert!(Platform::parse(text).unwrap_err().to_string().contains(hint), "{text}");
        }
        for wrong in
            ["", "linux", "linux/", "/amd64", "linux/amd64/", "linux/amd64/v8/x", "windows/amd64", "Linux/amd64"]
        {
            assert!(Platform::parse(wrong).is_err(), "{wrong}");
        }
    }
}
