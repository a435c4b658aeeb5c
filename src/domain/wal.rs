//! Names of files in the WAL archive.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Invalid, Lsn, text_newtype};

/// The name of a file that PostgreSQL archives: a WAL segment, a timeline history file, a backup
/// history file, or a partial segment. Source: `access/xlog_internal.h` of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WalName(String);

/// The kind of a file in the WAL archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalKind {
    /// `000000010000000000000003`
    Segment,
    /// `00000002.history`
    History,
    /// `000000010000000000000003.00000028.backup`
    Label,
    /// `000000010000000000000003.partial`
    Partial,
}

impl WalName {
    /// Returns the segment of `timeline` with the position `lsn`. `size` is the segment size in bytes.
    pub fn at(timeline: u32, lsn: Lsn, size: u64) -> Self {
        Self::of(timeline, u64::from(lsn) / size.max(1), size)
    }

    fn of(timeline: u32, number: u64, size: u64) -> Self {
        let per_id = segments_per_id(size);
        Self(format!("{timeline:08X}{:08X}{:08X}", number / per_id, number % per_id))
    }

    /// Returns the kind of the file.
    pub fn kind(&self) -> WalKind {
        match self.0.rsplit_once('.') {
            None => WalKind::Segment,
            Some((_, "history")) => WalKind::History,
            Some((_, "partial")) => WalKind::Partial,
            Some(_) => WalKind::Label,
        }
    }

    /// Returns the timeline.
    pub fn timeline(&self) -> u32 {
        self.hex(0)
    }

    /// Returns the number of the segment that the file is or belongs to, counted from the beginning of
    /// the WAL. `size` is the segment size in bytes. Returns `None` for timeline history files.
    pub fn number(&self, size: u64) -> Option<u64> {
        (self.kind() != WalKind::History)
            .then(|| u64::from(self.hex(8)) * segments_per_id(size) + u64::from(self.hex(16)))
    }

    /// Returns the following segments in order. `size` is the segment size in bytes.
    pub fn following(&self, size: u64) -> impl Iterator<Item = Self> + use<> {
        let (timeline, number) = (self.timeline(), self.number(size));
        number
            .into_iter()
            .flat_map(move |number| (number + 1..).map(move |number| Self::of(timeline, number, size)))
    }

    /// Returns the file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hex(&self, at: usize) -> u32 {
        self.0.get(at..at + 8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default()
    }
}

/// Returns the number of segments that the last eight digits of a name count.
fn segments_per_id(size: u64) -> u64 {
    (1_u64 << 32) / size.clamp(1, 1 << 32)
}

impl FromStr for WalName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let upper = |digits: &str, count: usize| {
            digits.len() == count && digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
        };
        let good = match text.split_once('.') {
            None => upper(text, 24),
            Some((digits, "history")) => upper(digits, 8),
            Some((digits, "partial")) => upper(digits, 24),
            Some((digits, rest)) => {
                upper(digits, 24) && rest.strip_suffix(".backup").is_some_and(|offset| upper(offset, 8))
            }
        };
        match good {
            true => Ok(Self(text.to_owned())),
            false => {
                Err(Invalid::new("name of a WAL file", text, "expected one such as 000000010000000000000003"))
            }
        }
    }
}

impl fmt::Display for WalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_newtype!(WalName);

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 16 << 20;

    #[test]
    fn names_are_those_of_postgresql() {
        for (text, kind) in [
            ("000000010000000000000003", WalKind::Segment),
            ("0000000A.history", WalKind::History),
            ("000000010000000000000003.00000028.backup", WalKind::Label),
            ("000000010000000A000000FF.partial", WalKind::Partial),
        ] {
            let name: WalName = text.parse().unwrap();
            assert_eq!((name.kind(), name.to_string()), (kind, text.to_owned()));
        }
        for bad in [
            "",
            "00000001000000000000000",
            "00000001000000000000000a",
            "../000000010000000000000003",
            "000000010000000000000003.",
            "000000010000000000000003.backup",
            "00000002.history/x",
            "0000000200000000.history",
            "000000010000000000000003\n",
        ] {
            assert!(bad.parse::<WalName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn segments_follow_each_other_over_the_end_of_a_file_id() {
        let name: WalName = "0000000100000000000000FF".parse().unwrap();
        assert_eq!(name.following(SIZE).next().unwrap().as_str(), "000000010000000100000000");
        assert_eq!(name.following(1 << 30).next().map(|next| next.number(1 << 30)), Some(Some(256)));
        let lsn: Lsn = "1/2000028".parse().unwrap();
        assert_eq!(WalName::at(3, lsn, SIZE).as_str(), "000000030000000100000002");
        assert_eq!(WalName::at(3, lsn, SIZE).number(SIZE), Some(256 + 2));
    }
}
