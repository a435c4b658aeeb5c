//! The note on a schema commit, which plain `git log` shows. Pure.
//!
//! Generated lines begin with `Backup <id>:`, one per backup, ordered by id. All other lines were
//! written by people. They stay unchanged, below the generated lines.

use std::collections::BTreeMap;

use crate::domain::{Backup, BackupId, Status, human_bytes};

/// Returns the note with an updated line for `backup`.
pub(super) fn updated(old: &str, backup: &Backup) -> String {
    let (mut ours, theirs) = split(old);
    ours.insert(backup.id, line(backup));
    let ours = ours.into_values().map(|line| line + "\n").collect::<String>();
    if theirs.is_empty() { ours } else { format!("{ours}\n{theirs}\n") }
}

/// Returns the note with generated lines for exactly `backups`, and the text that people wrote.
pub(super) fn derived<'a>(old: &str, backups: impl IntoIterator<Item = &'a Backup>) -> String {
    let theirs = split(old).1;
    let start = if theirs.is_empty() { String::new() } else { format!("{theirs}\n") };
    backups.into_iter().fold(start, |note, backup| updated(&note, backup))
}

/// Returns true if the generated lines of the note are exactly those of `backups`. The position of
/// the text that people wrote does not matter.
pub(super) fn is_derived<'a>(text: &str, backups: impl IntoIterator<Item = &'a Backup>) -> bool {
    let ours: Vec<&str> = text.split('\n').filter(|line| owner(line).is_some()).collect();
    let wanted: BTreeMap<BackupId, String> =
        backups.into_iter().map(|backup| (backup.id, line(backup))).collect();
    ours.len() == wanted.len() && ours.iter().zip(wanted.values()).all(|(ours, wanted)| ours == wanted)
}

/// Merges the notes of two clones. The generated lines are derived from `backups`, and every
/// paragraph that people wrote in either note stays. The order of the notes does not matter.
pub(super) fn merged<'a>(one: &str, other: &str, backups: impl IntoIterator<Item = &'a Backup>) -> String {
    let (one, other) = (split(one).1, split(other).1);
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    let paragraphs = |text: &str| -> Vec<String> {
        text.split("\n\n")
            .map(|part| part.trim_matches('\n').to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    };
    let (mut theirs, more) = (paragraphs(&first), paragraphs(&second));
    if theirs.iter().all(|part| more.contains(part)) {
        theirs = more;
    } else {
        let missing: Vec<_> = more.into_iter().filter(|part| !theirs.contains(part)).collect();
        theirs.extend(missing);
    }
    let note = theirs.join("\n\n");
    backups.into_iter().fold(note, |note, backup| updated(&note, backup))
}

/// Returns the generated lines by backup, and all other text.
fn split(note: &str) -> (BTreeMap<BackupId, String>, String) {
    let mut ours = BTreeMap::new();
    let mut theirs: Vec<&str> = Vec::new();
    for text in note.split('\n') {
        match owner(text) {
            Some(id) => drop(ours.insert(id, text.to_owned())),
            None => theirs.push(text),
        }
    }
    (ours, theirs.join("\n").trim_matches('\n').to_owned())
}

fn owner(line: &str) -> Option<BackupId> {
    line.strip_prefix("Backup ")?.split_once(':')?.0.parse().ok()
}

/// Returns the generated line of a backup:
/// `Backup <id>: completed nightly (shop, full, pg_dump 15.18, 1.2 GiB, 2026-11-21 03:40 UTC, verified)`
fn line(backup: &Backup) -> String {
    let mut facts = vec![backup.database.to_string(), backup.kind.to_string()];
    facts.push(match &backup.tool.version {
        Some(version) => format!("{} {version}", backup.tool.name),
        None => backup.tool.name.to_string(),
    });
    facts.extend(backup.size_bytes.map(human_bytes));
    let at = backup.completed_at.or(backup.started_at).unwrap_or(backup.registered_at);
    facts.push(at.as_datetime().format("%Y-%m-%d %H:%M UTC").to_string());
    if backup.is_verified() {
        facts.push("verified".to_owned());
    }
    if !backup.holds.is_empty() {
        facts.push("held".to_owned());
    }
    if let (Status::Failed, Some(error)) = (backup.status, &backup.error) {
        facts.push(error.code.to_string());
    }
    let status = backup.status.as_str().replace('_', " ");
    format!("Backup {}: {status} {} ({})", backup.id, backup.name, facts.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{derived, is_derived, merged, split};

    /// Generates notes with generated lines and arbitrary text.
    fn note() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("Backup 01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a5: completed nightly (shop)".to_owned()),
            Just("Backup 01a1fc4d-1b4e-7a30-a139-0dfc0e59e1a6: failed x".to_owned()),
            Just("Backup nonsense: x".to_owned()),
            Just(String::new()),
            "\\PC{0,30}",
            ".{0,30}",
        ];
        proptest::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #[test]
        fn text_written_by_people_survives(one in note(), other in note()) {
            let theirs = derived(&one, []);
            prop_assert!(is_derived(&theirs, []));
            prop_assert_eq!(split(&theirs).1, split(&one).1);
            prop_assert_eq!(derived(&theirs, []), theirs);
            prop_assert_eq!(merged(&one, &other, []), merged(&other, &one, []));
        }

        #[test]
        fn no_note_causes_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = derived(&String::from_utf8_lossy(&bytes), []);
        }
    }
}
