//! Texts for people: pure functions that convert data and the current time into words.

use std::borrow::Cow;

use crate::domain::Timestamp;

/// Returns the age of `at` in git's words: `3 hours ago`.
pub fn relative_time(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.seconds_since(at);
    if seconds < 0 {
        return "in the future".to_owned();
    }
    // The thresholds between units are those of git.
    let (count, unit) = match seconds {
        0..90 => (seconds, "second"),
        90..5_400 => ((seconds + 30) / 60, "minute"),
        5_400..129_600 => ((seconds + 1_800) / 3_600, "hour"),
        129_600..1_209_600 => ((seconds + 43_200) / 86_400, "day"),
        1_209_600..6_048_000 => ((seconds + 302_400) / 604_800, "week"),
        6_048_000..31_536_000 => ((seconds + 1_296_000) / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// Returns a duration in its two largest units: `850 ms`, `12.3 s`, `4 m 05 s`.
pub fn human_duration(duration: std::time::Duration) -> String {
    let (ms, s) = (duration.as_millis(), duration.as_secs());
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} m", s / 3600, s % 3600 / 60),
    }
}

/// Returns a time in UTC to the second: `2026-11-21 03:40:06Z`.
pub fn utc_time(at: Timestamp) -> String {
    at.as_datetime().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Returns a count with its noun in the singular or the plural: `1 pack`, `2 packs`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Makes `text` safe for a terminal. Control characters become visible (`\x1b`), because they could
/// move the cursor or start an escape sequence. Marks that reverse the direction of writing become
/// visible, too. Line breaks and tabs remain.
pub fn sanitised(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_hostile(c) && !matches!(c, '\n' | '\t'))
}

/// Makes `text` safe for one cell of a table or one line: line breaks and tabs become visible, too.
pub fn sanitised_line(text: &str) -> Cow<'_, str> {
    escape(text, is_hostile)
}

/// Makes JSON safe for a terminal without changing its meaning: `serde_json` does not escape the
/// control characters above ASCII.
pub fn sanitised_json(json: String) -> String {
    if !json.chars().any(|c| is_hostile(c) && c != '\n') {
        return json;
    }
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hostile(c) && c != '\n' {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if hostile(c) => safe.push_str("\\n"),
            '\t' if hostile(c) => safe.push_str("\\t"),
            '\r' if hostile(c) => safe.push_str("\\r"),
            _ if !hostile(c) => safe.push(c),
            _ if c.is_ascii() => safe.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => safe.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_git_tells_them() {
        let now = Timestamp::from_unix(2_000_000_000).unwrap();
        for (seconds, text) in [
            (-1, "in the future"),
            (0, "0 seconds ago"),
            (1, "1 second ago"),
            (89, "89 seconds ago"),
            (90, "2 minutes ago"),
            (3 * 3600, "3 hours ago"),
            (2 * 86_400, "2 days ago"),
            (14 * 86_400, "2 weeks ago"),
            (90 * 86_400, "3 months ago"),
            (400 * 86_400, "1 year ago"),
        ] {
            let at = Timestamp::from_unix(2_000_000_000 - seconds).unwrap();
            assert_eq!(relative_time(at, now), text);
        }
    }

    #[test]
    fn durations_are_short() {
        for (ms, text) in
            [(850, "850 ms"), (12_340, "12.3 s"), (245_000, "4 m 05 s"), (7_380_000, "2 h 03 m")]
        {
            assert_eq!(human_duration(std::time::Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(sanitised("a\x1b[2J\u{9b}\n\tb\u{202e}"), "a\\x1b[2J\\u{9b}\n\tb\\u{202e}");
        assert_eq!(sanitised_line("a\n\r\0"), "a\\n\\r\\x00");
        assert!(matches!(sanitised("größe 🐘"), Cow::Borrowed(_)));
        let json = serde_json::to_string("a\u{9b}\x1b\u{7f}").unwrap();
        let safe = sanitised_json(json);
        assert_eq!(safe, "\"a\\u009b\\u001b\\u007f\"");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "a\u{9b}\x1b\u{7f}");
    }
}
