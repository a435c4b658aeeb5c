//! Records that say `in_progress` though nobody works on them any more.

use crate::domain::{Backup, BackupId, Body, Failed, Failure, Line, Owner, Status};
use crate::ledger::{self, Change, Ledger};
use crate::process::{Liveness, is_alive};

/// Is the process that works on this backup known to be dead? A process of
/// another machine cannot be seen from here and is believed to live.
pub fn is_interrupted(backup: &Backup) -> bool {
    is_abandoned(backup.status, owner(backup))
}

/// The same of a backup of which only this is known.
pub fn is_abandoned(status: Status, owner: Option<&Owner>) -> bool {
    status == Status::InProgress && owner.is_some_and(|owner| is_alive(owner) == Liveness::Dead)
}

/// The state as people are told: that of the record, or `interrupted`.
pub fn displayed_status(backup: &Backup) -> &'static str {
    displayed(backup.status, owner(backup))
}

/// The same of a backup of which only this is known.
pub fn displayed(status: Status, owner: Option<&Owner>) -> &'static str {
    if is_abandoned(status, owner) { "interrupted" } else { status.as_str() }
}

fn owner(backup: &Backup) -> Option<&Owner> {
    backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref())
}

/// Records that the attempt of a backup was interrupted, if its process is dead
/// and nobody has said so. Without a record there is nothing to say.
pub fn record_interrupted(ledger: &Ledger<'_>, id: BackupId) -> Result<(), ledger::Error> {
    let recorded = ledger.append(id, |entry| {
        if !is_interrupted(&entry.backup) {
            return Ok(Change::default());
        }
        let error = Failure {
            code: Line::lossy("interrupted"),
            message: "the process that made the backup died".to_owned(),
        };
        let attempt = entry.backup.attempt.as_ref().map(|attempt| attempt.number);
        Ok(Body::from(Failed { attempt, error }).into())
    });
    match recorded {
        Ok(_) | Err(ledger::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
