//! Records that have the status `in_progress` although no process works on the backup any more.

use crate::domain::{Backup, BackupId, Body, Failed, Failure, Line, Owner, Status};
use crate::ledger::{self, Entry, Ledger, RecordChange, Row, is_abandoned, is_interrupted};
use crate::process::{Liveness, is_alive};

/// Returns the displayed status: `interrupted`, or else the status of the record.
pub fn displayed_status(backup: &Backup) -> &'static str {
    displayed(backup.status, owner(backup))
}

/// Returns the displayed status of a backup in the overview.
pub fn displayed_row_status(row: &Row<'_>) -> &'static str {
    displayed(row.status(), row.owner().as_ref())
}

fn displayed(status: Status, owner: Option<&Owner>) -> &'static str {
    if is_abandoned(status, owner) { "interrupted" } else { status.as_str() }
}

fn owner(backup: &Backup) -> Option<&Owner> {
    backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref())
}

/// The reason why a backup is not interrupted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInterrupted {
    /// The backup is not in progress.
    #[error("it is {0}")]
    Over(Status),
    /// An external program records the result of the backup.
    #[error("no process of git-pggit is making it")]
    External,
    /// The process is running.
    #[error("process {} is working on it", .0.pid)]
    Alive(Owner),
    /// The process is on another machine.
    #[error("process {} on {} cannot be observed from this machine", .0.pid, .0.host)]
    Unseen(Owner),
}

/// Fails if a backup was not interrupted. With `force`, the user asserts that a process that is not
/// visible has ended.
pub fn check_interrupted(backup: &Backup, force: bool) -> Result<(), NotInterrupted> {
    if backup.status != Status::InProgress {
        return Err(NotInterrupted::Over(backup.status));
    }
    let Some(owner) = owner(backup) else {
        return if force { Ok(()) } else { Err(NotInterrupted::External) };
    };
    match is_alive(owner) {
        Liveness::Dead => Ok(()),
        Liveness::Alive => Err(NotInterrupted::Alive(owner.clone())),
        Liveness::Unknown if force => Ok(()),
        Liveness::Unknown => Err(NotInterrupted::Unseen(owner.clone())),
    }
}

/// Records that the attempt of a backup was interrupted, if its process is dead and the record is still
/// in progress. Returns `None` if nothing was recorded. Fails if the ledger cannot be written.
pub fn settle_interrupted(ledger: &Ledger<'_>, found: &Entry) -> Result<Option<Entry>, ledger::Error> {
    settle(ledger, found, is_interrupted)
}

/// Records the same if the process of the record `found` is dead according to the user.
pub fn settle_dead(ledger: &Ledger<'_>, found: &Entry) -> Result<Option<Entry>, ledger::Error> {
    settle(ledger, found, |backup| is_interrupted(backup) || owner(backup) == owner(&found.backup))
}

/// Records that the attempt of the backup `id` was interrupted, if its process is dead. Does nothing if
/// there is no record.
pub fn record_interrupted(ledger: &Ledger<'_>, id: BackupId) -> Result<(), ledger::Error> {
    match ledger.by_id(id) {
        Ok(found) => settle_interrupted(ledger, &found).map(drop),
        Err(ledger::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn settle(
    ledger: &Ledger<'_>,
    found: &Entry,
    is_dead: impl Fn(&Backup) -> bool,
) -> Result<Option<Entry>, ledger::Error> {
    let mut settled = false;
    let entry = ledger.append_at(&found.backup.commit, found.backup.id, |entry| {
        settled = entry.backup.status == Status::InProgress && is_dead(&entry.backup);
        Ok(if settled { Body::from(interrupted(&entry.backup)).into() } else { RecordChange::default() })
    })?;
    Ok(settled.then_some(entry))
}

fn interrupted(backup: &Backup) -> Failed {
    let message = match owner(backup) {
        Some(owner) => {
            format!("process {} on {} exited without completing the backup", owner.pid, owner.host)
        }
        None => "its process exited without completing the backup".to_owned(),
    };
    let error = Failure { code: Line::lossy("interrupted"), message };
    Failed { attempt: backup.attempt.as_ref().map(|attempt| attempt.number), error }
}
