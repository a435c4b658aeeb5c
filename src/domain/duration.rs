//! Durations in the form `90s`, `30m`, `2h`, `7d`, `2w`.

use std::time::Duration;

/// The units and their length in seconds.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];

/// The form of a duration above 0, for messages and documents.
pub const DURATION_FORM: &str = "a number above 0 and a unit (s, m, h, d or w), such as 90s, 30m or 2h";

/// A text that is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// The text is not a duration of 0 or more.
    #[error("expected 0, or a number and a unit (s, m, h, d or w), such as 90s, 30m or 2h")]
    Any,
    /// The text is not a duration above 0.
    #[error("expected {DURATION_FORM}")]
    Positive,
}

/// Reads a duration: a number with a unit `s`, `m`, `h`, `d` or `w`; or `0`. Fails for any other text.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    read(text).ok_or(InvalidDuration::Any)
}

/// Reads a duration above 0. Fails for any other text.
pub fn parse_positive_duration(text: &str) -> Result<Duration, InvalidDuration> {
    read(text).filter(|duration| !duration.is_zero()).ok_or(InvalidDuration::Positive)
}

fn read(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (unit, unit_s) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let digits = text.strip_suffix(unit)?;
    // `parse` would accept a sign.
    let number: u32 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(Duration::from_secs(u64::from(number) * unit_s))
}

/// Writes whole seconds in the largest unit that divides them. The text can be read again.
pub(super) fn duration_text(seconds: u64) -> String {
    let fits = |(_, unit_s): &(char, u64)| seconds.is_multiple_of(*unit_s);
    let (unit, unit_s) = UNITS.into_iter().rev().find(fits).expect("every number is one of seconds");
    format!("{}{unit}", seconds / unit_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("2h", 7_200),
            ("1d", 86_400),
            ("2w", 1_209_600),
            ("007s", 7),
            ("4294967295w", 4_294_967_295 * 604_800),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
            assert_eq!(parse_positive_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["0", "0s", "0w"] {
            assert_eq!(parse_duration(text), Ok(Duration::ZERO));
            assert_eq!(parse_positive_duration(text), Err(InvalidDuration::Positive), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_the_units() {
        for text in
            ["", "90", "s", "00", "-1s", "+1s", "1.5h", "1M", "1y", "1 h", "1h30m", "4294967296s", "1é", "é"]
        {
            for refused in [parse_duration(text), parse_positive_duration(text)] {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("s, m, h, d or w"), "{text:?}: {refused}");
            }
        }
    }

    #[test]
    fn durations_are_written_in_the_largest_unit() {
        for text in ["90s", "1m", "36h", "1d", "2w"] {
            assert_eq!(duration_text(parse_duration(text).unwrap().as_secs()), text);
        }
        assert_eq!(duration_text(7 * 86_400), "1w");
    }
}
