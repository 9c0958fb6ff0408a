//! Lines for the platforms' own files and logs, made so that a value cannot forge another line.

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
