//! Lines for the platforms' own files and logs, made so that a value cannot forge another line.

use crate::config::may_name_a_secret;
use crate::diagnostic::{escape, is_unseen};
use crate::error::{Error, Result};
use crate::oci::Digest;

/// One entry of `$GITHUB_OUTPUT`, `$GITHUB_ENV` or `$GITHUB_STATE`, in the form for any value. The delimiter is
/// the value's own hash, so the value cannot hold it.
///
/// # Errors
/// When the name is none that GitHub takes.
pub fn github_output(name: &str, value: &str) -> Result<String> {
    check_name(name)?;
    let digest = Digest::of(value.as_bytes());
    let delimiter = format!("hephy_{}", digest.hex());
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

/// One line of a dotenv report of GitLab.
///
/// # Errors
/// When the name is none, or the value has a line break: GitLab has no form for it.
pub fn dotenv_line(name: &str, value: &str) -> Result<String> {
    check_name(name)?;
    if value.contains(char::is_control) {
        return Err(Error::internal(format!("the value of `{name}` does not fit into one line of a dotenv report")));
    }
    Ok(format!("{name}={value}\n"))
}

/// A shorter value hides nothing, and its mask would cover half of the text.
const SHORTEST_SECRET: usize = 6;

/// Values of the environment that no output may show, the longest first.
#[must_use]
pub(crate) fn secrets(env: &super::Env) -> Vec<String> {
    let values = env.iter().filter(|(name, _)| may_name_a_secret(name)).map(|(_, value)| value);
    let mut secrets: Vec<String> = values.filter(|value| value.len() >= SHORTEST_SECRET).cloned().collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// Text with secrets as `***` and without the credentials of addresses.
#[must_use]
pub(crate) fn masked(text: &str, secrets: &[String]) -> String {
    let hidden = secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"));
    crate::config::mask_credentials(&hidden)
}

/// Text that can neither move a cursor nor, on GitHub, begin a line that its runner takes for a command
/// (`::error::`, and `##[error]` anywhere in a line). Colours pass.
#[must_use]
pub(crate) fn harmless(text: &str, on_github: bool) -> String {
    let line = |line: &str| {
        let command = on_github && (line.trim_start().starts_with("::") || line.contains("##["));
        let mark = if command { "| " } else { "" };
        format!("{mark}{}", colours_only(&line.replace("##[", if on_github { "## [" } else { "##[" })))
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A JSON document that reads the same, and neither moves a cursor nor commands a platform where it is shown.
#[must_use]
pub(crate) fn harmless_json(document: &str) -> String {
    // Most documents, and those of large repositories are long.
    if document.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) && !document.contains("##[") {
        return document.to_owned();
    }
    let mut out = String::with_capacity(document.len());
    // Outside of strings there is no such character.
    for character in document.replace("##[", "#\\u0023[").chars() {
        if character != '\n' && is_unseen(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Escapes everything but the sequences that choose a colour.
fn colours_only(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut pieces = line.split('\u{1b}');
    out.push_str(&escape(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let end = piece.find(|c: char| !(c.is_ascii_digit() || matches!(c, '[' | ';'))).unwrap_or(piece.len());
        let colour = piece.starts_with('[') && piece[end..].starts_with('m');
        out.push_str(if colour { "\u{1b}" } else { "\\u{1b}" });
        out.push_str(&escape(piece));
    }
    out
}

fn check_name(name: &str) -> Result<()> {
    let sound =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if sound {
        Ok(())
    } else {
        Err(Error::internal("the name of an output has other characters than A-Z, 0-9, _ and -"))
    }
}

/// A workflow command of GitHub (`::error file=…,line=…::message`), its parts escaped as GitHub's toolkit does.
#[must_use]
pub fn workflow_command(command: &str, properties: &[(&str, &str)], message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let gap = if properties.is_empty() { "" } else { " " };
    format!("::{command}{gap}{}::{}\n", properties.join(","), data(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_moves_no_cursor_and_commands_nobody() {
        assert_eq!(harmless("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\r\u{202e}\nb", false), {
            "\u{1b}[1;31mred\u{1b}[0m \\u{1b}[2J\\u{d}\\u{202e}\nb"
        });
        assert_eq!(harmless("a\n  ::error::x\n##[x]", true), "a\n|   ::error::x\n| ## [x]");
        assert_eq!(harmless("::x", false), "::x");
    }

    #[test]
    fn a_document_reads_the_same_and_shows_nothing_unseen() {
        let value = serde_json::json!({ "a\u{202e}": "##[x]\u{9b}2J\u{e0001}\n" });
        let shown = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.lines().all(|line| !line.contains(is_unseen) && !line.contains("##[")), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let env = super::super::Env::from(
            [
                ("CI_JOB_TOKEN", "hunter2-x"),
                ("A_PASSWORD", "hunter2"),
                ("SHORT_TOKEN", "on"),
                ("npm_api_key", "lower-1"),
                ("DB_PASSWD", "passwd-22"),
                ("HOME", "/root-x"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let secrets = secrets(&env);
        assert_eq!(secrets, ["hunter2-x", "passwd-22", "hunter2", "lower-1"]);
        assert_eq!(masked("hunter2-x /root-x on", &secrets), "*** /root-x on");
        assert_eq!(masked("https://u:pw@h/x", &[]), "https://****@h/x");
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        let output = github_output("plan", "a\nb=c\nEOF").unwrap();
        let lines: Vec<&str> = output.lines().collect();
        let delimiter = lines[0].strip_prefix("plan<<").unwrap();
        assert_eq!(lines.iter().filter(|line| **line == delimiter).count(), 1);
        assert_eq!(*lines.last().unwrap(), delimiter);
        assert!(github_output("a=b", "x").is_err() && github_output("", "x").is_err());
        assert!(dotenv_line("A", "x\nB=1").is_err());
        assert_eq!(dotenv_line("A", "x y").unwrap(), "A=x y\n");
        assert_eq!(
            workflow_command("error", &[("file", "a,b:c"), ("line", "1")], "x\n::set-env::%"),
            "::error file=a%2Cb%3Ac,line=1::x%0A::set-env::%25\n"
        );
    }
}
