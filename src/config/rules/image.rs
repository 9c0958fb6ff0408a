//! Platforms, architectures, references of images and registries.

use super::{Checked, Refusal, not_empty};
use crate::diagnostic::nearest;
use crate::oci::{Digest, Platform, Tag};

/// Platforms that people mean when they misspell one.
const USUAL: [&str; 9] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/386",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "wasi/wasm",
];

/// `linux/<arch>[/<variant>]` in the standard's spelling, or `wasi/wasm`.
pub(in super::super) fn platform(text: &str) -> Checked<Platform> {
    Platform::parse(text).map_err(|invalid| {
        let bare = text.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let other = match bare.as_str() {
            "x86_64" | "x86-64" | "x64" => Some("linux/amd64".to_owned()),
            "aarch64" | "armv8" | "arm64v8" => Some("linux/arm64".to_owned()),
            "armv7l" | "armhf" => Some("linux/arm/v7".to_owned()),
            "armv6l" => Some("linux/arm/v6".to_owned()),
            "i386" | "i686" | "x86" => Some("linux/386".to_owned()),
            // `amd64` and `armv7` are the words of tags; `windows/amd64` is no slip of the pen.
            word if !text.contains('/') || text.to_ascii_lowercase().starts_with("linux/") => {
                Platform::from_arch(word).ok().map(|platform| platform.to_string())
            }
            _ => None,
        };
        let near = if text.len() > 64 { None } else { nearest(text, USUAL).map(str::to_owned) };
        let unknown = !invalid.0.contains("only linux");
        let mut refusal =
            Refusal::new(if unknown { "is not a platform" } else { "is not a platform that hephy builds" })
                .note("a platform is linux/<arch> or linux/<arch>/<variant> in the standard's spelling");
        refusal.meant = other.or(near).map(|meant| format!("did you mean `{meant}`?"));
        refusal
    })
}

/// The word for a platform in tags and file names, such as `amd64` or `armv7`.
pub(in super::super) fn arch(text: &str) -> Checked<Platform> {
    let platform = Platform::from_arch(text).ok().filter(|platform| platform.arch() == text);
    platform.ok_or_else(|| {
        let mut refusal = Refusal::new("has a key that is no architecture").note("a key is amd64, arm64, armv7, …");
        let words = ["amd64", "arm64", "armv7", "armv6", "386", "ppc64le", "riscv64", "s390x"];
        let slash = Platform::parse(text).ok().map(|platform| platform.arch());
        refusal.meant = slash
            .or_else(|| if text.len() > 64 { None } else { nearest(text, words).map(str::to_owned) })
            .map(|meant| format!("did you mean `{meant}`?"));
        refusal
    })
}

const REFERENCE: &str = "a reference is [host[:port]/]path[:tag][@sha256:digest], the path in lower case";

/// The reference of an image (distribution/reference, "grammar").
pub(in super::super) fn image_reference(text: &str) -> Checked<String> {
    not_empty(text)?;
    if text.starts_with('-') {
        return Err(Refusal::new("looks like an option").note(REFERENCE));
    }
    let refusal = || Refusal::new("is not a reference of an image").note(REFERENCE);
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    if let Some(digest) = digest {
        Digest::parse(digest).map_err(|_| refusal())?;
    }
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match name[slash..].split_once(':') {
        Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
        None => (name, None),
    };
    if let Some(tag) = tag {
        Tag::parse(tag).map_err(|_| refusal())?;
    }
    let (host, path) = split_host(path);
    if path.is_empty() || !host.is_none_or(is_host) || !is_repository(path) {
        return Err(refusal());
    }
    Ok(text.to_owned())
}

/// The repository of a cache: `host[:port]/path`, without tag and digest, which are the builders' own.
pub(in super::super) fn cache_repository(text: &str) -> Checked<String> {
    const RULE: &str = "a repository is host[:port]/path without scheme, tag and digest";
    match registry(text) {
        Ok(found) if found != "none" && found.contains('/') => Ok(found),
        Ok(_) => Err(Refusal::new("is no repository").note(RULE)),
        Err(refusal) => Err(Refusal { note: Some(RULE), ..refusal }),
    }
}

