//! The expected duration of a restore.

use std::time::Duration;

use crate::domain::{Backup, Line, Status, VerificationKind};
use crate::ledger::Filter;
use crate::recovery::Error;
use crate::workspace::Workspace;

/// An expected duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// The duration.
    pub duration: Duration,
    /// A description of the restore test with the measured duration.
    pub from: String,
}

/// Returns the duration of the last restore test of the same database and tool, scaled by the size of
/// the backup. Returns `None` if no duration was measured.
///
/// # Errors
/// If a record cannot be read.
pub(super) fn estimate(backup: &Backup, workspace: &Workspace) -> Result<Option<Estimate>, Error> {
    /// The maximum number of newest backups that are considered.
    const LOOKED_AT: usize = 10;
    let filter = Filter {
        databases: vec![backup.database.clone()],
        statuses: vec![Status::Completed],
        tools: vec![Line::lossy(backup.tool.name.as_str())],
        ..Filter::default()
    };
    let overview = workspace.snapshot()?;
    let rows = overview.select(&filter);
    for row in rows.iter().rev().filter(|row| row.is_verified()).take(LOOKED_AT) {
        let other = workspace.ledger()?.entry(row)?.backup;
        let test = other.last_verification(VerificationKind::RestoreTest);
        let seconds = test.and_then(|test| test.details.as_map().get("rto_s")?.as_f64());
        let (Some(seconds), Some(size), Some(of)) = (seconds, other.size_bytes, backup.size_bytes) else {
            continue;
        };
        let scaled = seconds * of as f64 / size.max(1) as f64;
        let Ok(duration) = Duration::try_from_secs_f64(scaled) else { continue };
        return Ok(Some(Estimate { duration, from: format!("the restore test of {} was", other.name) }));
    }
    Ok(None)
}
