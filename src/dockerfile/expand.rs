//! Variables, quotes and escapes, as BuildKit reads them (`frontend/dockerfile/shell`, `Lex.ProcessWord`).
//!
//! A variable that is not set is the empty string; which ones were taken for that is told, so that a finding can
//! name them. What BuildKit refuses is refused.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use super::pattern;
use crate::diagnostic::escape_cut;

/// A text without variables, quotes and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// What is left.
    pub text: String,
    /// Variables without a value that the text would show, directly or through others; not more than eight.
    pub unset: Vec<String>,
}

/// Why a text cannot be expanded, or a reference means nothing: one sentence without full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// Values of variables by name, and the file's escape character.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) values: BTreeMap<String, Expanded>,
    pub(super) escape: char,
}

/// Most variables that are named as missing: a finding names the first.
const MAX_UNSET: usize = 8;

/// How deep words in braces may nest. Real files nest one level.
const MAX_DEPTH: usize = 32;
/// Longest text that a reference or a default expands to, in bytes: ten arguments that each name the one before ten
/// times would fill any memory. The longest legal reference has some 500.
const MAX_EXPANDED: usize = 4096;

impl Scope {
    /// Expands a text.
    pub(super) fn expand(&self, text: &str) -> Result<Expanded, Refusal> {
        if !text.contains(['$', '\'', '"', self.escape]) {
            let mut out = String::new();
            append(&mut out, text)?;
            return Ok(Expanded { text: out, unset: Vec::new() });
        }
        let mut lexer = Lexer { rest: text.chars().peekable(), scope: self, depth: 0, unset: Vec::new() };
        let text = lexer.until(None, false)?;
        Ok(Expanded { text, unset: lexer.unset })
    }
}

fn append(out: &mut String, text: &str) -> Result<(), Refusal> {
    if out.len() + text.len() > MAX_EXPANDED {
        return Err(Refusal(format!("the text expands to more than {MAX_EXPANDED} bytes")));
    }
    out.push_str(text);
    Ok(())
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    scope: &'a Scope,
    depth: usize,
    unset: Vec<String>,
}

