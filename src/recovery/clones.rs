//! Clones: temporary databases for inspection at a commit.
//!
//! The comment of a clone database on the server describes the clone and names its owner. Every user
//! of the server can therefore find the clones, and can remove a clone whose owner process has
//! exited.

use serde::{Deserialize, Serialize};

use crate::domain::{BackupId, CommitId, DatabaseName, Owner, Timestamp, to_canonical_line};
use crate::pg::Client;
use crate::process::{Liveness, is_alive};

use super::Error;

const LABEL: &str = "git-pggit: clone ";

/// The content of the comment of a clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CloneLabel {
    /// The configured database.
    pub database: DatabaseName,
    /// The commit of the clone database.
    pub commit: CommitId,
    /// The backup that the clone was restored from.
    pub backup: BackupId,
    /// The time at which the clone was created.
    pub at: Timestamp,
    /// The owner process, at whose exit the clone is dropped; absent if the clone stays until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl CloneLabel {
    /// Returns the text of the comment.
    pub fn to_label(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{LABEL}{}", String::from_utf8_lossy(&to_canonical_line(&value)).trim_end())
    }
}

/// A clone on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneDatabase {
    /// The name of the clone database.
    pub dbname: String,
    /// The description of the clone.
    pub note: CloneLabel,
}

impl CloneDatabase {
    /// Returns true if the clone belongs to a process that may still run.
    pub fn is_in_use(&self) -> bool {
        self.note.owner.as_ref().is_some_and(|owner| is_alive(owner) != Liveness::Dead)
    }
}

/// Returns the clones on a server, sorted by name. Databases with a similar but invalid comment are
/// not clones. Fails if the server cannot be queried.
pub fn clones(client: &Client) -> Result<Vec<CloneDatabase>, Error> {
    let labelled = client.databases_with_comment(LABEL)?.into_iter();
    Ok(labelled
        .filter_map(|(dbname, rest)| Some(CloneDatabase { dbname, note: serde_json::from_str(&rest).ok()? }))
        .collect())
}

/// Drops a clone, even if sessions are connected to it. Returns false, and changes nothing, if the
/// database is not a clone.
pub fn drop_clone(client: &Client, dbname: &str) -> Result<bool, Error> {
    if !clones(client)?.iter().any(|clone| clone.dbname == dbname) {
        return Ok(false);
    }
    client.drop_database(dbname, true)?;
    Ok(true)
}

/// Drops the clones of processes that have exited. Returns the names of the dropped clones.
pub fn sweep_clones(client: &Client) -> Result<Vec<String>, Error> {
    let mut dropped = Vec::new();
    for clone in clones(client)? {
        let dead = clone.note.owner.as_ref().is_some_and(|owner| is_alive(owner) == Liveness::Dead);
        if dead && client.drop_database(&clone.dbname, true).is_ok() {
            dropped.push(clone.dbname);
        }
    }
    Ok(dropped)
}
