//! Restores. A [`RestoreRequest`] becomes a [`RestorePlan`], which can be described or executed. The
//! execution gives a [`RestoreOutcome`], which is recorded with the backup.

mod copy;
mod coverage;
mod database;
mod directory;
mod estimate;
mod guard;
mod nearest;
mod plan;
mod proof;
mod record;
mod records;
mod refusal;
pub mod replace;
mod request;
mod rows;
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
use crate::tools::{Adapter, LeftOut, Programs};
use crate::workspace::{Workspace, connect};

use super::{Archiving, DetachedServer, Error, PlannedStep, Roles};

pub use copy::{CopyOutcome, CopyRequest};
pub use coverage::CoverageQuery;
pub use estimate::Estimate;
pub use guard::{Guard, RolledBack};
pub use plan::RestorePlan;
pub use proof::{Proof, ProofLevel, RestoredState, SchemaComparison};
pub use record::{RestoreFacts, record};
pub use records::{records, records_for};
pub use refusal::{Refusal, WalRefusal};
pub use request::{DatabaseDestination, Destination, DirectoryDestination, RestoreRequest};
pub use rows::{RowsOutcome, RowsRequest};
pub use search::{CandidateQuery, SHALLOW, best, candidates, one_database};
pub use target::{Target, TargetQuery};
pub use wal::ArchivedWal;

/// The steps of a restore, and what prevents it now.
#[derive(Debug, Default)]
pub struct Description {
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// The errors that would prevent the restore now.
    pub refusals: Vec<Error>,
}

/// The result of a successful restore.
#[derive(Debug)]
pub struct RestoreOutcome {
    /// The commit of the database.
    pub commit: CommitId,
    /// The size of the backup, in bytes.
    pub bytes: u64,
    /// The duration.
    pub duration: Duration,
    /// The result of the schema comparison, if there was one.
    pub schema: Option<SchemaComparison>,
    /// The proof that the database is at the commit.
    pub proof: Proof,
    /// The state of the migration tool in the database, if it could be compared with the commit.
    pub state: Option<RestoredState>,
    /// The names of the migrations that were run.
    pub ran: Vec<String>,
    /// The new database or data directory.
    pub made: Created,
}

/// The database or data directory that a restore has created.
#[derive(Debug)]
pub enum Created {
    /// A database.
    Database(CreatedDatabase),
    /// A data directory.
    Directory(CreatedDirectory),
}

/// A database that was created.
#[derive(Debug)]
pub struct CreatedDatabase {
    /// The connection to the database.
    pub info: ConnInfo,
    /// The roles that were created and kept, if roles were requested.
    pub roles: Option<Roles>,
    /// The objects that could not be restored: because they refer to objects outside the restored part,
    /// or because they cannot be restored at all.
    pub left_out: Vec<LeftOut>,
    /// The properties of the original database that could not be set, each with the reason.
    pub not_set: Vec<String>,
    /// The reason why the database is not marked with its commit, if it should be.
    pub not_marked: Option<String>,
    /// A description of the part of the original database; `None` if it is the whole database.
    pub part: Option<String>,
}

impl CreatedDatabase {
    /// Returns true if it is a whole database that lacks objects of the dump.
    pub fn is_incomplete(&self) -> bool {
        self.part.is_none() && !self.left_out.is_empty()
    }
}

/// A data directory that was created.
#[derive(Debug)]
pub struct CreatedDirectory {
    /// The path of the data directory.
    pub path: PathBuf,
    /// The directories of its tablespaces.
    pub tablespaces: Vec<PathBuf>,
    /// The WAL archiving of the cluster.
    pub archiving: Archiving,
    /// The recovery target.
    pub until: RecoveryTarget,
    /// The backup chain that was restored, the full backup first.
    pub members: Vec<BackupId>,
    /// True if the WAL was replayed. Otherwise the next server replays it.
    pub is_recovered: bool,
    /// The server that was started on the data directory, if a start was requested.
    pub server: Option<Result<DetachedServer, Error>>,
}

/// Returns the connection to the server on which to restore. It is the named server, else the server
/// of the configured database.
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

/// Returns the configured tool whose repository contains a backup.
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