impl Lexer<'_> {
    /// Reads to the end, or behind `stop`. `raw` keeps escapes, for patterns.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<String, Refusal> {
        let mut out = String::new();
        while let Some(character) = self.rest.peek().copied() {
            if stop == Some(character) {
                self.rest.next();
                return Ok(out);
            }
            let piece = match character {
                '$' => self.dollar()?,
                '\'' => self.single()?,
                '"' => self.double(raw)?,
                _ => self.plain(raw),
            };
            append(&mut out, &piece)?;
        }
        match stop {
            None => Ok(out),
            Some(stop) => refuse(format!("a `{stop}` is missing behind `${{`")),
        }
    }

    fn plain(&mut self, raw: bool) -> String {
        let first = self.rest.next();
        if first != Some(self.scope.escape) {
            return first.into_iter().collect();
        }
        first.filter(|_| raw).into_iter().chain(self.rest.next()).collect()
    }

    fn single(&mut self) -> Result<String, Refusal> {
        self.rest.next();
        let mut out = String::new();
        loop {
            match self.rest.next() {
                Some('\'') => return Ok(out),
                Some(other) => out.push(other),
                None => return refuse("a `'` is not closed"),
            }
        }
    }

    fn double(&mut self, raw: bool) -> Result<String, Refusal> {
        let escape = self.scope.escape;
        self.rest.next();
        let mut out = String::new();
        while let Some(character) = self.rest.peek().copied() {
            if character == '$' {
                let value = self.dollar()?;
                append(&mut out, &value)?;
                continue;
            }
            self.rest.next();
            if character == '"' {
                return Ok(out);
            }
            if character != escape {
                out.push(character);
                continue;
            }
            if raw {
                out.push(character);
            }
            match self.rest.peek().copied() {
                None => {}
                Some(escaped) if escaped == '"' || escaped == '$' || escaped == escape => {
                    self.rest.next();
                    out.push(escaped);
                }
                Some(_) => out.push(character),
            }
        }
        refuse("a `\"` is not closed")
    }

    fn dollar(&mut self) -> Result<String, Refusal> {
        self.rest.next();
        if self.rest.peek() != Some(&'{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name) });
        }
        self.rest.next();
        if self.depth == MAX_DEPTH {
            return refuse(format!("variables are nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let value = self.braced();
        self.depth -= 1;
        value
    }

    /// What stands between braces.
    fn braced(&mut self) -> Result<String, Refusal> {
        if matches!(self.rest.peek(), Some('{' | '}' | ':')) {
            return refuse("`${` is not followed by a name");
        }
        let name = self.name();
        let mut operator = self.rest.next();
        let or_empty = operator == Some(':');
        if or_empty {
            operator = self.rest.next();
        }
        match operator {
            Some('}') if !or_empty => Ok(self.value(&name)),
            Some(operator @ ('-' | '+' | '?')) => self.alternative(&name, operator, or_empty),
            Some(operator @ ('#' | '%')) if !or_empty => {
                let word = self.until(Some('}'), true)?;
                pattern::trim(&self.value(&name), operator == '%', &word)
            }
            Some('/') if !or_empty => {
                let all = self.rest.next_if_eq(&'/').is_some();
                let wanted = self.until(Some('/'), true)?;
                let with = self.until(Some('}'), true)?;
                let mut out = String::new();
                pattern::replace(&self.value(&name), &wanted, &with, all, |piece| append(&mut out, piece))?;
                Ok(out)
            }
            None => refuse("a `}` is missing behind `${`"),
            Some(other) => {
                let colon = if or_empty { ":" } else { "" };
                refuse(escape_cut(&format!("`{colon}{other}` is no operator between `${{` and `}}`"), 80))
            }
        }
    }

    /// `${NAME-word}` and its like.
    fn alternative(&mut self, name: &str, operator: char, or_empty: bool) -> Result<String, Refusal> {
        let before = self.unset.len();
        let word = self.until(Some('}'), false)?;
        let value = self.scope.values.get(name).filter(|value| !(or_empty && value.text.is_empty()));
        match (operator, value) {
            ('-', None) | ('+', Some(_)) => return Ok(word),
            ('?', None) => {
                let why = if or_empty { "is not allowed to be empty" } else { "is not allowed to be unset" };
                let why = if word.is_empty() { why } else { &word };
                return refuse(escape_cut(&format!("{name}: {why}"), 200));
            }
            _ => {}
        }
        // The word is not shown, nor what it names.
        self.unset.truncate(before);
        Ok(if value.is_some() && operator != '+' { self.value(name) } else { String::new() })
    }

    fn value(&mut self, name: &str) -> String {
        let value = self.scope.values.get(name);
        let unset = value.map_or_else(|| vec![name.to_owned()], |value| value.unset.clone());
        for name in unset {
            if !self.unset.contains(&name) && self.unset.len() < MAX_UNSET {
                self.unset.push(name);
            }
        }
        value.map(|value| value.text.clone()).unwrap_or_default()
    }

    /// A name, a number, or one of the shell's special parameters, none of which has a value here.
    fn name(&mut self) -> String {
        if let Some(special) = self.rest.next_if(|character| "@*#?-$!".contains(*character)) {
            return special.to_string();
        }
        let number = self.rest.peek().is_some_and(|character| character.is_numeric());
        let belongs =
            |character: &char| character.is_numeric() || !number && (character.is_alphabetic() || *character == '_');
        std::iter::from_fn(|| self.rest.next_if(belongs)).collect()
    }
}

/// Splits at white space outside quotes, as builders do for `ARG a="b c" d`; quotes and escapes stay.
pub(super) fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if character == escape && quote != Some('\'') {
            // At the very end it is dropped.
            word.extend(characters.next().into_iter().flat_map(|escaped| [character, escaped]));
            continue;
        }
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '"' | '\'') {
            quote = Some(character);
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(pairs: &[(&str, &str)], escape: char) -> Scope {
        let value = |text: &str| Expanded { text: text.to_owned(), unset: Vec::new() };
        let values = pairs.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
        Scope { values, escape }
    }

    /// The cases of BuildKit's `shell/envVarTest` and `lex_test.go` that differ in kind.
    #[test]
    fn texts_expand_as_in_buildkit() {
        let scope = scope(&[("A", "x"), ("E", ""), ("P", "xxyy"), ("S", "a***yy*"), ("U", "http://a/b/c.txt")], '\\');
        for (text, expanded) in [
            ("plain", Some("plain")),
            ("$A/${A}", Some("x/x")),
            ("a${B}c$B.d", Some("ac.d")),
            ("${B-d}${E-d}${A-d}", Some("dx")),
            ("${B:-d}${E:-d}${A:-d}", Some("ddx")),
            ("${B+r}${E+r}${A+r}", Some("rr")),
            ("${B:+r}${E:+r}${A:+r}", Some("r")),
            ("${E?}${A?no}${A:?no}", Some("xx")),
            ("${B?no}", None),
            ("${B:?}", None),
            ("${E:?no}", None),
            ("${B:-${A}}", Some("x")),
            ("${B:-${C:-$A}}", Some("x")),
            ("${A:+${A}:}y", Some("x:y")),
            ("${B:-\\$A:}", Some("$A:")),
            ("${B:-\\${A}z}", Some("${Az}")),
            ("${B:-b {c}", Some("b {c")),
            ("${A}}", Some("x}")),
            ("a$", Some("a$")),
            ("$.", Some("$.")),
            ("$1x$@y$$z$0a${1:-b}$12c", Some("xyzabc")),
            // Quotes and escapes.
            ("he'll'o", Some("hello")),
            ("he\\'llo", Some("he'llo")),
            ("'$A\\t'\"$A\\t\\$A\\\"\\\\\"", Some("$A\\tx\\t$A\"\\")),
            ("\"'$A'\"", Some("'x'")),
            ("\\$A\\\\$A\\", Some("$A\\x")),
            ("a\\tb", Some("atb")),
            ("'a", None),
            ("\"a\\\"", None),
            ("a'b", None),
            // Patterns.
            ("${P#x}|${P#*}|${P#?}|${P##*x}|${P##x}|${P#y}|${P#}", Some("xyy|xxyy|xyy|yy|xyy|xxyy|xxyy")),
            ("${P%y}|${P%y*}|${P%%y*}|${P%%x?*}|${P%x}", Some("xxy|xxy|xx||xxyy")),
            ("${S%\\*}|${S%%\\**}|${S#a\\*}", Some("a***yy|a|**yy*")),
            ("${P#$A}|${P%${E}}|${B#x}", Some("xyy|xxyy|")),
            ("${P/x/z}|${P//x/z}|${P/y*/}|${P//?/a}|${P/q/z}", Some("zxyy|zzyy|xx|aaaa|xxyy")),
            ("${U/http:\\/\\//https:}|${U//\\//.}|${U//./}", Some("https:a/b/c.txt|http:..a.b.c.txt|http://a/b/ctxt")),
            ("${A/x/${P}}|${B/x/y}", Some("xxyy|")),
            ("${A#\\a}", None),
            ("${A:#x}", None),
            ("${A:/x/y}", None),
            ("${A/x}", None),
            // What is no form at all.
            ("${A", None),
            ("${A:-b", None),
            ("${}", None),
            ("${{A}", None),
            ("${:-A}", None),
            ("${A:b}", None),
            ("${A:=b}", None),
            ("${.}", None),
        ] {
            assert_eq!(scope.expand(text).ok().map(|it| it.text).as_deref(), expanded, "{text}");
        }
    }

    #[test]
    fn the_escape_character_is_that_of_the_file() {
        let scope = scope(&[("A", "x")], '`');
        assert_eq!(scope.expand("`$A\\$A\"`\"\"").unwrap().text, "$A\\x\"");
    }

    #[test]
    fn variables_that_are_missed_are_named() {
        let scope = scope(&[("A", "x"), ("E", "")], '\\');
        for (text, unset) in [
            ("$A${E}", &[][..]),
            ("${B}:$C", &["B", "C"]),
            ("${B#x}${C/a/b}", &["B", "C"]),
            ("${B:-d}${B+$C}${A:-$C}${A+r}", &[]),
            ("${B:-$C}", &["C"]),
        ] {
            assert_eq!(scope.expand(text).unwrap().unset, unset, "{text}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let why = |text: &str| scope(&[], '\\').expand(text).unwrap_err().0;
        assert_eq!(why("${B?set \u{1b}[1m it}"), "B: set \\u{1b}[1m it");
        assert_eq!(why("${B:?}"), "B: is not allowed to be empty");
        assert_eq!(why("${B=x}"), "`=` is no operator between `${` and `}`");
        assert_eq!(why("${B"), "a `}` is missing behind `${`");
    }

    #[test]
    fn a_text_that_grows_too_long_is_refused() {
        let scope = scope(&[("A", &"x".repeat(600))], '\\');
        assert_eq!(scope.expand("$A$A$A$A$A$A").unwrap().text.len(), 3600);
        for text in
            ["$A$A$A$A$A$A$A", "${B:-$A$A$A$A$A$A$A}", "\"$A$A$A$A$A$A$A\"", "${A//x/aaaaaaaaa}", &"x".repeat(5000)]
        {
            assert!(scope.expand(text).is_err());
        }
        assert!(scope.expand(&format!("{}a{}", "${B:-".repeat(40), "}".repeat(40))).is_err());
    }

    #[test]
    fn words_are_split_outside_quotes() {
        assert_eq!(words("A=1 B=\"x y\"  C", '\\'), ["A=1", "B=\"x y\"", "C"]);
        assert_eq!(words("A=x\\ y B='\\' C=\"\\\" d\"", '\\'), ["A=x\\ y", "B='\\'", "C=\"\\\" d\""]);
        assert_eq!(words("A=x` y", '`'), ["A=x` y"]);
        assert_eq!(words("", '\\'), [""; 0]);
    }
}
