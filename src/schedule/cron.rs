//! Cron expressions with five fields.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, SubsecRound, TimeZone, Timelike, Utc};
use croner::parser::{CronParser, Seconds, Year};

use super::Zone;
use crate::domain::{Invalid, Timestamp};

/// A change of the UTC offset that is farther away than this does not matter.
const OFFSET_CHANGE_MARGIN: Duration = Duration::hours(3);
/// The periods in hours in which the latest occurrence is searched, one after the other. The largest is
/// more than the eight years that can be between two 29ths of February.
const SEARCH_HOURS: [i64; 6] = [1, 26, 24 * 8, 24 * 32, 24 * 370, 24 * 366 * 9];

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// An expression with the fields minute, hour, day of month, month and day of
/// week: `30 2 * * mon-fri`.
#[derive(Clone)]
pub struct Cron {
    cron: croner::Cron,
    text: String,
}

impl Cron {
    /// Returns the expression, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the first occurrence after `after`; `None` if there is none for years.
    pub fn next(&self, zone: Zone, after: Timestamp) -> Option<Timestamp> {
        let after = after.as_datetime();
        let offset = |at: DateTime<Utc>| at.with_timezone(&zone.0).offset().fix();
        let (before, later) = (
            after.checked_sub_signed(OFFSET_CHANGE_MARGIN)?,
            after.checked_add_signed(OFFSET_CHANGE_MARGIN)?,
        );
        let changes = offset(before) != offset(after) || offset(after) != offset(later);
        // Near a change of the UTC offset, local times are not in the order of the moments that they
        // stand for.
        let start = if changes { before } else { after };
        let mut wall = start.with_timezone(&zone.0).naive_local().and_utc();
        let mut best: Option<DateTime<Utc>> = None;
        loop {
            wall = self.cron.find_next_occurrence(&wall.trunc_subsecs(0), false).ok()?;
            let moments = self.moments(zone, wall.naive_utc());
            best = moments.into_iter().flatten().filter(|at| *at > after).chain(best).min();
            let horizon =
                later.with_timezone(&zone.0).naive_local().checked_add_signed(OFFSET_CHANGE_MARGIN)?;
            if best.is_some() && (!changes || wall.naive_utc() > horizon) {
                return best.map(Timestamp::from);
            }
        }
    }

    /// Returns the expression as `OnCalendar` lines of systemd timers. A timer requires the day of the week
    /// *and* the day of the month, where cron requires only one of them.
    pub fn on_calendar(&self) -> Vec<String> {
        let fields: Vec<&str> = self.text.split(' ').collect();
        let &[.., month_days, _, week_days] = fields.as_slice() else { return Vec::new() };
        // January 2024 has 31 days and begins on a Monday.
        let on = |expression: &str, day: u32| {
            let only = CronParser::builder().build().parse(expression);
            only.is_ok_and(|only| only.pattern.day_match(2024, 1, day).unwrap_or(false))
        };
        let list = |range: std::ops::RangeInclusive<u32>, is: &dyn Fn(u32) -> bool| {
            let values: Vec<String> =
                range.clone().filter(|value| is(*value)).map(|value| value.to_string()).collect();
            if values.len() == range.count() { "*".to_owned() } else { values.join(",") }
        };
        let pattern = &self.cron.pattern;
        let minutes = list(0..=59, &|it| pattern.minute_match(it).unwrap_or(false));
        let hours = list(0..=23, &|it| pattern.hour_match(it).unwrap_or(false));
        let months = list(1..=12, &|it| pattern.month_match(it).unwrap_or(false));
        let days = list(1..=31, &|it| on(&format!("0 0 {month_days} * *"), it));
        let weekdays = (0..7).filter(|it| on(&format!("0 0 * * {week_days}"), 7 + it));
        let weekdays: Vec<&str> = weekdays.filter_map(|it| WEEKDAYS.get(it as usize).copied()).collect();
        let line = |weekdays: &str, days: &str| format!("{weekdays}*-{months}-{days} {hours}:{minutes}:00");
        let of_week = line(&format!("{} ", weekdays.join(",")), "*");
        match (month_days, week_days) {
            (_, "*") => vec![line("", &days)],
            ("*", _) => vec![of_week],
            _ => vec![line("", &days), of_week],
        }
    }

    /// Returns the moments of an occurrence at the local time `wall` of `zone`.
    fn moments(&self, zone: Zone, wall: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        // A schedule for every hour also runs in the repeated hour.
        let hourly = self.text.split(' ').nth(1).is_some_and(|hours| hours.starts_with('*'));
        let utc = |at: DateTime<chrono_tz::Tz>| Some(at.with_timezone(&Utc));
        match zone.0.from_local_datetime(&wall) {
            LocalResult::Single(at) => [utc(at), None],
            LocalResult::Ambiguous(first, second) if hourly => [utc(first), utc(second)],
            LocalResult::Ambiguous(first, _) => [utc(first), None],
            LocalResult::None if hourly => [None, None],
            LocalResult::None => [after_gap(zone, wall), None],
        }
    }

