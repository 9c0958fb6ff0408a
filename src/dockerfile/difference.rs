//! Where two Dockerfiles first differ, in a phrase.

use super::Dockerfile;
use crate::diagnostic::escape_cut;

/// Longest instruction that is shown.
const SHOWN: usize = 80;

impl Dockerfile {
    /// The first instruction that differs from an older version of the file: `line 4: FROM now alpine:3.22`. None when
    /// only comments, blanks and lines differ that mean nothing.
    #[must_use]
    pub fn first_difference(&self, old: &Self) -> Option<String> {
        let mut olds = old.written();
        for (line, new) in self.written() {
            match olds.next() {
                None => return Some(format!("line {line}: {} is new", shown(new))),
                Some((_, old)) if words(new) == words(old) => {}
                Some((_, old)) => return Some(changed(line, new, old)),
            }
        }
        olds.next().map(|(line, old)| format!("{} of line {line} is gone", shown(old)))
    }

    /// Each instruction and its line.
    fn written(&self) -> impl Iterator<Item = (usize, &str)> {
        self.instructions.iter().map(|place| (place.line, self.text_of(place)))
    }
}

/// What became of an instruction that stands in this line.
fn changed(line: usize, new: &str, old: &str) -> String {
    let (now, was) = (keyword(new), keyword(old));
    if now.0 != was.0 {
        return format!("line {line}: now {}, was {}", shown(new), shown(old));
    }
    if new.lines().count() > 1 {
        // The line of it that differs.
        let lines = new.lines().zip(old.lines());
        let at = lines.take_while(|(new, old)| new.trim_end() == old.trim_end()).count();
        let differing = new.lines().nth(at).unwrap_or_default().trim();
        if at > 0 && !differing.is_empty() {
            return format!("line {}: {} now {}", line + at, now.0, escape_cut(differing, SHOWN));
        }
    }
    format!("line {line}: {} now {}", now.0, escape_cut(now.1.trim(), SHOWN))
}

fn words(text: &str) -> Vec<&str> {
    // What stands in a here-document is taken as it is.
    if text.contains("<<") { vec![text] } else { text.split_whitespace().collect() }
}

fn keyword(text: &str) -> (String, &str) {
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (keyword.to_uppercase(), rest)
}

fn shown(text: &str) -> String {
    escape_cut(text.lines().next().unwrap_or_default(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_instruction_that_differs_is_told() {
        let parse = |text: &str| Dockerfile::parse("f", text.as_bytes()).unwrap();
        for (old, new, expected) in [
            ("FROM a:1\nRUN x", "# c\n\nFROM a:2\nRUN y", Some("line 3: FROM now a:2")),
            ("FROM a\nRUN x", "FROM a\nCOPY x y", Some("line 2: now COPY x y, was RUN x")),
            ("FROM a\nRUN x", "FROM a\nRUN x\nRUN y", Some("line 3: RUN y is new")),
            ("FROM a\nRUN x", "FROM a", Some("RUN x of line 2 is gone")),
            ("FROM a\nRUN x \\\n  y \\\n  z", "FROM a\nRUN x \\\n  q \\\n  z", Some("line 3: RUN now q \\")),
            ("FROM a\nRUN x", "FROM a\n\n# c\nRUN   x\n", None),
            ("FROM a\nRUN <<E\na b\nE\n", "FROM a\nRUN <<E\na  b\nE\n", Some("line 3: RUN now a  b")),
        ] {
            assert_eq!(parse(new).first_difference(&parse(old)).as_deref(), expected, "{new:?}");
        }
    }
}
