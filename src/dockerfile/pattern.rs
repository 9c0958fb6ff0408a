//! Patterns in `${NAME#pattern}` and its like: `*`, `?`, and escapes by `\`, whatever the file's escape character is.
//!
//! What stands between two `*` is looked for once, from the left: no pattern is tried anew from every place, so none
//! takes longer than its length times that of the value.

use super::expand::Refusal;

/// Longest pattern, in characters: references have few parts that are longer.
const MAX_PATTERN: usize = 128;

/// `value` without what matches `word` at its front, or at its end: the shortest match, or the longest when the
/// operator is doubled.
pub(super) fn trim(value: &str, at_end: bool, word: &str) -> Result<String, Refusal> {
    let longest = word.strip_prefix(if at_end { '%' } else { '#' });
    let mut pattern = Pattern::parse(longest.unwrap_or(word))?;
    let mut text: Vec<char> = value.chars().collect();
    if at_end {
        pattern.reverse();
        text.reverse();
    }
    if let Some(end) = pattern.match_at(&text, 0, longest.is_some()) {
        text.drain(..end);
    }
    if at_end {
        text.reverse();
    }
    Ok(text.into_iter().collect())
}

/// Hands over `value` in pieces, with `with` in place of the first match, or of all. Of several matches at one place
/// the longest counts.
pub(super) fn replace(
    value: &str,
    pattern: &str,
    with: &str,
    all: bool,
    mut piece: impl FnMut(&str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let pattern = Pattern::parse(pattern)?;
    let text: Vec<char> = value.chars().collect();
    let string = |characters: &[char]| characters.iter().collect::<String>();
    let (mut done, mut from) = (0, 0);
    while let Some((start, end)) = pattern.find(&text, from) {
        piece(&string(&text[done..start]))?;
        // Nothing right behind a match is no match of its own.
        if end > done || start == 0 {
            piece(with)?;
        }
        done = end;
        from = end.max(from + 1);
        if !all || from > text.len() {
            break;
        }
    }
    piece(&string(&text[done..]))
}

/// What stands between `*`s, each a row of characters; none is `?`.
struct Pattern(Vec<Vec<Option<char>>>);

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, Refusal> {
        if pattern.chars().count() > MAX_PATTERN {
            return Err(Refusal(format!("a pattern is longer than {MAX_PATTERN} characters")));
        }
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' => rows.push(std::mem::take(&mut row)),
                '?' => row.push(None),
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => row.push(Some(escaped)),
                    _ => return Err(Refusal("a pattern escapes what needs no escape".to_owned())),
                },
                other => row.push(Some(other)),
            }
        }
        rows.push(row);
        Ok(Self(rows))
    }

    fn reverse(&mut self) {
        self.0.reverse();
        self.0.iter_mut().for_each(|row| row.reverse());
    }

    /// The end of the shortest or longest match that begins at `start`.
    fn match_at(&self, text: &[char], start: usize, longest: bool) -> Option<usize> {
        let (first, others) = self.0.split_first()?;
        if !stands_at(first, text, start) {
            return None;
        }
        let mut end = start + first.len();
        for (at, row) in others.iter().enumerate() {
            let mut places = end..=text.len();
            let is_place = |place: &usize| stands_at(row, text, *place);
            let is_last = at + 1 == others.len();
            end = row.len() + if is_last && longest { places.rfind(is_place) } else { places.find(is_place) }?;
        }
        Some(end)
    }

    /// The first match from `from` on, the longest there. Where the first row stands first decides: what does not
    /// follow there follows nowhere behind.
    fn find(&self, text: &[char], from: usize) -> Option<(usize, usize)> {
        let first = self.0.first()?;
        let start = (from..=text.len()).find(|place| stands_at(first, text, *place))?;
        Some((start, self.match_at(text, start, true)?))
    }
}

fn stands_at(row: &[Option<char>], text: &[char], place: usize) -> bool {
    let there = text.get(place..).and_then(|rest| rest.get(..row.len()));
    there.is_some_and(|there| row.iter().zip(there).all(|(wanted, found)| wanted.is_none_or(|wanted| wanted == *found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(value: &str, pattern: &str, all: bool) -> String {
        let mut out = String::new();
        replace(value, pattern, "-", all, |piece| {
            out.push_str(piece);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn the_shortest_or_the_longest_match_is_cut_off() {
        for (value, word, front, end) in [
            ("a.b.c", "*.", "b.c", "a.b.c"),
            ("a.b.c", ".*", "a.b.c", "a.b"),
            ("a.b.c", "?.?", ".c", "a."),
            ("a.b.c", "*", "a.b.c", "a.b.c"),
            ("abcabc", "*b*", "cabc", "abca"),
            ("aaa", "a*a", "a", "a"),
            ("ä.ö", "?", ".ö", "ä."),
            ("", "*", "", ""),
            ("a", "a?", "a", "a"),
        ] {
            assert_eq!(trim(value, false, word).as_deref(), Ok(front), "{value}#{word}");
            assert_eq!(trim(value, true, word).as_deref(), Ok(end), "{value}%{word}");
        }
        for (value, word, front, end) in [
            ("a.b.c", "*.", "c", "a.b.c"),
            ("a.b.c", ".*", "a.b.c", "a"),
            ("a.b.c", "*", "", ""),
            ("abcabc", "*b*", "", ""),
            ("abcabd", "a*b", "d", "abcabd"),
        ] {
            assert_eq!(trim(value, false, &format!("#{word}")).as_deref(), Ok(front), "{value}##{word}");
            assert_eq!(trim(value, true, &format!("%{word}")).as_deref(), Ok(end), "{value}%%{word}");
        }
    }

    /// As Go's regular expressions do it, empty matches included.
    #[test]
    fn the_first_match_or_all_are_replaced() {
        for (value, pattern, first, all) in [
            ("abab", "b", "a-ab", "a-a-"),
            ("abc", "*", "-", "-"),
            ("abc", "", "-abc", "-a-b-c-"),
            ("", "", "-", "-"),
            ("", "*", "-", "-"),
            ("abc", "b*", "a-", "a-"),
            ("abcbd", "*b", "-d", "-d"),
            ("aab", "a?", "-b", "-b"),
            ("aaa", "aa", "-a", "-a"),
            ("abc", "x*", "abc", "abc"),
            ("a/b", "\\/", "a-b", "a-b"),
        ] {
            assert_eq!(replaced(value, pattern, false), first, "{value}/{pattern}");
            assert_eq!(replaced(value, pattern, true), all, "{value}//{pattern}");
        }
    }
}
