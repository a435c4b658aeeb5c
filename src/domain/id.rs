//! Identifiers of backups, events and jobs.
//!
//! All of them are UUIDs of version 7 (RFC 9562). They are unique without coordination, and sort by the
//! time of their creation, to the millisecond. Each kind has its own type, so that they cannot be
//! mixed:
//!
//! ```compile_fail
//! fn show(_: pggit::domain::BackupId) {}
//! show(pggit::domain::EventId::new(pggit::domain::Timestamp::from_unix(0).unwrap()));
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Invalid, Timestamp, text_newtype};

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Uuid);

        impl $type {
            /// Creates an id for the time `at`.
            pub fn new(at: Timestamp) -> Self {
                let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
                let at = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, (millis % 1000) as u32 * 1_000_000);
                Self(Uuid::new_v7(at))
            }

            /// Returns the bytes. They sort as the ids do.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// Returns the id with these bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $type {
            type Err = Invalid;

            /// Only the canonical form is accepted: it is also a file name.
            fn from_str(text: &str) -> Result<Self, Invalid> {
                match Uuid::try_parse(text) {
                    Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
                    _ => Err(Invalid::new($what, text, "expected a UUID in lower case with hyphens")),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        text_newtype!($type, "uuid");

        impl From<$type> for u128 {
            fn from(id: $type) -> Self {
                id.0.as_u128()
            }
        }
    };
}

uuid_newtype!(
    /// The id of a backup. It never changes.
    BackupId,
    "backup id"
);
uuid_newtype!(
    /// The id of an event. It never changes.
    EventId,
    "event id"
);
uuid_newtype!(
    /// The id of a job of the queue. It never changes.
    JobId,
    "job id"
);

impl BackupId {
    /// Returns the id of a backup that was made at `at` and is described by `facts`. Every clone
    /// derives the same id.
    pub fn derived(at: Timestamp, facts: &[&str]) -> Self {
        let mut hash = blake3::Hasher::new();
        for fact in facts {
            hash.update(&(fact.len() as u64).to_le_bytes()).update(fact.as_bytes());
        }
        let mut rest = [0; 10];
        rest.copy_from_slice(&hash.finalize().as_bytes()[..10]);
        let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid())
    }
}

/// A set of ids for abbreviation. An abbreviated id is the shortest prefix that no other id of the set
/// has.
#[derive(Debug, Default)]
pub struct ShortIds(Vec<u128>);

impl ShortIds {
    /// The minimum length of an abbreviated id, in characters.
    pub const LEAST: usize = 8;

    /// Creates the set of `ids`.
    pub fn among<I: Into<u128>>(ids: impl IntoIterator<Item = I>) -> Self {
        let mut ids: Vec<u128> = ids.into_iter().map(Into::into).collect();
        ids.sort_unstable();
        Self(ids)
    }

    /// Returns the shortest unique prefix of `id`, at least [`Self::LEAST`] characters.
    pub fn of(&self, id: impl Into<u128>) -> String {
        let number = id.into();
        let start = self.0.partition_point(|other| *other < number);
        let end = start + self.0[start..].iter().take_while(|other| **other == number).count();
        let twin = (end - start > 1).then_some(number);
        let neighbours = [start.checked_sub(1).and_then(|at| self.0.get(at)), self.0.get(end), twin.as_ref()];
        // Each hex digit is four bits. A hyphen follows digits 8, 12, 16 and 20.
        let needed = |other: &&u128| {
            let digits = ((number ^ **other).leading_zeros() as usize / 4 + 1).min(32);
            digits + [8, 12, 16, 20].iter().filter(|hyphen| digits > **hyphen).count()
        };
        let length = neighbours.iter().flatten().map(needed).max().unwrap_or(0).max(Self::LEAST);
        Uuid::from_u128(number).hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer())[..length]
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupId, ShortIds};
    use crate::domain::Timestamp;

    #[test]
    fn derived_ids_are_the_same_for_the_same_facts_only() {
        let at = Timestamp::from_unix(1_795_223_344).unwrap();
        let id = BackupId::derived(at, &["pgbackrest", "77", "20261121-010904F"]);
        assert_eq!(id, BackupId::derived(at, &["pgbackrest", "77", "20261121-010904F"]));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("019a") || id > BackupId::new(Timestamp::from_unix(1).unwrap()));
        assert_ne!(id, BackupId::derived(at, &["pgbackrest", "7", "720261121-010904F"]));
        assert_ne!(
            id,
            BackupId::derived(Timestamp::from_unix(1).unwrap(), &["pgbackrest", "77", "20261121-010904F"])
        );
    }

    #[test]
    fn ids_sort_by_time_and_only_canonical_text_parses() {
        let early = BackupId::new(Timestamp::from_unix(1_000_000).unwrap());
        let late = BackupId::new(Timestamp::from_unix(1_000_001).unwrap());
        assert!(early < late);
        assert_eq!(early.to_string().parse::<BackupId>().unwrap(), early);
        assert!(early.to_string().to_uppercase().parse::<BackupId>().is_err());
        assert!(early.to_string().replace('-', "").parse::<BackupId>().is_err());
        assert!("../../etc/passwd".parse::<BackupId>().is_err());
    }

    #[test]
    fn prefixes_are_long_enough_to_tell_ids_apart() {
        let ids: Vec<BackupId> = [
            "019aa5b0-0000-7000-8000-000000000001",
            "019aa5b0-0000-7000-8000-000000000002",
            "119aa5b0-0000-7000-8000-000000000002",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let short = ShortIds::among(ids.clone());
        let lengths: Vec<usize> = ids.iter().map(|id| short.of(*id).len()).collect();
        assert_eq!(lengths, [36, 36, 8]);
        let twins = ShortIds::among([ids[2], ids[2]]);
        assert_eq!(twins.of(ids[2]).len(), 36);
        // The first difference is right after a hyphen.
        let near: BackupId = "019aa5b0-1000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(ShortIds::among([ids[0], near]).of(near), "019aa5b0-1");
    }
}
