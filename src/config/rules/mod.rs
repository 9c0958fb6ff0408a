//! What a single value may be (specification §3, "Values"): text in, the value or a refusal out.
//!
//! A refusal says what is wrong as the end of a sentence that begins with the field's name, and never repeats the
//! value: the line is shown anyway, and a value may hold a password.

mod duration;
mod git_ref;
mod image;
mod path;
pub(super) mod repository;
mod version;

pub(super) use duration::duration;
pub(super) use git_ref::git_ref;
pub(super) use image::{arch, cache_repository, image_reference, platform, registry};
pub(super) use path::{directory, file, glob, import_path};
pub(super) use repository::repository;
pub(super) use version::version_pattern;

use super::BuildArg;
use super::template::{self, Part};

/// Why a value cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Follows the field's name: "is empty".
    pub(super) what: String,
    /// The rule, or the next step.
    pub(super) note: Option<&'static str>,
    /// What was probably meant.
    pub(super) meant: Option<String>,
    /// The part of the value that is wrong: first character and number of characters.
    pub(super) part: Option<(usize, usize)>,
}

pub(super) type Checked<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), note: None, meant: None, part: None }
    }

    pub(super) fn note(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    pub(super) fn meant(mut self, meant: impl Into<String>) -> Self {
        self.meant = Some(meant.into());
        self
    }

    pub(super) fn part(mut self, offset: usize, length: usize) -> Self {
        self.part = Some((offset, length));
        self
    }
}

/// Longest value of a build argument, in bytes: Linux takes twice that for one argument of a program.
const MAX_ARG_BYTES: usize = 64 * 1024;
const ARG_NAME: &str = "a name has letters, digits and _ and does not begin with a digit";

/// `[A-Za-z_][A-Za-z0-9_]*`.
pub(super) fn variable_name(text: &str) -> Checked<String> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not the name of a variable").note(ARG_NAME))
}

/// The name of a build argument.
pub(super) fn arg_name(text: &str) -> Checked<String> {
    if text == "BUILDKIT_SYNTAX" {
        return Err(Refusal::new("may not set `BUILDKIT_SYNTAX`").note("it would replace the Dockerfile's parser"));
    }
    variable_name(text).map_err(|_| Refusal::new("has a name that no build argument can have").note(ARG_NAME))
}

/// The value of a build argument: one line, `${VAR}` well formed.
pub(super) fn arg_value(text: &str) -> Checked<String> {
    single_line(text)?;
    if text.len() > MAX_ARG_BYTES {
        return Err(Refusal::new(format!("has a value of {} bytes", text.len())).note("a value has at most 64 KiB"));
    }
    template::parse(text)
        .map(|_| text.to_owned())
        .map_err(|wrong| Refusal::new(wrong.message).note(wrong.note).part(wrong.offset, wrong.length))
}

/// `KEY=VALUE` of a list.
pub(super) fn build_arg(text: &str) -> Checked<BuildArg> {
    let Some((name, value)) = text.split_once('=') else {
        let refusal = Refusal::new("has a name without a value")
            .note("a name alone would carry a variable of the CI job into the image");
        return Err(match arg_name(text) {
            Ok(name) => refusal.meant(format!("did you mean `{name}=${{{name}}}`, or `{name}=` for an empty value?")),
            Err(_) => refusal.note("an entry is KEY=VALUE"),
        });
    };
    let value_at = name.chars().count() + 1;
    let arg =
        BuildArg { name: arg_name(name)?, value: arg_value(value).map_err(|refusal| shifted(refusal, value_at))? };
    Ok(arg)
}

fn shifted(refusal: Refusal, by: usize) -> Refusal {
    Refusal { part: refusal.part.map(|(offset, length)| (offset + by, length)), ..refusal }
}

/// `KEY=VALUE` of the environment of a Go build.
pub(super) fn environment(text: &str) -> Checked<String> {
    let rule = "an entry is KEY=VALUE";
    let (name, value) = text.split_once('=').ok_or_else(|| Refusal::new("has no value").note(rule))?;
    variable_name(name).map_err(|refusal| refusal.note(rule))?;
    single_line(value)?;
    Ok(text.to_owned())
}

