//! Durations as people write them in CI files.

use std::time::Duration;

use super::{Checked, Refusal};

/// Longest duration: thirty days, what the patient end of CI systems allows for a job.
const LONGEST: u64 = 30 * 24 * 60 * 60;
const RULE: &str = "a duration is 90s, 10m or 1h30m, more than nothing and at most 720h";

/// `1h30m`, `10m`, `90s`: whole numbers of hours, minutes and seconds, in this order, each at most once.
pub(in super::super) fn duration(text: &str) -> Checked<Duration> {
    let refusal = || Refusal::new("is not a duration").note(RULE);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let refusal = Refusal::new("has no unit").note(RULE);
        // No longer number makes a duration in any unit.
        return Err(if text.len() > 7 { refusal } else { refusal.meant(format!("did you mean `{text}s`?")) });
    }
    let (mut seconds, mut rest, mut units) = (0_u64, text, &[('h', 3600_u64), ('m', 60), ('s', 1)][..]);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().map_err(|_| refusal())?;
        let unit = rest[digits..].chars().next().ok_or_else(refusal)?;
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(refusal)?;
        seconds = count.checked_mul(units[at].1).and_then(|more| seconds.checked_add(more)).ok_or_else(refusal)?;
        units = &units[at + 1..];
        rest = &rest[digits + 1..];
    }
    if seconds == 0 || seconds > LONGEST {
        return Err(refusal());
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in
            [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h1s", 7201), ("90m", 5400), ("720h", LONGEST)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "0s",
            "10",
            "m",
            "-1m",
            "1.5h",
            "1d",
            "1m1h",
            "1m1m",
            "1h 30m",
            "10M",
            "721h",
            "99999999999999999999h",
            "5124095576030431h",
            "１m",
            "1h30",
            "+5m",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("90").unwrap_err().meant.as_deref(), Some("did you mean `90s`?"));
        assert_eq!(duration(&"9".repeat(200_000)).unwrap_err().meant, None, "nobody reads that");
    }
}
