//! The verifications that are due by policy. Pure.

use crate::domain::{Backup, BackupId, Status, Timestamp, VerificationKind, VerifyPolicy};

/// A verification that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The backup.
    pub backup: BackupId,
    /// The kind of the verification.
    pub kind: VerificationKind,
    /// The reason why it is due.
    pub reason: String,
}

/// Returns the due verifications of the backups of one database, the most recently completed backup
/// first.
pub fn due(policies: &[VerifyPolicy], backups: &[&Backup], now: Timestamp) -> Vec<Due> {
    let mut kept: Vec<&Backup> =
        backups.iter().copied().filter(|backup| backup.status == Status::Completed).collect();
    kept.sort_by_key(|backup| std::cmp::Reverse((backup.completed_at, backup.id)));
    let mut found: Vec<Due> = Vec::new();
    for backup in &kept {
        for policy in policies {
            // The policy covers only the newest backup.
            if !policy.all && backup.id != kept[0].id {
                continue;
            }
            let among = if policy.all { std::slice::from_ref(backup) } else { kept.as_slice() };
            let last = among.iter().filter_map(|it| it.last_verification(policy.kind)).map(|it| it.at).max();
            let Some(reason) = reason(policy, last, now) else { continue };
            // Several policies may require the same kind.
            if !found.iter().any(|due| due.backup == backup.id && due.kind == policy.kind) {
                found.push(Due { backup: backup.id, kind: policy.kind, reason });
            }
        }
    }
    found
}

fn reason(policy: &VerifyPolicy, last: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let whose = if policy.all { "this backup" } else { "any backup" };
    let Some(last) = last else { return Some(format!("{policy}: never done for {whose}")) };
    let age_s = now.seconds_since(last);
    // A verification in the future has the time of a wrong clock. An unneeded verification is better
    // than a missing one.
    let fresh = (0..i64::try_from(policy.every_s).unwrap_or(i64::MAX)).contains(&age_s);
    (!fresh).then(|| format!("{policy}: last done for {whose} at {last}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backup(n: u8, status: &str, completed: &str, verified: &[(&str, &str)]) -> Backup {
        let id = format!("0193f1a2-0000-7000-8000-0000000000{n:02}");
        let verifications: Vec<_> = verified
            .iter()
            .map(|(kind, at)| json!({ "id": id, "kind": kind, "status": "passed", "at": at, "by": "Ada" }))
            .collect();
        serde_json::from_value(json!({
            "id": id, "name": format!("b{n}"), "database": "shop", "commit": "a".repeat(40), "type": "full",
            "tool": { "name": "pg_dump" }, "status": status, "registered_at": completed, "completed_at": completed,
            "created_by": "Ada", "host": "db1", "verifications": verifications,
        }))
        .unwrap()
    }

    fn found(policies: &[&str], backups: &[Backup], now: &str) -> Vec<String> {
        let policies: Vec<VerifyPolicy> = policies.iter().map(|text| text.parse().unwrap()).collect();
        let backups: Vec<&Backup> = backups.iter().collect();
        let all = due(&policies, &backups, now.parse().unwrap());
        all.iter().map(|due| format!("{} {}", &due.backup.to_string()[34..], due.kind.word())).collect()
    }

    #[test]
    fn the_newest_stands_for_all_unless_all_are_wanted() {
        let backups = [
            backup(1, "completed", "2026-11-01T00:00:00Z", &[("restore_test", "2026-11-02T00:00:00Z")]),
            backup(2, "completed", "2026-11-10T00:00:00Z", &[]),
            backup(3, "failed", "2026-11-11T00:00:00Z", &[]),
            backup(4, "completed", "2026-11-05T00:00:00Z", &[("checksum", "2026-11-06T00:00:00Z")]),
        ];
        let now = "2026-11-08T23:00:00Z";
        assert_eq!(found(&["restore-test every 7d"], &backups, now), [""; 0]);
        let now = "2026-11-09T00:00:00Z";
        assert_eq!(found(&["restore-test every 7d"], &backups, now), ["02 restore-test"]);
        assert_eq!(found(&["checksum of all every 30d"], &backups, now), ["02 checksum", "01 checksum"]);
        assert_eq!(
            found(&["checksum of all every 1h", "restore-test every 1w", "checksum every 1s"], &backups, now),
            ["02 checksum", "02 restore-test", "04 checksum", "01 checksum"]
        );
        assert_eq!(found(&["integrity every 1d"], &backups[2..3], now), [""; 0]);
        assert_eq!(found(&[], &backups, now), [""; 0]);
        assert_eq!(found(&["integrity every 1d"], &[], now), [""; 0]);
    }

    #[test]
    fn verifications_from_the_future_do_not_count() {
        let ahead = [backup(1, "completed", "2026-11-01T00:00:00Z", &[("checksum", "2027-01-01T00:00:00Z")])];
        assert_eq!(found(&["checksum every 7d"], &ahead, "2026-11-02T00:00:00Z"), ["01 checksum"]);
    }
}
