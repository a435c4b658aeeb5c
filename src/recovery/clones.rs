//! Copies of databases that were made to be looked at and thrown away.
//!
//! What a clone is, and whose, stands in the comment of its database, on the
//! server: whoever looks for clones finds them, and those whose maker has died
//! may be removed by anybody.

use serde::{Deserialize, Serialize};

use crate::domain::{BackupId, CommitId, DatabaseName, Owner, Timestamp, to_canonical_line};
use crate::pg::Client;
use crate::process::{Liveness, is_alive};

use super::Error;

const LABEL: &str = "git-pggit: clone ";

/// What the comment of a clone says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CloneNote {
    /// The configured database.
    pub database: DatabaseName,
    /// The commit that it is at.
    pub commit: CommitId,
    /// The backup that it was made from.
    pub backup: BackupId,
    /// When it was made.
    pub at: Timestamp,
    /// The process that it ends with; absent if it stays until it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl CloneNote {
    /// The comment.
    pub fn to_label(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{LABEL}{}", String::from_utf8_lossy(&to_canonical_line(&value)).trim_end())
    }
}

/// A clone on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clone {
    /// The name of its database there.
    pub dbname: String,
    /// What it is.
    pub note: CloneNote,
}

impl Clone {
    /// Whether it goes with a process that may live.
    pub fn is_in_use(&self) -> bool {
        self.note.owner.as_ref().is_some_and(|owner| is_alive(owner) != Liveness::Dead)
    }
}

/// The clones on a server, by name. Databases whose comment only looks like that
/// of one are none.
pub fn clones(client: &Client) -> Result<Vec<Clone>, Error> {
    let labelled = client.databases_with_comment(LABEL)?.into_iter();
    Ok(labelled
        .filter_map(|(dbname, rest)| Some(Clone { dbname, note: serde_json::from_str(&rest).ok()? }))
        .collect())
}

/// Drops a clone, whoever is connected to it. What is no clone is not touched.
pub fn drop_clone(client: &Client, dbname: &str) -> Result<bool, Error> {
    if !clones(client)?.iter().any(|clone| clone.dbname == dbname) {
        return Ok(false);
    }
    client.drop_database(dbname, true)?;
    Ok(true)
}

/// Drops clones that went with a process which has died. Their names.
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
