//! Restores: from a [`RestoreRequest`] to a [`RestorePlan`], which can be described or executed, and
//! to the [`RestoreOutcome`], which is recorded with the backup.

mod copy;
mod database;
mod directory;
mod estimate;
mod guard;
mod plan;
mod record;
mod records;
mod refusal;
pub mod replace;
mod request;
mod search;
mod target;
mod wal;

use std::path::PathBuf;
use std::time::Duration;

use crate::artifacts;
use crate::config::{Origin, Setting, Tool};
use crate::domain::{Backup, BackupId, CommitId, DatabaseName, RecoveryTarget};
use crate::ledger::Entry;
use crate::pg::ConnInfo;
use crate::tools::{Adapter, Programs};
use crate::workspace::{Workspace, connect};

use super::{Archiving, Error, PlannedStep, Roles, Started};

pub use copy::{CopyOutcome, CopyRequest};
pub use estimate::Estimate;
pub use guard::{Guard, RolledBack};
pub use plan::RestorePlan;
pub use record::{Done, record};
pub use records::{records, records_for};
pub use refusal::{Refusal, WalRefusal};
pub use request::{DatabaseDestination, Destination, DirectoryDestination, RestoreRequest};
pub use search::{CandidateQuery, best, candidates, one_database};
pub use target::{Target, TargetQuery};
pub use wal::ArchivedWal;

/// The steps of a restore, and what prevents it now.
#[derive(Debug, Default)]
pub struct Description {
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// The errors that the restore would end with.
    pub refusals: Vec<Error>,
}

/// The comparison of the schema of a restored database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaComparison {
    /// The schema that it was compared with, in words.
    pub with: String,
    /// The difference, if there is one.
    pub difference: Option<String>,
}

impl SchemaComparison {
    /// The comparison with a schema, if it was compared.
    pub(super) fn of(with: Option<String>, difference: Option<String>) -> Option<Self> {
        with.map(|with| Self { with, difference })
    }

    /// Returns true if the schemas are equal.
    pub fn is_equal(&self) -> bool {
        self.difference.is_none()
    }
}

/// A restore that has succeeded.
#[derive(Debug)]
pub struct RestoreOutcome {
    /// The commit that the database is at.
    pub commit: CommitId,
    /// The size of the backup, in bytes.
    pub bytes: u64,
    /// The duration.
    pub duration: Duration,
    /// The comparison of the schema, if it was compared.
    pub schema: Option<SchemaComparison>,
    /// The migrations that were run.
    pub ran: Vec<String>,
    /// The new database or data directory.
    pub made: Made,
}

/// The database or data directory that a restore has created.
#[derive(Debug)]
pub enum Made {
    /// A database.
    Database(MadeDatabase),
    /// A data directory.
    Directory(MadeDirectory),
}

/// A database that was created.
#[derive(Debug)]
pub struct MadeDatabase {
    /// The connection to it.
    pub info: ConnInfo,
    /// The roles, if they were restored.
    pub roles: Option<Roles>,
    /// The objects that need something that was not restored.
    pub left_out: Vec<String>,
    /// The reason why the database is not marked with its commit, if it should be.
    pub not_marked: Option<String>,
    /// The part of the original database, in words. `None` is all of it.
    pub part: Option<String>,
}

/// A data directory that was created.
#[derive(Debug)]
pub struct MadeDirectory {
    /// Its path.
    pub path: PathBuf,
    /// The directories of its tablespaces.
    pub tablespaces: Vec<PathBuf>,
    /// Whether the cluster archives its WAL.
    pub archiving: Archiving,
    /// The end of the WAL replay.
    pub until: RecoveryTarget,
    /// The backups that it was made of, the full one first.
    pub members: Vec<BackupId>,
    /// True if the WAL was replayed. Otherwise, the next server does that.
    pub is_recovered: bool,
    /// The server that was started on it, if that was wanted.
    pub server: Option<Result<Started, Error>>,
}

/// Returns the connection to the server to restore on: the one that is named, else that of the
/// configured database.
///
/// # Errors
/// If the database is not configured and no server is named.
pub fn admin_of(
    entry: &Entry,
    database: Option<&DatabaseName>,
    server: Option<&str>,
    workspace: &Workspace,
) -> Result<ConnInfo, Error> {
    if let Some(server) = server {
        return Ok(connect::server(workspace, server)?);
    }
    let name = database.unwrap_or(&entry.backup.database);
    let known = workspace.config()?.selected(Some(name.as_str())).map_err(Error::NoServer)?;
    Ok(connect::conninfo(workspace, &known)?.with_dbname("postgres"))
}

/// Returns the connection to the configured database of a backup.
fn connection(backup: &Backup, workspace: &Workspace) -> Result<ConnInfo, Error> {
    let database = workspace.config()?.selected(Some(backup.database.as_str()))?;
    Ok(connect::conninfo(workspace, &database)?)
}

/// Returns the tool that keeps a backup, as it is configured.
fn tool_of(
    backup: &Backup,
    server: &ConnInfo,
    programs: &Programs,
    workspace: &Workspace,
) -> Result<Box<dyn Adapter>, Error> {
    let config = workspace.config()?;
    let mut database = config.selected(Some(backup.database.as_str()))?;
    let tool: Tool = backup
        .tool
        .name
        .as_str()
        .parse()
        .map_err(|()| Refusal::NoTool { backup: backup.id, tool: backup.tool.name.to_string() })?;
    database.tool = Setting { value: tool, origin: Origin::CommandLine };
    Ok(artifacts::adapter_for(config, &database, server, programs)?)
}
