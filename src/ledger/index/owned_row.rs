//! Rows that are not encoded yet. Pure.

use chrono::DateTime;

use crate::domain::{Status, Timestamp, VerificationKind, VerificationStatus, Verified};
use crate::git::Oid;
use crate::ledger::Entry;

/// The separator of key and value of a tag.
pub(super) const VALUE: char = '\u{1}';
/// The terminator of each tag and of each id of a needed backup.
pub(super) const END: char = '\u{2}';

/// The flags of a row.
pub(super) mod flag {
    pub(in super::super) const VERIFIED: u8 = 1;
    pub(in super::super) const HELD: u8 = 1 << 1;
    pub(in super::super) const SIZE: u8 = 1 << 2;
    pub(in super::super) const STORED: u8 = 1 << 3;
    pub(in super::super) const BRANCH: u8 = 1 << 4;
}

/// The encoding of no time.
pub(super) const NEVER: i64 = i64::MIN;

/// A row with its own data, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnedRow {
    pub(super) id: [u8; 16],
    pub(super) registered_at: i64,
    pub(super) started_at: i64,
    pub(super) completed_at: i64,
    pub(super) expires_at: i64,
    pub(super) last_at: i64,
    pub(super) size_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) kind: u8,
    pub(super) status: u8,
    pub(super) flags: u8,
    /// 0 without verification, otherwise [`verdict`] of [`crate::domain::Backup::verified`].
    pub(super) verified: u8,
    pub(super) verified_at: i64,
    pub(super) name: String,
    pub(super) database: String,
    pub(super) branch: String,
    pub(super) tool: String,
    pub(super) tags: String,
    pub(super) needs: String,
    pub(super) owner: String,
    /// The location without its last component, which is the same for all backups in one destination.
    pub(super) location_parent: String,
    pub(super) store: String,
    pub(super) key: String,
    pub(super) blob: Oid,
}

/// The rows of one ref.
#[derive(Debug, Clone)]
pub(super) struct RefRows {
    pub(super) commit: Oid,
    pub(super) tip: Oid,
    pub(super) subject: Option<String>,
    pub(super) rows: Vec<OwnedRow>,
}

impl OwnedRow {
    /// Returns the row of a record, whose file is `blob`.
    pub(super) fn of(entry: &Entry, blob: Oid) -> Self {
        let backup = &entry.backup;
        let flags = [
            (backup.is_verified(), flag::VERIFIED),
            (!backup.holds.is_empty(), flag::HELD),
            (backup.size_bytes.is_some(), flag::SIZE),
            (backup.stored_bytes.is_some(), flag::STORED),
            (backup.branch.is_some(), flag::BRANCH),
        ];
        let time = |at: Option<Timestamp>| at.map_or(NEVER, encode_time);
        let verified = backup.verified();
        let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
        // The owner matters only while the backup is in progress.
        let owner = owner.filter(|_| backup.status == Status::InProgress);
        let home = backup.location.as_ref().and_then(|location| location.as_str().rsplit_once('/'));
        let home = home.map(|(home, _)| home.to_owned());
        let tag = |(key, value): (&_, &_)| format!("{key}{VALUE}{value}{END}");
        Self {
            id: backup.id.to_bytes(),
            registered_at: encode_time(backup.registered_at),
            started_at: time(backup.started_at),
            completed_at: time(backup.completed_at),
            expires_at: time(backup.expires_at),
            last_at: time(entry.record.ordered().into_iter().map(|event| event.at).max()),
            size_bytes: backup.size_bytes.unwrap_or_default(),
            stored_bytes: backup.stored_bytes.unwrap_or_default(),
            kind: backup.kind as u8,
            status: backup.status as u8,
            verified: verified.map_or(0, verdict),
            verified_at: time(verified.map(|verified| verified.at)),
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum(),
            name: backup.name.to_string(),
            database: backup.database.to_string(),
            branch: backup.branch.as_ref().map(ToString::to_string).unwrap_or_default(),
            tool: backup.tool.name.to_string(),
            tags: backup.tags.iter().map(tag).collect(),
            needs: backup.depends_on.iter().map(|needed| format!("{}{END}", needed.id)).collect(),
            location_parent: home.unwrap_or_default(),
            store: backup.store_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            key: backup.encryption.as_ref().map(|it| it.key_id.to_string()).unwrap_or_default(),
            owner: owner.and_then(|owner| serde_json::to_string(owner).ok()).unwrap_or_default(),
            blob,
        }
    }
}

/// Encodes kind and verdict of a verification as a number above 0.
fn verdict(verified: Verified) -> u8 {
    1 + (verified.kind as u8) * VERDICTS + verified.status as u8
}

/// Decodes [`verdict`]; `None` for 0 and for an invalid number.
pub(super) fn of_verdict(number: u8) -> Option<(VerificationKind, VerificationStatus)> {
    let number = number.checked_sub(1)?;
    let kind = VerificationKind::ALL.get(usize::from(number / VERDICTS)).copied()?;
    Some((kind, VerificationStatus::ALL.get(usize::from(number % VERDICTS)).copied()?))
}

const VERDICTS: u8 = VerificationStatus::ALL.len() as u8;

/// Microseconds per second, with room for those of a leap second.
const SECOND: i64 = 2_000_000;

/// Encodes a time as a number that sorts in the same order.
pub(super) fn encode_time(at: Timestamp) -> i64 {
    let at = at.as_datetime();
    at.timestamp().saturating_mul(SECOND).saturating_add(i64::from(at.timestamp_subsec_micros()))
}

pub(super) fn decode_time(number: i64) -> Option<Timestamp> {
    if number == NEVER {
        return None;
    }
    let nanos = u32::try_from(number.rem_euclid(SECOND)).ok()? * 1000;
    DateTime::from_timestamp(number.div_euclid(SECOND), nanos).map(Timestamp::from)
}

#[cfg(test)]
mod tests {
    use super::{decode_time, encode_time, of_verdict, verdict};
    use crate::domain::{Timestamp, VerificationKind, VerificationStatus, Verified};

    #[test]
    fn verdicts_survive_a_round_trip() {
        let at = "2026-11-21T00:00:00Z".parse().unwrap();
        for kind in VerificationKind::ALL {
            for status in VerificationStatus::ALL {
                let number = verdict(Verified { kind: *kind, status: *status, at });
                assert_eq!(of_verdict(number), Some((*kind, *status)));
            }
        }
        assert_eq!((of_verdict(0), of_verdict(10), of_verdict(255)), (None, None, None));
    }

    #[test]
    fn times_survive_a_round_trip_and_keep_their_order() {
        let texts = [
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:60.000001Z",
            "2016-12-31T23:59:60.999999Z",
            "2017-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ];
        let times: Vec<Timestamp> = texts.iter().map(|text| text.parse().unwrap()).collect();
        for pair in times.windows(2) {
            assert!(encode_time(pair[0]) < encode_time(pair[1]), "{pair:?}");
        }
        for time in times {
            assert_eq!(decode_time(encode_time(time)), Some(time));
        }
    }
}