    /// Returns the latest occurrence that is not after `now`.
    pub fn latest(&self, zone: Zone, now: Timestamp) -> Option<Timestamp> {
        let back = |hours: &i64| now.as_datetime().checked_sub_signed(Duration::hours(*hours));
        for start in SEARCH_HOURS.iter().filter_map(back) {
            let first = self.next(zone, Timestamp::from(start)).filter(|first| *first <= now);
            let Some(mut latest) = first else { continue };
            while let Some(next) = self.next(zone, latest).filter(|next| *next <= now) {
                latest = next;
            }
            return Some(latest);
        }
        None
    }
}

/// Returns the first moment after the gap that contains `wall`, which is at a whole minute.
fn after_gap(zone: Zone, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    const GAP_MINUTES_MAX: i64 = 48 * 60;
    let wall = wall.with_second(0)?;
    let later = |minutes| wall.checked_add_signed(Duration::minutes(minutes));
    let moment = |minutes| zone.0.from_local_datetime(&later(minutes)?).earliest();
    (1..=GAP_MINUTES_MAX).find_map(moment).map(|at| at.with_timezone(&Utc))
}

impl FromStr for Cron {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WHAT: &str = "cron expression";
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != 5 {
            let reason = "expected five fields: minute, hour, day of month, month, day of week";
            return Err(Invalid::new(WHAT, text, reason));
        }
        // Extensions that other crons do not support are refused, so that every cron can run it.
        for (field, names) in fields.iter().zip([&[][..], &[], &[], &MONTHS, &WEEKDAYS]) {
            let known = |word: &&str| {
                let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
                is_number || names.iter().any(|name| name.eq_ignore_ascii_case(word))
            };
            if let Some(word) = field.split(['*', '/', ',', '-']).find(|word| !known(word)) {
                return Err(Invalid::new(WHAT, text, format!("{word:?} is not supported in {field:?}")));
            }
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let normal = fields.join(" ");
        let cron = parser.parse(&normal).map_err(|error| Invalid::new(WHAT, text, error.to_string()))?;
        let cron = Self { cron, text: normal };
        let epoch = Timestamp::from(DateTime::<Utc>::UNIX_EPOCH);
        match cron.next(Zone::UTC, epoch) {
            Some(_) => Ok(cron),
            None => Err(Invalid::new(WHAT, text, "no such day")),
        }
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let (cron, zone): (Cron, Zone) = (cron.parse().unwrap(), zone.parse().unwrap());
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = vec![];
        for _ in 0..count {
            at = cron.next(zone, at).unwrap();
            found.push(at.to_string().replace(":00.000000Z", ""));
        }
        found
    }

    #[test]
    fn occurrences_are_local_times() {
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-01-01T01:30:00Z", 2),
            ["2026-01-02T01:30", "2026-01-03T01:30"]
        );
        assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-01-01T01:29:59.9Z", 1), ["2026-01-01T01:30"]);
        assert_eq!(next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00"]);
        assert_eq!(next("0 4 * * mon-fri", "UTC", "2026-11-20T05:00:00Z", 1), ["2026-11-23T04:00"]);
        assert_eq!(
            next("0 4 13 * 5", "UTC", "2026-11-01T05:00:00Z", 2),
            ["2026-11-06T04:00", "2026-11-13T04:00"]
        );
        assert_eq!(next("*/20 * * * *", "Asia/Kathmandu", "2026-11-01T05:01:00Z", 1), ["2026-11-01T05:15"]);
    }

    /// Berlin, 2026-03-29: at 02:00 (01:00 UTC) it is 03:00.
    #[test]
    fn a_time_in_a_gap_runs_after_the_gap() {
        let zone = "Europe/Berlin";
        for cron in ["30 2 * * *", "0 2 * * *", "*/15 2 * * *", "59 2 * * *"] {
            let found = next(cron, zone, "2026-03-28T12:00:00Z", 2);
            assert_eq!(found[0], "2026-03-29T01:00", "{cron}");
            assert!(found[1].starts_with("2026-03-30T00:"), "{cron}: {found:?}");
        }
        // One of two times of the day, and one that is due after the gap anyway.
        assert_eq!(
            next("0 2,14 * * *", zone, "2026-03-28T12:00:00Z", 3),
            ["2026-03-28T13:00", "2026-03-29T01:00", "2026-03-29T12:00"]
        );
        assert_eq!(
            next("30 * * * *", zone, "2026-03-29T00:00:00Z", 3),
            ["2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"]
        );
        assert_eq!(next("0 2 * * *", zone, "2026-03-29T01:00:00Z", 1), ["2026-03-30T00:00"]);
        // A gap at midnight, in Beirut on 2026-03-29, and of a whole day, in Apia on 2011-12-30.
        assert_eq!(next("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00:00Z", 1), ["2026-03-28T22:00"]);
        assert_eq!(next("0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", 1), ["2011-12-30T10:00"]);
    }

