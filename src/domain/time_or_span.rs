//! Times on the command line: a time, a date, or a span before or after the current time.

use super::{Timestamp, parse_duration};

/// A text that is neither a time nor a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a time")]
pub struct InvalidTime {
    /// The text, shortened.
    text: String,
    /// The side of the current time that a span is on: `before` or `after`.
    pub side: &'static str,
}

/// Reads RFC 3339, `2026-11-21` (midnight UTC), or a span before `now`. Fails if the text is neither, or
/// the time cannot be represented.
pub fn time_or_span_before(text: &str, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    if let Ok(at) = full.parse() {
        return Ok(at);
    }
    let span =
        span_seconds(text).and_then(|seconds| Timestamp::from_unix(now.unix_millis() / 1000 - seconds));
    span.ok_or_else(|| invalid(text, "before"))
}

/// Reads the same with a span after `now`. Fails as [`time_or_span_before`] does.
pub fn time_or_span_after(text: &str, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    match span_seconds(text) {
        Some(seconds) => {
            Timestamp::from_unix(now.unix_millis() / 1000 + seconds).ok_or_else(|| invalid(text, "after"))
        }
        None => time_or_span_before(text, now).map_err(|_| invalid(text, "after")),
    }
}

fn invalid(text: &str, side: &'static str) -> InvalidTime {
    InvalidTime { text: text.chars().take(60).collect(), side }
}

/// Returns a duration in seconds. 0 without a unit is not a duration.
fn span_seconds(text: &str) -> Option<i64> {
    let span = parse_duration(text).ok().filter(|_| text != "0")?;
    i64::try_from(span.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let text = |text: &str| time_or_span_before(text, now).map(|at| at.to_string());
        assert_eq!(text("2026-11-20").unwrap(), "2026-11-20T00:00:00.000000Z");
        assert_eq!(text("2026-11-20T10:00:00+01:00").unwrap(), "2026-11-20T09:00:00.000000Z");
        assert_eq!(text("12h").unwrap(), "2026-11-21T00:00:00.000000Z");
        assert_eq!(text("2w").unwrap(), "2026-11-07T12:00:00.000000Z");
        for bad in ["", "h", "yesterday", "-1d", "é", "0", "12", "2026-13-01", "99999999999999d"] {
            assert!(time_or_span_before(bad, now).is_err(), "{bad:?}");
        }
    }
}
