//! The same Dockerfile with other images: chosen references are replaced, everything else stays, line for line, so
//! that what a builder says of a line is true of the original.

use std::ops::Range;

use super::{Dockerfile, ImageUse, Stage};

/// A reference to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its line, from 1.
    pub line: usize,
    /// The reference as written, unexpanded.
    pub text: String,
    /// What stands there afterwards.
    pub with: String,
}

/// Replaces the references that `pins` name by line and text.
///
/// # Errors
/// The pin that names nothing, or something that cannot be replaced without touching its neighbours.
pub fn pin<'p>(text: &str, pins: &'p [Pin]) -> Result<String, &'p Pin> {
    // Offsets count from behind a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = Dockerfile::parse("Dockerfile", text.as_bytes());
    let uses: Vec<&ImageUse> = match &parsed {
        Ok(file) => file.stages.iter().flat_map(Stage::images).collect(),
        Err(_) => Vec::new(),
    };
    let mut replacements: Vec<(Range<usize>, &str)> = Vec::new();
    for pin in pins {
        let named = uses.iter().filter(|image| image.span.line == pin.line && image.text == pin.text);
        let ranges: Option<Vec<_>> = named.map(|image| range_of(text, image)).collect();
        let ranges = ranges.filter(|ranges| !ranges.is_empty()).ok_or(pin)?;
        replacements.extend(ranges.into_iter().map(|range| (range, pin.with.as_str())));
    }
    replacements.sort_by_key(|(range, _)| range.start);
    replacements.dedup();
    let mut pinned = text.to_owned();
    for (range, with) in replacements.into_iter().rev() {
        pinned.replace_range(range, with);
    }
    Ok(pinned)
}

/// The bytes of the name, without quotes of a flag; none where the file writes it in another way than in one piece, such as
/// over two lines.
fn range_of(text: &str, image: &ImageUse) -> Option<Range<usize>> {
    let written = text.get(image.range.clone())?;
    let start = image.range.start + written.find(&image.text)?;
    Some(start..start + image.text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_x(line: usize, text: &str) -> Pin {
        Pin { line, text: text.into(), with: "x:1@sha256:0".into() }
    }

    #[test]
    fn precisely_the_named_references_are_replaced_and_lines_stay() {
        let text = "# syntax=docker/dockerfile:1\nARG R\nFROM r/a:latest AS one\r\n# FROM r/a:latest\n\
                    FROM --platform=$TARGETPLATFORM \"r/a:latest\" AS two\nCOPY --chown=0 --from=r/a:latest /a \\\n  /b\n\
                    RUN --mount=type=bind,source=/x,from=r/a:latest,target=/x \\\n  --mount=from='${R}:a',target=/y \\\n \
                    echo r/a:latest\nRUN <<E\nFROM r/a:latest\nE\nFROM r/a:latest-not\n";
        let pins = [to_x(3, "r/a:latest"), to_x(5, "\"r/a:latest\""), to_x(6, "r/a:latest"), to_x(8, "r/a:latest")];
        let pinned = pin(text, &pins).unwrap();
        let expected = "# syntax=docker/dockerfile:1\nARG R\nFROM x:1@sha256:0 AS one\r\n# FROM r/a:latest\n\
                    FROM --platform=$TARGETPLATFORM x:1@sha256:0 AS two\nCOPY --chown=0 --from=x:1@sha256:0 /a \\\n  \
                    /b\nRUN --mount=type=bind,source=/x,from=x:1@sha256:0,target=/x \\\n  \
                    --mount=from='${R}:a',target=/y \\\n echo r/a:latest\nRUN <<E\nFROM r/a:latest\nE\n\
                    FROM r/a:latest-not\n";
        assert_eq!(pinned, expected);
        let raw = pin(&pinned, &[to_x(9, "${R}:a")]).unwrap();
        assert!(raw.contains("--mount=from='x:1@sha256:0',target=/y"), "{raw}");
        assert_eq!(pin(text, &[]).as_deref(), Ok(text));
    }

    #[test]
    fn what_is_not_there_or_cannot_be_replaced_is_an_error() {
        for (text, line, name) in [
            ("FROM a\n", 2, "a"),
            ("FROM a\n", 1, "b"),
            ("FROM scratch\nCOPY --from=a\\\nb /x /y\n", 2, "ab"),
            ("NOT A DOCKERFILE\n", 1, "a"),
        ] {
            assert_eq!(pin(text, &[to_x(line, name)]), Err(&to_x(line, name)), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_shifts_nothing() {
        assert_eq!(pin("\u{feff}FROM a\n", &[to_x(1, "a")]).unwrap(), "FROM x:1@sha256:0\n");
    }
}