    /// Berlin, 2026-10-25: at 03:00 (01:00 UTC) it is 02:00 again.
    #[test]
    fn a_repeated_time_runs_once_unless_it_is_every_hour() {
        let zone = "Europe/Berlin";
        assert_eq!(
            next("30 2 * * *", zone, "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30", "2026-10-26T01:30"]
        );
        // From within the second hour.
        assert_eq!(next("50 2 * * *", zone, "2026-10-25T01:45:00Z", 1), ["2026-10-26T01:50"]);
        assert_eq!(next("50 2 * * *", zone, "2026-10-25T00:45:00Z", 1), ["2026-10-25T00:50"]);
        assert_eq!(
            next("0,30 * * * *", zone, "2026-10-24T23:45:00Z", 6),
            [
                "2026-10-25T00:00",
                "2026-10-25T00:30",
                "2026-10-25T01:00",
                "2026-10-25T01:30",
                "2026-10-25T02:00",
                "2026-10-25T02:30"
            ]
        );
    }

    #[test]
    fn timers_of_systemd_have_the_same_times() {
        let lines = |cron: &str| cron.parse::<Cron>().unwrap().on_calendar();
        assert_eq!(lines("0 2 * * *"), ["*-*-* 2:0:00"]);
        assert_eq!(lines("*/20 * * * mon-fri"), ["Mon,Tue,Wed,Thu,Fri *-*-* *:0,20,40:00"]);
        assert_eq!(lines("0 5 1 1,4,7,10 *"), ["*-1,4,7,10-1 5:0:00"]);
        assert_eq!(lines("0 4 13 * 7"), ["*-*-13 4:0:00", "Sun *-*-* 4:0:00"]);
    }

    #[test]
    fn the_latest_occurrence_is_found_from_any_distance() {
        let latest = |cron: &str, zone: &str, now: &str| {
            let cron: Cron = cron.parse().unwrap();
            let found = cron.latest(zone.parse().unwrap(), now.parse().unwrap());
            found.map(|at| at.to_string().replace(":00.000000Z", "")).unwrap_or_default()
        };
        assert_eq!(latest("* * * * *", "UTC", "2026-11-01T05:01:59Z"), "2026-11-01T05:01");
        assert_eq!(latest("0 2 * * *", "UTC", "2026-11-01T02:00:00Z"), "2026-11-01T02:00");
        assert_eq!(latest("0 2 * * *", "UTC", "2026-11-01T01:59:59Z"), "2026-10-31T02:00");
        assert_eq!(latest("0 3 * * 0", "UTC", "2026-11-21T01:59:59Z"), "2026-11-15T03:00");
        assert_eq!(latest("0 0 29 2 *", "UTC", "2103-11-21T00:00:00Z"), "2096-02-29T00:00");
        assert_eq!(latest("30 2 * * *", "Europe/Berlin", "2026-03-29T10:00:00Z"), "2026-03-29T01:00");
        assert_eq!(latest("30 2 * * *", "Europe/Berlin", "2026-10-25T01:40:00Z"), "2026-10-25T00:30");
    }

    #[test]
    fn an_invalid_expression_is_refused_with_a_reason() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "0 0 30 2 *",
            "@daily",
            "a b c d e",
            "0 0 L * *",
            "0 0 15W * *",
            "0 0 * * 5#2",
            "0 0 * * +1",
            "-1 * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "0 0 * * \u{130}",
            "0 0 1 1 *; rm -rf /",
            "% * * * *",
        ] {
            let refused = text.parse::<Cron>().unwrap_err();
            assert!(!refused.reason.is_empty(), "{text:?}");
        }
        assert_eq!(" 0\t2  * jan SUN ".parse::<Cron>().unwrap().as_str(), "0 2 * jan SUN");
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in ".{0,40}") {
            let _ = text.parse::<Cron>();
        }

        /// In any zone: the next one is later, and the latest one before it is not after it.
        #[test]
        fn next_and_latest_agree(
            minute in 0..60u8, hour in 0..24u8, zone in 0..chrono_tz::TZ_VARIANTS.len(), at in 1_500_000_000..1_900_000_000i64,
        ) {
            let cron: Cron = format!("{minute} {hour} * * *").parse().unwrap();
            let (zone, at) = (Zone(chrono_tz::TZ_VARIANTS[zone]), Timestamp::from_unix(at).unwrap());
            let next = cron.next(zone, at).unwrap();
            proptest::prop_assert!(next > at && next.seconds_since(at) <= 49 * 3600);
            proptest::prop_assert_eq!(cron.latest(zone, next), Some(next));
            let before = Timestamp::from(next.as_datetime() - Duration::seconds(1));
            let latest = cron.latest(zone, before).unwrap();
            proptest::prop_assert!(latest <= at);
            proptest::prop_assert_eq!(cron.next(zone, latest), Some(next));
        }
    }
}
