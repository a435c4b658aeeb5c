//! Timestamps of the ledger.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::text_schema;

/// A point in time in UTC with microseconds, written as RFC 3339: `2026-11-21T03:40:06.123456Z`. All
/// texts have the same length, so they sort as the times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(DateTime<Utc>);

text_schema!(Timestamp, "date-time");

impl Timestamp {
    /// Returns the same time for `chrono`.
    pub fn as_datetime(&self) -> DateTime<Utc> {
        self.0
    }

    /// Returns the milliseconds since the Unix epoch.
    pub fn unix_millis(&self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Returns the time of `seconds` since the Unix epoch; `None` if it is out of range.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        DateTime::from_timestamp(seconds, 0).map(Self)
    }

    /// Returns the time after `duration`, or the maximum if it is out of range.
    pub fn plus(&self, duration: Duration) -> Self {
        let later = TimeDelta::from_std(duration).ok().and_then(|delta| self.0.checked_add_signed(delta));
        later.map_or(Self(DateTime::<Utc>::MAX_UTC), Self::from)
    }

    /// Returns the whole seconds from `earlier` to `self`; negative if `earlier` is later.
    pub fn seconds_since(&self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_seconds()
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.trunc_subsecs(6))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        DateTime::parse_from_rfc3339(text)
            .map(|at| Self::from(at.with_timezone(&Utc)))
            .map_err(|_| format!("{text:?} is not an RFC 3339 time such as 2026-11-21T03:40:06Z"))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}