/// `host[:port][/path]`, or `none`.
pub(in super::super) fn registry(text: &str) -> Checked<String> {
    const RULE: &str = "a registry is host[:port]/path without scheme and tag, or none";
    not_empty(text)?;
    if text == "none" {
        return Ok(text.to_owned());
    }
    let refusal = || Refusal::new("is not a registry").note(RULE);
    if let Some((_, rest)) = text.split_once("://") {
        let mut refusal = Refusal::new("has a scheme").note(RULE);
        if !rest.contains('@') && registry(rest.trim_end_matches('/')).is_ok() {
            refusal = refusal.meant(format!("did you mean `{}`?", rest.trim_end_matches('/')));
        }
        return Err(refusal);
    }
    if text.ends_with('/') {
        return Err(refusal());
    }
    let (host, path) = match split_host(text) {
        (Some(host), path) => (host, path),
        (None, path) if !path.contains('/') && is_named_host(path) => (path, ""),
        (None, _) => return Err(Refusal::new("names no host").note(RULE)),
    };
    if !is_host(host) {
        return Err(refusal());
    }
    if !path.is_empty() && !is_repository(path) {
        let lower = path.to_ascii_lowercase();
        return Err(match is_repository(&lower) && lower != path {
            true => {
                Refusal::new("has capitals in its path").note(RULE).meant(format!("did you mean `{host}/{lower}`?"))
            }
            false => refusal(),
        });
    }
    Ok(text.to_owned())
}

/// The part before the first slash is a host when it looks like one, as every client of registries decides it.
fn split_host(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((host, path)) if is_named_host(host) => (Some(host), path),
        _ => (None, text),
    }
}

fn is_named_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost"
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("ipv6", after.strip_prefix(':').or(if after.is_empty() { None } else { Some("") }))
        }
        _ => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` between slashes.
fn is_repository(path: &str) -> bool {
    let component = |component: &str| {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends =
            component.bytes().next().is_some_and(alphanumeric) && component.bytes().last().is_some_and(alphanumeric);
        let separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
        ends && component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(separator)
    };
    path.len() <= 255 && path.split('/').all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_platforms_get_the_right_one() {
        for (text, meant) in [
            ("linux/amd46", Some("linux/amd64")),
            ("linux/x86_64", Some("linux/amd64")),
            ("Linux/amd64", Some("linux/amd64")),
            ("amd64", Some("linux/amd64")),
            ("aarch64", Some("linux/arm64")),
            ("armv7", Some("linux/arm/v7")),
            ("linux/armv7", Some("linux/arm/v7")),
            ("linux-arm64", Some("linux/arm64")),
            ("windows/amd64", None),
            ("plan9/mips/x/y", None),
        ] {
            let refusal = platform(text).unwrap_err();
            assert_eq!(refusal.meant, meant.map(|meant| format!("did you mean `{meant}`?")), "{text}");
        }
    }

    #[test]
    fn architectures_are_the_words_of_tags() {
        assert_eq!(arch("armv7").map(|platform| platform.to_string()), Ok("linux/arm/v7".to_owned()));
        assert_eq!(arch("linux/arm/v7").unwrap_err().meant.as_deref(), Some("did you mean `armv7`?"));
        assert_eq!(arch("amd46").unwrap_err().meant.as_deref(), Some("did you mean `amd64`?"));
        assert!(arch("arm64v8").is_err());
    }

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [
            "alpine",
            "alpine:3.22",
            "library/alpine",
            "ghcr.io/acme/app:v1",
            "localhost:5000/app",
            "[::1]:5000/app",
            "a__b/c-d--e.f",
            &format!("host.io/app@{digest}"),
            &format!("host.io/app:v1@{digest}"),
        ] {
            assert_eq!(image_reference(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "-x",
            "Alpine",
            "a b",
            "https://h/x",
            "h.io/",
            "h.io/A",
            "a:",
            "a:b:c",
            "a@sha256:1",
            "a@",
            "a:.x",
            "h.io:0/a",
            "h.io:x/a",
            "-h.io/a",
            "a//b",
            "a/../b",
            "a.-b",
            "a___b",
            "$X:a",
            "a\n",
            "h.io/-a",
        ] {
            assert!(image_reference(text).is_err(), "{text}");
        }
    }

    #[test]
    fn registries() {
        for text in ["none", "ghcr.io/acme/images", "localhost:5000", "1234.dkr.ecr.eu-west-1.amazonaws.com/images"] {
            assert_eq!(registry(text).as_deref(), Ok(text));
        }
        for (text, what) in [
            ("", "is empty"),
            ("https://ghcr.io/acme", "has a scheme"),
            ("ghcr.io/Acme", "has capitals in its path"),
            ("acme/images", "names no host"),
            ("acme", "names no host"),
            ("ghcr.io/acme:v1", "is not a registry"),
            ("ghcr.io/", "is not a registry"),
            ("h.io:99999/x", "is not a registry"),
            ("-h.io/x", "is not a registry"),
            ("h.io/x y", "is not a registry"),
        ] {
            assert_eq!(registry(text).map_err(|refusal| refusal.what), Err(what.to_owned()), "{text}");
        }
        assert_eq!(
            registry("https://ghcr.io/acme").unwrap_err().meant.as_deref(),
            Some("did you mean `ghcr.io/acme`?")
        );
    }
}
