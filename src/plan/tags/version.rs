//! Versions: where one is read from, and the tags that a release has.

use std::cmp::Ordering;

/// The version of an image, without the `v` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    /// The same by semver.org, where it is one.
    semver: Option<semver::Version>,
}

/// What a version is: at least two numbers, so that neither `v8` nor a day's date is taken for one.
const FEWEST_NUMBERS: usize = 2;
/// Longest version, in characters: a tag is no longer.
const MAX_LENGTH: usize = 128;

impl Version {
    /// The version that a ref is: by semver.org, or numbers with dots between them; a `v` before it is allowed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let version = Self::new(without_v(text));
        let numbers = |text: &str| {
            let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            text.split('.').all(number) && text.split('.').count() >= FEWEST_NUMBERS
        };
        Some(version).filter(|version| version.semver.is_some() || numbers(&version.text))
    }

    /// The version that a file says: somebody pointed at it, so it may be written as its project does.
    #[must_use]
    pub fn of_file(text: &str) -> Option<Self> {
        let text = without_v(text.trim());
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'_' | b'-');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let begins = begins && text.bytes().any(|byte| byte.is_ascii_digit());
        (begins && text.len() <= MAX_LENGTH && text.bytes().all(legal)).then(|| Self::new(text))
    }

    /// The version that an upstream ref is: of itself, or behind one of these names of the project (`jq-1.7.1`).
    #[must_use]
    pub fn of_upstream(reference: &str, names: &[&str]) -> Option<Self> {
        let tag = GitTag::parse(reference)?;
        let is_named = |prefix: &str| names.iter().any(|name| name.eq_ignore_ascii_case(prefix));
        tag.prefix.as_deref().is_none_or(is_named).then_some(tag.version)
    }

    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), semver: semver::Version::parse(text).ok() }
    }

    /// The version as it is written, build metadata included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same in a tag, which cannot hold a `+`: Helm writes `_` for it in registries, and so does this.
    #[must_use]
    pub fn as_tag(&self) -> String {
        self.text.replace('+', "_")
    }

    /// The first number.
    #[must_use]
    pub fn major(&self) -> &str {
        self.text.split(['.', '-', '+', '_']).next().unwrap_or_default()
    }

    /// The second number.
    #[must_use]
    pub fn minor(&self) -> Option<&str> {
        self.text.split(['.', '-', '+', '_']).nth(1)
    }

    /// The tags of a release: `X.Y.Z`, `X.Y`, `X`; of a pre-release its whole version alone. `0` stands for nothing
    /// (semver.org §4: anything may change between `0.y` and the next), so it is no tag. Build metadata tells
    /// builds of a version apart, not versions, and is left out. Nothing for a version that is not by semver.org.
    #[must_use]
    pub fn release_tags(&self) -> Vec<String> {
        let Some(version) = &self.semver else { return Vec::new() };
        let semver::Version { major, minor, patch, pre, .. } = version;
        let whole = format!("{major}.{minor}.{patch}");
        if !pre.is_empty() {
            return vec![format!("{whole}-{pre}")];
        }
        let mut tags = vec![whole, format!("{major}.{minor}")];
        tags.extend((*major > 0).then(|| major.to_string()));
        tags
    }

    /// Which of two versions is newer, by semver.org §11; none where one of them is no such version. Anybody's text
    /// may be compared, a `v` before it allowed.
    #[must_use]
    pub fn compare(one: &str, other: &str) -> Option<Ordering> {
        let parse = |text: &str| semver::Version::parse(without_v(text)).ok();
        Some(parse(one)?.cmp_precedence(&parse(other)?))
    }
}

fn without_v(text: &str) -> &str {
    let rest = text.strip_prefix('v').unwrap_or(text);
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest } else { text }
}

/// A git tag that names a version: of the whole repository, or of one image (`curl-v1.2.3`, `curl/v1.2.3`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitTag {
    /// What stands before the version, without the separator.
    pub prefix: Option<String>,
    /// The version.
    pub version: Version,
}

