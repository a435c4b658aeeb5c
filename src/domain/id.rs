//! Identifiers of backups and events.
//!
//! Both are UUIDs of version 7: unique without coordination, and their order is
//! the order of their making (to the millisecond). What must not mix has its
//! own type:
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
            /// A new one, made at `at`.
            pub fn new(at: Timestamp) -> Self {
                let millis = u64::try_from(at.unix_millis()).unwrap_or(0);
                let at = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, (millis % 1000) as u32 * 1_000_000);
                Self(Uuid::new_v7(at))
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

        text_newtype!($type);
    };
}

uuid_newtype!(
    /// Names one backup, for ever.
    BackupId,
    "backup id"
);
uuid_newtype!(
    /// Names one event, for ever.
    EventId,
    "event id"
);

/// For each id the number of characters of its shortest unambiguous prefix
/// among all of them, at least `least`.
pub fn shortest_prefixes(ids: &[BackupId], least: usize) -> Vec<usize> {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|a, b| texts[*a].cmp(&texts[*b]));
    let common =
        |a: usize, b: usize| texts[a].bytes().zip(texts[b].bytes()).take_while(|(x, y)| x == y).count();
    let mut lengths = vec![least; texts.len()];
    for pair in order.windows(2) {
        let needed = (common(pair[0], pair[1]) + 1).min(texts[pair[0]].len());
        for side in pair {
            lengths[*side] = lengths[*side].max(needed);
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::{BackupId, shortest_prefixes};
    use crate::domain::Timestamp;

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
        assert_eq!(shortest_prefixes(&ids, 8), [36, 36, 8]);
    }
}
