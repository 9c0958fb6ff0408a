//! Versions of builders, as far as gates need them.

/// `major.minor.patch`; what follows (`-rc1`, `+dfsg`) does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The first `X.Y[.Z]` in what a program printed of itself, such as `Kaniko version :  v1.28.3`.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            let mut numbers = word.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.');
            let major = numbers.next()?.parse().ok()?;
            let minor = numbers.next()?.parse().ok()?;
            let patch = numbers.next().map_or(Some(0), |patch| patch.parse().ok())?;
            Some(Self(major, minor, patch))
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_builders_print() {
        for (text, version) in [
            ("Kaniko version :  v1.28.3", Some(Version(1, 28, 3))),
            ("buildah version 1.28.2 (image-spec 1.1.0-rc2)", Some(Version(1, 28, 2))),
            ("buildctl github.com/moby/buildkit v0.25.2 abc", Some(Version(0, 25, 2))),
            ("Docker version 20.10.24+dfsg1, build 5d6db84", Some(Version(20, 10, 24))),
            ("v1.26", Some(Version(1, 26, 0))),
            ("Kaniko version :  unknown", None),
            ("", None),
        ] {
            assert_eq!(Version::find(text), version, "{text}");
        }
    }
}