impl GitTag {
    /// Takes a tag apart; none where it names no version. A name ends with `-`, `/` or `@`, and the longest rest that
    /// is a version is the version.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        if let Some(version) = Version::parse(tag) {
            return Some(Self { prefix: None, version });
        }
        tag.match_indices(['-', '/', '@']).filter(|(at, _)| *at > 0).find_map(|(at, _)| {
            let version = Version::parse(&tag[at + 1..])?;
            Some(Self { prefix: Some(tag[..at].to_owned()), version })
        })
    }

    /// Which images it is about, by index: those whose name or directory stands before the version; the only one whose
    /// directory's own name does; all where nothing does. None where it names something else.
    #[must_use]
    pub fn about(&self, images: &[(&str, &str)]) -> Vec<usize> {
        let Some(prefix) = self.prefix.as_deref() else { return (0..images.len()).collect() };
        let those = |is: &dyn Fn(&str, &str) -> bool| -> Vec<usize> {
            images.iter().enumerate().filter(|(_, (name, dir))| is(name, dir)).map(|(index, _)| index).collect()
        };
        let exact = those(&|name, dir| name == prefix || dir == prefix);
        if !exact.is_empty() {
            return exact;
        }
        let last = those(&|_, dir| dir.rsplit('/').next() == Some(prefix));
        // Several images may share a directory, and are then meant together.
        let shared = last.first().is_some_and(|first| last.iter().all(|index| images[*index].1 == images[*first].1));
        if shared { last } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        Version::parse(text).unwrap().release_tags()
    }

    #[test]
    fn a_release_gives_x_y_z_and_shorter_ones() {
        for (version, expected) in [
            ("v1.25.3", &["1.25.3", "1.25", "1"][..]),
            ("1.2.3", &["1.2.3", "1.2", "1"]),
            ("v10.0.0", &["10.0.0", "10.0", "10"]),
            ("1.2.3-rc.1", &["1.2.3-rc.1"]),
            ("v2.0.0-0", &["2.0.0-0"]),
            ("1.28.3+k3s1", &["1.28.3", "1.28", "1"]),
            ("1.2.3-rc.1+5", &["1.2.3-rc.1"]),
            ("0.3.1", &["0.3.1", "0.3"]),
            ("0.0.0", &["0.0.0", "0.0"]),
            // Versions, and none by semver.org.
            ("1.2", &[]),
            ("2024.01.05", &[]),
            ("1.2.3.4", &[]),
        ] {
            assert_eq!(tags(version), expected, "{version}");
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in [
            "",
            "v",
            "v8",
            "8",
            "20251016",
            "main",
            "1.x",
            "v1.",
            ".1",
            "1..2",
            "1.2-",
            "1.2.3-",
            "release-1.2.3",
            "vv1.2.3",
            "V1.2.3",
            "1.2.3 ",
            "1.2.3-ä",
            "1.2-maintenance",
            &"1".repeat(40),
            &"a".repeat(40),
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        // Larger than any number that is compared, and no reason to fail.
        assert_eq!(tags("1.99999999999999999999999.0"), Vec::<String>::new());
    }

    #[test]
    fn a_file_says_its_version_in_any_form_that_a_tag_can_hold() {
        for (text, version) in [("v1.2.3\n", "1.2.3"), ("8", "8"), ("1.1.1w", "1.1.1w"), ("1+x", "1+x")] {
            assert_eq!(Version::of_file(text).map(|it| it.text), Some(version.to_owned()), "{text}");
        }
        for text in ["", " ", "v", "latest", "1.2 3", "1/2", "-1", "$(x)", "ä", &"1".repeat(129)] {
            assert_eq!(Version::of_file(text), None, "{text}");
        }
        let version = Version::of_file("1.2.3+k3s1").unwrap();
        assert_eq!((version.as_tag().as_str(), version.major(), version.minor()), ("1.2.3_k3s1", "1", Some("2")));
    }

    #[test]
    fn an_upstream_ref_may_begin_with_the_name_of_the_project() {
        let found = |text: &str| Version::of_upstream(text, &["jq", "tools-jq"]).map(|it| it.text);
        assert_eq!(found("jq-1.7.1").as_deref(), Some("1.7.1"));
        assert_eq!(found("JQ/v1.7.1").as_deref(), Some("1.7.1"));
        assert_eq!(found("v1.7.1-rc1").as_deref(), Some("1.7.1-rc1"));
        assert_eq!(found("release/1.7.1"), None);
        assert_eq!(found("main"), None);
    }

    #[test]
    fn a_git_tag_with_a_prefix_is_about_the_image_that_it_names() {
        let images = [
            ("curl", "curl"),
            ("curl-debug", "curl-debug"),
            ("images-jq", "images/jq"),
            ("a-x", "a/x"),
            ("b-x", "b/x"),
            ("b-x-debug", "b/x"),
        ];
        for (tag, about, version) in [
            ("v1.2.3", &[0, 1, 2, 3, 4, 5][..], "1.2.3"),
            ("1.2.3-rc-1.0.0", &[0, 1, 2, 3, 4, 5], "1.2.3-rc-1.0.0"),
            ("curl-v1.2.3", &[0], "1.2.3"),
            ("curl/v1.2.3", &[0], "1.2.3"),
            ("curl@1.2.3", &[0], "1.2.3"),
            ("curl-debug-1.2.3-rc.1", &[1], "1.2.3-rc.1"),
            ("images/jq/v1.7.1", &[2], "1.7.1"),
            ("images-jq-1.7.1", &[2], "1.7.1"),
            ("jq-1.7.1", &[2], "1.7.1"),
            ("b/x/v1.0.0", &[4, 5], "1.0.0"),
            // Two directories are called so, and nothing.
            ("x-1.0.0", &[], "1.0.0"),
            ("release-1.0.0", &[], "1.0.0"),
            ("CURL-1.0.0", &[], "1.0.0"),
        ] {
            let found = GitTag::parse(tag).unwrap();
            assert_eq!((found.about(&images), found.version.as_str()), (about.to_vec(), version), "{tag}");
        }
        for none in ["", "curl", "nightly-20251016", "curl-", "-1.2.3", "/1.2.3", "curl-v1"] {
            assert_eq!(GitTag::parse(none), None, "{none}");
        }
    }

    #[test]
    fn versions_are_compared_by_precedence() {
        for (one, other, order) in [
            ("1.3.0", "1.2.9", Some(Ordering::Greater)),
            ("v1.2.10", "1.2.9", Some(Ordering::Greater)),
            ("1.3.0-rc.1", "1.3.0", Some(Ordering::Less)),
            ("1.3.0+a", "1.3.0+b", Some(Ordering::Equal)),
            ("20251016", "1.3.0", None),
            ("1.3", "1.2.0", None),
            ("\u{1b}", "1.2.0", None),
        ] {
            assert_eq!(Version::compare(one, other), order, "{one} {other}");
        }
    }
}
