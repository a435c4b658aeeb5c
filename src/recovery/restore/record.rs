//! The record of a restore in the ledger: who restored what, when, where to, and with which evidence.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Refusal, SchemaComparison};
use crate::domain::{CommitId, Location, Metadata, RestoreMode, RestoredEvent, Status};
use crate::ledger::Entry;
use crate::pg::ConnInfo;
use crate::recovery::Error;
use crate::store::StoreUrl;
use crate::workspace::Workspace;

/// The largest part of a schema difference that is recorded.
const DIFFERENCE_BYTES_MAX: usize = 16 << 10;

/// A restore that has succeeded, as it is recorded.
pub struct Done {
    /// Whether something was replaced.
    pub mode: RestoreMode,
    /// The database or directory. An error if a record cannot name it.
    pub target: Result<Location, Error>,
    /// The commit that it is at.
    pub commit: CommitId,
    /// The duration.
    pub duration: Duration,
    /// The comparison of the schema.
    pub schema: Option<SchemaComparison>,
    /// Further facts.
    pub more: Vec<(&'static str, Value)>,
}

/// Records the restore with its backup.
///
/// # Errors
/// If the ledger cannot be written, or the backup is not restorable any more.
pub fn record(entry: &Entry, done: Done, workspace: &Workspace) -> Result<(), Error> {
    let backup = &entry.backup;
    let details = details(&done);
    let event = RestoredEvent { mode: done.mode, target: done.target?, commit: done.commit, details };
    if !matches!(backup.status, Status::Completed | Status::Expired) {
        let status = backup.status.as_str().replace('_', " ");
        return Err(Refusal::NotRecordable { backup: backup.id, status }.into());
    }
    workspace.ledger()?.append_at(&backup.commit, backup.id, |_| Ok(event.clone().into()))?;
    Ok(())
}

fn details(done: &Done) -> Metadata {
    let mut facts = vec![
        ("duration_s", json!(done.duration.as_secs_f64())),
        ("pggit_version", json!(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(SchemaComparison { with, difference }) = &done.schema {
        let equal = if difference.is_some() { "differs" } else { "equal" };
        facts.extend([("schema_compared_with", json!(with)), ("schema", json!(equal))]);
        if let Some(difference) = difference {
            let end = difference.floor_char_boundary(DIFFERENCE_BYTES_MAX);
            facts.push(("schema_difference", json!(&difference[..end])));
        }
    }
    let mut details = Metadata::default();
    for (key, value) in facts.into_iter().chain(done.more.iter().cloned()) {
        // Records are shared: what looks like a secret stays out of them.
        match Metadata::try_from(json!({ key: value })) {
            Ok(fact) => details.apply(&fact),
            Err(_) => details.insert(key, "left out: it looks like a secret"),
        }
    }
    details
}

/// Returns the location of a database in a record: without a password and options of connections.
pub(super) fn location_of_database(info: &ConnInfo) -> Result<Location, Error> {
    let url = info.to_url();
    Ok(url.split('?').next().unwrap_or_default().parse()?)
}

/// Returns the location of a directory in a record.
pub(super) fn location_of_directory(path: &Path) -> Result<Location, Error> {
    Ok(StoreUrl::from_directory(path)?.to_string().parse()?)
}
