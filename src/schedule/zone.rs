//! Time zones by their names in the IANA database.

use std::fmt;
use std::str::FromStr;

use crate::domain::{Invalid, Timestamp};

/// A time zone, such as `Europe/Berlin`. Its rules are compiled into the program, so they are the same on
/// every host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(pub(super) chrono_tz::Tz);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(chrono_tz::UTC);

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Formats a time as local time: `2026-11-21 03:40 CET`.
    pub fn format(&self, at: Timestamp) -> String {
        at.as_datetime().with_timezone(&self.0).format("%Y-%m-%d %H:%M %Z").to_string()
    }
}

impl FromStr for Zone {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid::new("time zone", text, "expected a name such as UTC, Europe/Berlin or America/New_York")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