/// Any text of one line that a program can be given.
pub(super) fn single_line(text: &str) -> Checked<String> {
    match text.chars().position(|c| matches!(c, '\n' | '\r' | '\0' | '\u{85}' | '\u{2028}' | '\u{2029}')) {
        Some(_) => Err(Refusal::new("has more than one line").note("a value is a single line")),
        None => Ok(text.to_owned()),
    }
}

/// An argument of a program: a single line, not empty.
pub(super) fn argument(text: &str) -> Checked<String> {
    not_empty(text)?;
    single_line(text)
}

/// The name of a Dockerfile stage; empty is none.
pub(super) fn stage(text: &str) -> Checked<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good = text.len() <= 128
        && text.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
        && text.bytes().next().is_some_and(word);
    if good {
        return Ok(Some(text.to_owned()));
    }
    Err(no_option(text)
        .unwrap_or_else(|| Refusal::new("is not the name of a stage"))
        .note("a stage has letters, digits and ._- and begins with a letter, a digit or _"))
}

/// A stage that must be one.
pub(super) fn one_stage(text: &str) -> Checked<String> {
    not_empty(text)?;
    stage(text).map(Option::unwrap_or_default)
}

/// What tells one image of a directory from the others: it stands in tags.
pub(super) fn target_name(text: &str) -> Checked<String> {
    not_empty(text)?;
    let good = stage(text).is_ok_and(|name| name.is_some());
    if good {
        return Ok(text.to_owned());
    }
    Err(no_option(text)
        .unwrap_or_else(|| Refusal::new("cannot stand in a tag"))
        .note("a name has letters, digits and ._- and begins with a letter, a digit or _"))
}

/// The key of a label or annotation.
pub(super) fn label_key(text: &str) -> Checked<String> {
    not_empty(text)?;
    if text.starts_with("dev.hephy.") {
        return Err(Refusal::new("has a key that hephy writes itself").note("keys below `dev.hephy.` are its records"));
    }
    let wrong = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '=' | '"' | '\'' | ',');
    if text.contains(wrong) || text.starts_with('-') || text.len() > 256 {
        return Err(Refusal::new("has a key that builders do not take")
            .note("a key has no spaces, quotes, `=` or `,`, does not begin with - and has at most 256 characters"));
    }
    Ok(text.to_owned())
}

/// The value of a label or annotation.
pub(super) fn label_value(text: &str) -> Checked<String> {
    match text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        true => Err(Refusal::new("has a control character")),
        false => Ok(text.to_owned()),
    }
}

/// The id of a secret: it stands in comma-separated options of builders, and builders make file names of it.
pub(super) fn secret_id(text: &str) -> Checked<String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if starts && text.len() <= 128 && text.bytes().all(word) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not the id of a secret")
        .note("an id has letters, digits and ._- and begins with a letter, a digit or _"))
}

/// The path of a secret's file: absolute, or relative to the repository's root. It stands in comma-separated options.
pub(super) fn secret_file(text: &str) -> Checked<String> {
    let odd = |c: char| c.is_control() || matches!(c, ',' | '"' | '\'' | '\\' | '=');
    let relative = text.strip_prefix('/').unwrap_or(text);
    let parts = relative.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git"));
    if !text.starts_with('-') && parts && !text.contains(odd) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not the path of a secret")
        .note("a path is absolute or relative to the repository's root, without `..`, quotes, commas and = in it"))
}

/// Variables that `additional_tags` may use (specification §5).
pub(super) const TAG_VARIABLES: [&str; 4] = ["BRANCH_NAME", "BUILD_NUMBER", "SHORT_SHA", "VERSION"];
const TAG_RULE: &str = "a tag has letters, digits and ._- and at most 128 characters";

