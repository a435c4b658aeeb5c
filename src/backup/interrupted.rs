//! Records that say `in_progress` though nobody works on them any more.

use crate::domain::{Backup, Status};
use crate::process::{Liveness, is_alive};

/// Is the process that works on this backup known to be dead? A process of
/// another machine cannot be seen from here and is believed to live.
pub fn is_interrupted(backup: &Backup) -> bool {
    let owner = backup.attempt.as_ref().and_then(|attempt| attempt.owner.as_ref());
    backup.status == Status::InProgress && owner.is_some_and(|owner| is_alive(owner) == Liveness::Dead)
}

/// The state as people are told: that of the record, or `interrupted`.
pub fn displayed_status(backup: &Backup) -> &'static str {
    if is_interrupted(backup) { "interrupted" } else { backup.status.as_str() }
}
