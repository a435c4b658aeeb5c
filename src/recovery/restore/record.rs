//! The record of a restore in the ledger: the user, the backup, the time, the destination, and the
//! evidence.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Proof, Refusal, SchemaComparison};
use crate::domain::{CommitId, Location, Metadata, RestoreMode, RestoredEvent, Status};
use crate::ledger::Entry;
use crate::pg::ConnInfo;
use crate::recovery::Error;
use crate::store::StoreUrl;
use crate::workspace::Workspace;

/// The maximum size of a schema difference in a record, in bytes. The rest is cut off.
const DIFFERENCE_BYTES_MAX: usize = 16 << 10;

/// The facts of a successful restore that are recorded.
pub struct RestoreFacts {
    /// The mode: into a new destination or in place.
    pub mode: RestoreMode,
    /// The location of the database or directory, or the error if a record cannot name it.
    pub target: Result<Location, Error>,
    /// The commit of the database.
    pub commit: CommitId,
    /// The duration.
    pub duration: Duration,
    /// The result of the schema comparison, if there was one.
    pub schema: Option<SchemaComparison>,
    /// The proof that the database is at the commit; `None` if none was tried.
    pub proof: Option<Proof>,
    /// Further facts.
    pub more: Vec<(&'static str, Value)>,
}

/// Records the restore with its backup.
///
/// # Errors
/// If the ledger cannot be written, or if the backup is not restorable any more.
pub fn record(entry: &Entry, done: RestoreFacts, workspace: &Workspace) -> Result<(), Error> {
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

fn details(done: &RestoreFacts) -> Metadata {
    let mut facts = vec![
        ("duration_s", json!(done.duration.as_secs_f64())),
        ("pggit_version", json!(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(Proof { level, text }) = &done.proof {
        facts.extend([("proof", json!(level.as_str())), ("proof_text", json!(text))]);
    }
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
        // Records are shared, so they must not contain values that look like secrets.
        match Metadata::try_from(json!({ key: value })) {
            Ok(fact) => details.apply(&fact),
            Err(_) => details.insert(key, "left out: it looks like a secret"),
        }
    }
    details
}

/// Returns the location of a database for a record, without the password and the connection options.
pub(super) fn location_of_database(info: &ConnInfo) -> Result<Location, Error> {
    let url = info.to_url();
    Ok(url.split('?').next().unwrap_or_default().parse()?)
}

/// Returns the location of a directory for a record.
pub(super) fn location_of_directory(path: &Path) -> Result<Location, Error> {
    Ok(StoreUrl::from_directory(path)?.to_string().parse()?)
}