/// An additional tag, `${VAR}` not yet expanded. The prefix comes before it, so its first character may be any.
pub(super) fn additional_tag(text: &str) -> Checked<String> {
    not_empty(text)?;
    let parts = template::parse(text)
        .map_err(|wrong| Refusal::new(wrong.message).note(wrong.note).part(wrong.offset, wrong.length))?;
    let mut offset = 0;
    for part in &parts {
        match part {
            Part::Text(text) => {
                let wrong = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-');
                if let Some(at) = text.chars().position(wrong) {
                    return Err(Refusal::new("is not a tag").note(TAG_RULE).part(offset + at, 1));
                }
                offset += text.chars().count();
            }
            Part::Var { name, .. } => {
                let length = name.len() + 3;
                if !TAG_VARIABLES.contains(&name.as_str()) {
                    let mut refusal = Refusal::new(format!("uses `${{{name}}}`, which no tag knows"))
                        .note("tags know BRANCH_NAME, BUILD_NUMBER, SHORT_SHA and VERSION")
                        .part(offset, length);
                    refusal.meant = crate::diagnostic::nearest(name, TAG_VARIABLES)
                        .map(|meant| format!("did you mean `${{{meant}}}`?"));
                    return Err(refusal);
                }
                offset += length;
            }
        }
    }
    let literal: usize = parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum();
    if literal > crate::oci::Tag::MAX_LENGTH {
        return Err(Refusal::new(format!("has {literal} characters")).note(TAG_RULE));
    }
    Ok(text.to_owned())
}

/// Words of `tag_template` (specification §5).
pub(super) const TEMPLATE_WORDS: [&str; 11] =
    ["image", "date", "ref", "arch", "sha", "short_sha", "branch", "version", "major", "minor", "run"];

/// `tag_template`: characters of a tag and `{word}`.
pub(super) fn tag_template(text: &str) -> Checked<String> {
    const RULE: &str = "a template has letters, digits, ._- and the words {image}, {date}, {ref}, {sha}, {short_sha}, \
                        {branch}, {version}, {major}, {minor}, {arch} and {run}";
    not_empty(text)?;
    let (mut rest, mut offset) = (text, 0);
    while let Some(at) = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
        let wrong_at = offset + rest[..at].chars().count();
        let Some(word) = rest[at..].strip_prefix('{').and_then(|inner| inner.split_once('}').map(|(word, _)| word))
        else {
            return Err(Refusal::new("is not a template of a tag").note(RULE).part(wrong_at, 1));
        };
        let length = word.chars().count() + 2;
        if !TEMPLATE_WORDS.contains(&word) {
            let mut refusal = Refusal::new("uses a word that no template knows").note(RULE).part(wrong_at, length);
            refusal.meant =
                crate::diagnostic::nearest(word, TEMPLATE_WORDS).map(|meant| format!("did you mean `{{{meant}}}`?"));
            return Err(refusal);
        }
        offset = wrong_at + length;
        rest = &rest[at + word.len() + 2..];
    }
    Ok(text.to_owned())
}

/// The name of a rule of `hephy check`.
pub(super) fn lint_rule(text: &str) -> Checked<&'static str> {
    if let Some(rule) = crate::lint::find(text) {
        return Ok(rule.name);
    }
    let names = crate::lint::RULES.iter().map(|rule| rule.name);
    let mut refusal = Refusal::new("has a key that is no rule").note("hephy's docs/lint.md lists the rules");
    let meant = if text.len() > 64 { None } else { crate::diagnostic::nearest(text, names) };
    refusal.meant = meant.map(|meant| format!("did you mean `{meant}`?"));
    Err(refusal)
}

/// A whole number without sign, leading zero or another spelling.
pub(super) fn number(text: &str, most: u32) -> Checked<u32> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let refusal = || Refusal::new("is not a whole number that fits").note("a number from 0 to 100, in plain digits");
    if !canonical {
        return Err(refusal());
    }
    text.parse().ok().filter(|number| *number <= most).ok_or_else(refusal)
}

fn not_empty(text: &str) -> Checked<()> {
    if text.is_empty() { Err(Refusal::new("is empty")) } else { Ok(()) }
}

/// The refusal of a value that a program could take for an option.
fn no_option(text: &str) -> Option<Refusal> {
    text.starts_with('-').then(|| Refusal::new("looks like an option"))
}
