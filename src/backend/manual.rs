//! `manual_build`: no builder, an image that was built elsewhere.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::oci::{Platform, Reference};

/// The reference that `manual_images` names for a platform.
///
/// # Errors
/// When it names none, or one that is no reference.
pub fn manual_reference(images: &BTreeMap<String, String>, platform: &Platform) -> Result<Reference> {
    let arch = platform.arch();
    let text = images.get(&arch).ok_or_else(|| {
        Error::config(format!("manual_images names no image for {arch}"))
            .hint(format!("add `{arch}: <reference>` to manual_images, or take {platform} out of platforms"))
    })?;
    Reference::parse(text).map_err(|error| {
        Error::config(format!("`{}` is not an image reference", crate::diagnostic::escape_cut(text, 200)))
            .cause(error)
            .hint("write registry/repository:tag or registry/repository@sha256:…")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arch_has_its_reference() {
        let images = BTreeMap::from([
            ("armv7".to_owned(), "localhost:5000/acme/x:1".to_owned()),
            ("amd64".to_owned(), "--x".to_owned()),
        ]);
        let reference = manual_reference(&images, &Platform::parse("linux/arm/v7").unwrap()).unwrap();
        assert_eq!(reference.repository.path(), "acme/x");
        assert_eq!(reference.tag.unwrap().as_str(), "1");
        for wrong in ["linux/arm64", "linux/amd64"] {
            let error = manual_reference(&images, &Platform::parse(wrong).unwrap()).unwrap_err();
            assert_eq!(error.kind().code(), "config_error");
        }
    }
}
